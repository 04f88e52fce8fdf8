//! A folder that is only read.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use rustix::fs::OFlags;

use super::{
    create,
    files::{self, LOCK, Listing},
    lock::{FolderError, failed, pid},
    socket,
};

use crate::locks::lock;

/// A folder in which nothing is changed.
#[derive(Debug)]
pub(crate) struct ReadFolder {
    folder: File,
    /// The file that was read last.
    last: Mutex<Option<(String, Arc<File>)>>,
    /// The lock of earlier versions, if it was taken.
    lock: Option<File>,
}

impl ReadFolder {
    /// Opens a folder that exists.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = create::open(path).map_err(|error| create::in_the_way(path, error));
        let folder = folder.map_err(failed("cannot open it"))?;
        Ok(Self { folder, last: Mutex::default(), lock: None })
    }

    /// Opens a folder that exists, which no server uses until this is dropped.
    ///
    /// # Errors
    ///
    /// [`FolderError::InUse`] if one does.
    pub(crate) fn locked(path: &Path) -> Result<Self, FolderError> {
        let mut folder = Self::open(path)?;
        folder.lock()?;
        Ok(folder)
    }

    /// Keeps servers from using the folder until this is dropped.
    ///
    /// # Errors
    ///
    /// [`FolderError::InUse`] if one does.
    pub(crate) fn lock(&mut self) -> Result<(), FolderError> {
        let in_use = |folder: &File| FolderError::InUse { pid: pid(folder) };
        if let Err(TryLockError::WouldBlock) = self.folder.try_lock() {
            return Err(in_use(&self.folder));
        }
        // Earlier versions lock only that file, and so does any version on some file systems.
        let lock = match files::open(&self.folder, LOCK, OFlags::RDONLY) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("cannot open its file `lock`")(error)),
        };
        // What is open for reading cannot be locked everywhere.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(in_use(&self.folder));
        }
        self.lock = Some(lock);
        Ok(())
    }

    /// The files of the folder, but for the lock.
    pub(crate) fn list(&self) -> io::Result<Listing> {
        files::list(&self.folder)
    }

    /// The bytes of a file at an offset: as many as there are, up to a number.
    pub(crate) fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        let known = lock(&self.last).clone();
        let file = match known.filter(|(known, _)| known == name) {
            Some((_, file)) => file,
            None => Arc::new(files::open(&self.folder, name, OFlags::RDONLY)?),
        };
        let named = (name.to_owned(), Arc::clone(&file));
        *lock(&self.last) = Some(named);
        files::read_at(&file, at, len)
    }

    /// Connects to a socket in the folder.
    pub(crate) fn connect(&self, name: &str) -> io::Result<std::os::unix::net::UnixStream> {
        socket::connect(&self.folder, name)
    }
}

impl Drop for ReadFolder {
    fn drop(&mut self) {
        // A process that is being started may have copies of the descriptors.
        self.folder.unlock().ok();
        self.lock.take().map(|lock| lock.unlock().ok());
    }
}
