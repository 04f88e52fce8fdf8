//! The output of an event.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pravega_sdk::ReadEvent;

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
            let record = record(event, arguments.base64);
            // A group may read several streams.
            let record = match arguments.membership.group {
                Some(_) => record.with("stream", event.segment().scoped_stream().to_string()),
                None => record,
            };
            serde_json::to_writer(&mut *text, &record.into_json()).ok();
        }
    }
    text.push(b'\n');
}

/// An event with its position; the payload as text if it is UTF-8, otherwise in Base64.
fn record(event: &ReadEvent<Bytes>, is_base64: bool) -> Record {
    let segment = event.segment().id().to_string();
    let record = Record::new().with("segment", segment).with("offset", event.offset().0);
    let record = record.with("pointer", event.pointer().map(|pointer| pointer.to_string()));
    match std::str::from_utf8(event.event()) {
        Ok(text) if !is_base64 => record.with("event", text),
        _ => record.with("event_base64", BASE64_STANDARD.encode(event.event())),
    }
}
