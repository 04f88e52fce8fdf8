//! An event as a reader returns it.

use std::sync::Arc;

use pravega_sdk_types::{EventPointer, Offset, ScopedSegment};
use pravega_sdk_wire_protocol::event::EVENT_HEADER_LEN;

/// An event and its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEvent<E> {
    event: E,
    segment: Arc<ScopedSegment>,
    offset: Offset,
    len: usize,
}

impl<E> ReadEvent<E> {
    pub(crate) fn new(event: E, segment: Arc<ScopedSegment>, offset: i64, len: usize) -> Self {
        Self { event, segment, offset: Offset(offset), len }
    }

    /// Returns the event.
    #[must_use]
    pub fn event(&self) -> &E {
        &self.event
    }

    /// Returns the event without its place.
    #[must_use]
    pub fn into_event(self) -> E {
        self.event
    }

    /// Returns the segment of the event.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// As [`Self::segment`], to compare with that of another event of the reader.
    pub(crate) fn shared(&self) -> &Arc<ScopedSegment> {
        &self.segment
    }

    /// Returns the offset of the event's header in the segment.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Returns the offset of the next event in the segment.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        Offset(self.offset.0 + (self.len + EVENT_HEADER_LEN) as i64)
    }

    /// Returns the address of the event, by which it can be fetched again; `None` for an event of
    /// almost 2 GiB, whose length does not fit into a pointer.
    #[must_use]
    pub fn pointer(&self) -> Option<EventPointer> {
        let len = i32::try_from(self.len + EVENT_HEADER_LEN).ok()?;
        EventPointer::new((*self.segment).clone(), self.offset, len).ok()
    }
}
