//! The files of a log as of one durable batch, while the log goes on.
//!
//! ```text
//! the end of the log, and names and lengths after that ──> what a start would find
//! what a start needs of it                             ──> the files that are copied
//! ```
//!
//! Log files only grow, and what they have up to a durable end stays. So the files that are
//! listed after it is known, without one that is removed, and with the newest cut at that end, are
//! those of a server that has crashed then.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    checkpoint::{CheckpointFile, KnownFile, KnownRun},
    copy::CopiedFile,
    folder::FOLDER_NAME,
    head::HEAD_LEN,
    ids::{FileNumber, FolderId, Place},
    index::RunFile,
    keeper::Keeper,
    mark::{MARK_LEN, MARK_NAME, Mark},
    recovery::Recovered,
};
use crate::record::Sequence;

/// The files of a folder as of a durable batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The end of the log.
    pub mark: Mark,
    /// The lengths of its files.
    pub files: BTreeMap<String, u64>,
}

/// The log at a moment before its files are listed: a listing of before may be without bytes that
/// are durable at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMoment {
    end: Place,
    sequence: Sequence,
    /// The files that bytes were moved to, and that are used.
    moved: BTreeSet<FileNumber>,
}

impl LogMoment {
    /// The log as it is now.
    #[must_use]
    pub fn now(keeper: &Keeper) -> Self {
        let (end, sequence) = keeper.end();
        let moved = keeper.index().files().filter(|number| number.is_moved()).collect();
        Self { end, sequence, moved }
    }

    /// The snapshot of a folder whose files were listed after the moment. None of them was removed
    /// or renamed in between.
    #[must_use]
    pub fn snapshot(self, folder: FolderId, listing: BTreeMap<String, u64>) -> Snapshot {
        let Self { end, sequence, moved } = self;
        // What bytes are moved to is used once a batch says so; until then it may be removed.
        let is_later = |name: &str| {
            FileNumber::of_name(name).is_some_and(|number| match number.is_moved() {
                true => !moved.contains(&number),
                false => number > end.file,
            })
        };
        let mut files = listing;
        files.retain(|name, _| is_of_log(name) && !is_later(name));
        if let Some(len) = files.get_mut(&end.file.name()) {
            *len = end.at.min(*len);
        }
        Snapshot { mark: Mark { folder, end, sequence }, files }
    }
}

impl Snapshot {
    /// The content of the file with the mark.
    #[must_use]
    pub fn mark_bytes(&self) -> Vec<u8> {
        let mut bytes = self.mark.encode();
        bytes.resize(MARK_LEN, 0);
        bytes
    }
}

/// Returns true if a file of a folder belongs to its log, and is complete.
fn is_of_log(name: &str) -> bool {
    [FOLDER_NAME, MARK_NAME].contains(&name)
        || FileNumber::of_name(name).is_some()
        || CheckpointFile::of_name(name).is_some()
        || RunFile::of_name(name).is_some()
}

/// The files that a start needs, in the order in which they are copied, when a log was read back
/// with the checkpoints of a chain, of which the newest names some runs. It needs them also if all
/// of their files are gone.
#[must_use]
pub fn needed(
    recovered: &Recovered,
    keeper: &Keeper,
    chain: &[CheckpointFile],
    named: &[KnownRun],
    listing: &BTreeMap<String, u64>,
) -> Vec<CopiedFile> {
    let checkpoint = |file: &CheckpointFile| {
        CopiedFile::Checkpoint(*file, listing.get(&file.name()).copied().unwrap_or_default())
    };
    let (mut files, mut runs) = keeper.files();
    runs.extend(named);
    runs.sort_by_key(|known| known.run);
    runs.dedup();
    // A log without a frame has the head of its first file.
    if let (None, Some(head)) = (recovered.current, recovered.next) {
        let (len, bytes, live) = (HEAD_LEN as u64, 0, 0);
        files.push(KnownFile { number: head.number, salt: head.salt, len, bytes, live });
    }
    let files = files.into_iter().map(CopiedFile::Frames);
    let runs = runs.into_iter().map(CopiedFile::Run);
    chain.iter().map(checkpoint).chain(runs).chain(files).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::folder::KEEPING_NAME, *};

    #[test]
    fn a_snapshot_ends_with_the_log_and_has_nothing_that_is_not_of_it() {
        let listing = [
            ("folder", 64),
            ("synced", 576),
            (KEEPING_NAME, 0),
            ("thesis.tex", 9),
            ("log-00000001", 500),
            ("log-00000002", 4000),
            ("log-00000003", 64),
            ("moved-00000001", 70),
            ("moved-00000002", 70),
            ("checkpoint-00000001-00000001", 80),
            ("checkpoint-00000002-00000002.new", 80),
            ("index-00000001-00000001", 90),
        ];
        let listing = listing.map(|(name, len)| (name.to_owned(), len)).into();
        let end = Place { file: FileNumber(2), at: 300 };
        let (sequence, moved) = (Sequence(9), [FileNumber::moved(1)].into());
        let snapshot = LogMoment { end, sequence, moved }.snapshot(FolderId(7), listing);
        let expected = [
            ("folder", 64),
            ("synced", 576),
            ("log-00000001", 500),
            ("log-00000002", 300),
            ("moved-00000001", 70),
            ("checkpoint-00000001-00000001", 80),
            ("index-00000001-00000001", 90),
        ];
        assert_eq!(snapshot.files, expected.map(|(name, len)| (name.to_owned(), len)).into());
        let mark = Mark { folder: FolderId(7), end, sequence: Sequence(9) };
        assert_eq!(Mark::read(&snapshot.mark_bytes()).map(|(mark, _)| mark), Some(mark));
        assert!(Mark::is_whole(&snapshot.mark_bytes()));
    }
}
