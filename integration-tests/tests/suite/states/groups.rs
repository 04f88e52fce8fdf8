//! The state of a reader group, in the stream that the controller creates for it.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::group::{
    GroupInit, GroupInitial, GroupSerializer, GroupUpdate, ReaderGroupState,
    machine::{Effect, GroupReaderMachine, GroupReaderSettings, Moment},
};
use pravega_sdk_integration_tests::harness::{factory, new_stream};
use pravega_sdk_table_synchronizer::StateSynchronizer;
use pravega_sdk_types::{
    Offset, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment, SegmentId, SegmentOffset,
};
use uuid::Uuid;

type Synchronizer = StateSynchronizer<ReaderGroupState, GroupSerializer>;

/// A reader, with a time of its own.
struct Reader {
    state: Synchronizer,
    machine: GroupReaderMachine,
    now: Duration,
    opened: Vec<ScopedSegment>,
}

impl Reader {
    async fn new(factory: &ClientFactory, group: &ScopedReaderGroup, name: &str) -> Self {
        let (mut state, now) = (open(factory, group).await, Duration::ZERO);
        state.fetch().await.unwrap();
        let settings = GroupReaderSettings::default();
        let machine = GroupReaderMachine::new(name.into(), settings, now, Box::new(|| 0));
        Self { state, machine, now, opened: Vec::new() }
    }

    /// Carries out effects until there is none, or a checkpoint is shown.
    async fn run(&mut self) -> Option<Effect> {
        loop {
            let moment = Moment { now: self.now, wall_ms: 0 };
            let state = self.state.state().unwrap();
            match self.machine.poll_effect(state, moment)? {
                Effect::Fetch => {
                    self.state.fetch().await.unwrap();
                    self.machine.handle_fetched(self.state.state().unwrap(), 0, moment);
                }
                Effect::Change(change) => {
                    let mut plan = self.machine.plan(change);
                    let prepare = |state: &ReaderGroupState, updates: &mut Vec<GroupUpdate>| {
                        updates.extend(plan.updates(state, moment.wall_ms));
                        !updates.is_empty()
                    };
                    let has_written = self.state.update(prepare).await.unwrap();
                    self.machine.handle_planned(plan);
                    let state = self.state.state().unwrap();
                    self.machine.handle_changed(state, has_written, moment);
                }
                Effect::Report(update) => {
                    self.state.update_unconditionally(vec![update]).await.unwrap();
                    self.machine.handle_reported(moment);
                }
                Effect::Open { segment, .. } => self.opened.push(segment),
                other => return Some(other),
            }
        }
    }
}

async fn open(factory: &ClientFactory, group: &ScopedReaderGroup) -> Synchronizer {
    factory.state_synchronizer(&group.state_stream(), GroupSerializer).await.unwrap()
}

#[tokio::test]
async fn readers_share_segments_and_checkpoints_by_a_state_that_survives_its_compaction() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    let group = ScopedReaderGroup::new(stream.scope().clone(), "sharers".parse().unwrap());
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_automatic_checkpoint_interval(None)
        .with_identity(Uuid::new_v4(), None);
    let registered = factory.controller().create_reader_group(&group, &configuration).await;
    let segments = (0..4).map(|number| {
        let segment = ScopedSegment::new(&stream, SegmentId::from(number));
        (segment.into(), SegmentOffset::At(Offset(0)))
    });
    let init = GroupInitial::Init(GroupInit::new(registered.unwrap(), segments));
    open(&factory, &group).await.initialize(init).await.unwrap();

    let mut one = Reader::new(&factory, &group, "one").await;
    let mut other = Reader::new(&factory, &group, "other").await;
    assert_eq!(one.run().await, None);
    assert_eq!(one.opened.len(), 4, "it is alone");
    assert_eq!(other.run().await, None);
    // The second gets its part at the next checkpoint of the first.
    one.machine.handle_read(&one.opened[0].clone(), Offset(9));
    one.now = Duration::from_secs(60);
    assert_eq!(one.run().await, None);
    let checkpoint = vec![GroupUpdate::CreateCheckpoint { checkpoint: "c".into() }];
    other.state.update_unconditionally(checkpoint).await.unwrap();
    for reader in [&mut one, &mut other] {
        reader.now += Duration::from_secs(60);
        let shown = reader.run().await;
        assert_eq!(shown, Some(Effect::Checkpoint("c".into())));
    }
    let closed = one.run().await;
    assert!(matches!(closed, Some(Effect::Close(_))), "it has too much: {closed:?}");
    assert_eq!(other.run().await, None);
    assert_eq!(other.opened.len(), 1);

    // A state that is written as a whole is the same state.
    let state = &mut other.state;
    let whole = |state: &ReaderGroupState| Some(GroupInitial::Compact(Box::new(state.clone())));
    state.compact(whole).await.unwrap();
    let mut later = open(&factory, &group).await;
    later.fetch().await.unwrap();
    assert_eq!(later.state(), state.state());
    let positions = later.state().unwrap().checkpoints().completed("c").unwrap();
    assert_eq!(positions.len(), 4);
    assert!(positions.values().any(|at| *at == SegmentOffset::At(Offset(9))));
}
