//! Values of which updates consist: segments, ranges, offsets, texts.

use std::sync::Arc;

use pravega_sdk_types::{
    KeyRange, Offset, ScopedSegment, SegmentId, SegmentOffset,
    serial::{SerialError, SerialReader, SerialWriter},
};

use super::super::segment_offsets::GroupSegment;

/// The versions of all objects of a group.
pub(in crate::group::state) const VERSIONS: &[u8] = &[0];
/// A negative bound means that the range is not known.
const UNKNOWN_BOUND: f64 = -1.0;
/// The end of a segment that is read as a whole.
const WHOLE: i64 = i64::MAX;

type Read<T> = Result<T, SerialError>;
type Written = Result<(), SerialError>;

pub(in crate::group::state) fn read_text(from: &mut SerialReader<'_>) -> Read<Arc<str>> {
    Ok(Arc::from(&*from.utf()?))
}

pub(in crate::group::state) fn read_bool(from: &mut SerialReader<'_>) -> Read<bool> {
    Ok(from.u8()? != 0)
}

pub(in crate::group::state) fn write_bool(to: &mut SerialWriter, value: bool) {
    to.u8(u8::from(value));
}

/// Reads bytes with their number before them.
pub(in crate::group::state) fn read_array<'a>(
    from: &mut SerialReader<'a>,
    what: &'static str,
) -> Read<&'a [u8]> {
    let len = from.compact_int()?;
    let len = usize::try_from(len)
        .map_err(|_| SerialError::NegativeLength { what, len: i64::from(len) })?;
    from.bytes(what, len)
}

pub(in crate::group::state) fn write_array(to: &mut SerialWriter, bytes: &[u8]) -> Written {
    to.count(bytes.len())?;
    to.bytes(bytes);
    Ok(())
}

/// Writes a count, and each item.
pub(in crate::group::state) fn write_all<T>(
    to: &mut SerialWriter,
    count: usize,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut SerialWriter, T) -> Written,
) -> Written {
    to.count(count)?;
    items.into_iter().try_for_each(|item| write(to, item))
}

pub(in crate::group::state) fn read_segment(from: &mut SerialReader<'_>) -> Read<ScopedSegment> {
    from.utf()?.parse().map_err(|_| SerialError::Invalid { what: "segment name" })
}

pub(in crate::group::state) fn write_segment(
    to: &mut SerialWriter,
    segment: &ScopedSegment,
) -> Written {
    to.utf(&segment.to_string())
}

pub(in crate::group::state) fn read_range(from: &mut SerialReader<'_>) -> Read<Option<KeyRange>> {
    let (low, high) = (from.f64()?, from.f64()?);
    if low < 0.0 || high < 0.0 {
        return Ok(None);
    }
    KeyRange::new(low, high).map(Some).map_err(|_| SerialError::Invalid { what: "key range" })
}

pub(in crate::group::state) fn write_range(to: &mut SerialWriter, range: Option<KeyRange>) {
    to.f64(range.map_or(UNKNOWN_BOUND, |range| range.low()));
    to.f64(range.map_or(UNKNOWN_BOUND, |range| range.high()));
}

pub(in crate::group::state) fn read_ranged(from: &mut SerialReader<'_>) -> Read<GroupSegment> {
    Ok(GroupSegment { segment: read_segment(from)?, range: read_range(from)? })
}

pub(in crate::group::state) fn write_ranged(
    to: &mut SerialWriter,
    segment: &ScopedSegment,
    range: Option<KeyRange>,
) -> Written {
    write_segment(to, segment)?;
    write_range(to, range);
    Ok(())
}

pub(in crate::group::state) fn read_offset(from: &mut SerialReader<'_>) -> Read<SegmentOffset> {
    Ok(SegmentOffset::from_wire(from.i64()?))
}

pub(in crate::group::state) fn write_offset(to: &mut SerialWriter, offset: SegmentOffset) {
    to.i64(offset.to_wire());
}

/// Reads a map from segments to offsets.
pub(in crate::group::state) fn read_offsets(
    from: &mut SerialReader<'_>,
) -> Read<Vec<(ScopedSegment, SegmentOffset)>> {
    from.collection(|from| Ok((read_segment(from)?, read_offset(from)?)))
}

pub(in crate::group::state) fn write_offsets<'a>(
    to: &mut SerialWriter,
    count: usize,
    offsets: impl IntoIterator<Item = (&'a ScopedSegment, SegmentOffset)>,
) -> Written {
    write_all(to, count, offsets, |to, (segment, offset)| {
        write_segment(to, segment)?;
        write_offset(to, offset);
        Ok(())
    })
}

/// Reads a map from segments to the ends of reading.
pub(in crate::group::state) fn read_ends(
    from: &mut SerialReader<'_>,
) -> Read<Vec<(ScopedSegment, SegmentOffset)>> {
    from.collection(|from| {
        let segment = read_segment(from)?;
        Ok(match from.i64()? {
            WHOLE => (segment, SegmentOffset::End),
            end => (segment, SegmentOffset::At(Offset(end))),
        })
    })
}

pub(in crate::group::state) fn write_ends<'a>(
    to: &mut SerialWriter,
    count: usize,
    ends: impl IntoIterator<Item = (&'a ScopedSegment, SegmentOffset)>,
) -> Written {
    write_all(to, count, ends, |to, (segment, end)| {
        write_segment(to, segment)?;
        to.i64(end.offset().map_or(WHOLE, |end| end.0));
        Ok(())
    })
}

pub(in crate::group::state) fn read_ids(from: &mut SerialReader<'_>) -> Read<Vec<SegmentId>> {
    from.collection(|from| Ok(SegmentId::from(from.i64()?)))
}

pub(in crate::group::state) fn write_ids(
    to: &mut SerialWriter,
    count: usize,
    ids: impl IntoIterator<Item = SegmentId>,
) -> Written {
    write_all(to, count, ids, |to, id| {
        to.i64(i64::from(id));
        Ok(())
    })
}

/// Reads a map from segments to their ranges.
pub(in crate::group::state) fn read_ranges(
    from: &mut SerialReader<'_>,
) -> Read<std::collections::BTreeMap<ScopedSegment, Option<KeyRange>>> {
    let ranges = from.collection(|from| Ok((read_segment(from)?, read_range(from)?)))?;
    Ok(ranges.into_iter().collect())
}
