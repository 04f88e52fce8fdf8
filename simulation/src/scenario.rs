//! A seed as a workload with faults: writers, readers, keys, and the kinds of faults are all drawn
//! from it.
//!
//! The faults come first. Then everything is repaired, and the writes and reads that are still in
//! progress must end soon.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use pravega_sdk_event_stream::{
    EventWriter, LargeEvents, ReaderConfig, SeededBug, SegmentContext, WhenFull, WriterConfig,
    codec::Raw,
};
use pravega_sdk_segment_client::StoreConfig;
use pravega_sdk_types::{BoundedCut, Outcome, ScopedSegment, ScopedStream, SegmentId};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    SimController, SimNetwork, World,
    bounded::{Bounded, BoundedReads},
    checks,
    client::segment_context_with,
    conditional::{ConditionalLoad, TWIN_PATIENCE},
    disturbance::{self, Disturbance},
    history::{Ended, EventId, History, Violation},
    inspecting::{Inspection, InspectorLoad},
    kept::{Kept, everything},
    reading::{self, ReaderLoad, Reading, Signals},
    report::Report,
    theme::{Kind, Mode, Theme},
    trial::{Trial, Tried},
    trouble,
    workload::{self, Accepted, SharedHistory, Workload, found, hash, id_of},
};

/// The time that writes in progress may take after the repair. The longest back-off is 2 s here.
const HEAL_BOUND: Duration = Duration::from_secs(12);
/// The time that reading the content may take after that, over slow links and with replies of 40
/// bytes.
const READ_BOUND: Duration = Duration::from_secs(600);
/// The time that a write may take beyond its deadline.
const SLACK: Duration = Duration::from_secs(1);
/// The deadline of a write, if it is not short.
const DEADLINE: Duration = Duration::from_secs(120);
/// The longest time, in milliseconds, for which instances of the controller do not notice a seal.
const LONGEST_LAG: u64 = 9000;
/// The number of the writer of conditional events.
const CONDITIONAL: u32 = 9;
/// The number of the writer of the last events before a stream is sealed.
const LATE: u32 = 8;

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    run_in(Mode::Usual, seed, bug)
}

/// Runs a seed with the kinds of faults of a mode.
///
/// # Panics
///
/// As [`run`].
#[must_use]
pub fn run_in(mode: Mode, seed: u64, bug: Option<SeededBug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { Scenario::new(mode, seed, bug).run().await })
}

struct Scenario {
    random: fastrand::Rng,
    theme: Theme,
    world: World,
    network: SimNetwork,
    controller: Arc<SimController>,
    stream: ScopedStream,
    config: WriterConfig,
    reader_config: ReaderConfig,
    store_config: StoreConfig,
    max_in_flight_bytes: usize,
    max_filler: usize,
    history: SharedHistory,
    /// The parts that writers and readers have in common; empty if each has its own.
    contexts: Vec<SegmentContext>,
    started: Instant,
}

/// The tasks that write.
struct Writers {
    workloads: Vec<JoinHandle<Accepted>>,
    conditional: Option<JoinHandle<()>>,
}

/// What clients saw, and what the stream holds and held.
struct Seen {
    /// True if writes were not done within the bound after the heal.
    is_late: bool,
    kept: Vec<Kept>,
    readings: Vec<Reading>,
    inspection: Inspection,
    bounded: Bounded,
    tried: Tried,
}

impl Scenario {
    fn new(mode: Mode, seed: u64, bug: Option<SeededBug>) -> Self {
        // Back-offs of the connection pool draw from here.
        fastrand::seed(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let theme = Theme::draw(&mut random, mode);
        let world = World::with_seed(theme.stores, seed);
        world.set_ack_delay(Duration::from_micros(random.u64(0..20_000)));
        let stream: ScopedStream = "sim/stream".parse().expect("a name");
        world.create_stream(&stream, theme.segments);
        disturbance::prepare(&world, &theme, &mut random);
        let network = SimNetwork::new(&world, theme.links.plan(random.fork(), world.clone()));
        let controller =
            Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
        let is_long = theme.has(Kind::LongEvents);
        let max_in_flight_bytes = if is_long { 256 * 1024 } else { 16 * 1024 };
        let max_filler = match (is_long, theme.has(Kind::LargeEvents)) {
            (true, _) => 12_000,
            (false, true) => 2500,
            (false, false) => 0,
        };
        let mut config = WriterConfig::default()
            .with_max_in_flight_bytes(max_in_flight_bytes)
            .with_max_block_bytes([64, 700, 1 << 20][random.usize(0..3)])
            .with_max_blocks_in_flight(random.usize(1..9))
            .with_delivery_timeout(theme.deadline.unwrap_or(DEADLINE))
            .with_backoff(Duration::from_millis(20), Duration::from_secs(2));
        if theme.has(Kind::LargeEvents) {
            let large_events = LargeEvents::UpTo(40_000);
            config = config.with_max_event_bytes(400).with_large_events(large_events);
        }
        // Short replies and short reads leave time for faults between them.
        world.set_max_reply([None, Some(random.usize(40..800))][random.usize(0..2)]);
        let max_read = [40, 150, 1000, 1 << 20][random.usize(0..4)];
        let mut reader_config = ReaderConfig::default()
            .with_max_read_bytes(if is_long { max_read.max(1000) } else { max_read })
            .with_backoff(Duration::from_millis(20), Duration::from_secs(2));
        if let Some(timeout) = theme.stall_timeout {
            reader_config = reader_config.with_stall_timeout(timeout);
        }
        let mut store_config = StoreConfig::default();
        if theme.trouble.is_some() {
            store_config = store_config
                .with_connect_timeout(trouble::CONNECT_TIMEOUT)
                .with_request_timeout(trouble::REQUEST_TIMEOUT);
        }
        if let Some(requests) = theme.max_in_flight {
            store_config = store_config.with_max_in_flight(requests);
        }
        if let Some(bug) = bug {
            config = config.with_seeded_bug(bug);
            reader_config = reader_config.with_seeded_bug(bug);
            store_config = store_config.with_seeded_bug(bug);
        }
        let context = || {
            segment_context_with(
                Arc::clone(&controller) as _,
                network.clone(),
                store_config.clone(),
            )
        };
        let contexts = (0..theme.clients).map(|_| context()).collect();
        Self {
            random,
            theme,
            world,
            network,
            controller,
            stream,
            config,
            reader_config,
            store_config,
            max_in_flight_bytes,
            max_filler,
            history: SharedHistory::default(),
            contexts,
            started: Instant::now(),
        }
    }

    async fn run(mut self) -> Report {
        let writers = self.start_writers().await;
        let (rest, known) = watch::channel(None);
        let (release, released) = watch::channel(false);
        let (readers, idle) = self.start_readers(&Signals { rest: known, released });
        let (done, is_done) = watch::channel(false);
        let inspector = self.start_inspector(is_done);
        let is_late = self.write(writers).await.is_err();
        if is_late {
            self.world.count("not done after the heal");
        }
        let tried = self.try_trouble().await;
        // What was given up may still be on its way.
        sleep(disturbance::longest_way(&self.theme)).await;
        if self.theme.has(Kind::SealedEnd) {
            self.seal().await;
        }
        let kept = everything(&self.world, &self.stream);
        let present = kept.iter().filter(|kept| !kept.is_gone);
        let places: BTreeSet<_> = present.map(Kept::position).collect();
        rest.send(Some(Arc::new(places))).ok();
        let mut readings = Vec::new();
        for reader in readers {
            // A reader waits for up to 3 s before it checks whether it has everything.
            self.wait_for(reader, &mut readings).await;
        }
        done.send(true).ok();
        let inspection = inspector.await.expect("an inspector does not panic");
        let bounded = self.read_between(&inspection.cuts, &kept).await;
        release.send(true).ok();
        for reader in idle {
            self.wait_for(reader, &mut readings).await;
        }
        self.report(&Seen { is_late, kept, readings, inspection, bounded, tried })
    }

    /// Seals the stream, perhaps just after a scale, while readers look for the new segments. These
    /// have events by then. For a while some instances of the controller may know neither, or the
    /// scale only.
    async fn seal(&mut self) {
        self.world.finish_scale();
        let lags = self.theme.has(Kind::StaleAnswers);
        if lags {
            self.world.set_stale_answers(self.random.u32(20..90));
        }
        let last = self.world.active_segments(&self.stream).into_iter().next();
        if let Some(last) = last.filter(|_| !self.theme.has(Kind::Recreations))
            && self.random.bool()
        {
            self.world.begin_scale(&self.stream, vec![last.id], last.range.split(2));
            sleep(Duration::from_micros(self.random.u64(0..60_000))).await;
            self.world.finish_scale();
            let last = ScopedSegment::new(&self.stream, last.id);
            for successor in self.world.successors(&last) {
                self.append_late(successor.id);
            }
            self.world.count("stream sealed after a scale");
        }
        if lags && self.random.bool() {
            self.world.add_stale_instance();
        }
        self.world.seal_stream(&self.stream);
        self.world.count("stream sealed");
        if lags {
            self.world.count("stream sealed unnoticed");
            let (world, lag) = (self.world.clone(), self.random.u64(0..LONGEST_LAG));
            tokio::spawn(async move {
                sleep(Duration::from_millis(lag)).await;
                world.set_stale_answers(0);
            });
        }
    }

    /// Appends an event as a client does that is not part of the scenario.
    fn append_late(&self, segment: SegmentId) {
        let id = EventId { writer: LATE, key: format!("key-{segment}"), number: 0 };
        let event = workload::event(&id, 0);
        let mut bytes = BytesMut::new();
        pravega_sdk_wire_protocol::event::put(&mut bytes, &event).expect("a short event");
        let now = self.started.elapsed();
        self.world.append_raw(&ScopedSegment::new(&self.stream, segment), &bytes);
        let mut history = self.history.lock();
        history.begin(id.clone(), hash(&event), now);
        history.end(&id, Ended::Acknowledged(None), now);
    }

    /// Lets one part of the cluster get into trouble, if the seed has that.
    async fn try_trouble(&mut self) -> Tried {
        let Some(trouble) = self.theme.trouble else { return Tried::default() };
        // An interruption that has begun still acts between two steps of an append.
        sleep(disturbance::longest_way(&self.theme)).await;
        let trial = Trial {
            world: self.world.clone(),
            network: self.network.clone(),
            stores: self.theme.stores,
            stream: self.stream.clone(),
            context: self.context(self.theme.readers),
            writing: self.own_context(),
            other: self.own_context(),
            config: self.config.clone().with_max_in_flight_bytes(1 << 20),
            reader_config: self.reader_config.clone(),
            stall_timeout: self.theme.stall_timeout.unwrap_or_default(),
            trouble,
            max_in_flight: self.theme.max_in_flight.unwrap_or_default(),
            random: self.random.fork(),
            history: self.history.clone(),
            started: self.started,
        };
        trial.run().await
    }

    fn start_inspector(&mut self, done: watch::Receiver<bool>) -> JoinHandle<Inspection> {
        if !self.theme.has(Kind::Inspectors) {
            return tokio::spawn(std::future::ready(Inspection::default()));
        }
        let load = InspectorLoad {
            context: self.context(self.theme.readers),
            stream: self.stream.clone(),
            random: self.random.fork(),
            history: self.history.clone(),
            may_die: self.theme.has(Kind::Recreations),
            done,
        };
        tokio::spawn(load.run())
    }

    async fn read_between(&mut self, cuts: &[BoundedCut], kept: &[Kept]) -> Bounded {
        if !self.theme.has(Kind::BoundedReads) {
            return Bounded::default();
        }
        let ranges = self.world.ranges(&self.stream);
        let exists = |id| self.world.head_of(&ScopedSegment::new(&self.stream, id)).is_some();
        let missing = ranges.keys().copied().filter(|id| !exists(*id)).collect();
        let reads = BoundedReads {
            context: self.context(self.theme.readers),
            stream: self.stream.clone(),
            config: self.reader_config.clone(),
            random: self.random.fork(),
            kept,
            ranges,
            missing,
        };
        reads.run(cuts).await
    }

    async fn wait_for(&self, reader: JoinHandle<Reading>, readings: &mut Vec<Reading>) {
        match timeout(HEAL_BOUND + READ_BOUND, reader).await {
            Ok(reading) => readings.push(reading.expect("a reader does not panic")),
            Err(_) => self.world.count("reader not done after the heal"),
        }
    }

    /// The parts of the client with a number.
    fn context(&self, number: u32) -> SegmentContext {
        let shared = self.contexts.get(number as usize % self.contexts.len().max(1));
        shared.cloned().unwrap_or_else(|| self.own_context())
    }

    /// Parts that no other client has.
    fn own_context(&self) -> SegmentContext {
        let controller = Arc::clone(&self.controller) as _;
        segment_context_with(controller, self.network.clone(), self.store_config.clone())
    }

    async fn open_writer(&mut self, number: u32) -> EventWriter<Raw> {
        let mut config = self.config.clone().with_seed(self.random.u64(..));
        if self.theme.has(Kind::FullStores) {
            let choices = [WhenFull::Fail, WhenFull::Wait];
            config = config.with_when_full(choices[self.random.usize(0..2)]);
        }
        EventWriter::open(self.context(number), &self.stream, Raw, config)
            .await
            .expect("a stream to write to")
    }

    async fn start_writers(&mut self) -> Writers {
        let mut workloads = Vec::new();
        for number in 0..self.theme.writers {
            let workload = Workload {
                writer: self.open_writer(number).await,
                number,
                random: self.random.fork(),
                keys: self.theme.keys,
                events: self.theme.events,
                max_pause: self.theme.max_pause,
                is_uniform: self.theme.is_uniform,
                max_filler: self.max_filler,
                max_in_flight_bytes: self.max_in_flight_bytes,
                history: self.history.clone(),
                started: self.started,
            };
            workloads.push(tokio::spawn(workload.run()));
        }
        let mut conditional = None;
        if self.theme.has(Kind::Conditions) {
            let load = ConditionalLoad {
                writer: self.open_writer(CONDITIONAL).await,
                number: CONDITIONAL,
                is_uniform: self.theme.is_uniform,
                random: self.random.fork(),
                keys: self.theme.keys,
                events: self.theme.events / 2,
                max_pause: self.theme.max_pause,
                world: self.world.clone(),
                stream: self.stream.clone(),
                history: self.history.clone(),
                started: self.started,
            };
            conditional = Some(tokio::spawn(load.run()));
        }
        Writers { workloads, conditional }
    }

    /// Starts the readers, and those that are left alone.
    fn start_readers(
        &mut self,
        signals: &Signals,
    ) -> (Vec<JoinHandle<Reading>>, Vec<JoinHandle<Reading>>) {
        let (mut readers, mut idle) = (Vec::new(), Vec::new());
        let idle_readers = u32::from(self.theme.has(Kind::IdleReaders));
        for number in 0..self.theme.readers + idle_readers {
            let is_idle = number >= self.theme.readers;
            let load = ReaderLoad {
                context: self.context(number + 1),
                stream: self.stream.clone(),
                config: self.reader_config.clone(),
                random: self.random.fork(),
                signals: signals.clone(),
                is_idle,
                ends: self.theme.has(Kind::SealedEnd),
                may_die: self.theme.has(Kind::Recreations),
            };
            let reader = tokio::spawn(load.run());
            if is_idle { idle.push(reader) } else { readers.push(reader) }
        }
        (readers, idle)
    }

    /// Writes everything under faults, then repairs them and waits for all acknowledgements, up to
    /// a bound.
    async fn write(&mut self, writers: Writers) -> Result<(), tokio::time::error::Elapsed> {
        let all = async {
            let mut accepted = Vec::new();
            for writer in writers.workloads {
                accepted.push(writer.await.expect("a writer does not panic"));
            }
            if let Some(conditional) = writers.conditional {
                conditional.await.expect("a writer does not panic");
            }
            accepted
        };
        // Faults go on until the writers have accepted everything, up to a limit.
        let mut all = std::pin::pin!(all);
        let disturbance = Disturbance {
            random: self.random.fork(),
            world: &self.world,
            network: &self.network,
            stream: &self.stream,
            theme: &self.theme,
        };
        let early = tokio::select! {
            biased;
            accepted = &mut all => Some(accepted),
            () = disturbance.run() => None,
        };
        self.heal();
        let rest = async {
            let accepted = match early {
                Some(accepted) => accepted,
                None => all.await,
            };
            for Accepted { acks, writer } in accepted {
                for ack in acks {
                    ack.await.expect("waiting does not panic");
                }
                // The acks are checked.
                drop(writer.close(Duration::from_secs(1)).await);
            }
        };
        // The workload itself may take as long as all of its pauses.
        let pause = self.theme.max_pause + TWIN_PATIENCE;
        let pauses = pause.mul_f64(self.theme.events as f64);
        // After a lost reply a connection may go on, and only the deadline shows it.
        let is_silent = self.theme.has(Kind::Stalls);
        let bound = HEAL_BOUND + if is_silent { DEADLINE } else { Duration::ZERO };
        timeout(bound + pauses, rest).await
    }

    fn heal(&self) {
        disturbance::repair(&self.world, &self.network, &self.theme);
        self.network.heal();
    }

    fn report(self, seen: &Seen) -> Report {
        let Seen { is_late, kept, readings, inspection, bounded, tried } = seen;
        let mut history = self.history.lock();
        for kept in kept {
            history.found(found(kept).expect("an event of a workload"));
        }
        for event in readings.iter().flat_map(|reading| &reading.delivered) {
            let id = id_of(&event.event).expect("an event of a workload");
            history.read(id, (event.segment, event.offset));
        }
        self.note_carried(&mut history);
        for (segment, length) in self.world.open_segments(&self.stream) {
            history.tail(segment, length);
        }
        let counters = self.counters(&history, seen);
        let mut hasher = std::hash::DefaultHasher::new();
        (history.digest(), format!("{counters:?}")).hash(&mut hasher);
        (&bounded.places, format!("{:?}", inspection.cuts), &tried.notes).hash(&mut hasher);
        let mut violations =
            checks::check(&history, self.theme.deadline.unwrap_or(DEADLINE) + SLACK);
        for reading in readings {
            violations.extend(reading::check(&self.world, &self.stream, kept, reading));
        }
        let others = inspection.violations.iter().chain(&bounded.violations);
        violations.extend(others.chain(&tried.violations).cloned());
        let readers = self.theme.readers + u32::from(self.theme.has(Kind::IdleReaders));
        if *is_late {
            let detail = "writes were not done in time after the heal".to_owned();
            violations.push(Violation { check: "C14", detail });
        }
        if readings.len() < readers as usize {
            let detail = "a reader was not done in time".to_owned();
            violations.push(Violation { check: "C14", detail });
        }
        Report {
            violations,
            digest: hasher.finish(),
            counters,
            acknowledged: history.acknowledged(),
        }
    }

    /// Notes what links carried, if any event is in doubt.
    fn note_carried(&self, history: &mut History) {
        if history.failed(Outcome::Unknown) == 0 {
            return;
        }
        let sent = self.network.sent();
        let events = sent.events().into_iter();
        let events = events.map(|(writer, key, number)| EventId { writer, key, number });
        let ends = sent.ended_links().into_iter().map(|ended| ended - self.started);
        history.carried(events.collect(), ends.collect());
    }

    fn counters(&self, history: &History, seen: &Seen) -> BTreeMap<&'static str, u64> {
        let mut counters = self.world.counters();
        counters.extend(&seen.bounded.counters);
        let mut count = |what, times: u64| *counters.entry(what).or_default() += times;
        count("links", self.network.links() as u64);
        count("reader told of a stall", seen.tried.stalls);
        count("event fetched", seen.inspection.fetched);
        for reading in &seen.readings {
            count("reader began at a cut", reading.lives - 1);
            count("reader told of a truncation", reading.truncations);
            count("reader told of a stall", reading.stalls);
            count("reader left alone", reading.pauses);
            count("reader ended with the life of its stream", u64::from(reading.has_died));
            count("reader ended with its stream", u64::from(reading.has_ended));
        }
        count("write failed, not applied", history.failed(Outcome::NotApplied) as u64);
        count("write failed, unknown", history.failed(Outcome::Unknown) as u64);
        count("conditional write succeeded", history.conditional(true) as u64);
        count("conditional write refused", history.conditional(false) as u64);
        self.theme.kinds().for_each(|kind| count(kind.counter(), 1));
        counters
    }
}
