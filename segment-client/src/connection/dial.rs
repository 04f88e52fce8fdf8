//! From an endpoint to a connection: connect, TLS, hello.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::BytesMut;
use pravega_sdk_connection_pool::{BoxError, Connector, Dial};
use pravega_sdk_types::{Endpoint, ErrorKind};
use tokio::{net::TcpStream, time::timeout};

use super::{
    config::StoreConfig,
    error::ConnectionError,
    handshake::handshake,
    store_connection::StoreConnection,
    stream::StoreStream,
    transport::{ByteStream, Transport},
};

/// Makes connections to segment stores, for a [`Pool`](pravega_sdk_connection_pool::Pool) or for
/// [`SharedConnections`](pravega_sdk_connection_pool::SharedConnections).
#[derive(Debug, Clone, Default)]
pub struct StoreDialer {
    config: Arc<StoreConfig>,
    /// None is TCP.
    transport: Option<Arc<dyn Transport>>,
}

impl StoreDialer {
    /// Makes connections by `config`.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        Self { config: Arc::new(config), transport: None }
    }

    /// Makes connections over `transport` in place of TCP and TLS.
    #[must_use]
    pub fn with_transport(config: StoreConfig, transport: Arc<dyn Transport>) -> Self {
        Self { config: Arc::new(config), transport: Some(transport) }
    }

    /// Connects to `endpoint`, within the deadlines of the configuration.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] names the step that failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<StoreConnection, ConnectionError> {
        let config = &*self.config;
        if self.transport.is_some() || config.tls.is_some() {
            return StoreConnection::open(self.open(endpoint).await?, endpoint, config).await;
        }
        // A socket that nothing wraps splits without a lock.
        let socket = self.in_time(endpoint, connect_tcp(endpoint)).await?;
        StoreConnection::open_halves(socket.into_split(), endpoint, config).await
    }

    /// As [`Self::connect`], for those who drive the connection themselves.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::connect`].
    pub async fn connect_stream(
        &self,
        endpoint: &Endpoint,
    ) -> Result<StoreStream, ConnectionError> {
        let mut io = self.open(endpoint).await?;
        let mut received = BytesMut::new();
        handshake(&mut io, &mut received, endpoint, self.config.handshake_timeout).await?;
        Ok(StoreStream::new(io, received, endpoint.clone()))
    }

    /// Its own limits say which step took too long; this one is there for the sum of them.
    pub(super) fn longest_dial(&self) -> Duration {
        self.config.connect_timeout + self.config.handshake_timeout + Duration::from_secs(1)
    }

    /// Opens the bytes' way, TLS included, without a greeting.
    async fn open(&self, endpoint: &Endpoint) -> Result<Box<dyn ByteStream>, ConnectionError> {
        let opening = async {
            if let Some(transport) = &self.transport {
                return transport
                    .open(endpoint)
                    .await
                    .map_err(|error| unreachable(endpoint, &error));
            }
            let socket = connect_tcp(endpoint).await?;
            Ok::<Box<dyn ByteStream>, ConnectionError>(match &self.config.tls {
                None => Box::new(socket),
                Some(tls) => Box::new(tls.secure(socket, endpoint).await?),
            })
        };
        self.in_time(endpoint, opening).await
    }

    async fn in_time<T>(
        &self,
        endpoint: &Endpoint,
        connecting: impl Future<Output = Result<T, ConnectionError>>,
    ) -> Result<T, ConnectionError> {
        let limit = self.config.connect_timeout;
        match timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                let detail = format_args!("not connected within {limit:?}");
                Err(ConnectionError::new(ErrorKind::Timeout, endpoint, detail))
            }
        }
    }
}

async fn connect_tcp(endpoint: &Endpoint) -> Result<TcpStream, ConnectionError> {
    let refused = |error: std::io::Error| unreachable(endpoint, &error);
    let socket = TcpStream::connect((endpoint.host(), endpoint.port())).await.map_err(refused)?;
    socket.set_nodelay(true).map_err(refused)?;
    Ok(socket)
}

fn unreachable(endpoint: &Endpoint, error: &std::io::Error) -> ConnectionError {
    ConnectionError::new(ErrorKind::Unreachable, endpoint, error)
}

impl Dial for StoreDialer {
    type Remote = Endpoint;
    type Connection = StoreConnection;

    async fn dial(&self, remote: &Endpoint) -> Result<StoreConnection, BoxError> {
        Ok(self.connect(remote).await?)
    }

    fn is_alive(&self, connection: &StoreConnection) -> bool {
        connection.end().is_none()
    }
}

impl Connector for StoreDialer {
    type Connection = StoreConnection;

    async fn connect(&self, backend: &Endpoint) -> Result<StoreConnection, BoxError> {
        Ok(Self::connect(self, backend).await?)
    }

    async fn is_valid(&self, connection: &mut StoreConnection) -> Result<(), BoxError> {
        match connection.end() {
            None => Ok(()),
            Some(cause) => Err(cause.into()),
        }
    }

    async fn on_recycle(&self, connection: &mut StoreConnection) -> Result<(), BoxError> {
        self.is_valid(connection).await
    }
}
