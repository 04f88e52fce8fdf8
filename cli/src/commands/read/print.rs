//! The output of an event.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pravega_sdk::ReadEvent;
use serde_json::Value;

use super::arguments::Arguments;
use crate::output::{Format, Record};

/// Adds the output of an event to `text`.
pub(super) fn put(
    event: &ReadEvent<Bytes>,
    arguments: &Arguments,
    format: Format,
    text: &mut Vec<u8>,
) {
    let payload = event.event();
    match (format, &arguments.format) {
        (Format::Text, Some(template)) => template.render(event, arguments.key_separator(), text),
        (Format::Text, None) if arguments.length_prefixed => {
            // The length of a stored event fits in 32 bits.
            text.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
            text.extend_from_slice(payload);
            return;
        }
        (Format::Text, None) if arguments.base64 => {
            text.extend_from_slice(BASE64_STANDARD.encode(payload).as_bytes());
        }
        (Format::Text, None) => text.extend_from_slice(payload),
        (Format::Json | Format::Table, _) => {
            let nested = if arguments.json { as_json(payload) } else { None };
            let record = match nested {
                Some(_) => place(event),
                None => record(event, arguments.base64),
            };
            // A group may read several streams.
            let record = match arguments.membership.group {
                Some(_) => record.with("stream", event.segment().scoped_stream().to_string()),
                None => record,
            };
            serde_json::to_writer(&mut *text, &record.into_json()).ok();
            if let Some(json) = nested {
                put_nested(&json, text);
            }
        }
    }
    text.push(b'\n');
}

/// The position of an event.
fn place(event: &ReadEvent<Bytes>) -> Record {
    let segment = event.segment().id().to_string();
    let record = Record::new().with("segment", segment).with("offset", event.offset().0);
    record.with("pointer", event.pointer().map(|pointer| pointer.to_string()))
}

/// Returns the payload as JSON on one line, if it is JSON. Numbers keep all their digits.
fn as_json(payload: &[u8]) -> Option<String> {
    serde_json::from_slice::<Value>(payload).ok()?;
    // A string of JSON has no line break in it, so each is white space.
    std::str::from_utf8(payload).ok().map(|json| json.trim().replace(['\n', '\r'], " "))
}

/// Adds a field `event` with JSON to the object that `text` ends with.
fn put_nested(json: &str, text: &mut Vec<u8>) {
    if text.pop() == Some(b'}') {
        text.extend_from_slice(b",\"event\":");
        text.extend_from_slice(json.as_bytes());
        text.push(b'}');
    }
}

/// An event with its position; the payload as text if it is UTF-8, otherwise in Base64.
fn record(event: &ReadEvent<Bytes>, is_base64: bool) -> Record {
    let record = place(event);
    match std::str::from_utf8(event.event()) {
        Ok(text) if !is_base64 => record.with("event", text),
        _ => record.with("event_base64", BASE64_STANDARD.encode(event.event())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_nested_on_one_line_with_all_its_digits_and_other_text_is_not() {
        let nested = |payload: &str| {
            let mut text = br#"{"offset":0}"#.to_vec();
            put_nested(&as_json(payload.as_bytes())?, &mut text);
            Some(String::from_utf8(text).unwrap())
        };
        for (payload, expected) in [
            (r#"{"a":1}"#, r#"{"offset":0,"event":{"a":1}}"#),
            ("7\n", r#"{"offset":0,"event":7}"#),
            ("{\n\"a\":\r\n1}", r#"{"offset":0,"event":{ "a":  1}}"#),
            (
                "123456789012345678901234567890.5",
                r#"{"offset":0,"event":123456789012345678901234567890.5}"#,
            ),
        ] {
            let text = nested(payload).unwrap();
            assert_eq!(text, expected);
            assert!(serde_json::from_str::<Value>(&text).is_ok());
        }
        for payload in ["", "three apples", "{", "{} {}", "\"\u{7f}"] {
            assert_eq!(nested(payload), None, "{payload:?}");
        }
    }
}
