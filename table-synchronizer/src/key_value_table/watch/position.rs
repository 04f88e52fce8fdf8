//! How far the changes of a key-value table were read.

use std::{collections::BTreeMap, fmt, str::FromStr};

use pravega_sdk_types::{ErrorKind, Offset, SegmentId, classify};

/// The text of the position before all changes.
const START: &str = "start";

/// How far the changes of a key-value table were read: a position for each partition. It can be
/// stored as text, and watching be resumed from it.
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::WatchPosition;
///
/// let position = WatchPosition::new([(0.into(), 120.into()), (1.into(), 0.into())]);
/// assert_eq!(position.to_string(), "0:120,1:0");
/// assert_eq!("0:120,1:0".parse::<WatchPosition>()?, position);
/// assert_eq!(WatchPosition::start().to_string(), "start");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchPosition(BTreeMap<SegmentId, Offset>);

/// A text that is not a position of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchPositionError {
    /// The text is neither `start` nor a list of pairs of numbers.
    #[error(
        "a position of a watch is `start`, or `segment:offset` for each partition with commas \
         between them"
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

    /// Creates a position from those of the partitions; one that is missing is at the start.
    #[must_use]
    pub fn new(partitions: impl IntoIterator<Item = (SegmentId, Offset)>) -> Self {
        Self(partitions.into_iter().collect())
    }

    /// Returns the positions of the partitions.
    pub fn partitions(&self) -> impl Iterator<Item = (SegmentId, Offset)> + '_ {
        self.0.iter().map(|(id, offset)| (*id, *offset))
    }

    /// Returns the position of a partition.
    pub(super) fn of(&self, partition: SegmentId) -> Offset {
        self.0.get(&partition).copied().unwrap_or(Offset(0))
    }
}

impl fmt::Display for WatchPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(START);
        }
        for (number, (id, offset)) in self.partitions().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}:{offset}", i64::from(id))?;
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
            let (id, offset) = pair.split_once(':').ok_or(WatchPositionError::Text)?;
            let id = SegmentId::from(number(id)?);
            if partitions.insert(id, Offset(number(offset)?)).is_some() {
                return Err(WatchPositionError::Twice(id));
            }
        }
        Ok(Self(partitions))
    }
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
        for text in ["", "Start", "1", "1:", ":1", "1:2,", ",1:2", "1:-2", "+1:2", "1:2 ,3:4"] {
            assert_eq!(text.parse::<WatchPosition>(), Err(WatchPositionError::Text), "{text:?}");
        }
        let twice = "3:1,4:1,3:2".parse::<WatchPosition>().unwrap_err();
        assert_eq!(twice.to_string(), "the position names partition 3 twice");
        let far = format!("1:{}", i128::from(i64::MAX) + 1);
        assert_eq!(far.parse::<WatchPosition>(), Err(WatchPositionError::Text));
    }

    #[test]
    fn a_position_is_the_same_after_it_was_text() {
        let far = WatchPosition::new([(i64::MAX.into(), Offset(i64::MAX)), (0.into(), Offset(0))]);
        for position in [far, WatchPosition::start()] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
    }
}
