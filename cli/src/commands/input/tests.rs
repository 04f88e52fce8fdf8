//! Bytes and options go in, events come out.

use std::{
    collections::VecDeque,
    io::{self, Cursor, Read},
};

use clap::Parser;

use super::{
    reader::{MAX_BATCH, MAX_BATCH_BYTES, Message, Rules, read},
    *,
};

#[derive(Parser)]
struct Tool {
    #[command(flatten)]
    input: InputArguments,
}

fn rules(arguments: &[&str]) -> Rules {
    Tool::try_parse_from([&["tool"], arguments].concat()).unwrap().input.rules()
}

/// What the reader sends, message by message.
fn messages(arguments: &[&str], source: impl Read + Send + 'static) -> Vec<String> {
    let mut sent = Vec::new();
    read(Box::new(source), &rules(arguments), |message| {
        match message {
            Message::Events(events) => sent.extend(events.into_iter().map(|event| {
                let (key, event) = (event.key, event.payload.escape_ascii().to_string());
                key.map_or(event.clone(), |key| format!("{key} => {event}"))
            })),
            Message::Waiting => sent.push("…".to_owned()),
            Message::Bad(bad) => sent.push(format!("bad: {}", bad.text)),
            Message::Skipped(bad) => sent.push(format!("skipped: {}", bad.text)),
            Message::Unreadable(failure) => sent.push(failure.to_string()),
            Message::Note(text) => sent.push(text),
        }
        true
    });
    sent
}

/// The events of `input`, and what ends it.
#[track_caller]
fn check(arguments: &[&str], input: &[u8], expected: &[&str]) {
    let mut sent = messages(arguments, Cursor::new(input.to_vec()));
    sent.retain(|message| message != "…");
    assert_eq!(sent, expected);
}

/// A pipe into which another program writes these pieces, one after the other.
struct Pipe(VecDeque<&'static [u8]>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.0.pop_front().unwrap_or_default();
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

#[test]
fn every_whole_line_is_handed_over_before_more_input_is_waited_for() {
    let pipe = |pieces: &[&'static [u8]]| Pipe(pieces.iter().copied().collect());
    let sent = messages(&[], pipe(&[b"one\ntwo\nhalf", b" a line\n", b"x"]));
    assert_eq!(sent, ["…", "one", "two", "…", "half a line", "…", "…", "x"]);
    let sent = messages(&["--length-prefixed"], pipe(&[b"\0\0\0\x01a\0\0", b"\0\x02b", b"c"]));
    assert_eq!(sent, ["…", "a", "…", "…", "bc", "…"]);
}

#[test]
fn a_batch_is_bounded_in_events_and_in_bytes() {
    for (line, count) in [(1, 5000), (100_000, 20)] {
        let input = format!("{}\n", "x".repeat(line)).repeat(count).into_bytes();
        let (mut found, mut largest) = (0, 0);
        read(Box::new(Cursor::new(input)), &rules(&[]), |message| {
            if let Message::Events(events) = message {
                found += events.len();
                let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
                largest = largest.max(bytes);
                assert!(events.len() <= MAX_BATCH);
            }
            true
        });
        assert_eq!(found, count);
        assert!(largest < MAX_BATCH_BYTES + line);
    }
}

#[test]
fn reading_ends_when_the_events_are_no_longer_wanted() {
    let mut sent = 0;
    read(Box::new(io::repeat(b'\n')), &rules(&[]), |_| {
        sent += 1;
        sent < 5
    });
    assert_eq!(sent, 5);
}

#[test]
fn an_invalid_line_ends_the_input_after_the_events_before_it() {
    let arguments = ["--key-separator", ":"];
    let failure = "bad: line 2: no key separator ':' in this line";
    check(&arguments, b"ann:1\nbob\ncid:3\n", &["ann => 1", failure]);
    let failure = "bad: event 1: the input ends in the middle of the event";
    check(&["--length-prefixed"], b"\0\0\0\x05ab", &[failure]);
}

#[test]
fn invalid_lines_are_skipped_on_demand() {
    let arguments = ["--key-field", "k", "--skip-bad"];
    let input = b"{\"k\":1}\n[]\n{\"k\":2}\n{}";
    let expected = [
        "1 => {\\\"k\\\":1}",
        "skipped: line 2: it is an array, not a JSON object with fields",
        "2 => {\\\"k\\\":2}",
        "skipped: line 4: no field \"k\"",
    ];
    check(&arguments, input, &expected);
}

#[test]
fn events_over_the_limit_are_refused_and_the_key_does_not_count() {
    let failure = "bad: line 2 is longer than 3 bytes; raise the limit with --max-event-bytes";
    let arguments = ["--max-event-bytes", "3", "--key-separator", ":"];
    check(&arguments, b"customer:abc\nb:abcd\n", &["customer => abc", failure]);
    let arguments = ["--max-event-bytes", "3", "--key-separator", ":", "--keep-key"];
    check(&arguments, b"a:b\nb:cd\n", &["a => a:b", failure]);
    let failure = "bad: event 1 is longer than 3 bytes; raise the limit with --max-event-bytes";
    let arguments = ["--max-event-bytes", "3", "--length-prefixed"];
    check(&arguments, b"\xff\xff\xff\xff", &[failure]);
}

#[test]
fn text_is_read_as_text_unless_lines_are_raw() {
    let input = b"\xef\xbb\xbf{}\r\n[]\r\n";
    check(&["--json"], input, &["{}", "[]"]);
    check(&["--raw-lines"], input, &["\\xef\\xbb\\xbf{}\\r", "[]\\r"]);
    let input = b"\x1f\x8b\n";
    assert_eq!(messages(&[], Cursor::new(input.to_vec())).len(), 4, "with a warning");
    check(&["--raw-lines"], input, &["\\x1f\\x8b"]);
}

#[test]
fn a_size_is_written_with_or_without_its_unit() {
    assert_eq!(rules(&["--max-event-bytes", "30M"]).max_event_bytes, 30 << 20);
    assert_eq!(rules(&[]).max_event_bytes, MAX_EVENT_LEN);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let file = ["--file", "lines"];
    for arguments in [
        &["--key-separator", ":", "--key-field", "k"][..],
        &["--key-separator", ":", "--json"],
        &["--key-separator", ":", "--length-prefixed"],
        &["--key-field", "k", "--length-prefixed"],
        &["--json", "--length-prefixed"],
        &["--raw-lines", "--length-prefixed"],
        &["--skip-bad", "--length-prefixed"],
        &["--skip-bad", "--check"],
        &["--keep-key"],
        &["--keep-key", "--key-field", "k"],
    ] {
        let arguments = [&["tool"], &file[..], arguments].concat();
        assert!(Tool::try_parse_from(&arguments).is_err(), "{arguments:?}");
    }
    assert!(Tool::try_parse_from(["tool", "--check"]).is_err(), "stdin is read only once");
}
