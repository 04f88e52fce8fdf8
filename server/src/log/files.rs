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

use super::disk::Disk;
use crate::{
    folder::{ClaimedFolder, Kind, read_at},
    limits::log_files,
    locks::lock,
};

/// The bytes of a removed file that are freed at once, and the pause before the next ones.
const FREED_AT_ONCE: u64 = 1 << 20;
const PAUSE: Duration = Duration::from_millis(1);
/// How long a removed file waits for those that read it.
const READERS: Duration = Duration::from_secs(1);

/// How far the system must read ahead by itself, in bytes, so that it is not asked to.
const FAR: u64 = 1 << 20;

/// Whether the system is asked to read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadAhead {
    /// It does so by itself: in large pages, which take less of the processor than those of 4 KiB
    /// that it has for what it is asked for.
    OfSystem,
    Asked,
}

impl ReadAhead {
    /// By the number of KiB that the system reads ahead, as a text of its own.
    fn of(text: &str) -> Self {
        match text.trim().parse::<u64>() {
            Ok(kib) if kib.saturating_mul(1024) >= FAR => Self::OfSystem,
            _ => Self::Asked,
        }
    }

    /// That of the file system with a file.
    #[cfg(target_os = "linux")]
    fn of_file(file: &File) -> Self {
        let Ok(device) = file.metadata().map(|it| it.dev()) else { return Self::Asked };
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let text = std::fs::read_to_string(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"));
        Self::of(&text.unwrap_or_default())
    }

    #[cfg(not(target_os = "linux"))]
    fn of_file(_: &File) -> Self {
        Self::of("")
    }
}

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

    fn keep(&mut self, name: &str, file: &Arc<File>, most: usize) {
        if self.files.len() >= most {
            let is_written =
                |name: &String| self.written.iter().flatten().any(|written| written == name);
            self.used.retain(|_, file| file.strong_count() > 0);
            // Those in use stay open by their users.
            for (name, file) in self.files.extract_if(|name, _| !is_written(name)) {
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

/// Frees the bytes of a file without a name, in steps.
///
/// To free a long file at once keeps other calls of the file system waiting, syncs among them, for
/// 10 ms and more. A step takes about 0.3 ms, in which a kernel without preemption gives the core to
/// no other thread.
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
        Self { folder, open: Mutex::default(), most: log_files(), read_ahead: OnceLock::new() }
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
            let file = open.find(name).unwrap_or(file);
            open.keep(name, &file, self.most);
            return Ok(file);
        }
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
        if let (Ok(file), Some(len)) = (self.file(name), len)
            && *self.read_ahead.get_or_init(|| ReadAhead::of_file(&file)) == ReadAhead::Asked
        {
            advise(&file, range.start, len);
        }
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.opened().forget(name);
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
        open.forget(to);
        if let Some(file) = open.forget(from) {
            open.files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let known = self.opened().find(name);
        // Without a descriptor it is freed at once.
        let file = known.or_else(|| self.folder.open_file(name).ok().map(Arc::new));
        match self.folder.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        let opened = self.opened().forget(name);
        // The one that others may use.
        if let Some(file) = opened.or(file) {
            free(file);
        }
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, thread};

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

    #[test]
    fn the_system_is_asked_to_read_ahead_unless_it_does_so_far_by_itself() {
        for text in ["128\n", "0", "1023", "", "far", "-1"] {
            assert_eq!(ReadAhead::of(text), ReadAhead::Asked, "{text}");
        }
        for text in ["1024\n", "8192", "18446744073709551615"] {
            assert_eq!(ReadAhead::of(text), ReadAhead::OfSystem, "{text}");
        }
    }

    fn in_folder(folder: &Path, most: usize) -> Files {
        let claimed = LockedFolder::open(folder).unwrap().claim().unwrap();
        Files { most, ..Files::new(claimed) }
    }

    /// Bytes that are freed in several steps.
    fn long() -> Vec<u8> {
        vec![7; 2 * usize::try_from(FREED_AT_ONCE).unwrap() + 100]
    }

    #[test]
    fn a_long_file_is_freed_in_steps_after_its_name_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let files = in_folder(folder.path(), 3);
        files.create("a", &long()).unwrap();
        let open = File::open(folder.path().join("a")).unwrap();
        files.remove("a").unwrap();
        assert_eq!(files.read_at("a", 0, 1).unwrap_err().kind(), io::ErrorKind::NotFound);
        let left = open.metadata().unwrap().len();
        assert!((1..=FREED_AT_ONCE).contains(&left), "{left} bytes are freed by the last step");
        files.remove("a").unwrap();
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "no runtime is here")]
    fn a_removed_file_keeps_its_bytes_as_long_as_a_thread_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = in_folder(folder.path(), 1);
        files.create("a", &long()).unwrap();
        let used = files.file("a").unwrap();
        // It is not kept open any longer, so only its user has it.
        files.create("b", b"b").unwrap();
        let reader = thread::spawn(move || {
            sleep(20 * PAUSE);
            read_at(&used, 0, u64::MAX)
        });
        files.remove("a").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), long());
    }

    #[test]
    fn a_removed_file_that_has_another_name_keeps_its_bytes_under_that() {
        let folder = tempfile::tempdir().unwrap();
        let files = in_folder(folder.path(), 3);
        files.create("a", &long()).unwrap();
        let elsewhere = tempfile::tempdir_in(folder.path().parent().unwrap()).unwrap();
        let elsewhere = elsewhere.path().join("copy");
        fs::hard_link(folder.path().join("a"), &elsewhere).unwrap();
        files.remove("a").unwrap();
        assert_eq!(fs::read(elsewhere).unwrap(), long());
    }
}
