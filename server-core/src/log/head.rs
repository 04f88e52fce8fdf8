//! The head of a file: which folder it belongs to, and which of its files it is.
//!
//! ```text
//! head, 64   "PRVGLOG\0" │ version u32 │ kind u32 │ folder u128 │ number u64 │ salt u64 │
//!            0 × 12 │ crc u32 of the bytes before it
//! ```
//!
//! Numbers are big-endian. The name of a file can be changed by a copy; its head cannot.

use bytes::{Buf as _, BufMut as _};

use super::ids::{FileNumber, FolderId, Salt};

/// The length of the head of a file, in bytes.
pub const HEAD_LEN: usize = 64;

const MAGIC: &[u8; 8] = b"PRVGLOG\0";
/// The version of the format of log files.
pub(super) const VERSION: u32 = 1;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A log file: frames.
    Log = 0,
    /// An index of closed log files.
    Index = 1,
    /// A checkpoint.
    Checkpoint = 2,
    /// A file with bytes that were moved from other files: frames.
    Moved = 3,
}

impl FileKind {
    /// The kind of a file with frames.
    #[must_use]
    pub fn of_frames(number: FileNumber) -> Self {
        if number.is_moved() { Self::Moved } else { Self::Log }
    }
}

/// The head of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHead {
    /// The kind of the file.
    pub kind: FileKind,
    /// The folder that the file belongs to.
    pub folder: FolderId,
    /// The number of the file among those of its kind.
    pub number: FileNumber,
    /// Random bits, which the checksums of the file's content include.
    pub salt: Salt,
}

/// The reason why bytes are not the head of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHead {
    /// They are incomplete, damaged, or something else.
    Damaged,
    /// The file was written by a newer version.
    Version(u32),
}

impl FileHead {
    /// The bytes of the head.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_LEN);
        out.put_slice(MAGIC);
        out.put_u32(VERSION);
        out.put_u32(self.kind as u32);
        out.put_u128(self.folder.0);
        out.put_u64(self.number.0);
        out.put_u64(self.salt.0);
        out.put_bytes(0, 12);
        out.put_u32(crc32fast::hash(&out));
        out
    }

    /// Reads the head at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// [`BadHead`] if the bytes are not a head, or one of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadHead> {
        let head = bytes.get(..HEAD_LEN).ok_or(BadHead::Damaged)?;
        let (body, crc) = head.split_at(HEAD_LEN - 4);
        if !body.starts_with(MAGIC) || crc != crc32fast::hash(body).to_be_bytes() {
            return Err(BadHead::Damaged);
        }
        let mut rest = body.get(MAGIC.len()..).unwrap_or_default();
        let version = rest.get_u32();
        if version != VERSION {
            return Err(BadHead::Version(version));
        }
        let kind = match rest.get_u32() {
            0 => FileKind::Log,
            1 => FileKind::Index,
            2 => FileKind::Checkpoint,
            3 => FileKind::Moved,
            _ => return Err(BadHead::Damaged),
        };
        let (folder, number) = (FolderId(rest.get_u128()), FileNumber(rest.get_u64()));
        Ok(Self { kind, folder, number, salt: Salt(rest.get_u64()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> FileHead {
        let (folder, number) = (FolderId(0x1234), FileNumber(7));
        FileHead { kind: FileKind::Index, folder, number, salt: Salt(0xABCD) }
    }

    #[test]
    fn a_head_is_read_back_and_every_flipped_bit_is_detected() {
        let bytes = head().encode();
        assert_eq!((FileHead::decode(&bytes), bytes.len()), (Ok(head()), HEAD_LEN));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHead::decode(&flipped), Err(BadHead::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_head_that_is_cut_off_is_no_head() {
        let bytes = head().encode();
        for len in 0..HEAD_LEN {
            assert_eq!(FileHead::decode(&bytes[..len]), Err(BadHead::Damaged), "{len} bytes");
        }
    }

    #[test]
    fn a_head_of_a_newer_version_is_told_from_damage() {
        let mut bytes = head().encode();
        bytes[11] = 2;
        let crc = crc32fast::hash(&bytes[..HEAD_LEN - 4]);
        bytes[HEAD_LEN - 4..].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(FileHead::decode(&bytes), Err(BadHead::Version(2)));
    }
}
