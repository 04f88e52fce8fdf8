//! A seed as byte streams with faults: writers compete for the end of one segment, each byte on the
//! condition of its offset.
//!
//! | check | holds |
//! |---|---|
//! | B1 | bytes that a flush said are durable were stored, where their writer says |
//! | B2 | all bytes were written by one writer, at that place |
//! | B3 | the bytes of a writer between two failures are stored from their first on, without a gap |
//! | B4 | a condition that failed does not hold |
//! | B5 | what definitely failed is not stored as a whole |
//! | B7 | a truncation that failed for certain is not carried out |
//! | B6 | a reader returns the bytes that were stored, in order, and without a gap that was not told |
//! | C14 | every write, flush and reader ends within its bound |

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_event_stream::{ByteReaderConfig, ByteWriterConfig, SeededBug, SegmentContext};
use pravega_sdk_segment_client::StoreConfig;
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream, SegmentId};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    Requests, SimController, SimNetwork, Stall, Stuck, World,
    byte_load::{ByteLoad, ByteReaderLoad, ByteReading, CELL, Session, Snapshots, Truncations},
    client::segment_context_with,
    history::Violation,
    plan::LinkTheme,
    report::Report,
};

/// The time that everything may take after the repair.
const HEAL_BOUND: Duration = Duration::from_secs(600);
/// The deadline of bytes, if it is not short.
const DEADLINE: Duration = Duration::from_secs(60);
/// The time that a write and a flush may take beyond their deadlines.
const SLACK: Duration = Duration::from_secs(10);

/// The workload and the kinds of faults of a seed.
#[derive(Debug)]
struct Theme {
    links: LinkTheme,
    moves: bool,
    restarts: bool,
    outages: bool,
    truncates: bool,
    shares: bool,
    stores: usize,
    writers: u8,
    readers: u32,
    writes: u32,
    max_pause: Duration,
    deadline: Option<Duration>,
    /// The time that one attempt of a request may take, if it is short.
    request_timeout: Option<Duration>,
}

impl Theme {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let mut chance = |percent: u32| random.u32(0..100) < percent;
        let (cuts, fragments, slow) = (chance(60), chance(20), chance(15));
        let (moves, restarts, outages) = (chance(25), chance(25), chance(15));
        let (truncates, shares, hurries) = (chance(25), chance(50), chance(25));
        let asks_shortly = chance(30);
        let cuts = if cuts { random.u32(20..90) } else { 0 };
        let max_delay =
            Duration::from_millis(if slow { random.u64(100..1500) } else { random.u64(0..30) });
        let deadline = Duration::from_millis(random.u64(20..2000));
        // A request and its reply may be late by twice the longest delay each.
        let request_timeout = max_delay * 4 + Duration::from_millis(random.u64(50..500));
        Self {
            links: LinkTheme { cuts, max_delay, fragments },
            moves,
            restarts,
            outages,
            truncates,
            shares,
            stores: random.usize(1..3),
            writers: random.u8(1..4),
            readers: random.u32(0..3),
            writes: random.u32(10..60),
            max_pause: Duration::from_millis(random.u64(0..200)),
            deadline: hurries.then_some(deadline),
            request_timeout: asks_shortly.then_some(request_timeout),
        }
    }
}

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { Scenario::new(seed, bug).run().await })
}

struct Scenario {
    random: fastrand::Rng,
    theme: Theme,
    world: World,
    network: SimNetwork,
    stream: ScopedStream,
    segment: ScopedSegment,
    config: ByteWriterConfig,
    contexts: Vec<SegmentContext>,
}

/// What writers and readers did and saw.
#[derive(Debug, Default)]
struct Seen {
    sessions: Vec<Session>,
    kept: Snapshots,
    readings: Vec<ByteReading>,
    violations: Vec<Violation>,
}

impl Scenario {
    fn new(seed: u64, bug: Option<SeededBug>) -> Self {
        fastrand::seed(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let theme = Theme::draw(&mut random);
        let world = World::with_seed(theme.stores, seed);
        let stream: ScopedStream = "sim/bytes".parse().expect("a name");
        world.create_stream(&stream, 1);
        world.set_max_reply([None, Some(random.usize(40..800))][random.usize(0..2)]);
        let network = SimNetwork::new(&world, theme.links.plan(random.fork(), world.clone()));
        let controller =
            Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
        let mut store_config = StoreConfig::default();
        if let Some(timeout) = theme.request_timeout {
            store_config = store_config.with_request_timeout(timeout);
        }
        if let Some(bug) = bug {
            store_config = store_config.with_seeded_bug(bug);
        }
        let context = || {
            segment_context_with(
                Arc::clone(&controller) as _,
                network.clone(),
                store_config.clone(),
            )
        };
        let shared = context();
        let clients = usize::from(theme.writers) + theme.readers as usize;
        let contexts =
            (0..clients).map(|_| if theme.shares { shared.clone() } else { context() }).collect();
        let mut config = ByteWriterConfig::default()
            .with_max_block_bytes([64, 256, 1 << 20][random.usize(0..3)])
            .with_delivery_timeout(theme.deadline.unwrap_or(DEADLINE))
            .with_backoff(Duration::from_millis(20), Duration::from_secs(2));
        if let Some(bug) = bug {
            config = config.with_seeded_bug(bug);
        }
        let segment = ScopedSegment::new(&stream, SegmentId::from(0));
        Self { random, theme, world, network, stream, segment, config, contexts }
    }

    async fn run(mut self) -> Report {
        let writers = self.start_writers();
        let (length, known) = watch::channel(None);
        let readers = self.start_readers(&known);
        self.make_faults().await;
        self.heal();
        let mut seen = Seen::default();
        // Every write may wait for its deadline, and pauses before.
        let each = self.theme.max_pause + self.theme.deadline.unwrap_or_default();
        let bound = HEAL_BOUND + each * self.theme.writes;
        let mut truncations = Vec::new();
        for writer in writers {
            match timeout(bound, writer).await {
                Ok(done) => {
                    let (sessions, done) = done.expect("a writer does not panic");
                    seen.sessions.extend(sessions);
                    truncations.extend(done);
                }
                Err(_) => seen.say("C14", "a writer was not done in time".to_owned()),
            }
        }
        sleep(self.theme.links.max_delay * 2 + Duration::from_secs(1)).await;
        for mut truncations in truncations {
            truncations.check();
            seen.kept.append(&mut truncations.kept);
            seen.violations.append(&mut truncations.violations);
        }
        let (start, bytes) = self.world.bytes(&self.segment);
        length.send(Some(Offset(start.0 + bytes.len() as i64))).ok();
        for reader in readers {
            match timeout(HEAL_BOUND, reader).await {
                Ok(reading) => seen.readings.push(reading.expect("a reader does not panic")),
                Err(_) => seen.say("C14", "a reader was not done in time".to_owned()),
            }
        }
        self.report(seen)
    }

    fn start_writers(&mut self) -> Vec<JoinHandle<(Vec<Session>, Option<Truncations>)>> {
        let mut writers = Vec::new();
        for writer in 0..self.theme.writers {
            let every = if self.theme.request_timeout.is_some() { 3 } else { 12 };
            let truncations = (self.theme.truncates && writer == 0)
                .then(|| Truncations::new(&self.world, &self.segment, every));
            let load = ByteLoad {
                context: self.contexts[usize::from(writer)].clone(),
                stream: self.stream.clone(),
                config: self.config.clone().with_seed(self.random.u64(..)),
                writer,
                random: self.random.fork(),
                writes: self.theme.writes,
                max_pause: self.theme.max_pause,
                truncations,
            };
            writers.push(tokio::spawn(load.run()));
        }
        writers
    }

    fn start_readers(
        &mut self,
        length: &watch::Receiver<Option<Offset>>,
    ) -> Vec<JoinHandle<ByteReading>> {
        let mut readers = Vec::new();
        for context in self.contexts.iter().skip(usize::from(self.theme.writers)) {
            let load = ByteReaderLoad {
                context: context.clone(),
                stream: self.stream.clone(),
                config: ByteReaderConfig::default()
                    .with_max_read_bytes([40, 150, 1 << 20][self.random.usize(0..3)])
                    .with_backoff(Duration::from_millis(20), Duration::from_secs(2)),
                random: self.random.fork(),
                length: length.clone(),
            };
            readers.push(tokio::spawn(load.run()));
        }
        readers
    }

    async fn make_faults(&mut self) {
        for _ in 0..self.random.u32(1..20) {
            sleep(Duration::from_millis(self.random.u64(1..400))).await;
            match self.random.u32(0..4) {
                3 if self.theme.request_timeout.is_some() => {
                    // Requests take effect, and nothing is answered.
                    let part = Stuck::Segment(self.segment.clone());
                    let stalled = self.world.stall(part, Requests::All, Stall::LosesReplies);
                    sleep(Duration::from_millis(self.random.u64(0..3000))).await;
                    drop(stalled);
                    (0..self.theme.stores).for_each(|store| self.network.reset(store));
                }
                0 if self.theme.moves => {
                    let store = self.random.usize(0..self.theme.stores);
                    self.world.move_segment(&self.segment, store);
                }
                1 if self.theme.restarts => {
                    let store = self.random.usize(0..self.theme.stores);
                    self.world.set_store_up(store, false);
                    self.network.reset(store);
                    sleep(Duration::from_millis(self.random.u64(0..3000))).await;
                    self.world.set_store_up(store, true);
                }
                2 if self.theme.outages => {
                    self.world.set_controller_away(true);
                    sleep(Duration::from_millis(self.random.u64(100..8000))).await;
                    self.world.set_controller_away(false);
                }
                _ => {}
            }
        }
    }

    fn heal(&self) {
        self.world.set_controller_away(false);
        (0..self.theme.stores).for_each(|store| self.world.set_store_up(store, true));
        self.network.heal();
    }

    fn report(self, mut seen: Seen) -> Report {
        let stored = Bytes::all(&seen.kept, self.world.bytes(&self.segment));
        let limit = self.theme.deadline.unwrap_or(DEADLINE) * 2 + SLACK;
        check(&mut seen, &stored, limit);
        let mut counters = self.world.counters();
        let mut count = |what, times: usize| *counters.entry(what).or_default() += times as u64;
        let durable = seen.sessions.iter().map(|session| session.durable).sum();
        count("bytes durable", durable);
        for session in &seen.sessions {
            match session.failure {
                Some((ErrorKind::ConditionFailed, _)) => count("bytes refused on a condition", 1),
                Some((_, Outcome::NotApplied)) => count("bytes failed, not applied", 1),
                Some((_, Outcome::Unknown)) => count("bytes failed, unknown", 1),
                Some((_, Outcome::Applied)) | None => {}
            }
        }
        for reading in &seen.readings {
            count("byte reader told of a truncation", reading.truncations as usize);
        }
        let mut hasher = std::hash::DefaultHasher::new();
        (format!("{seen:?} {counters:?}"), Instant::now().elapsed()).hash(&mut hasher);
        Report {
            violations: seen.violations,
            digest: hasher.finish(),
            counters,
            acknowledged: durable,
        }
    }
}

impl Seen {
    fn say(&mut self, check: &'static str, detail: String) {
        self.violations.push(Violation { check, detail });
    }
}

/// All bytes that a segment holds or held, by their offsets.
struct Bytes {
    cells: BTreeMap<Offset, [u8; CELL]>,
    end: Offset,
}

impl Bytes {
    fn all(kept: &Snapshots, last: (Offset, Vec<u8>)) -> Self {
        let end = Offset(last.0.0 + last.1.len() as i64);
        let mut cells = BTreeMap::new();
        for (start, bytes) in kept.iter().chain([&last]) {
            for (at, cell) in bytes.chunks_exact(CELL).enumerate() {
                let cell = <[u8; CELL]>::try_from(cell).expect("a cell");
                cells.insert(Offset(start.0 + (at * CELL) as i64), cell);
            }
        }
        Self { cells, end }
    }
}

fn check(seen: &mut Seen, stored: &Bytes, limit: Duration) {
    let mut violations = Vec::new();
    let mut say = |check, detail: String| violations.push(Violation { check, detail });
    let mut claims: BTreeMap<(Offset, [u8; CELL]), ()> = BTreeMap::new();
    for session in &seen.sessions {
        let place = |at: usize| Offset(session.start.0 + (at * CELL) as i64);
        let is_there = |at: usize| stored.cells.get(&place(at)) == Some(&session.cell(at));
        claims.extend((0..session.written).map(|at| ((place(at), session.cell(at)), ())));
        if let Some(lost) = (0..session.durable).find(|at| !is_there(*at)) {
            say("B1", format!("cell {lost} of {session:?} is durable and lost"));
        }
        let prefix = (0..session.written).take_while(|at| is_there(*at)).count();
        if let Some(late) = (prefix..session.written).find(|at| is_there(*at)) {
            say("B3", format!("cell {late} of {session:?} is there, {prefix} is not"));
        }
        match session.failure {
            Some((ErrorKind::ConditionFailed, _)) if place(prefix) == stored.end => {
                say("B4", format!("{session:?} ended, and its condition holds in the end"));
            }
            Some((_, Outcome::NotApplied)) if prefix == session.written => {
                say("B5", format!("all of {session:?} is there"));
            }
            _ => {}
        }
        if session.longest > limit {
            say("C14", format!("a write of {session:?} took {:?}", session.longest));
        }
    }
    for (offset, cell) in &stored.cells {
        if !claims.contains_key(&(*offset, *cell)) {
            say("B2", format!("{cell:?} at {offset} was not written there"));
        }
    }
    for reading in &seen.readings {
        check_reading(reading, stored, &mut say);
    }
    violations.extend(seen.readings.iter().flat_map(|reading| reading.violations.clone()));
    seen.violations.append(&mut violations);
}

fn check_reading(
    reading: &ByteReading,
    stored: &Bytes,
    say: &mut impl FnMut(&'static str, String),
) {
    let mut expected: Option<Offset> = None;
    for (offset, piece) in &reading.pieces {
        if expected.is_some_and(|expected| *offset != expected && reading.truncations == 0) {
            say("B6", format!("{offset} was returned, {expected:?} is next"));
        }
        if expected.is_some_and(|expected| *offset < expected) {
            say("B6", format!("{offset} was returned again"));
        }
        let byte = |at: i64| {
            let cell = stored.cells.get(&Offset(at - at.rem_euclid(CELL as i64)))?;
            cell.get(at.rem_euclid(CELL as i64) as usize).copied()
        };
        if (offset.0..).zip(piece.iter()).any(|(at, value)| byte(at) != Some(*value)) {
            say("B6", format!("the bytes at {offset} are not those that were stored"));
        }
        expected = Some(Offset(offset.0 + piece.len() as i64));
    }
}
