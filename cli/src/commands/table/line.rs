//! A line of an import.

use bytes::Bytes;
use pravega_sdk::table_synchronizer::Key;
use serde_json::Value;

use super::format::{KeyCoder, ValueFormat};
use crate::parse::json_error;

/// Reads the key and the value of a line, which is a JSON object; `None` for an empty line.
pub(super) fn read_line(
    line: &[u8],
    keys: &KeyCoder,
    values: ValueFormat,
) -> Result<Option<(Key, Bytes)>, String> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut fields = match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err("it is not a JSON object".to_owned()),
        Err(error) => return Err(format!("it is not JSON: {}", json_error(&error))),
    };
    let key = keys.take_fields(&mut fields)?;
    let value = values.take_field(&mut fields)?;
    // `scan` writes it; the table that is imported into has its own versions.
    fields.shift_remove("version");
    match fields.keys().next() {
        None => Ok(Some((key, value))),
        Some(field) if field.starts_with("secondary") && !keys.has_secondary_keys() => {
            Err(format!("field \"{field}\": the table has no secondary keys"))
        }
        Some(field) => Err(format!("field \"{field}\" is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::format::KeyFormat, *};

    fn read(line: &str, secondary_len: usize) -> Result<Option<(Key, Bytes)>, String> {
        let keys = KeyCoder::of_lens(KeyFormat::Text, 2, secondary_len);
        read_line(line.as_bytes(), &keys, ValueFormat::Text)
    }

    #[test]
    fn a_line_is_an_entry_and_an_empty_one_is_none() {
        let entry = |secondary: &'static str| {
            Ok(Some((Key::new("ab").with_secondary(secondary), Bytes::from("1"))))
        };
        assert_eq!(read(r#"{"primary":"ab","value":"1"}"#, 0), entry(""));
        assert_eq!(
            read(r#" {"value_base64":"MQ==","primary":"ab","version":"0:7"} "#, 0),
            entry("")
        );
        assert_eq!(read(r#"{"primary":"ab","secondary":"x","value":"1"}"#, 1), entry("x"));
        assert_eq!(read(" \t", 0), Ok(None));
    }

    #[test]
    fn a_line_that_is_no_entry_is_refused_with_the_reason() {
        for (line, reason) in [
            ("{", "it is not JSON: EOF while parsing an object at column 1"),
            ("[1]", "it is not a JSON object"),
            (r#"{"value":"1"}"#, "it has no field \"primary\""),
            (r#"{"primary":"ab"}"#, "it has no field \"value\""),
            (r#"{"primary":7,"value":"1"}"#, "field \"primary\": it is not a string"),
            (
                r#"{"primary":"abc","value":"1"}"#,
                "field \"primary\": a primary key has 3 bytes, and those of the table have 2",
            ),
            (
                r#"{"primary":"ab","value":{}}"#,
                "field \"value\": it is not a string; --value-format json stores JSON",
            ),
            (
                r#"{"primary":"ab","value":"1","secondary":""}"#,
                "field \"secondary\": the table has no secondary keys",
            ),
            (r#"{"primary":"ab","value":"1","ttl":3}"#, "field \"ttl\" is unknown"),
            (
                r#"{"primary":"ab","primary_base64":"YWI=","value":"1"}"#,
                "it has both a field \"primary\" and a field \"primary_base64\"",
            ),
            (r#"{"primary":"ab","value_base64":7}"#, "field \"value_base64\": it is not a string"),
        ] {
            assert_eq!(read(line, 0), Err(reason.to_owned()), "{line}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(&deep, 0).unwrap_err().contains("recursion limit"), "deep nesting is refused");
    }
}
