//! The routing key of a record, and the part of it that is the event.

use std::fmt;

use pravega_sdk::event_stream::MAX_ROUTING_KEY_LEN;
use serde_json::Value;

use crate::parse::json_error;

/// Where the routing key of a record is.
#[derive(Debug, Clone)]
pub(super) enum KeySource {
    /// There is none.
    None,
    /// Before the first such character.
    Before {
        separator: char,
        /// True if the event is the whole line, false if it is what follows the character.
        keep: bool,
    },
    /// In a field of the record, which is JSON.
    Field(String),
    /// There is none, and the record is JSON.
    Json,
}

/// The reason why a record has no key, or not the form that was asked for.
#[derive(Debug)]
pub(super) enum NoEvent {
    NoSeparator(char),
    KeyIsNotUtf8,
    KeyTooLong(usize),
    NotJson(serde_json::Error),
    /// What it is instead.
    NotAnObject(&'static str),
    NoField(String),
    NullField(String),
}

impl fmt::Display for NoEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSeparator(separator) => {
                write!(f, "no key separator {separator:?} in this line")
            }
            Self::KeyIsNotUtf8 => f.write_str("the routing key is not UTF-8"),
            Self::KeyTooLong(len) => {
                write!(f, "the routing key has {len} bytes, {MAX_ROUTING_KEY_LEN} are allowed")
            }
            Self::NotJson(error) => write!(f, "not JSON: {}", json_error(error)),
            Self::NotAnObject(kind) => write!(f, "it is {kind}, not a JSON object with fields"),
            Self::NoField(field) => write!(f, "no field {field:?}"),
            Self::NullField(field) => write!(f, "the field {field:?} is null"),
        }
    }
}

impl KeySource {
    /// Divides a record into its key and the event.
    pub(super) fn divide(&self, record: Vec<u8>) -> Result<(Option<String>, Vec<u8>), NoEvent> {
        let (key, event) = match self {
            Self::None => return Ok((None, record)),
            Self::Before { separator, keep } => split_at(record, *separator, *keep)?,
            Self::Json => {
                parse(&record)?;
                return Ok((None, record));
            }
            Self::Field(field) => (field_of(&parse(&record)?, field)?, record),
        };
        match key.len() {
            len if len > MAX_ROUTING_KEY_LEN => Err(NoEvent::KeyTooLong(len)),
            _ => Ok((Some(key), event)),
        }
    }
}

fn split_at(
    mut record: Vec<u8>,
    separator: char,
    keep: bool,
) -> Result<(String, Vec<u8>), NoEvent> {
    let mut bytes = [0; 4];
    let bytes = separator.encode_utf8(&mut bytes).as_bytes();
    let at = match bytes {
        [byte] => record.iter().position(|other| other == byte),
        _ => record.windows(bytes.len()).position(|window| window == bytes),
    };
    let at = at.ok_or(NoEvent::NoSeparator(separator))?;
    let key = record.get(..at).unwrap_or_default().to_vec();
    let key = String::from_utf8(key).map_err(|_| NoEvent::KeyIsNotUtf8)?;
    if !keep {
        record.drain(..at + bytes.len());
    }
    Ok((key, record))
}

fn parse(record: &[u8]) -> Result<Value, NoEvent> {
    serde_json::from_slice(record).map_err(NoEvent::NotJson)
}

fn field_of(value: &Value, field: &str) -> Result<String, NoEvent> {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Array(_) => return Err(NoEvent::NotAnObject("an array")),
        Value::String(_) => return Err(NoEvent::NotAnObject("a string")),
        Value::Number(_) => return Err(NoEvent::NotAnObject("a number")),
        Value::Bool(_) => return Err(NoEvent::NotAnObject("true or false")),
        Value::Null => return Err(NoEvent::NotAnObject("null")),
    };
    match fields.get(field) {
        None => Err(NoEvent::NoField(field.to_owned())),
        Some(Value::Null) => Err(NoEvent::NullField(field.to_owned())),
        Some(Value::String(key)) => Ok(key.clone()),
        Some(other) => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(source: &KeySource, record: &str) -> Result<(Option<String>, String), String> {
        let (key, event) =
            source.divide(record.as_bytes().to_vec()).map_err(|error| error.to_string())?;
        Ok((key, String::from_utf8(event).unwrap()))
    }

    #[track_caller]
    fn check(source: &KeySource, record: &str, key: &str, event: &str) {
        assert_eq!(split(source, record), Ok((Some(key.to_owned()), event.to_owned())), "{record}");
    }

    #[test]
    fn the_key_is_before_the_first_separator_and_no_part_of_the_event_unless_it_is_kept() {
        let (separator, keep) = (':', false);
        let source = KeySource::Before { separator, keep };
        check(&source, "ann:1:2", "ann", "1:2");
        check(&source, ":x", "", "x");
        check(&source, "ann:", "ann", "");
        check(&KeySource::Before { separator, keep: true }, "ann:1:2", "ann", "ann:1:2");
        check(&KeySource::Before { separator: '→', keep }, "ann→1", "ann", "1");
        assert_eq!(split(&source, "bob").unwrap_err(), "no key separator ':' in this line");
    }

    #[test]
    fn only_the_key_must_be_utf8() {
        let source = KeySource::Before { separator: ':', keep: false };
        let (key, event) = source.divide(b"ann:\xff".to_vec()).unwrap();
        assert_eq!((key.as_deref(), &event[..]), (Some("ann"), &b"\xff"[..]));
        let error = source.divide(b"\xff:1".to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "the routing key is not UTF-8");
    }

    #[test]
    fn a_key_that_no_writer_takes_is_refused() {
        let source = KeySource::Before { separator: ':', keep: false };
        let key = "k".repeat(MAX_ROUTING_KEY_LEN);
        assert!(split(&source, &format!("{key}:1")).is_ok());
        let error = split(&source, &format!("{key}k:1")).unwrap_err();
        assert_eq!(error, "the routing key has 65537 bytes, 65536 are allowed");
    }

    #[test]
    fn a_key_field_is_taken_from_json_which_stays_whole() {
        let source = KeySource::Field("id".to_owned());
        check(&source, r#"{"id":"a"}"#, "a", r#"{"id":"a"}"#);
        check(&source, r#"{"id":7}"#, "7", r#"{"id":7}"#);
        let error = |record: &str| split(&source, record).unwrap_err();
        assert_eq!(error("{}"), r#"no field "id""#);
        assert_eq!(error(r#"{"id":null}"#), r#"the field "id" is null"#);
        assert_eq!(error("[1,2]"), "it is an array, not a JSON object with fields");
        assert_eq!(error("{x"), "not JSON: key must be a string at column 2");
    }

    #[test]
    fn json_without_a_key_stays_whole_and_must_be_json() {
        assert_eq!(split(&KeySource::Json, "[1]"), Ok((None, "[1]".to_owned())));
        assert!(split(&KeySource::Json, "x").unwrap_err().starts_with("not JSON: "));
    }
}
