//! A seed as a table that clients agree on: several synchronizers update it over connections that
//! break, while replies are lost, requests are late, the table moves between stores, its removals
//! are cleaned away, and it is deleted and created again.
//!
//! | check | holds |
//! |---|---|
//! | C9 | all updates, and what fetches return, have an order |
//! | C9 | no function runs on some of the changes that were made together |
//! | C14 | every call ends within its limit, and succeeds after the repair |
//! | W1 | every copy is in the end what the table holds |

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use futures_util::TryStreamExt as _;
use pravega_sdk_controller_client::Controller as _;
use pravega_sdk_event_stream::{SeededBug, SegmentContext, codec::Utf8};
use pravega_sdk_segment_client::StoreConfig;
use pravega_sdk_table_synchronizer::{
    SynchronizerConfig, TableConfig, TableKind, TableSegment, TableSynchronizer,
};
use pravega_sdk_types::{Scope, ScopedKeyValueTable, ScopedSegment, SegmentId};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    HEAL_BOUND, LATENCY,
    agreed_load::{Client, KEYS, Shared, Table, name_of},
    disturb,
    linear::{self, PutId, Step, Told, Verdict, Wanted},
    load::patient,
    with_bug,
};
use crate::{
    Report, SimController, SimNetwork, World, client::segment_context_with, link::Faults,
    plan::LinkTheme,
};

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let scenario = Scenario::new(seed, bug);
        let scope: Scope = "sim".parse().expect("a name");
        scenario.controller.create_scope(&scope).await.expect("no fault yet");
        scenario.run().await
    })
}

struct Scenario {
    random: fastrand::Rng,
    stores: usize,
    world: World,
    network: SimNetwork,
    /// Links that never break, for what checks the outcome.
    perfect: SimNetwork,
    controller: Arc<SimController>,
    name: ScopedKeyValueTable,
    config: SynchronizerConfig,
    /// The time that a request to a store takes at most.
    request_timeout: Duration,
    /// The time that a call takes at most.
    limit: Duration,
    max_delay: Duration,
    /// Of a hundred replies to changes, the number that are lost, and of requests, that are late.
    lost_replies: u32,
    late_requests: u32,
    is_recreated: bool,
    shared: Shared,
}

impl Scenario {
    fn new(seed: u64, bug: Option<SeededBug>) -> Self {
        fastrand::seed(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let stores = random.usize(1..4);
        let world = World::with_seed(stores, seed);
        let cuts = if random.bool() { random.u32(20..90) } else { 0 };
        let max_delay = Duration::from_millis(random.u64(0..40));
        let links = LinkTheme { cuts, max_delay, fragments: random.bool() };
        let network = SimNetwork::new(&world, links.plan(random.fork(), world.clone()));
        let slow = || Faults { delay: (Duration::ZERO, LATENCY), ..Faults::default() };
        let perfect = SimNetwork::new(&world, Box::new(move || (slow(), slow())));
        let controller =
            Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
        let request_timeout = Duration::from_millis(random.u64(300..2000));
        let limit = request_timeout * random.u32(2..8);
        let table = TableConfig::default().with_timeout(limit).with_page_size(random.u32(1..6));
        let config = SynchronizerConfig::default().with_table(with_bug(table, bug));
        Self {
            stores,
            perfect,
            controller,
            name: "sim/agreed".parse().expect("a name"),
            config: config.with_max_runs(30),
            request_timeout,
            limit,
            max_delay,
            lost_replies: if random.bool() { random.u32(1..30) } else { 0 },
            late_requests: if random.bool() { random.u32(1..30) } else { 0 },
            is_recreated: random.u32(0..3) == 0,
            shared: Shared::default(),
            random,
            world,
            network,
        }
    }

    fn context(&self, network: &SimNetwork) -> SegmentContext {
        let config = StoreConfig::default().with_request_timeout(self.request_timeout);
        segment_context_with(Arc::clone(&self.controller) as _, network.clone(), config)
    }

    async fn run(mut self) -> Report {
        let clients: Vec<_> = (0..4).map(|_| self.start_client()).collect();
        self.make_faults().await;
        self.network.heal();
        (0..self.stores).for_each(|store| self.world.set_store_up(store, true));
        let mut ended = Vec::new();
        for client in clients {
            match timeout(HEAL_BOUND, client).await {
                Ok(done) => ended.push(done.expect("a client does not panic")),
                Err(_) => self.shared.say("C14", "a client was not done".to_owned()),
            }
        }
        sleep(self.max_delay * 2 + Duration::from_secs(1)).await;
        for (client, table) in &mut ended {
            client.end(table).await;
        }
        let truth = self.read().await;
        for (client, table) in &mut ended {
            client.compare(table, &truth).await;
        }
        self.report()
    }

    fn start_client(&mut self) -> JoinHandle<(Client, Table)> {
        let client = Client {
            context: self.context(&self.network),
            name: self.name.clone(),
            config: self.config.clone(),
            limit: self.limit,
            random: self.random.fork(),
            shared: self.shared.clone(),
            operations: self.random.u32(8..25),
            max_pause: Duration::from_millis(self.random.u64(1..400)),
        };
        tokio::spawn(client.run())
    }

    async fn make_faults(&mut self) {
        for _ in 0..self.random.u32(2..10) {
            let (lost, late) = (self.lost_replies, self.late_requests);
            let disturbed = disturb(&self.world, &mut self.random, lost, late);
            sleep(Duration::from_millis(self.random.u64(1..1500))).await;
            for (hold, what) in disturbed.iter().zip(["table reply lost", "table change late"]) {
                (0..hold.taken()).for_each(|_| self.world.count(what));
            }
            // Late changes take effect now.
            drop(disturbed);
            match self.random.u32(0..5) {
                0 => {
                    let id = SegmentId::from(0);
                    let segment = ScopedSegment::new(&self.name.segment_stream(), id);
                    self.world.move_segment(&segment, self.random.usize(0..self.stores));
                }
                1 => {
                    let store = self.random.usize(0..self.stores);
                    self.world.set_store_up(store, false);
                    self.network.reset(store);
                    self.perfect.reset(store);
                    sleep(Duration::from_millis(self.random.u64(0..1000))).await;
                    self.world.set_store_up(store, true);
                }
                2 if self.is_recreated => self.recreate().await,
                _ => {}
            }
        }
    }

    /// Deletes the table, and creates it again: all keys are removed at once.
    async fn recreate(&mut self) {
        let context = self.context(&self.perfect);
        let opened = TableSegment::open(context.clone(), &self.name, 0.into(), patient()).await;
        let Ok(table) = opened else { return };
        let begun = self.shared.now();
        table.delete().await.expect("the stores answer");
        let gone = (0..KEYS).map(|key| Step { key, wanted: Wanted::Anything, put: None });
        // What is put from here on is in the next table.
        self.shared.note(begun, gone.collect(), Told::Made);
        sleep(Duration::from_millis(self.random.u64(0..300))).await;
        let config = SynchronizerConfig::default().with_table(patient());
        let opened = TableSynchronizer::open(context, &self.name, Utf8, Utf8, config).await;
        drop(opened.expect("the stores answer"));
        self.world.count("agreed table deleted and made again");
    }

    /// The entries of the table as they are stored.
    async fn read(&self) -> [Option<PutId>; KEYS] {
        let context = self.context(&self.perfect);
        let kind = TableKind::Hash;
        let created = TableSegment::create(context, &self.name, 0.into(), kind, patient()).await;
        let (table, _) = created.expect("the stores answer");
        let entries: Vec<_> = table.entries().try_collect().await.expect("the stores answer");
        let stored: BTreeMap<_, _> =
            entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        std::array::from_fn(|key| {
            let stored = stored.get([&[1], name_of(key).as_bytes()].concat().as_slice())?;
            let (1u8, value) = stored.split_first()? else { return None };
            let text = std::str::from_utf8(value).expect("a value of a client");
            Some(text.trim_end_matches('.').parse().expect("a value of a client"))
        })
    }

    fn report(&self) -> Report {
        let mut log = self.shared.lock();
        match linear::check(KEYS, &log.operations, &BTreeMap::new()) {
            Verdict::Linearizable => log.history.count("table in order"),
            Verdict::Undecided => log.history.count("table undecided"),
            Verdict::Impossible { fitted, required } => {
                let detail = format!("{fitted} of {required} operations have an order");
                log.history.say("C9", detail);
            }
        }
        let mut counters = self.world.counters();
        for (what, times) in &log.history.counts {
            *counters.entry(what).or_default() += times;
        }
        let made = counters.get("update made").copied().unwrap_or_default();
        let acknowledged = usize::try_from(made).unwrap_or(usize::MAX);
        let mut hasher = std::hash::DefaultHasher::new();
        (log.history.now(), format!("{counters:?}"), Instant::now().elapsed()).hash(&mut hasher);
        let violations = std::mem::take(&mut log.history.violations);
        Report { violations, digest: hasher.finish(), counters, acknowledged }
    }
}
