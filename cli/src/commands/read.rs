//! `pravega read`

use std::{
    io::Write as _,
    str::FromStr,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pravega_sdk::{
    ClientFactory, ReadEvent, ReadFrom, ReadUntil, ReaderConfig,
    codec::Raw,
    types::{EventPointer, ScopedStream, StreamCut},
};

use super::error_text;
use crate::{
    failure::{Failure, Result},
    output::{Format, Output, Record},
    parse::duration,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/STREAM
    stream: ScopedStream,

    /// Where to begin: head, tail, the text of a stream cut, or an event as SEGMENT:OFFSET-LENGTH
    #[arg(long, value_name = "PLACE", default_value = "head")]
    from: Place,

    /// Begins with what was written so long ago, as the stream's watermarks tell, or else the age
    /// of its segments
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "from")]
    ago: Option<Duration>,

    /// Where to end: tail, which is where the stream ends now, or the text of a stream cut
    #[arg(long, value_name = "PLACE", default_value = "tail", conflicts_with = "follow")]
    until: Place,

    /// Waits for more at the end, until the stream is sealed
    #[arg(long, short)]
    follow: bool,

    /// Ends after this many events
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<u64>,

    /// What to write for each event, with {event}, {base64}, {size}, {key}, {segment}, {offset} and
    /// {pointer} in it
    #[arg(long, value_name = "TEXT", conflicts_with = "length_prefixed")]
    format: Option<Template>,

    /// A stream keeps no routing keys; {key} is what stands in the event in front of the first of
    /// these characters
    #[arg(long, value_name = "CHARACTER", default_value = ":", requires = "format")]
    key_separator: char,

    /// Writes each event behind its length, four bytes with the high one first, instead of a line
    #[arg(long)]
    length_prefixed: bool,

    /// Writes each event in Base64
    #[arg(long, conflicts_with_all = ["format", "length_prefixed"])]
    base64: bool,

    /// Ends by writing the stream cut behind the last event to standard error, to go on from there
    /// with --from
    #[arg(long)]
    show_cut: bool,
}

/// A place in a stream, as it is given on a command line.
#[derive(Debug, Clone)]
enum Place {
    Head,
    Tail,
    Cut(StreamCut),
    Event(EventPointer),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "head" => Ok(Self::Head),
            "tail" => Ok(Self::Tail),
            _ if text.contains(".#epoch.") => {
                text.parse().map(Self::Event).map_err(|error| error_text(&error))
            }
            _ => text.parse().map(Self::Cut).map_err(|error| error_text(&error)),
        }
    }
}

pub(crate) async fn run(
    arguments: Arguments,
    factory: &ClientFactory,
    output: &mut Output,
) -> Result<()> {
    let config = ReaderConfig::default().with_start(start(&arguments)?).with_end(end(&arguments)?);
    let mut reader = factory.stream_reader_with(&arguments.stream, Raw, config).await?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut text = Vec::new();
    let outcome = loop {
        if left == 0 {
            break Ok(());
        }
        let events =
            match reader.next_batch(usize::try_from(left).unwrap_or(BATCH).min(BATCH)).await {
                None => break Ok(()),
                Some(Err(error)) => break Err(error.into()),
                Some(Ok(events)) => events,
            };
        left -= events.len() as u64;
        for event in &events {
            put(event, &arguments, output.format(), &mut text);
        }
        // What is there is shown before more is waited for.
        output.raw(&text)?;
        text.clear();
        if arguments.follow {
            std::io::stdout().flush().ok();
        }
    };
    std::io::stdout().flush().ok();
    if arguments.show_cut {
        output.status(StreamCut::from(reader.stream_cut()).to_text());
    }
    outcome
}

const BATCH: usize = 4096;

fn start(arguments: &Arguments) -> Result<ReadFrom> {
    if let Some(ago) = arguments.ago {
        let since_1970 =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let then = since_1970.saturating_sub(ago);
        return Ok(ReadFrom::Time(i64::try_from(then.as_millis()).unwrap_or(i64::MAX)));
    }
    Ok(match &arguments.from {
        Place::Head | Place::Cut(StreamCut::Unbounded) => ReadFrom::Head,
        Place::Tail => ReadFrom::Tail,
        Place::Cut(StreamCut::At(cut)) => ReadFrom::Cut(cut.clone()),
        Place::Event(pointer) => ReadFrom::Event(pointer.clone()),
    })
}

fn end(arguments: &Arguments) -> Result<ReadUntil> {
    if arguments.follow {
        return Ok(ReadUntil::Sealed);
    }
    match &arguments.until {
        Place::Tail | Place::Cut(StreamCut::Unbounded) => Ok(ReadUntil::Tail),
        Place::Cut(StreamCut::At(cut)) => Ok(ReadUntil::Cut(cut.clone())),
        Place::Head | Place::Event(_) => {
            Err(Failure::usage("--until takes tail, or the text of a stream cut"))
        }
    }
}

fn put(event: &ReadEvent<Bytes>, arguments: &Arguments, format: Format, text: &mut Vec<u8>) {
    let payload = event.event();
    match (format, &arguments.format) {
        (Format::Text, Some(template)) => template.put(event, arguments.key_separator, text),
        (Format::Text, None) if arguments.length_prefixed => {
            // What a segment holds has a length that fits.
            text.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
            text.extend_from_slice(payload);
            return;
        }
        (Format::Text, None) if arguments.base64 => {
            text.extend_from_slice(BASE64_STANDARD.encode(payload).as_bytes())
        }
        (Format::Text, None) => text.extend_from_slice(payload),
        (Format::Json | Format::Table, _) => {
            serde_json::to_writer(&mut *text, &record(event, arguments.base64).into_json()).ok();
        }
    }
    text.push(b'\n');
}

/// An event with its place; as text if it is text.
fn record(event: &ReadEvent<Bytes>, is_base64: bool) -> Record {
    let segment = event.segment().id().to_string();
    let record = Record::new().with("segment", segment).with("offset", event.offset().0);
    match std::str::from_utf8(event.event()) {
        Ok(text) if !is_base64 => record.with("event", text),
        _ => record.with("event_base64", BASE64_STANDARD.encode(event.event())),
    }
}

/// What is written for an event: text with names in braces.
#[derive(Debug, Clone, PartialEq)]
struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Event,
    Base64,
    Key,
    Size,
    Segment,
    Offset,
    Pointer,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, from_brace)) = rest.split_once('{') {
            let (name, after) = from_brace.split_once('}').ok_or("a '{' without a '}'")?;
            if !before.is_empty() {
                parts.push(Part::Text(unescape(before)));
            }
            parts.push(match name {
                "event" => Part::Event,
                "base64" => Part::Base64,
                "key" => Part::Key,
                "size" => Part::Size,
                "segment" => Part::Segment,
                "offset" => Part::Offset,
                "pointer" => Part::Pointer,
                other => {
                    return Err(format!(
                        "{{{other}}} is not known; there are {{event}}, {{base64}}, {{key}}, {{size}}, {{segment}}, \
                         {{offset}} and {{pointer}}"
                    ));
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(unescape(rest)));
        }
        Ok(Self(parts))
    }
}

fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

impl Template {
    fn put(&self, event: &ReadEvent<Bytes>, separator: char, text: &mut Vec<u8>) {
        let payload = event.event();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.extend_from_slice(part.as_bytes()),
                Part::Event => text.extend_from_slice(payload),
                Part::Base64 => text.extend_from_slice(BASE64_STANDARD.encode(payload).as_bytes()),
                Part::Key => {
                    let mut bytes = [0; 4];
                    let separator = separator.encode_utf8(&mut bytes).as_bytes();
                    let end = payload
                        .windows(separator.len())
                        .position(|window| window == separator)
                        .unwrap_or(0);
                    text.extend_from_slice(payload.get(..end).unwrap_or_default());
                }
                Part::Size => text.extend_from_slice(payload.len().to_string().as_bytes()),
                Part::Segment => {
                    text.extend_from_slice(event.segment().id().to_string().as_bytes())
                }
                Part::Offset => text.extend_from_slice(event.offset().to_string().as_bytes()),
                Part::Pointer => {
                    let pointer =
                        event.pointer().map(|pointer| pointer.to_string()).unwrap_or_default();
                    text.extend_from_slice(pointer.as_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_text_with_names_in_braces() {
        let template: Template = "{key}\\t{offset} {event}".parse().unwrap();
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(template.0, [Part::Key, text("\t"), Part::Offset, text(" "), Part::Event]);
        assert!(
            "{nonsense}".parse::<Template>().unwrap_err().starts_with("{nonsense} is not known")
        );
        assert_eq!("{event".parse::<Template>().unwrap_err(), "a '{' without a '}'");
    }

    #[test]
    fn a_place_is_a_word_a_cut_or_an_event() {
        assert!(matches!("head".parse(), Ok(Place::Head)));
        assert!(matches!("UNBOUNDED".parse(), Ok(Place::Cut(StreamCut::Unbounded))));
        assert!(matches!("s/t/0.#epoch.0:8-16".parse(), Ok(Place::Event(_))));
        assert!("nonsense".parse::<Place>().is_err());
    }
}
