//! Segments that go from one reader of a group to another, and from one segment to its successors:
//! how soon, and what goes on meanwhile.

use std::time::Duration;

use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{
        GroupInit, GroupItem, GroupReader, GroupReaderConfig, GroupReaderNotice, GroupStore,
        HandOver, ReaderGroupState,
    },
};
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{
    GroupRetention, KeyRange, Offset, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment,
    SegmentId,
};
use pravega_sdk_wire_protocol::event;
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Cluster, block_on};

/// Far longer than anything here takes.
const FAR: Duration = Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1);

/// A group that reads the stream of a cluster.
struct Group {
    cluster: Cluster,
    name: ScopedReaderGroup,
}

impl Group {
    async fn create(segments: u32, checkpoints: Option<Duration>) -> Self {
        Self::create_with(segments, checkpoints, GroupRetention::None).await
    }

    async fn create_with(
        segments: u32,
        checkpoints: Option<Duration>,
        retention: GroupRetention,
    ) -> Self {
        let cluster = Cluster::new(segments);
        let name: ScopedReaderGroup = "sim/readers".parse().unwrap();
        cluster.world.create_stream(&name.state_stream(), 1);
        let configuration = ReaderGroupConfiguration::new([cluster.stream.clone()])
            .unwrap()
            .with_automatic_checkpoint_interval(checkpoints)
            .with_retention(retention);
        let starts = cluster.world.active_segments(&cluster.stream).into_iter();
        let starts = starts.map(|segment| {
            let segment = ScopedSegment::new(&cluster.stream, segment.id);
            (segment.into(), Offset(0).into())
        });
        let init = GroupInit::new(configuration, starts);
        let group = Self { cluster, name };
        group.store().await.initialize(init).await.unwrap();
        group
    }

    async fn store(&self) -> GroupStore {
        let context = self.cluster.context();
        GroupStore::open(context, &self.name, StateConfig::default()).await.unwrap()
    }

    async fn state(&self) -> ReaderGroupState {
        let mut store = self.store().await;
        store.fetch().await.unwrap();
        store.state().unwrap().clone()
    }

    async fn open(&self, id: &str, hand_over: HandOver) -> GroupReader<Utf8> {
        let config = GroupReaderConfig::default().with_hand_over(hand_over);
        let (context, id) = (self.cluster.context(), id.parse().unwrap());
        GroupReader::open(context, &self.name, &id, Utf8, config).await.unwrap()
    }

    fn append(&self, segment: i64, text: &str) {
        let mut bytes = bytes::BytesMut::new();
        event::put(&mut bytes, text.as_bytes()).unwrap();
        self.cluster.world.append_raw(&self.cluster.segment(segment), &bytes);
    }

    /// Seals the first of some segments, of equal ranges, without successors for them.
    fn begin_scale(&self, sealed: u32, of: u32) {
        let ids = (0..i64::from(sealed)).map(SegmentId::from).collect();
        let ranges = KeyRange::equal(of)[..sealed as usize].to_vec();
        self.cluster.world.begin_scale(&self.cluster.stream, ids, ranges);
    }
}

/// Appends an event to a segment, and returns the time until a reader returns it.
async fn delay_of_event(group: &Group, reader: &mut GroupReader<Utf8>, segment: i64) -> Duration {
    let begun = Instant::now();
    group.append(segment, "event");
    loop {
        let item = timeout(FAR, reader.next()).await.unwrap().unwrap();
        if let GroupItem::Event(event) = item.unwrap() {
            assert_eq!(event.segment().id(), SegmentId::from(segment));
            return begun.elapsed();
        }
    }
}

#[test]
fn between_events_other_segments_are_read_while_the_successors_of_one_are_not_known() {
    block_on(async {
        let group = Group::create(2, None).await;
        let mut reader = group.open("one", HandOver::BetweenEvents).await;
        delay_of_event(&group, &mut reader, 1).await;
        group.begin_scale(1, 2);
        for number in 0..60 {
            sleep(SECOND / 3).await;
            let delay = delay_of_event(&group, &mut reader, 1).await;
            assert!(delay < SECOND, "event {number} after {delay:?}");
        }
        group.cluster.world.finish_scale();
        let successor = group.cluster.segment((1 << 32) | 2);
        let begun = Instant::now();
        while group.state().await.assigned("one").is_none_or(|own| !own.contains(&successor)) {
            assert!(begun.elapsed() < SECOND * 30, "the successor is not read");
            let _ = timeout(SECOND / 10, reader.next()).await;
        }
    });
}

#[test]
fn after_a_checkpoint_a_reader_waits_once_for_the_successors_of_all_segments() {
    block_on(async {
        let group = Group::create(6, Some(SECOND * 10)).await;
        let mut reader = group.open("one", HandOver::AtCheckpoints).await;
        delay_of_event(&group, &mut reader, 5).await;
        group.begin_scale(5, 6);
        let begun = Instant::now();
        let mut longest = Duration::ZERO;
        while begun.elapsed() < SECOND * 60 {
            sleep(SECOND / 3).await;
            longest = longest.max(delay_of_event(&group, &mut reader, 5).await);
        }
        assert!(longest < SECOND * 7, "an event after {longest:?}");
    });
}

#[test]
fn between_events_a_reader_that_joins_has_its_part_of_many_segments_soon_and_none_goes_back() {
    const SEGMENTS: usize = 60;
    block_on(async {
        let group = Group::create(SEGMENTS as u32, None).await;
        let mut first = group.open("one", HandOver::BetweenEvents).await;
        let mut notices = first.notices();
        let idle = async |reader: &mut GroupReader<Utf8>, time| {
            assert!(timeout(time, reader.next()).await.is_err());
        };
        idle(&mut first, SECOND * 10).await;
        assert_eq!(group.state().await.assigned("one").unwrap().len(), SEGMENTS);
        let mut second = group.open("two", HandOver::BetweenEvents).await;
        tokio::join!(idle(&mut first, SECOND * 15), idle(&mut second, SECOND * 15));
        let state = group.state().await;
        let parts = ["one", "two"].map(|id| state.assigned(id).unwrap().len());
        assert_eq!(parts, [SEGMENTS / 2; 2]);
        let (mut gained, mut lost) = (0, 0);
        while let Ok(Some(notice)) = timeout(SECOND / 10, notices.next()).await {
            gained += usize::from(matches!(notice, GroupReaderNotice::SegmentGained { .. }));
            lost += usize::from(matches!(notice, GroupReaderNotice::SegmentLost { .. }));
        }
        assert_eq!((gained, lost), (SEGMENTS, SEGMENTS / 2), "it takes none of them back");
    });
}

#[test]
fn events_are_read_while_the_controller_does_not_take_the_cut_of_a_checkpoint() {
    for hand_over in [HandOver::AtCheckpoints, HandOver::BetweenEvents] {
        block_on(async {
            let retention = GroupRetention::AutomaticReleaseAtLastCheckpoint;
            let group = Group::create_with(1, Some(SECOND * 20), retention).await;
            let mut reader = group.open("one", hand_over).await;
            delay_of_event(&group, &mut reader, 0).await;
            let is_unanswered = |call: &str| call == "updateSubscriberStreamCut";
            group.cluster.world.leave_unanswered(is_unanswered);
            let (begun, mut longest, mut waited) = (Instant::now(), Duration::ZERO, Duration::ZERO);
            while begun.elapsed() < SECOND * 120 {
                sleep(SECOND / 3).await;
                let delay = delay_of_event(&group, &mut reader, 0).await;
                (longest, waited) = (longest.max(delay), waited + delay);
            }
            assert!(longest < SECOND * 7, "{hand_over:?}: an event after {longest:?}");
            assert!(waited < SECOND * 40, "{hand_over:?}: no events for {waited:?}");
        });
    }
}

#[test]
fn a_program_that_takes_longer_than_the_interval_for_a_checkpoint_has_events_all_the_same() {
    block_on(async {
        let group = Group::create(1, Some(SECOND * 2)).await;
        let mut reader = group.open("one", HandOver::AtCheckpoints).await;
        for number in 0..100 {
            group.append(0, &number.to_string());
        }
        let (begun, mut events) = (Instant::now(), 0);
        while events < 100 {
            assert!(begun.elapsed() < SECOND * 300, "{events} events");
            match timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap() {
                GroupItem::Event(_) => {
                    events += 1;
                    sleep(SECOND / 10).await;
                }
                GroupItem::Checkpoint(_) => sleep(SECOND * 3).await,
            }
        }
    });
}
