//! A seed as a workload with faults: writers, readers, keys, cuts, delays, scales, moves, restarts
//! and outages are all drawn from it.
//!
//! The faults come first. Then everything is repaired, and the writes and reads that are still in
//! progress must end soon.

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_event_stream::{
    EventWriter, LargeEvents, ReaderConfig, SeededBug, WriterConfig, codec::Raw,
};
use pravega_sdk_types::{ScopedSegment, ScopedStream};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    SimController, SimNetwork, World,
    client::segment_context,
    content::Stored,
    history::Violation,
    plan::{LinkTheme, scale},
    reading::{self, ReaderLoad, Reading},
    report::Report,
    workload::{Accepted, MAX_IN_FLIGHT_BYTES, SharedHistory, Workload, found},
};

/// The time that writes in progress may take after the repair. The longest back-off is 2 s here.
const HEAL_BOUND: Duration = Duration::from_secs(12);
/// The time that reading the content may take after that, over slow links and with replies of 40
/// bytes.
const READ_BOUND: Duration = Duration::from_secs(600);
/// The time that a write may take.
const WRITE_BOUND: Duration = Duration::from_secs(125);

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(Scenario::new(seed, bug).run())
}

/// The workload and the kinds of faults of a seed.
#[derive(Debug)]
struct Theme {
    links: LinkTheme,
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

impl Theme {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let mut chance = |percent: u32| random.u32(0..100) < percent;
        let (cuts, fragments, scales, moves) = (chance(60), chance(20), chance(40), chance(25));
        let (restarts, outages, large, slow) = (chance(25), chance(20), chance(30), chance(15));
        let cuts = if cuts { random.u32(20..90) } else { 0 };
        let max_delay =
            Duration::from_millis(if slow { random.u64(100..1500) } else { random.u64(0..30) });
        Self {
            links: LinkTheme { cuts, max_delay, fragments },
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
        }
    }
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
        let theme = Theme::draw(&mut random);
        let world = World::with_seed(theme.stores, seed);
        world.set_ack_delay(Duration::from_micros(random.u64(0..20_000)));
        let stream: ScopedStream = "sim/stream".parse().expect("a name");
        world.create_stream(&stream, theme.segments);
        let network = SimNetwork::new(&world, theme.links.plan(random.fork(), world.clone()));
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
        // Short replies and short reads leave time for faults between them.
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
        let writers = self.start_writers().await;
        let (total, known) = watch::channel(None);
        let readers = self.start_readers(&known);
        if self.write(writers).await.is_err() {
            self.world.count("not done after the heal");
        }
        let stored = self.world.content(&self.stream);
        total.send(Some(stored.len())).ok();
        let mut readings = Vec::new();
        for reader in readers {
            // A reader waits for up to 3 s before it checks whether it has everything.
            match timeout(HEAL_BOUND + READ_BOUND, reader).await {
                Ok(reading) => readings.push(reading.expect("a reader does not panic")),
                Err(_) => self.world.count("reader not done after the heal"),
            }
        }
        self.report(&stored, &readings)
    }

    async fn start_writers(&mut self) -> Vec<JoinHandle<Accepted>> {
        let started = Instant::now();
        let mut writers = Vec::new();
        for number in 0..self.theme.writers {
            let context = segment_context(Arc::clone(&self.controller) as _, self.network.clone());
            let config = self.config.clone().with_seed(self.random.u64(..));
            let writer = EventWriter::open(context, &self.stream, Raw, config)
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
        writers
    }

    fn start_readers(
        &mut self,
        total: &watch::Receiver<Option<usize>>,
    ) -> Vec<JoinHandle<Reading>> {
        let mut readers = Vec::new();
        for _ in 0..self.theme.readers {
            let load = ReaderLoad {
                context: segment_context(Arc::clone(&self.controller) as _, self.network.clone()),
                stream: self.stream.clone(),
                config: self.reader_config.clone(),
                random: self.random.fork(),
                total: total.clone(),
            };
            readers.push(tokio::spawn(load.run()));
        }
        readers
    }

    /// Writes everything under faults, then repairs them and waits for all acknowledgements, up to
    /// a bound.
    async fn write(
        &self,
        writers: Vec<JoinHandle<Accepted>>,
    ) -> Result<(), tokio::time::error::Elapsed> {
        let all = async {
            let mut accepted = Vec::new();
            for writer in writers {
                accepted.push(writer.await.expect("a writer does not panic"));
            }
            accepted
        };
        // Faults go on until the writers have accepted everything, up to a limit.
        let mut all = std::pin::pin!(all);
        let early = tokio::select! {
            biased;
            accepted = &mut all => Some(accepted),
            () = self.make_faults() => None,
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
        let pauses = self.theme.max_pause.mul_f64(self.theme.events as f64);
        timeout(HEAL_BOUND + pauses, rest).await
    }

    fn heal(&self) {
        self.world.finish_scale();
        self.world.set_controller_away(false);
        (0..self.theme.stores).for_each(|store| self.world.set_store_up(store, true));
        self.network.heal();
    }

    /// Makes faults at random times, for half a minute.
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
            history.found(found(stored).expect("an event of a workload"));
        }
        let counters = self.counters(readings);
        let mut hasher = std::hash::DefaultHasher::new();
        (history.digest(), format!("{counters:?}")).hash(&mut hasher);
        let mut violations = history.check(WRITE_BOUND);
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

    fn counters(&self, readings: &[Reading]) -> BTreeMap<&'static str, u64> {
        let mut counters = self.world.counters();
        counters.insert("links", self.network.links() as u64);
        let lives =
            readings.iter().map(|reading| reading.lives).sum::<u64>() - readings.len() as u64;
        counters.insert("reader began at a cut", lives);
        counters
    }
}
