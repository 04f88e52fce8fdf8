//! A cluster with a client, which the tests share.
#![allow(dead_code)]

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use pravega_sdk_controller_client::Controller;
use pravega_sdk_event_stream::{
    EventReader, EventWriter, ReaderConfig, SegmentContext, TransactionConfig, TransactionalWriter,
    WriteError, WriterConfig,
    codec::{Raw, Utf8},
};
use pravega_sdk_simulation::{SimController, SimNetwork, World, client::segment_context};
use pravega_sdk_types::{ScopedSegment, ScopedStream, SegmentId};
use pravega_sdk_wire_protocol::event;

pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) network: SimNetwork,
    pub(crate) controller: Arc<SimController>,
    pub(crate) stream: ScopedStream,
}

impl Cluster {
    pub(crate) fn new(segments: u32) -> Self {
        let world = World::new(1);
        let network = SimNetwork::perfect(&world);
        Self::with_network(world, network, segments)
    }

    pub(crate) fn with_network(world: World, network: SimNetwork, segments: u32) -> Self {
        let stream: ScopedStream = "sim/stream".parse().unwrap();
        world.create_stream(&stream, segments);
        let controller = Arc::new(SimController::new(&world, 1, Duration::from_millis(2)));
        Self { world, network, controller, stream }
    }

    pub(crate) fn context(&self) -> SegmentContext {
        segment_context(Arc::clone(&self.controller) as Arc<dyn Controller>, self.network.clone())
    }

    pub(crate) async fn writer(&self) -> EventWriter<Raw> {
        self.writer_with(WriterConfig::default()).await.unwrap()
    }

    pub(crate) async fn writer_with(
        &self,
        config: WriterConfig,
    ) -> Result<EventWriter<Raw>, WriteError> {
        EventWriter::open(self.context(), &self.stream, Raw, config.with_seed(7)).await
    }

    /// Appends events to the first segment.
    pub(crate) fn fill<T: AsRef<[u8]>>(&self, events: impl IntoIterator<Item = T>) {
        let segment = self.segment(0);
        for event in events {
            let mut bytes = BytesMut::new();
            event::put(&mut bytes, event.as_ref()).unwrap();
            self.world.append_raw(&segment, &bytes);
        }
    }

    pub(crate) fn segment(&self, id: i64) -> ScopedSegment {
        ScopedSegment::new(&self.stream, SegmentId::from(id))
    }

    pub(crate) async fn reader(&self, config: ReaderConfig) -> EventReader<Utf8> {
        let config =
            config.with_seed(7).with_backoff(Duration::from_millis(20), Duration::from_secs(1));
        EventReader::open(self.context(), &self.stream, Utf8, config).await.unwrap()
    }

    pub(crate) async fn transactions(&self) -> TransactionalWriter<Utf8> {
        let config = TransactionConfig::default().with_lease(Duration::from_secs(10));
        let config = config.with_writer(WriterConfig::default().with_seed(7));
        TransactionalWriter::open(self.context(), &self.stream, Utf8, config).await.unwrap()
    }

    /// The stream's events as text.
    pub(crate) fn texts(&self) -> Vec<String> {
        let content = self.world.content(&self.stream);
        content.into_iter().map(|stored| String::from_utf8(stored.event).unwrap()).collect()
    }
}

/// Runs a future on a runtime whose time advances only while all tasks wait.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}
