//! What is appended: an event, or bytes, from a handle to its result.

use bytes::Bytes;
use pravega_sdk_types::{EventNumber, Offset, SegmentId};
use pravega_sdk_wire_protocol::event::EVENT_HEADER_LEN;

use super::appended::Appended;
use crate::{error::WriteError, machine::Now};

/// An append that is stored as a whole or not at all.
#[derive(Debug)]
pub(crate) struct Item<T> {
    pub(crate) content: Content,
    /// Its length in the segment, headers included.
    pub(crate) bytes: usize,
    /// When its caller began to wait for it.
    pub(crate) enqueued: Now,
    /// The generation of flushes that it belongs to.
    pub(crate) generation: u64,
    /// The receiver of the result.
    pub(crate) ticket: T,
    /// The number of its last event, given by its segment.
    pub(super) number: EventNumber,
}

/// An item that goes to the segment of its position, also after a scale. Nothing else is routed:
/// an offset means nothing in another segment.
#[derive(Debug)]
pub(crate) struct Routed<T> {
    position: f64,
    item: Item<T>,
}

/// What an item appends, and the place for it.
#[derive(Debug)]
pub(crate) enum Content {
    /// Events for the segment of this position in the key space.
    Routed { position: f64, payload: Payload },
    /// Data for this offset of one segment.
    Pinned { offset: Offset, payload: Pinned },
}

/// The choice of the segment of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Key {
    /// The segment that owns this position of the key space, from 0 up to 1.
    Hashed(f64),
    /// Any; the writer picks a random position.
    Any,
}

/// An append, as a surface sends it.
#[derive(Debug)]
pub enum Write {
    /// Events that go to the segment of their key, also after a scale.
    Routed {
        /// The choice of the segment.
        key: Key,
        /// The events.
        payload: Payload,
    },
    /// Data that is appended only if a segment ends at an offset, and to no other segment.
    Pinned {
        /// The position in the key space that the segment must own, if there is a key.
        position: Option<f64>,
        /// The segment.
        segment: SegmentId,
        /// The length that the segment must have.
        offset: Offset,
        /// The data.
        payload: Pinned,
    },
}

/// Events that are appended as a whole or not at all.
#[derive(Debug)]
pub enum Payload {
    /// One event.
    Event(Bytes),
    /// Several events in one append.
    Batch(Vec<Bytes>),
    /// Events too large for one append: they go through a transient segment.
    Large(Vec<Bytes>),
}

/// Data that is appended at an offset or not at all.
#[derive(Debug)]
pub enum Pinned {
    /// An event.
    Event(Bytes),
    /// Bytes of a byte stream, without a header.
    Bytes(Bytes),
}

/// An item that is done.
#[derive(Debug)]
pub(crate) struct Completion<T> {
    pub(crate) ticket: T,
    pub(crate) generation: u64,
    pub(crate) bytes: usize,
    pub(crate) result: Result<Appended, WriteError>,
}

impl Write {
    /// Returns the length in the segment, headers included.
    #[must_use]
    pub fn framed_len(&self) -> usize {
        match self {
            Self::Routed { payload, .. } => payload.framed_len(),
            Self::Pinned { payload, .. } => payload.framed_len(),
        }
    }

    /// Returns the event, or all events one after the other, without headers.
    #[must_use]
    pub fn into_data(self) -> Bytes {
        match self {
            Self::Routed { payload: Payload::Event(event), .. } => event,
            Self::Routed { payload, .. } => payload.events().concat().into(),
            Self::Pinned { payload: Pinned::Event(data) | Pinned::Bytes(data), .. } => data,
        }
    }
}

impl Payload {
    /// Returns the events.
    #[must_use]
    pub fn events(&self) -> &[Bytes] {
        match self {
            Self::Event(event) => std::slice::from_ref(event),
            Self::Batch(events) | Self::Large(events) => events,
        }
    }

    /// Returns the length in the segment, headers included.
    #[must_use]
    pub fn framed_len(&self) -> usize {
        self.events()
            .iter()
            .map(|event| EVENT_HEADER_LEN.saturating_add(event.len()))
            .fold(0, usize::saturating_add)
    }
}

impl Pinned {
    fn data(&self) -> &Bytes {
        match self {
            Self::Event(data) | Self::Bytes(data) => data,
        }
    }

    fn framed_len(&self) -> usize {
        let header = match self {
            Self::Event(_) => EVENT_HEADER_LEN,
            Self::Bytes(_) => 0,
        };
        self.data().len().saturating_add(header)
    }
}

impl Content {
    /// Returns the events, or the bytes as one piece.
    pub(crate) fn events(&self) -> &[Bytes] {
        match self {
            Self::Routed { payload, .. } => payload.events(),
            Self::Pinned { payload, .. } => std::slice::from_ref(payload.data()),
        }
    }

    pub(super) fn event_count(&self) -> i64 {
        self.events().len() as i64
    }

    fn framed_len(&self) -> usize {
        match self {
            Self::Routed { payload, .. } => payload.framed_len(),
            Self::Pinned { payload, .. } => payload.framed_len(),
        }
    }

    /// Returns true for what goes into a block with others.
    pub(super) fn is_in_blocks(&self) -> bool {
        matches!(self, Self::Routed { payload: Payload::Event(_) | Payload::Batch(_), .. })
    }
}

impl<T> Item<T> {
    pub(crate) fn new(content: Content, enqueued: Now, generation: u64, ticket: T) -> Self {
        let bytes = content.framed_len();
        Self { content, bytes, enqueued, generation, ticket, number: EventNumber(0) }
    }

    /// Returns the item as one that may be routed, or itself if it is for an offset.
    pub(crate) fn into_routed(self) -> Result<Routed<T>, Self> {
        match self.content {
            Content::Routed { position, .. } => Ok(Routed { position, item: self }),
            Content::Pinned { .. } => Err(self),
        }
    }

    pub(crate) fn complete(self, result: Result<Appended, WriteError>) -> Completion<T> {
        Completion { ticket: self.ticket, generation: self.generation, bytes: self.bytes, result }
    }
}

impl<T> Routed<T> {
    pub(crate) fn new(
        position: f64,
        payload: Payload,
        enqueued: Now,
        generation: u64,
        ticket: T,
    ) -> Self {
        let content = Content::Routed { position, payload };
        Self { position, item: Item::new(content, enqueued, generation, ticket) }
    }

    pub(crate) fn position(&self) -> f64 {
        self.position
    }

    pub(crate) fn into_item(self) -> Item<T> {
        self.item
    }
}

/// Returns an offset of the wire, where a negative one means that the store does not know it.
pub(super) fn known_offset(offset: i64) -> Option<Offset> {
    Some(Offset(offset)).filter(|offset| offset.0 >= 0)
}
