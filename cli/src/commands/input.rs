//! Events from a file or stdin: one per line, or length-prefixed.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::PathBuf,
};

use pravega_sdk::{event_stream::MAX_ROUTING_KEY_LEN, wire_protocol::event::MAX_EVENT_LEN};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::failure::{Failure, Result};

/// The source of the events, and the part of each that is its routing key.
#[derive(Debug, clap::Args)]
pub(crate) struct InputArguments {
    /// File to read events from [default: stdin]
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Split each line at the first such character: the routing key is before it, the event after
    /// it. The key is not part of the event
    #[arg(long, value_name = "CHARACTER", conflicts_with_all = ["json", "length_prefixed"])]
    key_separator: Option<char>,

    /// Field of each JSON line that is its routing key; implies --json
    #[arg(long, value_name = "FIELD", conflicts_with = "length_prefixed")]
    key_field: Option<String>,

    /// Require every line to be JSON
    #[arg(long, conflicts_with = "length_prefixed")]
    json: bool,

    /// Read length-prefixed events (u32, big-endian) instead of lines
    #[arg(long)]
    length_prefixed: bool,

    /// Maximum length of an event in bytes; events over 8 MiB (8388608) are sent through a
    /// temporary segment
    #[arg(long, value_name = "BYTES", default_value_t = MAX_EVENT_LEN)]
    max_event_bytes: usize,
}

type Source = BufReader<Box<dyn std::io::Read + Send>>;

/// An event and its routing key.
#[derive(Debug)]
pub(crate) struct KeyedEvent {
    pub(crate) key: Option<String>,
    pub(crate) payload: Vec<u8>,
}

/// The parsed input.
#[derive(Debug)]
pub(crate) struct Input {
    /// Events in batches, up to the first invalid one.
    pub(crate) events: mpsc::Receiver<Result<Vec<KeyedEvent>>>,
    /// The length of the input in bytes, if it is a file.
    pub(crate) len: Option<u64>,
}

/// Events per batch at most; a batch is also handed over before each wait for more input.
const MAX_BATCH: usize = 512;
const MAX_BATCH_BYTES: usize = 256 * 1024;

impl InputArguments {
    /// The maximum length of an event, in bytes.
    pub(crate) fn max_event_bytes(&self) -> usize {
        self.max_event_bytes
    }

    /// Starts a thread that reads the events.
    pub(crate) fn start(self) -> Result<Input> {
        let (source, len) = open(&self)?;
        let (batches, events) = mpsc::channel(4);
        // The thread may block on a terminal or a pipe forever, so it is never joined.
        std::thread::spawn(move || read(source, &self, &batches));
        Ok(Input { events, len })
    }
}

fn open(arguments: &InputArguments) -> Result<(Source, Option<u64>)> {
    let Some(path) = &arguments.file else {
        return Ok((BufReader::new(Box::new(std::io::stdin())), None));
    };
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", path.display())));
    }
    let len = Some(metadata.len()).filter(|_| metadata.is_file());
    Ok((BufReader::with_capacity(256 * 1024, Box::new(file)), len))
}

/// Reads the input to its end, or to the first invalid event.
fn read(
    mut input: Source,
    arguments: &InputArguments,
    batches: &mpsc::Sender<Result<Vec<KeyedEvent>>>,
) {
    let mut number = 0_u64;
    let mut is_over = false;
    while !is_over {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut failure = None;
        while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            number += 1;
            let next = match arguments.length_prefixed {
                true => next_prefixed(&mut input, arguments, number),
                false => next_line(&mut input, arguments, number),
            };
            match next {
                Ok(Some(event)) => {
                    bytes += event.payload.len();
                    batch.push(event);
                }
                Ok(None) => is_over = true,
                Err(error) => {
                    is_over = true;
                    failure = Some(error);
                }
            }
            // An empty buffer may take forever to fill.
            if is_over || input.buffer().is_empty() {
                break;
            }
        }
        // Events before an invalid one are written.
        if batches.blocking_send(Ok(batch)).is_err() {
            return;
        }
        if let Some(failure) = failure {
            batches.blocking_send(Err(failure)).ok();
        }
    }
}

fn next_line(
    input: &mut Source,
    arguments: &InputArguments,
    number: u64,
) -> Result<Option<KeyedEvent>> {
    let mut line = Vec::new();
    let limit = arguments.max_event_bytes.saturating_add(MAX_KEY_BYTES) as u64;
    input
        .by_ref()
        .take(limit)
        .read_until(b'\n', &mut line)
        .map_err(|error| unreadable(number, &error))?;
    match line.last() {
        None => return Ok(None),
        Some(b'\n') => drop(line.pop()),
        // The last line of a file may have no line break.
        Some(_) if (line.len() as u64) < limit => {}
        Some(_) => return Err(too_long(number, arguments.max_event_bytes)),
    }
    let event = keyed(line, arguments, number)?;
    if event.payload.len() > arguments.max_event_bytes {
        return Err(too_long(number, arguments.max_event_bytes));
    }
    Ok(Some(event))
}

fn keyed(line: Vec<u8>, arguments: &InputArguments, number: u64) -> Result<KeyedEvent> {
    let wrong = |detail: &dyn std::fmt::Display| Failure::usage(format!("line {number}: {detail}"));
    if let Some(separator) = arguments.key_separator {
        let text = String::from_utf8(line)
            .map_err(|_| wrong(&"not UTF-8, so it cannot have a routing key"))?;
        let (key, event) = text
            .split_once(separator)
            .ok_or_else(|| wrong(&format_args!("no key separator {separator:?} in this line")))?;
        return Ok(KeyedEvent { key: Some(key.to_owned()), payload: event.as_bytes().to_vec() });
    }
    if arguments.json || arguments.key_field.is_some() {
        let value: Value = serde_json::from_slice(&line)
            .map_err(|error| wrong(&format_args!("not JSON: {error}")))?;
        if let Some(field) = &arguments.key_field {
            let key = match value.get(field) {
                Some(Value::String(key)) => key.clone(),
                Some(Value::Null) | None => {
                    return Err(wrong(&format_args!("no field {field:?}")));
                }
                Some(other) => other.to_string(),
            };
            return Ok(KeyedEvent { key: Some(key), payload: line });
        }
    }
    Ok(KeyedEvent { key: None, payload: line })
}

/// What a key and its separator may add to the length of a line.
const MAX_KEY_BYTES: usize = MAX_ROUTING_KEY_LEN + 8;

fn next_prefixed(
    input: &mut Source,
    arguments: &InputArguments,
    number: u64,
) -> Result<Option<KeyedEvent>> {
    let mut prefix = Vec::new();
    input.by_ref().take(4).read_to_end(&mut prefix).map_err(|error| unreadable(number, &error))?;
    let cut =
        || Failure::usage(format!("event {number}: the input ends in the middle of the event"));
    let len = match prefix[..] {
        [] => return Ok(None),
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        _ => return Err(cut()),
    };
    if len as usize > arguments.max_event_bytes {
        return Err(too_long(number, arguments.max_event_bytes));
    }
    // Memory grows with the data read, not with the length that the prefix claims.
    let mut payload = Vec::new();
    input
        .by_ref()
        .take(len.into())
        .read_to_end(&mut payload)
        .map_err(|error| unreadable(number, &error))?;
    if payload.len() < len as usize {
        return Err(cut());
    }
    Ok(Some(KeyedEvent { key: None, payload }))
}

fn unreadable(number: u64, error: &std::io::Error) -> Failure {
    Failure::other(format!("event {number}: cannot read the input: {error}"))
}

fn too_long(number: u64, limit: usize) -> Failure {
    Failure::usage(format!(
        "event {number} is longer than {limit} bytes; raise the limit with --max-event-bytes"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        input: InputArguments,
    }

    /// The events of `input`, with their keys, and the failure that ends it.
    fn events(arguments: &[&str], input: &[u8]) -> (Vec<(Option<String>, String)>, Option<String>) {
        let arguments = [&["tool"], arguments].concat();
        let arguments = Tool::try_parse_from(arguments).unwrap().input;
        let source: Source = BufReader::new(Box::new(Cursor::new(input.to_vec())));
        let (batches, mut received) = mpsc::channel(64);
        read(source, &arguments, &batches);
        drop(batches);
        let (mut events, mut failure) = (Vec::new(), None);
        while let Some(batch) = received.blocking_recv() {
            match batch {
                Ok(batch) => events.extend(batch.into_iter().map(|event| {
                    (event.key, String::from_utf8_lossy(&event.payload).into_owned())
                })),
                Err(error) => failure = Some(error.to_string()),
            }
        }
        (events, failure)
    }

    #[track_caller]
    fn check(arguments: &[&str], input: &[u8], expected: &[(&str, &str)], failure: Option<&str>) {
        let (found, failed) = events(arguments, input);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(key, event)| (key.as_deref().unwrap_or("-"), &event[..])).collect();
        assert_eq!(found, expected);
        assert_eq!(failed.as_deref(), failure);
    }

    #[test]
    fn each_line_is_an_event_and_the_last_one_needs_no_line_break() {
        check(&[], b"", &[], None);
        check(&[], b"a\n\nb", &[("-", "a"), ("-", ""), ("-", "b")], None);
        check(&[], b"a\n", &[("-", "a")], None);
    }

    #[test]
    fn a_key_separator_splits_a_line_at_its_first_occurrence() {
        let arguments = ["--key-separator", ":"];
        check(&arguments, b"ann:1:2\n:x\n", &[("ann", "1:2"), ("", "x")], None);
        let failure = "line 2: no key separator ':' in this line";
        check(&arguments, b"ann:1\nbob\ncid:3\n", &[("ann", "1")], Some(failure));
    }

    #[test]
    fn a_key_field_is_taken_from_json_which_stays_whole() {
        let arguments = ["--key-field", "id"];
        let lines = b"{\"id\":\"a\"}\n{\"id\":7}\n{}\n";
        let events = [("a", "{\"id\":\"a\"}"), ("7", "{\"id\":7}")];
        check(&arguments, lines, &events, Some("line 3: no field \"id\""));
    }

    #[test]
    fn json_lines_must_be_json() {
        let (found, failure) = events(&["--json"], b"[1]\nx\n");
        assert_eq!(found.len(), 1);
        assert!(failure.unwrap().starts_with("line 2: not JSON: "));
    }

    #[test]
    fn length_prefixed_events_may_hold_line_breaks_and_must_be_whole() {
        let arguments = ["--length-prefixed"];
        let input = b"\0\0\0\x03a\nb\0\0\0\0";
        check(&arguments, input, &[("-", "a\nb"), ("-", "")], None);
        let failure = "event 1: the input ends in the middle of the event";
        check(&arguments, b"\0\0\0\x05ab", &[], Some(failure));
        check(&arguments, b"\0\0", &[], Some(failure));
    }

    #[test]
    fn events_over_the_limit_are_refused_and_the_key_does_not_count() {
        let arguments = ["--max-event-bytes", "3", "--key-separator", ":"];
        let failure = "event 2 is longer than 3 bytes; raise the limit with --max-event-bytes";
        check(&arguments, b"customer:abc\nb:abcd\n", &[("customer", "abc")], Some(failure));
        let arguments = ["--max-event-bytes", "3", "--length-prefixed"];
        let failure = "event 1 is longer than 3 bytes; raise the limit with --max-event-bytes";
        check(&arguments, b"\xff\xff\xff\xff", &[], Some(failure));
    }
}
