//! A backup: the files of a folder as of one durable batch, each checked while it is copied.

use std::{
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

use super::{
    error::{CopyError, Side},
    in_thread,
    keeping::{Keeping, Progress},
    source::Source,
    target::{self, Target},
};
use crate::{
    folder::{FolderError, ReadFolder},
    journal::{OpenError, OpenProblem},
    log::{Disk, Replay, Survey, cannot_read, is_of_journal, of_problem, survey},
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
/// only after they were copied. Every byte is checked, and damage is named. A file that another
/// program has removed or replaced is read by the server, as long as it has it open.
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
    let ended = Ended::default();
    let is_ended = Arc::clone(&ended.0);
    let work = move |from: &Path, to: &Path| run(is_ended, from, to);
    in_thread("copying it", from.into(), to.into(), work).await
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

fn run(is_ended: Arc<AtomicBool>, from: &Path, to: &Path) -> Result<Backup, CopyError> {
    let source = |problem| CopyError::Source(OpenError { folder: from.to_owned(), problem });
    let mut folder = ReadFolder::open(from).map_err(OpenProblem::of_folder).map_err(source)?;
    let (files, keeping) = match folder.lock() {
        Ok(()) => (Source::of(folder), None),
        Err(FolderError::InUse { pid }) => {
            let (keeping, snapshot) = Keeping::ask(&folder)
                .map_err(|source| CopyError::NoAnswer { folder: from.to_owned(), pid, source })?;
            (Source::frozen(folder, snapshot), Some(keeping))
        }
        Err(error) => return Err(source(OpenProblem::of_folder(error))),
    };
    let files = files.with_progress(Progress { is_ended, keeping });
    let survey = look(&files).map_err(source)?;
    let copied = target::empty(to).and_then(|target| copy(&files, &survey, &target));
    copied.map_err(|side| side.error(from.to_owned(), to.to_owned()))
}

/// Copies what a start needs to an empty folder.
fn copy(files: &Source, survey: &Survey, to: &dyn Disk) -> Result<Backup, Side> {
    let Survey { folder, recovered, needed, .. } = survey;
    let mut target = Target::begin(to)?;
    let mut bytes = 0;
    for file in needed {
        match copy_file(files, &mut target, *file, *folder) {
            Ok(()) => bytes += file.copied_len(),
            Err(side) => return Err(target.give_up(side)),
        }
    }
    target.finish(recovered.end(), recovered.sequence)?;
    Ok(Backup { files: needed.len(), bytes, batch: recovered.sequence.0 })
}

fn copy_file(
    files: &Source,
    target: &mut Target<'_>,
    file: CopiedFile,
    from: FolderId,
) -> Result<(), Side> {
    let name = file.name();
    let mut copy = FileCopy::new(file, from, target.id());
    let damaged = |problem| Side::Source(of_problem(problem));
    loop {
        match copy.poll().map_err(damaged)? {
            CopyStep::Read { at, len } => {
                let read = files.read_at(&name, at, len);
                let read = read.map_err(|error| Side::Source(cannot_read(&name, error)))?;
                copy.handle_read(read).map_err(damaged)?;
            }
            CopyStep::Write { at, bytes } => target.write(&name, at, &bytes)?,
            CopyStep::Done => break,
        }
    }
    target.sync(&name)?;
    files.release(&name).map_err(Side::source(format!("cannot read {name}")))
}

/// Finds out what a start would read of a folder, and reads its checkpoints and the log after them.
fn look(files: &dyn Disk) -> Result<Survey, OpenProblem> {
    let listed = files.list().map_err(OpenProblem::io("cannot list its files"))?;
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
    copy(&files, &survey, to)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read as _};

    use super::{super::keeping::tests::silent, *};
    use crate::{builder::ServerBuilder, storage::OpenedStorage};

    /// The files of a new folder, whose reads go on with a backup.
    fn files(folder: &Path, progress: Progress) -> Source {
        drop(OpenedStorage::open(&ServerBuilder::default(), folder).unwrap());
        Source::of(ReadFolder::open(folder).unwrap()).with_progress(progress)
    }

    #[test]
    fn a_server_hears_of_a_backup_while_that_finds_out_what_a_start_would_read() {
        let folder = tempfile::tempdir().unwrap();
        let (progress, mut server) = silent();
        look(&files(folder.path(), progress)).unwrap();
        let mut heard = String::new();
        server.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "\n");
    }

    #[test]
    fn a_backup_that_is_dropped_ends_also_before_its_first_file_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let ended = Ended::default();
        let progress = Progress { is_ended: Arc::clone(&ended.0), keeping: None };
        let files = files(folder.path(), progress);
        look(&files).unwrap();
        drop(ended);
        let Err(OpenProblem::Io { error, .. }) = look(&files) else { panic!("it goes on") };
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
