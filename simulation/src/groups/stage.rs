//! The cluster, the group, and the life of its readers.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use pravega_sdk_event_stream::{
    SegmentContext,
    group::{
        GroupInit, GroupStorage, GroupStore, GroupUpdate, ReaderGroupState, keep_table_attempts,
    },
};
use pravega_sdk_segment_client::StoreConfig;
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{
    Offset, Position, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment, ScopedStream,
    SegmentId,
};
use pravega_sdk_wire_protocol::event;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use super::{
    bug::Bug,
    checkpoints::check_checkpoints,
    checks::{Content, check_order, check_tenures},
    deaths::{Times, check_deaths},
    log::{Log, Shared, Step, steps, steps_in_table},
    names::Names,
    readers::{End, Life},
    tenures::{assign, tenures},
    windows::{Clocks, EventTimes, check_windows, text, time_of},
};
use crate::{
    Report, SimController, SimNetwork, World, client::segment_context_with, link::Faults,
    plan::LinkTheme,
};

/// The time that everything may take after the repair.
const HEAL_BOUND: Duration = Duration::from_secs(600);
/// The longest delay on links that never break.
const LATENCY: Duration = Duration::from_millis(3);

pub(super) struct Stage {
    pub(super) random: fastrand::Rng,
    pub(super) world: World,
    pub(super) network: SimNetwork,
    /// Links that never break, for what checks the outcome.
    pub(super) perfect: SimNetwork,
    controller: Arc<SimController>,
    pub(super) stream: ScopedStream,
    group: ScopedReaderGroup,
    id: Uuid,
    names: Names,
    /// The segment of the group's stream.
    pub(super) state: ScopedSegment,
    pub(super) storage: GroupStorage,
    /// The segment of the table that the state is in, if it is in one.
    pub(super) table: Option<ScopedSegment>,
    pub(super) shared: Shared,
    pub(super) begun: Instant,
    pub(super) stores: usize,
    segments: u32,
    refresh: Duration,
    checkpoints: Duration,
    /// The time that a request takes at most.
    limit: Duration,
    /// The leases of the readers. Without them the run takes all dead readers out itself.
    pub(super) lease: Option<Duration>,
    /// Nothing fails but readers.
    pub(super) is_calm: bool,
    pub(super) is_truncated: bool,
    pub(super) lost_replies: u32,
    readers: u32,
    next_event: u64,
    clocks: Clocks,
    /// Readers that the run has taken out.
    dead: Vec<Arc<str>>,
    bug: Option<Bug>,
}

impl Stage {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        fastrand::seed(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let stores = random.usize(1..4);
        let world = World::with_seed(stores, seed);
        let is_calm = random.u32(0..6) == 0;
        let has_cuts = !is_calm && random.bool();
        let cuts = if has_cuts { random.u32(10..60) } else { 0 };
        let max_delay = Duration::from_millis(random.u64(0..40));
        let links = LinkTheme { cuts, max_delay, fragments: random.u32(0..4) == 0 };
        let network = SimNetwork::new(&world, links.plan(random.fork(), world.clone()));
        let slow = || Faults { delay: (Duration::ZERO, LATENCY), ..Faults::default() };
        let perfect = SimNetwork::new(&world, Box::new(move || (slow(), slow())));
        let controller =
            Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
        let mut names = Names::new(seed);
        let group = names.group();
        let has_leases = is_calm || random.u32(0..4) > 0;
        let loses = !is_calm && random.bool();
        let shared = Shared::default();
        if cuts > 0 || loses {
            shared.lock().troubles.push((Duration::ZERO, Duration::MAX));
        }
        Self {
            perfect,
            controller,
            stream: "sim/events".parse().expect("a name"),
            state: ScopedSegment::new(&group.state_stream(), SegmentId::from(0)),
            // One seed in four.
            storage: match seed % 4 {
                3 => GroupStorage::Table,
                _ => GroupStorage::Stream,
            },
            table: None,
            group,
            id: names.id(),
            names,
            shared,
            begun: Instant::now(),
            stores,
            segments: random.u32(1..13),
            refresh: Duration::from_millis(random.u64(300..2000)),
            checkpoints: Duration::from_millis(random.u64(500..4000)),
            limit: Duration::from_millis(random.u64(2000..10_000)),
            lease: has_leases.then(|| Duration::from_millis(random.u64(20..70) * 100)),
            is_calm,
            is_truncated: random.u32(0..3) == 0,
            lost_replies: if loses { random.u32(1..20) } else { 0 },
            readers: random.u32(1..7),
            next_event: 0,
            clocks: Clocks::default(),
            dead: Vec::new(),
            random,
            world,
            network,
            bug,
        }
    }

    fn context(&self, network: &SimNetwork) -> SegmentContext {
        let config = StoreConfig::default().with_request_timeout(self.limit / 3);
        segment_context_with(Arc::clone(&self.controller) as _, network.clone(), config)
    }

    pub(super) async fn store(&self) -> GroupStore {
        let opened =
            GroupStore::open(self.context(&self.perfect), &self.group, StateConfig::default());
        let mut store = opened.await.expect("the stores answer");
        store.fetch().await.expect("the stores answer");
        store
    }

    async fn create_group(&mut self) {
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
        keep_table_attempts();
        let init = GroupInit::new(configuration.with_identity(self.id, Some(0)), starts);
        let mut store = self.store().await.with_new_storage(self.storage);
        store.initialize(init).await.expect("the stores answer");
        self.table = store.table_segment();
        if self.table.is_some() {
            self.world.count("state in a table");
        }
    }

    pub(super) async fn run(mut self) -> Report {
        self.create_group().await;
        let mut lives = JoinSet::new();
        for _ in 0..self.readers {
            let until = self.lifetime();
            self.start(&mut lives, None, until);
        }
        let mut finished = false;
        for _ in 0..self.random.u32(5..14) {
            self.write();
            self.disturb().await;
            while let Some(ended) = lives.try_join_next() {
                let (id, end) = ended.expect("a reader does not panic");
                finished |= matches!(end, End::Finished);
                let restarted = self.handle_end(id, end).await;
                let until = self.lifetime();
                self.start(&mut lives, restarted, until);
            }
        }
        self.repair();
        let ends = timeout(HEAL_BOUND, self.settle(lives)).await;
        if ends.is_err() || finished {
            self.shared.say("C14", format!("readers were not done, or too early: {finished}"));
        }
        self.check();
        self.report()
    }

    fn lifetime(&mut self) -> Option<Duration> {
        Some(self.begun.elapsed() + Duration::from_millis(self.random.u64(100..20_000)))
    }

    /// Starts a reader, or one of a name again.
    fn start(
        &mut self,
        lives: &mut JoinSet<(Arc<str>, End)>,
        restarted: Option<Arc<str>>,
        until: Option<Duration>,
    ) {
        let is_restarted = restarted.is_some();
        let id = restarted.unwrap_or_else(|| self.names.reader());
        let network = self.network.for_client();
        let life = Life {
            context: self.context(&network),
            network,
            group: self.group.clone(),
            stream: self.stream.clone(),
            id,
            is_restarted,
            world: self.world.clone(),
            shared: self.shared.clone(),
            random: self.random.fork(),
            limit: self.limit,
            lease: self.lease,
            is_calm: self.is_calm,
            begun: self.begun,
            until,
            bug: self.bug,
            complete: None,
        };
        lives.spawn(life.run());
    }

    /// Appends events to segments.
    fn write(&mut self) {
        let active = self.world.active_segments(&self.stream);
        for _ in 0..self.random.u32(0..40) {
            let Some(segment) = self.random.choice(&active) else { return };
            let time = self.clocks.next(&mut self.random);
            let text = text(self.next_event, time, self.random.usize(0..60));
            self.append(&ScopedSegment::new(&self.stream, segment.id), text.as_bytes());
            self.next_event += 1;
        }
        if self.random.bool() {
            let tail = self.world.tail(&self.stream);
            let mark = self.clocks.watermark(&active, &tail).expect("a few segments");
            let marks = ScopedSegment::new(&self.stream.watermark_stream(), SegmentId::from(0));
            self.append(&marks, &mark);
            self.world.count("watermark made");
        }
    }

    fn append(&self, segment: &ScopedSegment, event: &[u8]) {
        let mut bytes = BytesMut::new();
        event::put(&mut bytes, event).expect("a short event");
        self.world.append_raw(segment, &bytes);
    }

    /// A reader has ended. One that may be in the group is taken out, or left to its lease. Returns
    /// the name if a reader of it is started again at once.
    async fn handle_end(&mut self, id: Arc<str>, end: End) -> Option<Arc<str>> {
        let End::Dead(position) = end else { return None };
        if self.lease.is_some() && self.random.bool() {
            self.world.count("dead reader left to its lease");
            return (self.random.u32(0..3) == 0).then_some(id);
        }
        sleep(Duration::from_millis(self.random.u64(0..3000))).await;
        let position = position.filter(|_| self.random.bool());
        self.world.count(match position {
            Some(_) => "reader taken offline at its position",
            None => "reader taken offline at its checkpoint",
        });
        if position.is_some() {
            self.shared.lock().exact.insert(id.clone());
        }
        self.take_offline(&id, position).await;
        self.dead.push(id);
        None
    }

    pub(super) async fn take_offline(&self, id: &Arc<str>, position: Option<Position>) {
        let mut store = self.store().await;
        let remove = |state: &ReaderGroupState, updates: &mut Vec<GroupUpdate>| {
            if state.is_online(id) {
                let offsets =
                    state.offsets_of_removal(id, position.iter().flat_map(Position::owned));
                updates.push(GroupUpdate::RemoveReader { reader: id.clone(), offsets });
            }
            !updates.is_empty()
        };
        self.shared.lock().by_hand.insert(id.clone());
        store.change(remove).await.expect("the stores answer");
    }

    /// All faults end, and the stream.
    fn repair(&mut self) {
        self.network.heal();
        (0..self.stores).for_each(|store| self.world.set_store_up(store, true));
        self.world.finish_scale();
        self.world.seal_stream(&self.stream);
        let now = self.begun.elapsed();
        let mut log = self.shared.lock();
        for (_, ended) in log.troubles.iter_mut().filter(|(_, ended)| *ended == Duration::MAX) {
            *ended = now + Duration::from_secs(2);
        }
    }

    /// Waits until the last readers have read everything.
    async fn settle(&mut self, mut lives: JoinSet<(Arc<str>, End)>) {
        // What was late by then may have let a dead reader join that has no lease.
        sleep(self.limit).await;
        for id in self.dead.clone() {
            self.take_offline(&id, None).await;
        }
        // Also one that read nothing before. If others take it for dead, another one goes on.
        self.start(&mut lives, None, None);
        let mut has_finished = false;
        loop {
            if !has_finished && lives.is_empty() {
                self.world.count("reader started for the rest");
                self.start(&mut lives, None, None);
            }
            let Some(ended) = lives.join_next().await else { return };
            let (id, end) = ended.expect("a reader does not panic");
            has_finished |= matches!(end, End::Finished);
            self.handle_end(id, end).await;
        }
    }

    fn check(&self) {
        let log = std::mem::take(&mut *self.shared.lock());
        self.shared.lock().violations.clone_from(&log.violations);
        let steps = match &self.table {
            Some(table) => steps_in_table(&self.world, table, &self.shared),
            None => steps(&self.world, &self.state, &self.shared),
        };
        let mut stored: BTreeMap<SegmentId, Vec<Offset>> = BTreeMap::new();
        let mut times = EventTimes::new();
        for event in self.world.all_content(&self.stream) {
            stored.entry(event.segment).or_default().push(event.offset);
            times.extend(time_of(&event.event).map(|time| ((event.segment, event.offset), time)));
        }
        let predecessors = self.world.predecessors(&self.stream);
        let content = Content { stored, heads: log.heads.clone(), predecessors };
        self.compare(&steps, &log, &content);
        // A reader that does not know yet that it was taken out may have some of the others.
        let kept: BTreeSet<(SegmentId, Offset)> = content.kept().collect();
        times.retain(|place, _| kept.contains(place));
        check_windows(&log, &times, &self.shared);
        let violations = std::mem::take(&mut self.shared.lock().violations);
        *self.shared.lock() = Log { violations, ..log };
    }

    fn compare(&self, steps: &[Step], log: &Log, content: &Content) {
        let grace = self.refresh + self.limit * 2;
        let mut tenures = tenures(steps, &self.shared);
        assign(&mut tenures, &log.items, &log.by_hand, grace, &self.shared);
        check_tenures(&tenures, content, &log.exact, &self.shared);
        check_order(&log.items, content, &self.shared);
        for _ in 0..check_checkpoints(steps, &log.items, content, &self.shared) {
            self.world.count("checkpoint compared with the events");
        }
        if let Some(lease) = self.lease {
            let notice = self.refresh + Duration::from_secs(3);
            let times = Times { lease, notice, requests: Duration::from_secs(2) };
            for _ in 0..check_deaths(steps, log, times, &self.shared) {
                self.world.count("death compared with the removal");
            }
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
