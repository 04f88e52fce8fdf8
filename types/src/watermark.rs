//! Watermarks: up to which time a stream is complete, and where.

use crate::{
    Offset, SegmentId,
    serial::{SerialError, SerialReader},
};

/// Says that everything before a place in a stream was written by a time.
///
/// The controller makes them of what writers note, and keeps them in a stream of their own; see
/// [`ScopedStream::watermark_stream`](crate::ScopedStream::watermark_stream). Times are milliseconds of the writers' clock.
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
