//! What a group is at one moment, for programs and people.

use std::sync::Arc;

use pravega_sdk_types::{
    KeyRange, ReaderGroupConfiguration, ScopedSegment, SegmentId, SegmentOffset,
};

use super::positions::Positions;
use crate::group::{
    liveness::LeaseValue,
    state::{CheckpointState, ReaderGroupState, SegmentOffsets},
    storage::GroupStorage,
};

/// A reader group at one moment.
///
/// # Examples
///
/// ```no_run
/// # async fn example(
/// #     group: pravega_sdk_event_stream::group::ReaderGroup,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let description = group.describe().await?;
/// for reader in &description.readers {
///     println!("{} reads {} segments", reader.id, reader.segments.len());
/// }
/// println!("{} wait for a reader", description.unassigned.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// The configuration, with the id and the generation of the group.
    pub configuration: ReaderGroupConfiguration,
    /// Where the state of the group is kept. [`GroupDescription::of`] does not know it, and says
    /// the stream.
    pub storage: GroupStorage,
    /// True while the configuration changes. It stays so if the client that changes it ends in the
    /// middle, until the next change.
    pub is_updating_configuration: bool,
    /// The readers in the group, sorted by their ids.
    pub readers: Vec<GroupMember>,
    /// The segments without a reader, in the order in which they became so.
    pub unassigned: Vec<SegmentPlace>,
    /// The segments that begin when others were read to their ends.
    pub future: Vec<FutureSegment>,
    /// The checkpoints that are known, in the order in which they began.
    pub checkpoints: Vec<GroupCheckpoint>,
    /// The positions of the last complete checkpoint that is not silent, if there is one.
    pub last_checkpoint: Option<Positions>,
    /// True if all segments were read to their ends and no more will come.
    pub is_at_end: bool,
}

/// A reader in a group.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The id of the reader.
    pub id: Arc<str>,
    /// The load that the reader has reported, in the unit of Java's clients: about the time since
    /// 1970 in milliseconds once it has read an event. Groups share their segments by it. `None`
    /// means that it has reported nothing yet.
    pub reported_load: Option<i64>,
    /// Its lease: what the reader was last known to be, and the time after which it is dead if the
    /// lease does not change. `None` means that it has none, as a reader of another client, or one
    /// in a form that this client does not know. [`GroupDescription::of`] does not know leases.
    pub lease: Option<LeaseValue>,
    /// Its segments, in the order in which it took them.
    pub segments: Vec<SegmentPlace>,
}

/// How far a segment is read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SegmentPlace {
    /// The segment.
    pub segment: ScopedSegment,
    /// Its part of the key space. Groups know it of segments that a scale created.
    pub range: Option<KeyRange>,
    /// Where the group goes on if the reader leaves without a position: the offset at which it took
    /// the segment, or that of its last checkpoint.
    pub offset: SegmentOffset,
    /// How far a reader has reported to be.
    pub reported: Option<SegmentOffset>,
    /// Where the group ends; `None` means that it goes on with the successors.
    pub end: Option<SegmentOffset>,
}

/// A segment that begins later.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FutureSegment {
    /// The segment.
    pub segment: ScopedSegment,
    /// Its part of the key space.
    pub range: Option<KeyRange>,
    /// The segments that must be read to their ends first.
    pub predecessors: Vec<SegmentId>,
}

/// A checkpoint of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupCheckpoint {
    /// The name.
    pub name: String,
    /// True if the programs of the readers do not see it.
    pub is_silent: bool,
    /// The readers that have not answered; none of one that is complete or was cancelled.
    pub waiting_for: Vec<String>,
    /// True if all readers have answered.
    pub is_complete: bool,
}

impl GroupDescription {
    /// Describes a state. Leases are not in it.
    #[must_use]
    pub fn of(state: &ReaderGroupState) -> Self {
        let member = |id: &Arc<str>| GroupMember {
            id: id.clone(),
            reported_load: state.lag_ms(id).filter(|load| *load != i64::MAX),
            lease: None,
            segments: state.assigned(id).map_or_else(Vec::new, |it| places(it, state)),
        };
        let future = state.future().map(|(segment, range, predecessors)| FutureSegment {
            segment: segment.clone(),
            range,
            predecessors: predecessors.iter().copied().collect(),
        });
        let checkpoints = state.checkpoints();
        Self {
            configuration: state.configuration().clone(),
            storage: GroupStorage::default(),
            is_updating_configuration: state.is_updating_configuration(),
            readers: state.readers().map(member).collect(),
            unassigned: places(state.unassigned(), state),
            future: future.collect(),
            checkpoints: checkpoints.names().map(|name| checkpoint(name, checkpoints)).collect(),
            last_checkpoint: checkpoints.last_completed().cloned(),
            is_at_end: state.is_at_end(),
        }
    }
}

fn places(segments: &SegmentOffsets, state: &ReaderGroupState) -> Vec<SegmentPlace> {
    let place = |(segment, range, offset): (&ScopedSegment, Option<KeyRange>, SegmentOffset)| {
        SegmentPlace {
            segment: segment.clone(),
            range,
            offset,
            reported: state.last_read().get(segment),
            end: state.end(segment),
        }
    };
    segments.iter().map(place).collect()
}

fn checkpoint(name: &str, checkpoints: &CheckpointState) -> GroupCheckpoint {
    GroupCheckpoint {
        name: name.to_owned(),
        is_silent: CheckpointState::is_silent(name),
        waiting_for: checkpoints.waiting_for(name).map(ToOwned::to_owned).collect(),
        is_complete: checkpoints.completed(name).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::Offset;

    use super::*;
    use crate::group::state::{GroupInit, GroupUpdate};

    #[test]
    fn a_description_names_each_segment_where_it_is() {
        let segment =
            |number: u32| -> ScopedSegment { format!("a/b/{number}.#epoch.0").parse().unwrap() };
        let configuration = ReaderGroupConfiguration::new(["a/b".parse().unwrap()]).unwrap();
        let segments = [0, 1].map(|number| (segment(number).into(), Offset(5).into()));
        let mut state = ReaderGroupState::new(GroupInit::new(configuration, segments));
        let reader: Arc<str> = "r1".into();
        for update in [
            GroupUpdate::AddReader { reader: reader.clone() },
            GroupUpdate::CreateCheckpoint { checkpoint: "c".into() },
            GroupUpdate::AcquireSegment { reader: reader.clone(), segment: segment(1) },
        ] {
            state.apply(update).unwrap();
        }
        let unreported = GroupDescription::of(&state);
        assert_eq!(unreported.readers[0].reported_load, None);
        let report = GroupUpdate::UpdateDistanceToTail {
            reader,
            lag_ms: 40_000,
            read: vec![(segment(1).into(), Offset(9).into())],
        };
        state.apply(report).unwrap();
        let described = GroupDescription::of(&state);
        let [member] = &described.readers[..] else { panic!("{described:?}") };
        assert_eq!((&*member.id, member.reported_load), ("r1", Some(40_000)));
        let [place] = &member.segments[..] else { panic!("{member:?}") };
        assert_eq!((&place.segment, place.offset), (&segment(1), Offset(5).into()));
        assert_eq!(place.reported, Some(Offset(9).into()));
        assert_eq!(described.unassigned[0].segment, segment(0));
        let [checkpoint] = &described.checkpoints[..] else { panic!("{described:?}") };
        assert_eq!((&*checkpoint.name, &checkpoint.waiting_for[..]), ("c", &["r1".to_owned()][..]));
        assert!(!checkpoint.is_complete && !checkpoint.is_silent && !described.is_at_end);
    }
}
