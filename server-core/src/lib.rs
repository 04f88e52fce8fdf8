//! The embedded Pravega server as a pure machine: requests and the current time go in, replies and
//! records of what changed come out.
//!
//! ```text
//!          connection drivers                  the controller's service
//!                  │ WireCommand                         │ messages of the controller
//!                  v                                     v
//!      Session (one per connection)            Catalog: scopes, streams, groups
//!                  └──────────────────┬──────────────────┘
//!                                     v
//!                  Step: the Store's segments, the Journal, the moment
//!                                     │ Record
//!                                     v
//!                              the driver's disk
//! ```
//!
//! Every request is handled in one step: its changes to the catalog and to segments enter the
//! journal as one batch, so a crash never leaves a scale or a commit half done.
//!
//! Deliberately absent: clocks, randomness, sockets and threads. Time and random bits are
//! arguments.

pub mod access;
pub mod catalog;
pub mod ids;
pub mod log;
mod logged;
pub mod machine;
pub mod placement;
pub mod record;
mod restoring;
mod state;
pub mod store;

pub use self::{
    restoring::Restoring,
    state::{FreedRanges, Touched},
};

#[cfg(test)]
mod tests;
