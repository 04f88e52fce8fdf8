//! Positions of readers.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::{
    KeyRange, Offset, ScopedSegment, SegmentOffset,
    serial::{COMPACT_LONG_MAX, SerialError, SerialReader, SerialWriter},
};

/// The progress of a reader in each segment that it owns; enough to continue after a crash.
///
/// A segment that was read to its sealed end is at [`SegmentOffset::End`]. The binary form is
/// Java's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Position {
    owned: Vec<(ScopedSegment, SegmentOffset)>,
    /// The key ranges of the segments, if known.
    ranges: Vec<(ScopedSegment, Option<KeyRange>)>,
}

const VERSIONS: &[u8] = &[0];
/// A negative bound means that the range is not known.
const UNKNOWN_BOUND: f64 = -1.0;

impl Position {
    /// Creates a position from the owned segments, which are stored in the order given.
    #[must_use]
    pub fn new<O: Into<SegmentOffset>>(
        owned: impl IntoIterator<Item = (ScopedSegment, O)>,
        ranges: impl IntoIterator<Item = (ScopedSegment, Option<KeyRange>)>,
    ) -> Self {
        let owned = owned.into_iter().map(|(segment, offset)| (segment, offset.into()));
        Self { owned: owned.collect(), ranges: ranges.into_iter().collect() }
    }

    /// Returns the owned segments and the offset in each.
    pub fn owned(&self) -> impl ExactSizeIterator<Item = (&ScopedSegment, SegmentOffset)> + '_ {
        self.owned.iter().map(|(segment, offset)| (segment, *offset))
    }

    /// Returns the segments that were read to their end.
    pub fn completed(&self) -> impl Iterator<Item = &ScopedSegment> + '_ {
        let completed = |offset: &SegmentOffset| *offset == SegmentOffset::End;
        self.owned().filter(move |(_, offset)| completed(offset)).map(|(segment, _)| segment)
    }

    /// Returns the key range of `segment`, if known.
    #[must_use]
    pub fn range(&self, segment: &ScopedSegment) -> Option<KeyRange> {
        self.ranges.iter().find(|(known, _)| known == segment).and_then(|(_, range)| *range)
    }

    /// Returns the position in the form of Java's client.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if a number does not fit the layout.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SerialError> {
        let mut offsets = SerialWriter::new();
        offsets.count(self.owned.len())?;
        for (segment, offset) in &self.owned {
            offsets.utf(&segment.to_string())?;
            offsets.compact_long(offset.offset().map_or(COMPACT_LONG_MAX, |offset| offset.0))?;
        }
        let mut ranges = SerialWriter::new();
        ranges.count(self.ranges.len())?;
        for (segment, range) in &self.ranges {
            ranges.utf(&segment.to_string())?;
            ranges.f64(range.map_or(UNKNOWN_BOUND, |r| r.low()));
            ranges.f64(range.map_or(UNKNOWN_BOUND, |r| r.high()));
        }
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[offsets, ranges])?;
        Ok(writer.finish())
    }

    /// Returns the position as text: Base64 of its binary form.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if a number does not fit the layout.
    pub fn to_text(&self) -> Result<String, SerialError> {
        Ok(BASE64.encode(self.to_bytes()?))
    }

    /// Decodes the form of [`Self::to_bytes`] and of Java's client.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if the bytes are not a position.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let owned = revisions.require(0)?.collection(|r| {
            let segment = read_segment(r)?;
            let offset = match r.compact_long()? {
                COMPACT_LONG_MAX.. => SegmentOffset::End,
                offset => SegmentOffset::At(Offset(offset)),
            };
            Ok((segment, offset))
        })?;
        let ranges = match revisions.get(1) {
            None => Vec::new(),
            Some(mut body) => body.collection(|r| {
                let segment = read_segment(r)?;
                let (low, high) = (r.f64()?, r.f64()?);
                if low < 0.0 || high < 0.0 {
                    return Ok((segment, None));
                }
                let range = KeyRange::new(low, high)
                    .map_err(|_| SerialError::Invalid { what: "key range" })?;
                Ok((segment, Some(range)))
            })?,
        };
        Ok(Self { owned, ranges })
    }
}

impl FromStr for Position {
    type Err = SerialError;

    /// Parses the text of [`Self::to_text`].
    fn from_str(text: &str) -> Result<Self, SerialError> {
        let bytes = BASE64.decode(text).map_err(|_| SerialError::Invalid { what: "Base64" })?;
        Self::from_bytes(&bytes)
    }
}

fn read_segment(reader: &mut SerialReader<'_>) -> Result<ScopedSegment, SerialError> {
    reader.utf()?.parse().map_err(|_| SerialError::Invalid { what: "segment name" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_without_ranges_can_be_read() {
        let segment: ScopedSegment = "a/b/0.#epoch.0".parse().unwrap();
        let position = Position::new([(segment.clone(), Offset(7))], []);
        let read = Position::from_bytes(&position.to_bytes().unwrap()).unwrap();
        assert_eq!(read, position);
        assert_eq!(read.range(&segment), None);
    }

    #[test]
    fn a_position_is_read_from_its_text() {
        let segment: ScopedSegment = "a/b/0.#epoch.0".parse().unwrap();
        let position =
            Position::new([(segment.clone(), Offset(7))], [(segment, Some(KeyRange::FULL))]);
        assert_eq!(position.to_text().unwrap().parse(), Ok(position));
        assert!("not Base64".parse::<Position>().is_err());
    }

    #[test]
    fn every_cut_of_the_bytes_is_refused() {
        let segment: ScopedSegment = "a/b/0.#epoch.0".parse().unwrap();
        let position = Position::new(
            [(segment.clone(), SegmentOffset::End)],
            [(segment, Some(KeyRange::FULL))],
        );
        let bytes = position.to_bytes().unwrap();
        for len in 0..bytes.len() {
            assert!(
                Position::from_bytes(&bytes[..len]).is_err(),
                "{len} bytes were decoded as a position"
            );
        }
    }
}
