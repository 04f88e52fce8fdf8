//! The mark: how far the log was synced, in a file of its own.
//!
//! ```text
//! synced     two slots of 64 bytes, 512 apart
//! slot, 64   folder u128 │ file u64 │ length u64 │ sequence u64 │ 0 × 20 │ crc u32
//! ```
//!
//! A cut of the log at the end of a frame leaves frames that are whole; the mark shows that more
//! were synced. It is written from time to time, after acknowledgements, and not synced: after a
//! failure of the system it may be old, never ahead of the log.

use bytes::{Buf as _, BufMut as _};

use super::ids::{FileNumber, FolderId, Place};
use crate::record::Sequence;

/// The name of the file with the mark.
pub const MARK_NAME: &str = "synced";
/// The length of the file with the mark, in bytes.
pub const MARK_LEN: usize = SLOT_STRIDE + SLOT_LEN;

const SLOT_LEN: usize = 64;
/// So far apart that one torn write cannot damage both.
const SLOT_STRIDE: usize = 512;

/// The synced part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The folder that the mark belongs to.
    pub folder: FolderId,
    /// The end of the last synced frame.
    pub end: Place,
    /// The last batch in that frame.
    pub sequence: Sequence,
}

/// One of the two places for the mark in its file; they take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MarkSlot {
    /// At the start of the file.
    #[default]
    First,
    /// After it.
    Second,
}

impl MarkSlot {
    /// The offset of the slot in the file.
    #[must_use]
    pub fn at(self) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => SLOT_STRIDE as u64,
        }
    }

    /// The bytes of the slot in a file.
    fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        let start = usize::try_from(self.at()).ok()?;
        bytes.get(start..start + SLOT_LEN)
    }

    /// The slot of the next mark.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

impl Mark {
    /// The bytes of a slot.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT_LEN);
        out.put_u128(self.folder.0);
        out.put_u64(self.end.file.0);
        out.put_u64(self.end.at);
        out.put_u64(self.sequence.0);
        out.put_bytes(0, 20);
        out.put_u32(crc32fast::hash(&out));
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.get(..SLOT_LEN)?.split_at(SLOT_LEN - 4);
        // The checksum of zeros is not zero, so an empty slot is none.
        if crc != crc32fast::hash(body).to_be_bytes() {
            return None;
        }
        let mut rest = body;
        let folder = FolderId(rest.get_u128());
        let end = Place { file: FileNumber(rest.get_u64()), at: rest.get_u64() };
        Some(Self { folder, end, sequence: Sequence(rest.get_u64()) })
    }

    /// The newest mark in a file, with its slot; `None` if neither slot has one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<(Self, MarkSlot)> {
        let mark = |slot: MarkSlot| Some((Self::decode(slot.of(bytes)?)?, slot));
        let marks = [mark(MarkSlot::First), mark(MarkSlot::Second)];
        marks.into_iter().flatten().max_by_key(|(mark, _)| mark.end)
    }

    /// Returns true if a file has what was written to it only: marks, and zeros elsewhere.
    #[must_use]
    pub fn is_whole(bytes: &[u8]) -> bool {
        let is_zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let is_whole = |slot: MarkSlot| {
            slot.of(bytes).is_some_and(|slot| is_zeros(slot) || Self::decode(slot).is_some())
        };
        let between = bytes.get(SLOT_LEN..SLOT_STRIDE).is_some_and(is_zeros);
        let is_any = Self::read(bytes).is_some();
        let slots = is_whole(MarkSlot::First) && is_whole(MarkSlot::Second);
        bytes.len() == MARK_LEN && is_any && between && slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: u64) -> Mark {
        let end = Place { file: FileNumber(3), at };
        Mark { folder: FolderId(9), end, sequence: Sequence(at) }
    }

    fn file(first: Option<Mark>, second: Option<Mark>) -> Vec<u8> {
        let mut bytes = vec![0; MARK_LEN];
        for (slot, mark) in [(MarkSlot::First, first), (MarkSlot::Second, second)] {
            let at = slot.at() as usize;
            bytes[at..at + SLOT_LEN].copy_from_slice(&mark.map_or(vec![0; 64], |m| m.encode()));
        }
        bytes
    }

    #[test]
    fn the_newest_mark_is_read() {
        let (old, new) = (Some(mark(100)), Some(mark(200)));
        assert_eq!(Mark::read(&file(old, new)), Some((mark(200), MarkSlot::Second)));
        assert_eq!(Mark::read(&file(new, old)), Some((mark(200), MarkSlot::First)));
        assert_eq!(Mark::read(&file(None, old)), Some((mark(100), MarkSlot::Second)));
        assert_eq!(Mark::read(&file(None, None)), None);
        assert_eq!(Mark::read(&[]), None);
    }

    #[test]
    fn a_damaged_slot_is_not_read_and_the_other_is() {
        let bytes = file(Some(mark(100)), Some(mark(200)));
        for bit in 0..SLOT_LEN * 8 {
            let mut flipped = bytes.clone();
            flipped[512 + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::read(&flipped), Some((mark(100), MarkSlot::First)), "bit {bit}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_the_file_is_noticed() {
        for bytes in [file(Some(mark(100)), Some(mark(200))), file(Some(mark(100)), None)] {
            assert!(Mark::is_whole(&bytes));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(!Mark::is_whole(&flipped), "bit {bit}");
            }
            (0..MARK_LEN).for_each(|len| assert!(!Mark::is_whole(&bytes[..len]), "{len} bytes"));
        }
        assert!(!Mark::is_whole(&file(None, None)));
    }
}
