//! A cluster with a client, which the tests share.
#![allow(dead_code)]

pub(crate) mod happened;

use std::{
    ops::Range,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Waker},
    time::Duration,
};

use bytes::BytesMut;
use pravega_sdk_controller_client::Controller;
use pravega_sdk_event_stream::{
    EventReader, EventWriter, ReaderConfig, SeededBug, SegmentContext, TransactionConfig,
    TransactionalWriter, WriteError, WriterConfig,
    codec::{Raw, Utf8},
};
use pravega_sdk_segment_client::{ByteStream, Transport as _};
use pravega_sdk_simulation::{
    Arrival, Hold, SimController, SimNetwork, World,
    client::segment_context,
    link::{Cut, Faults},
};
use pravega_sdk_types::{ScopedSegment, ScopedStream, SegmentId, WriterId};
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, WireCommand,
    commands::{AppendBlockEnd, GetStreamSegmentInfo, ReadSegment, SetupAppend},
    event,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The seeds of a test: so many, or as many as `PRAVEGA_TEST_SEEDS` says.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    let wanted = std::env::var("PRAVEGA_TEST_SEEDS").ok();
    0..wanted.map_or(count, |wanted| wanted.parse().expect("PRAVEGA_TEST_SEEDS is a number"))
}

/// Links that are cut after a random number of bytes.
pub(crate) fn breaking(world: &World, seed: u64, bytes: Range<u64>) -> SimNetwork {
    let mut rng = fastrand::Rng::with_seed(seed);
    let plan = move || {
        let mut direction = || Faults {
            cut: Some((rng.u64(bytes.clone()), if rng.bool() { Cut::Reset } else { Cut::Fin })),
            delay: (Duration::from_millis(1), Duration::from_millis(9)),
            seed: rng.u64(..),
            ..Faults::default()
        };
        (direction(), direction())
    };
    SimNetwork::new(world, Box::new(plan))
}

/// A cluster behind slow links, so that a call is polled often.
pub(crate) fn slow_cluster() -> Cluster {
    let world = World::new(1);
    let delay = (Duration::from_millis(5), Duration::from_millis(9));
    let late = move || Faults { delay, ..Faults::default() };
    let network = SimNetwork::new(&world, Box::new(move || (late(), late())));
    Cluster::with_network(world, network, 1)
}

/// Polls a future a number of times, with time for other tasks in between. Returns true if it
/// ended.
pub(crate) async fn poll_times<F: Future>(mut future: Pin<&mut F>, times: usize) -> bool {
    for _ in 0..times {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    false
}

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
        self.transactions_with(None).await
    }

    /// A writer of transactions with the code as it is, or with a bug.
    pub(crate) async fn transactions_with(
        &self,
        bug: Option<SeededBug>,
    ) -> TransactionalWriter<Utf8> {
        let writer = WriterConfig::default().with_seed(7);
        let writer = bug.into_iter().fold(writer, WriterConfig::with_seeded_bug);
        let config = TransactionConfig::default().with_lease(Duration::from_secs(10));
        let config = config.with_writer(writer);
        TransactionalWriter::open(self.context(), &self.stream, Utf8, config).await.unwrap()
    }

    /// Holds back what adds bytes to the first segment: on the first connection that does, and on
    /// the others.
    pub(crate) fn hold_attempts(&self) -> (Hold, Hold) {
        let segment = self.segment(0);
        let is_it = move |arrival: &Arrival<'_>| arrival.adds_bytes() && arrival.is_about(&segment);
        let (first, is_first) = (Arc::new(OnceLock::new()), is_it.clone());
        let known = Arc::clone(&first);
        let late = self.world.hold(move |arrival| {
            is_first(arrival) && *first.get_or_init(|| arrival.connection) == arrival.connection
        });
        let again = self.world.hold(move |arrival| {
            is_it(arrival) && known.get().is_some_and(|first| *first != arrival.connection)
        });
        (late, again)
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

/// A connection to a store that speaks the protocol by hand.
pub(crate) struct Wire {
    io: Box<dyn ByteStream>,
    received: BytesMut,
}

/// Longer than any reply takes.
const NEVER: Duration = Duration::from_secs(3600);

impl Wire {
    pub(crate) async fn open(cluster: &Cluster, store: usize) -> Self {
        let io = cluster.network.open(&World::endpoint(store)).await.unwrap();
        Self { io, received: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, command: impl Into<WireCommand>) {
        let mut out = SendBuffer::new();
        command.into().encode(&mut out).unwrap();
        self.io.write_all(&out.to_vec()).await.unwrap();
    }

    /// The next reply; `None` if the store closed the connection.
    pub(crate) async fn next(&mut self) -> Option<WireCommand> {
        loop {
            if let Some(reply) = Decoder::default().decode(&mut self.received).unwrap() {
                return Some(reply);
            }
            if self.io.read_buf(&mut self.received).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Checks that there is no reply for an hour.
    pub(crate) async fn silent(&mut self) {
        let reply = tokio::time::timeout(NEVER, self.next()).await;
        assert!(reply.is_err(), "{reply:?}");
    }

    pub(crate) async fn set_up(&mut self, segment: &ScopedSegment, writer: WriterId) -> i64 {
        self.send(set_up(segment, writer, "")).await;
        match self.next().await {
            Some(WireCommand::AppendSetup(reply)) => reply.last_event_number,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn set_up(segment: &ScopedSegment, writer: WriterId, token: &str) -> SetupAppend {
    SetupAppend {
        request_id: 1,
        writer_id: writer.0,
        segment: segment.to_string().into(),
        delegation_token: token.into(),
    }
}

/// An append of one event.
pub(crate) fn append(writer: WriterId, number: i64, text: &str) -> AppendBlockEnd {
    let mut data = BytesMut::new();
    event::put(&mut data, text.as_bytes()).unwrap();
    AppendBlockEnd {
        writer_id: writer.0,
        size_of_whole_events: i32::try_from(data.len()).unwrap(),
        data: data.freeze(),
        num_events: 1,
        last_event_number: number,
        request_id: number,
    }
}

pub(crate) fn read(segment: &ScopedSegment, offset: i64, token: &str) -> ReadSegment {
    ReadSegment {
        segment: segment.to_string().into(),
        offset,
        suggested_length: 1000,
        delegation_token: token.into(),
        request_id: 99,
    }
}

pub(crate) fn info(segment: &ScopedSegment, request_id: i64) -> GetStreamSegmentInfo {
    GetStreamSegmentInfo {
        request_id,
        segment_name: segment.to_string().into(),
        delegation_token: "".into(),
    }
}
