//! Reads the input: bytes to records, and records to events.

use std::io::{self, BufRead as _, BufReader, Read};

use pravega_sdk::event_stream::MAX_ROUTING_KEY_LEN;

use super::{
    event::{BadRecord, InputEvent},
    framer::{Framer, Framing, LineEnds, Malformed, Place, Record},
    key::KeySource,
    place::Unit,
    sniff,
};
use crate::failure::Failure;

pub(super) type Source = Box<dyn Read + Send>;

/// What the records of the input are, and which of them are events.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) framing: Framing,
    pub(super) key: KeySource,
    pub(super) max_event_bytes: usize,
    pub(super) skip_bad: bool,
    pub(super) limit: Limit,
}

/// What sets the limit of the length of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Limit {
    /// The option `--max-event-bytes`.
    #[default]
    Option,
    /// The command.
    Fixed,
}

/// What the reader found.
#[derive(Debug)]
pub(super) enum Message {
    /// Some events, at most [`MAX_BATCH`].
    Events(Vec<InputEvent>),
    /// All whole events that were read are handed over; the next read may take forever.
    Waiting,
    /// An invalid record, after which reading goes on.
    Skipped(BadRecord),
    /// An invalid record, with which reading ends.
    Bad(BadRecord),
    /// The input cannot be read any further.
    Unreadable(Failure),
    /// Something that the user may want to know.
    Note(String),
}

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;
/// Events per message at most.
pub(super) const MAX_BATCH: usize = 512;
pub(super) const MAX_BATCH_BYTES: usize = 256 * 1024;
/// What a separator may add to the length of a line.
const MAX_SEPARATOR_BYTES: usize = 4;

/// Reads the input to its end, or to the first invalid record, or until `send` returns false.
pub(super) fn read(source: Source, rules: &Rules, mut send: impl FnMut(Message) -> bool) {
    let mut framer = Framer::new(rules.framing, rules.max_record_bytes());
    let mut source = BufReader::with_capacity(CHUNK, source);
    let mut is_first = true;
    while send(Message::Waiting) {
        let chunk = match source.fill_buf() {
            Ok([]) => return rules.end(&mut framer, &mut send),
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let failure = Failure::other(format_args!("cannot read the input: {error}"));
                send(Message::Unreadable(failure));
                return;
            }
        };
        if std::mem::take(&mut is_first)
            && rules.framing == Framing::Lines(LineEnds::Text)
            && let Some(warning) = sniff::warning(chunk)
            && !send(Message::Note(warning))
        {
            return;
        }
        let len = chunk.len();
        if !rules.hand_over(chunk, &mut framer, &mut send) {
            return;
        }
        source.consume(len);
    }
}

impl Rules {
    /// The longest record that may be an event: a key does not count.
    fn max_record_bytes(&self) -> usize {
        let key = match self.key {
            KeySource::Before { keep: false, .. } => MAX_ROUTING_KEY_LEN + MAX_SEPARATOR_BYTES,
            _ => 0,
        };
        self.max_event_bytes.saturating_add(key)
    }

    /// Sends all events that are whole. Returns false if reading ends.
    fn hand_over(
        &self,
        mut chunk: &[u8],
        framer: &mut Framer,
        send: &mut impl FnMut(Message) -> bool,
    ) -> bool {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        loop {
            let event = framer.next(&mut chunk).map(|next| self.event(next));
            let bad = match event {
                Some(Ok(event)) => {
                    bytes += event.payload.len();
                    batch.push(event);
                    if batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
                        continue;
                    }
                    None
                }
                Some(Err(bad)) => Some(bad),
                None => return batch.is_empty() || send(Message::Events(batch)),
            };
            // Events before an invalid one are written.
            if !batch.is_empty() && !send(Message::Events(std::mem::take(&mut batch))) {
                return false;
            }
            bytes = 0;
            if let Some(bad) = bad
                && !self.report(bad, send)
            {
                return false;
            }
        }
    }

    /// Sends the event that the end of the input completes.
    fn end(&self, framer: &mut Framer, send: &mut impl FnMut(Message) -> bool) {
        match framer.finish().map(|last| self.event(last)) {
            Some(Ok(event)) => drop(send(Message::Events(vec![event]))),
            Some(Err(bad)) => drop(self.report(bad, send)),
            None => {}
        }
    }

    /// Returns false if reading ends.
    fn report(&self, bad: BadRecord, send: &mut impl FnMut(Message) -> bool) -> bool {
        if self.skip_bad {
            return send(Message::Skipped(bad));
        }
        send(Message::Bad(bad));
        false
    }

    fn event(&self, record: Result<Record, Malformed>) -> Result<InputEvent, BadRecord> {
        let unit = Unit::of(self.framing).name();
        let bad = |at, text: String| Err(BadRecord { at, text });
        let limit = self.max_event_bytes;
        let too_long = |at: Place| {
            let number = at.number;
            let advice = match self.limit {
                Limit::Option => "; raise the limit with --max-event-bytes",
                Limit::Fixed => "",
            };
            bad(at, format!("{unit} {number} is longer than {limit} bytes{advice}"))
        };
        let Record { at, bytes } = match record {
            Ok(record) => record,
            Err(Malformed::TooLong(at)) => return too_long(at),
            Err(Malformed::Cut(at)) => {
                let number = at.number;
                let text = format!("{unit} {number}: the input ends in the middle of the {unit}");
                return bad(at, text);
            }
        };
        match self.key.divide(bytes) {
            Ok((_, payload)) if payload.len() > limit => too_long(at),
            Ok((key, payload)) => Ok(InputEvent { at, key, payload }),
            Err(reason) => bad(at, format!("{unit} {}: {reason}", at.number)),
        }
    }
}
