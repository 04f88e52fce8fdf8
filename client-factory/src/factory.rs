//! The factory, the only place where all parts of the SDK meet.

use std::{sync::Arc, time::Duration};

use pravega_sdk_connection_pool::{CloseFailure, PolledResolver};
use pravega_sdk_controller_client::{
    Controller, ControllerClient, ControllerError, Creation, EndpointCache, TokenCache,
};
use pravega_sdk_event_stream::{
    BatchClient, BatchConfig, ByteReader, ByteReaderConfig, ByteWriter, ByteWriterConfig,
    EventReader, EventWriter, ReadError, ReaderConfig, SegmentContext, TransactionConfig,
    TransactionError, TransactionalWriter, WriteError, WriterConfig,
    codec::Codec,
    index::{IndexReader, IndexReaderConfig, IndexWriter, IndexWriterConfig},
};
use pravega_sdk_segment_client::{RawClient, StoreDialer, StorePool};
use pravega_sdk_table_synchronizer::{KeyValueTable, TableConfig, TableError, TableSegment};
use pravega_sdk_types::{ScopedKeyValueTable, ScopedStream, SegmentId, StreamConfiguration};

use crate::{backends::SegmentBackends, config::ClientConfig, error::FactoryError};

/// Timeout of the first call with all its attempts.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates readers and writers for a cluster, and owns the state that they share.
///
/// Clones are cheap and share everything. [`connect`](Self::connect) makes a first call;
/// [`new`](Self::new) makes none, and each connection is made when it is first needed.
///
/// # The runtime
///
/// A factory, and all that it opens, runs on the caller's tokio runtime, which needs I/O and
/// timers: those of `#[tokio::main]` and of
/// [`enable_all`](https://docs.rs/tokio/latest/tokio/runtime/struct.Builder.html#method.enable_all)
/// have both. On one without them tokio panics at the first use, in the caller or in a task, with a
/// text that names the method to call; a library cannot find out before whether they are there.
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
    pool: StorePool,
}

impl ClientFactory {
    /// Creates a factory for the cluster at `url` and makes a first call of its controller, so that
    /// a cluster that cannot be reached is an error here. The settings are those of the query and
    /// of the environment; see [`ClientConfig`].
    ///
    /// # Errors
    ///
    /// [`FactoryError`] names the setting that is wrong. If no controller answers within 10 s, or
    /// the credentials are refused, the source of the error is that of the call. The kind is
    /// [`NoRuntime`](pravega_sdk_types::ErrorKind::NoRuntime) outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what it opened.
    pub async fn connect(url: &str) -> Result<Self, FactoryError> {
        Self::connect_with(ClientConfig::from_url(url)?).await
    }

    /// Creates a factory as [`Self::connect`] does, from a configuration.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::connect`].
    pub async fn connect_with(config: ClientConfig) -> Result<Self, FactoryError> {
        let controller = controller_of(&config)?;
        let uri = config.uri().to_string();
        // A setting that is wrong fails before the call, which may take long.
        let factory = Self::with_controller(config, controller.clone())?;
        let reached = controller.check_reachable(FIRST_CALL_TIMEOUT).await;
        reached.map_err(|error| FactoryError::unreachable(&uri, error))?;
        Ok(factory)
    }

    /// Creates a factory without any call: the servers need not be up yet.
    ///
    /// # Errors
    ///
    /// [`FactoryError`] names the setting that is wrong; its kind is
    /// [`NoRuntime`](pravega_sdk_types::ErrorKind::NoRuntime) outside a tokio runtime.
    pub fn new(config: ClientConfig) -> Result<Self, FactoryError> {
        let controller = controller_of(&config)?;
        Self::with_controller(config, controller)
    }

    fn with_controller(
        config: ClientConfig,
        controller: ControllerClient,
    ) -> Result<Self, FactoryError> {
        let controller: Arc<dyn Controller> = Arc::new(controller);
        let endpoints = Arc::new(EndpointCache::new(Arc::clone(&controller)));
        let resolver = PolledResolver::new(SegmentBackends::of_all(Arc::clone(&endpoints)))?;
        let pool = StorePool::with_resolver(StoreDialer::new(config.store_config()?), resolver);
        let parts = Parts {
            endpoints,
            tokens: Arc::new(TokenCache::new(Arc::clone(&controller))),
            controller,
            raw_client: RawClient::with_pool(pool.clone()),
            pool,
            config,
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.parts.config
    }

    /// Returns the client of the controller.
    #[must_use]
    pub fn controller(&self) -> &Arc<dyn Controller> {
        &self.parts.controller
    }

    /// Returns the cache of the segment stores that serve segments.
    #[must_use]
    pub fn endpoints(&self) -> &Arc<EndpointCache> {
        &self.parts.endpoints
    }

    /// Returns the cache of delegation tokens.
    #[must_use]
    pub fn tokens(&self) -> &Arc<TokenCache> {
        &self.parts.tokens
    }

    /// The pool of all connections to segment stores. Its snapshot shows each of them.
    #[must_use]
    pub fn pool(&self) -> &StorePool {
        &self.parts.pool
    }

    /// Requests to segment stores, over shared connections.
    #[must_use]
    pub fn raw_client(&self) -> &RawClient {
        &self.parts.raw_client
    }

    /// Opens a writer of events to `stream`; see [`EventWriter::open`].
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the stream does not exist or is sealed, or the controller does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn event_writer<C>(
        &self,
        stream: &ScopedStream,
        codec: C,
    ) -> Result<EventWriter<C>, WriteError> {
        self.event_writer_with(stream, codec, WriterConfig::default()).await
    }

    /// As [`Self::event_writer`], with settings.
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
        EventWriter::open(self.segment_context(), stream, codec, config).await
    }

    /// Opens a reader of the events of `stream`, from its head on; see [`EventReader::open`].
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the stream does not exist, or the controller does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn event_reader<C: Codec>(
        &self,
        stream: &ScopedStream,
        codec: C,
    ) -> Result<EventReader<C>, ReadError> {
        self.event_reader_with(stream, codec, ReaderConfig::default()).await
    }

    /// As [`Self::event_reader`], with settings: where to begin, where to end, how much to read
    /// ahead.
    ///
    /// # Errors
    ///
    /// As [`Self::event_reader`], and for a position that is not in the stream.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::event_reader`].
    pub async fn event_reader_with<C: Codec>(
        &self,
        stream: &ScopedStream,
        codec: C,
        config: ReaderConfig,
    ) -> Result<EventReader<C>, ReadError> {
        EventReader::open(self.segment_context(), stream, codec, config).await
    }

    /// Opens a writer of transactions on `stream`; see [`TransactionalWriter::open`].
    ///
    /// # Errors
    ///
    /// [`TransactionError`] if the stream does not exist or is sealed, or the controller does not
    /// answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn transactional_writer<C>(
        &self,
        stream: &ScopedStream,
        codec: C,
    ) -> Result<TransactionalWriter<C>, TransactionError> {
        self.transactional_writer_with(stream, codec, TransactionConfig::default()).await
    }

    /// As [`Self::transactional_writer`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::transactional_writer`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::transactional_writer`].
    pub async fn transactional_writer_with<C>(
        &self,
        stream: &ScopedStream,
        codec: C,
        config: TransactionConfig,
    ) -> Result<TransactionalWriter<C>, TransactionError> {
        TransactionalWriter::open(self.segment_context(), stream, codec, config).await
    }

    /// Opens a writer of bytes at the end of `stream`, which must have one segment; see
    /// [`ByteWriter::open`].
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the stream does not exist, has several segments or is sealed, or a server
    /// does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn byte_writer(&self, stream: &ScopedStream) -> Result<ByteWriter, WriteError> {
        self.byte_writer_with(stream, ByteWriterConfig::default()).await
    }

    /// As [`Self::byte_writer`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::byte_writer`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::byte_writer`].
    pub async fn byte_writer_with(
        &self,
        stream: &ScopedStream,
        config: ByteWriterConfig,
    ) -> Result<ByteWriter, WriteError> {
        ByteWriter::open(self.segment_context(), stream, config).await
    }

    /// Opens a reader of the bytes of `stream`, which must have one segment; see
    /// [`ByteReader::open`].
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the stream does not exist or has several segments, or a server does not
    /// answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn byte_reader(&self, stream: &ScopedStream) -> Result<ByteReader, ReadError> {
        self.byte_reader_with(stream, ByteReaderConfig::default()).await
    }

    /// As [`Self::byte_reader`], with settings: where to begin, how much to read ahead.
    ///
    /// # Errors
    ///
    /// As [`Self::byte_reader`], and if the start is not in the stream.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::byte_reader`].
    pub async fn byte_reader_with(
        &self,
        stream: &ScopedStream,
        config: ByteReaderConfig,
    ) -> Result<ByteReader, ReadError> {
        ByteReader::open(self.segment_context(), stream, config).await
    }

    /// Opens a writer of records at the end of the index stream `stream`; see
    /// [`IndexWriter::open`].
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the stream does not exist, has several segments or is sealed, or a server
    /// does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn index_writer(&self, stream: &ScopedStream) -> Result<IndexWriter, WriteError> {
        self.index_writer_with(stream, IndexWriterConfig::default()).await
    }

    /// As [`Self::index_writer`], with settings, such as the size of the records.
    ///
    /// # Errors
    ///
    /// As [`Self::index_writer`], and if the records of the stream have another size.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::index_writer`].
    pub async fn index_writer_with(
        &self,
        stream: &ScopedStream,
        config: IndexWriterConfig,
    ) -> Result<IndexWriter, WriteError> {
        IndexWriter::open(self.segment_context(), stream, config).await
    }

    /// Opens a reader of the records of the index stream `stream`; see [`IndexReader::open`].
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the stream does not exist or has several segments, or a server does not
    /// answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn index_reader(&self, stream: &ScopedStream) -> Result<IndexReader, ReadError> {
        self.index_reader_with(stream, IndexReaderConfig::default()).await
    }

    /// As [`Self::index_reader`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::index_reader`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::index_reader`].
    pub async fn index_reader_with(
        &self,
        stream: &ScopedStream,
        config: IndexReaderConfig,
    ) -> Result<IndexReader, ReadError> {
        IndexReader::open(self.segment_context(), stream, config).await
    }

    /// Opens a client for parts of `stream`, which can be read in parallel; see
    /// [`BatchClient::open`].
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the stream does not exist, or the controller does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn batch_client(&self, stream: &ScopedStream) -> Result<BatchClient, ReadError> {
        self.batch_client_with(stream, BatchConfig::default()).await
    }

    /// As [`Self::batch_client`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::batch_client`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::batch_client`].
    pub async fn batch_client_with(
        &self,
        stream: &ScopedStream,
        config: BatchConfig,
    ) -> Result<BatchClient, ReadError> {
        BatchClient::open(self.segment_context(), stream, config).await
    }

    /// Opens a key-value table; see [`KeyValueTable::open`].
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table, or the controller does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the table.
    pub async fn key_value_table(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<KeyValueTable, TableError> {
        self.key_value_table_with(table, TableConfig::default()).await
    }

    /// As [`Self::key_value_table`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::key_value_table`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::key_value_table`].
    pub async fn key_value_table_with(
        &self,
        table: &ScopedKeyValueTable,
        config: TableConfig,
    ) -> Result<KeyValueTable, TableError> {
        KeyValueTable::open(self.segment_context(), table, config).await
    }

    /// Opens the segment `id` of a table; see [`TableSegment::open`].
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table segment, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the table.
    pub async fn table_segment(
        &self,
        table: &ScopedKeyValueTable,
        id: SegmentId,
    ) -> Result<TableSegment, TableError> {
        self.table_segment_with(table, id, TableConfig::default()).await
    }

    /// As [`Self::table_segment`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::table_segment`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::table_segment`].
    pub async fn table_segment_with(
        &self,
        table: &ScopedKeyValueTable,
        id: SegmentId,
        config: TableConfig,
    ) -> Result<TableSegment, TableError> {
        TableSegment::open(self.segment_context(), table, id, config).await
    }

    /// Creates `stream`, and its scope, unless they exist. An existing stream keeps its
    /// configuration; the result is that of the stream.
    ///
    /// # Errors
    ///
    /// [`ControllerError`] if the controller refuses one of the calls or does not answer.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the scope and the stream may or may not exist.
    pub async fn create_stream_if_absent(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<Creation, ControllerError> {
        self.controller().create_scope(stream.scope()).await?;
        self.controller().create_stream(stream, configuration).await
    }

    /// The shared parts of readers, writers and transactions, for callers that open them
    /// with constructors such as [`EventWriter::open`].
    #[must_use]
    pub fn segment_context(&self) -> SegmentContext {
        SegmentContext::new(
            Arc::clone(&self.parts.controller),
            Arc::clone(&self.parts.endpoints),
            Arc::clone(&self.parts.tokens),
            self.parts.raw_client.clone(),
            self.parts.pool.clone(),
        )
        .with_again(self.again())
    }

    /// Returns a function that creates the parts again, on the runtime of its caller, without
    /// retries of calls.
    fn again(&self) -> impl Fn() -> Option<SegmentContext> + Send + Sync + use<> {
        let parts = Arc::clone(&self.parts);
        move || {
            let config = parts.config.clone().with_retry(1, Duration::ZERO, Duration::ZERO);
            Self::new(config).ok().map(|client| client.segment_context())
        }
    }

    /// Closes the shared connections to segment stores, and reports those that were not closed in
    /// order. Every part of the factory can still be used; it connects again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the connections closing.
    pub async fn close(&self) -> Vec<CloseFailure> {
        self.parts.raw_client.close().await
    }
}

fn controller_of(config: &ClientConfig) -> Result<ControllerClient, FactoryError> {
    Ok(ControllerClient::new(config.controller_config()?)?)
}

#[cfg(test)]
mod tests {
    use pravega_sdk_controller_client::Credentials;
    use pravega_sdk_types::{ErrorKind, Scope};

    use super::*;

    #[tokio::test]
    async fn a_factory_is_created_before_the_servers_are_up_and_names_the_unreachable_one() {
        let url = "tcp://127.0.0.1:1?retry_attempts=2&connect_timeout=1s";
        let factory = ClientFactory::new(ClientConfig::from_url(url).unwrap()).unwrap();
        let error = factory.controller().scope_exists(&Scope::new("s").unwrap()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unreachable, 2));
        assert!(
            error.to_string().starts_with("checkScopeExists of s at 127.0.0.1:1 (2 attempts)"),
            "{error}"
        );
        assert!(factory.close().await.is_empty());
    }

    #[tokio::test]
    async fn connecting_to_a_cluster_that_is_not_up_fails_and_names_it() {
        let url = "tcp://127.0.0.1:1?retry_attempts=2&connect_timeout=1s";
        let error = ClientFactory::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert_eq!(error.to_string(), "connecting to tcp://127.0.0.1:1: no controller answers");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("at 127.0.0.1:1 (2 attempts)"), "{source}");
    }

    #[tokio::test]
    async fn connecting_without_credentials_does_not_blame_a_controller() {
        let failing = Credentials::bearer_from(|| async { Err::<String, _>("the issuer is away") });
        let config = ClientConfig::from_url("tcp://127.0.0.1:1").unwrap();
        let connecting = ClientFactory::connect_with(config.with_credentials(failing));
        let error = connecting.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert_eq!(error.to_string(), "connecting to tcp://127.0.0.1:1: there are no credentials");
    }

    #[tokio::test]
    async fn a_wrong_setting_of_segment_stores_is_reported_before_anything_is_called() {
        let url = "tcp://127.0.0.1:1?retry_attempts=2&connect_timeout=1s\
                   &tls_to_segment_store=on&trust_store=/no/such/file";
        let error = ClientFactory::connect(url).await.unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("trust_store")));
    }

    #[test]
    fn outside_a_runtime_there_is_an_error_and_no_panic() {
        let config = ClientConfig::from_url("tcp://localhost:9090").unwrap();
        assert_eq!(ClientFactory::new(config).unwrap_err().kind(), ErrorKind::NoRuntime);
        let mut connecting = Box::pin(ClientFactory::connect("tcp://localhost:9090"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match connecting.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::NoRuntime),
            other => panic!("{other:?}"),
        }
    }

    /// Polls once, outside a runtime, and returns the kind of the error.
    fn kind_of<T>(
        opening: impl Future<Output = Result<T, impl pravega_sdk_types::Classified>>,
    ) -> Option<ErrorKind> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(opening).poll(&mut context) {
            std::task::Poll::Ready(Err(error)) => Some(error.kind()),
            _ => None,
        }
    }

    #[test]
    fn every_opener_outside_a_runtime_returns_an_error_and_does_not_panic() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = ClientConfig::from_url("tcp://127.0.0.1:1").unwrap();
        let factory = {
            let _inside = runtime.enter();
            ClientFactory::new(config).unwrap()
        };
        let stream = "shop/orders".parse().unwrap();
        let raw = pravega_sdk_event_stream::codec::Raw;
        let kinds = [
            kind_of(factory.event_writer(&stream, raw)),
            kind_of(factory.event_reader(&stream, raw)),
            kind_of(factory.transactional_writer(&stream, raw)),
            kind_of(factory.byte_writer(&stream)),
            kind_of(factory.byte_reader(&stream)),
            kind_of(factory.index_writer(&stream)),
            kind_of(factory.index_reader(&stream)),
            kind_of(factory.batch_client(&stream)),
            kind_of(factory.table_segment(&"shop/prices".parse().unwrap(), 0.into())),
            kind_of(factory.key_value_table(&"shop/prices".parse().unwrap())),
        ];
        assert_eq!(kinds, [Some(ErrorKind::NoRuntime); 10]);
    }
}
