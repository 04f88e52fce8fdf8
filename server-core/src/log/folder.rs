//! A folder: its identity, how it is created, and which of its files are what.
//!
//! ```text
//! folder, 64   "PRVGFOLD" │ version u32 │ 0 u32 │ id u128 │ 0 × 28 │ crc u32
//! ```
//!
//! The file with the identity comes last when a folder is created, so a folder without it holds
//! nothing yet, or is not one of ours.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes};

use super::{
    checkpoint::CheckpointFile,
    head::{BadHead, FileHead, FileKind, HEAD_LEN},
    ids::{FileNumber, FolderId, Place, Salt},
    index::RunFile,
    mark::{MARK_LEN, MARK_NAME, Mark, MarkSlot},
    problem::{Problem, What},
};
use crate::record::Sequence;

/// The name of the file with the identity of a folder.
pub const FOLDER_NAME: &str = "folder";
/// The length of that file, in bytes.
pub const FOLDER_LEN: usize = 64;

/// The name of that file before it is complete.
const UNFINISHED: &str = "folder.new";
/// The name of that file while the folder is filled from another one.
const UNFINISHED_COPY: &str = "folder.copy";
const MAGIC: &[u8; 8] = b"PRVGFOLD";
const VERSION: u32 = 1;
/// What the names of a log's files begin with.
const OURS: &[&str] = &["log-", "moved-", "checkpoint-", "index-"];
/// The name of the socket by which a server is asked to keep its files while they are copied.
pub const KEEPING_NAME: &str = "keeping";
/// Names that a folder may have from the start: what file systems make, the lock, and the socket.
const IGNORED: &[&str] = &["lock", "lost+found", KEEPING_NAME];

/// A call of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderStep {
    /// Remove a file, if it exists.
    Remove(String),
    /// Create a file with these bytes, and make them durable.
    Create {
        /// The name.
        name: String,
        /// The content.
        bytes: Bytes,
    },
    /// Rename a file.
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// Make the names of the files durable.
    Sync,
}

/// What a folder holds, by the names and lengths of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Nothing, or what an interrupted creation left.
    Nothing {
        /// The files that it left.
        leftovers: Vec<String>,
    },
    /// A log.
    Log {
        /// The lengths of its log files, and of those that bytes were moved to.
        files: BTreeMap<FileNumber, u64>,
        /// Its checkpoints.
        checkpoints: Vec<CheckpointFile>,
        /// The lengths of its runs.
        runs: BTreeMap<RunFile, u64>,
        /// Files that were not completed.
        leftovers: Vec<String>,
        /// Files that do not belong to it, and have no name that one of its files may have.
        others: Vec<String>,
    },
    /// Files of another kind.
    Others {
        /// The name of one.
        name: String,
    },
}

impl Contents {
    /// Finds out what a folder holds.
    ///
    /// # Errors
    ///
    /// [`Problem`] if it has a log without its identity, or a file with a name that no file of a
    /// log has but that looks like one.
    pub fn of(listing: &BTreeMap<String, u64>) -> Result<Self, Problem> {
        let missing = |name: &str| problem(name, What::Missing);
        if listing.contains_key(UNFINISHED_COPY) {
            return Err(problem(UNFINISHED_COPY, What::UnfinishedCopy));
        }
        let (mut files, mut others, mut leftovers) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (mut checkpoints, mut runs) = (Vec::new(), BTreeMap::new());
        for (name, &len) in listing {
            if let Some(number) = FileNumber::of_name(name) {
                files.insert(number, len);
            } else if let Some(checkpoint) = CheckpointFile::of_name(name) {
                checkpoints.push(checkpoint);
            } else if let Some(run) = RunFile::of_name(name) {
                runs.insert(run, len);
            } else if is_unfinished(name) {
                leftovers.push(name.clone());
            } else if OURS.iter().any(|ours| name.starts_with(ours)) {
                return Err(problem(name, What::NotNext));
            } else if ![FOLDER_NAME, MARK_NAME].contains(&&**name) && !IGNORED.contains(&&**name) {
                others.push(name.clone());
            }
        }
        if listing.contains_key(FOLDER_NAME) {
            return match listing.contains_key(MARK_NAME) {
                true => Ok(Self::Log { files, checkpoints, runs, leftovers, others }),
                false => Err(missing(MARK_NAME)),
            };
        }
        if !(checkpoints.is_empty() && runs.is_empty()) {
            return Err(missing(FOLDER_NAME));
        }
        let is_created = |(number, len): (&FileNumber, &u64)| {
            *number == FileNumber::FIRST && *len <= HEAD_LEN as u64
        };
        if !files.iter().all(is_created) {
            return Err(missing(FOLDER_NAME));
        }
        if let Some(name) = others.into_iter().next() {
            return Ok(Self::Others { name });
        }
        leftovers.extend(listing.contains_key(MARK_NAME).then(|| MARK_NAME.to_owned()));
        leftovers.extend(files.into_keys().map(FileNumber::name));
        Ok(Self::Nothing { leftovers })
    }
}

/// Returns true if a name is that of a file before it is complete.
fn is_unfinished(name: &str) -> bool {
    let complete = name.strip_suffix(".new");
    complete.is_some_and(|name| {
        name == FOLDER_NAME
            || CheckpointFile::of_name(name).is_some()
            || RunFile::of_name(name).is_some()
    })
}

/// The calls that create a folder, and the head of its first file. After the last call the folder
/// holds an empty log; before, it holds nothing.
#[must_use]
pub fn creation(id: FolderId, salt: Salt, leftovers: Vec<String>) -> (Vec<FolderStep>, FileHead) {
    let head = FileHead { kind: FileKind::Log, folder: id, number: FileNumber::FIRST, salt };
    let end = Place { file: head.number, at: HEAD_LEN as u64 };
    let mut mark = Mark { folder: id, end, sequence: Sequence::default() }.encode();
    // The second slot is the next one.
    mark.resize(MARK_LEN, 0);
    debug_assert_eq!(Mark::read(&mark).map(|(_, slot)| slot), Some(MarkSlot::First));
    let create =
        |name: String, bytes: Vec<u8>| FolderStep::Create { name, bytes: Bytes::from(bytes) };
    let mut steps: Vec<FolderStep> = leftovers.into_iter().map(FolderStep::Remove).collect();
    steps.extend([
        create(head.number.name(), head.encode()),
        create(MARK_NAME.to_owned(), mark),
        create(UNFINISHED.to_owned(), encode(id)),
        FolderStep::Sync,
        FolderStep::Rename { from: UNFINISHED.to_owned(), to: FOLDER_NAME.to_owned() },
        FolderStep::Sync,
    ]);
    (steps, head)
}

/// The calls before the files of another log are copied to an empty folder: from then on it is
/// known as a copy that was not completed.
#[must_use]
pub fn copying(id: FolderId) -> Vec<FolderStep> {
    let (name, bytes) = (UNFINISHED_COPY.to_owned(), encode(id).into());
    vec![FolderStep::Create { name, bytes }, FolderStep::Sync]
}

/// The calls after they were copied, when the log ends at a place. The last call but one makes the
/// folder that of the log.
#[must_use]
pub fn copied(id: FolderId, end: Place, sequence: Sequence) -> Vec<FolderStep> {
    let mut mark = Mark { folder: id, end, sequence }.encode();
    mark.resize(MARK_LEN, 0);
    vec![
        FolderStep::Create { name: MARK_NAME.to_owned(), bytes: mark.into() },
        FolderStep::Sync,
        FolderStep::Rename { from: UNFINISHED_COPY.to_owned(), to: FOLDER_NAME.to_owned() },
        FolderStep::Sync,
    ]
}

fn encode(id: FolderId) -> Vec<u8> {
    let mut out = Vec::with_capacity(FOLDER_LEN);
    out.put_slice(MAGIC);
    out.put_u32(VERSION);
    out.put_u32(0);
    out.put_u128(id.0);
    out.put_bytes(0, 28);
    out.put_u32(crc32fast::hash(&out));
    out
}

/// Reads the identity of a folder.
///
/// # Errors
///
/// [`Problem`] if the bytes are not one, or one of a newer version.
pub fn read_identity(bytes: &[u8]) -> Result<FolderId, Problem> {
    decode(bytes).map_err(|bad| problem(FOLDER_NAME, bad.into()))
}

fn decode(bytes: &[u8]) -> Result<FolderId, BadHead> {
    let whole = bytes.get(..FOLDER_LEN).filter(|_| bytes.len() == FOLDER_LEN);
    let (body, crc) = whole.ok_or(BadHead::Damaged)?.split_at(FOLDER_LEN - 4);
    if !body.starts_with(MAGIC) || crc != crc32fast::hash(body).to_be_bytes() {
        return Err(BadHead::Damaged);
    }
    let mut rest = body.get(MAGIC.len()..).unwrap_or_default();
    match (rest.get_u32(), rest.get_u32()) {
        (VERSION, _) => Ok(FolderId(rest.get_u128())),
        (version, _) => Err(BadHead::Version(version)),
    }
}

fn problem(file: &str, what: What) -> Problem {
    Problem { file: file.to_owned(), at: 0, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[(&str, u64)]) -> BTreeMap<String, u64> {
        names.iter().map(|(name, len)| ((*name).to_owned(), *len)).collect()
    }

    fn contents(names: &[(&str, u64)]) -> Result<Contents, Problem> {
        Contents::of(&listing(names))
    }

    #[test]
    fn an_identity_is_read_back_and_every_flipped_bit_and_every_cut_is_detected() {
        let bytes = encode(FolderId(77));
        assert_eq!((read_identity(&bytes), bytes.len()), (Ok(FolderId(77)), FOLDER_LEN));
        let damaged = Err(problem(FOLDER_NAME, What::Head));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_identity(&flipped), damaged, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(read_identity(&bytes[..len]), damaged, "{len} bytes");
        }
    }

    #[test]
    fn a_folder_in_creation_holds_nothing_and_is_created_again() {
        let nothing = |leftovers: &[&str]| {
            let leftovers = leftovers.iter().map(|name| (*name).to_owned()).collect();
            Ok(Contents::Nothing { leftovers })
        };
        assert_eq!(contents(&[]), nothing(&[]));
        assert_eq!(contents(&[("lock", 5), ("lost+found", 0)]), nothing(&[]));
        assert_eq!(
            contents(&[("log-00000001", 64), ("synced", 576), ("folder.new", 10)]),
            nothing(&["folder.new", "synced", "log-00000001"]),
        );
    }

    #[test]
    fn a_copy_is_refused_by_name_until_it_is_complete() {
        let end = Place { file: FileNumber(3), at: 99 };
        let (first, last) = (copying(FolderId(7)), copied(FolderId(7), end, Sequence(5)));
        let mut names: BTreeMap<String, u64> = listing(&[("lock", 3)]);
        let (count, mut refused) = (first.len() + last.len(), 0);
        for step in first.into_iter().chain(last) {
            match step {
                FolderStep::Create { name, bytes } => {
                    names.insert(name, bytes.len() as u64);
                    names.insert("log-00000003".to_owned(), 99);
                }
                FolderStep::Rename { from, to } => {
                    let len = names.remove(&from).unwrap();
                    names.insert(to, len);
                }
                FolderStep::Remove(name) => panic!("{name} is removed"),
                FolderStep::Sync => {}
            }
            match Contents::of(&names) {
                Err(found) => {
                    assert_eq!(found, problem("folder.copy", What::UnfinishedCopy));
                    refused += 1;
                }
                Ok(found) => assert!(matches!(found, Contents::Log { .. }), "{found:?}"),
            }
        }
        assert_eq!(refused, count - 2, "all but the last two calls");
    }

    #[test]
    fn a_log_without_its_identity_or_mark_is_refused() {
        let missing = |name| Err(problem(name, What::Missing));
        assert_eq!(contents(&[("log-00000001", 65), ("synced", 576)]), missing("folder"));
        assert_eq!(contents(&[("log-00000002", 64)]), missing("folder"));
        assert_eq!(contents(&[("checkpoint-00000001-00000001", 9)]), missing("folder"));
        assert_eq!(contents(&[("index-00000001-00000001", 9)]), missing("folder"));
        assert_eq!(contents(&[("folder", 64), ("log-00000001", 65)]), missing("synced"));
    }

    #[test]
    fn every_file_of_a_log_is_found_by_its_name() {
        let found = contents(&[
            ("folder", 64),
            ("synced", 576),
            ("log-00000003", 99),
            ("checkpoint-00000001-00000002", 9),
            ("checkpoint-00000001-00000003.new", 9),
            ("index-00000001-00000002", 9),
            ("index-00000003-00000003.new", 9),
        ]);
        let leftovers = ["checkpoint-00000001-00000003.new", "index-00000003-00000003.new"];
        assert_eq!(
            found,
            Ok(Contents::Log {
                files: [(FileNumber(3), 99)].into(),
                checkpoints: vec![CheckpointFile { base: 1, number: 2 }],
                runs: [(RunFile { first: FileNumber(1), last: FileNumber(2) }, 9)].into(),
                leftovers: leftovers.map(str::to_owned).into(),
                others: vec![],
            })
        );
    }

    #[test]
    fn a_folder_with_other_files_is_not_used_unless_it_has_a_log() {
        let others = Ok(Contents::Others { name: "thesis.tex".to_owned() });
        assert_eq!(contents(&[("thesis.tex", 9), ("lock", 0)]), others);
        let log = contents(&[("thesis.tex", 9), ("folder", 64), ("synced", 576)]);
        let Ok(Contents::Log { others, .. }) = log else { panic!("{log:?}") };
        assert_eq!(others, ["thesis.tex"]);
    }

    #[test]
    fn a_file_whose_name_looks_like_one_of_the_log_is_refused_by_name() {
        let copies = ["log-1", "log-00000001.bak", "log-00000001 (copy)", "log-00000001.new"];
        let others = ["checkpoint-1", "index-00000001-00000001.bak"];
        for name in copies.into_iter().chain(others) {
            let refused = Err(problem(name, What::NotNext));
            assert_eq!(contents(&[("folder", 64), ("synced", 576), (name, 1)]), refused);
        }
    }
}
