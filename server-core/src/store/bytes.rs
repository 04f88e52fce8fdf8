//! The bytes of a segment, in pieces of equal length.
//!
//! Appended bytes are copied once, into pieces. Long catch-up reads share full pieces, and
//! truncation drops them whole. The last piece grows with its content, so an empty segment costs
//! nothing.

use std::{collections::VecDeque, fmt};

use bytes::Bytes;

/// The length of a full piece, in bytes. Long enough for large reads, short enough that truncation
/// frees memory soon.
pub(super) const PIECE_LEN: usize = 256 * 1024;
/// Reads of at most this many bytes are copied: a share would keep the whole piece alive, even
/// after the segment has dropped it.
pub(super) const COPIED_LEN: usize = PIECE_LEN / 16;

/// The bytes of a segment from its start offset on.
#[derive(Default)]
pub(crate) struct SegmentBytes {
    /// Full pieces; the first begins at `first * PIECE_LEN`.
    full: VecDeque<Bytes>,
    first: u64,
    /// The bytes after the full pieces.
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

impl SegmentBytes {
    /// The first offset that can be read.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The offset after the last byte.
    pub(crate) fn len(&self) -> u64 {
        (self.first + self.full.len() as u64) * PIECE_LEN as u64 + self.tail.len() as u64
    }

    /// Memory that the bytes use, in bytes.
    pub(crate) fn held(&self) -> u64 {
        (self.full.len() * PIECE_LEN + self.tail.capacity()) as u64
    }

    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(PIECE_LEN - self.tail.len()));
            let needed = self.tail.len() + now.len();
            if needed > self.tail.capacity() {
                // Doubles, but never beyond a piece.
                let capacity = needed.max(self.tail.capacity() * 2).min(PIECE_LEN);
                self.tail.reserve_exact(capacity - self.tail.len());
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
        let (piece, at) =
            (offset / PIECE_LEN as u64 - self.first, (offset % PIECE_LEN as u64) as usize);
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
        while !self.full.is_empty() && self.start >= (self.first + 1) * PIECE_LEN as u64 {
            self.full.pop_front();
            self.first += 1;
        }
        if self.start == self.len() && self.full.is_empty() && !self.tail.is_empty() {
            // No byte is left to read. The tail keeps its bytes, as they count for the length.
            self.tail.shrink_to_fit();
        }
    }

    /// No bytes yet, beginning at `start`, for a segment that is read back.
    pub(crate) fn starting_at(start: u64) -> Self {
        let first = start / PIECE_LEN as u64;
        Self {
            first,
            start,
            tail: vec![0; (start % PIECE_LEN as u64) as usize],
            full: VecDeque::new(),
        }
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

    proptest! {
        #[test]
        fn what_is_read_is_what_was_appended(
            parts in prop::collection::vec((any::<u8>(), 0_usize..PIECE_LEN), 1..8),
            cut in 0.0..1.0_f64,
            start in 0_u64..600_000,
        ) {
            let mut model = vec![];
            let mut bytes = SegmentBytes::starting_at(start);
            for (byte, len) in parts {
                model.extend(std::iter::repeat_n(byte, len));
                bytes.append(&vec![byte; len]);
            }
            prop_assert_eq!(bytes.len(), start + model.len() as u64);
            prop_assert_eq!(&all(&bytes), &model);
            let cut = (model.len() as f64 * cut) as u64;
            bytes.truncate(start + cut);
            prop_assert_eq!(bytes.start(), start + cut);
            prop_assert_eq!(all(&bytes), &model[cut as usize..]);
        }
    }
}
