//! How far the changes of a key-value table were read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use pravega_sdk_types::{ErrorKind, Offset, SegmentId, classify};
use pravega_sdk_wire_protocol::value::{from_hex, to_hex};

use super::machine::{PartitionPosition, ScanPosition};
use crate::{entry::Version, segment::KeyLength};

/// The text of the position before all changes.
const START: &str = "start";

/// How far the changes of a key-value table were read: a position for each partition. It can be
/// stored as text, and watching be resumed from it.
///
/// The text of a partition is one of these, without the spaces:
///
/// ```text
/// segment : offset                                 all puts with versions below the offset
/// segment : offset - end @ key                     of those below the end, the ones up to the key
/// segment : offset [- end @ key] + version + …     these puts, too
/// ```
///
/// The key is hexadecimal. A position after the last change of a scan of the keys has none; the
/// versions, at most 200 of a partition, are of keys that were put while they were scanned.
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::WatchPosition;
///
/// let position = WatchPosition::new([(0.into(), 120.into()), (1.into(), 0.into())]);
/// assert_eq!(position.to_string(), "0:120,1:0");
/// assert_eq!("0:120,1:0".parse::<WatchPosition>()?, position);
/// assert!("0:0-120@6b6579,1:0+80".parse::<WatchPosition>().is_ok());
/// assert_eq!(WatchPosition::start().to_string(), "start");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchPosition(BTreeMap<SegmentId, PartitionPosition>);

/// A text that is not a position of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchPositionError {
    /// The text is neither `start` nor a list of the positions of partitions.
    #[error(
        "a position of a watch is `start`, or `segment:offset` for each partition with commas \
         between them; amid changes it is longer, and a part of it is no position"
    )]
    Text,
    /// A partition occurs twice.
    #[error("the position names partition {} twice", i64::from(*.0))]
    Twice(SegmentId),
}

classify!(WatchPositionError, |_| ErrorKind::InvalidArgument);

impl WatchPosition {
    /// Returns the position before all changes: the entries of the table are reported first.
    #[must_use]
    pub fn start() -> Self {
        Self::default()
    }

    /// Creates a position from those of the partitions: the puts with versions below an offset, as
    /// a partition ended there at some time. A partition that is missing is at the start.
    #[must_use]
    pub fn new(partitions: impl IntoIterator<Item = (SegmentId, Offset)>) -> Self {
        let partitions = partitions.into_iter();
        Self(partitions.map(|(id, offset)| (id, PartitionPosition::at(offset))).collect())
    }

    pub(super) fn of_partitions(
        partitions: impl IntoIterator<Item = (SegmentId, PartitionPosition)>,
    ) -> Self {
        Self(partitions.into_iter().collect())
    }

    /// Returns the position of a partition.
    pub(super) fn of(&self, partition: SegmentId) -> PartitionPosition {
        self.0.get(&partition).cloned().unwrap_or_else(|| PartitionPosition::at(Offset(0)))
    }

    /// The same position with another one of a partition.
    pub(super) fn with(&self, partition: SegmentId, position: PartitionPosition) -> Self {
        let mut changed = self.clone();
        changed.0.insert(partition, position);
        changed
    }
}

impl fmt::Display for WatchPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(START);
        }
        for (number, (id, PartitionPosition { base, scan, early })) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}:{base}", i64::from(*id))?;
            if let Some(ScanPosition { end, after }) = scan {
                write!(f, "-{end}@{}", to_hex(after))?;
            }
            early.iter().try_for_each(|version| write!(f, "+{version}"))?;
        }
        Ok(())
    }
}

impl FromStr for WatchPosition {
    type Err = WatchPositionError;

    fn from_str(text: &str) -> Result<Self, WatchPositionError> {
        if text == START {
            return Ok(Self::start());
        }
        let mut partitions = BTreeMap::new();
        for pair in text.split(',') {
            let (id, position) = pair.split_once(':').ok_or(WatchPositionError::Text)?;
            let id = SegmentId::from(number(id)?);
            let position = partition(position).ok_or(WatchPositionError::Text)?;
            if partitions.insert(id, position).is_some() {
                return Err(WatchPositionError::Twice(id));
            }
        }
        Ok(Self(partitions))
    }
}

/// Parses the position of a partition.
fn partition(text: &str) -> Option<PartitionPosition> {
    let mut parts = text.split('+');
    let scanned = parts.next()?;
    let (base, scan) = match scanned.split_once('-') {
        None => (scanned, None),
        Some((base, scan)) => (base, Some(scan.split_once('@')?)),
    };
    let base = Offset(number(base).ok()?);
    let scan = match scan {
        None => None,
        Some((end, after)) => {
            let (end, after) = (Offset(number(end).ok()?), from_hex(after)?);
            let is_some = end >= base && (1..=KeyLength::MAX.get()).contains(&after.len());
            is_some.then_some(())?;
            Some(ScanPosition { end, after: after.into() })
        }
    };
    let mut early = BTreeSet::new();
    for version in parts {
        // In their order, so that a position has one text.
        let version = Version::new(number(version).ok()?)?;
        early.last().is_none_or(|last| *last < version).then_some(())?;
        early.insert(version);
    }
    Some(PartitionPosition { base, scan, early })
}

/// Parses digits only: the standard parser also accepts a sign.
fn number(text: &str) -> Result<i64, WatchPositionError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_plain { text.parse().ok() } else { None };
    number.ok_or(WatchPositionError::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_position_is_refused() {
        for text in [
            "",
            "Start",
            "1",
            "1:",
            ":1",
            "1:2,",
            ",1:2",
            "1:-2",
            "+1:2",
            "1:2 ,3:4",
            "1:2-",
            "1:2-3",
            "1:2-3@",
            "1:2-3@6",
            "1:2-3@xx",
            "1:2-1@61",
            "1:2@61",
            "1:2+",
            "1:2+5-6@61",
            "1:2+5+5",
            "1:2+5+4",
            "1:2-3@61-4@62",
        ] {
            assert_eq!(text.parse::<WatchPosition>(), Err(WatchPositionError::Text), "{text:?}");
        }
        let twice = "3:1,4:1,3:2".parse::<WatchPosition>().unwrap_err();
        assert_eq!(twice.to_string(), "the position names partition 3 twice");
        let far = format!("1:{}", i128::from(i64::MAX) + 1);
        assert_eq!(far.parse::<WatchPosition>(), Err(WatchPositionError::Text));
        for (bytes, is_key) in [(256, true), (257, false)] {
            let text = format!("1:2-3@{}", "61".repeat(bytes));
            assert_eq!(text.parse::<WatchPosition>().is_ok(), is_key, "{bytes} bytes");
        }
    }

    #[test]
    fn a_position_is_the_same_after_it_was_text() {
        let far = WatchPosition::new([(i64::MAX.into(), Offset(i64::MAX)), (0.into(), Offset(0))]);
        for position in [far, WatchPosition::start()] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for text in ["0:120", "0:0-120@00ff", "0:3-120@6b6579+120+400,7:5+9", "0:120+400"] {
            assert_eq!(text.parse::<WatchPosition>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_text_of_an_earlier_version_is_the_position_of_all_puts_below_its_offsets() {
        let position: WatchPosition = "0:120,4294967297:0".parse().unwrap();
        let offsets = [(0.into(), Offset(120)), (4_294_967_297.into(), Offset(0))];
        assert_eq!(position, WatchPosition::new(offsets));
    }

    #[test]
    fn a_position_shows_no_key_in_debug_output() {
        let position: WatchPosition = "0:0-120@736563726574".parse().unwrap();
        let shown = format!("{position:?}");
        assert!(!shown.contains("secret") && !shown.contains("736563726574"), "{shown}");
        assert!(shown.contains("after 6 bytes"), "{shown}");
    }
}
