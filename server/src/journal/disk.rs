//! What the journal asks of a disk, and the folder of a real one.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A folder with files, as far as it is read.
pub(crate) trait ReadDisk {
    /// The names of all files.
    fn list(&mut self) -> io::Result<Vec<String>>;
    /// The content of a file.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;
}

/// A folder with files.
///
/// What was written is durable once the file was synced, and a file is there for good once the
/// folder was. A call that failed may have been done in part.
pub(crate) trait Disk: ReadDisk + Send {
    /// Makes an empty file, in place of one that there may be.
    fn create(&mut self, name: &str) -> io::Result<()>;
    /// Writes behind the end of a file.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Writes at a place of a file.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file off.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Makes what was written to a file durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Gives a file another name, in place of a file that there may be.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes durable which files there are.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// A folder that belongs to one server.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: HashMap<String, File>,
    /// Held for as long as the folder is in use.
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// Another process has it.
    InUse {
        pid: String,
    },
    Io {
        what: &'static str,
        error: io::Error,
    },
}

const LOCK: &str = "lock";

impl Folder {
    /// Takes a folder for this process, and makes it if need be: 0700, its files 0600, whatever the
    /// umask.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let io = |what| move |error| FolderError::Io { what, error };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("it cannot be made"))?;
        if fs::symlink_metadata(path).map_err(io("it cannot be looked at"))?.is_symlink() {
            let error = io::Error::other("it is a link");
            return Err(FolderError::Io { what: "it cannot be used", error });
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(io("its mode cannot be set"))?;
        let mut lock = options()
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(io("its lock cannot be made"))?;
        if let Err(error) = lock.try_lock() {
            return Err(match error {
                fs::TryLockError::WouldBlock => {
                    let pid = fs::read_to_string(path.join(LOCK)).unwrap_or_default();
                    FolderError::InUse { pid: pid.trim().to_owned() }
                }
                fs::TryLockError::Error(error) => {
                    FolderError::Io { what: "its lock cannot be taken", error }
                }
            });
        }
        // Only a help for people: the lock is what counts.
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).ok();
        Ok(Self { path: path.to_owned(), files: HashMap::new(), _lock: lock })
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.files.contains_key(name) {
            let file = options().open(self.path.join(name))?;
            self.files.insert(name.to_owned(), file);
        }
        self.files.get(name).ok_or_else(|| io::Error::other("the file was closed"))
    }
}

/// A folder that is only read, without its lock.
#[derive(Debug)]
pub(crate) struct ReadOnlyFolder {
    path: PathBuf,
}

impl ReadOnlyFolder {
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

fn list(path: &Path) -> io::Result<Vec<String>> {
    let names =
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().filter(|name| name != LOCK).collect())
}

impl ReadDisk for ReadOnlyFolder {
    fn list(&mut self) -> io::Result<Vec<String>> {
        list(&self.path)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

impl ReadDisk for Folder {
    fn list(&mut self) -> io::Result<Vec<String>> {
        list(&self.path)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }
}

impl Disk for Folder {
    fn create(&mut self, name: &str) -> io::Result<()> {
        let file = options().create(true).truncate(true).open(self.path.join(name))?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        self.files.insert(name.to_owned(), file);
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(name)?;
        let end = file.metadata()?.len();
        file.write_all_at(bytes, end)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.file(name)?.set_len(len)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        if let Some(file) = self.files.remove(from) {
            self.files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name);
        fs::remove_file(self.path.join(name))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}
