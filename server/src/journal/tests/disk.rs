//! The calls of the disk by which earlier versions wrote a journal, and a folder that is read.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::super::disk::ReadDisk;
use crate::folder::LOCK;

/// A folder with files.
///
/// Written bytes are durable once the file is synced, and a file is once the folder is synced. A
/// call that fails may have had a part of its effect.
pub(super) trait Disk: ReadDisk {
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

/// A folder that is only read, without its lock.
#[derive(Debug)]
pub(super) struct ReadOnlyFolder {
    path: PathBuf,
}

impl ReadOnlyFolder {
    pub(super) fn of(path: &Path) -> Self {
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
