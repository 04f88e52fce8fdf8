//! Folders of earlier versions: a journal becomes a log.
//!
//! ```text
//! folder.new, with the id of the log        what has this id is a leftover until the end
//! log files, and their mark                 all that the journal has, synced
//! converted, with the journal's salt        what is removed afterwards is known by it
//! folder.new ──rename──> folder             from here on the folder is that of the log
//! the journal and its mark are removed
//! ```
//!
//! Before the rename the folder is that of the journal, also after a crash: what was written of the
//! log is removed, and the conversion begins again.

use std::{collections::BTreeMap, io, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use pravega_sdk_server_core::{
    log::{
        Event, FOLDER_LEN, FOLDER_NAME, FileHead, FileNumber, FolderId, FolderStep, HEAD_LEN,
        LogWriter, MARK_LEN, MARK_NAME, Mark, MarkSlot, Outcome, Salt, Settings, creation,
        read_identity,
    },
    machine::Machine,
    record::{Record, Sequence},
    store::MemoryLimit,
};

use super::{
    disk::{Disk, carry_out_commit},
    open::of_problem,
};
use crate::{
    folder::Kind,
    journal::{self, OpenProblem, ReadDisk},
};

/// The name of the file with the id of a folder whose log is not complete.
const UNFINISHED: &str = "folder.new";
/// The name of the file that tells which journal was converted.
const CONVERTED: &str = "converted";
const CONVERTED_LEN: usize = 36;
/// The memory of the records that are written at once, in bytes.
const BATCH: usize = 4 << 20;

/// Returns true if a folder has the journal of an earlier version, and no log.
pub(crate) fn is_of_journal<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let (mut has_journal, mut has_log) = (false, false);
    for name in names {
        has_journal |= journal::is_of_journal(name);
        has_log |= name == FOLDER_NAME;
    }
    has_journal && !has_log
}

/// Converts the journal of a folder to a log. The machine is an empty one.
pub(crate) fn convert(
    disk: &dyn Disk,
    settings: Settings,
    machine: Machine,
) -> Result<(), OpenProblem> {
    let files = regular_files(disk)?;
    remove_leftovers(disk, &files)?;
    tracing::warn!("the folder is that of an earlier version: its journal is converted to a log");
    let id = FolderId(fastrand::u128(..));
    let converted = write_log(disk, Settings { folder: id, ..settings }, machine);
    let Err(problem) = converted else { return Ok(()) };
    // The folder is as it was, as far as the disk allows.
    if let Ok(files) = regular_files(disk) {
        remove_leftovers(disk, &files).ok();
    }
    Err(problem)
}

/// Checks the journal of a folder, and changes nothing.
pub(crate) fn check_journal(disk: &dyn Disk) -> Result<(), OpenProblem> {
    let files = regular_files(disk)?;
    journal::read_back(&mut JournalFiles { disk, files: &files }, |_| Ok(())).map(drop)
}

/// Removes the journal of a folder whose conversion is complete.
pub(crate) fn finish(disk: &dyn Disk) -> Result<(), OpenProblem> {
    let failed = || OpenProblem::io("cannot remove the journal, which was converted");
    let files = regular_files(disk)?;
    if ![CONVERTED, FOLDER_NAME].iter().all(|name| files.contains_key(*name)) {
        return Ok(());
    }
    let identity = disk.read_at(FOLDER_NAME, 0, FOLDER_LEN as u64 + 1).map_err(failed())?;
    let id = read_identity(&identity).map_err(of_problem)?;
    let bytes = disk.read_at(CONVERTED, 0, CONVERTED_LEN as u64 + 1).map_err(failed())?;
    let (number, salt) = match decode_converted(&bytes) {
        Some((folder, number, salt)) if folder == id => (number, salt),
        _ => {
            let what = "it does not tell which journal was converted".to_owned();
            return Err(OpenProblem::Corrupt { file: CONVERTED.to_owned(), offset: 0, what });
        }
    };
    let newest = journal::file_name(number);
    if files.contains_key(&newest)
        && journal::salt_of_file(&mut JournalFiles { disk, files: &files }, &newest)? != salt
    {
        let what = "it is not the journal that was converted".to_owned();
        return Err(OpenProblem::Foreign { file: newest, what });
    }
    let is_old = |name: &str| journal::file_number(name).is_none_or(|other| other <= number);
    for name in files.keys().filter(|name| journal::is_of_journal(name) && is_old(name)) {
        disk.remove(name).map_err(failed())?;
    }
    disk.sync_folder().map_err(failed())?;
    disk.remove(CONVERTED).map_err(failed())?;
    disk.sync_folder().map_err(failed())
}

/// Writes all that the journal has to a log, and makes the folder that of the log.
fn write_log(disk: &dyn Disk, settings: Settings, machine: Machine) -> Result<(), OpenProblem> {
    let failed = || OpenProblem::io("cannot convert its journal to a log");
    let (steps, head) = creation(settings.folder, Salt(fastrand::u64(..)), Vec::new());
    let created = |wanted: fn(&str) -> bool| {
        steps.iter().filter_map(move |step| match step {
            FolderStep::Create { name, bytes } if wanted(name) => Some((name, bytes)),
            _ => None,
        })
    };
    // Before any other file: what is not complete is known by it.
    let first = created(|name| name == UNFINISHED).chain(created(|name| name != UNFINISHED));
    for (name, bytes) in first {
        disk.create(name, bytes).map_err(failed())?;
        disk.sync_folder().map_err(failed())?;
    }
    let writer = LogWriter::new(settings, None, Some(head), Sequence::default(), MarkSlot::Second);
    let mut writing = Writing { disk, writer, machine, memory: 0, failure: None };
    let files = regular_files(disk)?;
    let read = journal::read_back(&mut JournalFiles { disk, files: &files }, |record| {
        writing.take(record)
    })?;
    writing.end().map_err(failed())?;
    if let Some(journal::Recovered { number, salt, .. }) = read {
        let bytes = encode_converted(settings.folder, number, salt);
        disk.create(CONVERTED, &bytes).map_err(failed())?;
    }
    disk.sync_folder().map_err(failed())?;
    disk.rename(UNFINISHED, FOLDER_NAME).map_err(failed())?;
    disk.sync_folder().map_err(failed())
}

/// A log that is written from the records of a journal.
struct Writing<'a> {
    disk: &'a dyn Disk,
    writer: LogWriter,
    machine: Machine,
    /// The memory of the records that were not written yet.
    memory: usize,
    failure: Option<io::Error>,
}

impl Writing<'_> {
    fn take(
        &mut self,
        record: &Record,
    ) -> Result<(), pravega_sdk_server_core::catalog::RestoreError> {
        self.machine.replay(record)?;
        self.memory += record.memory();
        if self.memory >= BATCH && self.failure.is_none() {
            self.failure = self.write().err();
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.memory = 0;
        let Some((sequence, records)) = self.machine.take_batch() else { return Ok(()) };
        self.writer.submit(sequence, records).map_err(io::Error::other)?;
        self.settle()?;
        let MemoryLimit(limit) = self.machine.memory_limit;
        while self.machine.held() > limit / 2 {
            let more = self.machine.held() - limit / 2;
            if self.machine.store.evict(sequence, more) == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Writes and syncs everything that was submitted.
    fn settle(&mut self) -> io::Result<()> {
        loop {
            if let Some(head) = self.writer.poll_prepare(fastrand::u64(..)) {
                self.disk.create(&head.number.name(), &head.encode())?;
                self.disk.sync_folder()?;
                self.writer.handle_prepared(&Outcome::Done);
            }
            let Some(effect) = self.writer.poll(Duration::ZERO) else { return Ok(()) };
            let event = self.writer.handle(carry_out_commit(self.disk, effect));
            if let Some(Event::Refused { why, .. }) = event {
                return Err(io::Error::new(io::ErrorKind::StorageFull, why));
            }
            if let Some(why) = self.writer.failure() {
                return Err(io::Error::other(why.to_owned()));
            }
        }
    }

    fn end(mut self) -> io::Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.write()?;
        self.writer.close();
        self.settle()
    }
}

/// The lengths of all files. Those of a journal are regular ones.
fn regular_files(disk: &dyn Disk) -> Result<BTreeMap<String, u64>, OpenProblem> {
    let mut files = BTreeMap::new();
    for (name, kind, len) in disk.list().map_err(OpenProblem::io("cannot list its files"))? {
        let what = match kind {
            Kind::Regular => {
                files.insert(name, len);
                continue;
            }
            _ if !journal::is_of_journal(&name) => continue,
            Kind::Link => "it is a symbolic link",
            Kind::Other => "it is no regular file",
        };
        return Err(OpenProblem::Foreign { file: name, what: what.to_owned() });
    }
    Ok(files)
}

/// Removes what an interrupted conversion has left. Everything else is refused by its name.
fn remove_leftovers(disk: &dyn Disk, files: &BTreeMap<String, u64>) -> Result<(), OpenProblem> {
    let read = |name: &str, len: usize| {
        let bytes = disk.read_at(name, 0, len as u64);
        bytes.map_err(OpenProblem::io(format!("cannot read {name}")))
    };
    let id = match files.get(UNFINISHED) {
        Some(_) => read_identity(&read(UNFINISHED, FOLDER_LEN + 1)?).ok(),
        None => None,
    };
    let mut leftovers = Vec::new();
    for (name, len) in files {
        let is_whole = *len > HEAD_LEN as u64;
        let is_ours = match &**name {
            _ if FileNumber::of_name(name).is_some() => {
                let head = FileHead::decode(&read(name, HEAD_LEN)?);
                head.map_or(!is_whole, |head| Some(head.folder) == id)
            }
            MARK_NAME => {
                Mark::read(&read(name, MARK_LEN)?).is_none_or(|(mark, _)| Some(mark.folder) == id)
            }
            CONVERTED => decode_converted(&read(name, CONVERTED_LEN + 1)?)
                .is_none_or(|(folder, _, _)| Some(folder) == id),
            _ => continue,
        };
        // Nothing is created before the id is durable.
        if !is_ours || id.is_none() {
            let what = "it is none of the journal's, and no conversion has left it".to_owned();
            return Err(OpenProblem::Foreign { file: name.clone(), what });
        }
        leftovers.push(name);
    }
    for name in leftovers.into_iter().map(String::as_str).chain([UNFINISHED]) {
        disk.remove(name).map_err(OpenProblem::io(format!("cannot remove {name}")))?;
    }
    disk.sync_folder().map_err(OpenProblem::io("cannot sync the folder"))
}

/// The files of a journal, which are only read.
pub(super) struct JournalFiles<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) files: &'a BTreeMap<String, u64>,
}

impl ReadDisk for JournalFiles<'_> {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let is_of_log = |name: &&String| {
            FileNumber::of_name(name).is_some()
                || [UNFINISHED, MARK_NAME, CONVERTED].contains(&name.as_str())
        };
        Ok(self.files.keys().filter(|name| !is_of_log(name)).cloned().collect())
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        self.files.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        Ok(self.disk.read_at(name, offset, len as u64)?.into())
    }
}

fn encode_converted(folder: FolderId, number: u64, salt: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CONVERTED_LEN);
    bytes.put_u128(folder.0);
    bytes.put_u64(number);
    bytes.put_u64(salt);
    bytes.put_u32(crc32fast::hash(&bytes));
    bytes
}

fn decode_converted(bytes: &Bytes) -> Option<(FolderId, u64, u64)> {
    let whole = bytes.get(..CONVERTED_LEN).filter(|_| bytes.len() == CONVERTED_LEN)?;
    let (mut body, crc) = whole.split_at(CONVERTED_LEN - 4);
    if crc != crc32fast::hash(body).to_be_bytes() {
        return None;
    }
    let folder = FolderId(body.try_get_u128().ok()?);
    Some((folder, body.try_get_u64().ok()?, body.try_get_u64().ok()?))
}
