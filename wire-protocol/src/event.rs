//! The layout of events in a segment.
//!
//! ```text
//! type i32 = 0 | length i32 | payload
//! ```
//!
//! Segments are plain bytes to the store, which knows nothing of events. Writers put this header
//! before each event, readers remove it. A batch is several events in one append.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pravega_sdk_types::{ErrorKind, classify};

use crate::{
    DecodeProblem, EncodeError, SendBuffer,
    field::{Field, FieldReader, Shown},
    value::{Value, ValueError},
};

/// The type in an event's header.
pub const EVENT_CODE: i32 = 0;

/// The length of an event's header.
pub const EVENT_HEADER_LEN: usize = 8;

/// The longest payload of an event that is written directly: 8 MiB. Larger events go through a
/// transient segment.
pub const MAX_EVENT_LEN: usize = 8 * 1024 * 1024;

/// An event with its header, as it is in a segment and in a conditional append. `Debug` shows the
/// length of its payload only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// The payload, without the header.
    pub data: Bytes,
}

/// Bytes that are not an event's header, where one should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no event header: type {code}, length {len}")]
pub struct CorruptEvent {
    /// The type found; an event has type 0.
    pub code: i32,
    /// The length found; negative, or above the limit that the reader set.
    pub len: i32,
}

classify!(CorruptEvent, |_| ErrorKind::Corrupt);

/// Returns the header of an event with `len` bytes of payload.
///
/// # Errors
///
/// [`EncodeError::LengthTooLarge`] if the length does not fit a header.
pub fn header(len: usize) -> Result<[u8; EVENT_HEADER_LEN], EncodeError> {
    let len = i32::try_from(len).map_err(|_| EncodeError::LengthTooLarge(len))?;
    Ok((u64::from(len as u32)).to_be_bytes())
}

/// Appends an event to `block`, header and payload.
///
/// # Errors
///
/// [`EncodeError::LengthTooLarge`] if its length does not fit a header; nothing is written then.
pub fn put(block: &mut BytesMut, payload: &[u8]) -> Result<(), EncodeError> {
    let header = header(payload.len())?;
    block.reserve(EVENT_HEADER_LEN + payload.len());
    block.put_slice(&header);
    block.put_slice(payload);
    Ok(())
}

/// Decodes an event's header, and returns the length of its payload; `None` if there are fewer
/// than 8 bytes.
///
/// # Errors
///
/// [`CorruptEvent`] if the first 8 bytes are not a header, or the length is above `max_len`.
pub fn parse_header(mut header: &[u8], max_len: usize) -> Result<usize, CorruptEvent> {
    let (Ok(code), Ok(len)) = (header.try_get_i32(), header.try_get_i32()) else {
        return Err(CorruptEvent { code: -1, len: -1 });
    };
    match usize::try_from(len) {
        Ok(payload_len) if code == EVENT_CODE && payload_len <= max_len => Ok(payload_len),
        _ => Err(CorruptEvent { code, len }),
    }
}

/// Removes the next event from segment data; `None` if it has not arrived completely.
///
/// The payload is a slice of the buffer.
///
/// # Errors
///
/// [`CorruptEvent`] if there is no header, or the length is above `max_len`. The buffer stays
/// unchanged.
pub fn take(data: &mut BytesMut, max_len: usize) -> Result<Option<Bytes>, CorruptEvent> {
    let Some((header, _)) = data.split_at_checked(EVENT_HEADER_LEN) else {
        return Ok(None);
    };
    let payload_len = parse_header(header, max_len)?;
    if data.len() < EVENT_HEADER_LEN + payload_len {
        return Ok(None);
    }
    data.advance(EVENT_HEADER_LEN);
    Ok(Some(data.split_to(payload_len).freeze()))
}

impl Field for Event {
    const MIN_LEN: usize = EVENT_HEADER_LEN;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        match reader.i32("the type of an event")? {
            EVENT_CODE => Bytes::decode(reader).map(|data| Self { data }),
            found => Err(DecodeProblem::NestedType { found, expected: EVENT_CODE }),
        }
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(4 + self.data.encoded_len()?)
    }

    fn encode(&self, out: &mut SendBuffer) {
        out.put_i32(EVENT_CODE);
        self.data.encode(out);
    }

    fn to_value(&self) -> Value {
        Value::Record(vec![("data".to_owned(), self.data.to_value())])
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        let mut fields = value.record()?;
        let event = Self { data: fields.take("data", Bytes::from_value, None)? };
        fields.finish()?;
        Ok(event)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("data", &Shown(&self.data)).finish()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_in_order_and_wait_for_their_last_byte() {
        let mut block = BytesMut::new();
        for payload in [&b"a"[..], b"", b"ccc"] {
            put(&mut block, payload).unwrap();
        }
        let whole = block.freeze();
        let mut data = BytesMut::new();
        let mut events = Vec::new();
        for byte in whole {
            data.put_u8(byte);
            events.extend(take(&mut data, MAX_EVENT_LEN).unwrap());
        }
        assert_eq!(events, [&b"a"[..], b"", b"ccc"]);
        assert!(data.is_empty());
    }

    #[test]
    fn bytes_that_are_not_a_header_are_refused_and_stay() {
        for (bytes, code, len) in [
            ([0, 0, 0, 1, 0, 0, 0, 0], 1, 0),
            ([0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], 0, -1),
            ([0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF], 0, i32::MAX),
        ] {
            let mut data = BytesMut::from(&bytes[..]);
            assert_eq!(take(&mut data, MAX_EVENT_LEN), Err(CorruptEvent { code, len }));
            assert_eq!(data.len(), 8);
        }
    }
}
