//! An embedded server with a client connected to it.

use std::fmt;

use pravega_sdk_client_factory::{
    ClientConfig, ClientFactory, FactoryError,
    types::{NameError, ScalingPolicy, ScopedStream, StreamConfiguration, classify},
};
pub use pravega_sdk_server::{
    Backup, ClockError, CopyError, DamagedPart, EmbeddedServer, Faults, FolderReport, Missing,
    OpenError, OpenProblem, Presence, Refusal, Salvaged, SegmentPart, ServerBuilder, StartError,
    account_line, backup, check, salvage,
};

#[cfg(feature = "embedded-jwt")]
pub use pravega_sdk_server::JwtAccounts;
#[cfg(feature = "embedded-tls")]
pub use pravega_sdk_server::ServerTls;

use crate::controller_client::ControllerError;

/// A server in this process, with a client connected to it.
///
/// Dropping it ends the server: its ports are closed, and data that was only in memory is gone.
#[derive(Debug)]
pub struct Embedded {
    client: ClientFactory,
    server: EmbeddedServer,
}

/// An error from starting or using an embedded server.
///
/// The variants are public, so that a caller can match on the step that failed.
#[non_exhaustive]
#[derive(Debug)]
pub enum EmbeddedError {
    /// The server was not started.
    Start(StartError),
    /// The client could not be created.
    Client(FactoryError),
    /// The name of the stream is invalid.
    Name(NameError),
    /// The controller refused the call.
    Controller(ControllerError),
}

/// Starts a server in memory, on free local ports, and connects a client to it.
///
/// # Errors
///
/// [`EmbeddedError`] if no port is free or the client cannot be created.
///
/// # Cancel safety
///
/// If the future is dropped early, no server is left running.
///
/// # Examples
///
/// In the tests of a project:
///
/// ```
/// use pravega_sdk::codec::Utf8;
///
/// #[tokio::test]
/// # async fn hidden() {}
/// # #[tokio::main(flavor = "current_thread")]
/// async fn a_written_event_is_read() -> Result<(), Box<dyn std::error::Error>> {
///     let pravega = pravega_sdk::embedded().await?;
///     let orders = pravega.create_stream("shop/orders", 4).await?;
///     let client = pravega.client();
///     client.event_writer(&orders, Utf8).await?.write("ann", "three apples").await?;
///     let mut reader = client.event_reader(&orders, Utf8).await?;
///     let event = reader.next().await.transpose()?.map(|event| event.into_event());
///     assert_eq!(event.as_deref(), Some("three apples"));
///     Ok(())
/// }
/// # fn main() { a_written_event_is_read().unwrap() }
/// ```
pub async fn embedded() -> Result<Embedded, EmbeddedError> {
    Embedded::with(EmbeddedServer::builder()).await
}

impl Embedded {
    /// Starts the server that `builder` configures, and connects a client to it.
    ///
    /// If the server has accounts, create a client with credentials instead, with the server's
    /// [`url`](EmbeddedServer::url).
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`] if the server cannot be started or the client cannot be created.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped early, no server is left running.
    pub async fn with(builder: ServerBuilder) -> Result<Self, EmbeddedError> {
        let server = builder.start().await.map_err(EmbeddedError::Start)?;
        let config = ClientConfig::from_url(&server.url()).map_err(EmbeddedError::Client)?;
        let client = ClientFactory::new(config).map_err(EmbeddedError::Client)?;
        Ok(Self { client, server })
    }

    /// The client, which opens writers and readers.
    #[must_use]
    pub fn client(&self) -> &ClientFactory {
        &self.client
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &EmbeddedServer {
        &self.server
    }

    /// Creates a stream with a fixed number of segments, and its scope; `name` is `scope/stream`.
    /// An existing stream keeps its configuration.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`] if the name is invalid or the controller refuses the call.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the scope and the stream may or may not exist.
    pub async fn create_stream(
        &self,
        name: &str,
        segments: u32,
    ) -> Result<ScopedStream, EmbeddedError> {
        let stream: ScopedStream = name.parse().map_err(EmbeddedError::Name)?;
        let configuration =
            StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments));
        let created = self.client.create_stream_if_absent(&stream, &configuration).await;
        created.map_err(EmbeddedError::Controller)?;
        Ok(stream)
    }

    /// Closes the client and ends the server. Requests in progress have at most five seconds to
    /// finish.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the server at once.
    pub async fn shutdown(self) {
        self.client.close().await;
        self.server.shutdown().await;
    }
}

classify!(
    EmbeddedError,
    |error| match error {
        EmbeddedError::Start(error) => error.kind(),
        EmbeddedError::Client(error) => error.kind(),
        EmbeddedError::Name(error) => error.kind(),
        EmbeddedError::Controller(error) => error.kind(),
    },
    |error| match error {
        EmbeddedError::Start(error) => error.outcome(),
        EmbeddedError::Client(error) => error.outcome(),
        EmbeddedError::Name(error) => error.outcome(),
        EmbeddedError::Controller(error) => error.outcome(),
    },
);

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start(_) => "the embedded server cannot be started",
            Self::Client(_) => "the client of the embedded server cannot be created",
            Self::Name(_) => "invalid stream name",
            Self::Controller(_) => "the embedded controller refused the call",
        })
    }
}

impl std::error::Error for EmbeddedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Start(error) => error,
            Self::Client(error) => error,
            Self::Name(error) => error,
            Self::Controller(error) => error,
        })
    }
}
