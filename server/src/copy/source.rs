//! The folder that is copied: it is only read.

use std::{collections::BTreeMap, io};

use bytes::Bytes;
use pravega_sdk_server_core::log::{MARK_NAME, Snapshot};

use super::keeping::Progress;
use crate::{
    folder::{Kind, ReadFolder},
    log::Disk,
};

/// The files of a folder, of which none can be written.
#[derive(Debug)]
pub(crate) struct Source {
    folder: ReadFolder,
    /// What of them counts, while a server goes on.
    frozen: Option<Frozen>,
    progress: Progress,
}

#[derive(Debug)]
struct Frozen {
    files: BTreeMap<String, u64>,
    mark: Bytes,
}

impl Source {
    /// The files of a folder that no server uses.
    pub(crate) fn of(folder: ReadFolder) -> Self {
        Self { folder, frozen: None, progress: Progress::default() }
    }

    /// The files of a running server, as of a durable batch.
    pub(super) fn frozen(folder: ReadFolder, snapshot: Snapshot) -> Self {
        let mark = snapshot.mark_bytes().into();
        let frozen = Some(Frozen { files: snapshot.files, mark });
        Self { folder, frozen, progress: Progress::default() }
    }

    /// The same files, whose reads are those of a backup: each goes on with it.
    pub(super) fn with_progress(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// Notes that a file is not read any longer.
    pub(super) fn release(&self, name: &str) -> io::Result<()> {
        self.progress.release(name)
    }
}

fn is_only_read<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for Source {
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        let Some(frozen) = &self.frozen else {
            let files = self.folder.list()?.into_iter();
            return Ok(files.map(|(name, listed)| (name, listed.kind, listed.len)).collect());
        };
        let files = frozen.files.iter();
        Ok(files.map(|(name, len)| (name.clone(), Kind::Regular, *len)).collect())
    }

    fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        self.progress.go_on()?;
        let Some(frozen) = &self.frozen else { return self.folder.read_at(name, at, len) };
        let whole = frozen.files.get(name).copied().unwrap_or_default();
        let end = whole.min(at.saturating_add(len));
        if name == MARK_NAME {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(frozen.mark.len());
            return Ok(frozen.mark.slice(place(at).min(place(end))..place(end)));
        }
        let len = end.saturating_sub(at);
        if self.progress.is_lost(name)
            && let Some(read) = self.progress.read(name, at, len)
        {
            return read;
        }
        match self.folder.read_at(name, at, len) {
            // It was removed after the server had told its files.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.progress.read(name, at, len).unwrap_or(Err(error))
            }
            read => read,
        }
    }

    fn create(&self, _: &str, _: &[u8]) -> io::Result<()> {
        is_only_read()
    }

    fn write_at(&self, _: &str, _: u64, _: &[u8]) -> io::Result<()> {
        is_only_read()
    }

    fn cut(&self, _: &str, _: u64) -> io::Result<()> {
        is_only_read()
    }

    fn sync(&self, _: &str) -> io::Result<()> {
        is_only_read()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        is_only_read()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        is_only_read()
    }

    fn sync_folder(&self) -> io::Result<()> {
        is_only_read()
    }
}
