//! A simulated Pravega, for tests of the SDK under faults.
//!
//! The SDK's own code runs unchanged: its controller calls go to a [`SimController`], its
//! connections over a [`SimNetwork`] to scripted segment stores, and time is tokio's paused clock.
//! One seed is one run: workload, faults and their order follow from it, so a failure is repeated
//! by its seed.
//!
//! | module | holds |
//! |---|---|
//! | [`link`] | bytes between two ends: cut, delayed, half-closed or silent at any byte, in either direction |
//! | [`proxy`] | the same faults for real sockets |
//! | [`world`] | what the stores hold and the controller knows: segments, epochs, who serves what |
//! | [`store`] | a segment store: appending and reading, as the real server behaves |
//! | [`controller`] | the controller's calls, with outages |
//! | [`history`] | what clients saw, and the checks that it and the final streams agree |
//! | [`reading`] | readers in a scenario, and whether they were handed what is in the stream |
//! | [`scenario`] | a seed made a workload with faults |
//! | [`transaction_scenario`] | the same for transactions, whose records stand in `transactions` |

pub mod controller;
pub mod history;
pub mod link;
pub mod network;
pub mod proxy;
pub mod reading;
pub mod scenario;
pub mod store;
pub mod transaction_scenario;
mod transactions;
pub mod world;

pub use controller::SimController;
pub use network::SimNetwork;
pub use world::World;
