//! Groups, and readers of them that are driven by hand.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::{Creation, Subscriber};
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{
        GroupHandleConfig, GroupInit, GroupSegment, GroupStorage, GroupStore, GroupUpdate,
        ReaderGroup, ReaderGroupError, ReaderGroupState,
        machine::{Effect, GroupReaderMachine, GroupReaderSettings, Moment},
    },
};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream};
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{
    Offset, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId,
    SegmentOffset, StreamCut,
};

/// Where groups have their state: the tests are in the suite once for each.
pub(super) fn storage() -> GroupStorage {
    let is_in_tables = module_path!().contains("_in_tables");
    if is_in_tables { GroupStorage::Table } else { GroupStorage::Stream }
}

/// Creates a group.
pub(super) async fn create(
    factory: &ClientFactory,
    group: &ScopedReaderGroup,
    configuration: &ReaderGroupConfiguration,
) -> Result<(ReaderGroup, Creation), ReaderGroupError> {
    let config = GroupHandleConfig::default().with_storage(storage());
    factory.create_reader_group_with(group, configuration, config).await
}

pub(super) async fn new_group(
    stream: &ScopedStream,
    name: &str,
) -> (ClientFactory, ReaderGroup, ReaderGroupConfiguration) {
    let factory = factory().await;
    let configuration = quick(std::slice::from_ref(stream));
    let group = in_scope_of(stream, name);
    let (group, creation) = create(&factory, &group, &configuration).await.unwrap();
    assert_eq!(creation, Creation::Created);
    (factory, group, configuration)
}

/// Creates a stream and a group that reads it.
pub(super) async fn group_of(segments: u32) -> (ClientFactory, ScopedStream, ReaderGroup) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), segments).await;
    let (factory, group, _) = new_group(&stream, "billing").await;
    (factory, stream, group)
}

/// A configuration without automatic checkpoints, whose group is looked at often.
pub(super) fn quick(streams: &[ScopedStream]) -> ReaderGroupConfiguration {
    ReaderGroupConfiguration::new(streams.iter().cloned())
        .unwrap()
        .with_automatic_checkpoint_interval(None)
        .with_refresh_interval(Duration::from_millis(50))
}

pub(super) fn in_scope_of(stream: &ScopedStream, name: &str) -> ScopedReaderGroup {
    ScopedReaderGroup::new(stream.scope().clone(), name.parse().unwrap())
}

pub(super) fn segment(stream: &ScopedStream, number: u32) -> ScopedSegment {
    ScopedSegment::new(stream, SegmentId::from(i64::from(number)))
}

pub(super) fn at(offset: i64) -> SegmentOffset {
    SegmentOffset::At(Offset(offset))
}

/// Writes events of 12 bytes, 20 with their headers.
pub(super) async fn write(factory: &ClientFactory, stream: &ScopedStream, count: u32) {
    write_range(factory, stream, 0..count).await;
}

/// Writes the events of some numbers, each under a key of its own.
pub(super) async fn write_range(
    factory: &ClientFactory,
    stream: &ScopedStream,
    numbers: std::ops::Range<u32>,
) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    for number in numbers {
        writer.write(&format!("key-{number}"), &format!("{number:012}")).await.unwrap();
    }
    writer.close(FAR).await.into_result().unwrap();
}

/// A reader with a time of its own, which reads what the test says.
pub(super) struct Reader {
    factory: ClientFactory,
    group: ScopedReaderGroup,
    store: GroupStore,
    pub(super) machine: GroupReaderMachine,
    pub(super) now: Duration,
    /// The segments that it has taken and not given back, and from where it reads each.
    pub(super) open: Vec<(ScopedSegment, Offset)>,
}

impl Reader {
    /// Joins the group, and takes segments.
    pub(super) async fn join(factory: &ClientFactory, group: &ReaderGroup, name: &str) -> Self {
        let (group, now) = (group.group().clone(), Duration::ZERO);
        let config = StateConfig::default();
        let mut store = GroupStore::open(factory.segment_context(), &group, config).await.unwrap();
        store.fetch().await.unwrap();
        let settings = GroupReaderSettings::default();
        let machine = GroupReaderMachine::new(name.into(), settings, now, Box::new(|| 1));
        let factory = factory.clone();
        let mut reader = Self { factory, group, store, machine, now, open: Vec::new() };
        assert_eq!(reader.run().await, None);
        reader
    }

    /// Lets a minute pass, in which all timers expire, and carries out effects.
    pub(super) async fn later(&mut self) -> Option<Effect> {
        self.now += Duration::from_secs(60);
        self.run().await
    }

    /// Answers one checkpoint.
    pub(super) async fn answer(&mut self) -> Option<Effect> {
        let shown = self.later().await;
        assert!(matches!(shown, Some(Effect::Checkpoint(_))), "{shown:?}");
        self.run().await
    }

    /// Carries out effects until there is none, or one that a program sees.
    pub(super) async fn run(&mut self) -> Option<Effect> {
        loop {
            let moment = Moment { now: self.now, wall_ms: 0 };
            let state = self.store.state().unwrap();
            match self.machine.poll_effect(state, moment)? {
                Effect::Fetch => {
                    self.store.fetch().await.unwrap();
                    self.machine.handle_fetched(self.store.state().unwrap(), 0, moment);
                }
                Effect::Change(change) => {
                    let mut plan = self.machine.plan(change);
                    let prepare = |state: &ReaderGroupState, updates: &mut Vec<GroupUpdate>| {
                        updates.extend(plan.updates(state, moment.wall_ms));
                        !updates.is_empty()
                    };
                    let has_written = self.store.change(prepare).await.unwrap();
                    self.machine.handle_planned(plan);
                    let state = self.store.state().unwrap();
                    self.machine.handle_changed(state, has_written, moment);
                }
                Effect::Report(update) => {
                    self.store.report(update).await.unwrap();
                    self.machine.handle_reported(moment);
                }
                Effect::FindSuccessors(segment) | Effect::UseKnownSuccessors(segment) => {
                    self.find_successors(segment).await;
                }
                Effect::FindConfiguration => self.find_configuration().await,
                Effect::PublishCut(cut) => {
                    let configuration = state.configuration();
                    let (id, generation) = (configuration.id(), configuration.generation());
                    let subscriber = Subscriber::new(self.group.clone(), id, generation.unwrap());
                    let controller = self.factory.controller();
                    let published = controller.update_subscriber_cut(&subscriber, &cut).await;
                    self.machine.handle_published(published.is_ok());
                }
                Effect::Open { segment, from, .. } => self.open.push((segment, from)),
                Effect::Close(segment) => self.open.retain(|(open, _)| *open != segment),
                other => return Some(other),
            }
        }
    }

    async fn find_successors(&mut self, segment: ScopedSegment) {
        let found = self.factory.controller().successors(&segment).await.unwrap();
        let successors = found.into_iter().map(|successor| {
            let next = ScopedSegment::new(&segment.scoped_stream(), successor.id);
            let next = GroupSegment { segment: next, range: Some(successor.range) };
            (next, successor.predecessors)
        });
        let successors = successors.collect();
        self.machine.handle_successors(segment, successors);
    }

    async fn find_configuration(&mut self) {
        let controller = self.factory.controller();
        let found = controller.reader_group_configuration(&self.group).await.unwrap();
        let mut segments: Vec<(GroupSegment, SegmentOffset)> = Vec::new();
        for entry in found.streams() {
            let starts: Vec<(SegmentId, SegmentOffset)> = match &entry.from {
                StreamCut::At(cut) => cut.positions().collect(),
                StreamCut::Unbounded => {
                    let head = controller.head_segments(&entry.stream).await.unwrap();
                    head.into_iter().map(|(id, offset)| (id, offset.into())).collect()
                }
            };
            segments.extend(
                starts.iter().map(|(id, at)| (ScopedSegment::new(&entry.stream, *id).into(), *at)),
            );
        }
        self.machine.handle_configuration(GroupInit::new(found, segments));
    }
}
