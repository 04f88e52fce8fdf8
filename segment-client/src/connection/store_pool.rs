//! The pool of a client's connections to segment stores.

use std::{fmt, time::Duration};

use pravega_sdk_connection_pool::{
    Claim, ClaimError, CloseFailure, FixedResolver, Policy, Pool, PoolSnapshot, Resolver,
    SharedClaim,
};
use pravega_sdk_types::Endpoint;

use super::{
    dial::StoreDialer, error::ConnectionError, store_connection::StoreConnection,
    stream::StoreStream,
};
use crate::seeded_bugs::Bugs;

/// A connection of one user that drives it, such as a writer. Dropping it closes the connection.
pub type StreamClaim = Claim<StoreStream>;

/// A share in the connection to a segment store that requests use at the same time.
pub type SharedConnection = SharedClaim<StoreConnection>;

/// The pool of all connections of a client to segment stores.
///
/// Requests to a store share a connection; each writer has one of its own. The pool dials for a
/// claim, never ahead of it. A connection closes when its last user leaves. A dial that fails fails
/// all claims that wait for it. Clones share the pool.
#[derive(Clone)]
pub struct StorePool {
    pool: Pool<StoreDialer>,
    request_timeout: Duration,
    bugs: Bugs,
}

/// More connections than a process can have sockets: readers and writers limit their number.
const MAX_SLOTS: usize = 1 << 20;
/// More requests than can wait for a connection to one store.
const MAX_CLAIMS: usize = 1 << 24;

impl StorePool {
    /// Creates a pool of connections from `dialer`, to the stores that its users name.
    #[must_use]
    pub fn new(dialer: StoreDialer) -> Self {
        Self::with_resolver(dialer, FixedResolver::new([]))
    }

    /// As [`Self::new`], with a resolver that lists the stores of the cluster.
    #[must_use]
    pub fn with_resolver(dialer: StoreDialer, resolver: impl Resolver) -> Self {
        let (request_timeout, bugs) = (dialer.config().request_timeout, dialer.config().bugs);
        let policy = policy(dialer.longest_dial());
        Self { pool: Pool::new(resolver, dialer, policy), request_timeout, bugs }
    }

    /// Waits for a share in the connection to the store at `endpoint`.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if connecting fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a dial that other claims wait for.
    pub async fn connection(
        &self,
        endpoint: &Endpoint,
    ) -> Result<SharedConnection, ConnectionError> {
        let claimed = self.pool.claim_shared_at(endpoint).await;
        claimed.map_err(|error| not_connected(endpoint, &error))
    }

    /// Waits for a connection to the store at `endpoint` that no other user shares.
    ///
    /// # Errors
    ///
    /// As [`Self::connection`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a dial that other claims wait for.
    pub async fn stream(&self, endpoint: &Endpoint) -> Result<StreamClaim, ConnectionError> {
        let claimed = self.pool.claim_at(endpoint).await;
        // The store keeps state of the writers on a connection, so the next user must not get it.
        claimed.map(Claim::begin).map_err(|error| not_connected(endpoint, &error))
    }

    /// Returns every connection with its users, and the counters of the pool.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] if the pool is closed, or there is no runtime to ask it on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn snapshot(&self) -> Result<PoolSnapshot, ClaimError> {
        self.pool.snapshot().await
    }

    /// Retires the shared connections for all their users, and returns those that failed to close
    /// cleanly. The pool stays usable: the next claim dials.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connections still close.
    pub async fn drain(&self) -> Vec<CloseFailure> {
        self.pool.drain().await
    }

    pub(super) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    pub(super) fn bugs(&self) -> Bugs {
        self.bugs
    }
}

impl fmt::Debug for StorePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorePool").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Returns a policy without limits and back-off of its own: users limit their connections, and they
/// decide whether a failed dial is repeated.
fn policy(longest_dial: Duration) -> Policy {
    let limits = Policy::default()
        .with_spares(0)
        .with_connect_timeout(longest_dial)
        // A claim may wait for the end of another dial before its own.
        .with_claim_timeout(longest_dial.saturating_mul(2));
    let limited = limits
        .with_max_slots(MAX_SLOTS)
        .and_then(|policy| policy.with_max_slots_per_backend(MAX_SLOTS))
        .and_then(|policy| policy.with_max_users(MAX_CLAIMS))
        .and_then(|policy| policy.with_max_waiting(MAX_CLAIMS))
        .and_then(|policy| policy.with_backoff(Duration::ZERO, Duration::ZERO));
    limited.unwrap_or(limits)
}

/// Returns the dialer's own error if the claim failed because a dial failed.
fn not_connected(endpoint: &Endpoint, error: &ClaimError) -> ConnectionError {
    if let ClaimError::Connect { source, .. } = error {
        let inner = source.inner().downcast_ref::<ConnectionError>();
        return inner
            .cloned()
            .unwrap_or_else(|| ConnectionError::new(source.kind(), endpoint, source));
    }
    ConnectionError::new(error.kind(), endpoint, error)
}
