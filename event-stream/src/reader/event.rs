//! An event as a reader hands it out.

use std::sync::Arc;

use pravega_sdk_types::{EventPointer, Offset, ScopedSegment};
use pravega_sdk_wire_protocol::event::EVENT_HEADER_LEN;

/// An event, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEvent<E> {
    event: E,
    segment: Arc<ScopedSegment>,
    offset: Offset,
    len: usize,
}

impl<E> ReadEvent<E> {
    pub(super) fn new(event: E, segment: Arc<ScopedSegment>, offset: i64, len: usize) -> Self {
        Self { event, segment, offset: Offset(offset), len }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &E {
        &self.event
    }

    /// The event, without where it stands.
    #[must_use]
    pub fn into_event(self) -> E {
        self.event
    }

    /// The segment that it stands in.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// Where in the segment its header starts.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Where the next event of the segment starts.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        Offset(self.offset.0 + (self.len + EVENT_HEADER_LEN) as i64)
    }

    /// Its address, from which it can be fetched again; none for an event of almost 2 GiB, whose
    /// length has no room in one.
    #[must_use]
    pub fn pointer(&self) -> Option<EventPointer> {
        let len = i32::try_from(self.len + EVENT_HEADER_LEN).ok()?;
        EventPointer::new((*self.segment).clone(), self.offset, len).ok()
    }
}
