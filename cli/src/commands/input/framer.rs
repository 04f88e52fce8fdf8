//! Cuts bytes into records: lines, or length-prefixed events. A pure machine: chunks of any length
//! go in, whole records come out as soon as their last byte is in.

use std::io::BufRead as _;

/// How the input is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Lines(LineEnds),
    /// Each event after its length, a big-endian `u32`.
    LengthPrefixed,
}

/// What belongs to the end of a line, and to the start of the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnds {
    /// A line ends with `\n` or `\r\n`; a byte-order mark before the first line is no part of it.
    Text,
    /// A line ends with `\n`, and every other byte belongs to it.
    Raw,
}

/// A whole line or event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) at: Place,
    pub(super) bytes: Vec<u8>,
}

/// Where a record is in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The number of the record; the first is 1.
    pub(crate) number: u64,
    /// The number of bytes up to the end of the record.
    pub(crate) end: u64,
}

/// A record that cannot be an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It is longer than the limit.
    TooLong(Place),
    /// The input ends in the middle of it.
    Cut(Place),
}

/// The byte-order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const PREFIX_LEN: usize = 4;

#[derive(Debug)]
pub(super) struct Framer {
    framing: Framing,
    /// Maximum length of a record; a line also has its end.
    limit: usize,
    /// The beginning of the record that is not yet whole.
    partial: Vec<u8>,
    state: State,
    /// The place of the last record.
    last: Place,
    /// The number of bytes that were taken.
    taken: u64,
}

/// What ended a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    ByLineBreak,
    ByInput,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a line, or in the length before an event.
    Start,
    /// In an event of that length.
    Event(usize),
    /// In a line that is too long, which was reported.
    Discarding,
    /// The length of an event was wrong, so nothing tells where the next one begins.
    Lost,
}

impl Framer {
    pub(super) fn new(framing: Framing, limit: usize) -> Self {
        Self {
            framing,
            limit,
            partial: Vec::new(),
            state: State::Start,
            last: Place::default(),
            taken: 0,
        }
    }

    /// Takes the bytes of the next record off `input`. Returns `None` if `input` is used up before
    /// the record is whole.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Option<Result<Record, Malformed>> {
        match self.framing {
            Framing::Lines(ends) => self.next_line(ends, input),
            Framing::LengthPrefixed => self.next_event(input),
        }
    }

    /// Ends the input. The last line needs no line break; an event that is not whole is malformed.
    pub(super) fn finish(&mut self) -> Option<Result<Record, Malformed>> {
        let is_empty = self.partial.is_empty();
        match (self.framing, self.state) {
            (_, State::Discarding | State::Lost) => None,
            (_, State::Start) if is_empty => None,
            (Framing::Lines(ends), _) => match self.line(ends, Ended::ByInput) {
                // A file that holds nothing but a byte-order mark has no line.
                Ok(line) if line.bytes.is_empty() => None,
                line => Some(line),
            },
            (Framing::LengthPrefixed, _) => Some(Err(Malformed::Cut(self.place()))),
        }
    }

    fn next_line(
        &mut self,
        ends: LineEnds,
        input: &mut &[u8],
    ) -> Option<Result<Record, Malformed>> {
        loop {
            let before = input.len();
            // Reading from a slice never fails.
            input.read_until(b'\n', &mut self.partial).ok()?;
            self.taken += (before - input.len()) as u64;
            let is_whole = self.partial.last() == Some(&b'\n');
            match (self.state, is_whole) {
                (State::Discarding, _) => {
                    self.partial.clear();
                    self.last.end = self.taken;
                    if !is_whole {
                        return None;
                    }
                    self.state = State::Start;
                }
                (_, true) => {
                    self.partial.pop();
                    return Some(self.line(ends, Ended::ByLineBreak));
                }
                // The line may begin with a byte-order mark, and a `\r` may be part of its end.
                (_, false) if self.partial.len() > self.longest_partial() => {
                    self.partial = Vec::new();
                    self.state = State::Discarding;
                    return Some(Err(Malformed::TooLong(self.place())));
                }
                (_, false) => return None,
            }
        }
    }

    /// The line in `partial`, without its `\n`.
    fn line(&mut self, ends: LineEnds, ended: Ended) -> Result<Record, Malformed> {
        let at = self.place();
        let mut bytes = std::mem::take(&mut self.partial);
        if ends == LineEnds::Text {
            if ended == Ended::ByLineBreak && bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
            if at.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
                bytes.drain(..BYTE_ORDER_MARK.len());
            }
        }
        match bytes.len() {
            len if len > self.limit => Err(Malformed::TooLong(at)),
            _ => Ok(Record { at, bytes }),
        }
    }

    fn next_event(&mut self, input: &mut &[u8]) -> Option<Result<Record, Malformed>> {
        if self.state == State::Start {
            let prefix = self.take(PREFIX_LEN, input)?;
            let len = prefix.iter().fold(0_u64, |len, byte| len << 8 | u64::from(*byte));
            match usize::try_from(len) {
                Ok(len) if len <= self.limit => self.state = State::Event(len),
                _ => {
                    self.state = State::Lost;
                    return Some(Err(Malformed::TooLong(self.place())));
                }
            }
        }
        let State::Event(len) = self.state else {
            *input = &[];
            return None;
        };
        let bytes = self.take(len, input)?;
        self.state = State::Start;
        Some(Ok(Record { at: self.place(), bytes }))
    }

    /// Takes `len` bytes off `input`, and keeps what there is of them if they are not all there.
    /// Memory grows with the bytes that arrive, not with the length that a prefix claims.
    fn take(&mut self, len: usize, input: &mut &[u8]) -> Option<Vec<u8>> {
        let missing = len.saturating_sub(self.partial.len());
        let (bytes, rest) = input.split_at_checked(missing).unwrap_or((*input, &[]));
        self.partial.extend_from_slice(bytes);
        self.taken += bytes.len() as u64;
        *input = rest;
        (self.partial.len() == len).then(|| std::mem::take(&mut self.partial))
    }

    /// The length up to which a line that is not whole may still be within the limit.
    fn longest_partial(&self) -> usize {
        self.limit.saturating_add(BYTE_ORDER_MARK.len() + 1)
    }

    /// Counts a record that ends here.
    fn place(&mut self) -> Place {
        self.last = Place { number: self.last.number + 1, end: self.taken };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the input in chunks of one length, and returns every record and its place.
    fn framed(framing: Framing, limit: usize, input: &[u8], chunk: usize) -> Vec<String> {
        let mut framer = Framer::new(framing, limit);
        let mut found = Vec::new();
        let mut show = |next: Result<Record, Malformed>| {
            found.push(match next {
                Ok(Record { at, bytes }) => {
                    format!("{}..{} {}", at.number, at.end, bytes.escape_ascii())
                }
                Err(Malformed::TooLong(at)) => format!("{} too long", at.number),
                Err(Malformed::Cut(at)) => format!("{} cut", at.number),
            });
        };
        for mut chunk in input.chunks(chunk) {
            while let Some(next) = framer.next(&mut chunk) {
                show(next);
            }
            assert!(chunk.is_empty(), "a chunk is used up");
        }
        if let Some(last) = framer.finish() {
            show(last);
        }
        found
    }

    /// The records are the same however the input is divided into chunks.
    #[track_caller]
    fn check(framing: Framing, limit: usize, input: &[u8], expected: &[&str]) {
        for chunk in 1..=input.len().max(1) {
            assert_eq!(framed(framing, limit, input, chunk), expected, "chunks of {chunk}");
        }
    }

    const TEXT: Framing = Framing::Lines(LineEnds::Text);
    const RAW: Framing = Framing::Lines(LineEnds::Raw);
    const PREFIXED: Framing = Framing::LengthPrefixed;

    #[test]
    fn a_line_is_whole_as_soon_as_its_line_break_is_in() {
        let mut framer = Framer::new(TEXT, 99);
        let mut chunk = &b"one\ntwo\nhalf"[..];
        let mut next = || framer.next(&mut chunk).map(|line| line.unwrap().bytes);
        assert_eq!(next().as_deref(), Some(&b"one"[..]));
        assert_eq!(next().as_deref(), Some(&b"two"[..]));
        assert_eq!(next(), None);
    }

    #[test]
    fn lines_end_with_a_line_break_which_the_last_one_does_not_need() {
        check(TEXT, 99, b"", &[]);
        check(TEXT, 99, b"a\n\nb", &["1..2 a", "2..3 ", "3..4 b"]);
        check(TEXT, 99, b"a\n", &["1..2 a"]);
        check(RAW, 99, b"a\n\nb", &["1..2 a", "2..3 ", "3..4 b"]);
    }

    #[test]
    fn a_carriage_return_before_a_line_break_belongs_to_it_unless_lines_are_raw() {
        check(TEXT, 99, b"a\r\n\r\nb\rc\r", &["1..3 a", "2..5 ", "3..9 b\\rc\\r"]);
        check(RAW, 99, b"a\r\n\r\nb\r", &["1..3 a\\r", "2..5 \\r", "3..7 b\\r"]);
    }

    #[test]
    fn a_byte_order_mark_is_removed_from_the_first_line_unless_lines_are_raw() {
        check(TEXT, 1, b"\xef\xbb\xbfa\r\n\xef\xbb\xbf\n", &["1..6 a", "2 too long"]);
        check(TEXT, 99, b"\xef\xbb\xbf", &[]);
        check(TEXT, 99, b"\xef\xbb\xbf\n", &["1..4 "]);
        check(RAW, 99, b"\xef\xbb\xbfa\n", &["1..5 \\xef\\xbb\\xbfa"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_the_next_one_is_found() {
        let input = b"abc\nabcd\nabcdefghijkl\nx\n";
        check(TEXT, 3, input, &["1..4 abc", "2 too long", "3 too long", "4..24 x"]);
        check(TEXT, 3, b"abcdefghijkl", &["1 too long"]);
        check(TEXT, 3, b"abcd", &["1 too long"]);
    }

    #[test]
    fn an_event_is_as_long_as_its_prefix_says() {
        check(PREFIXED, 99, b"", &[]);
        check(PREFIXED, 99, b"\0\0\0\x03a\nb\0\0\0\0", &["1..7 a\\nb", "2..11 "]);
        check(PREFIXED, 99, b"\0\0\0\x01a\0\0\0\x05ab", &["1..5 a", "2 cut"]);
        check(PREFIXED, 99, b"\0\0", &["1 cut"]);
    }

    #[test]
    fn nothing_after_an_event_that_is_too_long_is_an_event() {
        check(PREFIXED, 3, b"\0\0\0\x01a\xff\xff\xff\xff\0\0", &["1..5 a", "2 too long"]);
    }
}
