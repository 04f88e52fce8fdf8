//! The bytes of a segment, in pieces.
//!
//! Appended bytes are copied once, into pieces of equal length. Long catch-up reads share full
//! pieces, and truncation drops them whole. The last piece grows with its content, and truncation
//! cuts it, so an empty segment costs nothing. A merge takes over the pieces of a long source as
//! they are, so it takes no longer for more bytes.
//!
//! Pieces that are durable elsewhere can be evicted: they leave gaps, which are filled again when
//! they are read.

use std::{collections::VecDeque, fmt, mem};

use bytes::Bytes;

use super::{
    gathered::Gathered,
    spares::{PIECE_LEN, Spares},
};
use crate::record::Sequence;

/// Reads of at most this many bytes are copied: a share would keep the whole piece alive, even
/// after the segment has dropped it.
pub(super) const COPIED_LEN: usize = PIECE_LEN / 16;
/// The least memory of the last piece, unless it is empty.
const MIN_CAPACITY: usize = 64;

/// The bytes of a segment from its start offset on.
#[derive(Default)]
pub(crate) struct SegmentBytes {
    /// Pieces that no longer grow, in order; between them, those that were evicted are missing.
    full: VecDeque<Piece>,
    /// The memory of all of them.
    full_held: u64,
    /// The offset of the first byte of the last piece.
    tail_at: u64,
    /// The last piece, which has fewer bytes than a full one.
    tail: Vec<u8>,
    /// Whether the last piece was read or appended to since it could have been evicted.
    tail_is_used: bool,
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
    /// The batch with the last change of it: until it is durable, the piece cannot be evicted.
    changed: Sequence,
    /// Whether it was read since it could have been evicted.
    is_used: bool,
}

impl Piece {
    fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }
}

/// Pieces that a segment no longer has.
#[derive(Debug, Default)]
pub(crate) struct Pieces(Vec<Piece>);

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Piece {
    /// Shows the place, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece").field("bytes", &(self.start()..self.end)).finish_non_exhaustive()
    }
}

/// What a segment has at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Bytes; none before the start and from the end on.
    Bytes(Bytes),
    /// The bytes up to another offset were evicted.
    Evicted {
        /// The next offset whose byte is in memory, or the end.
        to: u64,
    },
}

/// The result of a search for pieces that can be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Swept {
    /// The memory that was given back.
    pub(super) freed: u64,
    /// The number of pieces that were looked at.
    pub(super) looks: usize,
    /// The offset at which the search goes on; `None` after the last piece.
    pub(super) next: Option<u64>,
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
        let (full_held, tail) = (source.full_held, source.kept_tail().len() as u64);
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
        self.tail_at + self.tail.len() as u64
    }

    pub(super) fn shape(&self) -> Shape {
        Shape { full_held: self.full_held, tail: self.tail.len() as u64 }
    }

    /// Memory that the bytes use, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.shape().held()
    }

    /// Returns true if a merge copies the bytes: there are few, and all of them are in memory.
    fn is_short(&self) -> bool {
        self.len() - self.start <= PIECE_LEN as u64 && self.is_whole()
    }

    fn is_whole(&self) -> bool {
        let mut at = self.start;
        for piece in &self.full {
            if piece.start() > at {
                return false;
            }
            at = piece.end;
        }
        self.tail_at <= at
    }

    /// The bytes of the last piece that were not dropped.
    fn kept_tail(&self) -> &[u8] {
        let dropped = usize::try_from(self.start.saturating_sub(self.tail_at));
        dropped.ok().and_then(|dropped| self.tail.get(dropped..)).unwrap_or_default()
    }

    /// Adds bytes of a batch at the end.
    pub(super) fn append(&mut self, mut data: &[u8], changed: Sequence, spares: &Spares) {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(PIECE_LEN - self.tail.len()));
            let needed = self.tail.len() + now.len();
            if needed > self.tail.capacity() {
                match capacity_for(needed) {
                    PIECE_LEN => {
                        let shorter = mem::replace(&mut self.tail, spares.take());
                        self.tail.extend_from_slice(&shorter);
                    }
                    capacity => self.tail.reserve_exact(capacity - self.tail.len()),
                }
            }
            self.tail.extend_from_slice(now);
            self.tail_is_used = true;
            if self.tail.len() == PIECE_LEN {
                self.end_tail(changed, spares);
            }
            data = later;
        }
    }

    /// Makes the last piece one that no longer grows.
    fn end_tail(&mut self, changed: Sequence, spares: &Spares) {
        if !self.tail.is_empty() {
            let (end, held) = (self.len(), capacity_for(self.tail.len()) as u64);
            let bytes = spares.piece(mem::take(&mut self.tail));
            self.full.push_back(Piece { end, bytes, held, changed, is_used: true });
            self.full_held += held;
            self.tail_at = end;
        }
    }

    /// Adds the bytes of another segment at the end, in a batch.
    pub(super) fn merge(&mut self, source: Self, changed: Sequence, spares: &Spares) {
        if source.is_short() {
            source.pieces().for_each(|piece| self.append(&piece, changed, spares));
            return;
        }
        self.end_tail(changed, spares);
        let (end, start) = (self.len(), source.start);
        let place = |offset: u64| end + (offset.max(start) - start);
        let kept = source.kept_tail();
        if kept.len() < source.tail.len() {
            self.tail.reserve_exact(capacity_for(kept.len()));
            self.tail.extend_from_slice(kept);
        }
        let is_cut = source.tail_at < start;
        self.tail_at = place(source.tail_at);
        for piece in source.full {
            let dropped = start.saturating_sub(piece.start()) as usize;
            let (end, bytes) = (place(piece.end), piece.bytes.slice(dropped..));
            self.full.push_back(Piece { end, bytes, changed, ..piece });
        }
        self.full_held += source.full_held;
        if !is_cut {
            self.tail = source.tail;
        }
        self.tail_is_used = true;
    }

    /// Up to `max_len` bytes at an offset, as many as one piece has.
    pub(crate) fn read(&self, offset: u64, max_len: usize) -> Found {
        if offset < self.start || offset >= self.len() {
            return Found::Bytes(Bytes::new());
        }
        if let Some(at) = offset.checked_sub(self.tail_at) {
            let at = at as usize;
            let end = self.tail.len().min(at.saturating_add(max_len));
            let part = self.tail.get(at..end).unwrap_or_default();
            return Found::Bytes(Bytes::copy_from_slice(part));
        }
        match self.full.get(self.full.partition_point(|piece| piece.end <= offset)) {
            Some(piece) if piece.start() <= offset => {
                let (at, bytes) = ((offset - piece.start()) as usize, &piece.bytes);
                let part = bytes.slice(at..bytes.len().min(at.saturating_add(max_len)));
                let is_long = part.len() > COPIED_LEN;
                Found::Bytes(if is_long { part } else { Bytes::copy_from_slice(&part) })
            }
            Some(later) => Found::Evicted { to: later.start() },
            None => Found::Evicted { to: self.tail_at },
        }
    }

    /// The bytes at an offset of a segment of which none were evicted.
    pub(crate) fn read_whole(&self, offset: u64, max_len: usize) -> Bytes {
        match self.read(offset, max_len) {
            Found::Bytes(bytes) => bytes,
            Found::Evicted { .. } => Bytes::new(),
        }
    }

    /// Notes that the piece with an offset is used: others are evicted before it.
    pub(super) fn touch(&mut self, offset: u64) {
        if offset >= self.tail_at {
            self.tail_is_used = true;
            return;
        }
        let index = self.full.partition_point(|piece| piece.end <= offset);
        if let Some(piece) = self.full.get_mut(index) {
            piece.is_used = true;
        }
    }

    /// Gives back the memory of pieces from an offset on that are durable and were not used since
    /// the last search, until enough is freed or some were looked at. The last change of the
    /// segment is that of its last piece.
    pub(super) fn evict(
        &mut self,
        from: u64,
        durable: Sequence,
        changed: Sequence,
        (enough, looks): (u64, usize),
    ) -> Swept {
        let mut index = self.full.partition_point(|piece| piece.end <= from);
        let mut swept = Swept { freed: 0, looks: 0, next: None };
        while let Some(piece) = self.full.get_mut(index) {
            if swept.freed >= enough || swept.looks >= looks {
                swept.next = Some(piece.start().max(from));
                return swept;
            }
            swept.looks += 1;
            if mem::take(&mut piece.is_used) || piece.changed > durable {
                index += 1;
                continue;
            }
            swept.freed += piece.held;
            self.full_held -= piece.held;
            self.full.remove(index);
        }
        swept.looks += 1;
        if !mem::take(&mut self.tail_is_used) && changed <= durable {
            swept.freed += capacity_for(self.tail.len()) as u64;
            self.tail_at = self.len();
            self.tail = Vec::new();
        }
        swept
    }

    /// Fills the first gap that some bytes from an offset on belong in: those that were evicted.
    /// Others are left out.
    pub(super) fn fill(&mut self, at: u64, bytes: Gathered, spares: &Spares) {
        let mut from = at.max(self.start);
        let mut index = self.full.partition_point(|piece| piece.end <= from);
        while let Some(piece) = self.full.get(index)
            && piece.start() <= from
        {
            (from, index) = (piece.end, index + 1);
        }
        let gap = self.full.get(index).map_or(self.tail_at, Piece::start);
        let end = at.saturating_add(bytes.len()).min(gap);
        let mut start = at;
        for buffer in bytes.into_buffers() {
            let after = start.saturating_add(buffer.len() as u64);
            let part = start.max(from)..after.min(end);
            // Exactly the memory that counts, whatever the bytes are a part of. A buffer that has
            // no others is not copied, as clients wait meanwhile.
            let is_whole = part == (start..after) && buffer.len() == buffer.capacity();
            let bytes = match is_whole {
                true => spares.piece(buffer),
                false => {
                    let places = part.start.saturating_sub(start)..part.end.saturating_sub(start);
                    let part = buffer.get(places.start as usize..places.end as usize);
                    let copied = Bytes::copy_from_slice(part.unwrap_or_default());
                    drop(spares.piece(buffer));
                    copied
                }
            };
            start = after;
            if !bytes.is_empty() {
                let held = bytes.len() as u64;
                let (end, changed) = (part.end, Sequence::default());
                self.full.insert(index, Piece { end, bytes, held, changed, is_used: true });
                (self.full_held, index) = (self.full_held + held, index + 1);
            }
        }
    }

    /// Returns true if the byte before an offset is in memory: most likely it was read just now,
    /// and the segment is read in order.
    pub(super) fn is_read_in_order(&self, offset: u64) -> bool {
        let before = self.full.partition_point(|piece| piece.end < offset);
        offset > self.start && self.full.get(before).is_some_and(|piece| piece.start() < offset)
    }

    /// All bytes, piece by piece, of a segment of which none were evicted.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut at = self.start;
        std::iter::from_fn(move || {
            let piece = self.read_whole(at, PIECE_LEN);
            at += piece.len() as u64;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Drops the bytes before an offset between the start and the end.
    #[must_use = "to drop much takes long"]
    pub(crate) fn truncate(&mut self, offset: u64) -> Pieces {
        self.start = offset.clamp(self.start, self.len());
        let before = self.full.partition_point(|piece| piece.end <= self.start);
        let dropped: Vec<Piece> = self.full.drain(..before).collect();
        self.full_held -= dropped.iter().map(|piece| piece.held).sum::<u64>();
        if self.full.is_empty() {
            self.cut_tail();
        }
        Pieces(dropped)
    }

    /// Returns the number of pieces that no longer grow.
    pub(super) fn piece_count(&self) -> usize {
        self.full.len()
    }

    /// Gives the memory of dropped bytes of the last piece back, once they are half of it: fewer
    /// bytes are copied than were dropped.
    fn cut_tail(&mut self) {
        let dropped = self.start.saturating_sub(self.tail_at) as usize;
        if dropped == 0 || dropped < self.tail.len() / 2 {
            return;
        }
        let kept = self.tail.get(dropped..).unwrap_or_default();
        let mut tail = Vec::new();
        tail.reserve_exact(capacity_for(kept.len()));
        tail.extend_from_slice(kept);
        (self.tail, self.tail_at) = (tail, self.start);
    }

    /// The bytes of a segment from a start to an end, none of which is in memory.
    pub(super) fn evicted(start: u64, end: u64) -> Self {
        Self { tail_at: end, start, ..Self::default() }
    }

    /// No bytes yet, beginning at `start`, for a segment that is read back.
    pub(crate) fn starting_at(start: u64) -> Self {
        Self { tail_at: start, start, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Sequence = Sequence(7);

    fn append(bytes: &mut SegmentBytes, data: &[u8], changed: Sequence) {
        bytes.append(data, changed, &Spares::default());
    }

    /// Fills in bytes that were fetched from an offset on, of which more were asked for.
    fn fill(bytes: &mut SegmentBytes, at: u64, data: &[u8], more: u64) {
        let mut gathered = Gathered::new(data.len() as u64 + more, Spares::default());
        gathered.push(data);
        bytes.fill(at, gathered, &Spares::default());
    }

    fn all(bytes: &SegmentBytes) -> Vec<u8> {
        bytes.pieces().flat_map(Vec::from).collect()
    }

    #[test]
    fn a_long_range_that_is_filled_in_is_in_pieces_of_the_usual_length() {
        let len = 3 * PIECE_LEN + 10;
        let content: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
        let mut bytes = SegmentBytes::evicted(0, len as u64);
        fill(&mut bytes, 0, &content, 0);
        assert_eq!(bytes.held(), len as u64);
        let mut found = Vec::new();
        while found.len() < len {
            let piece = bytes.read_whole(found.len() as u64, usize::MAX);
            assert!((1..=PIECE_LEN).contains(&piece.len()), "{} bytes", piece.len());
            found.extend_from_slice(&piece);
        }
        assert!(found == content);
    }

    #[test]
    fn an_empty_segment_holds_no_memory() {
        assert_eq!(SegmentBytes::default().held(), 0);
        assert_eq!(SegmentBytes::starting_at(1_000_001).held(), 0);
    }

    #[test]
    fn memory_comes_back_as_the_segment_is_truncated() {
        let mut bytes = SegmentBytes::default();
        append(&mut bytes, &vec![7; 5 * PIECE_LEN + 10], NOW);
        drop(bytes.truncate(4 * PIECE_LEN as u64 + 1));
        assert!(bytes.held() <= 2 * PIECE_LEN as u64, "{} bytes are held", bytes.held());
        assert_eq!(bytes.read_whole(4 * PIECE_LEN as u64, 10), Bytes::new());
        assert_eq!(bytes.read_whole(4 * PIECE_LEN as u64 + 1, 3), [7; 3][..]);
    }

    #[test]
    fn a_segment_that_is_truncated_to_its_end_holds_no_memory() {
        for len in [1, 100, 254_000, PIECE_LEN - 1, PIECE_LEN, PIECE_LEN + 1, 3 * PIECE_LEN] {
            let mut bytes = SegmentBytes::default();
            append(&mut bytes, &vec![7; len], NOW);
            drop(bytes.truncate(len as u64));
            assert_eq!((bytes.held(), bytes.tail.capacity()), (0, 0), "{len}");
            append(&mut bytes, b"more", NOW);
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
                append(&mut bytes, &vec![byte; len], NOW);
                prop_assert_eq!(bytes.held(), foretold);
                prop_assert!(bytes.tail.capacity() as u64 <= bytes.held());
                prop_assert_eq!(bytes.len(), first + model.len() as u64);
                prop_assert_eq!(&all(&bytes), &model);
                // Every second part is cut.
                let cut = if byte % 2 == 0 { (model.len() as f64 * cut) as usize } else { 0 };
                drop(bytes.truncate(first + cut as u64));
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
                append(&mut source, &vec![number; len], NOW);
                append(&mut source, &[0], NOW);
                drop(source.truncate((len as f64 * cut) as u64));
                model.extend(all(&source));
                let foretold = bytes.shape().with_merged(&source).held();
                let was_short = source.is_short();
                bytes.merge(source, NOW, &Spares::default());
                prop_assert_eq!(bytes.held(), foretold);
                prop_assert_eq!(bytes.len(), model.len() as u64);
                prop_assert!(all(&bytes) == model, "short: {}", was_short);
                // What follows is added to the last piece.
                append(&mut bytes, b"more", NOW);
                model.extend(b"more");
            }
            let cut = (model.len() as f64 * cut) as usize;
            for offset in [0, cut / 2, cut, model.len() - 1] {
                let read = bytes.read_whole(offset as u64, 1000);
                prop_assert!(!read.is_empty());
                prop_assert_eq!(&read[..], &model[offset..offset + read.len()]);
            }
            drop(bytes.truncate(cut as u64));
            prop_assert!(all(&bytes) == model[cut..]);
            drop(bytes.truncate(model.len() as u64));
            prop_assert_eq!((bytes.held(), bytes.len()), (0, model.len() as u64));
        }
    }

    /// Reads everything, and fills each gap with a part of what was evicted.
    fn fetch_all(bytes: &mut SegmentBytes, model: &[u8], most: usize) -> Vec<u8> {
        let (mut read, mut at) = (Vec::new(), bytes.start());
        while at < bytes.len() {
            match bytes.read(at, PIECE_LEN) {
                Found::Bytes(found) => {
                    assert!(!found.is_empty());
                    read.extend_from_slice(&found);
                    at += found.len() as u64;
                }
                Found::Evicted { to } => {
                    assert!(at < to && to <= bytes.len());
                    // As a file may have it: with bytes before and after.
                    let from = at.saturating_sub(100) as usize;
                    let part = &model[from..model.len().min(from + 100 + most)];
                    fill(bytes, from as u64, part, at % 2 * 1000);
                    assert!(matches!(bytes.read(at, 1), Found::Bytes(_)), "{at}");
                }
            }
        }
        read
    }

    #[test]
    fn a_buffer_with_fewer_bytes_than_it_has_memory_for_is_not_kept() {
        let spares = Spares::default();
        spares.keep(2 * PIECE_LEN as u64);
        for len in [PIECE_LEN, 3] {
            let mut bytes = SegmentBytes::evicted(0, PIECE_LEN as u64);
            let mut gathered = Gathered::new(PIECE_LEN as u64, spares.clone());
            gathered.push(&vec![7; len]);
            bytes.fill(0, gathered, &spares);
            assert_eq!(bytes.held(), len as u64);
            // What the first one had, which was dropped.
            assert_eq!(spares.count(), usize::from(len < PIECE_LEN), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn what_was_evicted_is_a_gap_until_it_is_filled_and_all_else_is_as_before(
            parts in prop::collection::vec(
                (any::<u8>(), 1_usize..2 * PIECE_LEN, 0_u64..3 * PIECE_LEN as u64, 0..6_u8),
                1..8,
            ),
            most in 1000..2 * PIECE_LEN,
        ) {
            const OLD: Sequence = Sequence(3);
            let (mut model, mut bytes) = (vec![], SegmentBytes::starting_at(0));
            for (byte, len, from, work) in parts {
                let data: Vec<u8> = (0..len).map(|at| byte.wrapping_add(at as u8)).collect();
                let foretold = bytes.shape().with(len as u64).held();
                append(&mut bytes, &data, OLD);
                prop_assert_eq!(bytes.held(), foretold);
                model.extend(data);
                let before = bytes.held();
                match work {
                    0 => drop(bytes.truncate(from)),
                    1 => {
                        let start = bytes.start() as usize;
                        prop_assert!(fetch_all(&mut bytes, &model, most) == model[start..]);
                    }
                    2 => {
                        let mut source = SegmentBytes::default();
                        append(&mut source, &model, OLD);
                        source.evict(0, OLD, OLD, (u64::MAX, 10));
                        source.evict(0, OLD, OLD, (from, 10));
                        drop(source.truncate(from / 2));
                        let foretold = bytes.shape().with_merged(&source).held();
                        model.extend_from_within(source.start() as usize..source.len() as usize);
                        bytes.merge(source, OLD, &Spares::default());
                        prop_assert_eq!(bytes.held(), foretold);
                    }
                    // Once all is unused, and again.
                    _ => {
                        bytes.evict(from, OLD, OLD, (u64::MAX, 10));
                        let between = bytes.held();
                        let swept = bytes.evict(from, OLD, OLD, (u64::from(work) << 16, 10));
                        prop_assert_eq!(bytes.held() + swept.freed, between);
                        prop_assert!(between <= before);
                    }
                }
                prop_assert_eq!(bytes.len(), model.len() as u64);
                let held: usize = bytes.full.iter().map(|piece| piece.bytes.len()).sum();
                prop_assert!(held as u64 <= bytes.full_held);
                let counted: u64 = bytes.full.iter().map(|piece| piece.held).sum();
                prop_assert_eq!(counted, bytes.full_held);
            }
            let start = bytes.start() as usize;
            prop_assert!(fetch_all(&mut bytes, &model, most) == model[start..]);
        }
    }

    #[test]
    fn only_what_is_durable_and_unused_is_evicted() {
        let mut bytes = SegmentBytes::default();
        let piece = |number: u8| vec![number; PIECE_LEN];
        (1..=4).for_each(|number| append(&mut bytes, &piece(number), Sequence(u64::from(number))));
        append(&mut bytes, b"tail", Sequence(5));
        let all = (u64::MAX, 100);
        let present = |bytes: &SegmentBytes| -> Vec<u64> {
            bytes.full.iter().map(|piece| piece.changed.0).collect()
        };
        let swept = bytes.evict(0, Sequence(3), Sequence(5), all);
        assert_eq!((swept.freed, swept.next), (0, None), "all were used just now");
        bytes.touch(PIECE_LEN as u64 + 7);
        assert_eq!(bytes.evict(0, Sequence(3), Sequence(5), all).freed, 2 * PIECE_LEN as u64);
        assert_eq!(present(&bytes), [2, 4]);
        assert_eq!(bytes.read(0, 10), Found::Evicted { to: PIECE_LEN as u64 });
        assert_eq!(bytes.read(4 * PIECE_LEN as u64, 10), Found::Bytes(Bytes::from_static(b"tail")));
        assert_eq!(bytes.evict(0, Sequence(5), Sequence(5), all).looks, 3);
        assert_eq!((present(&bytes), bytes.held()), (vec![], 0));
        assert_eq!(bytes.read(4 * PIECE_LEN as u64, 10), Found::Evicted { to: bytes.len() });
        append(&mut bytes, b"more", Sequence(6));
        assert_eq!(bytes.read(bytes.len() - 4, 10), Found::Bytes(Bytes::from_static(b"more")));
    }

    #[test]
    fn a_merge_of_a_long_segment_copies_nothing() {
        let (mut target, mut source) = (SegmentBytes::default(), SegmentBytes::default());
        append(&mut target, b"data", NOW);
        append(&mut source, &vec![7; 4 * PIECE_LEN], NOW);
        let pieces: Vec<_> = source.full.iter().map(|piece| piece.bytes.as_ptr()).collect();
        target.merge(source, NOW, &Spares::default());
        let merged: Vec<_> = target.full.iter().map(|piece| piece.bytes.as_ptr()).collect();
        assert_eq!(merged[1..], pieces);
    }
}
