//! The one place where the parts meet.

use std::sync::Arc;

use pravega_sdk_connection_pool::{CloseFailure, RawClient, StoreDialer};
use pravega_sdk_controller_client::{Controller, ControllerClient, EndpointCache, TokenCache};
use pravega_sdk_event_stream::{EventWriter, ScanError, ScanParts, StreamScan, WriteError, WriterConfig, WriterParts};
use pravega_sdk_types::ScopedStream;

use crate::{ClientConfig, FactoryError};

/// Makes clients for a cluster, and owns what they share.
///
/// Clones are cheap and share everything. Nothing is connected until it is first needed, so a factory can be made before
/// the servers are up. It runs on the caller's tokio runtime and has none of its own.
#[derive(Debug, Clone)]
pub struct ClientFactory {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    config: ClientConfig,
    controller: Arc<dyn Controller>,
    endpoints: Arc<EndpointCache>,
    tokens: Arc<TokenCache>,
    raw_client: RawClient,
    dialer: StoreDialer,
}

impl ClientFactory {
    /// Makes a factory for the cluster at `url`, with the settings of its query and of the environment; see
    /// [`ClientConfig`] for what they are.
    ///
    /// # Errors
    ///
    /// [`FactoryError`] names the setting that is wrong; its kind is
    /// [`NoRuntime`](pravega_sdk_types::ErrorKind::NoRuntime) outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn connect(url: &str) -> Result<Self, FactoryError> {
        Self::with_config(ClientConfig::from_url(url)?).await
    }

    /// Makes a factory by `config`.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn with_config(config: ClientConfig) -> Result<Self, FactoryError> {
        let controller: Arc<dyn Controller> = Arc::new(ControllerClient::connect(config.controller_config()?)?);
        let store_config = config.store_config()?;
        let parts = Parts {
            endpoints: Arc::new(EndpointCache::new(Arc::clone(&controller))),
            tokens: Arc::new(TokenCache::new(Arc::clone(&controller))),
            controller,
            raw_client: RawClient::new(store_config.clone()),
            dialer: StoreDialer::new(store_config),
            config,
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.parts.config
    }

    /// Every call of the controller.
    #[must_use]
    pub fn controller(&self) -> &Arc<dyn Controller> {
        &self.parts.controller
    }

    /// Which segment store serves which segment, remembered.
    #[must_use]
    pub fn endpoints(&self) -> &Arc<EndpointCache> {
        &self.parts.endpoints
    }

    /// Delegation tokens, remembered and renewed in time.
    #[must_use]
    pub fn tokens(&self) -> &Arc<TokenCache> {
        &self.parts.tokens
    }

    /// Requests to segment stores, over shared connections.
    #[must_use]
    pub fn raw_client(&self) -> &RawClient {
        &self.parts.raw_client
    }

    /// A writer of events to `stream`; see [`EventWriter::open`].
    ///
    /// # Errors
    ///
    /// [`WriteError`] if there is no such stream, it is sealed, or the controller cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn event_writer<C>(&self, stream: &ScopedStream, codec: C) -> Result<EventWriter<C>, WriteError> {
        self.event_writer_with(stream, codec, WriterConfig::default()).await
    }

    /// As [`Self::event_writer`], with settings of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::event_writer`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::event_writer`].
    pub async fn event_writer_with<C>(
        &self,
        stream: &ScopedStream,
        codec: C,
        config: WriterConfig,
    ) -> Result<EventWriter<C>, WriteError> {
        EventWriter::open(self.writer_parts(), stream, codec, config).await
    }

    /// Reads what is in `stream` once, plainly; see [`StreamScan`].
    ///
    /// # Errors
    ///
    /// [`ScanError`] if the controller does not tell where the head is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn scan(&self, stream: &ScopedStream) -> Result<StreamScan, ScanError> {
        let parts = ScanParts {
            controller: Arc::clone(&self.parts.controller),
            endpoints: Arc::clone(&self.parts.endpoints),
            tokens: Arc::clone(&self.parts.tokens),
            raw_client: self.parts.raw_client.clone(),
        };
        StreamScan::new(parts, stream).await
    }

    fn writer_parts(&self) -> WriterParts {
        WriterParts {
            controller: Arc::clone(&self.parts.controller),
            endpoints: Arc::clone(&self.parts.endpoints),
            tokens: Arc::clone(&self.parts.tokens),
            dialer: self.parts.dialer.clone(),
        }
    }

    /// Closes the connections to segment stores, and reports those that could not be closed properly. Whoever still holds a
    /// part of the factory can go on with it; it connects anew.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rest of the connections to be closed by being dropped.
    pub async fn close(&self) -> Vec<CloseFailure> {
        self.parts.raw_client.close().await
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{ErrorKind, Scope};

    use super::*;

    #[tokio::test]
    async fn a_factory_is_made_before_the_servers_are_up_and_says_who_cannot_be_reached() {
        let url = "tcp://127.0.0.1:1?retry_attempts=2&connect_timeout=1s";
        let factory = ClientFactory::connect(url).await.unwrap();
        let error = factory.controller().scope_exists(&Scope::new("s").unwrap()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unreachable, 2));
        assert!(error.to_string().starts_with("checkScopeExists of s at 127.0.0.1:1 (2 attempts)"), "{error}");
        assert!(factory.close().await.is_empty());
    }

    #[test]
    fn outside_a_runtime_there_is_an_error_and_no_panic() {
        let mut making = Box::pin(ClientFactory::connect("tcp://localhost:9090"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match making.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::NoRuntime),
            other => panic!("{other:?}"),
        }
    }
}
