//! Commands as data: names and values instead of Rust fields, for tools that print or build
//! commands.

use bytes::Bytes;
use pravega_sdk_types::{ErrorKind, classify};
use uuid::Uuid;

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A number of 8 or 32 bits.
    Int(i32),
    /// A number of 64 bits.
    Long(i64),
    /// True or false.
    Bool(bool),
    /// A string.
    Text(String),
    /// A UUID.
    Uuid(Uuid),
    /// Bytes.
    Bytes(Bytes),
    /// A list.
    List(Vec<Value>),
    /// Fields by their names in the protocol, in wire order.
    Record(Vec<(String, Value)>),
}

/// An error from building a command from values.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No command has this name.
    #[error("there is no command {0:?}")]
    UnknownCommand(String),
    /// A field that has no default is missing.
    #[error("field {0} is missing")]
    Missing(String),
    /// A field is given that the command does not have.
    #[error("there is no field {0:?} here")]
    UnknownField(String),
    /// A value is not of its field's type.
    #[error("{found} is not {expected}")]
    Type {
        /// The type expected.
        expected: &'static str,
        /// The value given.
        found: String,
    },
    /// The value of a field cannot be used.
    #[error("field {field}: {source}")]
    Field {
        /// The field.
        field: String,
        /// The reason.
        source: Box<ValueError>,
    },
}

classify!(ValueError, |_| ErrorKind::InvalidArgument);

impl Value {
    fn refuse<T>(&self, expected: &'static str) -> Result<T, ValueError> {
        let found = pravega_sdk_types::Printable::with_limit(&format!("{self:?}"), 80).to_string();
        Err(ValueError::Type { expected, found })
    }

    /// Numbers may also be texts, which keeps 64 bits intact in JSON.
    pub(crate) fn integer<T: TryFrom<i64>>(self, expected: &'static str) -> Result<T, ValueError> {
        let wide = match &self {
            Self::Int(value) => Some(i64::from(*value)),
            Self::Long(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        match wide.map(T::try_from) {
            Some(Ok(value)) => Ok(value),
            _ => self.refuse(expected),
        }
    }

    pub(crate) fn boolean(self) -> Result<bool, ValueError> {
        match self {
            Self::Bool(value) => Ok(value),
            other => other.refuse("true or false"),
        }
    }

    pub(crate) fn text(self) -> Result<String, ValueError> {
        match self {
            Self::Text(text) => Ok(text),
            other => other.refuse("a string"),
        }
    }

    pub(crate) fn uuid(self) -> Result<Uuid, ValueError> {
        match &self {
            Self::Uuid(id) => Ok(*id),
            Self::Text(text) => text.parse().or_else(|_| self.refuse("a uuid")),
            _ => self.refuse("a uuid"),
        }
    }

    /// Bytes may also be hexadecimal texts.
    pub(crate) fn bytes(self) -> Result<Bytes, ValueError> {
        match &self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Text(text) => match from_hex(text) {
                Some(bytes) => Ok(bytes.into()),
                None => self.refuse("bytes in hexadecimal"),
            },
            _ => self.refuse("bytes in hexadecimal"),
        }
    }

    pub(crate) fn list(self) -> Result<Vec<Self>, ValueError> {
        match self {
            Self::List(list) => Ok(list),
            other => other.refuse("a list"),
        }
    }

    pub(crate) fn record(self) -> Result<Fields, ValueError> {
        match self {
            Self::Record(fields) => Ok(Fields(fields)),
            other => other.refuse("a group of fields"),
        }
    }
}

impl From<i8> for Value {
    fn from(value: i8) -> Self {
        Self::Int(i32::from(value))
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

/// Named values that fields are read from one by one.
#[derive(Debug)]
pub(crate) struct Fields(Vec<(String, Value)>);

impl Fields {
    pub(crate) fn new(fields: Vec<(String, Value)>) -> Self {
        Self(fields)
    }

    /// Removes the field `name` and converts it; without it the result is `default`.
    pub(crate) fn take<T>(
        &mut self,
        name: &str,
        convert: impl FnOnce(Value) -> Result<T, ValueError>,
        default: Option<T>,
    ) -> Result<T, ValueError> {
        match self.0.iter().position(|(field, _)| field == name) {
            Some(at) => convert(self.0.swap_remove(at).1).map_err(|source| ValueError::Field {
                field: name.to_owned(),
                source: Box::new(source),
            }),
            None => default.ok_or_else(|| ValueError::Missing(name.to_owned())),
        }
    }

    /// Fails if a field is left.
    pub(crate) fn finish(self) -> Result<(), ValueError> {
        match self.0.into_iter().next() {
            Some((field, _)) => Err(ValueError::UnknownField(field)),
            None => Ok(()),
        }
    }
}

/// Returns the protocol's name of a Rust field: `request_id` is `requestId`.
pub(crate) fn protocol_name(field: &str) -> String {
    let mut name = String::with_capacity(field.len());
    let mut words = field.split('_');
    name.push_str(words.next().unwrap_or_default());
    for word in words {
        let mut characters = word.chars();
        name.extend(characters.next().map(|c| c.to_ascii_uppercase()));
        name.push_str(characters.as_str());
    }
    name
}

/// Returns bytes as lower-case hexadecimal text.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

/// Returns the bytes of a hexadecimal text of either case; `None` if it is not one.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_those_of_the_protocol() {
        assert_eq!(protocol_name("request_id"), "requestId");
        assert_eq!(protocol_name("current_segment_write_offset"), "currentSegmentWriteOffset");
        assert_eq!(protocol_name("data"), "data");
    }

    #[test]
    fn hexadecimal_text_comes_back_and_bad_text_is_refused() {
        assert_eq!(from_hex(&to_hex(&[0, 0x7F, 0xFF])), Some(vec![0, 0x7F, 0xFF]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex("+1"), None);
    }
}
