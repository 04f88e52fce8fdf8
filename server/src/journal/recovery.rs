//! What is read back when a server starts.
//!
//! Every frame of the newest file is checked. Only the last one may be damaged, if nothing stands
//! behind it and it was never synced as far as the mark knows: it was torn by a crash, nobody was
//! told of it, and it is cut off. Anything else that is damaged is refused with its place, and
//! nothing is changed.

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

/// A journal that was read back, and where it goes on.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    /// How long the file is, without what was torn off.
    pub(crate) len: u64,
    pub(crate) sequence: Sequence,
    /// How much was torn off, in bytes.
    pub(crate) torn: u64,
    /// Older files, from which the newest was made, and one that was never finished.
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

/// Reads a journal back, hands every record on, in order, and makes the folder ready to be written
/// to; `None` if there is no journal yet.
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
            "the last write was torn, and is cut off; nobody was told of it"
        );
        disk.truncate(&file, read.len)
            .map_err(io_problem(format!("the torn end of {file} cannot be cut off")))?;
        disk.sync(&file).map_err(io_problem(format!("{file} cannot be synced")))?;
    }
    for name in &read.obsolete {
        disk.remove(name)
            .map_err(io_problem(format!("{name} is of no use any more and cannot be removed")))?;
    }
    Ok(Some(read))
}

/// Reads a journal back and hands every record on, in order, without a change to the folder;
/// `None` if there is no journal yet.
pub(crate) fn read_back(
    disk: &mut dyn ReadDisk,
    mut apply: impl FnMut(&Record) -> std::result::Result<(), RestoreError>,
) -> Result<Option<Recovered>> {
    let names = disk.list().map_err(io_problem("its files cannot be listed"))?;
    let (mut newest, mut has_mark) = (None, false);
    for name in &names {
        match file_number(name) {
            Some(number) => newest = newest.max(Some(number)),
            None if name == MARK => has_mark = true,
            None if name == UNFINISHED => {}
            None => tracing::warn!(
                file = name,
                "a file in the folder of data is not known, and left alone"
            ),
        }
    }
    let mark = if has_mark { read_mark(disk)? } else { None };
    let Some(number) = newest else {
        return match mark {
            Some(mark) if mark.number > 0 => {
                Err(corrupt(&file_name(mark.number), 0, "it is missing"))
            }
            // The very first journal was not there yet.
            _ => Ok(None),
        };
    };
    let file = file_name(number);
    if let Some(mark) = mark.filter(|mark| mark.number > number) {
        return Err(corrupt(&file_name(mark.number), 0, "it is missing"));
    }
    if !has_mark || mark.is_none() {
        return Err(corrupt(MARK, 0, "nothing in it says how far the journal was synced"));
    }
    let synced = mark.filter(|mark| mark.number == number).map_or(0, |mark| mark.len);
    let bytes = disk.read(&file).map_err(io_problem(format!("{file} cannot be read")))?;
    let mut read = read_file(&file, number, &bytes, synced, &mut apply)?;
    let is_obsolete =
        |name: &String| *name == UNFINISHED || file_number(name).is_some_and(|old| old < number);
    read.obsolete = names.into_iter().filter(is_obsolete).collect();
    Ok(Some(read))
}

fn read_mark(disk: &mut dyn ReadDisk) -> Result<Option<Mark>> {
    let bytes = disk.read(MARK).map_err(io_problem("the mark cannot be read"))?;
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
                    "what was synced there is not what was written",
                ));
            }
            if holds_a_frame(rest.get(1..).unwrap_or_default(), salt) {
                return Err(corrupt(
                    file,
                    at as u64,
                    "it is not what was written, and more stands behind it",
                ));
            }
            if !snapshot_ended {
                return Err(corrupt(
                    file,
                    at as u64,
                    "it ends before all of its beginning was there",
                ));
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
            return Err(corrupt(file, at as u64, "it is older than what stands before it"));
        }
        let records = records(payload)
            .map_err(|error| corrupt(file, at as u64, format!("a record is not one: {error}")))?;
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
            format!("it ends there, and was {synced} bytes long when it was synced"),
        ));
    }
    if !snapshot_ended {
        return Err(corrupt(file, at as u64, "it ends before all of its beginning was there"));
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
        let (record, behind) = postcard::take_from_bytes(rest)?;
        records.push(record);
        rest = behind;
    }
    Ok(records)
}
