//! Requests to segment stores, over one shared connection each.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pravega_sdk_connection_pool::CloseFailure;
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{Command as _, Request, WireCommand, commands::ReadSegment};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::{
    config::StoreConfig,
    dial::StoreDialer,
    error::{ConnectionError, RequestError},
    store_pool::{SharedConnection, StorePool},
};
use crate::seeded_bugs::Bugs;

/// Sends requests to segment stores and returns their replies.
///
/// All requests to one endpoint share a connection. The first request opens it, and so does the
/// first request after it ended. Clones are cheap and share the connections. The client never
/// retries: only the caller knows whether a request may be repeated.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_segment_client::{RawClient, StoreConfig};
/// use pravega_sdk_wire_protocol::commands::GetStreamSegmentInfo;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = RawClient::new(StoreConfig::default());
/// let request = GetStreamSegmentInfo {
///     request_id: 0,
///     segment_name: "shop/orders/0.#epoch.0".into(),
///     delegation_token: "".into(),
/// };
/// let info = client.request(&"localhost:6000".parse()?, request).await?;
/// println!("{} bytes", info.write_offset);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RawClient {
    shared: Arc<Shared>,
}

struct Shared {
    pool: StorePool,
    /// The client's share in each connection, which keeps it open between requests.
    claims: Mutex<HashMap<Endpoint, Arc<SharedConnection>>>,
}

/// Maximum number of connections kept open; a cluster has fewer segment stores.
const MAX_ENDPOINTS: usize = 1024;

impl RawClient {
    /// Creates a client; the first request to an endpoint connects.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        Self::with_dialer(StoreDialer::new(config))
    }

    /// As [`Self::new`], with connections from `dialer`.
    #[must_use]
    pub fn with_dialer(dialer: StoreDialer) -> Self {
        Self::with_pool(StorePool::new(dialer))
    }

    /// As [`Self::new`], with connections from `pool`.
    #[must_use]
    pub fn with_pool(pool: StorePool) -> Self {
        Self { shared: Arc::new(Shared { pool, claims: Mutex::default() }) }
    }

    /// Sends `request` to the store at `endpoint` and waits for the reply that means success. This
    /// sets the id of the request. The deadline covers the wait for a connection.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: no connection, a refusal by the store with its reply, the end of the
    /// connection, or the deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future removes the waiter; the store may still execute the request. Other
    /// requests on the connection are not affected.
    pub async fn request<Q: Request>(
        &self,
        endpoint: &Endpoint,
        request: Q,
    ) -> Result<Q::Reply, RequestError> {
        self.request_within(endpoint, request, self.request_timeout()).await
    }

    /// As [`Self::request`], with a deadline of its own.
    pub(crate) async fn request_within<Q: Request>(
        &self,
        endpoint: &Endpoint,
        request: Q,
        limit: Duration,
    ) -> Result<Q::Reply, RequestError> {
        let (connection, left) = self.connect(Q::NAME, endpoint, limit).await?;
        connection.request_within(request, left).await
    }

    /// The limit of a request, from its configuration.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.shared.pool.request_timeout()
    }

    pub(crate) fn bugs(&self) -> Bugs {
        self.shared.pool.bugs()
    }

    /// Sends any command to the store at `endpoint` and waits for any reply with the same request
    /// id.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if there is no connection, it ends, or the deadline passes.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::request`].
    pub async fn exchange(
        &self,
        endpoint: &Endpoint,
        command: WireCommand,
    ) -> Result<WireCommand, RequestError> {
        let limit = self.request_timeout();
        let (connection, left) = self.connect(command.name(), endpoint, limit).await?;
        connection.exchange_within(command, left).await
    }

    /// Reads from a segment of the store at `endpoint`; see
    /// [`StoreConnection::read`](crate::StoreConnection::read).
    ///
    /// # Errors
    ///
    /// [`RequestError`] if there is no connection, it ends, or no reply arrives within `limit`.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::request`].
    pub async fn read(
        &self,
        endpoint: &Endpoint,
        read: ReadSegment,
        limit: Duration,
    ) -> Result<WireCommand, RequestError> {
        let (connection, left) = self.connect(ReadSegment::NAME, endpoint, limit).await?;
        connection.read(read, left).await
    }

    /// Returns the connection to the store at `endpoint`, and connects if none is open.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if connecting fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a dial that other callers wait for.
    pub async fn connection(
        &self,
        endpoint: &Endpoint,
    ) -> Result<Arc<SharedConnection>, ConnectionError> {
        if let Some(connection) = self.live(endpoint) {
            return Ok(connection);
        }
        Ok(self.keep(endpoint, self.shared.pool.connection(endpoint).await?))
    }

    /// Returns the pool of the connections.
    #[must_use]
    pub fn pool(&self) -> &StorePool {
        &self.shared.pool
    }

    /// Returns the endpoints of the connections that the client keeps open.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.claims().keys().cloned().collect()
    }

    /// Closes the shared connections of the pool, and returns those that failed to close cleanly.
    /// Requests in flight keep their connection until they end; later requests connect again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connections still close.
    pub async fn close(&self) -> Vec<CloseFailure> {
        self.claims().clear();
        self.shared.pool.drain().await
    }

    /// Returns the connection to use, and the part of `limit` that is left after connecting.
    async fn connect(
        &self,
        request: &'static str,
        endpoint: &Endpoint,
        limit: Duration,
    ) -> Result<(Arc<SharedConnection>, Duration), RequestError> {
        if let Some(connection) = self.live(endpoint) {
            return Ok((connection, limit));
        }
        let not_connected = |error| RequestError::not_connected(request, error).at(endpoint, None);
        // A deadline outside a runtime would panic.
        if let Err(error) = Handle::try_current() {
            let error = ConnectionError::new(ErrorKind::NoRuntime, endpoint, error);
            return Err(not_connected(error));
        }
        let started = Instant::now();
        let connected = match timeout(limit, self.connection(endpoint)).await {
            Ok(connected) => connected,
            Err(_) => {
                let detail = format_args!("not connected within {limit:?}");
                Err(ConnectionError::new(ErrorKind::Timeout, endpoint, detail))
            }
        };
        let connection = connected.map_err(not_connected)?;
        Ok((connection, limit.saturating_sub(started.elapsed())))
    }

    /// Returns the client's connection to `endpoint`, unless it has ended or was retired.
    fn live(&self, endpoint: &Endpoint) -> Option<Arc<SharedConnection>> {
        let mut claims = self.claims();
        let connection = claims.get(endpoint)?;
        if is_usable(connection) {
            return Some(Arc::clone(connection));
        }
        // Retires it for all other users of the pool too.
        connection.retire();
        claims.remove(endpoint);
        None
    }

    /// Keeps a share in a new connection, unless the client has an open one.
    fn keep(&self, endpoint: &Endpoint, connection: SharedConnection) -> Arc<SharedConnection> {
        if let Some(known) = self.live(endpoint) {
            return known;
        }
        let connection = Arc::new(connection);
        let mut claims = self.claims();
        if claims.len() >= MAX_ENDPOINTS {
            claims.retain(|_, connection| is_usable(connection));
        }
        if claims.len() >= MAX_ENDPOINTS {
            // Requests in flight keep their connection; the next one to such an endpoint connects
            // again.
            claims.clear();
        }
        claims.insert(endpoint.clone(), Arc::clone(&connection));
        connection
    }

    /// The lock is held for a few instructions, none of which panics.
    fn claims(&self) -> MutexGuard<'_, HashMap<Endpoint, Arc<SharedConnection>>> {
        self.shared.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_usable(connection: &SharedConnection) -> bool {
    connection.is_alive() && !connection.is_retired()
}

impl fmt::Debug for RawClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawClient").field("endpoints", &self.endpoints()).finish_non_exhaustive()
    }
}
