//! Requests to segment stores, over one shared connection each.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pravega_sdk_connection_pool::{CloseFailure, SharedConnections, SharedError, SharedHandle};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{Command as _, Request, WireCommand, commands::ReadSegment};

use super::{
    config::StoreConfig,
    dial::StoreDialer,
    error::{ConnectionError, RequestError},
    store_connection::StoreConnection,
};

/// Sends requests to segment stores and hands back their replies.
///
/// All requests to one endpoint share a connection, which is made when it is first needed and again
/// after it ended. Clones are cheap and share the connections. The client repeats nothing: whether
/// a request may be repeated is for those to decide who know what it means.
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
    connections: SharedConnections<StoreDialer>,
    /// Our own share in each, so that a connection outlives the request that needed it.
    handles: Arc<Mutex<HashMap<Endpoint, Arc<SharedHandle<StoreDialer>>>>>,
}

/// Endpoints whose connections are kept; a cluster has fewer segment stores.
const MAX_ENDPOINTS: usize = 1024;

impl RawClient {
    /// Makes a client; the first request to an endpoint connects.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        Self::with_dialer(StoreDialer::new(config))
    }

    /// As [`Self::new`], with connections of `dialer`.
    #[must_use]
    pub fn with_dialer(dialer: StoreDialer) -> Self {
        let limit = dialer.longest_dial();
        Self { connections: SharedConnections::new(dialer, limit), handles: Arc::default() }
    }

    /// Sends `request` to the store at `endpoint` and waits for the reply that means success. The
    /// request's id is set here.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: no connection, the store's refusal with its reply, the end of the connection, or the deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes the waiter away; the request may be carried out all the same.
    /// Others on the connection notice nothing.
    pub async fn request<Q: Request>(
        &self,
        endpoint: &Endpoint,
        request: Q,
    ) -> Result<Q::Reply, RequestError> {
        let connection = self.connection(endpoint).await;
        let connection = connection
            .map_err(|error| RequestError::not_connected(Q::NAME, error).at(endpoint, None))?;
        connection.request(request).await
    }

    /// Sends any command to the store at `endpoint` and waits for whatever reply has the same
    /// request id.
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
        let connection = self.connection(endpoint).await;
        let connection = connection.map_err(|error| {
            RequestError::not_connected(command.name(), error).at(endpoint, None)
        })?;
        connection.exchange(command).await
    }

    /// Reads from a segment of the store at `endpoint`; see [`StoreConnection::read`].
    ///
    /// # Errors
    ///
    /// [`RequestError`] if there is no connection, it ends, or nothing comes for as long as
    /// `patience` says.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::request`].
    pub async fn read(
        &self,
        endpoint: &Endpoint,
        read: ReadSegment,
        patience: Duration,
    ) -> Result<WireCommand, RequestError> {
        let connection = self.connection(endpoint).await;
        let connection = connection.map_err(|error| {
            RequestError::not_connected(ReadSegment::NAME, error).at(endpoint, None)
        })?;
        connection.read(read, patience).await
    }

    /// The connection to the store at `endpoint`, made if there is none that lives.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if it does not come about.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up a connection that it began to make; whoever waits makes one
    /// then.
    pub async fn connection(
        &self,
        endpoint: &Endpoint,
    ) -> Result<Arc<StoreConnection>, ConnectionError> {
        let handle = self.handle(endpoint);
        handle.connection().await.map_err(|error| match error {
            SharedError::Timeout { limit, .. } => ConnectionError::new(
                ErrorKind::Timeout,
                endpoint,
                format_args!("not connected within {limit:?}"),
            ),
            SharedError::Dial { source, .. } => match source.downcast::<ConnectionError>() {
                Ok(error) => *error,
                Err(other) => ConnectionError::new(ErrorKind::Unreachable, endpoint, other),
            },
            other => ConnectionError::new(ErrorKind::Unreachable, endpoint, other),
        })
    }

    /// The endpoints that connections are kept to.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.connections.users().into_iter().map(|(endpoint, _)| endpoint).collect()
    }

    /// Closes every connection. Requests that are under way end with the connection's end; later
    /// ones connect anew.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rest of the connections to be closed by being dropped.
    pub async fn close(&self) -> Vec<CloseFailure> {
        let failures = self.connections.close_all().await;
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).clear();
        failures
    }

    fn handle(&self, endpoint: &Endpoint) -> Arc<SharedHandle<StoreDialer>> {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles.get(endpoint) {
            return Arc::clone(handle);
        }
        if handles.len() >= MAX_ENDPOINTS {
            // Requests under way keep their connection; the next one to such an endpoint connects
            // anew.
            handles.clear();
        }
        let handle = Arc::new(self.connections.open(endpoint));
        handles.insert(endpoint.clone(), Arc::clone(&handle));
        handle
    }
}

impl fmt::Debug for RawClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawClient").field("connections", &self.connections).finish_non_exhaustive()
    }
}
