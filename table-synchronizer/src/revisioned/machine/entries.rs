//! Takes the entries off the bytes of a segment, and decides what is not an entry.
//!
//! ```text
//! read engine ── pieces of bytes ──▶ parser ── entries ──▶ caller
//!                 truncation, end, errors ──────────────▶ the last result
//! ```
//!
//! A reading has one last result, after which nothing follows: the end of the range, or an error.
//! An entry that goes beyond the end of a range is damage, as entries are appended as a whole. So
//! is one that is longer than its segment, which a reading without an end asks for.

use std::sync::Arc;

use bytes::Bytes;
use pravega_sdk_segment_client::{
    error::ReadError,
    machine::Random,
    read::{
        machine::{Delivery, Driven, ReadMachine, ReaderId, Settings, StartOffset},
        parser::{EventParser, Parsed},
    },
};
use pravega_sdk_types::{Offset, ScopedSegment};

/// The longest entry that is read: as long as a command of the protocol can be.
const MAX_READ_LEN: usize = 0x00FF_FFFF;

/// A result of reading.
#[derive(Debug)]
pub(crate) enum Found {
    /// An entry.
    Entry {
        /// The offset of its header.
        start: Offset,
        /// The offset after it.
        end: Offset,
        value: Bytes,
    },
    /// The end of the range, or of a sealed segment. Nothing follows.
    End,
    /// The bytes from `asked` to `head` are truncated. Nothing follows.
    Truncated { asked: Offset, head: Offset },
    /// The bytes at `offset` are not an entry. Nothing follows.
    Corrupt { offset: Offset, detail: String },
    /// The segment does not exist, or is another one of the same name. Nothing follows.
    Missing(&'static str),
    /// The segment cannot be read. Nothing follows.
    Unreadable(ReadError),
}

/// Reads the entries of one segment from an offset on, where an entry begins.
#[derive(Debug)]
pub(crate) struct EntriesMachine {
    reads: ReadMachine,
    reader: ReaderId,
    parser: EventParser,
    /// The parser may have an entry.
    has_piece: bool,
    /// The end of the range; `None` means that reading goes on at the end of the segment.
    end: Option<Offset>,
    is_done: bool,
}

impl EntriesMachine {
    /// Begins to read. The segment reaches up to `end`, if there is one; else it is asked for its
    /// length first.
    pub(crate) fn new(
        segment: &Arc<ScopedSegment>,
        from: Offset,
        end: Option<Offset>,
        settings: Settings,
        random: Random,
    ) -> Self {
        let mut reads = ReadMachine::new(settings, random);
        let start = match end {
            Some(_) => StartOffset::Known(from),
            None => StartOffset::Claimed(from),
        };
        let reader = reads.open(Arc::clone(segment), start, end);
        let parser = EventParser::new(from.0);
        Self { reads, reader, parser, has_piece: false, end, is_done: false }
    }

    /// Returns the next result. `None` means that there is none before the effects are carried out.
    pub(crate) fn poll_found(&mut self) -> Option<Found> {
        while !self.is_done {
            let found = if self.has_piece { self.next_of_piece() } else { self.next_delivery()? };
            match found {
                None => {}
                Some(entry @ Found::Entry { .. }) => return Some(entry),
                Some(last) => {
                    self.give_up();
                    return Some(last);
                }
            }
        }
        None
    }

    /// Returns true if nothing follows.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Ends the reading.
    pub(crate) fn give_up(&mut self) {
        self.is_done = true;
        self.reads.close(self.reader);
    }

    /// Takes an entry off the bytes that have arrived.
    fn next_of_piece(&mut self) -> Option<Found> {
        match self.parser.next(MAX_READ_LEN) {
            Parsed::Event { offset, event, released } => {
                self.reads.release(released);
                let (start, end) = (Offset(offset), Offset(self.parser.offset()));
                Some(Found::Entry { start, end, value: event })
            }
            Parsed::More { released, expected } => {
                self.reads.release(released);
                self.has_piece = false;
                let expected = Offset(expected?);
                match self.end {
                    Some(end) if expected > end => Some(self.corrupt(format!(
                        "an entry ends after {end}, which is between two entries or the end of the \
                         stream"
                    ))),
                    Some(_) => None,
                    None => {
                        self.reads.expect(self.reader, expected);
                        None
                    }
                }
            }
            Parsed::Corrupt { found, .. } => Some(self.corrupt(found.to_string())),
        }
    }

    /// Takes a delivery of the read engine; the outer `None` means that there is none.
    fn next_delivery(&mut self) -> Option<Option<Found>> {
        let (_, delivery) = self.reads.poll_delivery()?;
        Some(match delivery {
            Delivery::Data { data, .. } => {
                self.parser.push(data);
                self.has_piece = true;
                None
            }
            Delivery::Truncated { asked, head } => Some(Found::Truncated { asked, head }),
            Delivery::End { .. } if self.parser.held() > 0 => {
                Some(self.corrupt("the segment ends within an entry".to_owned()))
            }
            Delivery::End { .. } => Some(Found::End),
            Delivery::Missing => Some(Found::Missing("the stream was deleted")),
            Delivery::Short { .. } if self.parser.held() > 0 => {
                Some(self.corrupt("an entry claims to be longer than its segment".to_owned()))
            }
            Delivery::Short { .. } => Some(Found::Missing(
                "the segment is shorter than it was: it was deleted and created again",
            )),
            Delivery::Stalled(error) | Delivery::Failed(error) => Some(Found::Unreadable(error)),
        })
    }

    fn corrupt(&self, detail: String) -> Found {
        Found::Corrupt { offset: Offset(self.parser.offset()), detail }
    }
}

impl Driven for EntriesMachine {
    fn reads(&self) -> &ReadMachine {
        &self.reads
    }

    fn reads_mut(&mut self) -> &mut ReadMachine {
        &mut self.reads
    }
}

#[cfg(test)]
mod tests;
