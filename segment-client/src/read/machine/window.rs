//! The part of a segment being read: reads in flight, and bytes that arrived.

use std::collections::VecDeque;

use bytes::Bytes;
use pravega_sdk_types::Offset;

use super::stretch::{Stretch, after, between};

/// The range of a segment from the next byte to deliver up to the last one asked for, in pieces
/// without gaps between them.
///
/// ```text
///   next                                      frontier
///    │ Arrived │ Asked(7) │ Open │ Asked(8) │   │ … not asked for
/// ```
///
/// A store may answer with fewer bytes than asked for; the missing ones are open and read again.
#[derive(Debug)]
pub(super) struct Window {
    next: Offset,
    pieces: VecDeque<Piece>,
}

#[derive(Debug, PartialEq)]
struct Piece {
    len: u64,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    /// A read with that number is in flight.
    Asked(u64),
    Open,
    Arrived(Bytes),
}

impl Window {
    pub(super) fn new(next: Offset) -> Self {
        Self { next, pieces: VecDeque::new() }
    }

    /// Returns the offset of the next byte to deliver.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// Returns the first offset that was not asked for.
    pub(super) fn frontier(&self) -> Offset {
        after(self.next, self.len())
    }

    /// Returns the number of bytes that wait to be delivered or have been asked for.
    pub(super) fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    /// Returns the first stretch that must be read again.
    pub(super) fn first_open(&self) -> Option<Stretch> {
        let mut offset = self.next;
        for piece in &self.pieces {
            if piece.state == State::Open {
                return Some(Stretch { offset, len: piece.len });
            }
            offset = after(offset, piece.len);
        }
        None
    }

    /// Returns true if a read is in flight.
    pub(super) fn is_asked(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.state, State::Asked(_)))
    }

    /// Notes a read of a stretch that is open, or begins at the frontier.
    pub(super) fn ask(&mut self, Stretch { offset, len }: Stretch, read: u64) {
        let mut at = self.next;
        for index in 0..self.pieces.len() {
            let Some(piece) = self.pieces.get_mut(index) else { return };
            if at == offset && piece.state == State::Open {
                let rest = piece.len.saturating_sub(len);
                piece.len = len.min(piece.len);
                piece.state = State::Asked(read);
                if rest > 0 {
                    self.pieces.insert(index + 1, Piece { len: rest, state: State::Open });
                }
                return;
            }
            at = after(at, piece.len);
        }
        self.pieces.push_back(Piece { len, state: State::Asked(read) });
    }

    /// Takes the bytes of a read, and returns how many of them belong to the window.
    pub(super) fn arrive(&mut self, read: u64, mut data: Bytes) -> usize {
        let Some(index) = self.position(read) else { return 0 };
        let is_last = index + 1 == self.pieces.len();
        let Some(piece) = self.pieces.get_mut(index) else { return 0 };
        // A store answers with 8 bytes where fewer were asked for.
        data.truncate(usize::try_from(piece.len).unwrap_or(usize::MAX));
        let arrived = data.len();
        let missing = piece.len.saturating_sub(arrived as u64);
        if arrived == 0 {
            piece.state = State::Open;
        } else {
            *piece = Piece { len: arrived as u64, state: State::Arrived(data) };
            if missing > 0 && !is_last {
                self.pieces.insert(index + 1, Piece { len: missing, state: State::Open });
            }
        }
        self.trim();
        arrived
    }

    /// Opens the stretch of a read that failed.
    pub(super) fn fail(&mut self, read: u64) {
        if let Some(piece) = self.position(read).and_then(|index| self.pieces.get_mut(index)) {
            piece.state = State::Open;
        }
        self.trim();
    }

    /// Drops everything from `end` on: the segment ends there.
    pub(super) fn cut_at(&mut self, end: Offset) {
        let mut offset = self.next;
        let mut kept = VecDeque::new();
        for piece in self.pieces.drain(..) {
            if after(offset, piece.len) > end && !matches!(piece.state, State::Arrived(_)) {
                let len = between(offset, end);
                if len > 0 {
                    kept.push_back(Piece { len, state: State::Open });
                }
                break;
            }
            offset = after(offset, piece.len);
            kept.push_back(piece);
        }
        self.pieces = kept;
        self.trim();
    }

    /// Takes the next bytes to deliver, if they have arrived.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        if !self.has_data() {
            return None;
        }
        let piece = self.pieces.pop_front()?;
        self.next = after(self.next, piece.len);
        match piece.state {
            State::Arrived(data) => Some(data),
            State::Asked(_) | State::Open => None,
        }
    }

    pub(super) fn has_data(&self) -> bool {
        self.pieces.front().is_some_and(|piece| matches!(piece.state, State::Arrived(_)))
    }

    /// Goes on at `offset`, which is after the next byte. Pieces after it are kept.
    pub(super) fn skip_to(&mut self, offset: Offset) {
        while self.next < offset
            && let Some(piece) = self.pieces.pop_front()
        {
            let end = after(self.next, piece.len);
            if end > offset {
                let state = match piece.state {
                    State::Arrived(mut data) => {
                        let skipped =
                            usize::try_from(between(self.next, offset)).unwrap_or(usize::MAX);
                        State::Arrived(data.split_off(skipped.min(data.len())))
                    }
                    State::Asked(_) | State::Open => State::Open,
                };
                self.pieces.push_front(Piece { len: between(offset, end), state });
                self.next = offset;
                return;
            }
            self.next = end;
        }
        self.next = self.next.max(offset);
        self.trim();
    }

    /// Returns the number of bytes that have arrived.
    pub(super) fn arrived(&self) -> usize {
        self.pieces
            .iter()
            .map(|piece| match &piece.state {
                State::Arrived(data) => data.len(),
                State::Asked(_) | State::Open => 0,
            })
            .sum()
    }

    fn position(&self, read: u64) -> Option<usize> {
        self.pieces.iter().position(|piece| piece.state == State::Asked(read))
    }

    /// Drops what is open at the far end, which moves the frontier back.
    fn trim(&mut self) {
        while self.pieces.back().is_some_and(|piece| piece.state == State::Open) {
            self.pieces.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(next: i64, asked: &[(i64, u64)]) -> Window {
        let mut window = Window::new(Offset(next));
        for (read, (offset, len)) in (1..).zip(asked) {
            window.ask(stretch(*offset, *len), read);
        }
        window
    }

    fn stretch(offset: i64, len: u64) -> Stretch {
        Stretch { offset: Offset(offset), len }
    }

    fn data(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn answers_are_delivered_in_the_order_of_the_segment() {
        let mut window = window(10, &[(10, 4), (14, 4)]);
        assert_eq!(window.arrive(2, data("efgh")), 4);
        assert_eq!(window.take(), None);
        assert_eq!(window.arrive(1, data("abcd")), 4);
        assert_eq!(window.take().unwrap(), "abcd");
        assert_eq!(window.take().unwrap(), "efgh");
        assert_eq!((window.next(), window.frontier()), (Offset(18), Offset(18)));
    }

    #[test]
    fn the_bytes_missing_from_a_short_answer_are_read_again() {
        let mut window = window(0, &[(0, 4), (4, 4)]);
        window.arrive(1, data("ab"));
        assert_eq!(window.first_open(), Some(stretch(2, 2)));
        window.ask(stretch(2, 1), 3);
        assert_eq!(window.first_open(), Some(stretch(3, 1)));
        window.arrive(3, data("c"));
        window.arrive(2, data("ef"));
        assert_eq!(
            window.frontier(),
            Offset(6),
            "a short answer at the far end moves the frontier back"
        );
        window.ask(stretch(3, 1), 4);
        window.arrive(4, data("d"));
        let all: Vec<Bytes> = std::iter::from_fn(|| window.take()).collect();
        assert_eq!(all.concat(), b"abcdef");
    }

    #[test]
    fn a_store_that_sends_more_than_was_asked_for_is_cut_short() {
        let mut window = window(0, &[(0, 3)]);
        assert_eq!(window.arrive(1, data("abcdefgh")), 3);
        assert_eq!(window.take().unwrap(), "abc");
    }

    #[test]
    fn a_failed_read_at_the_far_end_is_forgotten_and_one_before_it_is_open() {
        let mut window = window(0, &[(0, 4), (4, 4)]);
        window.fail(1);
        assert_eq!(window.first_open(), Some(stretch(0, 4)));
        window.fail(2);
        assert_eq!((window.first_open(), window.frontier()), (None, Offset(0)));
    }

    #[test]
    fn skipping_keeps_the_bytes_after_it() {
        let mut window = window(0, &[(0, 4), (4, 4)]);
        window.arrive(2, data("efgh"));
        window.skip_to(Offset(5));
        assert_eq!(window.take().unwrap(), "fgh");
        window.skip_to(Offset(100));
        assert_eq!((window.next(), window.frontier()), (Offset(100), Offset(100)));
        assert_eq!(window.arrive(1, data("late")), 0, "an answer for skipped bytes is dropped");
    }

    #[test]
    fn a_cut_drops_the_reads_after_it() {
        let mut window = window(0, &[(0, 4), (4, 4)]);
        window.arrive(1, data("abcd"));
        window.cut_at(Offset(6));
        assert_eq!(window.frontier(), Offset(4));
        assert!(!window.is_asked());
    }
}
