//! A backup: the files of a folder as of one durable batch, each checked while it is copied.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use pravega_sdk_server_core::{
    log::{
        CopiedFile, CopyStep, FileCopy, FolderId, Place, PlacedRecord, SpaceSettings, StateEntry,
    },
    record::Sequence,
};

use tokio::runtime::Handle;

use super::{
    error::{CopyError, Side},
    keeping::Keeping,
    source::Source,
    target::{self, Target},
};
use crate::{
    folder::{FolderError, ReadFolder},
    journal::{OpenError, OpenProblem},
    log::{Disk, Replay, Survey, is_of_journal, of_problem, survey},
};

/// A complete backup.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// The number of files that were copied.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The last change in it, by the number of its batch: all that were acknowledged before the
    /// backup was begun are at or before it.
    pub batch: u64,
}

/// Copies the data in the folder of a server to a new folder, also while the server runs in another
/// process or in this one.
///
/// The new folder has the state as of one moment after the call: what was acknowledged before the
/// call is in it, and no change in part. It is complete, and has an identity of its own: a server
/// can be started on it at once. The server writes and acknowledges meanwhile; it removes files
/// only after they were copied. Every byte is checked, and damage is named.
///
/// The new folder must be empty, or not exist. A failure leaves it empty; one that was left by
/// a crash is refused as unfinished.
///
/// # Errors
///
/// [`CopyError`] if the folder cannot be read, the new one cannot be written, or a process uses the
/// folder and does not answer, and outside a tokio runtime.
///
/// # Cancel safety
///
/// Dropping the future ends the backup after the read or write that it is at, as a failure does.
pub async fn backup(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Result<Backup, CopyError> {
    if Handle::try_current().is_err() {
        return Err(CopyError::NoRuntime);
    }
    let (from, to) = (from.into(), to.into());
    let ended = Ended::default();
    let copying = Copying { is_ended: Arc::clone(&ended.0) };
    let (source, target) = (from.clone(), to.clone());
    let copied = tokio::task::spawn_blocking(move || copying.run(&source, &target));
    copied.await.unwrap_or_else(|error| {
        let problem =
            OpenProblem::Io { what: "copying it".to_owned(), error: io::Error::other(error) };
        Err(CopyError::Source(OpenError { folder: from, problem }))
    })
}

/// Ends a copy when it is dropped.
#[derive(Debug, Default)]
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Nothing of what is read is used.
struct Unused;

impl Replay for Unused {
    fn entries(&mut self, _: Vec<StateEntry>) {}

    fn frame(&mut self, _: Place, _: Sequence, _: Vec<PlacedRecord>) {}
}

struct Copying {
    is_ended: Arc<AtomicBool>,
}

impl Copying {
    fn run(&self, from: &Path, to: &Path) -> Result<Backup, CopyError> {
        let source = |problem| CopyError::Source(OpenError { folder: from.to_owned(), problem });
        let mut folder = ReadFolder::open(from).map_err(OpenProblem::of_folder).map_err(source)?;
        let (files, mut keeping) = match folder.lock() {
            Ok(()) => (Source::of(folder), None),
            Err(FolderError::InUse { pid }) => {
                let (keeping, snapshot) = Keeping::ask(&folder).map_err(|source| {
                    CopyError::NoAnswer { folder: from.to_owned(), pid, source }
                })?;
                (Source::frozen(folder, snapshot), Some(keeping))
            }
            Err(error) => return Err(source(OpenProblem::of_folder(error))),
        };
        let survey = look(&files).map_err(source)?;
        let copied =
            target::empty(to).and_then(|target| self.copy(&files, &mut keeping, &survey, &target));
        copied.map_err(|side| side.error(from.to_owned(), to.to_owned()))
    }

    /// Copies what a start needs to an empty folder.
    pub(super) fn copy(
        &self,
        files: &dyn Disk,
        keeping: &mut Option<Keeping>,
        Survey { folder, recovered, needed, .. }: &Survey,
        to: &dyn Disk,
    ) -> Result<Backup, Side> {
        let mut target = Target::begin(to)?;
        let mut bytes = 0;
        for file in needed {
            match self.copy_file(files, keeping, &mut target, *file, *folder) {
                Ok(()) => bytes += file.copied_len(),
                Err(side) => return Err(target.give_up(side)),
            }
        }
        target.finish(recovered.end(), recovered.sequence)?;
        Ok(Backup { files: needed.len(), bytes, batch: recovered.sequence.0 })
    }

    fn copy_file(
        &self,
        files: &dyn Disk,
        keeping: &mut Option<Keeping>,
        target: &mut Target<'_>,
        file: CopiedFile,
        from: FolderId,
    ) -> Result<(), Side> {
        let name = file.name();
        let lost = |error| {
            let what = "the server does not keep its files any longer".to_owned();
            Side::Source(OpenProblem::Io { what, error })
        };
        let mut copy = FileCopy::new(file, from, target.id());
        let damaged = |problem| Side::Source(of_problem(problem));
        loop {
            if self.is_ended.load(Ordering::Acquire) {
                let error = io::ErrorKind::Interrupted.into();
                return Err(Side::target("it is not wanted any longer")(error));
            }
            if let Some(keeping) = keeping {
                keeping.go_on().map_err(lost)?;
            }
            match copy.poll().map_err(damaged)? {
                CopyStep::Read { at, len } => {
                    let read = files.read_at(&name, at, len).map_err(|error| {
                        Side::Source(OpenProblem::Io { what: format!("cannot read {name}"), error })
                    })?;
                    copy.handle_read(read).map_err(damaged)?;
                }
                CopyStep::Write { at, bytes } => target.write(&name, at, &bytes)?,
                CopyStep::Done => break,
            }
        }
        target.sync(&name)?;
        match keeping {
            Some(keeping) => keeping.release(&name).map_err(lost),
            None => Ok(()),
        }
    }
}

/// Finds out what a start would read of a folder, and reads its checkpoints and the log after them.
fn look(files: &dyn Disk) -> Result<Survey, OpenProblem> {
    let listed = files.list();
    let listed = listed
        .map_err(|error| OpenProblem::Io { what: "cannot list its files".to_owned(), error })?;
    if is_of_journal(listed.iter().map(|(name, _, _)| &**name)) {
        let (file, what) = (
            "folder".to_owned(),
            "an earlier version wrote the folder; a server \
             that is started on it converts it"
                .to_owned(),
        );
        return Err(OpenProblem::Missing { file, what });
    }
    survey(files, SpaceSettings { limit: None, reserve: 0 }, &mut Unused)
}

/// Copies the files of a running log to an empty folder.
#[cfg(test)]
pub(crate) fn take(
    snapshots: &super::Snapshots,
    from: &Path,
    to: &dyn Disk,
) -> Result<Backup, Side> {
    let (snapshot, _pins) = snapshots.take().unwrap();
    let folder = ReadFolder::open(from).map_err(OpenProblem::of_folder).map_err(Side::Source)?;
    let files = Source::frozen(folder, snapshot);
    let survey = look(&files).map_err(Side::Source)?;
    Copying { is_ended: Arc::default() }.copy(&files, &mut None, &survey, to)
}
