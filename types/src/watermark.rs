//! Watermarks: up to which time a stream is complete, and where.

use crate::{
    Offset, SegmentId,
    serial::{SerialError, SerialReader, SerialWriter},
};

/// Says that everything before a place in a stream was written by a time.
///
/// The controller makes them of what writers note, and keeps them in a stream of their own; see
/// [`ScopedStream::watermark_stream`](crate::ScopedStream::watermark_stream). Times are
/// milliseconds of the writers' clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Watermark {
    lower_time: i64,
    upper_time: i64,
    positions: Vec<(SegmentId, Offset)>,
}

const VERSIONS: &[u8] = &[0];

impl Watermark {
    /// The least of the writers' times.
    #[must_use]
    pub fn lower_time(&self) -> i64 {
        self.lower_time
    }

    /// The greatest of the writers' times.
    #[must_use]
    pub fn upper_time(&self) -> i64 {
        self.upper_time
    }

    /// The place, as an offset for each segment.
    pub fn positions(&self) -> impl ExactSizeIterator<Item = (SegmentId, Offset)> + '_ {
        self.positions.iter().copied()
    }

    /// Writes a watermark as it stands in the stream of a stream's watermarks: its bounds in the
    /// writers' own time, and each segment with its range of keys and an offset.
    ///
    /// # Errors
    ///
    /// [`SerialError::OutOfRange`] if there are more segments than a count can say.
    pub fn encode(
        lower_time: i64,
        upper_time: i64,
        positions: &[(SegmentId, f64, f64, Offset)],
    ) -> Result<Vec<u8>, SerialError> {
        let mut body = SerialWriter::new();
        body.i64(lower_time);
        body.i64(upper_time);
        body.count(positions.len())?;
        for (id, low, high, offset) in positions {
            let mut segment = SerialWriter::new();
            segment.i64(i64::from(*id));
            segment.f64(*low);
            segment.f64(*high);
            body.versioned(0, &[segment])?;
            body.i64(offset.0);
        }
        let mut mark = SerialWriter::new();
        mark.versioned(0, &[body])?;
        Ok(mark.finish())
    }

    /// Reads what the controller stored.
    ///
    /// # Errors
    ///
    /// [`SerialError`] says what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let mut body = revisions.require(0)?;
        let (lower_time, upper_time) = (body.i64()?, body.i64()?);
        let positions = body.collection(|r| {
            let segment = r.versioned(VERSIONS)?;
            let id = segment.require(0)?.i64()?;
            Ok((SegmentId::from(id), Offset(r.i64()?)))
        })?;
        Ok(Self { lower_time, upper_time, positions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let positions = [
            (SegmentId::from(1), 0.0, 0.5, Offset(7)),
            (SegmentId::from(1 << 32), 0.5, 1.0, Offset(0)),
        ];
        let mark = Watermark::from_bytes(&Watermark::encode(3, 9, &positions).unwrap()).unwrap();
        assert_eq!((mark.lower_time(), mark.upper_time()), (3, 9));
        assert_eq!(
            mark.positions().collect::<Vec<_>>(),
            positions.map(|(id, _, _, offset)| (id, offset))
        );
    }
}
