//! A seed as an index stream with faults: writers compete to append records, and readers search and
//! read them.
//!
//! The checks are those of [`checks`], as a record is an event, and:
//!
//! | check | holds |
//! |---|---|
//! | I1 | the values of the records never go down |
//! | I2 | a search finds the first record that has the value, or more |
//! | I3 | a reader returns the records that are stored, in order |

use std::{
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_event_stream::{
    ReadError, SegmentContext, WriteError,
    index::{IndexReader, IndexReaderConfig, IndexWriter, IndexWriterConfig},
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream, SegmentId};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    SimController, SimNetwork, World, checks,
    client::segment_context,
    content::Stored,
    history::{EventId, Found, Violation},
    plan::LinkTheme,
    report::Report,
    workload::{SharedHistory, hash},
};

/// The time that everything may take after the repair.
const HEAL_BOUND: Duration = Duration::from_secs(300);
/// The deadline of a record, if it is not short.
const DEADLINE: Duration = Duration::from_secs(60);
/// The time that a record may take beyond its deadline.
const SLACK: Duration = Duration::from_secs(5);
/// The length of a record.
const RECORD: u32 = 128;
/// The field that records are found by.
const FIELD: &str = "number";

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(scenario(seed))
}

async fn scenario(seed: u64) -> Report {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let stores = random.usize(1..3);
    let world = World::with_seed(stores, seed);
    let stream: ScopedStream = "sim/index".parse().expect("a name");
    world.create_stream(&stream, 1);
    let cuts = if random.bool() { random.u32(20..90) } else { 0 };
    let max_delay = Duration::from_millis(random.u64(0..100));
    let links = LinkTheme { cuts, max_delay, fragments: random.bool() };
    let network = SimNetwork::new(&world, links.plan(random.fork(), world.clone()));
    let controller =
        Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
    let history = SharedHistory::default();
    let deadline =
        if random.bool() { Duration::from_millis(random.u64(50..2000)) } else { DEADLINE };
    let mut writers = Vec::new();
    for number in 0..random.u32(1..4) {
        let load = Load {
            context: segment_context(Arc::clone(&controller) as _, network.clone()),
            stream: stream.clone(),
            config: IndexWriterConfig::default()
                .with_record_size(RECORD)
                .with_delivery_timeout(deadline)
                .with_backoff(Duration::from_millis(20), Duration::from_secs(2)),
            number,
            random: random.fork(),
            records: random.u64(10..60),
            history: history.clone(),
            started: Instant::now(),
        };
        writers.push(tokio::spawn(load.run()));
    }
    make_faults(&world, &network, &stream, stores, &mut random).await;
    network.heal();
    (0..stores).for_each(|store| world.set_store_up(store, true));
    let mut violations = Vec::new();
    for writer in writers {
        match timeout(HEAL_BOUND, writer).await {
            Ok(done) => done.expect("a writer does not panic"),
            Err(_) => {
                let detail = "a writer was not done in time".to_owned();
                violations.push(Violation { check: "C14", detail });
            }
        }
    }
    sleep(max_delay * 2 + Duration::from_secs(1)).await;
    let stored = world.content(&stream);
    let context = segment_context(Arc::clone(&controller) as _, network.clone());
    let reading = check_reading(context, &stream, &stored, &mut random, &mut violations);
    if timeout(HEAL_BOUND, reading).await.is_err() {
        let detail = "a reader was not done in time".to_owned();
        violations.push(Violation { check: "C14", detail });
    }
    report(&world, &history, &stored, violations, deadline + SLACK)
}

async fn make_faults(
    world: &World,
    network: &SimNetwork,
    stream: &ScopedStream,
    stores: usize,
    random: &mut fastrand::Rng,
) {
    let segment = ScopedSegment::new(stream, SegmentId::from(0));
    for _ in 0..random.u32(1..12) {
        sleep(Duration::from_millis(random.u64(1..400))).await;
        match random.u32(0..3) {
            0 => world.move_segment(&segment, random.usize(0..stores)),
            1 => {
                let store = random.usize(0..stores);
                world.set_store_up(store, false);
                network.reset(store);
                sleep(Duration::from_millis(random.u64(0..2000))).await;
                world.set_store_up(store, true);
            }
            _ => {}
        }
    }
}

/// Appends records, in competition with other writers.
struct Load {
    context: SegmentContext,
    stream: ScopedStream,
    config: IndexWriterConfig,
    number: u32,
    random: fastrand::Rng,
    records: u64,
    history: SharedHistory,
    started: Instant,
}

impl Load {
    async fn run(mut self) {
        let mut number = 0;
        while number < self.records {
            let Ok((mut writer, mut value)) = self.open().await else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            while number < self.records {
                let id = EventId { writer: self.number, key: "key-0".to_owned(), number };
                number += 1;
                value += self.random.u64(0..3);
                let data = format!("{}|{}|{}|", id.writer, id.key, id.number);
                let now = self.started.elapsed();
                self.history.lock().begin(id.clone(), hash(data.as_bytes()), now);
                let appended = self.append(&mut writer, value, &data).await;
                let is_done = appended.is_ok();
                self.history.end(&[id], &appended, self.started);
                if !is_done {
                    break;
                }
                if self.random.u32(0..4) == 0 {
                    sleep(Duration::from_millis(self.random.u64(0..300))).await;
                }
            }
        }
    }

    /// Appends one record, and waits until it is durable.
    async fn append(
        &self,
        writer: &mut IndexWriter,
        value: u64,
        data: &str,
    ) -> Result<Option<(SegmentId, Offset)>, WriteError> {
        let offset = writer.append(&[(FIELD, value)], data.as_bytes()).await?;
        writer.flush().await?;
        Ok(Some((SegmentId::from(0), offset)))
    }

    /// Opens a writer, and finds the value of the last record.
    async fn open(&self) -> Result<(IndexWriter, u64), Box<dyn std::error::Error + Send + Sync>> {
        let (context, stream) = (self.context.clone(), &self.stream);
        let writer = IndexWriter::open(context.clone(), stream, self.config.clone()).await?;
        let reader = IndexReader::open(context, stream, IndexReaderConfig::default()).await?;
        let value = reader.last().await?.and_then(|record| record.value(FIELD));
        Ok((writer, value.unwrap_or_default()))
    }
}

/// The identity of a record and its value.
fn parse(record: &[u8]) -> Option<(EventId, String)> {
    let text = String::from_utf8_lossy(record);
    let (before, rest) = text.split_once("|key-0|")?;
    let writer = before.chars().last()?.to_digit(10)?;
    let number = rest.split_once('|')?.0.parse().ok()?;
    let id = EventId { writer, key: "key-0".to_owned(), number };
    Some((id, format!("{writer}|key-0|{number}|")))
}

/// Reads all records, and searches for their values.
async fn check_reading(
    context: SegmentContext,
    stream: &ScopedStream,
    stored: &[Stored],
    random: &mut fastrand::Rng,
    violations: &mut Vec<Violation>,
) {
    let mut say = |check, detail: String| violations.push(Violation { check, detail });
    match read(context.clone(), stream).await {
        Ok(records) => {
            let is_right = records.len() == stored.len()
                && records.iter().zip(stored).all(|((offset, data, _), stored)| {
                    let found = parse(&stored.event).map(|(_, data)| data);
                    *offset == stored.offset && found.as_ref() == Some(data)
                });
            if !is_right {
                let detail = format!("{} records of {} were read", records.len(), stored.len());
                say("I3", detail);
            }
            let values: Vec<u64> = records.iter().map(|(_, _, value)| *value).collect();
            if !values.is_sorted() {
                say("I1", format!("the values are {values:?}"));
            }
            let highest = values.last().copied().unwrap_or_default();
            for _ in 0..3 {
                let value = random.u64(0..highest + 2);
                let first = records.iter().find(|(_, _, found)| *found >= value);
                let found = search(context.clone(), stream, value).await;
                if found != Ok(first.map(|(offset, _, _)| *offset)) {
                    say("I2", format!("{value} was found at {found:?}, {first:?} is right"));
                }
            }
        }
        Err(error) => say("I3", format!("a reader failed: {error:?}")),
    }
}

async fn read(
    context: SegmentContext,
    stream: &ScopedStream,
) -> Result<Vec<(Offset, String, u64)>, ReadError> {
    let reader = IndexReader::open(context, stream, IndexReaderConfig::default()).await?;
    let Some(last) = reader.last().await? else { return Ok(Vec::new()) };
    let mut records = reader.read(Offset(0), None).await?;
    let mut all = Vec::new();
    while all.last().is_none_or(|(_, data, _): &(_, String, _)| data.as_bytes() != last.data()) {
        let offset = records.offset();
        let Some(record) = records.next().await? else { break };
        let data = String::from_utf8_lossy(record.data()).into_owned();
        all.push((offset, data, record.value(FIELD).unwrap_or_default()));
    }
    Ok(all)
}

async fn search(
    context: SegmentContext,
    stream: &ScopedStream,
    value: u64,
) -> Result<Option<Offset>, ErrorKind> {
    let reader = IndexReader::open(context, stream, IndexReaderConfig::default()).await;
    match reader.map_err(|error| error.kind())?.search(FIELD, value).await {
        Ok(offset) => Ok(Some(offset)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.kind()),
    }
}

fn report(
    world: &World,
    history: &SharedHistory,
    stored: &[Stored],
    mut violations: Vec<Violation>,
    bound: Duration,
) -> Report {
    let mut history = history.lock();
    for stored in stored {
        match parse(&stored.event) {
            Some((id, data)) => {
                let position = (stored.segment, stored.offset);
                history.found(Found { id, hash: hash(data.as_bytes()), position });
            }
            None => {
                let detail = format!("{stored:?} is no record of a writer");
                violations.push(Violation { check: "C2", detail });
            }
        }
    }
    violations.extend(checks::check(&history, bound));
    let mut counters = world.counters();
    let acknowledged = history.acknowledged();
    let mut count = |what, times: usize| *counters.entry(what).or_default() += times as u64;
    count("record durable", acknowledged);
    count("record refused on a condition", history.refused());
    count("record failed, not applied", history.failed(Outcome::NotApplied));
    count("record failed, unknown", history.failed(Outcome::Unknown));
    let mut hasher = std::hash::DefaultHasher::new();
    (history.digest(), format!("{counters:?}"), Instant::now().elapsed()).hash(&mut hasher);
    Report { violations, digest: hasher.finish(), counters, acknowledged }
}
