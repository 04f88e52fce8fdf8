//! The end of a segment, on which an append may depend.

use pravega_sdk_types::{EventPointer, Offset, ScopedSegment};

/// The end of a segment.
///
/// [`Appended::tail`](crate::append::Appended::tail) returns it after a write, and an
/// [`EventPointer`] converts into the tail after its event. A tail is about its own segment only:
/// after a scale other segments own the key, whose ends have nothing to do with it.
///
/// # Examples
///
/// ```
/// use pravega_sdk_segment_client::append::SegmentTail;
/// use pravega_sdk_types::{EventPointer, Offset};
///
/// let last: EventPointer = "shop/orders/0.#epoch.0:64-128".parse()?;
/// let tail = SegmentTail::from(&last);
/// assert_eq!(tail.offset(), Offset(192));
/// # Ok::<(), pravega_sdk_types::EventPointerError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SegmentTail {
    segment: ScopedSegment,
    offset: Offset,
}

impl SegmentTail {
    /// Creates the tail of a segment that ends at `offset`: 0 for an empty one.
    #[must_use]
    pub fn new(segment: ScopedSegment, offset: Offset) -> Self {
        Self { segment, offset }
    }

    /// The segment.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// The offset after the last byte of the segment.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }
}

impl From<&EventPointer> for SegmentTail {
    fn from(event: &EventPointer) -> Self {
        let end = event.offset().0.saturating_add(i64::from(event.length()));
        Self::new(event.segment().clone(), Offset(end))
    }
}

impl From<EventPointer> for SegmentTail {
    fn from(event: EventPointer) -> Self {
        Self::from(&event)
    }
}
