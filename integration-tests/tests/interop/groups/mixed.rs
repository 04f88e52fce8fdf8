//! A group with readers of both clients.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    EventWriter,
    codec::Utf8,
    group::{GroupMember, ReaderGroup},
};
use pravega_sdk_integration_tests::harness::{FAR, eventually, factory, new_stream, unique};
use pravega_sdk_types::{
    Checkpoint, Position, ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream,
};

use super::{
    java::Java,
    log::{Log, Read, each_once},
    member::{Client, Member},
};

/// Events of a key are in the order of their numbers.
const KEYS: u32 = 23;
const REFRESH: Duration = Duration::from_millis(200);
/// The lease of this client's readers, so long that none is found dead on a busy machine.
const LEASE: Duration = Duration::from_secs(60);

/// A stream, a group that reads it, and both clients.
pub(super) struct Mixed {
    pub(super) factory: ClientFactory,
    pub(super) stream: ScopedStream,
    pub(super) group: ReaderGroup,
    pub(super) java: Arc<Java>,
    lease: Duration,
    writer: EventWriter<Utf8>,
    written: AtomicU32,
}

impl Mixed {
    /// Creates a group that reads a stream of so many segments.
    pub(super) async fn new(segments: u32, checkpoints: Option<Duration>) -> Self {
        let factory = factory().await;
        let stream = new_stream(factory.controller(), segments).await;
        let java = Java::start(stream.scope());
        let name = ScopedReaderGroup::new(stream.scope().clone(), "mixed".parse().unwrap());
        let whole = ReaderGroupConfiguration::new([stream.clone()]).unwrap();
        let configuration = settings(whole, checkpoints);
        let (group, _) = factory.create_reader_group(&name, &configuration).await.unwrap();
        let writer = factory.event_writer(&stream, Utf8).await.unwrap();
        let (lease, written) = (LEASE, AtomicU32::new(0));
        Self { factory, stream, group, java, lease, writer, written }
    }

    /// Sets the lease of this client's readers.
    pub(super) fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    pub(super) async fn join(&self, client: Client, id: &str) -> Member {
        self.join_to(self.group.group(), client, id).await
    }

    /// Joins another group of the scope.
    pub(super) async fn join_to(
        &self,
        group: &ScopedReaderGroup,
        client: Client,
        id: &str,
    ) -> Member {
        match client {
            Client::Java => Member::of_java(&self.java, group, id).await,
            Client::Rust => Member::of_rust(&self.factory, group, id, self.lease).await,
        }
    }

    /// Joins one reader of each client, whose ids end with a suffix.
    pub(super) async fn join_both(&self, suffix: &str) -> [Member; 2] {
        let (java, rust) = (format!("java-{suffix}"), format!("rust-{suffix}"));
        tokio::join!(self.join(Client::Java, &java), self.join(Client::Rust, &rust)).into()
    }

    /// Writes some events, each of 20 bytes with its header.
    pub(super) async fn write(&self, count: u32) {
        for number in self.numbers(count) {
            drop(self.writer.enqueue(&key(number), text(number)).await.unwrap());
        }
        self.writer.flush().await.unwrap();
    }

    /// As [`Self::write`], each after the one before it is stored.
    pub(super) async fn write_one_by_one(&self, count: u32) {
        for number in self.numbers(count) {
            self.writer.write(&key(number), text(number)).await.unwrap();
        }
    }

    fn numbers(&self, count: u32) -> std::ops::Range<u32> {
        let first = self.written.fetch_add(count, Ordering::Relaxed);
        first..first + count
    }

    /// Returns the numbers of all events in the stream.
    pub(super) fn written(&self) -> BTreeSet<u32> {
        (0..self.written.load(Ordering::Relaxed)).collect()
    }

    /// Waits until the logs have all events of the stream without some that are settled, and
    /// checks that they have each once.
    pub(super) async fn all_are_read(&self, logs: &[Log], settled: &BTreeSet<u32>) {
        let wanted: BTreeSet<u32> = self.written().difference(settled).copied().collect();
        eventually("all events are read", async || {
            logs.iter().map(|log| log.events().len()).sum::<usize>() >= wanted.len()
        })
        .await;
        let reads: Vec<Read> = logs.iter().flat_map(Log::events).collect();
        assert_eq!(each_once(&reads), wanted);
    }

    /// Waits until a reader has so many segments, and no segment is without a reader.
    pub(super) async fn has_segments(&self, reader: &str, wanted: std::ops::RangeFrom<usize>) {
        eventually("the segments are handed over", async || {
            self.shares().await.is_some_and(|shares| {
                shares.get(reader).is_some_and(|share| wanted.contains(share))
            })
        })
        .await;
    }

    /// Takes checkpoints until the group has so many segments and each reader some of them, as the
    /// readers hand segments over after a checkpoint.
    pub(super) async fn share(&self, segments: usize) {
        eventually("each reader has segments", async || {
            self.group.checkpoint(&unique("share"), FAR).await.unwrap();
            self.shares().await.is_some_and(|shares| {
                shares.values().all(|share| *share > 0)
                    && shares.values().sum::<usize>() == segments
            })
        })
        .await;
    }

    /// The number of segments of each reader; `None` if a segment is without a reader, or begins
    /// later.
    async fn shares(&self) -> Option<BTreeMap<String, usize>> {
        let described = self.group.describe().await.unwrap();
        let share = |reader: &GroupMember| (reader.id.to_string(), reader.segments.len());
        let is_shared = described.unassigned.is_empty() && described.future.is_empty();
        is_shared.then(|| described.readers.iter().map(share).collect())
    }

    /// Takes a checkpoint with a client.
    pub(super) async fn checkpoint(&self, by: Client, name: &str) -> Checkpoint {
        match by {
            Client::Java => {
                let text = self.java.ask(self.group.group(), &["checkpoint", name]).await;
                text.parse().unwrap()
            }
            Client::Rust => self.group.checkpoint(name, FAR).await.unwrap(),
        }
    }

    /// Begins the group again at a checkpoint, with a client.
    pub(super) async fn reset(&self, by: Client, checkpoint: &Checkpoint) {
        match by {
            Client::Java => {
                let (refresh, text) = (REFRESH.as_millis(), checkpoint.to_text().unwrap());
                let words = ["reset-to-checkpoint", &refresh.to_string(), &text];
                assert_eq!(self.java.ask(self.group.group(), &words).await, "done");
            }
            Client::Rust => self.group.reset_to(checkpoint).await.unwrap(),
        }
    }

    /// Takes a reader out of the group with a client.
    pub(super) async fn offline(&self, by: Client, reader: &str, position: Option<&Position>) {
        match by {
            Client::Java => {
                let text = position.map(|position| position.to_text().unwrap());
                let words = ["offline", reader].into_iter().chain(text.as_deref());
                let words: Vec<&str> = words.collect();
                assert_eq!(self.java.ask(self.group.group(), &words).await, "done");
            }
            Client::Rust => {
                self.group.reader_offline(reader, position).await.unwrap();
            }
        }
    }
}

/// Settings with which everything happens soon.
pub(super) fn settings(
    configuration: ReaderGroupConfiguration,
    checkpoints: Option<Duration>,
) -> ReaderGroupConfiguration {
    configuration.with_refresh_interval(REFRESH).with_automatic_checkpoint_interval(checkpoints)
}

/// Returns the logs of some readers.
pub(super) fn logs_of(members: &[Member]) -> Vec<Log> {
    members.iter().map(|member| member.log.clone()).collect()
}

fn key(number: u32) -> String {
    format!("key-{}", number % KEYS)
}

fn text(number: u32) -> String {
    format!("{number:012}")
}

/// Checks that the events of each key were read in their order, by all readers together.
pub(super) fn are_in_order(logs: &[Log]) {
    let mut keys: BTreeMap<u32, Vec<Read>> = BTreeMap::new();
    for read in logs.iter().flat_map(Log::events) {
        keys.entry(read.number() % KEYS).or_default().push(read);
    }
    for reads in keys.values_mut() {
        reads.sort_by_key(|read| read.time);
        let numbers: Vec<u32> = reads.iter().map(Read::number).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}
