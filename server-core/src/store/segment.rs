//! One segment.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{bytes::SegmentBytes, table::Table};
use crate::{
    ids::ConnectionId,
    record::{Attributes, Millis, Sequence},
};

/// The high half of the ids of attributes that the store itself keeps.
const CORE: u64 = 0x8000_0000_0000_0000;

/// Attributes that every segment may have, by the low half of their ids as the Java store numbers
/// them.
pub(crate) mod attribute {
    use uuid::Uuid;

    /// When the segment was made, in milliseconds since 1970.
    pub(crate) const CREATED: Uuid = core(0);
    /// How many events were appended.
    pub(crate) const EVENT_COUNT: Uuid = core(1);
    /// How the stream scales: 0 not at all, 1 by KiB a second, 2 by events a second.
    pub(crate) const SCALE_TYPE: Uuid = core(2);
    /// From which rate on.
    pub(crate) const SCALE_RATE: Uuid = core(3);
    /// The size of a piece in long-term storage, in bytes.
    pub(crate) const ROLLOVER_SIZE: Uuid = core(4);

    const fn core(low: u64) -> Uuid {
        Uuid::from_u64_pair(super::CORE, low)
    }
}

/// The value of an attribute that is not there.
pub(crate) const ABSENT: i64 = i64::MIN;

/// A segment with all that is known of it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub content: Content,
    attributes: BTreeMap<Uuid, i64>,
    pub sealed: bool,
    pub last_modified: Millis,
    /// The last batch of records that changed it.
    pub changed: Sequence,
    /// Reads at the end, waiting for more.
    pub waiting: Vec<Waiting>,
    pub traffic: Traffic,
}

/// What a segment is made of.
#[derive(Debug)]
pub(crate) enum Content {
    /// The bytes of a stream.
    Stream(SegmentBytes),
    /// The entries of a table, and how long the segment would be.
    Table(Table, u64),
}

/// A read that waits at the end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub connection: ConnectionId,
    pub request_id: i64,
    pub offset: i64,
    pub max_len: usize,
}

/// What was appended since somebody last looked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    pub events: u64,
    pub bytes: u64,
}

impl Segment {
    pub(crate) fn new(content: Content, at: Millis) -> Self {
        Self {
            content,
            attributes: BTreeMap::new(),
            sealed: false,
            last_modified: at,
            changed: Sequence::default(),
            waiting: Vec::new(),
            traffic: Traffic::default(),
        }
    }

    /// The offset behind the last byte.
    pub(crate) fn len(&self) -> u64 {
        match &self.content {
            Content::Stream(bytes) => bytes.len(),
            Content::Table(_, len) => *len,
        }
    }

    /// The first offset that is there.
    pub(crate) fn start(&self) -> u64 {
        match &self.content {
            Content::Stream(bytes) => bytes.start(),
            Content::Table(..) => 0,
        }
    }

    /// How much memory the segment takes, in bytes, about.
    pub(crate) fn held(&self) -> u64 {
        let content = match &self.content {
            Content::Stream(bytes) => bytes.held(),
            Content::Table(table, _) => table.held(),
        };
        // A node of the attributes' tree takes about 40 bytes for each.
        content + self.attributes.len() as u64 * 40
    }

    pub(crate) fn table(&self) -> Option<(&Table, u64)> {
        match &self.content {
            Content::Table(table, len) => Some((table, *len)),
            Content::Stream(_) => None,
        }
    }

    /// The value of an attribute, or [`ABSENT`].
    pub(crate) fn attribute(&self, id: Uuid) -> i64 {
        self.attributes.get(&id).copied().unwrap_or(ABSENT)
    }

    pub(crate) fn set_attributes(&mut self, attributes: &Attributes) {
        for (id, value) in attributes {
            match *value {
                ABSENT => self.attributes.remove(id),
                value => self.attributes.insert(*id, value),
            };
        }
    }

    /// All attributes, for snapshots.
    pub(crate) fn attributes(&self) -> Attributes {
        self.attributes.iter().map(|(id, value)| (*id, *value)).collect()
    }
}
