//! Names of connections and stores, and the moment at which a request is handled.

use uuid::Uuid;

use crate::record::Millis;

/// Identifies a connection for as long as the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One of the segment stores of the server, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreIndex(pub usize);

/// The time of a request, and random bits for the ids that it creates.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The current time.
    pub now: Millis,
    /// Random bits, fresh for each request.
    pub random: Uuid,
}
