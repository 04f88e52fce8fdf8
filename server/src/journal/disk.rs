//! The disk calls of the journal, and a real folder.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A folder that can be read.
pub(crate) trait ReadDisk {
    /// The names of all files.
    fn list(&mut self) -> io::Result<Vec<String>>;
    /// The length of a file.
    fn len(&mut self, name: &str) -> io::Result<u64>;
    /// The bytes of a file at an offset, as many as there are up to a number.
    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;
}

/// A folder with files.
///
/// Written bytes are durable once the file is synced, and a file is once the folder is synced. A
/// call that fails may have had a part of its effect.
pub(crate) trait Disk: ReadDisk + Send {
    /// Creates an empty file; replaces an existing one.
    fn create(&mut self, name: &str) -> io::Result<()>;
    /// Writes at the end of a file.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Writes at an offset of a file.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Shortens a file.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Makes the content of a file durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Renames a file; replaces an existing one.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes the names of the files durable.
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

/// An error from opening a folder.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// Another process uses it.
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
    /// Locks a folder for this process, and creates it if it does not exist. Modes are 0700, and
    /// 0600 for files, under any umask.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let io = |what| move |error| FolderError::Io { what, error };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("cannot create it"))?;
        if fs::symlink_metadata(path).map_err(io("cannot read its type"))?.is_symlink() {
            let error = io::Error::other("it is a symbolic link");
            return Err(FolderError::Io { what: "cannot use it", error });
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(io("cannot set its mode"))?;
        let mut lock = options()
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(io("cannot create its lock"))?;
        if let Err(error) = lock.try_lock() {
            return Err(match error {
                fs::TryLockError::WouldBlock => {
                    let pid = fs::read_to_string(path.join(LOCK)).unwrap_or_default();
                    FolderError::InUse { pid: pid.trim().to_owned() }
                }
                fs::TryLockError::Error(error) => {
                    FolderError::Io { what: "cannot take its lock", error }
                }
            });
        }
        // The number is for people only; the lock decides.
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

fn read_at(file: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let left = file.metadata()?.len().saturating_sub(offset);
    let len = (len as u64).min(left);
    let mut bytes = Vec::with_capacity(len as usize);
    file.seek(io::SeekFrom::Start(offset))?;
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl ReadDisk for ReadOnlyFolder {
    fn list(&mut self) -> io::Result<Vec<String>> {
        list(&self.path)
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        read_at(&self.path.join(name), offset, len)
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

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        read_at(&self.path.join(name), offset, len)
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
