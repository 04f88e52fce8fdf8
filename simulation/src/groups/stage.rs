//! The cluster, the group, and what happens to both.

use std::{
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use pravega_sdk_event_stream::{
    SegmentContext,
    group::{GroupInit, GroupStore, GroupUpdate},
};
use pravega_sdk_segment_client::StoreConfig;
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{
    Offset, Position, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment, ScopedStream,
};
use pravega_sdk_wire_protocol::{WireCommand, event};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    checks::check,
    log::{Shared, steps},
    readers::{End, Life},
};
use crate::{
    Hold, Report, SimController, SimNetwork, World,
    client::segment_context_with,
    link::Faults,
    plan::{LinkTheme, scale},
};

/// The time that everything may take after the repair.
const HEAL_BOUND: Duration = Duration::from_secs(600);
/// The longest delay on links that never break.
const LATENCY: Duration = Duration::from_millis(3);

pub(super) struct Stage {
    random: fastrand::Rng,
    world: World,
    network: SimNetwork,
    /// Links that never break, for what checks the outcome.
    perfect: SimNetwork,
    controller: Arc<SimController>,
    stream: ScopedStream,
    group: ScopedReaderGroup,
    shared: Shared,
    begun: Instant,
    stores: usize,
    segments: u32,
    refresh: Duration,
    checkpoints: Duration,
    /// The time that a request takes at most.
    limit: Duration,
    lost_replies: u32,
    readers: u32,
    next_reader: u32,
    next_event: u64,
}

impl Stage {
    pub(super) fn new(seed: u64) -> Self {
        fastrand::seed(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let stores = random.usize(1..4);
        let world = World::with_seed(stores, seed);
        let cuts = if random.bool() { random.u32(10..60) } else { 0 };
        let max_delay = Duration::from_millis(random.u64(0..40));
        let links = LinkTheme { cuts, max_delay, fragments: random.u32(0..4) == 0 };
        let network = SimNetwork::new(&world, links.plan(random.fork(), world.clone()));
        let slow = || Faults { delay: (Duration::ZERO, LATENCY), ..Faults::default() };
        let perfect = SimNetwork::new(&world, Box::new(move || (slow(), slow())));
        let controller =
            Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
        Self {
            perfect,
            controller,
            stream: "sim/events".parse().expect("a name"),
            group: "sim/readers".parse().expect("a name"),
            shared: Shared::default(),
            begun: Instant::now(),
            stores,
            segments: random.u32(1..13),
            refresh: Duration::from_millis(random.u64(200..2000)),
            checkpoints: Duration::from_millis(random.u64(500..4000)),
            limit: Duration::from_millis(random.u64(2000..10_000)),
            lost_replies: if random.bool() { random.u32(1..20) } else { 0 },
            readers: random.u32(1..7),
            next_reader: 0,
            next_event: 0,
            random,
            world,
            network,
        }
    }

    fn context(&self, network: &SimNetwork) -> SegmentContext {
        let config = StoreConfig::default().with_request_timeout(self.limit / 3);
        segment_context_with(Arc::clone(&self.controller) as _, network.clone(), config)
    }

    async fn store(&self) -> GroupStore {
        let opened =
            GroupStore::open(self.context(&self.perfect), &self.group, StateConfig::default());
        let mut store = opened.await.expect("the stores answer");
        store.fetch().await.expect("the stores answer");
        store
    }

    async fn create_group(&self) {
        self.world.create_stream(&self.stream, self.segments);
        self.world.create_stream(&self.group.state_stream(), 1);
        let configuration = ReaderGroupConfiguration::new([self.stream.clone()])
            .expect("a stream")
            .with_refresh_interval(self.refresh)
            .with_automatic_checkpoint_interval(Some(self.checkpoints));
        let starts = self.world.active_segments(&self.stream).into_iter().map(|segment| {
            let segment = ScopedSegment::new(&self.stream, segment.id);
            (segment.into(), Offset(0).into())
        });
        let init = GroupInit::new(configuration, starts);
        self.store().await.initialize(init).await.expect("the stores answer");
    }

    pub(super) async fn run(mut self) -> Report {
        self.create_group().await;
        let mut lives = JoinSet::new();
        for _ in 0..self.readers {
            let until = self.lifetime();
            self.start(&mut lives, until);
        }
        let mut finished = false;
        for _ in 0..self.random.u32(10..30) {
            self.write();
            self.disturb().await;
            while let Some(ended) = lives.try_join_next() {
                let (id, end) = ended.expect("a reader does not panic");
                finished |= self.handle_end(id, end).await;
                let until = self.lifetime();
                self.start(&mut lives, until);
            }
        }
        self.repair();
        let ends = timeout(HEAL_BOUND, self.settle(lives)).await;
        if ends.is_err() || finished {
            self.shared.say("C14", format!("readers were not done, or too early: {finished}"));
        }
        let context = self.context(&self.perfect);
        let steps = steps(context, &self.group.state_stream(), &self.shared).await;
        let stored = self.world.all_content(&self.stream);
        let grace = self.refresh + self.limit * 2;
        check(&self.shared, &self.stream, &steps, &stored, grace);
        self.report()
    }

    fn lifetime(&mut self) -> Option<Duration> {
        Some(self.begun.elapsed() + Duration::from_millis(self.random.u64(100..30_000)))
    }

    fn start(&mut self, lives: &mut JoinSet<(String, End)>, until: Option<Duration>) {
        let id = format!("reader-{}", self.next_reader);
        self.next_reader += 1;
        let life = Life {
            context: self.context(&self.network),
            group: self.group.clone(),
            id,
            world: self.world.clone(),
            shared: self.shared.clone(),
            random: self.random.fork(),
            limit: self.limit,
            begun: self.begun,
            until,
        };
        lives.spawn(life.run());
    }

    /// Appends events to segments.
    fn write(&mut self) {
        let active = self.world.active_segments(&self.stream);
        for _ in 0..self.random.u32(0..40) {
            let Some(segment) = self.random.choice(&active) else { return };
            let mut bytes = BytesMut::new();
            let len = self.random.usize(0..60);
            let text = format!("{}:{}", self.next_event, "x".repeat(len));
            event::put(&mut bytes, text.as_bytes()).expect("a short event");
            self.world.append_raw(&ScopedSegment::new(&self.stream, segment.id), &bytes);
            self.next_event += 1;
        }
    }

    async fn disturb(&mut self) {
        let losing = self.lose_replies();
        sleep(Duration::from_millis(self.random.u64(1..2000))).await;
        (0..losing.taken()).for_each(|_| self.world.count("group reply lost"));
        drop(losing);
        match self.random.u32(0..8) {
            0 => {
                let active = self.world.active_segments(&self.stream);
                let Some(segment) = self.random.choice(&active) else { return };
                let segment = ScopedSegment::new(&self.stream, segment.id);
                self.world.move_segment(&segment, self.random.usize(0..self.stores));
            }
            1 => {
                let store = self.random.usize(0..self.stores);
                self.world.set_store_up(store, false);
                self.network.reset(store);
                self.perfect.reset(store);
                sleep(Duration::from_millis(self.random.u64(0..1500))).await;
                self.world.set_store_up(store, true);
            }
            2 | 3 if self.world.active_segments(&self.stream).len() < 16 => {
                scale(&self.world, &self.stream, &mut self.random).await;
                self.world.count("stream scaled");
            }
            4 => {
                let silent = if self.random.bool() { "_SILENT_" } else { "" };
                let name = format!("manual-{}{silent}", self.random.u32(..));
                let create = GroupUpdate::CreateCheckpoint { checkpoint: name.into() };
                self.store().await.report(create).await.expect("the stores answer");
                self.world.count("checkpoint created by another client");
            }
            _ => {}
        }
    }

    /// Loses replies to changes of the state until the result is dropped.
    fn lose_replies(&mut self) -> Hold {
        let (lost, mut draws) = (self.lost_replies, self.random.fork());
        self.world.lose_replies(move |departure| {
            let is_change = matches!(
                departure.reply,
                WireCommand::DataAppended(_) | WireCommand::ConditionalCheckFailed(_)
            );
            is_change && draws.u32(0..100) < lost
        })
    }

    /// Takes a reader offline that may be in the group. Returns true if it has read everything.
    async fn handle_end(&mut self, id: String, end: End) -> bool {
        let position = match end {
            End::Gone => return false,
            End::Finished => return true,
            End::Dead(position) => position,
        };
        sleep(Duration::from_millis(self.random.u64(0..3000))).await;
        let position = position.filter(|_| self.random.bool());
        self.world.count(match position {
            Some(_) => "reader taken offline at its position",
            None => "reader taken offline at its checkpoint",
        });
        self.take_offline(&id, position).await;
        false
    }

    async fn take_offline(&self, id: &str, position: Option<Position>) {
        let owned = position.iter().flat_map(Position::owned);
        let offsets: Vec<_> = owned.map(|(segment, at)| (segment.clone(), at)).collect();
        let mut store = self.store().await;
        let remove = |state: &pravega_sdk_event_stream::group::ReaderGroupState,
                      updates: &mut Vec<GroupUpdate>| {
            if state.is_online(id) {
                let offsets = offsets.clone();
                updates.push(GroupUpdate::RemoveReader { reader: id.into(), offsets });
            }
        };
        store.change(remove).await.expect("the stores answer");
        let now = self.begun.elapsed();
        self.shared.lock().offline.insert(id.to_owned(), now);
    }

    /// All faults end, and the stream.
    fn repair(&mut self) {
        self.network.heal();
        (0..self.stores).for_each(|store| self.world.set_store_up(store, true));
        self.world.finish_scale();
        self.world.seal_stream(&self.stream);
    }

    /// Waits until the last readers have read everything.
    async fn settle(&mut self, mut lives: JoinSet<(String, End)>) {
        // Also one that read nothing before.
        self.start(&mut lives, None);
        while let Some(ended) = lives.join_next().await {
            let (id, end) = ended.expect("a reader does not panic");
            self.handle_end(id, end).await;
        }
    }

    fn report(&self) -> Report {
        let counters = self.world.counters();
        let mut log = self.shared.lock();
        let mut hasher = std::hash::DefaultHasher::new();
        let items = format!("{:?}", log.items);
        (items, format!("{counters:?}"), Instant::now().elapsed()).hash(&mut hasher);
        Report {
            violations: std::mem::take(&mut log.violations),
            digest: hasher.finish(),
            acknowledged: log.items.len(),
            counters,
        }
    }
}
