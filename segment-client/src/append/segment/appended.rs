//! The place where an event was stored.

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

    /// Returns the offset of the first event's header in the segment.
    ///
    /// `None` means that the event is stored at an unknown offset: its acknowledgement was lost
    /// with its connection, or one acknowledgement was for several appends.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.offset
    }

    /// The length in the segment in bytes, with the header of each event.
    #[must_use]
    pub fn stored_len(&self) -> u64 {
        self.len
    }

    /// Returns the address of the event. `None` means a batch of several events, an unknown
    /// [offset](Self::offset), or an event too long for an address (2 GiB).
    #[must_use]
    pub fn pointer(&self) -> Option<EventPointer> {
        let len = i32::try_from(self.len).ok().filter(|_| self.events == 1)?;
        EventPointer::new(ScopedSegment::clone(&self.segment), self.offset()?, len).ok()
    }
}
