//! What the system is advised to do with its cache of files. It may do otherwise.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
};

use self::system::begin_write;
pub(super) use self::system::{begin_read, forget};

/// How far the system must read ahead by itself, in bytes, so that it is not asked to.
const FAR: u64 = 1 << 20;

/// Whether the system is asked to read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadAhead {
    /// It does so by itself: in large pages, which take less of the processor than those of 4 KiB
    /// that it has for what it is asked for.
    OfSystem,
    Asked,
}

impl ReadAhead {
    /// By the number of KiB that the system reads ahead, as a text of its own.
    fn of(text: &str) -> Self {
        match text.trim().parse::<u64>() {
            Ok(kib) if kib.saturating_mul(1024) >= FAR => Self::OfSystem,
            _ => Self::Asked,
        }
    }

    /// That of the file system with a file.
    #[cfg(target_os = "linux")]
    pub(super) fn of_file(file: &File) -> Self {
        let Ok(device) = file.metadata().map(|it| it.dev()) else { return Self::Asked };
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let text = std::fs::read_to_string(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"));
        Self::of(&text.unwrap_or_default())
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of_file(_: &File) -> Self {
        Self::of("")
    }
}

/// The bytes of a long write after which the disk begins with it, while the rest is copied.
const PIECE: usize = 1 << 20;

/// Writes at an offset of a file. The disk begins with a long write before it is copied as a whole,
/// so that a sync after it has less to wait for.
pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while let Some((piece, rest)) = bytes.split_at_checked(PIECE).filter(|(_, it)| !it.is_empty()) {
        file.write_all_at(piece, at)?;
        begin_write(file, at, piece.len() as u64);
        (bytes, at) = (rest, at.saturating_add(piece.len() as u64));
    }
    file.write_all_at(bytes, at)
}

#[cfg(target_os = "linux")]
mod system {
    use std::{fs::File, num::NonZero};

    use rustix::fs::{Advice, fadvise};

    /// Begins to read a range of a file.
    pub(crate) fn begin_read(file: &File, start: u64, len: NonZero<u64>) {
        fadvise(file, start, Some(len), Advice::WillNeed).ok();
    }

    /// Begins to write a range of a file to the disk.
    pub(super) fn begin_write(file: &File, start: u64, len: u64) {
        // Of what is not on the disk yet, this is all that the advice does.
        fadvise(file, start, NonZero::new(len), Advice::DontNeed).ok();
    }

    /// Takes a file that is on the disk out of the cache.
    pub(crate) fn forget(file: &File) {
        fadvise(file, 0, None, Advice::DontNeed).ok();
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::{fs::File, num::NonZero};

    pub(crate) fn begin_read(_: &File, _: u64, _: NonZero<u64>) {}

    pub(super) fn begin_write(_: &File, _: u64, _: u64) {}

    pub(crate) fn forget(_: &File) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_write_has_all_its_bytes_in_place() {
        let file = tempfile::tempfile().unwrap();
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(len).collect();
            write_all_at(&file, &bytes, 5).unwrap();
            let mut read = vec![0; len];
            file.read_exact_at(&mut read, 5).unwrap();
            assert!(read == bytes, "{len} bytes");
        }
    }

    #[test]
    fn the_system_is_asked_to_read_ahead_unless_it_does_so_far_by_itself() {
        for text in ["128\n", "0", "1023", "", "far", "-1"] {
            assert_eq!(ReadAhead::of(text), ReadAhead::Asked, "{text}");
        }
        for text in ["1024\n", "8192", "18446744073709551615"] {
            assert_eq!(ReadAhead::of(text), ReadAhead::OfSystem, "{text}");
        }
    }
}
