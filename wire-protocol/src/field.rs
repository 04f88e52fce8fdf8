//! Encoding and decoding of each kind of field.

use std::fmt;

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use pravega_sdk_types::modified_utf8;
use uuid::Uuid;

use crate::{
    DecodeProblem, EncodeError, MAX_STRING_LEN, SendBuffer,
    value::{Value, ValueError},
};

/// A type that can be a field of a frame.
pub(crate) trait Field: Sized {
    /// The minimum encoded length.
    const MIN_LEN: usize;
    /// An optional field is read if at least that many bytes are left of the frame.
    const READ_FROM: usize = Self::MIN_LEN;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem>;
    fn encoded_len(&self) -> Result<usize, EncodeError>;
    /// Writes exactly the bytes that `encoded_len` announced.
    fn encode(&self, out: &mut SendBuffer);
    fn to_value(&self) -> Value;
    fn from_value(value: Value) -> Result<Self, ValueError>;

    /// Shows the field in `Debug` output, without the bytes of payloads.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A field in `Debug` output.
pub(crate) struct Shown<'a, T>(pub(crate) &'a T);

impl<T: Field> fmt::Debug for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

/// A secret field in `Debug` output.
pub(crate) struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// An encoding of a field that differs from the default of its type.
pub(crate) trait Layout<T> {
    /// An optional field is read if at least that many bytes are left of the frame.
    const READ_FROM: usize;
    fn decode(reader: &mut FieldReader) -> Result<T, DecodeProblem>;
    fn encoded_len(field: &T) -> Result<usize, EncodeError>;
    fn encode(field: &T, out: &mut SendBuffer);
    fn to_value(field: &T) -> Value;
    fn from_value(value: Value) -> Result<T, ValueError>;
}

/// The default encoding.
pub(crate) struct Plain;

impl<T: Field> Layout<T> for Plain {
    const READ_FROM: usize = T::READ_FROM;

    fn decode(reader: &mut FieldReader) -> Result<T, DecodeProblem> {
        T::decode(reader)
    }

    fn encoded_len(field: &T) -> Result<usize, EncodeError> {
        field.encoded_len()
    }

    fn encode(field: &T, out: &mut SendBuffer) {
        field.encode(out);
    }

    fn to_value(field: &T) -> Value {
        field.to_value()
    }

    fn from_value(value: Value) -> Result<T, ValueError> {
        T::from_value(value)
    }
}

/// Reads fields from the payload of one frame, and never reads past its end.
#[derive(Debug)]
pub(crate) struct FieldReader {
    rest: Bytes,
    /// The most elements of a list.
    max_list: usize,
}

impl FieldReader {
    /// Reads a payload whose lists have at most `max_list` elements.
    pub(crate) fn new(payload: Bytes, max_list: usize) -> Self {
        Self { rest: payload, max_list }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn need(&self, field: &'static str, len: usize) -> Result<(), DecodeProblem> {
        match len.checked_sub(self.rest.len()) {
            None | Some(0) => Ok(()),
            Some(missing) => Err(DecodeProblem::EndOfFrame { field, missing }),
        }
    }

    pub(crate) fn take(&mut self, field: &'static str, len: usize) -> Result<Bytes, DecodeProblem> {
        self.need(field, len)?;
        Ok(self.rest.split_to(len))
    }

    pub(crate) fn take_all(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, DecodeProblem> {
        self.need(field, 4)?;
        Ok(self.rest.get_i32())
    }

    /// Reads a length, which must be neither negative nor longer than the rest.
    pub(crate) fn length(&mut self, field: &'static str) -> Result<usize, DecodeProblem> {
        let len = self.i32(field)?;
        let remaining = self.rest.len();
        match usize::try_from(len) {
            Ok(len) if len <= remaining => Ok(len),
            _ => Err(DecodeProblem::FieldLength { field, len: i64::from(len), remaining }),
        }
    }
}

macro_rules! number_field {
    ($type:ty, $len:literal, $get:ident, $name:literal) => {
        impl Field for $type {
            const MIN_LEN: usize = $len;

            fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
                reader.need($name, $len)?;
                Ok(reader.rest.$get())
            }

            fn encoded_len(&self) -> Result<usize, EncodeError> {
                Ok($len)
            }

            fn encode(&self, out: &mut SendBuffer) {
                out.put_slice(&self.to_be_bytes());
            }

            fn to_value(&self) -> Value {
                Value::from(*self)
            }

            fn from_value(value: Value) -> Result<Self, ValueError> {
                value.integer(stringify!($type))
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
}

number_field!(i8, 1, get_i8, "a byte");
number_field!(i32, 4, get_i32, "an int");
number_field!(i64, 8, get_i64, "a long");

impl Field for bool {
    const MIN_LEN: usize = 1;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        reader.need("a boolean", 1)?;
        Ok(reader.rest.get_u8() != 0)
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(1)
    }

    fn encode(&self, out: &mut SendBuffer) {
        out.put_slice(&[u8::from(*self)]);
    }

    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        value.boolean()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Field for Uuid {
    const MIN_LEN: usize = 16;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        reader.need("a uuid", 16)?;
        Ok(Self::from_u128(reader.rest.get_u128()))
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(16)
    }

    fn encode(&self, out: &mut SendBuffer) {
        out.put_slice(self.as_bytes());
    }

    fn to_value(&self) -> Value {
        Value::Uuid(*self)
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        value.uuid()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Field for ByteString {
    const MIN_LEN: usize = 2;
    // Any byte after the other fields must be a string then, as for the Java decoder.
    const READ_FROM: usize = 1;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        reader.need("the length of a string", 2)?;
        let len = usize::from(reader.rest.get_u16());
        let bytes = reader.take("a string", len)?;
        // If modified UTF-8 and UTF-8 agree, the string is a slice of the receive buffer.
        if bytes.iter().all(|byte| *byte < 0xF0)
            && let Ok(text) = Self::try_from(bytes.clone())
        {
            return Ok(text);
        }
        Ok(modified_utf8::decode(&bytes)?.into_owned().into())
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        match modified_utf8::encoded_len(self) {
            len if len > MAX_STRING_LEN => Err(EncodeError::string_too_long(self, len)),
            len => Ok(2 + len),
        }
    }

    fn encode(&self, out: &mut SendBuffer) {
        let len = modified_utf8::encoded_len(self);
        out.put_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        modified_utf8::encode(self, |piece| out.put_slice(piece));
    }

    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        value.text().map(Self::from)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Field for Bytes {
    const MIN_LEN: usize = 4;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        let len = reader.length("bytes")?;
        reader.take("bytes", len)
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        blob_len(self.len())
    }

    fn encode(&self, out: &mut SendBuffer) {
        out.put_len(self.len());
        out.put_bytes(self);
    }

    fn to_value(&self) -> Value {
        Value::Bytes(self.clone())
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        value.bytes()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.len())
    }
}

fn blob_len(len: usize) -> Result<usize, EncodeError> {
    match i32::try_from(len) {
        Ok(_) => Ok(4 + len),
        Err(_) => Err(EncodeError::LengthTooLarge(len)),
    }
}

/// Bytes for which a negative length means empty, as in the append commands.
pub(crate) struct Lenient;

impl Layout<Bytes> for Lenient {
    const READ_FROM: usize = 4;

    fn decode(reader: &mut FieldReader) -> Result<Bytes, DecodeProblem> {
        reader.need("the length of bytes", 4)?;
        let negative = reader.rest.first().is_some_and(|high| high & 0x80 != 0);
        if negative {
            reader.i32("the length of bytes")?;
            return Ok(Bytes::new());
        }
        Bytes::decode(reader)
    }

    fn encoded_len(field: &Bytes) -> Result<usize, EncodeError> {
        field.encoded_len()
    }

    fn encode(field: &Bytes, out: &mut SendBuffer) {
        field.encode(out);
    }

    fn to_value(field: &Bytes) -> Value {
        field.to_value()
    }

    fn from_value(value: Value) -> Result<Bytes, ValueError> {
        value.bytes()
    }
}

/// The rest of the frame, without a length field.
pub(crate) struct Rest;

impl Layout<Bytes> for Rest {
    const READ_FROM: usize = 0;

    fn decode(reader: &mut FieldReader) -> Result<Bytes, DecodeProblem> {
        Ok(reader.take_all())
    }

    fn encoded_len(field: &Bytes) -> Result<usize, EncodeError> {
        Ok(field.len())
    }

    fn encode(field: &Bytes, out: &mut SendBuffer) {
        out.put_bytes(field);
    }

    fn to_value(field: &Bytes) -> Value {
        field.to_value()
    }

    fn from_value(value: Value) -> Result<Bytes, ValueError> {
        value.bytes()
    }
}

/// Zero bytes to the end of the frame; the value is their number.
pub(crate) struct Zeros;

impl Layout<i32> for Zeros {
    const READ_FROM: usize = 0;

    fn decode(reader: &mut FieldReader) -> Result<i32, DecodeProblem> {
        let len = reader.take_all().len();
        i32::try_from(len).map_err(|_| DecodeProblem::FieldLength {
            field: "padding",
            len: len as i64,
            remaining: len,
        })
    }

    fn encoded_len(field: &i32) -> Result<usize, EncodeError> {
        usize::try_from(*field)
            .map_err(|_| EncodeError::Negative { field: "length", value: i64::from(*field) })
    }

    fn encode(field: &i32, out: &mut SendBuffer) {
        out.put_zeros(usize::try_from(*field).unwrap_or(0));
    }

    fn to_value(field: &i32) -> Value {
        field.to_value()
    }

    fn from_value(value: Value) -> Result<i32, ValueError> {
        i32::from_value(value)
    }
}

/// The memory of the elements of a list is at most this many times the bytes that encode them. Keys
/// of at least a byte and names of at least 6 take less.
const MEMORY_PER_BYTE: usize = 4;
/// The memory that a list of small elements may take besides.
const SMALL_LIST: usize = 64 * 1024;

impl<T: Field> Field for Vec<T> {
    const MIN_LEN: usize = 4;
    // An optional list is read if bytes are left.
    const READ_FROM: usize = 1;

    /// The capacity grows with the elements that were decoded, never with the count alone: at first
    /// it is at most the rest of the frame, in bytes.
    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        let count = reader.i32("the count of a list")?;
        let arrived = reader.remaining();
        let refused = DecodeProblem::FieldLength {
            field: "a list",
            len: i64::from(count),
            remaining: arrived,
        };
        let count = match usize::try_from(count) {
            Ok(count) if count <= reader.max_list && count <= arrived / T::MIN_LEN.max(1) => count,
            _ => return Err(refused),
        };
        let mut list = Self::with_capacity(count.min(arrived / size_of::<T>().max(1)));
        for _ in 0..count {
            let element = T::decode(reader)?;
            let memory = (list.len() + 1) * size_of::<T>();
            let decoded = arrived - reader.remaining();
            if memory > SMALL_LIST + MEMORY_PER_BYTE * decoded {
                return Err(refused);
            }
            if list.len() == list.capacity() {
                list.reserve_exact((count - list.len()).min(list.len().max(4)));
            }
            list.push(element);
        }
        Ok(list)
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        let mut len = blob_len(0)?;
        for element in self {
            len += element.encoded_len()?;
        }
        match i32::try_from(self.len()) {
            Ok(_) => Ok(len),
            Err(_) => Err(EncodeError::LengthTooLarge(self.len())),
        }
    }

    fn encode(&self, out: &mut SendBuffer) {
        out.put_len(self.len());
        for element in self {
            element.encode(out);
        }
    }

    fn to_value(&self) -> Value {
        Value::List(self.iter().map(T::to_value).collect())
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        value.list()?.into_iter().map(T::from_value).collect()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Shown)).finish()
    }
}
