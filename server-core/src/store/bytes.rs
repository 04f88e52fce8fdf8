//! The bytes of a segment, in pieces.
//!
//! Appended bytes are copied once, into pieces of equal length. Long catch-up reads share full
//! pieces, and truncation drops them whole. The last piece grows with its content, and truncation
//! cuts it, so an empty segment costs nothing. A merge takes over the pieces of a long source as
//! they are, so it takes no longer for more bytes.

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
    /// Pieces that no longer grow, one after the other.
    full: VecDeque<Piece>,
    /// The memory of all of them.
    full_held: u64,
    /// The offset of the first byte that is kept, at most `start`.
    first: u64,
    /// The bytes after the full pieces, fewer than a piece.
    tail: Vec<u8>,
    start: u64,
}

/// A piece that no longer grows.
struct Piece {
    /// The offset after its last byte.
    end: u64,
    bytes: Bytes,
    /// The memory that it uses: more than its bytes, if it is what a segment had when it was
    /// merged.
    held: u64,
}

/// What of a segment decides how much memory it uses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    full_held: u64,
    /// The length of the last piece.
    tail: u64,
}

impl Shape {
    pub(super) fn held(self) -> u64 {
        self.full_held.saturating_add(capacity_for(self.tail as usize) as u64)
    }

    /// The shape after an append.
    pub(super) fn with(self, more: u64) -> Self {
        let (piece, tail) = (PIECE_LEN as u64, self.tail.saturating_add(more));
        let full_held = self.full_held.saturating_add((tail / piece).saturating_mul(piece));
        Self { full_held, tail: tail % piece }
    }

    /// The shape after a merge.
    pub(super) fn with_merged(self, source: &SegmentBytes) -> Self {
        if source.is_short() {
            return self.with(source.len() - source.start);
        }
        let Shape { full_held, tail } = source.shape();
        Self { full_held: self.held().saturating_add(full_held), tail }
    }
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
        self.full.back().map_or(self.first, |piece| piece.end) + self.tail.len() as u64
    }

    pub(super) fn shape(&self) -> Shape {
        Shape { full_held: self.full_held, tail: self.tail.len() as u64 }
    }

    /// Memory that the bytes use, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.shape().held()
    }

    /// Returns true if a merge copies the bytes: there are few.
    fn is_short(&self) -> bool {
        self.len() - self.start <= PIECE_LEN as u64
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
                self.end_tail();
            }
            data = later;
        }
    }

    /// Makes the last piece one that no longer grows.
    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            let (end, held) = (self.len(), capacity_for(self.tail.len()) as u64);
            let bytes = std::mem::take(&mut self.tail).into();
            self.full.push_back(Piece { end, bytes, held });
            self.full_held += held;
        }
    }

    /// Adds the bytes of another segment at the end.
    pub(crate) fn merge(&mut self, source: Self) {
        if source.is_short() {
            source.pieces().for_each(|piece| self.append(&piece));
            return;
        }
        self.end_tail();
        let mut end = self.len();
        let mut dropped = (source.start - source.first) as usize;
        for piece in source.full {
            let bytes = piece.bytes.slice(std::mem::take(&mut dropped)..);
            end += bytes.len() as u64;
            self.full.push_back(Piece { end, bytes, held: piece.held });
        }
        self.full_held += source.full_held;
        self.tail = source.tail;
    }

    /// Up to `max_len` bytes at an offset, as many as one piece has; empty before the start and
    /// from the end on.
    pub(crate) fn read(&self, offset: u64, max_len: usize) -> Bytes {
        if offset < self.start || offset >= self.len() {
            return Bytes::new();
        }
        match self.full.get(self.full.partition_point(|piece| piece.end <= offset)) {
            Some(Piece { end, bytes, .. }) => {
                let at = bytes.len() - (end - offset) as usize;
                let part = bytes.slice(at..bytes.len().min(at.saturating_add(max_len)));
                if part.len() > COPIED_LEN { part } else { Bytes::copy_from_slice(&part) }
            }
            None => {
                let at = self.tail.len() - (self.len() - offset) as usize;
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
        while let Some(front) = self.full.front()
            && front.end <= self.start
        {
            (self.first, self.full_held) = (front.end, self.full_held - front.held);
            self.full.pop_front();
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
                let foretold = bytes.shape().with(len as u64).held();
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

        #[test]
        fn a_merge_keeps_every_byte_and_takes_the_memory_that_was_foretold(
            parts in prop::collection::vec((0_usize..3 * PIECE_LEN, 0.0..1.0_f64), 1..6),
            cut in 0.0..1.0_f64,
        ) {
            let (mut model, mut bytes) = (vec![], SegmentBytes::default());
            for (number, (len, cut)) in (1_u8..).zip(parts) {
                let mut source = SegmentBytes::default();
                source.append(&vec![number; len]);
                source.append(&[0]);
                source.truncate((len as f64 * cut) as u64);
                model.extend(all(&source));
                let foretold = bytes.shape().with_merged(&source).held();
                let was_short = source.is_short();
                bytes.merge(source);
                prop_assert_eq!(bytes.held(), foretold);
                prop_assert_eq!(bytes.len(), model.len() as u64);
                prop_assert!(all(&bytes) == model, "short: {}", was_short);
                // What follows is added to the last piece.
                bytes.append(b"more");
                model.extend(b"more");
            }
            let cut = (model.len() as f64 * cut) as usize;
            for offset in [0, cut / 2, cut, model.len() - 1] {
                let read = bytes.read(offset as u64, 1000);
                prop_assert!(!read.is_empty());
                prop_assert_eq!(&read[..], &model[offset..offset + read.len()]);
            }
            bytes.truncate(cut as u64);
            prop_assert!(all(&bytes) == model[cut..]);
            bytes.truncate(model.len() as u64);
            prop_assert_eq!((bytes.held(), bytes.len()), (0, model.len() as u64));
        }
    }

    #[test]
    fn a_merge_of_a_long_segment_copies_nothing() {
        let (mut target, mut source) = (SegmentBytes::default(), SegmentBytes::default());
        target.append(b"data");
        source.append(&vec![7; 4 * PIECE_LEN]);
        let pieces: Vec<_> = source.full.iter().map(|piece| piece.bytes.as_ptr()).collect();
        target.merge(source);
        let merged: Vec<_> = target.full.iter().map(|piece| piece.bytes.as_ptr()).collect();
        assert_eq!(merged[1..], pieces);
    }
}
