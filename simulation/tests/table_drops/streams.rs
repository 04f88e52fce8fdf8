//! Revisioned streams, states and attributes on which calls are made, and what is stored in them.

use futures_util::TryStreamExt as _;
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_segment_client::attributes::{AttributeId, SegmentAttributes, Swap};
use pravega_sdk_table_synchronizer::{
    Revision, RevisionedStream, RevisionedStreamConfig, StateConfig, StateSynchronizer,
};
use uuid::Uuid;

use crate::{
    subject::{Stage, Subject, text},
    sum::{Numbers, Sum},
};

pub(crate) async fn open_log(stage: &Stage, context: SegmentContext) -> RevisionedStream {
    let config = RevisionedStreamConfig::default();
    RevisionedStream::open(context, &stage.cluster.stream, config).await.unwrap()
}

/// A revisioned stream with two entries, and the revisions of each and before them.
pub(crate) struct Log {
    pub(crate) context: SegmentContext,
    pub(crate) stream: RevisionedStream,
    pub(crate) begin: Revision,
    pub(crate) middle: Revision,
    pub(crate) end: Revision,
}

impl Subject for Log {
    async fn new(stage: &Stage) -> Self {
        let context = stage.context();
        let stream = open_log(stage, context.clone()).await;
        let begin = stream.oldest_revision().await.unwrap();
        let middle = stream.write_at(&begin, "one").await.unwrap();
        let end = stream.write_at(&middle, "two").await.unwrap();
        Self { context, stream, begin, middle, end }
    }

    async fn stored(stage: &Stage) -> String {
        let stream = open_log(stage, stage.other()).await;
        let oldest = stream.oldest_revision().await.unwrap();
        let mark = stream.mark().await.unwrap().map(|mark| mark.offset());
        let read = stream.entries(&oldest).await.unwrap();
        let entries: Vec<_> = read.map_ok(|e| text(&e.value)).try_collect().await.unwrap();
        format!("mark {mark:?}, from {}: {entries:?}", oldest.offset())
    }

    async fn use_again(&mut self, _: &Stage) {
        self.stream.write("again").await.unwrap();
        let latest = self.stream.latest_revision().await.unwrap();
        let end = self.stream.write_at(&latest, "and again").await.unwrap();
        assert_eq!(self.stream.latest_revision().await.unwrap(), end);
        let mark = self.stream.mark().await.unwrap();
        self.stream.set_mark(mark.as_ref(), Some(&self.end)).await.unwrap();
    }
}

pub(crate) type State = StateSynchronizer<Sum, Numbers>;

pub(crate) async fn open_state(stage: &Stage, context: SegmentContext) -> State {
    let config = StateConfig::default();
    StateSynchronizer::open(context, &stage.cluster.stream, Numbers, config).await.unwrap()
}

/// A state that another client has changed since it was read, from 100 to 110.
pub(crate) struct Shared {
    pub(crate) context: SegmentContext,
    pub(crate) state: State,
}

impl Subject for Shared {
    async fn new(stage: &Stage) -> Self {
        let context = stage.context();
        let mut state = open_state(stage, context.clone()).await;
        state.initialize(100).await.unwrap();
        let mut other = open_state(stage, stage.other()).await;
        other.fetch().await.unwrap();
        other.update(|_, adding| adding.push(10)).await.unwrap();
        Self { context, state }
    }

    async fn stored(stage: &Stage) -> String {
        sum(stage).await
    }

    async fn use_again(&mut self, stage: &Stage) {
        let known = self.state.state().unwrap().0;
        assert!([100, 110, 111].contains(&known), "{known} was never the sum");
        add(&mut self.state, stage).await;
    }
}

/// A stream that may become that of a state.
pub(crate) struct Unshared(pub(crate) State);

impl Subject for Unshared {
    async fn new(stage: &Stage) -> Self {
        Self(open_state(stage, stage.context()).await)
    }

    async fn stored(stage: &Stage) -> String {
        sum(stage).await
    }

    async fn use_again(&mut self, stage: &Stage) {
        self.0.initialize(9).await.unwrap();
        add(&mut self.0, stage).await;
    }
}

/// The sum as another client reads it.
async fn sum(stage: &Stage) -> String {
    let mut state = open_state(stage, stage.other()).await;
    state.fetch().await.unwrap();
    format!("{:?}", state.state())
}

async fn add(state: &mut State, stage: &Stage) {
    state.update(|_, adding| adding.push(1000)).await.unwrap();
    assert_eq!(format!("{:?}", state.state()), sum(stage).await);
}

pub(crate) const MARK: AttributeId = AttributeId::new(Uuid::from_u128(7));
const OTHER: AttributeId = AttributeId::new(Uuid::from_u128(8));

/// The attributes of a segment, of which one is 1.
pub(crate) struct Attributes(pub(crate) SegmentAttributes);

impl Subject for Attributes {
    async fn new(stage: &Stage) -> Self {
        let attributes = SegmentAttributes::new(stage.context(), stage.cluster.segment(0));
        let set = attributes.compare_and_set(MARK, None, Some(1.into())).await.unwrap();
        assert_eq!(set, Swap::Set);
        Self(attributes)
    }

    async fn stored(stage: &Stage) -> String {
        let attributes = SegmentAttributes::new(stage.other(), stage.cluster.segment(0));
        let values = [MARK, OTHER].map(|id| attributes.value(id));
        format!("{:?}", futures_util::future::try_join_all(values).await.unwrap())
    }

    async fn use_again(&mut self, _: &Stage) {
        let set = self.0.compare_and_set(OTHER, None, Some(5.into())).await.unwrap();
        assert_eq!(set, Swap::Set);
    }
}
