//! Segments: their ids and their names.

use std::{fmt, str::FromStr};

use crate::{
    Epoch, NameError, NameKind, NameProblem, Scope, ScopedStream, SegmentNumber, Stream,
    scoped::TABLE_SUFFIX, segment_suffix,
};

/// Identifies a segment within its stream: the epoch that created it in the high 32 bits, its
/// number in the low 32.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{Epoch, SegmentId, SegmentNumber};
///
/// let id = SegmentId::new(Epoch(1), SegmentNumber(3));
/// assert_eq!(i64::from(id), 4_294_967_299);
/// assert_eq!(id.to_string(), "3.#epoch.1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(i64);

impl SegmentId {
    /// Creates an id from an epoch and a number.
    #[must_use]
    pub fn new(epoch: Epoch, number: SegmentNumber) -> Self {
        Self((i64::from(epoch.0) << 32) | i64::from(number.0 as u32))
    }

    /// Returns the epoch in which the segment was created.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as i32)
    }

    /// Returns the number of the segment.
    #[must_use]
    pub fn number(self) -> SegmentNumber {
        SegmentNumber(self.0 as i32)
    }
}

impl From<i64> for SegmentId {
    fn from(id: i64) -> Self {
        Self(id)
    }
}

impl From<SegmentId> for i64 {
    fn from(id: SegmentId) -> Self {
        id.0
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{EPOCH_INFIX}{}", self.number(), self.epoch())
    }
}

impl FromStr for SegmentId {
    type Err = NameError;

    /// Parses `number.#epoch.epoch`; without the epoch part the epoch is 0.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::new(NameKind::Stream, text, NameProblem::NotScoped);
        let (number, epoch) = text.split_once(EPOCH_INFIX).unwrap_or((text, "0"));
        let number: i32 = parse_decimal(number).ok_or_else(refused)?;
        let epoch: i32 = parse_decimal(epoch).ok_or_else(refused)?;
        Ok(Self::new(Epoch(epoch), SegmentNumber(number)))
    }
}

const EPOCH_INFIX: &str = ".#epoch.";

/// Parses digits only: the standard parser also accepts a leading `+`.
fn parse_decimal(text: &str) -> Option<i32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A segment of a stream, without the scope; the text form is `stream/number.#epoch.epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment {
    stream: Stream,
    id: SegmentId,
}

impl Segment {
    /// Creates the name of segment `id` of `stream`.
    #[must_use]
    pub fn new(stream: Stream, id: SegmentId) -> Self {
        Self { stream, id }
    }

    /// Returns the stream.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> SegmentId {
        self.id
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.id)
    }
}

impl FromStr for Segment {
    type Err = NameError;

    /// Reads `stream/number[.#epoch.epoch]`; the suffix of a transaction is ignored.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = segment_suffix::parent(text).unwrap_or(text);
        let (stream, id) = text
            .split_once('/')
            .ok_or_else(|| NameError::new(NameKind::Stream, text, NameProblem::NotScoped))?;
        Ok(Self::new(stream_of_segment(stream)?, id.parse()?))
    }
}

/// Parses the stream in a segment's name, which may be that of a table.
fn stream_of_segment(text: &str) -> Result<Stream, NameError> {
    let plain = text.strip_suffix(TABLE_SUFFIX).unwrap_or(text);
    Stream::internal(plain)?;
    Ok(Stream::trusted(text))
}

/// A segment with the scope of its stream; the text form is its name on segment stores,
/// `scope/stream/number.#epoch.epoch`.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{Epoch, ScopedSegment};
///
/// let segment: ScopedSegment = "shop/orders/3.#epoch.1".parse()?;
/// assert_eq!(segment.id().epoch(), Epoch(1));
/// assert_eq!(segment.to_string(), "shop/orders/3.#epoch.1");
/// # Ok::<(), pravega_sdk_types::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopedSegment {
    scope: Scope,
    segment: Segment,
}

impl ScopedSegment {
    /// Creates the name of segment `id` of `stream`.
    #[must_use]
    pub fn new(stream: &ScopedStream, id: SegmentId) -> Self {
        Self { scope: stream.scope().clone(), segment: Segment::new(stream.stream().clone(), id) }
    }

    /// Returns the scope.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the stream inside the scope.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        self.segment.stream()
    }

    /// Returns the stream with its scope.
    #[must_use]
    pub fn scoped_stream(&self) -> ScopedStream {
        ScopedStream::new(self.scope.clone(), self.segment.stream.clone())
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> SegmentId {
        self.segment.id()
    }
}

impl fmt::Display for ScopedSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.scope, self.segment)
    }
}

impl FromStr for ScopedSegment {
    type Err = NameError;

    /// Reads `scope/stream/number[.#epoch.epoch]`; the suffix of a transaction is ignored.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (scope, segment) = text
            .split_once('/')
            .ok_or_else(|| NameError::new(NameKind::Stream, text, NameProblem::NotScoped))?;
        Ok(Self { scope: Scope::internal(scope)?, segment: segment.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_both_halves() {
        for (epoch, number) in [(0, 0), (0, 7), (1, 3), (i32::MAX, i32::MAX), (2, 0)] {
            let id = SegmentId::new(Epoch(epoch), SegmentNumber(number));
            assert_eq!((id.epoch(), id.number()), (Epoch(epoch), SegmentNumber(number)));
            assert_eq!(id.to_string().parse::<SegmentId>().unwrap(), id);
        }
    }

    #[test]
    fn names_that_are_not_a_segment_are_refused() {
        for text in [
            "",
            "s",
            "s/t",
            "s/t/",
            "s/t/x",
            "s/t/1.#epoch.",
            "s/t/1.#epoch.x",
            "s/t/+1",
            "s/t/-1",
            "s/t/99999999999",
            "s/t/1/2",
        ] {
            assert!(text.parse::<ScopedSegment>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn segments_of_tables_are_segments() {
        let segment: ScopedSegment = "s/t_kvtable/1.#epoch.0".parse().unwrap();
        assert_eq!(segment.to_string(), "s/t_kvtable/1.#epoch.0");
    }
}
