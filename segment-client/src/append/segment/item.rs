//! An event to be stored, and its result.

use bytes::Bytes;
use pravega_sdk_types::{EventNumber, Offset};
use pravega_sdk_wire_protocol::event::EVENT_HEADER_LEN;

use super::appended::Appended;
use crate::{error::WriteError, machine::Now};

/// An append that is stored as a whole or not at all.
#[derive(Debug)]
pub(crate) struct Item<T> {
    /// Its position in the key space, which chooses the segment, also after a scale.
    pub(crate) position: f64,
    pub(crate) payload: Payload,
    /// Its length in the segment, headers included.
    pub(crate) bytes: usize,
    /// When it was enqueued.
    pub(crate) enqueued: Now,
    /// The generation of flushes that it belongs to.
    pub(crate) generation: u64,
    /// The receiver of the result.
    pub(crate) ticket: T,
    /// The number of its last event, given by its segment.
    pub(super) number: EventNumber,
}

/// The choice of the segment of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Key {
    /// The segment that owns this position of the key space, from 0 up to 1.
    Hashed(f64),
    /// Any; the writer picks a random position.
    Any,
}

/// Bytes that are appended as a whole or not at all.
#[derive(Debug)]
pub enum Payload {
    /// One event.
    Event(Bytes),
    /// Several events in one append.
    Batch(Vec<Bytes>),
    /// An event that is appended only if the segment ends at an offset.
    Conditional {
        /// The event.
        event: Bytes,
        /// The length that the segment must have.
        tail_offset: Offset,
    },
    /// Bytes of a byte stream, without a header, at an offset of their own.
    Bytes {
        /// The bytes.
        data: Bytes,
        /// The offset of the first of them.
        offset: Offset,
    },
    /// Events too large for one append: they go through a transient segment.
    Large(Vec<Bytes>),
}

/// An item that is done.
#[derive(Debug)]
pub(crate) struct Completion<T> {
    pub(crate) ticket: T,
    pub(crate) generation: u64,
    pub(crate) bytes: usize,
    pub(crate) result: Result<Appended, WriteError>,
}

impl Payload {
    /// Returns the events, or the bytes as one piece.
    #[must_use]
    pub fn events(&self) -> &[Bytes] {
        match self {
            Self::Event(event) | Self::Conditional { event, .. } => std::slice::from_ref(event),
            Self::Bytes { data, .. } => std::slice::from_ref(data),
            Self::Batch(events) | Self::Large(events) => events,
        }
    }

    pub(super) fn event_count(&self) -> i64 {
        self.events().len() as i64
    }

    /// Returns the length in the segment, headers included.
    #[must_use]
    pub fn framed_len(&self) -> usize {
        if let Self::Bytes { data, .. } = self {
            return data.len();
        }
        self.events()
            .iter()
            .map(|event| EVENT_HEADER_LEN.saturating_add(event.len()))
            .fold(0, usize::saturating_add)
    }
}

impl<T> Item<T> {
    pub(crate) fn new(payload: Payload, enqueued: Now, ticket: T) -> Self {
        let bytes = payload.framed_len();
        Self {
            position: 0.0,
            payload,
            bytes,
            enqueued,
            generation: 0,
            ticket,
            number: EventNumber(0),
        }
    }

    pub(crate) fn complete(self, result: Result<Appended, WriteError>) -> Completion<T> {
        Completion { ticket: self.ticket, generation: self.generation, bytes: self.bytes, result }
    }
}

/// Returns an offset of the wire, where a negative one means that the store does not know it.
pub(super) fn known_offset(offset: i64) -> Option<Offset> {
    Some(Offset(offset)).filter(|offset| offset.0 >= 0)
}
