//! The dialer of segment stores: connect, TLS, hello.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::BytesMut;
use pravega_sdk_connection_pool::{BoxError, Connector};
use pravega_sdk_controller_client::dial;
use pravega_sdk_tls::{PeerFault, TlsConnector};
use pravega_sdk_types::{Endpoint, ErrorKind};
use tokio::time::timeout;

use super::{
    config::StoreConfig, error::ConnectionError, handshake::handshake, io::StoreIo,
    store_connection::StoreConnection, stream::StoreStream, transport::Transport,
};
use crate::runtime::runtime;

/// Dials segment stores: the connector of a [`StorePool`](crate::StorePool).
#[derive(Debug, Clone, Default)]
pub struct StoreDialer {
    config: Arc<StoreConfig>,
    /// `None` means no TLS.
    tls: Option<Arc<TlsConnector>>,
    /// `None` means TCP.
    transport: Option<Arc<dyn Transport>>,
}

impl StoreDialer {
    /// Creates a dialer with the settings `config`.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        let tls = config.tls.as_ref().map(|tls| Arc::new(TlsConnector::new(tls, None)));
        Self { config: Arc::new(config), tls, transport: None }
    }

    /// Uses `transport` instead of TCP and TLS.
    #[must_use]
    pub fn with_transport(config: StoreConfig, transport: Arc<dyn Transport>) -> Self {
        Self { config: Arc::new(config), tls: None, transport: Some(transport) }
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
        Ok(StoreConnection::start(self.connect_stream(endpoint).await?, &self.config))
    }

    /// As [`Self::connect`], for a caller that drives the connection itself.
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
        let limit = self.config.handshake_timeout;
        let peer = match handshake(&mut io, &mut received, endpoint, limit).await {
            Ok(peer) => peer,
            Err(error) => {
                let is_plain = matches!(io, StoreIo::Tcp(_));
                let is_silent = received.is_empty() && error.kind() == ErrorKind::ConnectionLost;
                return Err(if is_plain && is_silent { error.of_silent_store() } else { error });
            }
        };
        Ok(StoreStream::new(io, received, endpoint.clone(), peer))
    }

    pub(super) fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// Returns the limit of a whole dial. It is above the sum of the limits of its steps, so that a
    /// slow step reports itself.
    pub(super) fn longest_dial(&self) -> Duration {
        let steps = self.config.connect_timeout.saturating_add(self.config.handshake_timeout);
        steps.saturating_add(Duration::from_secs(1))
    }

    /// Opens the byte stream, TLS included, without a greeting.
    async fn open(&self, endpoint: &Endpoint) -> Result<StoreIo, ConnectionError> {
        let opening = async {
            if let Some(transport) = &self.transport {
                let opened = transport.open(endpoint).await;
                return opened.map(StoreIo::Other).map_err(|error| unreachable(endpoint, &error));
            }
            let socket = dial(endpoint).await.map_err(|error| unreachable(endpoint, &error))?;
            let Some(tls) = &self.tls else { return Ok(StoreIo::Tcp(socket)) };
            let secured = tls.connect(socket, endpoint, PeerFault::default()).await;
            let insecure = |error| ConnectionError::insecure(endpoint, &error);
            let secured = secured.map_err(insecure)?;
            Ok::<StoreIo, ConnectionError>(StoreIo::Other(Box::new(secured)))
        };
        self.in_time(endpoint, opening).await
    }

    async fn in_time<T>(
        &self,
        endpoint: &Endpoint,
        connecting: impl Future<Output = Result<T, ConnectionError>>,
    ) -> Result<T, ConnectionError> {
        let limit = self.config.connect_timeout;
        runtime().map_err(|error| ConnectionError::new(error.kind(), endpoint, error))?;
        match timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                let detail = format_args!("not connected within {limit:?}");
                Err(ConnectionError::new(ErrorKind::Timeout, endpoint, detail))
            }
        }
    }
}

fn unreachable(endpoint: &Endpoint, error: &std::io::Error) -> ConnectionError {
    ConnectionError::new(ErrorKind::Unreachable, endpoint, error)
}

impl Connector for StoreDialer {
    type Connection = StoreStream;
    type Shared = StoreConnection;

    async fn connect(&self, backend: &Endpoint) -> Result<StoreStream, BoxError> {
        Ok(self.connect_stream(backend).await?)
    }

    fn share(&self, stream: StoreStream) -> Result<StoreConnection, BoxError> {
        Ok(StoreConnection::start(stream, &self.config))
    }

    fn is_alive(&self, connection: &StoreConnection) -> bool {
        connection.is_alive()
    }
}
