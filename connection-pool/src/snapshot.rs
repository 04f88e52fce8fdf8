//! A look inside a pool.

use std::time::Duration;

use pravega_sdk_types::Endpoint;

/// The state of every slot of a pool at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSnapshot {
    /// The slot sets, by backend; those being drained too.
    pub sets: Vec<SlotSetSnapshot>,
    /// How many claims wait for a connection.
    pub waiting: usize,
    /// What has happened since the pool was made.
    pub counters: PoolCounters,
}

/// The slots of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSetSnapshot {
    /// The backend.
    pub backend: Endpoint,
    /// The resolver does not name the backend any more; its connections go as they come back.
    pub is_draining: bool,
    /// How often in a row it could not be connected to.
    pub failures: u32,
    /// For how much longer it is left alone, if it is.
    pub backoff_left: Option<Duration>,
    /// The slots.
    pub slots: Vec<SlotSnapshot>,
}

/// One slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotSnapshot {
    /// Its number; unique in the pool.
    pub id: u64,
    /// What it is doing.
    pub state: SlotState,
    /// For how long it has been doing that.
    pub since: Duration,
}

/// What a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotState {
    /// A connection is being made. (On success) becomes `Connected`, (on failure) is gone.
    Connecting,
    /// Nobody uses it. (On a claim) becomes `Claimed`, (when due) `Checking`.
    Connected,
    /// Its health is being checked. (On success) becomes `Connected`, (on failure) is gone.
    Checking,
    /// A guard owns it. (When dropped) becomes `Recycling`, or is gone.
    Claimed,
    /// It is made ready for the next user. (On success) becomes `Connected`, (on failure) is gone.
    Recycling,
}

/// What has happened in a pool since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolCounters {
    /// Connections that came about.
    pub connected: u64,
    /// Connections that did not.
    pub connect_failures: u64,
    /// Claims that got a connection.
    pub granted: u64,
    /// Claims that waited too long.
    pub timed_out: u64,
    /// Claims that were refused because too many were waiting.
    pub refused: u64,
    /// Claims that were given up by whoever made them.
    pub abandoned: u64,
    /// Health checks that found a connection good.
    pub healthy: u64,
    /// Health checks that did not.
    pub unhealthy: u64,
    /// Connections that were given up, for whatever reason.
    pub retired: u64,
}
