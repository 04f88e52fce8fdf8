//! A server in this process with a client connected to it.

use std::{fmt, ops::Deref};

use pravega_sdk_client_factory::{
    ClientFactory, FactoryError,
    types::{
        Classified, ErrorKind, NameError, Outcome, ScalingPolicy, ScopedStream, StreamConfiguration,
    },
};
pub use pravega_sdk_server::{
    EmbeddedServer, Faults, OpenError, OpenProblem, Presence, Refusal, ServerBuilder, StartError,
};

/// A server in this process and a factory of clients connected to it; it acts as the factory.
///
/// Dropping it ends the server: its ports are closed and what it held is gone.
#[derive(Debug)]
pub struct Embedded {
    factory: ClientFactory,
    server: EmbeddedServer,
}

/// Why an embedded server cannot be used.
#[non_exhaustive]
#[derive(Debug)]
pub enum EmbeddedError {
    /// The server was not started.
    Start(StartError),
    /// The client could not be set up.
    Client(FactoryError),
    /// A name is not one.
    Name(NameError),
    /// The controller refused.
    Controller(crate::controller_client::ControllerError),
}

/// Starts a server on free ports of this machine, in memory, and connects a client to it.
///
/// # Errors
///
/// [`EmbeddedError`] if no port is free, or the client cannot be set up.
///
/// # Cancel safety
///
/// Dropping the future before it is done leaves nothing behind.
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
/// async fn what_was_written_is_read() -> Result<(), Box<dyn std::error::Error>> {
///     let pravega = pravega_sdk::embedded().await?;
///     let orders = pravega.create_stream("shop/orders", 4).await?;
///     pravega.event_writer(&orders, Utf8).await?.write("ann", "three apples").await?;
///     let mut reader = pravega.stream_reader(&orders, Utf8).await?;
///     assert_eq!(reader.next().await.transpose()?.map(|event| event.into_event()).as_deref(), Some("three apples"));
///     Ok(())
/// }
/// # fn main() { what_was_written_is_read().unwrap() }
/// ```
pub async fn embedded() -> Result<Embedded, EmbeddedError> {
    Embedded::with(EmbeddedServer::builder()).await
}

impl Embedded {
    /// Starts a server as a builder says, and connects a client to it. Where the server has
    /// accounts, connect by hand, with the server's [`url`](EmbeddedServer::url).
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`] if the server cannot be started, or the client cannot be set up.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves nothing behind.
    pub async fn with(builder: ServerBuilder) -> Result<Self, EmbeddedError> {
        let server = builder.start().await.map_err(EmbeddedError::Start)?;
        let factory = ClientFactory::connect(&server.url()).await.map_err(EmbeddedError::Client)?;
        Ok(Self { factory, server })
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &EmbeddedServer {
        &self.server
    }

    /// The factory of clients.
    #[must_use]
    pub fn factory(&self) -> &ClientFactory {
        &self.factory
    }

    /// Makes a stream of a number of segments, and its scope; `name` is `scope/stream`. One that is
    /// there stays as it is.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`] if the name is not one, or the controller refuses.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the scope and the stream may have been made.
    pub async fn create_stream(
        &self,
        name: &str,
        segments: u32,
    ) -> Result<ScopedStream, EmbeddedError> {
        let stream: ScopedStream = name.parse().map_err(EmbeddedError::Name)?;
        let configuration =
            StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments));
        let controller = self.factory.controller();
        controller.create_scope(stream.scope()).await.map_err(EmbeddedError::Controller)?;
        controller
            .create_stream(&stream, &configuration)
            .await
            .map_err(EmbeddedError::Controller)?;
        Ok(stream)
    }

    /// Ends the server once what is under way is done, for five seconds at the most.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the server at once.
    pub async fn shutdown(self) {
        self.factory.close().await;
        self.server.shutdown().await;
    }
}

impl Deref for Embedded {
    type Target = ClientFactory;

    fn deref(&self) -> &ClientFactory {
        &self.factory
    }
}

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start(_) => "the embedded server could not be started",
            Self::Client(_) => "the client of the embedded server could not be set up",
            Self::Name(_) => "the stream has no good name",
            Self::Controller(_) => "the embedded controller refused",
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

impl Classified for EmbeddedError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Start(_) => ErrorKind::Config,
            Self::Client(error) => error.kind(),
            Self::Name(_) => ErrorKind::InvalidName,
            Self::Controller(error) => error.kind(),
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Start(_) | Self::Name(_) => Outcome::NotApplied,
            Self::Client(error) => error.outcome(),
            Self::Controller(error) => error.outcome(),
        }
    }

    fn is_retryable(&self) -> bool {
        match self {
            Self::Start(_) | Self::Name(_) => false,
            Self::Client(error) => error.is_retryable(),
            Self::Controller(error) => error.is_retryable(),
        }
    }
}
