//! Parses the events of one segment, out of the pieces in which its bytes arrive.

use bytes::{Buf as _, Bytes, BytesMut};
use pravega_sdk_wire_protocol::event::{self, CorruptEvent, EVENT_HEADER_LEN};

/// Events of one segment, in order. An event that lies within a piece of bytes is a slice of it;
/// one that spans several is assembled, which is the only copy.
#[derive(Debug)]
pub struct EventParser {
    /// Where the next event begins.
    offset: i64,
    /// The beginning of the next event, from earlier pieces.
    begun: BytesMut,
    piece: Bytes,
    /// Bytes of the piece that were consumed and not yet released.
    taken: usize,
}

/// What the next bytes of a segment are.
#[derive(Debug)]
pub enum Parsed {
    /// The next event.
    Event {
        /// The offset of its header.
        offset: i64,
        /// Its payload.
        event: Bytes,
        /// Number of bytes that no longer count towards the budget.
        released: usize,
    },
    /// The next piece is needed. If an event has begun, the segment must extend to `expected`.
    More {
        /// Number of bytes that no longer count towards the budget.
        released: usize,
        /// The end of the event, or of its header if that is not complete.
        expected: Option<i64>,
    },
    /// The bytes are not a valid event.
    Corrupt {
        /// The offset of the bytes.
        offset: i64,
        /// What they are.
        found: CorruptEvent,
    },
}

const HEADER: i64 = EVENT_HEADER_LEN as i64;

impl EventParser {
    /// Creates a parser of the bytes from `offset` on, where an event begins.
    #[must_use]
    pub fn new(offset: i64) -> Self {
        Self { offset, begun: BytesMut::new(), piece: Bytes::new(), taken: 0 }
    }

    /// Returns the offset at which the next event begins.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Returns the number of bytes of the next event that have arrived.
    #[must_use]
    pub fn held(&self) -> usize {
        self.begun.len() + self.piece.len()
    }

    /// Drops its bytes, and continues at `offset`; returns the number of bytes that no longer count
    /// towards the budget.
    pub fn restart(&mut self, offset: i64) -> usize {
        let released = self.held() + self.taken;
        *self = Self::new(offset);
        released
    }

    /// Adds the following bytes. The previous piece must have been consumed.
    pub fn push(&mut self, piece: Bytes) {
        self.piece = piece;
    }

    /// Takes the next event, whose payload may have `max_len` bytes.
    pub fn next(&mut self, max_len: usize) -> Parsed {
        if !self.begun.is_empty() {
            return self.finish_begun(max_len);
        }
        let Some(len) =
            self.piece.get(..EVENT_HEADER_LEN).map(|header| event::parse_header(header, max_len))
        else {
            return self.begin(None);
        };
        let len = match len {
            Ok(len) => len,
            Err(found) => return Parsed::Corrupt { offset: self.offset, found },
        };
        if self.piece.len() - EVENT_HEADER_LEN < len {
            return self.begin(Some(len));
        }
        self.piece.advance(EVENT_HEADER_LEN);
        let event = self.piece.split_to(len);
        self.taken += EVENT_HEADER_LEN + len;
        // Bytes are released with the last byte of the piece, as its memory is.
        let released = if self.piece.is_empty() { std::mem::take(&mut self.taken) } else { 0 };
        self.found(event, released)
    }

    fn found(&mut self, event: Bytes, released: usize) -> Parsed {
        let offset = self.offset;
        self.offset += HEADER + event.len() as i64;
        Parsed::Event { offset, event, released }
    }

    /// Keeps the rest of the piece as the beginning of an event of that length.
    fn begin(&mut self, len: Option<usize>) -> Parsed {
        self.begun.extend_from_slice(&self.piece);
        self.piece = Bytes::new();
        let expected = match len {
            Some(len) => Some(self.offset + HEADER + len as i64),
            None if self.begun.is_empty() => None,
            None => Some(self.offset + HEADER),
        };
        Parsed::More { released: std::mem::take(&mut self.taken), expected }
    }

    fn finish_begun(&mut self, max_len: usize) -> Parsed {
        self.complete(EVENT_HEADER_LEN);
        let Some(len) =
            self.begun.get(..EVENT_HEADER_LEN).map(|header| event::parse_header(header, max_len))
        else {
            return Parsed::More { released: 0, expected: Some(self.offset + HEADER) };
        };
        let len = match len {
            Ok(len) => len,
            Err(found) => return Parsed::Corrupt { offset: self.offset, found },
        };
        self.complete(EVENT_HEADER_LEN + len);
        if self.begun.len() < EVENT_HEADER_LEN + len {
            return Parsed::More { released: 0, expected: Some(self.offset + HEADER + len as i64) };
        }
        let mut event = std::mem::take(&mut self.begun).freeze();
        event.advance(EVENT_HEADER_LEN);
        self.found(event, EVENT_HEADER_LEN + len)
    }

    /// Appends bytes of the piece to the beginning of the event, until it has `len` bytes.
    fn complete(&mut self, len: usize) {
        let missing = len.saturating_sub(self.begun.len()).min(self.piece.len());
        // Grows with what has arrived, never with what a header claims.
        self.begun.extend_from_slice(&self.piece.split_to(missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(events: &[&[u8]]) -> Vec<u8> {
        let mut block = BytesMut::new();
        for event in events {
            event::put(&mut block, event).unwrap();
        }
        block.to_vec()
    }

    /// Parses pieces one after the other; answers with the events, and checks that every byte is
    /// released once.
    fn parse(pieces: &[&[u8]]) -> Vec<(i64, Bytes)> {
        let mut parser = EventParser::new(100);
        let (mut found, mut pushed, mut released_bytes) = (Vec::new(), 0, 0);
        for piece in pieces {
            pushed += piece.len();
            parser.push(Bytes::copy_from_slice(piece));
            loop {
                match parser.next(1 << 20) {
                    Parsed::Event { offset, event, released } => {
                        released_bytes += released;
                        found.push((offset, event));
                    }
                    Parsed::More { released, .. } => {
                        released_bytes += released;
                        break;
                    }
                    Parsed::Corrupt { .. } => panic!("corrupt"),
                }
            }
            assert_eq!(pushed - released_bytes, parser.held());
        }
        found
    }

    #[test]
    fn events_are_found_wherever_pieces_end() {
        let events: [&[u8]; 4] = [b"first", b"", b"the third", b"4"];
        let whole = block(&events);
        for first in 0..=whole.len() {
            for second in first..=whole.len() {
                let found = parse(&[&whole[..first], &whole[first..second], &whole[second..]]);
                let found: Vec<_> =
                    found.iter().map(|(offset, event)| (*offset, &event[..])).collect();
                assert_eq!(
                    found,
                    [(100, &b"first"[..]), (113, b""), (121, b"the third"), (138, b"4")]
                );
            }
        }
    }

    #[test]
    fn an_event_within_a_piece_is_a_slice_of_it() {
        let piece = Bytes::from(block(&[b"abc", b"def"]));
        let mut parser = EventParser::new(0);
        parser.push(piece.clone());
        let Parsed::Event { event, released: 0, .. } = parser.next(10) else { panic!("no event") };
        assert_eq!(event.as_ptr(), piece[8..].as_ptr());
        let Parsed::Event { released, .. } = parser.next(10) else { panic!("no event") };
        assert_eq!(released, piece.len());
    }

    #[test]
    fn what_has_begun_says_how_far_the_segment_must_reach() {
        let mut parser = EventParser::new(10);
        let whole = block(&[b"abcdef"]);
        for (len, expected) in [(0, None), (3, Some(18)), (9, Some(24))] {
            parser.restart(10);
            parser.push(Bytes::copy_from_slice(&whole[..len]));
            let Parsed::More { expected: told, .. } = parser.next(10) else { panic!("an event") };
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn what_is_no_header_is_told_also_where_it_spans_pieces() {
        let bad = [0, 0, 0, 9, 0, 0, 0, 0];
        for cut in 0..8 {
            let mut parser = EventParser::new(0);
            let mut last = None;
            for piece in [&bad[..cut], &bad[cut..]] {
                parser.push(Bytes::copy_from_slice(piece));
                last = Some(parser.next(10));
            }
            assert!(matches!(
                last,
                Some(Parsed::Corrupt { offset: 0, found: CorruptEvent { code: 9, len: 0 } })
            ));
        }
        let mut parser = EventParser::new(0);
        parser.push(Bytes::from(block(&[b"eleven byte"])));
        assert!(matches!(parser.next(10), Parsed::Corrupt { .. }), "longer than allowed");
    }
}
