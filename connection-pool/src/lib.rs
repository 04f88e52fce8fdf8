//! Connections, pooled and shared.
//!
//! The crate is generic, knows nothing of Pravega and can be used by itself; `README.md` beside it
//! shows how:
//!
//! | word | meaning |
//! |---|---|
//! | service | what a pool connects to |
//! | backend | one server of it |
//! | [`Resolver`] | which backends there are: a fixed list, DNS, or whatever a [`BackendSource`] knows |
//! | [`Connector`] | how a connection is made, checked and made ready for the next user |
//! | slot | room for one connection: connecting, connected, claimed |
//! | slot set | the slots of one backend |
//! | [`Policy`] | how many slots, how long to wait, how often to check |
//! | [`Claim`] | a guard that owns a connection and gives it back when it is dropped |
//!
//! [`Pool`] hands connections out one user at a time; [`SharedConnections`] counts many users of
//! one connection. What a pool does next is decided by a machine without a clock or a runtime, so
//! that every decision can be tested; a task carries the decisions out.

mod backend;
mod claim;
mod connector;
mod error;
mod machine;
mod policy;
mod pool;
pub mod resolver;
mod shared;
mod snapshot;

pub use backend::Backends;
pub use claim::Claim;
pub use connector::Connector;
pub use error::{BoxError, ClaimError};
pub use policy::{Policy, PolicyError};
pub use pool::{CloseReport, Pool};
pub use resolver::{BackendSource, FixedResolver, PolledResolver, Resolver};
pub use shared::{CloseFailure, Dial, SharedConnections, SharedError, SharedHandle};
pub use snapshot::{PoolCounters, PoolSnapshot, SlotSetSnapshot, SlotSnapshot, SlotState};

/// Compiles what the readme shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
