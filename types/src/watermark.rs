//! Watermarks: up to which time a stream is complete, and where.

use crate::{
    KeyRange, SegmentId, SegmentOffset, Timestamp,
    serial::{SerialError, SerialReader, SerialWriter},
};

/// A time, and the place in a stream before which everything was written by then.
///
/// The controller makes watermarks from the times that writers note, and keeps them in a separate
/// stream; see [`ScopedStream::watermark_stream`](crate::ScopedStream::watermark_stream). Times are
/// those of the writers' clocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Watermark {
    lower_time: Timestamp,
    upper_time: Timestamp,
    segments: Vec<WatermarkSegment>,
}

/// A segment of a watermark, with its key range and an offset.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatermarkSegment {
    /// The segment.
    pub id: SegmentId,
    /// Its part of the key space.
    pub range: KeyRange,
    /// How much of the segment was written by the watermark's time.
    pub offset: SegmentOffset,
}

impl WatermarkSegment {
    /// Creates an entry of a watermark.
    #[must_use]
    pub fn new(id: SegmentId, range: KeyRange, offset: SegmentOffset) -> Self {
        Self { id, range, offset }
    }
}

const VERSIONS: &[u8] = &[0];

impl Watermark {
    /// Returns the lowest of the writers' times.
    #[must_use]
    pub fn lower_time(&self) -> Timestamp {
        self.lower_time
    }

    /// Returns the highest of the writers' times.
    #[must_use]
    pub fn upper_time(&self) -> Timestamp {
        self.upper_time
    }

    /// Returns the place, as an offset for each segment.
    pub fn positions(&self) -> impl ExactSizeIterator<Item = (SegmentId, SegmentOffset)> + '_ {
        self.segments.iter().map(|segment| (segment.id, segment.offset))
    }

    /// Returns the place, as segments that cover the key space.
    #[must_use]
    pub fn segments(&self) -> &[WatermarkSegment] {
        &self.segments
    }

    /// Encodes a watermark in the form that the controller stores.
    ///
    /// # Errors
    ///
    /// [`SerialError::OutOfRange`] if there are more segments than a count can hold.
    pub fn encode(
        lower_time: Timestamp,
        upper_time: Timestamp,
        segments: &[WatermarkSegment],
    ) -> Result<Vec<u8>, SerialError> {
        let mut body = SerialWriter::new();
        body.i64(lower_time.as_millis());
        body.i64(upper_time.as_millis());
        body.count(segments.len())?;
        for WatermarkSegment { id, range, offset } in segments {
            let mut segment = SerialWriter::new();
            segment.i64(i64::from(*id));
            segment.f64(range.low());
            segment.f64(range.high());
            body.versioned(0, &[segment])?;
            body.i64(offset.to_wire());
        }
        let mut mark = SerialWriter::new();
        mark.versioned(0, &[body])?;
        Ok(mark.finish())
    }

    /// Decodes the form that the controller stores.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if the bytes do not have that form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let mut body = revisions.require(0)?;
        let lower_time = Timestamp::from_millis(body.i64()?);
        let upper_time = Timestamp::from_millis(body.i64()?);
        let segments = body.collection(|r| {
            let segment = r.versioned(VERSIONS)?;
            let mut segment = segment.require(0)?;
            let id = SegmentId::from(segment.i64()?);
            let (low, high) = (segment.f64()?, segment.f64()?);
            let range = KeyRange::new(low, high);
            let range = range.map_err(|_| SerialError::Invalid { what: "key range" })?;
            Ok(WatermarkSegment::new(id, range, SegmentOffset::from_wire(r.i64()?)))
        })?;
        Ok(Self { lower_time, upper_time, segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_watermark_is_decoded_again() {
        let segment = |id: i64, low, high, offset| {
            let range = KeyRange::new(low, high).unwrap();
            WatermarkSegment::new(SegmentId::from(id), range, SegmentOffset::from_wire(offset))
        };
        let segments = [segment(1, 0.0, 0.5, 7), segment(1 << 32, 0.5, 1.0, -1)];
        let times = (Timestamp::from_millis(3), Timestamp::from_millis(9));
        let bytes = Watermark::encode(times.0, times.1, &segments).unwrap();
        let mark = Watermark::from_bytes(&bytes).unwrap();
        assert_eq!((mark.lower_time(), mark.upper_time()), times);
        assert_eq!(mark.segments(), segments);
        assert_eq!(
            mark.positions().collect::<Vec<_>>(),
            segments.map(|segment| (segment.id, segment.offset))
        );
    }
}
