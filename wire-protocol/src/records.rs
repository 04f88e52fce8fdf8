//! Structures nested in commands.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use uuid::Uuid;

use crate::{
    DecodeProblem, EncodeError, SendBuffer,
    field::{Field, FieldReader, Shown},
    value::{Value, ValueError},
};

/// A record whose fields follow each other without a length.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Field for $name {
            const MIN_LEN: usize = 0 $(+ <$type as Field>::MIN_LEN)*;

            fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
                Ok(Self { $($field: <$type as Field>::decode(reader)?,)* })
            }

            fn encoded_len(&self) -> Result<usize, EncodeError> {
                Ok(0 $(+ self.$field.encoded_len()?)*)
            }

            fn encode(&self, out: &mut SendBuffer) {
                $(self.$field.encode(out);)*
            }

            fn to_value(&self) -> Value {
                Value::Record(vec![$((
                    crate::value::protocol_name(stringify!($field)),
                    self.$field.to_value(),
                ),)*])
            }

            fn from_value(value: Value) -> Result<Self, ValueError> {
                let mut fields = value.record()?;
                let record = Self {
                    $($field: fields.take(
                        &crate::value::protocol_name(stringify!($field)),
                        <$type as Field>::from_value,
                        None,
                    )?,)*
                };
                fields.finish()?;
                Ok(record)
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &Shown(&self.$field)))*
                    .finish()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.show(f)
            }
        }
    };
}

record! {
    /// A change of a segment attribute that is part of a merge.
    AttributeUpdate {
        /// The attribute.
        attribute_id: Uuid,
        /// 0 no change, 1 replace, 2 replace if greater, 3 accumulate, 4 replace if equal.
        attribute_update_type: i8,
        /// The value to set.
        new_value: i64,
        /// The expected value for type 4; `i64::MIN` means absent.
        old_value: i64,
    }
}

record! {
    /// A chunk of a segment in long-term storage.
    StorageChunk {
        /// Its length in the store's metadata, in bytes.
        length_in_metadata: i64,
        /// Its length in storage, in bytes.
        length_in_storage: i64,
        /// Its start offset in the segment.
        start_offset: i64,
        /// Its name.
        chunk_name: ByteString,
        /// True if it exists in storage.
        exists_in_storage: bool,
    }
}

record! {
    /// A segment that was merged into another.
    MergedSegment {
        /// The segment that was merged and removed.
        source: ByteString,
        /// The length of the target after the merge, in bytes.
        new_target_write_offset: i64,
    }
}

record! {
    /// An entry of a table segment.
    TableEntry {
        /// The key with its version.
        key: TableKey,
        /// The value.
        value: TableValue,
    }
}

/// A key of a table segment.
///
/// ```text
/// total i32 = 4 + length + 8 | length i32 | data | version i64
/// ```
///
/// A key without data has no version on the wire, although its total counts one; it reads back with
/// [`TableKey::NO_VERSION`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TableKey {
    /// The key; 1 to 8192 bytes. Never send an empty one: it corrupts the table on a 0.13.0 server.
    pub data: Bytes,
    /// The version expected in a request, or found in a reply.
    pub key_version: i64,
}

impl TableKey {
    /// Unconditional in a request.
    pub const NO_VERSION: i64 = i64::MIN;
    /// In a request: the key must not exist. In a reply: it does not exist.
    pub const NOT_EXISTS: i64 = -1;

    /// The part of `total` besides the data: the inner length and the version.
    const OVERHEAD: usize = 4 + 8;
}

impl Field for TableKey {
    const MIN_LEN: usize = 8;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        // As for the Java decoder, the total only has to be within the frame; the inner length
        // decides. The total of an empty key counts the missing version, so at the end of a frame
        // it is too large.
        let total = reader.i32("the length of a table key")?;
        let remaining = reader.remaining();
        let len = reader.length("the data of a table key")?;
        if len > 0 && !usize::try_from(total).is_ok_and(|total| total <= remaining) {
            return Err(DecodeProblem::FieldLength {
                field: "a table key",
                len: i64::from(total),
                remaining,
            });
        }
        let data = reader.take("the data of a table key", len)?;
        let key_version = if data.is_empty() { Self::NO_VERSION } else { i64::decode(reader)? };
        Ok(Self { data, key_version })
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        let version_len = if self.data.is_empty() { 0 } else { 8 };
        Ok(4 + self.data.encoded_len()? + version_len)
    }

    fn encode(&self, out: &mut SendBuffer) {
        out.put_len(Self::OVERHEAD + self.data.len());
        self.data.encode(out);
        if !self.data.is_empty() {
            self.key_version.encode(out);
        }
    }

    fn to_value(&self) -> Value {
        Value::Record(vec![
            ("data".to_owned(), self.data.to_value()),
            ("keyVersion".to_owned(), self.key_version.to_value()),
        ])
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        let mut fields = value.record()?;
        let key = Self {
            data: fields.take("data", Bytes::from_value, None)?,
            key_version: fields.take("keyVersion", i64::from_value, Some(Self::NO_VERSION))?,
        };
        fields.finish()?;
        Ok(key)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableKey")
            .field("data", &Shown(&self.data))
            .field("key_version", &Shown(&self.key_version))
            .finish()
    }
}

impl fmt::Debug for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f)
    }
}

/// A value of a table segment.
///
/// ```text
/// total i32 = 4 + length | length i32 | data
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TableValue {
    /// The value; an empty one is not the same as an absent one.
    pub data: Bytes,
}

impl Field for TableValue {
    const MIN_LEN: usize = 8;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        reader.length("a table value")?;
        let len = reader.length("the data of a table value")?;
        Ok(Self { data: reader.take("the data of a table value", len)? })
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(4 + self.data.encoded_len()?)
    }

    fn encode(&self, out: &mut SendBuffer) {
        out.put_len(4 + self.data.len());
        self.data.encode(out);
    }

    fn to_value(&self) -> Value {
        Value::Record(vec![("data".to_owned(), self.data.to_value())])
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        let mut fields = value.record()?;
        let value = Self { data: fields.take("data", Bytes::from_value, None)? };
        fields.finish()?;
        Ok(value)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableValue").field("data", &Shown(&self.data)).finish()
    }
}

impl fmt::Debug for TableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f)
    }
}

/// The state of an iteration over a table segment, and its range of keys.
///
/// Each part reads as empty if fewer than 4 bytes are left of the frame, so older peers may leave
/// out the last ones.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct IterationArgs {
    /// The continuation of the previous page; empty at the start. Only for hash tables.
    pub continuation_token: Bytes,
    /// A filter of peers up to 0.10. Servers ignore it, and it is always written empty.
    pub prefix_filter: Bytes,
    /// The first key, inclusive; empty means the lowest. Only for tables with fixed key length.
    pub from_key: Bytes,
    /// The last key, inclusive; empty means the highest. Only for tables with fixed key length.
    pub to_key: Bytes,
}

impl Field for IterationArgs {
    const MIN_LEN: usize = 0;

    fn decode(reader: &mut FieldReader) -> Result<Self, DecodeProblem> {
        let mut next = || {
            if reader.remaining() < 4 { Ok(Bytes::new()) } else { Bytes::decode(reader) }
        };
        Ok(Self {
            continuation_token: next()?,
            prefix_filter: next()?,
            from_key: next()?,
            to_key: next()?,
        })
    }

    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(self.continuation_token.encoded_len()?
            + 4
            + self.from_key.encoded_len()?
            + self.to_key.encoded_len()?)
    }

    fn encode(&self, out: &mut SendBuffer) {
        self.continuation_token.encode(out);
        out.put_len(0);
        self.from_key.encode(out);
        self.to_key.encode(out);
    }

    fn to_value(&self) -> Value {
        Value::Record(vec![
            ("continuationToken".to_owned(), self.continuation_token.to_value()),
            ("prefixFilter".to_owned(), self.prefix_filter.to_value()),
            ("fromKey".to_owned(), self.from_key.to_value()),
            ("toKey".to_owned(), self.to_key.to_value()),
        ])
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        let mut fields = value.record()?;
        let empty = || Some(Bytes::new());
        let args = Self {
            continuation_token: fields.take("continuationToken", Bytes::from_value, empty())?,
            prefix_filter: fields.take("prefixFilter", Bytes::from_value, empty())?,
            from_key: fields.take("fromKey", Bytes::from_value, empty())?,
            to_key: fields.take("toKey", Bytes::from_value, empty())?,
        };
        fields.finish()?;
        Ok(args)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterationArgs")
            .field("continuation_token", &Shown(&self.continuation_token))
            .field("prefix_filter", &Shown(&self.prefix_filter))
            .field("from_key", &Shown(&self.from_key))
            .field("to_key", &Shown(&self.to_key))
            .finish()
    }
}

impl fmt::Debug for IterationArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, WireCommand, commands::TableKeysRead};

    /// Its total counts a version that is missing, so it is beyond the end of the frame.
    #[test]
    fn an_empty_key_at_the_end_of_a_frame_comes_back() {
        let read = WireCommand::from(TableKeysRead {
            request_id: 1,
            segment: "".into(),
            keys: vec![TableKey { data: Bytes::new(), key_version: TableKey::NO_VERSION }],
            continuation_token: Bytes::new(),
        });
        let mut out = SendBuffer::new();
        read.encode(&mut out).unwrap();
        assert_eq!(Decoder::default().decode_frame(out.to_vec().into()), Ok(read));
    }
}
