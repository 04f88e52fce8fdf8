//! Numbers of folders, files and segments, and places in files.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies a folder: every file in it has the id of the folder in its head.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FolderId(pub u128);

impl fmt::Display for FolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for FolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FolderId({self})")
    }
}

/// The number of a file with bytes of segments: of a log file, counted from 1 without gaps, or,
/// from 2^63 on, of a file that bytes were moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileNumber(pub u64);

/// The first number of a file that bytes are moved to; no file has it.
const FIRST_MOVED: FileNumber = FileNumber(1 << 63);

impl FileNumber {
    /// The number of the first file of a folder.
    pub const FIRST: Self = Self(1);

    /// The number of the n-th file that bytes are moved to.
    #[must_use]
    pub fn moved(n: u64) -> Self {
        Self(FIRST_MOVED.0 | n)
    }

    /// The n of a file that bytes are moved to; 0 if it is another file.
    #[must_use]
    pub fn n_of_moved(self) -> u64 {
        self.0.saturating_sub(FIRST_MOVED.0)
    }

    /// Returns true if it is the number of a file that bytes are moved to.
    #[must_use]
    pub fn is_moved(self) -> bool {
        self >= FIRST_MOVED
    }

    /// The number of the file after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The file's name.
    #[must_use]
    pub fn name(self) -> String {
        match self.is_moved() {
            true => format!("moved-{:08}", self.0 - FIRST_MOVED.0),
            false => format!("log-{:08}", self.0),
        }
    }

    /// The number in the name of a file; `None` if it is not the name of one.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let number = match name.strip_prefix("moved-") {
            Some(number) => Self::moved(number.parse().ok()?),
            None => Self(name.strip_prefix("log-")?.parse().ok()?),
        };
        // Other spellings of a number are not names of files of the log.
        (![0, FIRST_MOVED.0].contains(&number.0) && number.name() == name).then_some(number)
    }
}

/// Random bits of a file. The checksums of its content include them, so that the content of another
/// file, or bytes that a client stored, are never taken for records of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salt(pub u64);

/// The number of a segment in a folder. It is never used for another segment.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct SegmentNumber(pub u64);

/// A place in a file, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub file: FileNumber,
    /// The offset in the file.
    pub at: u64,
}

/// The place of bytes of a segment: they are in the record that begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanPlace {
    /// The segment.
    pub segment: SegmentNumber,
    /// The offset of the first byte in the segment.
    pub from: u64,
    /// The offset after the last byte in the segment.
    pub to: u64,
    /// The place of the record.
    pub record: Place,
    /// The offset after the record in its file.
    pub end: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_names_of_log_files_have_a_number() {
        for number in [1, 42, 99_999_999, 100_000_000, u64::MAX] {
            let number = FileNumber(number);
            assert_eq!(FileNumber::of_name(&number.name()), Some(number));
        }
        assert_eq!(FileNumber::of_name("moved-00000003"), Some(FileNumber::moved(3)));
        let copies = ["moved-00000000", "moved-3", "log-9223372036854775809"];
        for name in copies {
            assert_eq!(FileNumber::of_name(name), None, "{name}");
        }
        let others = ["log-1", "log-00000000", "log-000000001", "log-+0000001", "log-", "log"];
        for name in others.into_iter().chain(["log-00000001 ", "log-00000001.new", "journal-1"]) {
            assert_eq!(FileNumber::of_name(name), None, "{name}");
        }
    }
}
