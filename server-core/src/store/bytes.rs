//! The bytes of a segment, in pieces of equal length.
//!
//! Appended bytes are copied once, into pieces. Long catch-up reads share full pieces, and
//! truncation drops them whole. The last piece grows with its content, and truncation cuts it, so
//! an empty segment costs nothing.

use std::{collections::VecDeque, fmt};

use bytes::Bytes;

/// The length of a full piece, in bytes. Long enough for large reads, short enough that truncation
/// frees memory soon.
pub(super) const PIECE_LEN: usize = 256 * 1024;
/// Reads of at most this many bytes are copied: a share would keep the whole piece alive, even
/// after the segment has dropped it.
pub(super) const COPIED_LEN: usize = PIECE_LEN / 16;
/// The least memory of the last piece, unless it is empty.
const MIN_CAPACITY: usize = 64;

/// The bytes of a segment from its start offset on.
#[derive(Default)]
pub(crate) struct SegmentBytes {
    /// Full pieces, one after the other.
    full: VecDeque<Bytes>,
    /// The offset of the first byte that is kept, at most `start`.
    first: u64,
    /// The bytes after the full pieces, fewer than a piece.
    tail: Vec<u8>,
    start: u64,
}

impl fmt::Debug for SegmentBytes {
    /// Shows the offsets, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, len) = (self.start, self.len());
        f.debug_struct("SegmentBytes").field("start", &start).field("len", &len).finish()
    }
}

/// Memory of the last piece when it has `len` bytes. It depends on nothing else, so that the memory
/// of an append is known before it.
fn capacity_for(len: usize) -> usize {
    if len == 0 { 0 } else { len.next_power_of_two().clamp(MIN_CAPACITY, PIECE_LEN) }
}

impl SegmentBytes {
    /// The first offset that can be read.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The offset after the last byte.
    pub(crate) fn len(&self) -> u64 {
        self.first + (self.full.len() * PIECE_LEN + self.tail.len()) as u64
    }

    /// Memory that the bytes use, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.held_with(0)
    }

    /// Memory that the bytes will use after an append of `more` bytes.
    pub(crate) fn held_with(&self, more: u64) -> u64 {
        let piece = PIECE_LEN as u64;
        let tail = (self.tail.len() as u64).saturating_add(more);
        let full = (self.full.len() as u64).saturating_add(tail / piece);
        full.saturating_mul(piece).saturating_add(capacity_for((tail % piece) as usize) as u64)
    }

    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(PIECE_LEN - self.tail.len()));
            let needed = self.tail.len() + now.len();
            if needed > self.tail.capacity() {
                self.tail.reserve_exact(capacity_for(needed) - self.tail.len());
            }
            self.tail.extend_from_slice(now);
            if self.tail.len() == PIECE_LEN {
                self.full.push_back(std::mem::take(&mut self.tail).into());
            }
            data = later;
        }
    }

    /// Up to `max_len` bytes at an offset, as many as one piece has; empty before the start and
    /// from the end on.
    pub(crate) fn read(&self, offset: u64, max_len: usize) -> Bytes {
        if offset < self.start || offset >= self.len() {
            return Bytes::new();
        }
        let kept = offset - self.first;
        let (piece, at) = (kept / PIECE_LEN as u64, (kept % PIECE_LEN as u64) as usize);
        match usize::try_from(piece).ok().and_then(|piece| self.full.get(piece)) {
            Some(piece) => {
                let end = piece.len().min(at.saturating_add(max_len));
                let part = piece.slice(at..end);
                if part.len() > COPIED_LEN { part } else { Bytes::copy_from_slice(&part) }
            }
            None => {
                let end = self.tail.len().min(at.saturating_add(max_len));
                Bytes::copy_from_slice(self.tail.get(at..end).unwrap_or_default())
            }
        }
    }

    /// All bytes, piece by piece.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut at = self.start;
        std::iter::from_fn(move || {
            let piece = self.read(at, PIECE_LEN);
            at += piece.len() as u64;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Drops the bytes before an offset between the start and the end.
    pub(crate) fn truncate(&mut self, offset: u64) {
        self.start = offset.clamp(self.start, self.len());
        while !self.full.is_empty() && self.start >= self.first + PIECE_LEN as u64 {
            self.full.pop_front();
            self.first += PIECE_LEN as u64;
        }
        if self.full.is_empty() {
            self.cut_tail();
        }
    }

    /// Gives the memory of dropped bytes of the last piece back, once they are half of it: fewer
    /// bytes are copied than were dropped.
    fn cut_tail(&mut self) {
        let dropped = (self.start - self.first) as usize;
        if dropped == 0 || dropped < self.tail.len() / 2 {
            return;
        }
        let kept = self.tail.get(dropped..).unwrap_or_default();
        let mut tail = Vec::new();
        tail.reserve_exact(capacity_for(kept.len()));
        tail.extend_from_slice(kept);
        (self.tail, self.first) = (tail, self.start);
    }

    /// No bytes yet, beginning at `start`, for a segment that is read back.
    pub(crate) fn starting_at(start: u64) -> Self {
        Self { first: start, start, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &SegmentBytes) -> Vec<u8> {
        bytes.pieces().flat_map(Vec::from).collect()
    }

    #[test]
    fn an_empty_segment_holds_no_memory() {
        assert_eq!(SegmentBytes::default().held(), 0);
        assert_eq!(SegmentBytes::starting_at(1_000_001).held(), 0);
    }

    #[test]
    fn memory_comes_back_as_the_segment_is_truncated() {
        let mut bytes = SegmentBytes::default();
        bytes.append(&vec![7; 5 * PIECE_LEN + 10]);
        bytes.truncate(4 * PIECE_LEN as u64 + 1);
        assert!(bytes.held() <= 2 * PIECE_LEN as u64, "{} bytes are held", bytes.held());
        assert_eq!(bytes.read(4 * PIECE_LEN as u64, 10), Bytes::new());
        assert_eq!(bytes.read(4 * PIECE_LEN as u64 + 1, 3), [7; 3][..]);
    }

    #[test]
    fn a_segment_that_is_truncated_to_its_end_holds_no_memory() {
        for len in [1, 100, 254_000, PIECE_LEN - 1, PIECE_LEN, PIECE_LEN + 1, 3 * PIECE_LEN] {
            let mut bytes = SegmentBytes::default();
            bytes.append(&vec![7; len]);
            bytes.truncate(len as u64);
            assert_eq!((bytes.held(), bytes.tail.capacity()), (0, 0), "{len}");
            bytes.append(b"more");
            assert_eq!((bytes.len(), all(&bytes)), (len as u64 + 4, b"more".to_vec()));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_appended_and_the_memory_is_what_was_foretold(
            parts in prop::collection::vec((any::<u8>(), 0_usize..PIECE_LEN, 0.0..1.0_f64), 1..8),
            start in 0_u64..600_000,
        ) {
            let (mut model, mut first) = (vec![], start);
            let mut bytes = SegmentBytes::starting_at(start);
            for (byte, len, cut) in parts {
                let foretold = bytes.held_with(len as u64);
                model.extend(std::iter::repeat_n(byte, len));
                bytes.append(&vec![byte; len]);
                prop_assert_eq!(bytes.held(), foretold);
                prop_assert!(bytes.tail.capacity() as u64 <= bytes.held());
                prop_assert_eq!(bytes.len(), first + model.len() as u64);
                prop_assert_eq!(&all(&bytes), &model);
                // Every second part is cut.
                let cut = if byte % 2 == 0 { (model.len() as f64 * cut) as usize } else { 0 };
                bytes.truncate(first + cut as u64);
                prop_assert!(bytes.held() <= foretold, "truncation takes memory");
                model.drain(..cut);
                first += cut as u64;
                prop_assert_eq!(bytes.start(), first);
                prop_assert_eq!(&all(&bytes), &model);
                prop_assert!(bytes.held() <= (2 * model.len() + PIECE_LEN + MIN_CAPACITY) as u64);
            }
        }
    }
}
