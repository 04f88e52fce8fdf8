//! One segment.

use std::collections::BTreeMap;

use bytes::Bytes;
use pravega_sdk_types::{EventNumber, WriterId};
use pravega_sdk_wire_protocol::{TableEntry, TableKey, TableValue};
use uuid::Uuid;

use super::{
    attributes::AttributeMap,
    bytes::{Pieces, SegmentBytes},
    spares::Spares,
    table::Table,
    waiting::Waits,
};
use crate::{
    log::SegmentNumber,
    record::{Attributes, Millis, Sequence},
    state::Parts,
};

/// The high half of the ids of attributes that the store itself keeps.
const CORE: u64 = 0x8000_0000_0000_0000;

/// Attributes that every segment may have, by the low half of their ids as the Java store numbers
/// them.
pub(crate) mod attribute {
    use uuid::Uuid;

    /// When the segment was created, in milliseconds since 1970.
    pub(crate) const CREATED: Uuid = core(0);
    /// The number of events appended.
    pub(crate) const EVENT_COUNT: Uuid = core(1);
    /// How the stream scales: 0 not at all, 1 by KiB a second, 2 by events a second.
    pub(crate) const SCALE_TYPE: Uuid = core(2);
    /// The target rate of the policy.
    pub(crate) const SCALE_RATE: Uuid = core(3);
    /// The size of a chunk in long-term storage, in bytes.
    pub(crate) const ROLLOVER_SIZE: Uuid = core(4);

    const fn core(low: u64) -> Uuid {
        Uuid::from_u64_pair(super::CORE, low)
    }
}

/// The value that removes an attribute, and that the protocol shows for a missing one.
pub(crate) const ABSENT: i64 = i64::MIN;

/// Approximate memory that an attribute uses, in bytes: its part of a tree that is half full.
const ATTRIBUTE_HELD: u64 = 64;

/// Approximate memory that a part of another segment uses, in bytes: in the segment, and in the
/// index by which it is found from its records.
const PART_HELD: u64 = 128;

/// The change from one amount of memory to another.
pub(crate) fn change(from: u64, to: u64) -> i64 {
    i64::try_from(to).unwrap_or(i64::MAX).saturating_sub(i64::try_from(from).unwrap_or(i64::MAX))
}

/// The change of memory by setting attributes, of which the last value of each counts.
pub(crate) fn growth_by(attributes: &[(Uuid, i64)], exists: impl Fn(Uuid) -> bool) -> i64 {
    let mut last = BTreeMap::new();
    let growth = |(id, value): (Uuid, i64)| match (exists(id), value != ABSENT) {
        (false, true) => ATTRIBUTE_HELD as i64,
        (true, false) => -(ATTRIBUTE_HELD as i64),
        _ => 0,
    };
    match attributes {
        // An append has two.
        [one, other] if one.0 != other.0 => growth(*one) + growth(*other),
        all => {
            last.extend(all.iter().copied());
            last.into_iter().map(growth).sum()
        }
    }
}

/// A segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub content: Content,
    attributes: AttributeMap,
    pub sealed: bool,
    pub last_modified: Millis,
    /// The last batch of records that changed it.
    pub changed: Sequence,
    /// Reads that wait at the end.
    pub waiting: Waits,
    pub traffic: Traffic,
    /// The number in the log, if there is one.
    pub number: SegmentNumber,
    /// The parts that are in the records of others, if there is a log.
    pub parts: Parts,
}

/// The content of a segment.
#[derive(Debug)]
pub(crate) enum Content {
    /// The bytes of a stream.
    Stream(SegmentBytes),
    /// The entries of a table, and the length that its segment would have.
    Table(Table, u64),
}

/// The amounts appended since the last measurement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    /// The number of events.
    pub events: u64,
    /// The number of bytes.
    pub bytes: u64,
}

impl Content {
    pub(super) fn append(&mut self, data: &[u8], after: Sequence, spares: &Spares) {
        if let Self::Stream(bytes) = self {
            bytes.append(data, after, spares);
        }
    }

    #[must_use = "to drop much takes long"]
    pub(crate) fn truncate(&mut self, offset: u64) -> Pieces {
        match self {
            Self::Stream(bytes) => bytes.truncate(offset),
            Self::Table(..) => Pieces::default(),
        }
    }

    /// Puts entries, each at the end of the table.
    pub(crate) fn put(&mut self, entries: &[(Bytes, Bytes)]) {
        let Self::Table(table, len) = self else { return };
        for (key, value) in entries {
            let key = TableKey { data: key.clone(), key_version: TableKey::NO_VERSION };
            let entry = [TableEntry { key, value: TableValue { data: value.clone() } }];
            table.update(&entry, *len);
            *len += Table::entries_len(&entry);
        }
    }

    pub(crate) fn remove(&mut self, keys: &[Bytes]) {
        let Self::Table(table, len) = self else { return };
        let key = |key: &Bytes| TableKey { data: key.clone(), key_version: TableKey::NO_VERSION };
        let keys: Vec<TableKey> = keys.iter().map(key).collect();
        table.remove(&keys);
        *len += Table::removals_len(&keys);
    }
}

impl Segment {
    pub(crate) fn new(content: Content, at: Millis) -> Self {
        Self {
            content,
            attributes: AttributeMap::default(),
            sealed: false,
            last_modified: at,
            changed: Sequence::default(),
            waiting: Waits::default(),
            traffic: Traffic::default(),
            number: SegmentNumber::default(),
            parts: Parts::default(),
        }
    }

    /// The offset after the last byte.
    pub(crate) fn len(&self) -> u64 {
        match &self.content {
            Content::Stream(bytes) => bytes.len(),
            Content::Table(_, len) => *len,
        }
    }

    /// The first offset that can be read.
    pub(crate) fn start(&self) -> u64 {
        match &self.content {
            Content::Stream(bytes) => bytes.start(),
            Content::Table(..) => 0,
        }
    }

    /// Approximate memory that the segment uses, in bytes.
    pub(crate) fn held(&self) -> u64 {
        let content = match &self.content {
            Content::Stream(bytes) => bytes.held(),
            Content::Table(table, _) => table.held(),
        };
        let parts = self.parts.len() as u64 * PART_HELD;
        content + parts + self.attributes.len() as u64 * ATTRIBUTE_HELD
    }

    /// The change of [`held`](Self::held) by appending `more` bytes.
    pub(crate) fn growth_by_bytes(&self, more: u64) -> i64 {
        match &self.content {
            Content::Stream(bytes) => change(bytes.held(), bytes.shape().with(more).held()),
            Content::Table(..) => 0,
        }
    }

    /// The bytes of a segment of a stream.
    pub(crate) fn bytes(&self) -> Option<&SegmentBytes> {
        match &self.content {
            Content::Stream(bytes) => Some(bytes),
            Content::Table(..) => None,
        }
    }

    /// Memory that the parts of the segment use after it was merged into another.
    pub(crate) fn held_by_merged_parts(&self) -> u64 {
        let parts = self.parts.within(self.number, self.start()..self.len());
        parts.len() as u64 * PART_HELD
    }

    /// The change of [`held`](Self::held) by setting attributes.
    pub(crate) fn growth_by_attributes(&self, attributes: &[(Uuid, i64)]) -> i64 {
        growth_by(attributes, |id| self.attributes.get(id).is_some())
    }

    pub(crate) fn table(&self) -> Option<(&Table, u64)> {
        match &self.content {
            Content::Table(table, len) => Some((table, *len)),
            Content::Stream(_) => None,
        }
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, id: Uuid) -> Option<i64> {
        self.attributes.get(id)
    }

    /// The last event number of a writer, which the segment keeps as an attribute.
    pub(crate) fn last_event_number(&self, writer: WriterId) -> EventNumber {
        self.attribute(writer.0).map_or(EventNumber::NONE, EventNumber)
    }

    pub(crate) fn set_attributes(&mut self, attributes: &Attributes) {
        for (index, (id, value)) in attributes.iter().enumerate() {
            match *value {
                ABSENT => self.attributes.remove(*id),
                value => self.attributes.insert(*id, value, attributes.len() - index - 1),
            }
        }
    }

    /// The attributes after one, in order; all without one.
    pub(crate) fn attributes_after(
        &self,
        id: Option<Uuid>,
    ) -> impl Iterator<Item = (Uuid, i64)> + '_ {
        self.attributes.after(id)
    }
}
