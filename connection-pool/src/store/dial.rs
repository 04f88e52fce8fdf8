//! From an endpoint to a connection: connect, TLS, hello.

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, VersionRange, WireCommand};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{ConnectionError, StoreConfig, StoreConnection};
use crate::{BoxError, Connector, Dial};

/// Makes connections to segment stores, for a [`Pool`](crate::Pool) or for
/// [`SharedConnections`](crate::SharedConnections).
#[derive(Debug, Clone, Default)]
pub struct StoreDialer {
    config: Arc<StoreConfig>,
}

impl StoreDialer {
    /// Makes connections by `config`.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        Self { config: Arc::new(config) }
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
        let late = || {
            let detail = format!("not connected within {:?}", config.connect_timeout);
            ConnectionError::new(ErrorKind::Timeout, endpoint, detail)
        };
        let refused = |error: std::io::Error| ConnectionError::new(ErrorKind::Unreachable, endpoint, error);
        let connecting = async {
            let socket = TcpStream::connect((endpoint.host(), endpoint.port())).await.map_err(refused)?;
            socket.set_nodelay(true).map_err(refused)?;
            Ok::<_, ConnectionError>(socket)
        };
        match &config.tls {
            None => {
                let socket = timeout(config.connect_timeout, connecting).await.map_err(|_| late())??;
                StoreConnection::open_halves(socket.into_split(), endpoint, config).await
            }
            Some(tls) => {
                let securing = async {
                    let socket = connecting.await?;
                    tls.secure(socket, endpoint).await
                };
                let secured = timeout(config.connect_timeout, securing).await.map_err(|_| late())??;
                StoreConnection::open(secured, endpoint, config).await
            }
        }
    }
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

/// Sends our greeting and waits for theirs. What follows it stays in `received`.
pub(super) async fn handshake<R, W>(
    (reader, writer): &mut (R, W),
    received: &mut BytesMut,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<VersionRange, ConnectionError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let fail = |kind, detail: &dyn std::fmt::Display| ConnectionError::new(kind, endpoint, detail);
    let exchange = async {
        let lost = |error: std::io::Error| fail(ErrorKind::ConnectionLost, &error);
        let mut hello = SendBuffer::new();
        // Eight bytes always fit a frame.
        hello.push(&VersionRange::SUPPORTED.hello()).ok();
        while hello.has_remaining() {
            writer.write_buf(&mut hello).await.map_err(lost)?;
        }
        writer.flush().await.map_err(lost)?;
        let decoder = Decoder::default();
        loop {
            match decoder.decode(received) {
                Ok(Some(WireCommand::Hello(theirs))) => {
                    VersionRange::SUPPORTED
                        .check(&theirs)
                        .map_err(|error| fail(ErrorKind::IncompatibleServer, &error))?;
                    return Ok(VersionRange { low: theirs.low_version, high: theirs.high_version });
                }
                Ok(Some(other)) => {
                    let detail = format!("the first command was {}, not Hello", other.name());
                    return Err(fail(ErrorKind::Protocol, &detail));
                }
                Ok(None) => {}
                Err(error) => {
                    let detail = format!("what answers is not a segment store, or speaks TLS: {error}");
                    return Err(fail(ErrorKind::Protocol, &detail));
                }
            }
            received.reserve(decoder.room_needed(received));
            if reader.read_buf(received).await.map_err(lost)? == 0 {
                return Err(fail(ErrorKind::ConnectionLost, &"closed during the handshake"));
            }
        }
    };
    match timeout(limit, exchange).await {
        Ok(versions) => versions,
        Err(_) => Err(fail(ErrorKind::Timeout, &format_args!("no greeting within {limit:?}"))),
    }
}
