//! The locks of a folder.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Write as _},
    ops::Deref,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use pravega_sdk_server_core::log::Seen;
use rustix::{
    fs::{AtFlags, OFlags},
    io::Errno,
    process::{Pid, test_kill_process},
};

use super::{
    create,
    files::{self, LOCK},
    socket,
};

/// The most bytes of a process's number.
const PID_LEN: u64 = 20;

/// The number of times that a lock which was removed meanwhile is looked for again.
const ATTEMPTS: usize = 10;

/// An error from locking a folder.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// Another process uses it.
    InUse {
        /// The id of the process, as it is in the lock; `None` if there is none, or no process of
        /// this machine has it: not every process that uses a folder writes there.
        pid: Option<u32>,
    },
    /// A call of the system failed.
    Io {
        /// The failed action.
        what: &'static str,
        /// The cause.
        error: io::Error,
    },
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    move |error| FolderError::Io { what, error }
}

/// A file or folder whose lock ends with it, also while a process that is being started has a copy
/// of its descriptor.
#[derive(Debug)]
struct Locked(File);

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.unlock().ok();
    }
}

/// A folder that no other process can lock. Nothing in it was changed.
#[derive(Debug)]
pub(crate) struct LockedFolder {
    folder: Locked,
    path: PathBuf,
}

impl LockedFolder {
    /// Locks a folder for this process, and creates it if it does not exist.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = create::open_or_create(path)
            .map_err(|error| create::in_the_way(path, error))
            .map_err(failed("cannot open it"))?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse { pid: pid(&folder) }),
            // Some file systems over a network lock only what is open for writing, as no folder is.
            // There the file in it has to do.
            Err(TryLockError::Error(_)) => {}
        }
        // Between opening and locking it, the folder may have been replaced by another one.
        let now = create::open(path).map_err(failed("cannot open it"))?;
        if !is_same(&folder, &now).map_err(failed("cannot read its number"))? {
            let error = io::Error::other("it is another folder than a moment ago");
            return Err(failed("cannot open it")(error));
        }
        Ok(Self { folder: Locked(folder), path: path.to_owned() })
    }

    /// The files of the folder, but for the lock.
    pub(crate) fn list(&self) -> io::Result<files::Listing> {
        files::list(&self.folder)
    }

    /// Takes the lock of earlier versions too, which lock only a file in the folder.
    pub(crate) fn claim(self) -> Result<ClaimedFolder, FolderError> {
        for _ in 0..ATTEMPTS {
            let mut lock = match open_lock(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                lock => lock.map_err(failed("cannot open its file `lock`"))?,
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(FolderError::InUse { pid: pid(&self.folder) });
                }
                Err(TryLockError::Error(error)) => {
                    return Err(failed("cannot lock its file `lock`")(error));
                }
            }
            // One that was removed after it was opened locks nothing.
            if let Ok(named) = files::open(&self.folder, LOCK, OFlags::RDONLY)
                && is_same(&named, &lock).unwrap_or(false)
            {
                // The process is for people only; the lock decides.
                lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).ok();
                let Self { folder, path } = self;
                return Ok(ClaimedFolder { folder, _lock: Locked(lock), path });
            }
        }
        let error = io::Error::other("its file `lock` is removed again and again");
        Err(failed("cannot open it")(error))
    }
}

/// Opens the lock, which is created if it does not exist.
fn open_lock(folder: &File) -> io::Result<File> {
    match files::open(folder, LOCK, OFlags::RDWR) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => files::create(folder, LOCK),
        opened => opened,
    }
}

/// Returns true if two descriptors are of one file.
fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// The process that has the lock of a folder, as far as that is known.
pub(super) fn pid(folder: &File) -> Option<u32> {
    let mut pid = String::new();
    let lock = files::open(folder, LOCK, OFlags::RDONLY).ok()?;
    lock.take(PID_LEN).read_to_string(&mut pid).ok()?;
    let pid = pid.trim().parse().ok()?;
    is_running(pid).then_some(pid)
}

/// Returns true if there is a process with an id.
fn is_running(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    // One of another user is there, too.
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

/// A folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub(crate) struct ClaimedFolder {
    folder: Locked,
    _lock: Locked,
    path: PathBuf,
}

impl ClaimedFolder {
    /// The files of the folder, but for the lock.
    pub(crate) fn list(&self) -> io::Result<files::Listing> {
        files::list(&self.folder)
    }

    /// The most bytes that the file system of the folder has for this user, with what is used of
    /// them; `None` if it does not say so.
    pub(crate) fn capacity(&self) -> Option<u64> {
        let found = rustix::fs::fstatvfs(&*self.folder).ok()?;
        let reserved = found.f_bfree.saturating_sub(found.f_bavail);
        let blocks = found.f_blocks.saturating_sub(reserved);
        blocks.checked_mul(found.f_frsize).filter(|bytes| *bytes > 0)
    }

    /// What the system says of the file with a name; `None` if there is none.
    pub(crate) fn seen(&self, name: &str) -> io::Result<Option<Seen>> {
        files::seen(&self.folder, name)
    }

    /// The path by which the folder was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens on a socket in the folder.
    pub(crate) fn listen(&self, name: &str) -> io::Result<std::os::unix::net::UnixListener> {
        socket::listen(&self.folder, name)
    }

    /// Opens a file for reading and writing.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<File> {
        files::open(&self.folder, name, OFlags::RDWR)
    }

    /// Creates an empty file, which replaces one of the same name. That one is not written to: it
    /// may have another name elsewhere.
    pub(crate) fn create_file(&self, name: &str) -> io::Result<File> {
        match self.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        files::create(&self.folder, name)
    }

    /// Renames a file; replaces an existing one.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&*self.folder, from, &*self.folder, to)?)
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&*self.folder, name, AtFlags::empty())?)
    }

    /// Makes the names of the files durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_once_it_is_dropped_also_while_a_new_process_has_its_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let claim = || LockedFolder::open(folder.path())?.claim();
        let claimed = claim().unwrap();
        // As between the fork and the start of a program.
        let copies = [&claimed.folder, &claimed._lock].map(|file| file.try_clone().unwrap());
        assert!(matches!(claim(), Err(FolderError::InUse { .. })));
        drop(claimed);
        claim().unwrap();
        drop(copies);
    }
}
