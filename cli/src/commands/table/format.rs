//! Keys and values of tables as people and programs write them.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pravega_sdk::table_synchronizer::{Key, KeyValueTable, MAX_VALUE_LEN};
use pravega_sdk_wire_protocol::value;
use serde_json::{Map, Value};

use crate::{
    failure::{Failure, Result},
    parse::character,
};

/// How keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum KeyFormat {
    /// Text of exactly the length of the table's keys
    Text,
    /// Text, filled with zero bytes up to the length of the table's keys; they are not shown
    Padded,
    /// Hexadecimal
    Hex,
    /// Base64
    Base64,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ValueFormat {
    /// Text, or any bytes of a file
    Text,
    /// JSON, which is checked, and stored as it is
    Json,
    /// Hexadecimal
    Hex,
    /// Base64
    Base64,
}

/// The formats of keys and values.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Formats {
    #[command(flatten)]
    pub(super) keys: KeyFormats,
    /// How values are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ValueFormat::Text)]
    pub(super) value_format: ValueFormat,
}

/// The formats of keys.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct KeyFormats {
    /// How keys are written
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value_t = KeyFormat::Text)]
    pub(super) key_format: KeyFormat,
    /// Character between a primary key and a secondary key
    #[arg(long, value_name = "CHARACTER", value_parser = character, default_value = ":")]
    pub(super) key_separator: char,
}

/// Which JSON is nested in a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nesting {
    /// JSON that is the same but for white space.
    Same,
    /// JSON that is stored without white space, so that importing it stores the same bytes.
    Exact,
}

/// The keys of one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyCoder {
    formats: KeyFormats,
    primary_len: usize,
    secondary_len: usize,
}

/// A key that is no key of the table, and advice if there is any.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadKey {
    pub(super) text: String,
    hint: Option<String>,
}

impl From<String> for BadKey {
    fn from(text: String) -> Self {
        Self { text, hint: None }
    }
}

impl From<BadKey> for Failure {
    fn from(bad: BadKey) -> Self {
        let failure = Self::usage(bad.text);
        match bad.hint {
            None => failure,
            Some(hint) => failure.with_hint(hint),
        }
    }
}

impl KeyCoder {
    pub(super) fn new(formats: KeyFormats, table: &KeyValueTable) -> Self {
        let configuration = table.configuration();
        // A key has at most 256 bytes.
        let len = |len: u32| usize::try_from(len).unwrap_or(usize::MAX);
        let lens = (configuration.primary_key_length, configuration.secondary_key_length);
        Self { formats, primary_len: len(lens.0), secondary_len: len(lens.1) }
    }

    #[cfg(test)]
    pub(super) fn of_lens(key_format: KeyFormat, primary_len: usize, secondary_len: usize) -> Self {
        let formats = KeyFormats { key_format, key_separator: ':' };
        Self { formats, primary_len, secondary_len }
    }

    pub(super) fn has_secondary_keys(&self) -> bool {
        self.secondary_len > 0
    }

    /// Reads a key from the command line: `PRIMARY`, or `PRIMARY:SECONDARY` in a table with
    /// secondary keys.
    pub(super) fn key(&self, text: &str) -> std::result::Result<Key, BadKey> {
        if !self.has_secondary_keys() {
            return Ok(Key::new(self.primary(text)?));
        }
        let separator = self.formats.key_separator;
        let Some((primary, secondary)) = text.split_once(separator) else {
            return Err(BadKey::from(format!(
                "key \"{text}\" has no secondary key; those of the table do, so write it as \
                 PRIMARY{separator}SECONDARY"
            )));
        };
        Ok(Key::new(self.primary(primary)?).with_secondary(self.secondary(secondary)?))
    }

    /// Reads a whole primary key.
    pub(super) fn primary(&self, text: &str) -> std::result::Result<Bytes, BadKey> {
        self.fitting("primary", text, self.primary_len)
    }

    /// Reads a whole secondary key.
    pub(super) fn secondary(&self, text: &str) -> std::result::Result<Bytes, BadKey> {
        self.fitting("secondary", text, self.secondary_len)
    }

    fn fitting(&self, what: &str, text: &str, len: usize) -> std::result::Result<Bytes, BadKey> {
        let mut bytes = self.part(text)?;
        if self.formats.key_format == KeyFormat::Padded && bytes.len() < len {
            bytes.resize(len, 0);
        }
        check(what, bytes.len(), len).map_err(|text| {
            let is_short_text = self.formats.key_format == KeyFormat::Text && bytes.len() < len;
            let hint = "--key-format padded fills shorter keys with zero bytes";
            BadKey { text, hint: is_short_text.then(|| hint.to_owned()) }
        })?;
        Ok(bytes.into())
    }

    /// Reads the first bytes of a primary or secondary key.
    pub(super) fn prefix(&self, text: &str) -> std::result::Result<Bytes, BadKey> {
        Ok(self.part(text)?.into())
    }

    fn part(&self, text: &str) -> std::result::Result<Vec<u8>, String> {
        let bytes = match self.formats.key_format {
            KeyFormat::Text | KeyFormat::Padded => Ok(text.as_bytes().to_vec()),
            KeyFormat::Hex => from_hex(text),
            KeyFormat::Base64 => from_base64(text),
        };
        bytes.map_err(|reason| format!("key \"{text}\" is {reason}"))
    }

    /// Returns a key as the command line takes it. Keys that are no UTF-8 stay as they are.
    pub(super) fn shown(&self, key: &Key) -> Vec<u8> {
        let mut shown = self.shown_part(key.primary()).into_owned();
        if self.has_secondary_keys() {
            let mut bytes = [0; 4];
            let separator = self.formats.key_separator.encode_utf8(&mut bytes);
            shown.extend_from_slice(separator.as_bytes());
            shown.extend_from_slice(&self.shown_part(key.secondary()));
        }
        shown
    }

    /// Returns the primary key as options take it.
    pub(super) fn shown_primary(&self, key: &Key) -> Vec<u8> {
        self.shown_part(key.primary()).into_owned()
    }

    /// Returns the secondary key as options take it.
    pub(super) fn shown_secondary(&self, key: &Key) -> Vec<u8> {
        self.shown_part(key.secondary()).into_owned()
    }

    fn shown_part<'k>(&self, part: &'k [u8]) -> Cow<'k, [u8]> {
        match self.formats.key_format {
            KeyFormat::Text => part.into(),
            KeyFormat::Padded => unpadded(part).into(),
            KeyFormat::Hex => value::to_hex(part).into_bytes().into(),
            KeyFormat::Base64 => BASE64_STANDARD.encode(part).into_bytes().into(),
        }
    }

    /// Adds the fields of a key: `primary`, and `secondary` in a table with secondary keys. One
    /// that is no text in the format is in Base64, in a field whose name ends with `_base64`.
    pub(super) fn put_fields(&self, key: &Key, fields: &mut Map<String, Value>) {
        let mut put = |name: &str, part: &[u8]| {
            let (name, value) = match std::str::from_utf8(&self.shown_part(part)) {
                Ok(text) => (name.to_owned(), text.to_owned()),
                Err(_) => (format!("{name}_base64"), BASE64_STANDARD.encode(part)),
            };
            fields.insert(name, value.into());
        };
        put("primary", key.primary());
        if self.has_secondary_keys() {
            put("secondary", key.secondary());
        }
    }

    /// Takes the fields of a key, as [`put_fields`](Self::put_fields) writes them.
    pub(super) fn take_fields(
        &self,
        fields: &mut Map<String, Value>,
    ) -> std::result::Result<Key, String> {
        let mut take = |name: &str, len: usize| {
            let read = |text: &str| self.fitting(name, text, len).map_err(|bad| bad.text);
            let part = match take_field(fields, name)? {
                Field::Plain(Value::String(text)) => read(&text),
                Field::Plain(_) => Err("it is not a string".to_owned()),
                Field::Base64(bytes) => check(name, bytes.len(), len).map(|()| bytes.into()),
            };
            part.map_err(|text| format!("field \"{name}\": {text}"))
        };
        let key = Key::new(take("primary", self.primary_len)?);
        if !self.has_secondary_keys() {
            return Ok(key);
        }
        Ok(key.with_secondary(take("secondary", self.secondary_len)?))
    }
}

impl ValueFormat {
    /// Reads a value from the command line or from a file.
    pub(super) fn value(self, bytes: Vec<u8>) -> Result<Bytes> {
        self.read(bytes).map_err(|text| Failure::usage(format_args!("the value is {text}")))
    }

    fn read(self, bytes: Vec<u8>) -> std::result::Result<Bytes, String> {
        let text = || std::str::from_utf8(bytes.trim_ascii());
        let value = match self {
            Self::Text => bytes,
            Self::Json => match serde_json::from_slice::<Value>(&bytes) {
                Ok(_) => bytes,
                Err(error) => return Err(format!("not JSON: {error}")),
            },
            Self::Hex => from_hex(text().map_err(|_| "not hexadecimal: it is not UTF-8")?)?,
            Self::Base64 => from_base64(text().map_err(|_| "not Base64: it is not UTF-8")?)?,
        };
        match value.len() {
            ..=MAX_VALUE_LEN => Ok(value.into()),
            len => Err(format!("{len} bytes long, {MAX_VALUE_LEN} are allowed")),
        }
    }

    /// Returns a value as a line of text has it. JSON has no white space between its parts, so
    /// that it is one line.
    pub(super) fn shown(self, value: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Text => value.into(),
            Self::Json => compact(value).into(),
            Self::Hex => value::to_hex(value).into_bytes().into(),
            Self::Base64 => BASE64_STANDARD.encode(value).into_bytes().into(),
        }
    }

    /// Adds the field `value`; a value that cannot be shown in the format is in Base64 in the field
    /// `value_base64`.
    pub(super) fn put_field(self, value: &[u8], nesting: Nesting, fields: &mut Map<String, Value>) {
        let shown = match self {
            Self::Text => std::str::from_utf8(value).ok().map(Value::from),
            Self::Json => nested(value, nesting),
            Self::Hex => Some(value::to_hex(value).into()),
            Self::Base64 => Some(BASE64_STANDARD.encode(value).into()),
        };
        match shown {
            Some(shown) => fields.insert("value".to_owned(), shown),
            None => fields.insert("value_base64".to_owned(), BASE64_STANDARD.encode(value).into()),
        };
    }

    /// Takes the value, as [`put_field`](Self::put_field) writes it.
    pub(super) fn take_field(
        self,
        fields: &mut Map<String, Value>,
    ) -> std::result::Result<Bytes, String> {
        let read = match (take_field(fields, "value")?, self) {
            (Field::Base64(bytes), _) => Self::Text.read(bytes),
            (Field::Plain(json), Self::Json) => Self::Text.read(json.to_string().into_bytes()),
            (Field::Plain(Value::String(text)), _) => self.read(text.into_bytes()),
            (Field::Plain(_), _) => Err("not a string; --value-format json stores JSON".to_owned()),
        };
        read.map_err(|text| format!("field \"value\": it is {text}"))
    }
}

/// A field of a JSON object.
enum Field {
    Plain(Value),
    Base64(Vec<u8>),
}

/// Takes the field `name`, or `name_base64`.
fn take_field(fields: &mut Map<String, Value>, name: &str) -> std::result::Result<Field, String> {
    let base64 = format!("{name}_base64");
    match (fields.shift_remove(name), fields.shift_remove(&base64)) {
        (Some(plain), None) => Ok(Field::Plain(plain)),
        (None, Some(Value::String(text))) => {
            let bytes = from_base64(&text);
            bytes.map(Field::Base64).map_err(|text| format!("field \"{base64}\": {text}"))
        }
        (None, Some(_)) => Err(format!("field \"{base64}\": it is not a string")),
        (None, None) => Err(format!("it has no field \"{name}\"")),
        (Some(_), Some(_)) => {
            Err(format!("it has both a field \"{name}\" and a field \"{base64}\""))
        }
    }
}

fn check(what: &str, has: usize, wanted: usize) -> std::result::Result<(), String> {
    if has == wanted {
        return Ok(());
    }
    Err(format!("a {what} key has {has} bytes, and those of the table have {wanted}"))
}

fn unpadded(part: &[u8]) -> &[u8] {
    let end = part.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    part.get(..end).unwrap_or_default()
}

fn from_hex(text: &str) -> std::result::Result<Vec<u8>, String> {
    value::from_hex(text).ok_or_else(|| {
        match text.char_indices().find(|(_, char)| !char.is_ascii_hexdigit()) {
            Some((at, char)) => format!("not hexadecimal: it has {char:?} at index {at}"),
            None => format!("not hexadecimal: it has {} digits, an odd number", text.len()),
        }
    })
}

fn from_base64(text: &str) -> std::result::Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| format!("not Base64: {error}"))
}

/// Returns a value as JSON to be nested; `None` if it is not JSON, or nesting it changes it.
fn nested(value: &[u8], nesting: Nesting) -> Option<Value> {
    let json: Value = serde_json::from_slice(value).ok()?;
    let written = json.to_string();
    let is_same = match nesting {
        Nesting::Exact => written.as_bytes() == value,
        Nesting::Same => written.as_bytes() == compact(value),
    };
    is_same.then_some(json)
}

/// Returns JSON without the white space between its parts.
fn compact(json: &[u8]) -> Vec<u8> {
    let (mut is_string, mut is_escaped) = (false, false);
    let mut kept = Vec::with_capacity(json.len());
    for byte in json {
        if is_string || !byte.is_ascii_whitespace() {
            kept.push(*byte);
        }
        if *byte == b'"' && !is_escaped {
            is_string = !is_string;
        }
        is_escaped = is_string && *byte == b'\\' && !is_escaped;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coder(format: KeyFormat) -> KeyCoder {
        KeyCoder::of_lens(format, 4, 2)
    }

    const FORMATS: [KeyFormat; 4] =
        [KeyFormat::Text, KeyFormat::Padded, KeyFormat::Hex, KeyFormat::Base64];

    #[test]
    fn a_key_is_read_in_each_format_and_shown_as_it_was_written() {
        for (format, written, primary, secondary) in [
            (KeyFormat::Text, "abcd:xy", &b"abcd"[..], &b"xy"[..]),
            (KeyFormat::Padded, "ab:x", b"ab\0\0", b"x\0"),
            (KeyFormat::Padded, ":", b"\0\0\0\0", b"\0\0"),
            (KeyFormat::Hex, "0001fe0a:00ff", b"\0\x01\xfe\x0a", b"\0\xff"),
            (KeyFormat::Base64, "AAH+Cg==:AP8=", b"\0\x01\xfe\x0a", b"\0\xff"),
        ] {
            let key = coder(format).key(written).unwrap();
            assert_eq!((&key.primary()[..], &key.secondary()[..]), (primary, secondary));
            assert_eq!(coder(format).shown(&key), written.as_bytes());
        }
        assert_eq!(coder(KeyFormat::Hex).key("0001FE0A:00FF").unwrap().primary()[2], 0xFE);
    }

    #[test]
    fn a_key_that_is_no_key_of_the_table_is_refused_with_the_reason() {
        let short = "a primary key has 3 bytes, and those of the table have 4";
        for (format, written, reason) in [
            (KeyFormat::Text, "abc:xy", short),
            (KeyFormat::Text, "abcde:xy", "has 5 bytes, and those of the table have 4"),
            (KeyFormat::Text, "abcd:x", "a secondary key has 1 bytes"),
            (KeyFormat::Text, "abcd", "write it as PRIMARY:SECONDARY"),
            (KeyFormat::Padded, "abcde:x", "has 5 bytes, and those of the table have 4"),
            (KeyFormat::Hex, "616263:7879", short),
            (KeyFormat::Hex, "6162636:7879", "it has 7 digits, an odd number"),
            (KeyFormat::Hex, "6162636g:7879", "it has 'g' at index 7"),
            (KeyFormat::Hex, "616263é:7879", "it has 'é' at index 6"),
            (KeyFormat::Base64, "YWJjZA:eHk=", "not Base64"),
        ] {
            let bad = coder(format).key(written).unwrap_err();
            assert!(bad.text.contains(reason), "{written}: {}", bad.text);
            let is_helped = format == KeyFormat::Text
                && bad.text.contains("bytes")
                && !written.contains("abcde");
            assert_eq!(bad.hint.is_some(), is_helped, "{written}");
        }
    }

    /// Bytes that are no text, text, JSON of several forms, and such that no one form has.
    const VALUES: &[&[u8]] = &[
        b"",
        b"text",
        b"\xff\0",
        b"7",
        b"\"abc\"",
        br#"{"b":1,"a":[1,2]}"#,
        b"{ \"b\": \"x  y\" }\n",
        b"12345678901234567890123",
        br#"{"a":1,"a":2}"#,
        br#""\u00e9\/""#,
        b"1.0",
        b"{",
    ];

    #[test]
    fn keys_and_values_of_any_bytes_are_the_same_after_they_were_fields() {
        let keys = [&b"abcd"[..], b"ab\0\0", b"\0\0\0\0", b"\0ab\0", b"\xff\xfe\0\0", b"a:\"\n"];
        for format in FORMATS {
            for primary in keys {
                let key = Key::new(primary).with_secondary(&b":\0"[..]);
                let mut fields = Map::new();
                coder(format).put_fields(&key, &mut fields);
                assert_eq!(coder(format).take_fields(&mut fields), Ok(key), "{format:?}");
                assert!(fields.is_empty());
            }
        }
        for format in [ValueFormat::Text, ValueFormat::Json, ValueFormat::Hex, ValueFormat::Base64]
        {
            for value in VALUES {
                let mut fields = Map::new();
                format.put_field(value, Nesting::Exact, &mut fields);
                let taken = format.take_field(&mut fields).unwrap();
                assert_eq!(&taken[..], *value, "{format:?}");
                assert!(fields.is_empty());
            }
        }
    }

    #[test]
    fn json_is_nested_unless_that_changes_more_than_white_space() {
        for (value, shown) in [
            (&b"{ \"b\" : \"x  y\" }\n"[..], Some(r#"{"b":"x  y"}"#)),
            (br#"["\" \\", 1 ]"#, Some(r#"["\" \\",1]"#)),
            (b"12345678901234567890123", None),
            (br#"{"a":1,"a":2}"#, None),
            (b"no JSON", None),
        ] {
            let nested = nested(value, Nesting::Same).map(|json| json.to_string());
            assert_eq!(nested.as_deref(), shown);
        }
        assert_eq!(nested(b"[1, 2]", Nesting::Exact), None);
    }

    #[test]
    fn a_value_that_is_not_of_its_format_or_too_long_is_refused_with_the_reason() {
        for (format, value, reason) in [
            (ValueFormat::Json, "{", "the value is not JSON"),
            (ValueFormat::Json, "", "the value is not JSON"),
            (ValueFormat::Hex, "abc", "it has 3 digits, an odd number"),
            (ValueFormat::Hex, "0x41", "it has 'x' at index 1"),
            (ValueFormat::Base64, "?", "the value is not Base64"),
        ] {
            let error = format.value(value.as_bytes().to_vec()).unwrap_err().to_string();
            assert!(error.contains(reason), "{value}: {error}");
        }
        assert!(ValueFormat::Text.value(vec![0; MAX_VALUE_LEN]).is_ok());
        let error = ValueFormat::Text.value(vec![0; MAX_VALUE_LEN + 1]).unwrap_err().to_string();
        assert_eq!(error, "the value is 1040385 bytes long, 1040384 are allowed");
        // A file ends with a line feed.
        assert_eq!(ValueFormat::Hex.value(b"4142\n".to_vec()).unwrap(), "AB");
    }
}
