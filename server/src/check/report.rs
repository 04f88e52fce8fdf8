//! What a check of a folder has found.

use crate::journal::OpenProblem;

/// What a folder with a server's data holds, and what of it is damaged.
#[non_exhaustive]
#[derive(Debug)]
pub struct FolderReport {
    /// The number of files that were checked.
    pub files: u64,
    /// The bytes of them.
    pub bytes: u64,
    /// The number of streams in scopes of clients; `None` if the folder cannot be read back, or is
    /// of an earlier version.
    pub streams: Option<u64>,
    /// The number of segments, of streams and of tables, also of the server's own; `None` as for
    /// streams.
    pub segments: Option<u64>,
    /// The parts of files that are not as they were written.
    pub damage: Vec<DamagedPart>,
    /// The parts of files that a crash may leave so, and that lose nothing: the torn end of a write
    /// that was never acknowledged, or a damaged note of how far the log was synced.
    pub harmless: Vec<DamagedPart>,
    /// Why a server would not start with the folder; `None` if it would.
    pub refusal: Option<OpenProblem>,
    /// The files that are not needed, which the next start removes. They were not checked.
    pub obsolete: Vec<String>,
    /// The files that are none of the server's. They were not checked.
    pub unknown: Vec<String>,
}

impl FolderReport {
    /// Returns true if no data is damaged, and a server would start.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.refusal.is_none()
    }
}

/// A part of a file in which bytes are not those that were written.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPart {
    /// The name of the file.
    pub file: String,
    /// The offset of the first byte.
    pub from: u64,
    /// The offset after the last byte.
    pub to: u64,
    /// What is wrong.
    pub what: String,
    /// The segments with bytes there, or that are read through it; `None` if they are not known.
    /// Empty, if no bytes of a segment are read there any longer.
    pub segments: Option<Vec<SegmentPart>>,
}

/// A part of a segment that cannot be read, or not all of it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPart {
    /// The name of the segment.
    pub segment: String,
    /// The offset of the first byte in the segment.
    pub from: u64,
    /// The offset after the last byte.
    pub to: u64,
}
