//! Everything at the same time: writers, transactions, scales, truncations, and files that are
//! moved while the server is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{
    EventReader, EventWriter, ReaderConfig, StreamPosition, TransactionConfig, WhenFull,
    WriterConfig, codec::Utf8,
};
use pravega_sdk_integration_tests::harness::{FAR, eventually, read_all, scale_all};
use pravega_sdk_types::{BoundedCut, ErrorKind, ScopedStream};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use super::{connect, create, kills, server::Mortal};

/// The number of writers.
const WRITERS: usize = 4;
/// The events of a transaction.
const EVENTS: u32 = 3;

/// Truncations make room again soon.
fn config() -> WriterConfig {
    WriterConfig::default().with_when_full(WhenFull::Wait).with_delivery_timeout(FAR)
}

/// Writes events with rising numbers until `stop` is set and returns how many were acknowledged.
async fn write(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    key: String,
    acknowledged: Arc<AtomicU32>,
    stop: watch::Receiver<bool>,
) -> u32 {
    let writer = factory.event_writer_with(&stream, Utf8, config()).await.unwrap();
    let more = "x".repeat(400);
    let mut number = 0;
    while !*stop.borrow() {
        let mut acks = Vec::new();
        for _ in 0..10 {
            acks.push(writer.enqueue(&key, format!("{key}:{number}:{more}")).await.unwrap());
            number += 1;
        }
        for ack in acks {
            ack.await.unwrap();
        }
        acknowledged.store(number, Ordering::Relaxed);
    }
    number
}

/// Commits transactions until `stop` is set, and at least one; returns the numbers of the committed
/// ones, and how many others there were.
async fn transact(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    stop: watch::Receiver<bool>,
) -> (BTreeSet<u32>, u32) {
    let config = TransactionConfig::default().with_writer(config());
    let writer = factory.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    let (mut committed, mut others, mut number) = (BTreeSet::new(), 0, 0);
    while !*stop.borrow() || committed.is_empty() {
        number += 1;
        let Ok(mut transaction) = writer.begin().await else { continue };
        let id = transaction.id();
        let mut written = true;
        for event in 0..EVENTS {
            let text = format!("transactions-{number}:{event}:");
            written &= transaction.write("transactions", text).await.is_ok();
        }
        if written {
            transaction.commit().await.ok();
        }
        // The controller knows the outcome, also if a reply was lost.
        loop {
            match writer.status(id).await {
                Ok(TransactionState::Committed) => {
                    committed.insert(number);
                    break;
                }
                Ok(TransactionState::Committing | TransactionState::Aborting) | Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(_) => {
                    others += 1;
                    break;
                }
            }
        }
    }
    (committed, others)
}

/// Scales a stream until `stop` is set; returns how often.
async fn scale(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    mut stop: watch::Receiver<bool>,
) -> u32 {
    let mut scales = 0;
    while tokio::time::timeout(Duration::from_secs(1), stop.wait_for(|stop| *stop)).await.is_err() {
        scale_all(factory.controller(), &stream, 4 + scales % 3).await;
        scales += 1;
    }
    scales
}

/// What was read of a stream: the number of the next event of each key.
#[derive(Debug, Default, Clone, PartialEq)]
struct Seen(BTreeMap<String, u32>);

impl Seen {
    /// Takes an event, which is the next of its key.
    fn take(&mut self, text: &str) {
        let mut parts = text.split(':');
        let (key, number) = (parts.next().unwrap(), parts.next().unwrap());
        let number: u32 = number.parse().unwrap();
        let next = self.0.entry(key.to_owned()).or_default();
        assert_eq!(number, *next, "of {key}, {next} is missing, or {number} is there again");
        *next += 1;
    }
}

/// Where an auditor is, and what it has read up to there.
type Passed = (BoundedCut, Seen);

/// Reads a stream all along, and checks that it has each event once and in its order; returns what
/// it has read when the stream is sealed.
async fn audit(mut reader: EventReader<Utf8>, passed: watch::Sender<Passed>) -> Seen {
    let mut seen = Seen::default();
    while let Some(batch) = reader.next_batch(1000).await {
        for event in batch.unwrap() {
            seen.take(event.event());
        }
        passed.send_replace((reader.stream_cut(), seen.clone()));
    }
    seen
}

/// Everything that goes on while a server is killed.
struct Load {
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    stop: watch::Sender<bool>,
    acknowledged: [Arc<AtomicU32>; WRITERS],
    writers: Vec<JoinHandle<u32>>,
    transactions: JoinHandle<(BTreeSet<u32>, u32)>,
    scales: JoinHandle<u32>,
    auditor: JoinHandle<Seen>,
    /// How far the auditor is.
    passed: watch::Receiver<Passed>,
}

impl Load {
    async fn start(factory: Arc<ClientFactory>, stream: ScopedStream) -> Self {
        let (stop, stopped) = watch::channel(false);
        let acknowledged: [Arc<AtomicU32>; WRITERS] = Default::default();
        let writer = |(at, acknowledged): (usize, &Arc<AtomicU32>)| {
            let (factory, stream) = (Arc::clone(&factory), stream.clone());
            let acknowledged = Arc::clone(acknowledged);
            tokio::spawn(write(factory, stream, format!("key-{at}"), acknowledged, stopped.clone()))
        };
        let writers = acknowledged.iter().enumerate().map(writer).collect();
        let both = || (Arc::clone(&factory), stream.clone());
        let (one, other) = (both(), both());
        let transactions = tokio::spawn(transact(one.0, one.1, stopped.clone()));
        // Its future cannot go to another thread.
        let runtime = Handle::current();
        let scales =
            tokio::task::spawn_blocking(move || runtime.block_on(scale(other.0, other.1, stopped)));
        let config = ReaderConfig::default().with_start(StreamPosition::Head);
        let reader = factory.event_reader_with(&stream, Utf8, config).await.unwrap();
        let (passing, passed) = watch::channel((reader.stream_cut(), Seen::default()));
        let auditor = tokio::spawn(audit(reader, passing));
        Self { factory, stream, stop, acknowledged, writers, transactions, scales, auditor, passed }
    }

    fn counts(&self) -> [u32; WRITERS] {
        self.acknowledged.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Waits until each writer has got more acknowledgements.
    async fn progress(&self) {
        let before = self.counts();
        eventually("every writer makes progress", async || {
            assert!(!self.auditor.is_finished(), "the auditor has ended");
            self.counts().iter().zip(before).all(|(now, before)| *now > before)
        })
        .await;
    }

    /// Truncates what the auditor has read, and returns that; `None` while it is among segments
    /// that overlap, as after a scale, where no stream is truncated.
    async fn truncate(&self) -> Option<Seen> {
        let (cut, seen) = self.passed.borrow().clone();
        match self.factory.controller().truncate_stream(&cut).await {
            Ok(()) => Some(seen),
            Err(error) if error.kind() == ErrorKind::InvalidStreamCut => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Ends it, and checks that the auditor has read what was acknowledged and nothing else.
    async fn end(self) -> Seen {
        self.stop.send(true).unwrap();
        let mut expected = BTreeMap::new();
        for (at, writer) in self.writers.into_iter().enumerate() {
            let count = writer.await.unwrap();
            assert!(count > 100, "key-{at} was hardly written: {count}");
            expected.insert(format!("key-{at}"), count);
        }
        let (committed, others) = self.transactions.await.unwrap();
        assert!(!committed.is_empty());
        let scales = self.scales.await.unwrap();
        let events: u32 = expected.values().sum();
        println!(
            "{events} events, {} transactions committed and {others} not, {scales} scales",
            committed.len()
        );
        expected.extend(committed.iter().map(|it| (format!("transactions-{it}"), EVENTS)));
        self.factory.controller().seal_stream(&self.stream).await.unwrap();
        let seen = self.auditor.await.unwrap();
        assert_eq!(seen.0, expected);
        seen
    }
}

/// The names of the files of a folder.
fn files(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let names = std::fs::read_dir(folder).unwrap();
    names.map(|file| file.unwrap().file_name().into_string().unwrap())
}

/// How many files of each kind there were.
fn kinds(files: &BTreeSet<String>) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for name in files {
        *kinds.entry(name.split('-').next().unwrap()).or_default() += 1;
    }
    kinds
}

/// Writes some long events, of which all files have a little that is read forever.
async fn keep(writer: &EventWriter<Utf8>, kept: &mut u32) {
    let more = "y".repeat(2000);
    for _ in 0..20 {
        writer.write("kept", format!("kept:{kept}:{more}")).await.unwrap();
        *kept += 1;
    }
}

/// Reads all that a stream has after what was truncated, and returns that with it.
async fn read_after(truncated: Seen, factory: &ClientFactory, stream: &ScopedStream) -> Seen {
    let mut seen = truncated;
    for event in read_all(factory, stream).await {
        seen.take(std::str::from_utf8(event.event()).unwrap());
    }
    seen
}

/// Kills a server with so much memory while everything goes on.
async fn survive(memory: &str, kills: u32) {
    let folder = tempfile::tempdir().unwrap();
    // Short files.
    let mut mortal = Mortal::start(folder.path(), &["--disk", "64M", "--memory", memory]);
    let (factory, stream) = connect(mortal.port, "kills", 4).await;
    let kept = ScopedStream::new(stream.scope().clone(), "kept".parse().unwrap());
    create(&factory, &kept, 1).await;
    let keeper = factory.event_writer_with(&kept, Utf8, config()).await.unwrap();
    let (mut count, mut truncated, mut truncations) = (0, Seen::default(), 0);
    let mut all_files = BTreeSet::new();
    let load = Load::start(Arc::clone(&factory), stream.clone()).await;
    for round in 0..kills {
        // Every other server is killed after a fixed time, maybe before its first answer; the ones
        // between are killed after the writers have made progress, on a machine of any speed.
        let after = Duration::from_millis(100 + u64::from(round * 37 % 150));
        let due = tokio::time::Instant::now() + after;
        if round % 2 == 0 {
            mortal.answer_within(after).await;
        } else {
            mortal.answer_within(FAR).await;
            load.progress().await;
            keep(&keeper, &mut count).await;
            if let Some(seen) = load.truncate().await {
                (truncated, truncations) = (seen, truncations + 1);
            }
        }
        all_files.extend(files(folder.path()));
        tokio::time::sleep_until(due).await;
        mortal.kill();
    }
    load.progress().await;
    let seen = load.end().await;
    // Once more from the disk alone.
    mortal.kill_and_wait().await;
    assert!(read_after(truncated, &factory, &stream).await == seen, "the data differ");
    let all_kept = read_after(Seen::default(), &factory, &kept).await;
    assert_eq!(all_kept.0, BTreeMap::from([("kept".to_owned(), count)]));
    println!(
        "{count} events are kept, {truncations} truncations, {} files: {:?}",
        all_files.len(),
        kinds(&all_files)
    );
    mortal.report();
    // With few kills too little is written for all that.
    if kills < 50 {
        return;
    }
    assert!(truncations > 10, "{truncations} truncations");
    for kind in ["checkpoint-", "index-", "log-00000002", "moved-"] {
        assert!(all_files.iter().any(|name| name.starts_with(kind)), "no {kind}: {all_files:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_data_survives_kills_of_a_server_while_everything_goes_on() {
    survive("256M", kills()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_data_survives_kills_of_a_server_that_reads_most_from_files() {
    survive("8M", kills() / 2).await;
}
