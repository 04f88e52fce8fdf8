//! An embedded Pravega: a controller and segment stores in this process.
//!
//! It speaks Pravega's own protocols over real sockets, so the clients for Java and Rust work
//! unchanged. The data is in memory, or in a folder that survives the process.
//!
//! ```text
//! connection   a client's socket        service, rest   gRPC calls of the controller, HTTP
//!        └──────────────┬─────────────────────┘
//!                     state     the machine behind a lock, and how much of the log is durable
//!                       │
//!                  server-core  decides, without clock, randomness or socket
//!                       │
//!                      log      records on disk, if they are kept, from which segments are read
//!                       │
//!                    folder     locked for this process; copied while it is in use
//! ```
//!
//! Deliberately absent: any crate of the client. Both sides share only the protocol, so each tests
//! the other independently.

mod answer;
mod budget;
mod builder;
mod check;
mod clock;
mod configured;
mod connection;
mod controller;
mod copy;
mod disk_queue;
mod durable;
mod durable_waits;
mod embedded;
mod eviction;
mod fault_state;
mod faults;
mod folder;
mod fullness;
mod guard;
mod identity;
mod io_kind;
mod journal;
#[cfg(feature = "jwt")]
mod jwt;
mod limits;
mod locks;
mod log;
mod needs;
mod outbox;
mod patience;
mod polling;
mod ports;
mod protocol;
mod receive;
mod rest;
mod sending;
mod service;
mod shared_machine;
mod signals;
mod signing;
mod start;
mod state;
mod status;
mod storage;
mod tasks;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod turns;
mod watched;

pub use builder::{ServerBuilder, account_line};
pub use check::{DamagedPart, FolderReport, SegmentPart, check};
pub use clock::ClockError;
pub use copy::{Backup, CopyError, Missing, Salvaged, backup, salvage};
pub use embedded::EmbeddedServer;
pub use faults::{Faults, Presence, Refusal};
pub use journal::{OpenError, OpenProblem};
#[cfg(feature = "jwt")]
pub use jwt::JwtAccounts;
pub use start::StartError;
#[cfg(feature = "tls")]
pub use tls::ServerTls;
