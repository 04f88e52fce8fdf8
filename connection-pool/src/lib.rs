//! A connection pool with claims by guard.
//!
//! The crate knows nothing of what it connects to; `README.md` beside it shows how it is used:
//!
//! | word | meaning |
//! |---|---|
//! | service | what a pool connects to |
//! | backend | one server of it |
//! | [`Resolver`] | which backends there are: a fixed list, DNS, or the answers of a [`BackendSource`] |
//! | [`Connector`] | how a connection is made, checked, shared and closed |
//! | slot | room for one connection: connecting, idle, claimed by one user or shared by several |
//! | slot set | the slots of one backend |
//! | [`Policy`] | how many slots, how long to wait, how often to check |
//! | [`Claim`] | a guard that owns a connection and gives it back when it is dropped |
//! | [`SharedClaim`] | a share in a connection that others use at the same time |
//!
//! A [`Pool`] hands out both kinds of claims, from any backend or from a given one. A machine
//! without a clock or a runtime decides what it does next, so every decision can be tested; a task
//! carries the decisions out.

mod backend;
mod claim;
mod connector;
mod error;
mod machine;
mod policy;
mod pool;
pub mod resolver;
mod shared_claim;
mod snapshot;

pub use backend::{Backends, Resolver};
pub use claim::Claim;
pub use connector::{Connector, NotShared};
pub use error::{BoxError, ClaimError, CloseFailure, ConnectFailure};
pub use policy::{Policy, PolicyError};
pub use pool::{CloseReport, Pool};
pub use resolver::{BackendSource, FixedResolver, PolledResolver};
pub use shared_claim::SharedClaim;
pub use snapshot::{PoolCounters, PoolSnapshot, SlotSetSnapshot, SlotSnapshot, SlotState};

/// Compiles what the readme shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
