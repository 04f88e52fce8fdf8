//! A seed made a workload with faults: writers, keys, cuts, delays, scales, moves, restarts and
//! outages, all drawn from it.
//!
//! Faults come first; then everything is mended, and whatever is still under way has to end soon.

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_controller_client::{Controller, EndpointCache, TokenCache};
use pravega_sdk_event_stream::{
    Ack, EventWriter, LargeEvents, ReaderConfig, SeededBug, SegmentContext, WriteError,
    WriterConfig, codec::Raw,
};
use pravega_sdk_segment_client::{RawClient, StoreConfig, StoreDialer, StorePool};
use pravega_sdk_types::{KeyRange, ScopedSegment, ScopedStream, SegmentId};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    SimController, SimNetwork, World,
    history::{Ended, EventId, Found, History, Violation},
    link::{Cut, Faults},
    reading::{self, ReaderLoad, Reading},
    world::Stored,
};

/// What came of a seed.
#[derive(Debug)]
pub struct Report {
    /// What is wrong; nothing, if the SDK is right.
    pub violations: Vec<Violation>,
    /// Differs where anything that happened differs.
    pub digest: u64,
    /// What happened, and how often.
    pub counters: BTreeMap<&'static str, u64>,
    /// How many writes were acknowledged.
    pub acknowledged: usize,
}

/// How long what is under way may take once everything is mended. The longest back-off is 2 s here.
const HEAL_BOUND: Duration = Duration::from_secs(12);
/// How long reading what there is may take behind that, with links that are slow and answers of 40
/// bytes.
const READ_BOUND: Duration = Duration::from_secs(600);
const MAX_IN_FLIGHT_BYTES: usize = 16 * 1024;
const MIN_COST: usize = 512;

/// Runs a seed.
///
/// # Panics
///
/// If there is no runtime to be had.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(Scenario::new(seed, bug).run())
}

/// The parts of a client of `world`, over `network`.
#[must_use]
pub fn stream_parts(controller: Arc<dyn Controller>, network: SimNetwork) -> SegmentContext {
    let dialer = StoreDialer::with_transport(StoreConfig::default(), Arc::new(network));
    let endpoints = Arc::new(EndpointCache::new(Arc::clone(&controller)));
    let tokens = Arc::new(TokenCache::new(Arc::clone(&controller)));
    let pool = StorePool::new(dialer);
    SegmentContext::new(controller, endpoints, tokens, RawClient::with_pool(pool.clone()), pool)
}

/// Which kinds of faults a seed has, and how many.
#[derive(Debug)]
struct Theme {
    /// Of a hundred links, how many are cut somewhere.
    cuts: u32,
    max_delay: Duration,
    fragments: bool,
    scales: bool,
    moves: bool,
    restarts: bool,
    outages: bool,
    large: bool,
    stores: usize,
    segments: u32,
    writers: u32,
    keys: usize,
    events: u64,
    max_pause: Duration,
    readers: u32,
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
    history: SharedHistory,
}

impl Scenario {
    fn new(seed: u64, bug: Option<SeededBug>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut chance = |percent: u32| random.u32(0..100) < percent;
        let (cuts, fragments, scales, moves) = (chance(60), chance(20), chance(40), chance(25));
        let (restarts, outages, large, slow) = (chance(25), chance(20), chance(30), chance(15));
        let theme = Theme {
            cuts: if cuts { random.u32(20..90) } else { 0 },
            max_delay: Duration::from_millis(if slow {
                random.u64(100..1500)
            } else {
                random.u64(0..30)
            }),
            fragments,
            scales,
            moves,
            restarts,
            outages,
            large,
            stores: random.usize(1..4),
            segments: random.u32(1..5),
            writers: random.u32(1..3),
            keys: random.usize(1..6),
            events: random.u64(30..150),
            max_pause: Duration::from_millis(random.u64(0..120)),
            readers: random.u32(0..3),
        };
        let world = World::new(theme.stores);
        world.set_ack_delay(Duration::from_micros(random.u64(0..20_000)));
        let stream: ScopedStream = "sim/stream".parse().expect("a name");
        world.create_stream(&stream, theme.segments);
        let network = SimNetwork::new(
            &world,
            Box::new(plan(
                theme.cuts,
                theme.max_delay,
                theme.fragments,
                random.fork(),
                world.clone(),
            )),
        );
        let controller =
            Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
        let mut config = WriterConfig::default()
            .with_max_in_flight_bytes(MAX_IN_FLIGHT_BYTES)
            .with_max_block_bytes([64, 700, 1 << 20][random.usize(0..3)])
            .with_max_blocks_in_flight(random.usize(1..9))
            .with_backoff(Duration::from_millis(20), Duration::from_secs(2));
        if theme.large {
            config = config.with_max_event_bytes(400).with_large_events(LargeEvents::UpTo(8000));
        }
        // Short answers and short reads: much of what can happen happens between them.
        world.set_max_reply([None, Some(random.usize(40..800))][random.usize(0..2)]);
        let max_read = [40, 150, 1000, 1 << 20][random.usize(0..4)];
        let mut reader_config = ReaderConfig::default()
            .with_max_read_bytes(max_read)
            .with_backoff(Duration::from_millis(20), Duration::from_secs(2));
        if let Some(bug) = bug {
            config = config.with_seeded_bug(bug);
            reader_config = reader_config.with_seeded_bug(bug);
        }
        let history = SharedHistory::default();
        Self { random, theme, world, network, controller, stream, config, reader_config, history }
    }

    async fn run(mut self) -> Report {
        let started = Instant::now();
        let mut writers = Vec::new();
        for number in 0..self.theme.writers {
            let parts = stream_parts(Arc::clone(&self.controller) as _, self.network.clone());
            let config = self.config.clone().with_seed(self.random.u64(..));
            let writer = EventWriter::open(parts, &self.stream, Raw, config)
                .await
                .expect("a stream to write to");
            let workload = Workload {
                writer,
                number,
                random: self.random.fork(),
                keys: self.theme.keys,
                events: self.theme.events,
                max_pause: self.theme.max_pause,
                large: self.theme.large,
                history: self.history.clone(),
                started,
            };
            writers.push(tokio::spawn(workload.run()));
        }
        let (total, known) = watch::channel(None);
        let mut readers = Vec::new();
        for _ in 0..self.theme.readers {
            let load = ReaderLoad {
                parts: stream_parts(Arc::clone(&self.controller) as _, self.network.clone()),
                stream: self.stream.clone(),
                config: self.reader_config.clone(),
                random: self.random.fork(),
                total: known.clone(),
            };
            readers.push(tokio::spawn(load.run()));
        }
        let healed = {
            let faults = self.make_faults();
            let all = async {
                let mut acks = Vec::new();
                for writer in writers {
                    acks.push(writer.await.expect("a writer does not panic"));
                }
                acks
            };
            // Faults go on until everything was handed in, but not for ever.
            let mut all = std::pin::pin!(all);
            let early = tokio::select! {
                biased;
                acks = &mut all => Some(acks),
                () = faults => None,
            };
            self.heal();
            let rest = async {
                let acks = match early {
                    Some(acks) => acks,
                    None => all.await,
                };
                for (acks, writer) in acks {
                    for ack in acks {
                        ack.await.expect("waiting does not panic");
                    }
                    // The acks are checked.
                    drop(writer.close(Duration::from_secs(1)).await);
                }
            };
            // Handing in may itself take as long as all the pauses in it.
            let pauses = self.theme.max_pause.mul_f64(self.theme.events as f64);
            timeout(HEAL_BOUND + pauses, rest).await
        };
        if healed.is_err() {
            self.world.count("not done after the heal");
        }
        let stored = self.world.content(&self.stream);
        total.send(Some(stored.len())).ok();
        let mut readings = Vec::new();
        for reader in readers {
            // Each waits for up to 3 s in vain before it looks whether it is done.
            match timeout(HEAL_BOUND + READ_BOUND, reader).await {
                Ok(reading) => readings.push(reading.expect("a reader does not panic")),
                Err(_) => self.world.count("reader not done after the heal"),
            }
        }
        self.report(&stored, &readings)
    }

    fn heal(&self) {
        self.world.finish_scale();
        self.world.set_controller_away(false);
        (0..self.theme.stores).for_each(|store| self.world.set_store_up(store, true));
        self.network.heal();
    }

    /// Things go wrong at random times, for half a minute.
    async fn make_faults(&self) {
        let mut random = self.random.clone();
        for _ in 0..random.u32(1..25) {
            sleep(Duration::from_millis(random.u64(1..600))).await;
            match random.u32(0..4) {
                0 if self.theme.scales => scale(&self.world, &self.stream, &mut random).await,
                1 if self.theme.moves => {
                    for segment in self.world.active_segments(&self.stream) {
                        if random.bool() {
                            let name = ScopedSegment::new(&self.stream, segment.id);
                            self.world.move_segment(&name, random.usize(0..self.theme.stores));
                        }
                    }
                }
                2 if self.theme.restarts => {
                    let store = random.usize(0..self.theme.stores);
                    self.world.set_store_up(store, false);
                    self.network.reset(store);
                    sleep(Duration::from_millis(random.u64(0..4000))).await;
                    self.world.set_store_up(store, true);
                }
                3 if self.theme.outages => {
                    self.world.set_controller_away(true);
                    sleep(Duration::from_millis(random.u64(100..20_000))).await;
                    self.world.set_controller_away(false);
                }
                _ => {}
            }
        }
    }

    fn report(self, stored: &[Stored], readings: &[Reading]) -> Report {
        let mut history = self.history.lock();
        for stored in stored {
            let id = parse(&stored.event).expect("an event of ours");
            history.found(Found {
                id,
                hash: hash(&stored.event),
                place: (stored.segment, stored.offset),
            });
        }
        let mut counters = self.world.counters();
        counters.insert("links", self.network.links() as u64);
        let lives =
            readings.iter().map(|reading| reading.lives).sum::<u64>() - readings.len() as u64;
        counters.insert("reader began at a cut", lives);
        let mut hasher = std::hash::DefaultHasher::new();
        (history.digest(), format!("{counters:?}")).hash(&mut hasher);
        let mut violations = history.check(Duration::from_secs(125));
        for reading in readings {
            for event in &reading.delivered {
                (event.segment, event.offset).hash(&mut hasher);
            }
            violations.extend(reading::check(&self.world, &self.stream, stored, reading));
        }
        if readings.len() < self.theme.readers as usize {
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
}

/// Splits a segment, or merges two neighbours. Between its two steps segments are sealed and have
/// no successors.
pub(crate) async fn scale(world: &World, stream: &ScopedStream, random: &mut fastrand::Rng) {
    let mut active = world.active_segments(stream);
    active.sort_by(|a, b| a.range.low().total_cmp(&b.range.low()));
    let at = random.usize(0..active.len());
    let (sealed, ranges): (Vec<SegmentId>, Vec<KeyRange>) = match active.get(at + 1) {
        Some(next) if random.bool() => {
            let range =
                KeyRange::new(active[at].range.low(), next.range.high()).expect("neighbours");
            (vec![active[at].id, next.id], vec![range])
        }
        _ => (vec![active[at].id], active[at].range.split(random.u32(1..4))),
    };
    world.begin_scale(stream, sealed, ranges);
    sleep(Duration::from_millis(random.u64(0..500))).await;
    world.finish_scale();
}

/// What each new link has to suffer.
pub(crate) fn plan(
    cuts: u32,
    max_delay: Duration,
    fragments: bool,
    mut random: fastrand::Rng,
    world: World,
) -> impl FnMut() -> (Faults, Faults) + Send + use<> {
    move || {
        let mut direction = || {
            let mut faults = Faults { seed: random.u64(..), ..Faults::default() };
            faults.delay = (Duration::ZERO, max_delay.mul_f64(random.f64()));
            if fragments && random.bool() {
                faults.fragment = Some(random.usize(1..40));
            }
            // Half as many for each direction.
            if random.u32(0..200) < cuts {
                let (cut, name) = match random.u32(0..8) {
                    0..4 => (Cut::Fin, "cut: fin"),
                    4..7 => (Cut::Reset, "cut: reset"),
                    _ => (Cut::Silence, "cut: silence"),
                };
                world.count(name);
                faults.cut = Some((random.u64(0..6000), cut));
            }
            faults
        };
        (direction(), direction())
    }
}

/// What one writer writes.
struct Workload {
    writer: EventWriter<Raw>,
    number: u32,
    random: fastrand::Rng,
    keys: usize,
    events: u64,
    max_pause: Duration,
    large: bool,
    history: SharedHistory,
    started: Instant,
}

type Waiting = Vec<tokio::task::JoinHandle<()>>;
/// Acks, and the room that each takes.
type UnderWay = Vec<(Arc<Ack>, usize)>;

impl Workload {
    async fn run(mut self) -> (Waiting, EventWriter<Raw>) {
        let mut waiting = Waiting::new();
        let mut numbers = vec![0_u64; self.keys];
        let mut under_way = UnderWay::default();
        for _ in 0..self.events {
            if self.random.u32(0..4) == 0 {
                sleep(self.max_pause.mul_f64(self.random.f64())).await;
            }
            let at = self.random.usize(0..self.keys);
            let key = format!("key-{at}");
            let batch = if self.random.u32(0..10) == 0 { self.random.u64(1..5) } else { 1 };
            let ids: Vec<EventId> = (numbers[at]..numbers[at] + batch)
                .map(|number| EventId { writer: self.number, key: key.clone(), number })
                .collect();
            numbers[at] += batch;
            let events: Vec<Bytes> = ids.iter().map(|id| self.event(id)).collect();
            let cost = events.iter().map(|event| event.len() + 8).sum::<usize>().max(MIN_COST);
            for (id, event) in ids.iter().zip(&events) {
                self.history.lock().begin(id.clone(), hash(event), self.started.elapsed());
            }
            let enqueued = match &events[..] {
                [event] => self.writer.enqueue(&key, event.clone()).await,
                _ => self.writer.enqueue_batch(&key, events).await,
            };
            match enqueued {
                Ok(ack) => {
                    let told = self.writer_side(ids, ack, &mut under_way, cost);
                    waiting.push(told);
                }
                Err(error) => tell(&self.history, &ids, &Err(error), self.started),
            }
        }
        if self.random.bool() {
            self.writer.flush().await.ok();
        }
        (waiting, self.writer)
    }

    /// Waits for an ack beside the workload, and looks at what is under way.
    fn writer_side(
        &mut self,
        ids: Vec<EventId>,
        ack: Ack,
        under_way: &mut UnderWay,
        cost: usize,
    ) -> tokio::task::JoinHandle<()> {
        let ack = Arc::new(ack);
        under_way.retain(|(ack, _)| ack.result().is_none());
        under_way.push((Arc::clone(&ack), cost.min(MAX_IN_FLIGHT_BYTES)));
        let used: usize = under_way.iter().map(|(_, cost)| cost).sum();
        self.history.lock().resource("bytes in flight", used as u64, MAX_IN_FLIGHT_BYTES as u64);
        let (history, started) = (self.history.clone(), self.started);
        tokio::spawn(async move {
            let result = (&*ack).await.map(|appended| {
                appended.offset().map(|offset| (appended.segment().id(), offset.0))
            });
            tell(&history, &ids, &result, started);
        })
    }

    fn event(&mut self, id: &EventId) -> Bytes {
        let filler = match self.random.u32(0..20) {
            0 if self.large => self.random.usize(400..2500),
            1 => 350,
            _ => self.random.usize(0..60),
        };
        format!("{}|{}|{}|{}", id.writer, id.key, id.number, "x".repeat(filler)).into()
    }
}

fn tell(
    history: &SharedHistory,
    ids: &[EventId],
    result: &Result<Option<(SegmentId, i64)>, WriteError>,
    started: Instant,
) {
    let now = started.elapsed();
    for (at, id) in ids.iter().enumerate() {
        let ended = match result {
            // The place of a batch is that of its first event.
            Ok(place) => Ended::Acknowledged(place.filter(|_| at == 0)),
            Err(error) => Ended::Failed(error.outcome()),
        };
        history.lock().end(id, ended, now);
    }
}

#[derive(Debug, Clone, Default)]
struct SharedHistory(Arc<Mutex<History>>);

impl SharedHistory {
    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(event: &[u8]) -> Option<EventId> {
    let text = std::str::from_utf8(event).ok()?;
    let mut parts = text.splitn(4, '|');
    let (writer, key, number) = (parts.next()?, parts.next()?, parts.next()?);
    Some(EventId {
        writer: writer.parse().ok()?,
        key: key.to_owned(),
        number: number.parse().ok()?,
    })
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
