//! Connections, pooled and shared.
//!
//! The generic half knows nothing of Pravega and can be used by itself; `README.md` beside it shows
//! how:
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
//!
//! On top stands Pravega's own: [`StoreConnection`] is a handshaken connection to a segment store
//! on which many requests are under way at once, and [`RawClient`] finds or makes the connection
//! for an endpoint and matches each reply to its request.

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
mod store;

pub use backend::Backends;
pub use claim::Claim;
pub use connector::Connector;
pub use error::{BoxError, ClaimError};
pub use policy::{Policy, PolicyError};
pub use pool::{CloseReport, Pool};
pub use resolver::{BackendSource, FixedResolver, PolledResolver, Resolver};
pub use shared::{CloseFailure, Dial, SharedConnections, SharedError, SharedHandle};
pub use snapshot::{PoolCounters, PoolSnapshot, SlotSetSnapshot, SlotSnapshot, SlotState};
pub use store::{
    ByteStream, ConnectionCounters, ConnectionError, Opening, RawClient, RequestError, StoreConfig,
    StoreConnection, StoreDialer, StoreStream, StoreTls, StoreTlsError, Transport,
};

/// Compiles what the readme shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
