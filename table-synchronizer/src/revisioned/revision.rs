//! Revisions: places in a revisioned stream, and their text form.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use pravega_sdk_types::{ErrorKind, NameError, Offset, ScopedSegment, classify};

/// A place in a revisioned stream: between two entries, or inside of one.
///
/// The revision of an entry is the offset after it. An entry of a state synchronizer may hold
/// several updates, which the index tells apart; elsewhere it is 0. Revisions of one segment are in
/// order; those of two segments are not comparable.
///
/// The text is that of Java's client.
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::Revision;
///
/// let revision: Revision = "shop/prices/0.#epoch.0:1024:0".parse()?;
/// assert_eq!(revision.offset().0, 1024);
/// assert!(revision < "shop/prices/0.#epoch.0:1024:3".parse()?);
/// # Ok::<(), pravega_sdk_table_synchronizer::RevisionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revision {
    segment: Arc<ScopedSegment>,
    offset: Offset,
    index: u32,
}

/// A text that is not a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// The text does not have three parts with colons between them.
    #[error("a revision is `segment:offset:index`")]
    Form,
    /// The offset or the index is not a decimal number, or too large.
    #[error("the offset and the index of a revision are decimal numbers from 0 on")]
    Number,
    /// The segment's name is invalid.
    #[error("the revision has an invalid segment name")]
    Name(#[from] NameError),
}

classify!(RevisionError, |_| ErrorKind::InvalidArgument);

impl Revision {
    /// Creates a revision whose numbers are known to be valid.
    pub(crate) fn new(segment: &Arc<ScopedSegment>, offset: Offset, index: u32) -> Self {
        Self { segment: Arc::clone(segment), offset, index }
    }

    /// Returns the segment.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// Returns the offset in the segment.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Returns the number of the update inside of its entry, from 0 on.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Returns the revision of another update of the same entry.
    pub(crate) fn with_index(&self, index: u32) -> Self {
        Self { index, ..self.clone() }
    }
}

/// Returns `None` for two segments: their offsets have nothing to do with each other.
impl PartialOrd for Revision {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = (self.offset, self.index).cmp(&(other.offset, other.index));
        (self.segment == other.segment).then_some(order)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.segment, self.offset, self.index)
    }
}

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, RevisionError> {
        let mut parts = text.split(':');
        let (Some(segment), Some(offset), Some(index), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(RevisionError::Form);
        };
        let offset = decimal(offset)?;
        // Java's index is an `int`.
        let index = i32::try_from(decimal(index)?).map_err(|_| RevisionError::Number)?;
        Ok(Self {
            segment: Arc::new(segment.parse()?),
            offset: Offset(offset),
            index: index.unsigned_abs(),
        })
    }
}

/// Parses digits only: the standard parser also accepts a sign.
fn decimal(text: &str) -> Result<i64, RevisionError> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.parse().ok()).flatten().ok_or(RevisionError::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(text: &str) -> Revision {
        text.parse().unwrap()
    }

    #[test]
    fn the_text_is_read_as_it_was_written() {
        for text in [
            "scope/stream/0.#epoch.0:0:0",
            "scope/_MARKstream/3.#epoch.2:9223372036854775807:2147483647",
        ] {
            assert_eq!(revision(text).to_string(), text);
        }
    }

    #[test]
    fn a_text_of_another_form_is_refused_and_never_read_as_another_revision() {
        for text in [
            "",
            "scope/stream/0.#epoch.0",
            "scope/stream/0.#epoch.0:1",
            "scope/stream/0.#epoch.0:1:2:3",
            "scope/stream/0.#epoch.0:-1:0",
            "scope/stream/0.#epoch.0:+1:0",
            "scope/stream/0.#epoch.0::0",
            "scope/stream/0.#epoch.0:1: 0",
            "scope/stream/0.#epoch.0:1:2147483648",
            "scope/stream/0.#epoch.0:9223372036854775808:0",
            "stream:1:0",
            ":1:0",
        ] {
            let error = text.parse::<Revision>().unwrap_err();
            assert_eq!(pravega_sdk_types::Classified::kind(&error), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn revisions_of_one_segment_are_in_the_order_of_offset_and_index() {
        let [a, b, c] =
            ["9:0", "9:1", "10:0"].map(|rest| revision(&format!("s/t/0.#epoch.0:{rest}")));
        assert!(a < b && b < c && a < c);
        assert_eq!(a.with_index(1), b);
        let other = revision("s/t/1.#epoch.1:10:0");
        assert_eq!(other.partial_cmp(&c), None);
        assert!(other != c);
    }
}
