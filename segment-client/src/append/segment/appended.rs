//! The place where an event was stored.

use std::{num::NonZeroU64, sync::Arc};

use pravega_sdk_types::{EventPointer, Offset, ScopedSegment};

use super::tail::SegmentTail;

/// Where an event, or an atomic batch, was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    segment: Arc<ScopedSegment>,
    /// The offset after its last byte, if it is known: no write is empty, so it is not 0, and takes
    /// no more memory than a number.
    end: Option<NonZeroU64>,
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
        let len = len as u64;
        // A store that claims an end within the write does not know where the write is.
        let start = offset.and_then(|offset| u64::try_from(offset.0).ok());
        Self {
            segment: Arc::clone(segment),
            end: start.and_then(|start| NonZeroU64::new(start.saturating_add(len))),
            len,
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
        let start = self.end?.get().checked_sub(self.len)?;
        i64::try_from(start).ok().map(Offset)
    }

    /// The length in the segment in bytes, with the header of each event.
    #[must_use]
    pub fn stored_len(&self) -> u64 {
        self.len
    }

    /// Returns the end of the segment after this write, for one that must follow it directly.
    /// `None` means an unknown [offset](Self::offset).
    #[must_use]
    pub fn tail(&self) -> Option<SegmentTail> {
        let end = i64::try_from(self.end?.get()).ok()?;
        Some(SegmentTail::new(ScopedSegment::clone(&self.segment), Offset(end)))
    }

    /// Returns the address of the event. `None` means a batch of several events, an unknown
    /// [offset](Self::offset), or an event too long for an address (2 GiB).
    #[must_use]
    pub fn pointer(&self) -> Option<EventPointer> {
        let len = i32::try_from(self.len).ok().filter(|_| self.events == 1)?;
        EventPointer::new(ScopedSegment::clone(&self.segment), self.offset()?, len).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(offset: Option<i64>, len: usize) -> Appended {
        let segment = Arc::new("shop/orders/0.#epoch.0".parse().unwrap());
        Appended::new(&segment, offset.map(Offset), len, 1)
    }

    #[test]
    fn an_offset_is_returned_as_it_was_given_and_a_negative_one_is_unknown() {
        for offset in [0, 1, 7, 1 << 40, i64::MAX - 8, i64::MAX] {
            let appended = appended(Some(offset), 8);
            assert_eq!((appended.offset(), appended.stored_len()), (Some(Offset(offset)), 8));
        }
        for offset in [None, Some(-1), Some(i64::MIN)] {
            let appended = appended(offset, 8);
            assert_eq!((appended.offset(), appended.pointer()), (None, None));
        }
    }

    #[test]
    fn the_tail_is_after_the_write_and_unknown_with_its_offset() {
        let first = appended(Some(7), 8);
        let tail = first.tail().unwrap();
        assert_eq!((tail.segment(), tail.offset()), (first.segment(), Offset(15)));
        assert_eq!(first.pointer().map(SegmentTail::from), Some(tail));
        assert_eq!(appended(None, 8).tail(), None);
    }

    #[test]
    fn a_pointer_is_made_of_offset_and_length() {
        let pointer = appended(Some(0), 8).pointer().unwrap();
        assert_eq!((pointer.offset(), pointer.length()), (Offset(0), 8));
        assert_eq!(appended(Some(0), 1 << 31).pointer(), None);
    }
}
