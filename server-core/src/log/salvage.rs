//! Reading what can be read of a damaged file: whole frames, and between them records.
//!
//! ```text
//! frame ──> frame ──> bytes that are no whole frame ──> the next frame
//!                       └─ records of segments' bytes in them, each with its own checksum
//! ```
//!
//! A frame is a commit: of one that is not whole no change counts, as it may be half of a call. But
//! bytes of a segment that are those written are so wherever they are. They are used if later
//! changes say that the segment has them.

use std::{fmt, mem, ops::Range};

use bytes::Bytes;

use super::{
    frame::{FRAME_HEAD_LEN, FrameHead, PlacedRecord, find_data, find_frame},
    head::{FileHead, HEAD_LEN},
    ids::SpanPlace,
    reading::{Found, READ_LEN, Reading},
};
use crate::record::Sequence;

/// The next step of reading a damaged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SalvageStep {
    /// Bytes of the file are needed, for [`FileSalvage::handle_read`].
    Read {
        /// The offset of the first.
        at: u64,
        /// Their number.
        len: u64,
    },
    /// A whole frame.
    Frame {
        /// The offset of the frame.
        at: u64,
        /// The last batch in it.
        sequence: Sequence,
        /// Its records, in order.
        records: Vec<PlacedRecord>,
    },
    /// Bytes that are no frame.
    Damage {
        /// Their offsets. The next damage may follow at once.
        range: Range<u64>,
        /// The bytes of segments that can be read there.
        spans: Vec<SpanPlace>,
    },
    /// The file was read up to an offset, after which nothing was written.
    Done {
        /// The offset.
        end: u64,
    },
}

enum State {
    Frames,
    /// The next frame is looked for from an offset on; so far, all bytes were zeros or some not.
    Looking(u64, Rest),
    /// Records are looked for from an offset on, up to another.
    Damaged(Range<u64>),
}

/// What is after the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Zeros,
    Others,
}

/// The reading of one damaged file.
pub struct FileSalvage {
    reading: Reading,
    state: State,
    asked: u64,
    input: Option<Bytes>,
}

impl fmt::Debug for FileSalvage {
    /// Shows the place, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSalvage").field("reading", &self.reading).finish_non_exhaustive()
    }
}

impl FileSalvage {
    /// The reading of a file with a head and a length.
    #[must_use]
    pub fn new(head: FileHead, len: u64) -> Self {
        let at = len.min(HEAD_LEN as u64);
        let reading = Reading { head, len, at, buffer: Bytes::new(), buffer_at: at };
        Self { reading, state: State::Frames, asked: at, input: None }
    }

    /// Continues with the bytes of the last [`SalvageStep::Read`]. What cannot be read is zeros.
    pub fn handle_read(&mut self, bytes: Bytes) {
        self.input = Some(bytes);
    }

    /// The next step.
    pub fn poll(&mut self) -> SalvageStep {
        loop {
            let step = match mem::replace(&mut self.state, State::Frames) {
                State::Frames => self.frame(),
                State::Looking(from, rest) => self.look(from, rest),
                State::Damaged(range) => Some(self.scan(range)),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Asks for bytes, as many as there are up to a number.
    fn read(&mut self, at: u64, len: u64) -> SalvageStep {
        self.asked = at;
        SalvageStep::Read { at, len: len.min(self.reading.len.saturating_sub(at)) }
    }

    fn frame(&mut self) -> Option<SalvageStep> {
        if let Some(bytes) = self.input.take() {
            (self.reading.buffer, self.reading.buffer_at) = (bytes, self.asked);
        }
        let Reading { at, len, .. } = self.reading;
        if at >= len {
            return Some(SalvageStep::Done { end: at });
        }
        match self.reading.find() {
            Found::Frame(head, records) => {
                self.reading.at = at + head.frame_len();
                Some(SalvageStep::Frame { at, sequence: head.sequence, records })
            }
            Found::Needs(needed) => {
                let (place, len) = self.reading.read(at, needed);
                Some(self.read(place.at, len))
            }
            Found::NoFrame => {
                // Of a whole head, the frame's own length tells where the next one begins.
                let end = self.head_at(at).map(|head| len.min(at + head.frame_len()));
                self.state = match end {
                    Some(end) => State::Damaged(at..end),
                    None => State::Looking(at, Rest::Zeros),
                };
                None
            }
        }
    }

    fn head_at(&self, at: u64) -> Option<FrameHead> {
        let start = usize::try_from(at.checked_sub(self.reading.buffer_at)?).ok()?;
        let bytes = self.reading.buffer.get(start..)?;
        FrameHead::decode(bytes, self.reading.head.salt, at)
    }

    fn look(&mut self, from: u64, rest: Rest) -> Option<SalvageStep> {
        let Reading { at, len, .. } = self.reading;
        if from >= len {
            if rest == Rest::Zeros {
                return Some(SalvageStep::Done { end: at });
            }
            self.state = State::Damaged(at..len);
            return None;
        }
        let Some(bytes) = self.input.take().filter(|bytes| !bytes.is_empty()) else {
            self.state = State::Looking(from, rest);
            return Some(self.read(from, READ_LEN));
        };
        if let Some(found) = find_frame(&bytes, self.reading.head.salt, from) {
            self.state = State::Damaged(at..from + found as u64);
            return None;
        }
        let is_zeros = bytes.iter().all(|byte| *byte == 0);
        let rest = if is_zeros { rest } else { Rest::Others };
        let end = from + bytes.len() as u64;
        // The head of a frame may begin in these bytes and end in the next.
        let next = if end >= len { end } else { end.saturating_sub(FRAME_HEAD_LEN as u64 - 1) };
        self.state = State::Looking(next.max(from + 1), rest);
        None
    }

    fn scan(&mut self, range: Range<u64>) -> SalvageStep {
        let Some(bytes) = self.input.take() else {
            self.state = State::Damaged(range.clone());
            return self.read(range.start, 2 * READ_LEN);
        };
        let head = self.reading.head;
        let most = range.end.saturating_sub(range.start);
        let window = READ_LEN.min(most);
        let (found, scanned) = find_data(&bytes, head.salt, range.start, window, most);
        let spans = found.iter().filter_map(|placed| placed.span(head.number)).collect();
        let to = range.start + scanned.clamp(1, most.max(1));
        if to < range.end {
            self.state = State::Damaged(to..range.end);
        } else {
            self.reading.at = range.end;
        }
        SalvageStep::Damage { range: range.start..to, spans }
    }
}
