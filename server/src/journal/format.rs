//! The journal's files, byte by byte.
//!
//! ```text
//! journal-N      head │ frame │ frame │ …      N rises with each file, the highest one is valid
//! head, 24       "PRVGJRNL" │ version u32 │ salt u64 │ crc u32 of the bytes before it
//! frame, 28 + n  "PRVF" │ kind u32 │ length u32 │ sequence u64 │ crc u32 of the payload │
//!                crc u32 of the head before it and of the salt │ payload
//! mark           two slots of 32 bytes, 512 apart: journal's number u64 │ its length u64 │
//!                sequence u64 │ crc u32 │ 0 u32
//! ```
//!
//! Numbers are big-endian. A frame is whole, or torn at the end of the last file: it is synced
//! before the next one is written. The salt distinguishes the frames of a file from those of
//! another file that were stored as data. The mark has the length of the journal at its last sync,
//! so that a shortened file is detected.

#[cfg(test)]
use std::io;

use pravega_sdk_server_core::record::Sequence;

pub(super) const VERSION: u32 = 1;
pub(super) const HEAD_LEN: usize = 24;
pub(super) const FRAME_HEAD_LEN: usize = 28;
pub(super) const SLOT_LEN: usize = 32;
/// So far apart that one torn write cannot damage both.
pub(super) const SLOT_STRIDE: usize = 512;

const MAGIC: &[u8; 8] = b"PRVGJRNL";
const FRAME_MAGIC: &[u8; 4] = b"PRVF";

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Batches of records.
    Batches = 0,
    /// A part of the state of the server when the file was created.
    Snapshot = 1,
    /// The last part of that state.
    SnapshotEnd = 2,
    /// The server was shut down, not killed.
    Clean = 3,
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) kind: Kind,
    pub(super) len: usize,
    pub(super) sequence: Sequence,
    crc: u32,
}

/// The synced part of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) number: u64,
    pub(super) len: u64,
    pub(super) sequence: u64,
}

/// The salt of the file that follows one with a salt and a length.
pub(super) fn next_salt(salt: u64, len: u64) -> u64 {
    salt.rotate_left(7) ^ len ^ 0x9E37_79B9_7F4A_7C15
}

/// Returns true if a file with the salt `next` may follow one with a salt and a length: that was
/// as long or shorter when the next one was begun.
pub(super) fn may_follow(salt: u64, len: u64, next: u64) -> bool {
    // The same again gives the length.
    (HEAD_LEN as u64..=len).contains(&next_salt(salt, next))
}

/// An error from reading the head of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    Damaged,
    Version(u32),
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) fn head(salt: u64) -> Vec<u8> {
    let mut head = [MAGIC.as_slice(), &VERSION.to_be_bytes(), &salt.to_be_bytes()].concat();
    head.extend(crc32fast::hash(&head).to_be_bytes());
    head
}

/// Reads a head and returns the salt.
pub(super) fn read_head(bytes: &[u8]) -> Result<u64, BadHead> {
    let whole = bytes.get(..HEAD_LEN).ok_or(BadHead::Damaged)?;
    let (body, crc) = whole.split_at(HEAD_LEN - 4);
    if !body.starts_with(MAGIC) || u32_at(crc, 0) != Some(crc32fast::hash(body)) {
        return Err(BadHead::Damaged);
    }
    match u32_at(body, MAGIC.len()) {
        Some(VERSION) => u64_at(body, MAGIC.len() + 4).ok_or(BadHead::Damaged),
        Some(version) => Err(BadHead::Version(version)),
        None => Err(BadHead::Damaged),
    }
}

fn head_crc(head: &[u8], salt: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(&salt.to_be_bytes());
    crc.finalize()
}

/// A payload is longer than the head of a frame can tell.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are more than one write of the journal can have")]
pub(super) struct TooLong(usize);

#[cfg(test)]
impl From<TooLong> for io::Error {
    fn from(error: TooLong) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
fn frame_len(len: usize) -> Result<u32, TooLong> {
    u32::try_from(len).map_err(|_| TooLong(len))
}

/// The head of a frame with a payload of a length and a checksum.
#[cfg(test)]
pub(super) fn frame_head(
    salt: u64,
    kind: Kind,
    sequence: Sequence,
    (len, crc): (usize, u32),
) -> Result<Vec<u8>, TooLong> {
    let len = frame_len(len)?;
    let mut head = [
        FRAME_MAGIC.as_slice(),
        &(kind as u32).to_be_bytes(),
        &len.to_be_bytes(),
        &sequence.0.to_be_bytes(),
        &crc.to_be_bytes(),
    ]
    .concat();
    head.extend(head_crc(&head, salt).to_be_bytes());
    Ok(head)
}

/// Reads the head of a frame at the start of `bytes`; `None` if it is not one of this file.
pub(super) fn read_frame_head(bytes: &[u8], salt: u64) -> Option<FrameHead> {
    let head = bytes.get(..FRAME_HEAD_LEN)?;
    let (body, crc) = head.split_at(FRAME_HEAD_LEN - 4);
    if !body.starts_with(FRAME_MAGIC) || u32_at(crc, 0) != Some(head_crc(body, salt)) {
        return None;
    }
    let kind = match u32_at(body, 4)? {
        0 => Kind::Batches,
        1 => Kind::Snapshot,
        2 => Kind::SnapshotEnd,
        3 => Kind::Clean,
        _ => return None,
    };
    let (len, sequence) = (u32_at(body, 8)? as usize, Sequence(u64_at(body, 12)?));
    Some(FrameHead { kind, len, sequence, crc: u32_at(body, 20)? })
}

impl FrameHead {
    /// The payload after the head; `None` if it is incomplete or damaged.
    pub(super) fn payload<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let payload = frame.get(FRAME_HEAD_LEN..FRAME_HEAD_LEN.checked_add(self.len)?)?;
        (crc32fast::hash(payload) == self.crc).then_some(payload)
    }
}

/// Returns true if a frame of the file begins in `bytes`.
pub(super) fn holds_a_frame(bytes: &[u8], salt: u64) -> bool {
    let starts =
        bytes.windows(FRAME_MAGIC.len()).enumerate().filter(|(_, window)| window == FRAME_MAGIC);
    let mut starts = starts.map(|(at, _)| at);
    starts.any(|at| bytes.get(at..).is_some_and(|frame| read_frame_head(frame, salt).is_some()))
}

impl Mark {
    #[cfg(test)]
    pub(super) fn slot(&self) -> Vec<u8> {
        let body = [self.number.to_be_bytes(), self.len.to_be_bytes(), self.sequence.to_be_bytes()]
            .concat();
        let crc = crc32fast::hash(&body);
        [body.as_slice(), &crc.to_be_bytes(), &[0; 4]].concat()
    }

    /// The newest undamaged mark of the two slots.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let slot = |at: usize| {
            let slot = bytes.get(at..at + SLOT_LEN)?;
            let whole = u32_at(slot, 24) == Some(crc32fast::hash(slot.get(..24)?));
            whole.then_some(Self {
                number: u64_at(slot, 0)?,
                len: u64_at(slot, 8)?,
                sequence: u64_at(slot, 16)?,
            })
        };
        slot(0).into_iter().chain(slot(SLOT_STRIDE)).max()
    }

    /// The slot of the next mark: not that of the newest one.
    pub(super) fn next_slot(bytes: &[u8]) -> usize {
        let first = Self::read(bytes.get(..SLOT_LEN).unwrap_or_default());
        usize::from(first.is_some() && first == Self::read(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_and_every_flipped_bit_is_detected() {
        let payload = (7, crc32fast::hash(b"payload"));
        let mut bytes = frame_head(7, Kind::Batches, Sequence(3), payload).unwrap();
        bytes.extend_from_slice(b"payload");
        let head = read_frame_head(&bytes, 7).unwrap();
        assert_eq!(
            (head.kind, head.sequence, head.payload(&bytes)),
            (Kind::Batches, Sequence(3), Some(&b"payload"[..]))
        );
        assert_eq!(read_frame_head(&bytes, 8), None, "a frame of another file");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                read_frame_head(&flipped, 7).and_then(|head| head.payload(&flipped)).is_none(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_payload_that_its_head_cannot_tell_is_refused() {
        let most = u32::MAX as usize;
        assert_eq!(frame_len(most), Ok(u32::MAX));
        assert_eq!(frame_len(most + 1), Err(TooLong(most + 1)));
    }

    #[test]
    fn heads_and_marks_are_read_back_and_every_flipped_bit_is_detected() {
        let bytes = head(5);
        assert_eq!((read_head(&bytes), bytes.len()), (Ok(5), HEAD_LEN));
        let mark = Mark { number: 1, len: 2, sequence: 3 };
        let slot = mark.slot();
        assert_eq!(Mark::read(&slot), Some(mark));
        for bit in 0..HEAD_LEN * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read_head(&flipped).is_err(), "bit {bit} of the head");
        }
        for bit in 0..28 * 8 {
            let mut flipped = slot.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::read(&flipped), None, "bit {bit} of the mark");
        }
    }
}
