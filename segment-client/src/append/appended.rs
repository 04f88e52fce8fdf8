//! Where an event was stored.

use std::sync::Arc;

use pravega_sdk_types::{EventPointer, Offset, ScopedSegment};

/// Where an event, or an atomic batch, was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    segment: Arc<ScopedSegment>,
    offset: Option<Offset>,
    len: u64,
    events: u32,
}

impl Appended {
    pub(crate) fn new(
        segment: &Arc<ScopedSegment>,
        offset: Option<Offset>,
        len: usize,
        events: usize,
    ) -> Self {
        Self {
            segment: Arc::clone(segment),
            offset,
            len: len as u64,
            events: u32::try_from(events).unwrap_or(u32::MAX),
        }
    }

    /// The segment.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// Where in the segment the first event's header starts.
    ///
    /// None if the store did not tell: where an acknowledgement was lost with its connection, or
    /// one stood for several appends, the event is known to be stored, but not where.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.offset
    }

    /// The length in the segment in bytes, with the header of each event.
    #[must_use]
    pub fn stored_len(&self) -> u64 {
        self.len
    }

    /// The address of the event; none for a batch of several, where [`Self::offset`] is none, or
    /// beyond what an address can say (2 GiB).
    #[must_use]
    pub fn pointer(&self) -> Option<EventPointer> {
        let len = i32::try_from(self.len).ok().filter(|_| self.events == 1)?;
        EventPointer::new(ScopedSegment::clone(&self.segment), self.offset()?, len).ok()
    }
}
