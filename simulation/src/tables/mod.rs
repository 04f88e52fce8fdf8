//! A seed as tables with faults: clients change and read the same keys of a key-value table over
//! connections that break, while replies are lost, requests are late, partitions move, and the
//! table is deleted and created again. Beside them a watch follows the table, and a reader of
//! changes follows a hash table.
//!
//! | check | holds |
//! |---|---|
//! | C9, C11 | those of `history` |
//! | C14 | every call ends within its limit, and every client is done after the repair |
//! | W1 | a watch, and a reader of changes, know in the end what the table holds |

pub mod agreed;
mod agreed_load;
mod follow;
mod history;
mod linear;
mod load;

use std::{
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_controller_client::{Controller as _, KeyValueTableConfiguration};
use pravega_sdk_event_stream::{SeededBug, SegmentContext};
use pravega_sdk_segment_client::StoreConfig;
use pravega_sdk_table_synchronizer::{KeyValueTable, TableConfig, Values};
use pravega_sdk_types::{Scope, ScopedKeyValueTable, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use self::{
    follow::{Follower, QUIET, Watcher},
    history::Shared,
    load::{Client, Opened, SECONDARIES, patient, scan},
};
use crate::{
    Hold, Report, SimController, SimNetwork, World, client::segment_context_with, link::Faults,
    plan::LinkTheme,
};

/// The time that everything may take after the repair.
const HEAL_BOUND: Duration = Duration::from_secs(600);

/// The longest delay on links that never break.
const LATENCY: Duration = Duration::from_millis(3);

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
        scenario.create_table().await;
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
    configuration: KeyValueTableConfiguration,
    config: TableConfig,
    bug: Option<SeededBug>,
    /// The time that a request to a store takes at most.
    request_timeout: Duration,
    /// The time that a call takes at most.
    limit: Duration,
    max_delay: Duration,
    /// Of a hundred replies to changes, the number that are lost, and of requests, that are late.
    lost_replies: u32,
    late_requests: u32,
    is_recreated: bool,
    history: Shared,
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
        let request_timeout = Duration::from_millis(random.u64(200..2000));
        let limit = request_timeout * random.u32(1..6);
        let values = if random.bool() { Values::Unique } else { Values::MayRepeat };
        let config = TableConfig::default()
            .with_timeout(limit)
            .with_values(values)
            .with_page_size(random.u32(1..6));
        let configuration =
            KeyValueTableConfiguration::new(random.u32(1..4), 1).with_secondary_key_length(1);
        Self {
            stores,
            perfect,
            controller,
            name: "sim/table".parse().expect("a name"),
            configuration,
            config: with_bug(config, bug),
            bug,
            request_timeout,
            limit,
            max_delay,
            lost_replies: if random.bool() { random.u32(1..30) } else { 0 },
            late_requests: if random.bool() { random.u32(1..30) } else { 0 },
            is_recreated: random.u32(0..3) == 0,
            history: Shared::default(),
            random,
            world,
            network,
        }
    }

    async fn create_table(&self) {
        let scope: Scope = "sim".parse().expect("a name");
        self.controller.create_scope(&scope).await.expect("no fault yet");
        let created = self.controller.create_key_value_table(&self.name, &self.configuration);
        created.await.expect("no fault yet");
    }

    fn context(&self, network: &SimNetwork) -> SegmentContext {
        let config = StoreConfig::default().with_request_timeout(self.request_timeout);
        segment_context_with(Arc::clone(&self.controller) as _, network.clone(), config)
    }

    async fn run(mut self) -> Report {
        let clients: Vec<JoinHandle<()>> = (0..5).map(|_| self.start_client()).collect();
        let perfect = self.context(&self.perfect);
        // A bug of the checker's clients would show as one of the others.
        let watcher = Watcher::start(perfect.clone(), &self.name, with_bug(patient(), self.bug));
        let config = with_bug(patient().with_page_size(2), self.bug);
        let follower = Follower::start(perfect.clone(), config, self.random.fork()).await;
        self.make_faults().await;
        self.network.heal();
        (0..self.stores).for_each(|store| self.world.set_store_up(store, true));
        for client in clients {
            match timeout(HEAL_BOUND, client).await {
                Ok(done) => done.expect("a client does not panic"),
                Err(_) => self.history.lock().say("C14", "a client was not done".to_owned()),
            }
        }
        sleep(self.max_delay * 2 + Duration::from_secs(1)).await;
        self.check_end(perfect).await;
        sleep(QUIET).await;
        watcher.check(&self.history).await;
        follower.check(&self.history).await;
        self.report()
    }

    fn start_client(&mut self) -> JoinHandle<()> {
        let client = Client {
            context: self.context(&self.network),
            name: self.name.clone(),
            config: self.config.clone(),
            limit: self.limit,
            random: self.random.fork(),
            history: self.history.clone(),
            operations: self.random.u32(10..50),
            max_pause: Duration::from_millis(self.random.u64(1..200)),
        };
        tokio::spawn(client.run())
    }

    fn disturb(&mut self) -> Vec<Hold> {
        disturb(&self.world, &mut self.random, self.lost_replies, self.late_requests)
    }

    async fn make_faults(&mut self) {
        for _ in 0..self.random.u32(2..12) {
            let disturbed = self.disturb();
            sleep(Duration::from_millis(self.random.u64(1..1500))).await;
            for (hold, what) in disturbed.iter().zip(["table reply lost", "table change late"]) {
                (0..hold.taken()).for_each(|_| self.world.count(what));
            }
            // Late changes take effect now.
            drop(disturbed);
            match self.random.u32(0..5) {
                0 => {
                    let number = self.random.i64(0..3);
                    let segment =
                        ScopedSegment::new(&self.name.segment_stream(), SegmentId::from(number));
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

    async fn recreate(&mut self) {
        let deleted = self.controller.delete_key_value_table(&self.name).await;
        deleted.expect("the controller answers");
        sleep(Duration::from_millis(self.random.u64(0..300))).await;
        let created = self.controller.create_key_value_table(&self.name, &self.configuration);
        created.await.expect("the controller answers");
        self.world.count("table deleted and made again");
    }

    /// Reads everything over links that work.
    async fn check_end(&self, context: SegmentContext) {
        let opened = KeyValueTable::open(context, &self.name, patient()).await;
        let mut opened = Opened::new(opened.expect("the controller answers"));
        if let Err(kind) = scan(&mut opened, None, &self.history).await {
            self.history.lock().say("C14", format!("the table cannot be read: {kind:?}"));
        }
        self.history.lock().check(usize::from(SECONDARIES));
    }

    fn report(&self) -> Report {
        let mut history = self.history.lock();
        let mut counters = self.world.counters();
        for (what, times) in &history.counts {
            *counters.entry(what).or_default() += times;
        }
        let made = counters.get("table change made").copied().unwrap_or_default();
        let acknowledged = usize::try_from(made).unwrap_or(usize::MAX);
        let mut hasher = std::hash::DefaultHasher::new();
        (history.now(), format!("{counters:?}"), Instant::now().elapsed()).hash(&mut hasher);
        let violations = std::mem::take(&mut history.violations);
        Report { violations, digest: hasher.finish(), counters, acknowledged }
    }
}

/// Loses replies to changes, and holds changes back, so many of a hundred, until the result is
/// dropped.
fn disturb(world: &World, random: &mut fastrand::Rng, lost: u32, late: u32) -> Vec<Hold> {
    let mut draws = random.fork();
    let losing = world.lose_replies(move |departure| {
        let is_change = matches!(
            departure.reply,
            WireCommand::TableEntriesUpdated(_)
                | WireCommand::TableKeysRemoved(_)
                | WireCommand::TableKeyBadVersion(_)
        );
        is_change && draws.u32(0..100) < lost
    });
    let mut draws = random.fork();
    let holding = world.hold(move |arrival| {
        let is_change = matches!(
            arrival.command,
            WireCommand::UpdateTableEntries(_) | WireCommand::RemoveTableKeys(_)
        );
        is_change && draws.u32(0..100) < late
    });
    vec![losing, holding]
}

fn with_bug(config: TableConfig, bug: Option<SeededBug>) -> TableConfig {
    match bug {
        Some(bug) => config.with_seeded_bug(bug),
        None => config,
    }
}
