//! The state of a group: each update in each kind of state, histories, bytes.

mod bytes;
mod entries;
mod histories;
mod hostile;
mod shares;
mod table;

use std::fmt::Write as _;

use pravega_sdk_types::{
    KeyRange, Offset, ReaderGroupConfiguration, ScopedSegment, SegmentId, SegmentOffset,
};

use super::{
    GroupInit, GroupSegment, GroupUpdate, GroupUpdateError, ReaderGroupState, SegmentCompletion,
    SegmentOffsets, SegmentRelease,
};

/// A segment by its number.
pub(super) fn segment(number: i64) -> ScopedSegment {
    let stream = "s/t".parse().unwrap();
    ScopedSegment::new(&stream, SegmentId::from(number))
}

pub(super) fn at(offset: i64) -> SegmentOffset {
    SegmentOffset::from_wire(offset)
}

/// A group with the segments 0, 1, …, none of which has a reader.
pub(super) fn group(segments: i64) -> ReaderGroupState {
    ReaderGroupState::new(init(segments))
}

pub(super) fn init(segments: i64) -> GroupInit {
    let configuration = ReaderGroupConfiguration::new(["s/t".parse().unwrap()]).unwrap();
    GroupInit::new(configuration, (0..segments).map(|number| (segment(number).into(), at(0))))
}

pub(super) fn add(reader: &str) -> GroupUpdate {
    GroupUpdate::AddReader { reader: reader.into() }
}

pub(super) fn remove(reader: &str, offsets: &[(i64, i64)]) -> GroupUpdate {
    GroupUpdate::RemoveReader { reader: reader.into(), offsets: positions(offsets) }
}

pub(super) fn acquire(reader: &str, number: i64) -> GroupUpdate {
    GroupUpdate::AcquireSegment { reader: reader.into(), segment: segment(number) }
}

pub(super) fn release(reader: &str, number: i64, offset: i64) -> GroupUpdate {
    let (reader, segment, offset) = (reader.into(), segment(number), at(offset));
    GroupUpdate::ReleaseSegment(SegmentRelease { reader, segment, offset })
}

pub(super) fn complete(reader: &str, number: i64, successors: &[(i64, &[i64])]) -> GroupUpdate {
    let successors = successors.iter().map(|(number, ids)| {
        let segment = GroupSegment { segment: segment(*number), range: Some(KeyRange::FULL) };
        (segment, ids.iter().map(|id| SegmentId::from(*id)).collect())
    });
    GroupUpdate::SegmentCompleted(SegmentCompletion {
        reader: reader.into(),
        segment: segment(number).into(),
        successors: successors.collect(),
    })
}

pub(super) fn report(reader: &str, lag_ms: i64, read: &[(i64, i64)]) -> GroupUpdate {
    let read = positions(read).into_iter().map(|(segment, offset)| (segment.into(), offset));
    GroupUpdate::UpdateDistanceToTail { reader: reader.into(), lag_ms, read: read.collect() }
}

pub(super) fn create(checkpoint: &str) -> GroupUpdate {
    GroupUpdate::CreateCheckpoint { checkpoint: checkpoint.into() }
}

pub(super) fn answer(checkpoint: &str, reader: &str, offsets: &[(i64, i64)]) -> GroupUpdate {
    GroupUpdate::CheckpointReader {
        checkpoint: checkpoint.into(),
        reader: reader.into(),
        offsets: positions(offsets),
    }
}

pub(super) fn clear(checkpoint: &str) -> GroupUpdate {
    GroupUpdate::ClearCheckpointsBefore { checkpoint: checkpoint.into() }
}

fn positions(offsets: &[(i64, i64)]) -> Vec<(ScopedSegment, SegmentOffset)> {
    offsets.iter().map(|(number, offset)| (segment(*number), at(*offset))).collect()
}

/// Applies updates that fit.
pub(super) fn after(mut state: ReaderGroupState, updates: &[GroupUpdate]) -> ReaderGroupState {
    for update in updates {
        state.apply(update.clone()).unwrap_or_else(|error| panic!("{update:?}: {error}"));
    }
    state
}

/// A state in a line: the segments of each reader, those without a reader, those to come with the
/// predecessors that are left, and the checkpoints with those that they wait for and the positions.
pub(super) fn show(state: &ReaderGroupState) -> String {
    let mut text = String::new();
    for reader in state.readers() {
        let segments = state.assigned(reader).map(offsets).unwrap_or_default();
        let _ = write!(text, "{reader}[{segments}] ");
    }
    let _ = write!(text, "free[{}]", offsets(state.unassigned()));
    for (segment, _, left) in state.future() {
        let left: Vec<String> = left.iter().map(|id| i64::from(*id).to_string()).collect();
        let _ = write!(text, " {}<{}", i64::from(segment.id()), left.join("+"));
    }
    let checkpoints = state.checkpoints();
    for name in checkpoints.names() {
        let waiting: Vec<&str> = checkpoints.waiting_for(name).collect();
        let known = checkpoints.known(name).map_or("gone".to_owned(), |known| {
            let known = known
                .iter()
                .map(|(segment, at)| format!("{}@{}", i64::from(segment.id()), at.to_wire()));
            known.collect::<Vec<_>>().join(" ")
        });
        let _ = write!(text, " {name}({})={known}", waiting.join("+"));
    }
    text
}

fn offsets(offsets: &SegmentOffsets) -> String {
    let each = offsets.iter().map(|(segment, _, offset)| {
        format!("{}@{}", i64::from(segment.id()), offset.offset().unwrap_or(Offset(-1)))
    });
    each.collect::<Vec<_>>().join(" ")
}
