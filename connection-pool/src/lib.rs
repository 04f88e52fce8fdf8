//! A connection pool with claims by guard.
//!
//! The crate is independent of the service it connects to. `README.md` beside it has an example.
//!
//! | word | meaning |
//! |---|---|
//! | service | a set of interchangeable servers, which a pool connects to |
//! | backend | one server of a service |
//! | [`Resolver`] | names the backends: a fixed list, DNS, or the answers of a [`BackendSource`] |
//! | [`Connector`] | connects, checks, shares and closes |
//! | slot | one connection or the dial for it: connecting, idle, claimed, shared, retired |
//! | slot set | the slots of one backend |
//! | [`Policy`] | limits, deadlines and intervals |
//! | [`Claim`] | a guard that owns a connection and gives it back when it is dropped |
//! | [`SharedClaim`] | a share in a connection that others use at the same time |
//!
//! A [`Pool`] grants both kinds of claims, from any backend or from a given one. A state machine
//! without a clock or a runtime makes every decision, so each can be tested; a task carries the
//! decisions out.

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
pub use error::{BoxError, ClaimError, CloseError, CloseFailure, ConnectFailure};
pub use policy::{Policy, PolicyError};
pub use pool::{CloseReport, Pool};
pub use resolver::{BackendSource, FixedResolver, PolledResolver};
pub use shared_claim::SharedClaim;
pub use snapshot::{PoolCounters, PoolSnapshot, SlotSetSnapshot, SlotSnapshot, SlotState};

/// Compiles the example of the readme.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
