//! The files of a log, open for all threads.

use std::{
    collections::HashMap,
    fs::File,
    io,
    num::NonZero,
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    sync::{Arc, Mutex, MutexGuard, OnceLock, Weak},
    thread::sleep,
    time::{Duration, Instant},
};

use bytes::Bytes;
use pravega_sdk_server_core::log::{Known, Openness, Watched};

use super::{
    advice::{ReadAhead, begin_read, forget, write_all_at},
    disk::{Disk, Losses},
};
use crate::{
    folder::{ClaimedFolder, Kind, LOCK, Listed, read_at, seen_open},
    limits::log_files,
    locks::lock,
};

/// The bytes of a removed file that are freed at once, and the pause before the next ones.
const FREED_AT_ONCE: u64 = 1 << 20;
const PAUSE: Duration = Duration::from_millis(1);
/// How long a removed file waits for those that read it.
const READERS: Duration = Duration::from_secs(1);

/// The files of a folder.
#[derive(Debug)]
pub(crate) struct Files {
    folder: ClaimedFolder,
    open: Mutex<Open>,
    /// The most files that are kept open.
    most: usize,
    read_ahead: OnceLock<ReadAhead>,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<String, Arc<File>>,
    /// Files that are not kept open, and are as long as a thread uses them: a name has one open
    /// file, so it is known whether a file without its name is in use.
    used: HashMap<String, Weak<File>>,
    /// How often a name was taken from its file.
    unnamed: u64,
    /// The files that no other program may remove, replace or cut short.
    watched: Watched,
    /// The two log files that were written last, the last one first: that of the commits, and the
    /// next one, which has zeros before it has frames. They stay open: a commit must not fail for
    /// want of descriptors.
    written: [Option<String>; 2],
}

impl Open {
    fn find(&self, name: &str) -> Option<Arc<File>> {
        let used = || self.used.get(name).and_then(Weak::upgrade);
        self.files.get(name).cloned().or_else(used)
    }

    /// The name is no longer that of its file, which is returned if it is open.
    fn forget(&mut self, name: &str) -> Option<Arc<File>> {
        self.unnamed += 1;
        let used = self.used.remove(name).and_then(|file| file.upgrade());
        self.files.remove(name).or(used)
    }

    /// Notes that the file with a name is one that is open, unless another one was expected.
    fn note_opened(&mut self, name: &str, file: &File) {
        if let Ok(seen) = seen_open(file)
            && self.watched.is_expected(name, &seen)
        {
            self.watched.note(name, seen);
        }
    }

    /// Notes a file that is not kept open as it is now. Once it is closed it may get another
    /// number: then only the time of its last change tells it from a file of another program.
    fn note_left(&mut self, name: &str, file: &File) {
        if let Ok(seen) = seen_open(file) {
            // Another file with its name is found by the next check of all names.
            self.watched.see(name, Openness::Open, Some(seen));
        }
    }

    /// Fails if another program has cut a file short: a write would make it longer again.
    fn check_len(&self, name: &str, file: &File) -> io::Result<()> {
        match self.watched.shortened(name, file.metadata()?.len()) {
            Some(lost) => Err(io::Error::other(lost.to_string())),
            None => Ok(()),
        }
    }

    /// The open files of those that no other program may remove or replace.
    fn needed(&self) -> Vec<(String, Arc<File>)> {
        let names = self.files.keys().chain(self.used.keys());
        let needed = names.filter(|name| self.watched.knows(name));
        needed.filter_map(|name| Some((name.clone(), self.find(name)?))).collect()
    }

    fn keep(&mut self, name: &str, file: &Arc<File>, most: usize) {
        if self.files.len() >= most {
            let is_written =
                |name: &String| self.written.iter().flatten().any(|written| written == name);
            self.used.retain(|_, file| file.strong_count() > 0);
            // Those in use stay open by their users.
            let left: Vec<_> = self.files.extract_if(|name, _| !is_written(name)).collect();
            for (name, file) in left {
                self.note_left(&name, &file);
                self.used.insert(name, Arc::downgrade(&file));
            }
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

/// A change of the bytes of a file.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// Bytes are written up to an offset.
    Write { end: u64 },
    /// The file is cut to a length.
    Cut { len: u64 },
}

/// Frees the bytes of a file without a name, in steps.
///
/// To free a long file at once keeps other calls of the file system waiting, syncs among them, for
/// 10 ms and more. A step takes about 0.3 ms, in which a kernel without preemption gives the core
/// to no other thread.
#[expect(clippy::disallowed_methods, reason = "the threads of the log are none of the runtime's")]
fn free(file: Arc<File>) {
    let (mut shared, until) = (file, Instant::now() + READERS);
    let file = loop {
        match Arc::try_unwrap(shared) {
            Ok(file) => break file,
            Err(_) if until <= Instant::now() => return,
            Err(again) => shared = again,
        }
        sleep(PAUSE);
    };
    // A file that is linked elsewhere too keeps its bytes, and one without metadata is left alone.
    let Some(mut len) = file.metadata().ok().filter(|it| it.nlink() == 0).map(|it| it.len()) else {
        return;
    };
    while len > FREED_AT_ONCE {
        len -= FREED_AT_ONCE;
        if file.set_len(len).is_err() {
            return;
        }
        sleep(PAUSE);
    }
}

impl Files {
    /// The files of a folder that belongs to this process.
    pub(crate) fn new(folder: ClaimedFolder) -> Self {
        let mut open = Open::default();
        // A file that is not seen now is when it is opened.
        let names = folder.list().unwrap_or_default().into_keys();
        for name in names.chain([LOCK.to_owned()]) {
            if let Ok(Some(seen)) = folder.seen(&name) {
                open.watched.note(&name, seen);
            }
        }
        let (most, read_ahead) = (log_files(), OnceLock::new());
        Self { folder, open: Mutex::new(open), most, read_ahead }
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }

    /// The file with a name. A thread that has it can read it also after it was removed.
    fn file(&self, name: &str) -> io::Result<Arc<File>> {
        loop {
            let unnamed = {
                let open = self.opened();
                if let Some(file) = open.find(name) {
                    return Ok(file);
                }
                open.unnamed
            };
            // Not under the lock: the disk may be slow.
            let file = Arc::new(self.folder.open_file(name)?);
            let mut open = self.opened();
            if open.unnamed != unnamed {
                // It may have lost this name.
                continue;
            }
            // Another thread may have opened it meanwhile.
            let file = match open.find(name) {
                Some(other) => other,
                None => {
                    open.note_opened(name, &file);
                    file
                }
            };
            open.keep(name, &file, self.most);
            return Ok(file);
        }
    }

    /// Changes the file with a name.
    fn change(
        &self,
        name: &str,
        change: Change,
        make: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let file = self.file(name)?;
        let begun = {
            let mut open = self.opened();
            open.check_len(name, &file)?;
            if let Change::Cut { len } = change {
                open.watched.begin_cut(name, len);
            }
            open.watched.begin_write()
        };
        let made = make(&file);
        let mut open = self.opened();
        match change {
            Change::Cut { .. } => open.watched.end_cut(),
            Change::Write { end } if made.is_ok() => open.watched.end_write(name, begun, end),
            Change::Write { .. } => {}
        }
        // It is closed next if others were opened meanwhile.
        if !open.files.contains_key(name) {
            open.note_left(name, &file);
        }
        made
    }
}

impl Disk for Files {
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        let mut listing = self.folder.list()?;
        // What another program has removed or replaced is read as long as it is open.
        for (name, file) in self.opened().needed() {
            if let Ok(found) = file.metadata() {
                listing.insert(name, Listed { kind: Kind::Regular, len: found.len() });
            }
        }
        Ok(listing.into_iter().map(|(name, listed)| (name, listed.kind, listed.len)).collect())
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
        if let (Ok(file), Some(len)) = (self.file(name), len)
            && *self.read_ahead.get_or_init(|| ReadAhead::of_file(&file)) == ReadAhead::Asked
        {
            begin_read(&file, range.start, len);
        }
    }

    fn will_not_read(&self, name: &str) {
        if let Ok(file) = self.file(name) {
            forget(&file);
        }
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        {
            let mut open = self.opened();
            open.forget(name);
            open.watched.take(name);
        }
        let created = self.folder.create_file(name).and_then(|file| {
            file.write_all_at(bytes, 0)?;
            file.sync_all()?;
            Ok(Arc::new(file))
        });
        let seen = created.as_ref().ok().and_then(|file| seen_open(file).ok());
        let mut open = self.opened();
        open.watched.give_back(name, seen.map(Known::from));
        let file = created?;
        open.note_written(name);
        open.keep(name, &file, self.most);
        Ok(())
    }

    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.opened().note_written(name);
        let end = if bytes.is_empty() { 0 } else { at.saturating_add(bytes.len() as u64) };
        self.change(name, Change::Write { end }, |file| write_all_at(file, bytes, at))
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        self.change(name, Change::Cut { len }, |file| file.set_len(len))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut known = {
            let mut open = self.opened();
            [from, to].map(|name| open.watched.take(name))
        };
        let renamed = self.folder.rename(from, to);
        if renamed.is_ok() {
            known = [None, self.folder.seen(to).ok().flatten().map(Known::from)];
        }
        let mut open = self.opened();
        for (name, known) in [from, to].into_iter().zip(known) {
            open.watched.give_back(name, known);
        }
        renamed?;
        open.forget(to);
        if let Some(file) = open.forget(from) {
            open.files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let now = self.folder.seen(name)?;
        let (known, before) = {
            let mut open = self.opened();
            if now.is_some_and(|now| !open.watched.is_expected(name, &now)) {
                return Err(io::Error::other("it is the file of another program"));
            }
            (open.find(name), open.watched.take(name))
        };
        // Without a descriptor it is freed at once.
        let file = known.or_else(|| self.folder.open_file(name).ok().map(Arc::new));
        let removed = match self.folder.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        let opened = {
            // Both under one lock: a thread that has opened it meanwhile does not note it again.
            let mut open = self.opened();
            let is_left = removed.is_err();
            open.watched.give_back(name, before.filter(|_| is_left));
            removed?;
            open.forget(name)
        };
        // The one that others may use.
        if let Some(file) = opened.or(file) {
            free(file);
        }
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync()
    }

    fn lost(&self) -> Losses {
        let (all, mut found) = (self.opened().watched.all(), Losses::default());
        for (name, known) in all {
            if matches!(self.folder.seen(&name), Ok(Some(now)) if known.is_unchanged(&now)) {
                continue;
            }
            // Under the lock: a name is taken before this process removes or renames its file, and
            // a cut is announced.
            let mut open = self.opened();
            let openness = match open.find(&name) {
                Some(_) => Openness::Open,
                // It is open as long as the folder is locked.
                None if name == LOCK => Openness::Open,
                None => Openness::Closed,
            };
            match self.folder.seen(&name) {
                Ok(now) => found.files.extend(open.watched.see(&name, openness, now)),
                Err(error) => found.unseen.push((name, error)),
            }
        }
        found
    }

    fn place(&self) -> String {
        self.folder.path().display().to_string()
    }
}

#[cfg(test)]
mod tests;
