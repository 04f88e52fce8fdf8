//! The bytes of each kind of item.

use std::sync::Arc;

use pravega_sdk_types::{
    ScopedSegment, SegmentOffset,
    serial::{SerialError, SerialReader, SerialWriter},
};

use super::{
    super::{
        future_segments::Pending,
        segment_offsets::RangedOffset,
        serial::parts::{
            read_bool, read_ids, read_offset, read_range, write_bool, write_ids, write_offset,
            write_range,
        },
    },
    page::{Item, ItemKey},
};

type Read<T> = Result<T, SerialError>;

/// A segment of a holder, with how far it was read unless another entry has that.
pub(super) fn held_to_bytes(held: RangedOffset, read: Option<SegmentOffset>) -> Vec<u8> {
    let mut to = SerialWriter::new();
    write_range(&mut to, held.range);
    write_offset(&mut to, held.offset);
    write_bool(&mut to, read.is_some());
    read.into_iter().for_each(|read| write_offset(&mut to, read));
    to.finish()
}

pub(super) fn read_held(body: &[u8]) -> Read<(RangedOffset, Option<SegmentOffset>)> {
    let mut from = SerialReader::new(body);
    let held = RangedOffset { range: read_range(&mut from)?, offset: read_offset(&mut from)? };
    let read = read_bool(&mut from)?.then(|| read_offset(&mut from)).transpose()?;
    Ok((held, read))
}

pub(super) fn pending_to_bytes(pending: &Pending) -> Read<Vec<u8>> {
    let mut to = SerialWriter::new();
    write_range(&mut to, pending.range);
    let ids = pending.predecessors.iter().copied();
    write_ids(&mut to, pending.predecessors.len(), ids)?;
    Ok(to.finish())
}

pub(super) fn read_pending(body: &[u8]) -> Read<Pending> {
    let mut from = SerialReader::new(body);
    let range = read_range(&mut from)?;
    Ok(Pending { range, predecessors: read_ids(&mut from)?.into_iter().collect() })
}

pub(super) fn offset_to_bytes(offset: SegmentOffset) -> Vec<u8> {
    let mut to = SerialWriter::new();
    write_offset(&mut to, offset);
    to.finish()
}

pub(super) fn offset_of(item: &Item) -> Read<SegmentOffset> {
    read_offset(&mut SerialReader::new(&item.body))
}

pub(super) fn segment_of(key: &ItemKey) -> Read<&ScopedSegment> {
    match key {
        ItemKey::Segment(segment) => Ok(segment),
        ItemKey::Name(_) => Err(SerialError::Invalid { what: "item of a list of segments" }),
    }
}

pub(super) fn name_of(key: &ItemKey) -> Read<&Arc<str>> {
    match key {
        ItemKey::Name(name) => Ok(name),
        ItemKey::Segment(_) => Err(SerialError::Invalid { what: "item of a list of readers" }),
    }
}
