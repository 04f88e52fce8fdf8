//! A simulated Pravega, for tests of the SDK under faults.
//!
//! The SDK's own code runs unchanged: its controller calls go to a [`SimController`], its
//! connections over a [`SimNetwork`] to simulated segment stores, and time is tokio's paused clock.
//! One seed is one run: workload, faults and their order follow from it, so the seed of a failure
//! repeats it.
//!
//! Streams, segments and transactions are those of `server-core`, the machine that the embedded
//! server runs. This crate adds what a real cluster has beyond it: a scale that is half done, a
//! commit that is carried out late, lost answers, outages, and stores that misbehave.
//!
//! ```text
//!   scenario   transaction_scenario      a seed as a workload with faults
//!   byte_scenario   index_scenario
//!      │ theme, disturbance, plan        which faults, and when
//!      │ workload, conditional, reading, byte_load: what clients do
//!      │ transaction_load, transaction_endings: and with transactions
//!      v
//!   client ── network ── link            connections of the SDK, and their faults
//!      │         │ sent                  what clients wrote into them
//!   controller  store                    drivers of the cluster
//!      │         │
//!      │    holds, stalls, interruptions    what is held back, lost, late or stuck
//!      └────┬────┘
//!   world, outages, tokens               streams, stores and faults, as tests set them
//!           │
//!   transactions  content, kept, views   late commits; what streams hold, and what they held
//!           │
//!        serving                         commands in, replies out
//!           │
//!        cluster ── faults  fullness  server-core's machine and its clocks
//!           │
//!   connection ── gates  outbox          one connection: what waits, and the order of replies
//!
//!   history ── checks   reading          what clients saw against what streams hold and held
//!   trial ── trouble    promptness       one part in trouble: what goes on, and how soon
//!
//!   controllers: a seed as calls of several controllers, with the client for gRPC itself
//!   tables: a seed as tables, or as one that clients agree on, and the order in which their
//!           operations can have happened
//! ```

mod answer;
mod archive;
mod bounded;
mod byte_load;
pub mod byte_scenario;
pub mod checks;
pub mod client;
mod cluster;
mod conditional;
mod connection;
mod content;
pub mod controller;
pub mod controllers;
mod cut_order;
mod disturbance;
mod faults;
mod fullness;
pub mod gates;
pub mod groups;
pub mod history;
pub mod holds;
pub mod index_scenario;
mod inspecting;
mod interruptions;
mod kept;
pub mod link;
mod messages;
pub mod misuse_scenario;
pub mod network;
mod outages;
mod outbox;
mod plan;
mod promptness;
pub mod proxy;
pub mod reading;
mod report;
pub mod scenario;
mod sent;
mod serving;
pub mod stalls;
pub mod store;
pub mod tables;
pub mod theme;
mod tokens;
mod transaction_endings;
mod transaction_load;
pub mod transaction_scenario;
mod transactions;
mod trial;
mod trouble;
mod views;
mod workload;
pub mod world;

pub use content::Stored;
pub use controller::SimController;
pub use faults::{Connects, Misbehaviour};
pub use gates::{Arrival, Departure};
pub use holds::Hold;
pub use kept::Kept;
pub use network::SimNetwork;
pub use report::Report;
pub use stalls::{Requests, Stall, Stuck};
pub use world::{Between, Interruption, Interruptions, World};
