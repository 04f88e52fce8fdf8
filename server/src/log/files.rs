//! The files of a log, open for all threads.

use std::{
    collections::HashMap,
    fs::File,
    io,
    num::NonZero,
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use super::disk::Disk;
use crate::{
    folder::{ClaimedFolder, Kind, read_at},
    limits::log_files,
    locks::lock,
};

/// Has the system read a range of a file, if it can be asked to.
#[cfg(target_os = "linux")]
fn advise(file: &File, start: u64, len: NonZero<u64>) {
    rustix::fs::fadvise(file, start, Some(len), rustix::fs::Advice::WillNeed).ok();
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &File, _: u64, _: NonZero<u64>) {}

/// The files of a folder.
#[derive(Debug)]
pub(crate) struct Files {
    folder: ClaimedFolder,
    open: Mutex<Open>,
    /// The most files that are kept open.
    most: usize,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<String, Arc<File>>,
    /// The two log files that were written last, the last one first: that of the commits, and the
    /// next one, which has zeros before it has frames. They stay open: a commit must not fail for
    /// want of descriptors.
    written: [Option<String>; 2],
}

impl Open {
    fn keep(&mut self, name: &str, file: &Arc<File>, most: usize) {
        if self.files.len() >= most {
            // Those in use stay open by their users.
            let is_written =
                |name: &String| self.written.iter().flatten().any(|written| written == name);
            self.files.retain(|name, _| is_written(name));
        }
        self.files.insert(name.to_owned(), Arc::clone(file));
    }

    fn note_written(&mut self, name: &str) {
        let is_last = |written: &Option<String>| written.as_deref() == Some(name);
        let [last, _] = &self.written;
        if !name.starts_with("log-") || is_last(last) {
            return;
        }
        self.written.swap(0, 1);
        let [last, _] = &mut self.written;
        if !is_last(last) {
            *last = Some(name.to_owned());
        }
    }
}

impl Files {
    /// The files of a folder that belongs to this process.
    pub(crate) fn new(folder: ClaimedFolder) -> Self {
        Self { folder, open: Mutex::default(), most: log_files() }
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }

    /// The file with a name. A thread that has it can read it also after it was removed.
    fn file(&self, name: &str) -> io::Result<Arc<File>> {
        if let Some(file) = self.opened().files.get(name) {
            return Ok(Arc::clone(file));
        }
        // Not under the lock: the disk may be slow.
        let file = Arc::new(self.folder.open_file(name)?);
        self.opened().keep(name, &file, self.most);
        Ok(file)
    }
}

impl Disk for Files {
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        let files = self.folder.list()?.into_iter();
        Ok(files.map(|(name, listed)| (name, listed.kind, listed.len)).collect())
    }

    fn capacity(&self) -> Option<u64> {
        self.folder.capacity()
    }

    fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        read_at(&*self.file(name)?, at, len)
    }

    fn will_read(&self, name: &str, range: Range<u64>) {
        let len = NonZero::new(range.end.saturating_sub(range.start));
        // A hint: a file that cannot be opened is noticed when it is read.
        if let (Ok(file), Some(len)) = (self.file(name), len) {
            advise(&file, range.start, len);
        }
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.opened().files.remove(name);
        let file = Arc::new(self.folder.create_file(name)?);
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        let mut open = self.opened();
        open.note_written(name);
        open.keep(name, &file, self.most);
        Ok(())
    }

    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(name)?;
        self.opened().note_written(name);
        file.write_all_at(bytes, at)
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        self.file(name)?.set_len(len)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)?;
        let mut open = self.opened();
        open.files.remove(to);
        if let Some(file) = open.files.remove(from) {
            open.files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.opened().files.remove(name);
        match self.folder.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::LockedFolder;

    #[test]
    fn the_file_of_commits_stays_open_while_the_next_one_gets_zeros_and_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let claimed = LockedFolder::open(folder.path()).unwrap().claim().unwrap();
        let files = Files { most: 3, ..Files::new(claimed) };
        let name = |number: usize| format!("log-{number:08}");
        let open_others = |number: usize| {
            for other in ["a", "b", "c", "d"] {
                files.create(&format!("moved-{number}{other}"), b"x").unwrap();
            }
        };
        files.create(&name(1), b"head").unwrap();
        for current in 1..6 {
            let next = current + 1;
            let are_open = |what: &str| {
                let open = files.opened();
                for written in [name(current), name(next)] {
                    let open = open.files.keys();
                    assert!(open.clone().any(|it| *it == written), "{written} {what}: {open:?}");
                }
            };
            files.write_at(&name(current), 4, b"frame").unwrap();
            files.create(&name(next), b"head").unwrap();
            open_others(current);
            are_open("after it was created");
            for round in 0..4 {
                files.write_at(&name(current), 10 * round, b"frame").unwrap();
                files.write_at(&name(next), 4 + round, &[0]).unwrap();
                open_others(current);
                are_open("after zeros");
            }
        }
        assert!(files.opened().files.len() <= 3);
    }
}
