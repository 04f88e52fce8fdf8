//! What the scenarios of tables and states share: a cluster whose links break, what disturbs it,
//! and the end of a run.

use std::{
    hash::{Hash as _, Hasher as _},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use pravega_sdk_controller_client::Controller as _;
use pravega_sdk_event_stream::{SeededBug, SegmentContext};
use pravega_sdk_segment_client::StoreConfig;
use pravega_sdk_table_synchronizer::TableConfig;
use pravega_sdk_types::{Scope, ScopedKeyValueTable, ScopedSegment, ScopedStream, SegmentId};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::history::History;
use crate::{
    Hold, Report, SimController, SimNetwork, World, client::segment_context_with, link::Faults,
    plan::LinkTheme,
};

/// The time that everything may take after the repair.
const HEAL_BOUND: Duration = Duration::from_secs(600);

/// The longest delay on links that never break.
const LATENCY: Duration = Duration::from_millis(3);

/// What clients change in a scenario.
pub(super) struct About {
    /// The stream whose segments it is stored in.
    pub(super) segments: ScopedStream,
    /// Returns true for a request that changes it.
    pub(super) is_change: fn(&WireCommand) -> bool,
    /// Returns true for a reply to such a request.
    pub(super) is_reply: fn(&WireCommand) -> bool,
    /// The counters of replies that were lost, and of requests that were late.
    pub(super) counters: [&'static str; 2],
}

impl About {
    pub(super) fn table(name: &ScopedKeyValueTable) -> Self {
        Self {
            segments: name.segment_stream(),
            is_change: |command| {
                matches!(
                    command,
                    WireCommand::UpdateTableEntries(_) | WireCommand::RemoveTableKeys(_)
                )
            },
            is_reply: |reply| {
                matches!(
                    reply,
                    WireCommand::TableEntriesUpdated(_)
                        | WireCommand::TableKeysRemoved(_)
                        | WireCommand::TableKeyBadVersion(_)
                )
            },
            counters: ["table reply lost", "table change late"],
        }
    }
}

/// A cluster with what clients change, and what happens to both.
pub(super) struct Stage {
    pub(super) random: fastrand::Rng,
    pub(super) world: World,
    pub(super) network: SimNetwork,
    /// Links that never break, for what checks the outcome.
    pub(super) perfect: SimNetwork,
    pub(super) controller: Arc<SimController>,
    about: About,
    /// The time that a call takes at most.
    pub(super) limit: Duration,
    stores: usize,
    /// The time that a request to a store takes at most.
    request_timeout: Duration,
    max_delay: Duration,
    /// Of a hundred replies to changes, the number that are lost, and of requests, that are late.
    lost_replies: u32,
    late_requests: u32,
    is_recreated: bool,
}

/// The times of a scenario, from which those of a seed are drawn.
pub(super) struct Times {
    /// The time that a request to a store takes at most, in milliseconds.
    pub(super) request_millis: Range<u64>,
    /// Number of such requests in the time that a call takes at most.
    pub(super) requests: Range<u32>,
}

impl Stage {
    /// Draws a cluster for a seed. `draw` draws the settings of the scenario, which may depend on
    /// the time that a call takes at most.
    pub(super) fn new<T>(
        seed: u64,
        about: About,
        times: Times,
        draw: impl FnOnce(&mut fastrand::Rng, Duration) -> T,
    ) -> (Self, T) {
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
        let request_timeout = Duration::from_millis(random.u64(times.request_millis));
        let limit = request_timeout * random.u32(times.requests);
        let settings = draw(&mut random, limit);
        let stage = Self {
            perfect,
            controller,
            about,
            limit,
            stores,
            request_timeout,
            max_delay,
            lost_replies: if random.bool() { random.u32(1..30) } else { 0 },
            late_requests: if random.bool() { random.u32(1..30) } else { 0 },
            is_recreated: random.u32(0..3) == 0,
            random,
            world,
            network,
        };
        (stage, settings)
    }

    pub(super) async fn create_scope(&self) {
        let scope: Scope = "sim".parse().expect("a name");
        self.controller.create_scope(&scope).await.expect("no fault yet");
    }

    pub(super) fn context(&self, network: &SimNetwork) -> SegmentContext {
        let config = StoreConfig::default().with_request_timeout(self.request_timeout);
        segment_context_with(Arc::clone(&self.controller) as _, network.clone(), config)
    }

    /// Disturbs the clients for a while. Returns true if what they change should be deleted and
    /// created again now.
    /// `segment` chooses the segment that moves.
    pub(super) async fn disturb(&mut self, segment: fn(&mut fastrand::Rng) -> i64) -> bool {
        let disturbed = self.lose_and_hold();
        sleep(Duration::from_millis(self.random.u64(1..1500))).await;
        for (hold, what) in disturbed.iter().zip(self.about.counters) {
            (0..hold.taken()).for_each(|_| self.world.count(what));
        }
        // Late changes take effect now.
        drop(disturbed);
        match self.random.u32(0..5) {
            0 => {
                let id = SegmentId::from(segment(&mut self.random));
                let segment = ScopedSegment::new(&self.about.segments, id);
                self.world.move_segment(&segment, self.random.usize(0..self.stores));
            }
            1 => self.stop_a_store().await,
            2 => return self.is_recreated,
            _ => {}
        }
        false
    }

    async fn stop_a_store(&mut self) {
        let store = self.random.usize(0..self.stores);
        self.world.set_store_up(store, false);
        self.network.reset(store);
        self.perfect.reset(store);
        sleep(Duration::from_millis(self.random.u64(0..1000))).await;
        self.world.set_store_up(store, true);
    }

    /// Loses replies to changes, and holds changes back, until the result is dropped.
    fn lose_and_hold(&mut self) -> [Hold; 2] {
        let (lost, late) = (self.lost_replies, self.late_requests);
        let (is_change, is_reply) = (self.about.is_change, self.about.is_reply);
        let mut draws = self.random.fork();
        let losing = self
            .world
            .lose_replies(move |departure| is_reply(departure.reply) && draws.u32(0..100) < lost);
        let mut draws = self.random.fork();
        let holding =
            self.world.hold(move |arrival| is_change(arrival.command) && draws.u32(0..100) < late);
        [losing, holding]
    }

    /// Repairs the cluster, and waits for the clients and for what is under way. `late` notes a
    /// client that does not end.
    pub(super) async fn repair<T>(
        &self,
        clients: Vec<JoinHandle<T>>,
        late: impl Fn(&'static str, String),
    ) -> Vec<T> {
        self.network.heal();
        (0..self.stores).for_each(|store| self.world.set_store_up(store, true));
        let mut ended = Vec::new();
        for client in clients {
            match timeout(HEAL_BOUND, client).await {
                Ok(done) => ended.push(done.expect("a client does not panic")),
                Err(_) => late("C14", "a client was not done".to_owned()),
            }
        }
        sleep(self.max_delay * 2 + Duration::from_secs(1)).await;
        ended
    }

    /// Reports what happened; `made` is the counter of the changes that were acknowledged.
    pub(super) fn report(&self, history: &mut History, made: &str) -> Report {
        let mut counters = self.world.counters();
        for (what, times) in &history.counts {
            *counters.entry(what).or_default() += times;
        }
        let made = counters.get(made).copied().unwrap_or_default();
        let acknowledged = usize::try_from(made).unwrap_or(usize::MAX);
        let mut hasher = std::hash::DefaultHasher::new();
        (history.now(), format!("{counters:?}"), Instant::now().elapsed()).hash(&mut hasher);
        let violations = std::mem::take(&mut history.violations);
        Report { violations, digest: hasher.finish(), counters, acknowledged }
    }
}

/// Runs a scenario on a runtime whose time advances only while all tasks wait.
pub(super) fn block_on(scenario: impl Future<Output = Report>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(scenario)
}

pub(super) fn with_bug(config: TableConfig, bug: Option<SeededBug>) -> TableConfig {
    match bug {
        Some(bug) => config.with_seeded_bug(bug),
        None => config,
    }
}
