//! The address of one event.

use std::{fmt, str::FromStr};

use crate::{
    ErrorKind, NameError, Offset, ScopedSegment, classify,
    serial::{SerialError, SerialReader, SerialWriter},
};

/// Addresses one event: its segment, where it starts, and its length with the 8 byte header.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::EventPointer;
///
/// let pointer: EventPointer = "shop/orders/0.#epoch.0:64-128".parse()?;
/// assert_eq!(pointer.length(), 128);
/// # Ok::<(), pravega_sdk_types::EventPointerError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventPointer {
    segment: ScopedSegment,
    offset: Offset,
    length: i32,
}

/// Text, bytes or numbers that are not an event pointer.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventPointerError {
    /// The text is not `segment:offset-length`.
    #[error("an event pointer has the form segment:offset-length")]
    Form,
    /// The offset is negative, or the length is less than that of an event header (8).
    #[error("an event pointer cannot have offset {offset} and length {length}")]
    Numbers {
        /// The offset.
        offset: i64,
        /// The length.
        length: i32,
    },
    /// The segment's name is invalid.
    #[error("the event pointer has an invalid segment name")]
    Name(#[from] NameError),
    /// The binary form is invalid.
    #[error("the event pointer cannot be read")]
    Serial(#[from] SerialError),
}

classify!(EventPointerError, |error| match error {
    EventPointerError::Form | EventPointerError::Numbers { .. } => ErrorKind::InvalidArgument,
    EventPointerError::Name(error) => error.kind(),
    EventPointerError::Serial(error) => error.kind(),
});

/// The length of an event's header, and so the minimum length of an event.
const MIN_LENGTH: i32 = 8;
const VERSIONS: &[u8] = &[0];

impl EventPointer {
    /// Creates a pointer to the event of `length` bytes, header included, at `offset`.
    ///
    /// # Errors
    ///
    /// [`EventPointerError::Numbers`] if no event can have that offset and length.
    pub fn new(
        segment: ScopedSegment,
        offset: Offset,
        length: i32,
    ) -> Result<Self, EventPointerError> {
        if offset.0 < 0 || length < MIN_LENGTH {
            return Err(EventPointerError::Numbers { offset: offset.0, length });
        }
        Ok(Self { segment, offset, length })
    }

    /// Returns the segment.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// Returns the offset of the event's header.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Returns the length of the event with its header, in bytes.
    #[must_use]
    pub fn length(&self) -> i32 {
        self.length
    }

    /// Returns the pointer in the form of Java's client.
    ///
    /// # Errors
    ///
    /// [`EventPointerError::Serial`] if a number does not fit the layout.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EventPointerError> {
        let mut body = SerialWriter::new();
        body.utf(&self.segment.to_string())?;
        body.compact_long(self.offset.0)?;
        body.compact_int(self.length)?;
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[body])?;
        Ok(writer.finish())
    }

    /// Decodes the form of [`Self::to_bytes`] and of Java's client.
    ///
    /// # Errors
    ///
    /// [`EventPointerError`] if the bytes are not an event pointer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EventPointerError> {
        let mut body = SerialReader::new(bytes).versioned(VERSIONS)?.require(0)?;
        let segment = body.utf()?.parse()?;
        Self::new(segment, Offset(body.compact_long()?), body.compact_int()?)
    }
}

impl fmt::Display for EventPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.segment, self.offset, self.length)
    }
}

impl FromStr for EventPointer {
    type Err = EventPointerError;

    fn from_str(text: &str) -> Result<Self, EventPointerError> {
        let (segment, place) = text.rsplit_once(':').ok_or(EventPointerError::Form)?;
        let (offset, length) = place.split_once('-').ok_or(EventPointerError::Form)?;
        let offset = digits(offset)?.parse().map_err(|_| EventPointerError::Form)?;
        let length = digits(length)?.parse().map_err(|_| EventPointerError::Form)?;
        Self::new(segment.parse()?, Offset(offset), length)
    }
}

/// Refuses a sign: the standard parser accepts a leading `+`.
fn digits(text: &str) -> Result<&str, EventPointerError> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Ok(text) } else { Err(EventPointerError::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_pointer_is_refused() {
        for text in [
            "",
            "a/b/0",
            "a/b/0:1",
            "a/b/0:1-",
            "a/b/0:-1-8",
            "a/b/0:1-7",
            "a/b/0:+1-8",
            "a/b/0:1-+8",
            "x:1-8",
        ] {
            assert!(text.parse::<EventPointer>().is_err(), "{text:?}");
        }
        assert!(EventPointer::from_bytes(&[0, 0, 0]).is_err());
    }
}
