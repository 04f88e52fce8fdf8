//! The disk calls of the journal, and a real folder.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{files, problem::OpenProblem};
use crate::folder::{ClaimedFolder, Kind, LOCK, Listed, LockedFolder};

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
    folder: ClaimedFolder,
    files: HashMap<String, File>,
}

impl Folder {
    /// Locks a folder for this process, and creates it if it does not exist. A folder with files of
    /// other kinds only is refused, and nothing in it is changed.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenProblem> {
        let folder = LockedFolder::open(path).map_err(OpenProblem::of_folder)?;
        let listing = folder.list();
        let listing = listing
            .map_err(|error| OpenProblem::Io { what: "cannot list its files".to_owned(), error })?;
        check(&listing)?;
        let folder = folder.claim().map_err(OpenProblem::of_folder)?;
        Ok(Self { folder, files: HashMap::new() })
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.files.contains_key(name) {
            let file = self.folder.open_file(name)?;
            self.files.insert(name.to_owned(), file);
        }
        self.files.get(name).ok_or_else(|| io::Error::other("the file was closed"))
    }
}

/// What file systems make in their topmost folder.
const OF_FILE_SYSTEMS: &str = "lost+found";

/// Checks that a folder is empty, or one of a journal.
fn check(listing: &BTreeMap<String, Listed>) -> Result<(), OpenProblem> {
    let foreign = |file: &str, what: &str| {
        Err(OpenProblem::Foreign { file: file.to_owned(), what: what.to_owned() })
    };
    let (ours, others): (Vec<_>, Vec<_>) =
        listing.iter().partition(|(name, _)| files::is_of_journal(name));
    if ours.is_empty()
        && let Some((name, _)) = others.iter().find(|(name, _)| *name != OF_FILE_SYSTEMS)
    {
        return foreign(
            name,
            "the folder has other files, and none of a server: choose another one, which need not \
             exist",
        );
    }
    for (name, listed) in ours {
        match listed.kind {
            Kind::Regular => {}
            Kind::Link => return foreign(name, "it is a symbolic link"),
            Kind::Other => return foreign(name, "it is no regular file"),
        }
    }
    Ok(())
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

fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(offset);
    let len = (len as u64).min(left);
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, offset)?;
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
        read_at(&File::open(self.path.join(name))?, offset, len)
    }
}

impl ReadDisk for Folder {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.folder.list()?.into_keys().collect())
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(self.file(name)?.metadata()?.len())
    }

    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        read_at(self.file(name)?, offset, len)
    }
}

impl Disk for Folder {
    fn create(&mut self, name: &str) -> io::Result<()> {
        let file = self.folder.create_file(name)?;
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
        self.folder.rename(from, to)?;
        if let Some(file) = self.files.remove(from) {
            self.files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name);
        self.folder.remove(name)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.folder.sync()
    }
}
