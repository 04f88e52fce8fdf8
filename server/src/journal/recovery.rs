//! Reading the journal back when a server starts.
//!
//! Every frame of the newest file is checked. Only the last one may be damaged, if no frame follows
//! and the mark does not count it as synced: a crash tore it, it was never acknowledged, and it is
//! cut off. Any other damage is refused with its offset, and nothing is changed.

use std::{error::Error as _, io};

use pravega_sdk_server_core::{
    catalog::RestoreError,
    record::{Record, Sequence},
};

use super::{
    disk::{Disk, ReadDisk},
    files::{MARK, UNFINISHED, file_name, file_number},
    format::{
        BadHead, FRAME_HEAD_LEN, HEAD_LEN, Kind, Mark, VERSION, holds_a_frame, read_frame_head,
        read_head,
    },
    problem::OpenProblem,
};

/// A journal that was read back, and the position of the next write.
#[derive(Debug)]
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
}

type Result<T> = std::result::Result<T, OpenProblem>;

fn io_problem(what: impl Into<String>) -> impl FnOnce(io::Error) -> OpenProblem {
    let what = what.into();
    move |error| OpenProblem::Io { what, error }
}

fn corrupt(file: &str, offset: u64, what: impl Into<String>) -> OpenProblem {
    OpenProblem::Corrupt { file: file.to_owned(), offset, what: what.into() }
}

/// Reads a journal back, applies every record in order, and prepares the folder for writing; `None`
/// if the folder has no journal yet.
pub(crate) fn recover(
    disk: &mut dyn Disk,
    apply: impl FnMut(&Record) -> std::result::Result<(), RestoreError>,
) -> Result<Option<Recovered>> {
    let Some(read) = read_back(disk, apply)? else {
        return Ok(None);
    };
    let file = file_name(read.number);
    if read.torn > 0 {
        tracing::warn!(
            file,
            bytes = read.torn,
            "the last write was torn and is cut off; it was never acknowledged"
        );
        disk.truncate(&file, read.len)
            .map_err(io_problem(format!("cannot cut off the torn end of {file}")))?;
        disk.sync(&file).map_err(io_problem(format!("cannot sync {file}")))?;
    }
    for name in &read.obsolete {
        disk.remove(name)
            .map_err(io_problem(format!("cannot remove {name}, which is obsolete")))?;
    }
    Ok(Some(read))
}

/// Reads a journal back and applies every record in order, without a change to the folder; `None`
/// if the folder has no journal yet.
pub(crate) fn read_back(
    disk: &mut dyn ReadDisk,
    mut apply: impl FnMut(&Record) -> std::result::Result<(), RestoreError>,
) -> Result<Option<Recovered>> {
    let names = disk.list().map_err(io_problem("cannot list its files"))?;
    let (mut newest, mut has_mark) = (None, false);
    for name in &names {
        match file_number(name) {
            Some(number) => newest = newest.max(Some(number)),
            None if name == MARK => has_mark = true,
            None if name == UNFINISHED => {}
            None => tracing::warn!(file = name, "unknown file in the folder of data; ignored"),
        }
    }
    let mark = if has_mark { read_mark(disk)? } else { None };
    let Some(number) = newest else {
        return match mark {
            Some(mark) if mark.number > 0 => {
                Err(corrupt(&file_name(mark.number), 0, "it is missing"))
            }
            // The first journal was not complete yet.
            _ => Ok(None),
        };
    };
    let file = file_name(number);
    if let Some(mark) = mark.filter(|mark| mark.number > number) {
        return Err(corrupt(&file_name(mark.number), 0, "it is missing"));
    }
    if !has_mark || mark.is_none() {
        return Err(corrupt(MARK, 0, "it does not have the synced length of the journal"));
    }
    let synced = mark.filter(|mark| mark.number == number).map_or(0, |mark| mark.len);
    let bytes = disk.read(&file).map_err(io_problem(format!("cannot read {file}")))?;
    let mut read = read_file(&file, number, &bytes, synced, &mut apply)?;
    let is_obsolete =
        |name: &String| *name == UNFINISHED || file_number(name).is_some_and(|old| old < number);
    read.obsolete = names.into_iter().filter(is_obsolete).collect();
    Ok(Some(read))
}

fn read_mark(disk: &mut dyn ReadDisk) -> Result<Option<Mark>> {
    let bytes = disk.read(MARK).map_err(io_problem("cannot read the mark"))?;
    Ok(Mark::read(&bytes))
}

fn read_file(
    file: &str,
    number: u64,
    bytes: &[u8],
    synced: u64,
    apply: &mut impl FnMut(&Record) -> std::result::Result<(), RestoreError>,
) -> Result<Recovered> {
    let salt = read_head(bytes).map_err(|bad| match bad {
        BadHead::Damaged => corrupt(file, 0, "its head is damaged"),
        BadHead::Version(found) => {
            OpenProblem::Version { file: file.to_owned(), found, max: VERSION }
        }
    })?;
    let (mut at, mut sequence, mut snapshot_ended) = (HEAD_LEN, Sequence::default(), false);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let head = read_frame_head(rest, salt);
        let Some((head, payload)) = head.and_then(|head| Some((head, head.payload(rest)?))) else {
            if (at as u64) < synced {
                return Err(corrupt(
                    file,
                    at as u64,
                    "the synced bytes are not those that were written",
                ));
            }
            if holds_a_frame(rest.get(1..).unwrap_or_default(), salt) {
                return Err(corrupt(
                    file,
                    at as u64,
                    "the bytes are not those that were written, and more frames follow",
                ));
            }
            if !snapshot_ended {
                return Err(corrupt(file, at as u64, "it ends before the end of its snapshot"));
            }
            let torn = rest.len() as u64;
            return Ok(Recovered {
                number,
                salt,
                len: at as u64,
                sequence,
                torn,
                obsolete: Vec::new(),
            });
        };
        if head.sequence < sequence {
            return Err(corrupt(file, at as u64, "the frame is older than the one before it"));
        }
        let records = records(payload).map_err(|error| {
            corrupt(file, at as u64, format!("cannot decode a record: {error}"))
        })?;
        for record in records {
            apply(&record).map_err(|error| corrupt(file, at as u64, reason(&error)))?;
        }
        sequence = head.sequence;
        snapshot_ended |= head.kind == Kind::SnapshotEnd;
        at += FRAME_HEAD_LEN + payload.len();
    }
    if (at as u64) < synced {
        return Err(corrupt(
            file,
            at as u64,
            format!("it ends there, but {synced} bytes were synced"),
        ));
    }
    if !snapshot_ended {
        return Err(corrupt(file, at as u64, "it ends before the end of its snapshot"));
    }
    Ok(Recovered { number, salt, len: at as u64, sequence, torn: 0, obsolete: Vec::new() })
}

/// An error with its cause.
fn reason(error: &RestoreError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn records(payload: &[u8]) -> postcard::Result<Vec<Record>> {
    let mut rest = payload;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (record, after) = postcard::take_from_bytes(rest)?;
        records.push(record);
        rest = after;
    }
    Ok(records)
}
