//! Reading a journal back.
//!
//! Every frame of the newest file is checked. Only the last one may be damaged, if no frame follows
//! and the mark does not count it as synced: a crash tore it, it was never acknowledged, and it is
//! left out. Any other damage is refused with its offset. Nothing is changed.

use std::error::Error as _;

use pravega_sdk_server_core::{
    catalog::RestoreError,
    record::{Record, Sequence},
};

use super::{
    disk::ReadDisk,
    files::{MARK, UNFINISHED, file_name, file_number},
    format::{
        BadHead, FRAME_HEAD_LEN, HEAD_LEN, Kind, Mark, SLOT_LEN, SLOT_STRIDE, VERSION, may_follow,
        read_head,
    },
    problem::OpenProblem,
    reading::Reading,
};

/// A journal that was read back, and the position of the next write.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests go on with a journal"))]
pub(crate) struct Recovered {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    /// The length of the file without its torn end.
    pub(crate) len: u64,
    pub(crate) sequence: Sequence,
    /// The length of the torn end, in bytes.
    pub(crate) torn: u64,
    /// Older files, which the newest replaces, and one that was never finished.
    pub(crate) obsolete: Vec<String>,
    /// The slot of the next mark.
    pub(crate) slot: usize,
}

type Result<T> = std::result::Result<T, OpenProblem>;

fn corrupt(file: &str, offset: u64, what: impl Into<String>) -> OpenProblem {
    OpenProblem::Corrupt { file: file.to_owned(), offset, what: what.into() }
}

/// Reads a journal back and applies every record in order, without a change to the folder; `None`
/// if the folder has no journal yet.
pub(crate) fn read_back(
    disk: &mut dyn ReadDisk,
    mut apply: impl FnMut(&Record) -> std::result::Result<(), RestoreError>,
) -> Result<Option<Recovered>> {
    let names = disk.list().map_err(OpenProblem::io("cannot list its files"))?;
    let (mut newest, mut has_mark) = (None, false);
    for name in &names {
        match file_number(name) {
            Some(number) => newest = newest.max(Some(number)),
            None if name == MARK => has_mark = true,
            None if name == UNFINISHED => {}
            None => tracing::warn!(file = name, "unknown file in the folder of data; ignored"),
        }
    }
    let (mark, slot) = if has_mark { read_mark(disk)? } else { (None, 0) };
    let Some(number) = newest else {
        return match mark {
            Some(mark) if mark.number > 0 => Err(missing_journal(mark)),
            // The first journal was not complete yet.
            _ => Ok(None),
        };
    };
    if let Some(mark) = mark.filter(|mark| mark.number > number) {
        return Err(missing_journal(mark));
    }
    if !has_mark {
        return Err(missing(MARK, "it has the synced length of the journal"));
    }
    if mark.is_none() {
        return Err(corrupt(MARK, 0, "it does not have the synced length of the journal"));
    }
    check_others(disk, &names, number, mark)?;
    let synced = mark.filter(|mark| mark.number == number);
    let mut read = read_file(disk, number, synced, &mut apply)?;
    let is_obsolete =
        |name: &String| *name == UNFINISHED || file_number(name).is_some_and(|old| old < number);
    read.slot = slot;
    read.obsolete = names.into_iter().filter(is_obsolete).collect();
    Ok(Some(read))
}

fn read_mark(disk: &mut dyn ReadDisk) -> Result<(Option<Mark>, usize)> {
    let bytes = disk.read_at(MARK, 0, SLOT_STRIDE + SLOT_LEN);
    let bytes = bytes.map_err(OpenProblem::io("cannot read the mark"))?;
    Ok((Mark::read(&bytes), Mark::next_slot(&bytes)))
}

fn missing(file: &str, what: &str) -> OpenProblem {
    OpenProblem::Missing { file: file.to_owned(), what: what.to_owned() }
}

fn missing_journal(mark: Mark) -> OpenProblem {
    missing(&file_name(mark.number), "the file `mark` names it as the newest journal")
}

fn foreign(file: &str, what: &str) -> OpenProblem {
    OpenProblem::Foreign { file: file.to_owned(), what: what.to_owned() }
}

/// Checks that the newest file is the one that the mark names or follows it, and that the others
/// are those before it. A copy or a file of another folder is never served, and nothing is removed
/// for it.
fn check_others(
    disk: &mut dyn ReadDisk,
    names: &[String],
    newest: u64,
    mark: Option<Mark>,
) -> Result<()> {
    let marked = mark.map_or(0, |mark| mark.number);
    let name = &*file_name(newest);
    if newest > marked + 1 {
        return Err(foreign(name, "it is neither the file of the journal nor the next one"));
    }
    // The one that the mark names is the journal's, and the newest is compared with it.
    let is_older = |number: u64| number < newest && number != marked;
    for older in names.iter().filter(|name| file_number(name).is_some_and(is_older)) {
        check_older(disk, names, newest, older)?;
    }
    let before = &*file_name(marked);
    // A start after a crash removes the file before, and the first write after it the old mark.
    if newest == marked || !names.iter().any(|name| name == before) || follows(disk, before, name)?
    {
        return Ok(());
    }
    Err(foreign(name, "it was not begun after the file before it"))
}

/// Checks that an older file is one that the journal had, so that it is removed. A crash may bring
/// back one whose removal was not durable yet.
fn check_older(disk: &mut dyn ReadDisk, names: &[String], newest: u64, older: &str) -> Result<()> {
    let number = file_number(older).unwrap_or_default();
    // The first file is 1.
    if number == 0 || number + 2 < newest {
        return Err(foreign(
            older,
            "it is neither the file of the journal nor one of the two before",
        ));
    }
    let next = file_name(number + 1);
    if names.contains(&next) && !follows(disk, older, &next)? {
        return Err(foreign(older, "the file after it was not begun after it"));
    }
    Ok(())
}

/// Returns true if a file may have been begun after another.
fn follows(disk: &mut dyn ReadDisk, before: &str, file: &str) -> Result<bool> {
    let (salt, len) = salt_and_len(disk, before)?;
    let (next, _) = salt_and_len(disk, file)?;
    Ok(may_follow(salt, len, next))
}

/// The salt of a journal's file.
pub(crate) fn salt_of_file(disk: &mut dyn ReadDisk, file: &str) -> Result<u64> {
    salt_and_len(disk, file).map(|(salt, _)| salt)
}

fn salt_and_len(disk: &mut dyn ReadDisk, file: &str) -> Result<(u64, u64)> {
    let failed = || OpenProblem::io(format!("cannot read {file}"));
    let len = disk.len(file).map_err(failed())?;
    let head = disk.read_at(file, 0, HEAD_LEN).map_err(failed())?;
    Ok((salt_of(file, &head)?, len))
}

fn salt_of(file: &str, head: &[u8]) -> Result<u64> {
    read_head(head).map_err(|bad| match bad {
        BadHead::Damaged => corrupt(file, 0, "its head is damaged"),
        BadHead::Version(found) => {
            OpenProblem::Version { file: file.to_owned(), found, max: VERSION }
        }
    })
}

fn read_file(
    disk: &mut dyn ReadDisk,
    number: u64,
    mark: Option<Mark>,
    apply: &mut impl FnMut(&Record) -> std::result::Result<(), RestoreError>,
) -> Result<Recovered> {
    let file = &*file_name(number);
    let failed = || OpenProblem::io(format!("cannot read {file}"));
    let mut reading = Reading::of(disk, file.to_owned()).map_err(failed())?;
    let head = reading.bytes(0, HEAD_LEN).map_err(failed())?;
    let salt = salt_of(file, head)?;
    let synced = mark.map_or(0, |mark| mark.len);
    let (mut at, mut sequence, mut snapshot_ended) = (HEAD_LEN as u64, Sequence::default(), false);
    let ends_early = |at| corrupt(file, at, "it ends before the end of its snapshot");
    while at < reading.len() {
        let Some((head, payload)) = reading.frame(at, salt).map_err(failed())? else {
            if at < synced {
                return Err(corrupt(file, at, "the synced bytes are not those that were written"));
            }
            if reading.has_frame_from(at + 1, salt).map_err(failed())? {
                return Err(corrupt(
                    file,
                    at,
                    "the bytes are not those that were written, and more frames follow",
                ));
            }
            if !snapshot_ended {
                return Err(ends_early(at));
            }
            let torn = reading.len() - at;
            let obsolete = Vec::new();
            return Ok(Recovered { number, salt, len: at, sequence, torn, obsolete, slot: 0 });
        };
        if head.sequence < sequence {
            return Err(corrupt(file, at, "the frame is older than the one before it"));
        }
        let end = at + (FRAME_HEAD_LEN + head.len) as u64;
        if let Some(mark) = mark.filter(|mark| at < mark.len && mark.len <= end)
            && (end, head.sequence) != (mark.len, Sequence(mark.sequence))
        {
            return Err(foreign(file, "its frames are not those that were synced"));
        }
        let mut rest = payload;
        while !rest.is_empty() {
            let (record, after) = postcard::take_from_bytes(rest)
                .map_err(|error| corrupt(file, at, format!("cannot decode a record: {error}")))?;
            apply(&record).map_err(|error| corrupt(file, at, reason(&error)))?;
            rest = after;
        }
        sequence = head.sequence;
        snapshot_ended |= head.kind == Kind::SnapshotEnd;
        at = end;
    }
    if at < synced {
        let what = format!("it ends there, but {synced} bytes were synced");
        return Err(corrupt(file, at, what));
    }
    if !snapshot_ended {
        return Err(ends_early(at));
    }
    Ok(Recovered { number, salt, len: at, sequence, torn: 0, obsolete: Vec::new(), slot: 0 })
}

/// An error with its cause.
fn reason(error: &RestoreError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
