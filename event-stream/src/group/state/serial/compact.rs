//! The bytes of a whole state.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::{
    KeyRange, ScopedSegment, SegmentOffset,
    serial::{Revisions, SerialError, SerialReader, SerialWriter},
};

use super::{
    super::{
        checkpoints::CheckpointState,
        configuration::StoredConfiguration,
        future_segments::FutureSegments,
        group_state::ReaderGroupState,
        segment_offsets::{GroupSegment, SegmentOffsets},
    },
    parts::{
        read_array, read_bool, read_ends, read_ids, read_offsets, read_ranges, read_segment,
        read_text, write_all, write_array, write_bool, write_ends, write_ids, write_offsets,
        write_ranged, write_segment,
    },
};

type Ranges = BTreeMap<ScopedSegment, Option<KeyRange>>;

impl ReaderGroupState {
    pub(super) fn revisions(&self) -> Result<[SerialWriter; 3], SerialError> {
        let (mut second, mut third) = (SerialWriter::new(), SerialWriter::new());
        write_segments(&mut second, &self.last_read)?;
        let ranges = self.ranges();
        write_all(&mut second, ranges.len(), &ranges, |to, (segment, range)| {
            write_ranged(to, segment, *range)
        })?;
        write_bool(&mut third, self.is_updating_configuration);
        Ok([self.first()?, second, third])
    }

    fn first(&self) -> Result<SerialWriter, SerialError> {
        let mut to = SerialWriter::new();
        write_array(&mut to, &self.configuration.to_bytes()?)?;
        write_array(&mut to, &self.checkpoints.to_bytes()?)?;
        write_all(&mut to, self.lags.len(), &self.lags, |to, (reader, lag)| {
            to.utf(reader)?;
            to.i64(*lag);
            Ok(())
        })?;
        let future = &self.future;
        write_all(&mut to, future.len(), future.iter(), |to, (segment, pending)| {
            write_segment(to, segment)?;
            write_ids(to, pending.predecessors.len(), pending.predecessors.iter().copied())
        })?;
        write_all(&mut to, self.assigned.len(), &self.assigned, |to, (reader, segments)| {
            to.utf(reader)?;
            write_segments(to, segments)
        })?;
        write_segments(&mut to, &self.unassigned)?;
        let ends = self.ends.iter().map(|(segment, end)| (segment, *end));
        write_ends(&mut to, self.ends.len(), ends)?;
        Ok(to)
    }

    /// Returns the ranges of all segments.
    fn ranges(&self) -> Ranges {
        let future = self.future.iter();
        let mut ranges: Ranges =
            future.map(|(segment, pending)| (segment.clone(), pending.range)).collect();
        let others = self.assigned.values().chain([&self.unassigned, &self.last_read]);
        for (segment, range, _) in others.flat_map(SegmentOffsets::iter) {
            ranges.insert(segment.clone(), range);
        }
        ranges
    }

    pub(super) fn read(revisions: &Revisions<'_>) -> Result<Self, SerialError> {
        let mut last_read = Vec::new();
        let mut ranges = Ranges::new();
        if let Some(mut second) = revisions.get(1) {
            last_read = read_offsets(&mut second)?;
            ranges = read_ranges(&mut second)?;
        }
        let is_updating_configuration = match revisions.get(2) {
            Some(mut third) => read_bool(&mut third)?,
            None => false,
        };
        let mut first = revisions.require(0)?;
        let configuration = read_array(&mut first, "configuration of a reader group")?;
        let checkpoints = read_array(&mut first, "checkpoints of a reader group")?;
        Ok(Self {
            configuration: StoredConfiguration::from_bytes(configuration)?,
            checkpoints: CheckpointState::from_bytes(checkpoints)?,
            lags: read_lags(&mut first)?,
            future: read_future(&mut first, &ranges)?,
            assigned: read_assigned(&mut first, &ranges)?,
            unassigned: ranged(read_offsets(&mut first)?, &ranges),
            last_read: ranged(last_read, &ranges),
            ends: read_ends(&mut first)?.into_iter().collect(),
            is_updating_configuration,
        })
    }
}

fn read_lags(from: &mut SerialReader<'_>) -> Result<BTreeMap<Arc<str>, i64>, SerialError> {
    Ok(from.collection(|from| Ok((read_text(from)?, from.i64()?)))?.into_iter().collect())
}

fn read_future(
    from: &mut SerialReader<'_>,
    ranges: &Ranges,
) -> Result<FutureSegments, SerialError> {
    let mut future = FutureSegments::default();
    for (segment, ids) in from.collection(|from| Ok((read_segment(from)?, read_ids(from)?)))? {
        future.add(with_range(segment, ranges), BTreeSet::from_iter(ids));
    }
    Ok(future)
}

fn read_assigned(
    from: &mut SerialReader<'_>,
    ranges: &Ranges,
) -> Result<BTreeMap<Arc<str>, SegmentOffsets>, SerialError> {
    let assigned = from.collection(|from| Ok((read_text(from)?, read_offsets(from)?)))?;
    Ok(assigned.into_iter().map(|(reader, offsets)| (reader, ranged(offsets, ranges))).collect())
}

fn ranged(offsets: Vec<(ScopedSegment, SegmentOffset)>, ranges: &Ranges) -> SegmentOffsets {
    offsets.into_iter().map(|(segment, offset)| (with_range(segment, ranges), offset)).collect()
}

fn with_range(segment: ScopedSegment, ranges: &Ranges) -> GroupSegment {
    let range = ranges.get(&segment).copied().flatten();
    GroupSegment { segment, range }
}

fn write_segments(to: &mut SerialWriter, segments: &SegmentOffsets) -> Result<(), SerialError> {
    let offsets = segments.iter().map(|(segment, _, offset)| (segment, offset));
    write_offsets(to, segments.len(), offsets)
}
