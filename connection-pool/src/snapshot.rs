//! The state of a pool at one moment.

use std::time::Duration;

use pravega_sdk_types::Endpoint;

/// The state of every slot of a pool at one moment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSnapshot {
    /// The slot sets, by backend.
    pub sets: Vec<SlotSetSnapshot>,
    /// Number of claims that wait for a connection.
    pub waiting: usize,
    /// Number of connections without a slot that are not closed yet.
    pub closing: usize,
    /// Events since the pool's task was started.
    pub counters: PoolCounters,
}

/// The slots of one backend.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSetSnapshot {
    /// The backend.
    pub backend: Endpoint,
    /// True if the resolver names the backend. Connections to other backends serve claims for that
    /// backend alone, and close when they are unused.
    pub is_listed: bool,
    /// Number of dials that failed since the last success.
    pub failures: u32,
    /// Rest of the back-off; `None` if the backend may be dialled.
    pub backoff_left: Option<Duration>,
    /// The slots.
    pub slots: Vec<SlotSnapshot>,
}

/// One slot.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotSnapshot {
    /// Number of the slot, unique while the pool's task runs.
    pub id: u64,
    /// State of the slot.
    pub state: SlotState,
    /// Time since the slot entered this state.
    pub since: Duration,
}

/// The state of a slot. A slot without a user also ends when its backend leaves the service.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotState {
    /// A dial is under way. (On success) becomes `Idle`, (on failure) ends.
    Connecting,
    /// Ready for a claim. (On an exclusive claim) becomes `Claimed`, (on a shared one) `Shared`,
    /// (when due) `Checking`.
    Idle,
    /// A health check is under way. (On success) becomes `Idle`, (on failure) ends.
    Checking,
    /// An exclusive claim owns the connection. (When dropped) becomes `Recycling`, or ends.
    Claimed,
    /// Shared claims use the connection. It stays shared after the last one left. (When retired)
    /// becomes `Retired`, or ends if it has no user; (when found dead) ends.
    Shared {
        /// Number of claims that use the connection.
        users: usize,
    },
    /// The connection is retired: no further claim gets it. (When its last user leaves) ends.
    Retired {
        /// Number of claims that still use the connection.
        users: usize,
    },
    /// The connection is made ready for its next user. (On success) becomes `Idle`, (on failure)
    /// ends.
    Recycling,
}

/// Counters of a pool, since its task was started.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolCounters {
    /// Connections established.
    pub connected: u64,
    /// Dials that failed.
    pub connect_failures: u64,
    /// Claims that got a connection.
    pub granted: u64,
    /// Claims that timed out.
    pub timed_out: u64,
    /// Claims for one backend that shared the failure of a dial.
    pub failed: u64,
    /// Claims that were refused because too many were waiting.
    pub refused: u64,
    /// Claims that were dropped while they waited.
    pub abandoned: u64,
    /// Health checks that passed.
    pub healthy: u64,
    /// Health checks that failed.
    pub unhealthy: u64,
    /// Slots that ended, for any reason.
    pub retired: u64,
}
