//! The calls of the disk, and how each of them ended.

use std::{fmt, io, ops::Range};

use bytes::Bytes;
use pravega_sdk_server_core::log::{
    CheckpointEffect, Effect, FolderStep, LostFile, MARK_NAME, MarkSync, Outcome,
};

use crate::folder::Kind;

/// What a check of all files that a start needs has found.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// The files that another program has removed, replaced or cut short.
    pub(crate) files: Vec<LostFile>,
    /// The names of files that the system does not describe, and why.
    pub(crate) unseen: Vec<(String, io::Error)>,
}

/// A folder with files, for several threads.
///
/// Written bytes are durable once the file is synced, and a name is once the folder is synced. A
/// call that fails may have had a part of its effect.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// The names of all files, with their kinds and lengths.
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>>;
    /// The most bytes that all files may have; `None` if that is not known.
    fn capacity(&self) -> Option<u64> {
        None
    }
    /// The bytes of a file at an offset: as many as there are, up to a number.
    fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes>;
    /// Tells the system that bytes of a file are likely to be read soon. Nothing waits for them.
    fn will_read(&self, _name: &str, _range: Range<u64>) {}
    /// Tells the system that a file, which is durable, is not likely to be read soon.
    fn will_not_read(&self, _name: &str) {}
    /// Creates a file with durable bytes; replaces an existing one.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Writes at an offset of a file.
    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Shortens a file.
    fn cut(&self, name: &str, len: u64) -> io::Result<()>;
    /// Makes the content of a file durable.
    fn sync(&self, name: &str) -> io::Result<()>;
    /// Renames a file; replaces an existing one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file, if it exists.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names of the files durable.
    fn sync_folder(&self) -> io::Result<()>;
    /// The files that another program has removed, replaced or cut short, as far as that is known.
    fn lost(&self) -> Losses {
        Losses::default()
    }
    /// The folder, for people.
    fn place(&self) -> String {
        "the folder".to_owned()
    }
}

/// The parts in which a file is read that cannot be read as a whole, in bytes.
const SECTOR: u64 = 4096;

/// Reads bytes of a file of a length, with zeros for those that the disk cannot read, and tells
/// each part of which that is so.
///
/// # Errors
///
/// If the file does not exist.
pub(crate) fn read_around(
    disk: &dyn Disk,
    (name, file_len): (&str, u64),
    at: u64,
    len: u64,
    mut unreadable: impl FnMut(Range<u64>, io::Error),
) -> io::Result<Bytes> {
    match disk.read_at(name, at, len) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {}
        read => return read,
    }
    let (mut all, mut from) = (Vec::new(), at);
    let end = at.saturating_add(len).min(file_len);
    while from < end {
        let part = (SECTOR - from % SECTOR).min(end - from);
        match disk.read_at(name, from, part) {
            Ok(bytes) => all.extend_from_slice(&bytes),
            Err(error) => {
                all.resize(all.len() + usize::try_from(part).unwrap_or_default(), 0);
                unreadable(from..from + part, error);
            }
        }
        from += part;
    }
    Ok(all.into())
}

/// The outcome of a call, as the machines know it.
pub(super) fn outcome(done: io::Result<()>) -> Outcome {
    let Err(error) = done else { return Outcome::Done };
    match error.kind() {
        // The disk, a quota, a limit on the length of files.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Outcome::NoSpace(error.to_string())
        }
        _ => Outcome::Failed(error.to_string()),
    }
}

/// Carries out a call of a checkpoint or a compaction.
pub(super) fn carry_out(disk: &dyn Disk, effect: &CheckpointEffect) -> Outcome {
    outcome(match effect {
        CheckpointEffect::Append { name, at: 0, bytes } => disk.create(name, bytes),
        CheckpointEffect::Append { name, at, bytes } => disk.write_at(name, *at, bytes),
        CheckpointEffect::Sync { name } => disk.sync(name),
        CheckpointEffect::Rename { from, to } => disk.rename(from, to),
        CheckpointEffect::SyncFolder => disk.sync_folder(),
        CheckpointEffect::Remove { name } => disk.remove(name),
    })
}

/// Carries out a step of creating a folder.
pub(crate) fn carry_out_step(disk: &dyn Disk, step: &FolderStep) -> io::Result<()> {
    match step {
        FolderStep::Remove(name) => disk.remove(name),
        FolderStep::Create { name, bytes } => disk.create(name, bytes),
        FolderStep::Rename { from, to } => disk.rename(from, to),
        FolderStep::Sync => disk.sync_folder(),
    }
}

/// Carries out a call of a commit.
pub(crate) fn carry_out_commit(disk: &dyn Disk, effect: Effect) -> Outcome {
    outcome(match effect {
        Effect::Write { place, bytes } => disk.write_at(&place.file.name(), place.at, &bytes),
        Effect::Sync { file } => disk.sync(&file.name()),
        Effect::Cut { end } => disk.cut(&end.file.name(), end.at),
        Effect::Mark { slot, bytes, sync } => {
            let written = disk.write_at(MARK_NAME, slot.at(), &bytes);
            match sync {
                MarkSync::Lazy => written,
                MarkSync::Now => written.and_then(|()| disk.sync(MARK_NAME)),
            }
        }
    })
}
