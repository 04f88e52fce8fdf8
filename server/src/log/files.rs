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
use pravega_sdk_server_core::log::{LostFile, Openness, Watched};

use super::{
    advice::{ReadAhead, begin_read, forget, write_all_at},
    disk::Disk,
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
    /// The files that no other program may remove or replace.
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
            // Another file with its name is found by the next look at all names.
            self.watched.see(name, Openness::Open, Some(seen));
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
    fn change(&self, name: &str, change: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let file = self.file(name)?;
        let changed = change(&file);
        let mut open = self.opened();
        // It is closed next if others were opened meanwhile.
        if !open.files.contains_key(name) {
            open.note_left(name, &file);
        }
        changed
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
        open.watched.give_back(name, seen);
        let file = created?;
        open.note_written(name);
        open.keep(name, &file, self.most);
        Ok(())
    }

    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.opened().note_written(name);
        self.change(name, |file| write_all_at(file, bytes, at))
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        self.change(name, |file| file.set_len(len))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut seen = {
            let mut open = self.opened();
            [from, to].map(|name| open.watched.take(name))
        };
        let renamed = self.folder.rename(from, to);
        if renamed.is_ok() {
            seen = [None, self.folder.seen(to).ok().flatten()];
        }
        let mut open = self.opened();
        for (name, seen) in [from, to].into_iter().zip(seen) {
            open.watched.give_back(name, seen);
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

    fn lost(&self) -> io::Result<Option<LostFile>> {
        let all = self.opened().watched.all();
        for (name, before) in all {
            if self.folder.seen(&name)? == Some(before) {
                continue;
            }
            // Under the lock: a name is taken before this process removes or renames its file.
            let mut open = self.opened();
            let openness = match open.find(&name) {
                Some(_) => Openness::Open,
                None => Openness::Closed,
            };
            let lost = open.watched.see(&name, openness, self.folder.seen(&name)?);
            if lost.is_some() {
                return Ok(lost);
            }
        }
        Ok(None)
    }

    fn place(&self) -> String {
        self.folder.path().display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, thread};

    use pravega_sdk_server_core::log::Seen;

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

    /// What is lost, in the words of the log.
    fn lost(files: &Files) -> Option<String> {
        files.lost().unwrap().map(|lost| lost.to_string())
    }

    #[test]
    fn a_file_that_another_program_removes_or_replaces_is_lost_and_is_not_removed() {
        for is_open in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            drop(in_folder(folder.path(), 9).create("log-00000001", b"one"));
            let files = in_folder(folder.path(), 9);
            files.create("log-00000002", b"two").unwrap();
            if is_open {
                files.read_at("log-00000001", 0, 3).unwrap();
            }
            assert_eq!(lost(&files), None, "{is_open}");
            // What this process does is no loss.
            files.write_at("log-00000002", 3, b"more").unwrap();
            files.create("checkpoint-00000001-00000001.new", b"new").unwrap();
            files.rename("checkpoint-00000001-00000001.new", "index-00000001-00000001").unwrap();
            files.remove("index-00000001-00000001").unwrap();
            assert_eq!(lost(&files), None, "{is_open}");
            fs::rename(path("log-00000001"), path("elsewhere")).unwrap();
            let told = Some("log-00000001 was removed by another program".to_owned());
            assert_eq!(lost(&files), told, "{is_open}");
            assert_eq!(files.read_at("log-00000001", 0, 3).is_ok(), is_open);
            let is_listed = files.list().unwrap().iter().any(|(name, ..)| name == "log-00000001");
            assert_eq!(is_listed, is_open, "what can be read is listed");
            fs::write(path("log-00000001"), b"another").unwrap();
            let another = File::options().write(true).open(path("log-00000001")).unwrap();
            another.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            let told = Some("log-00000001 was replaced by another program".to_owned());
            assert_eq!(lost(&files), told, "{is_open}");
            // It stays so after the other one was opened.
            files.read_at("log-00000001", 0, 3).unwrap();
            assert_eq!(lost(&files), told, "{is_open}");
            files.remove("log-00000001").unwrap_err();
            assert_eq!(fs::read(path("log-00000001")).unwrap(), b"another");
            // It is back.
            fs::rename(path("elsewhere"), path("log-00000001")).unwrap();
            assert_eq!(lost(&files), None, "{is_open}");
            files.remove("log-00000001").unwrap();
            assert_eq!(lost(&files), None, "{is_open}");
            // A copy with the time of the file is another one as long as the file is open.
            let modified = fs::metadata(path("log-00000002")).unwrap().modified().unwrap();
            fs::remove_file(path("log-00000002")).unwrap();
            fs::write(path("log-00000002"), b"twomore").unwrap();
            let copy = File::options().write(true).open(path("log-00000002")).unwrap();
            copy.set_modified(modified).unwrap();
            let told = Some("log-00000002 was replaced by another program".to_owned());
            assert_eq!(lost(&files), told, "{is_open}");
            fs::remove_file(path(LOCK)).unwrap();
            assert_eq!(lost(&files), Some("lock was removed by another program".to_owned()));
        }
    }

    #[test]
    fn a_file_that_is_closed_is_known_by_the_time_of_its_last_change() {
        let folder = tempfile::tempdir().unwrap();
        let files = in_folder(folder.path(), 1);
        let [one, other] = ["log-00000001", "moved-00000001"];
        for name in [one, other, "log-00000002", "log-00000003"] {
            files.create(name, b"head").unwrap();
        }
        let changed = |name: &str, seconds: u64| {
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::open(folder.path().join(name)).unwrap().set_modified(time)
        };
        let is_closed_and_known = |name: &str| {
            let (open, now) = (files.opened(), files.folder.seen(name).unwrap().unwrap());
            // As file systems tell it that give a closed file another number.
            let again = Seen { inode: now.inode + 1000, ..now };
            open.find(name).is_none() && open.watched.is_expected(name, &again)
        };
        for (name, other) in [(one, other), (other, one)] {
            files.read_at(name, 0, 1).unwrap();
            changed(name, 1000).unwrap();
            files.read_at(other, 0, 1).unwrap();
            assert!(is_closed_and_known(name), "{name} was changed before others were opened");
            let change = |_: &File| {
                files.read_at(other, 0, 1)?;
                changed(name, 2000)
            };
            files.change(name, change).unwrap();
            assert!(is_closed_and_known(name), "{name} was changed after others were opened");
        }
    }

    #[test]
    fn files_that_are_created_renamed_and_removed_meanwhile_are_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let files = in_folder(folder.path(), 3);
        let is_over = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..300 {
                    let name = format!("log-{:08}", round % 5 + 1);
                    files.create(&name, b"one").unwrap();
                    files.create("log-00000009", b"instead of the one before").unwrap();
                    files.rename(&name, "index-00000001-00000001").unwrap();
                    if round % 2 == 0 {
                        files.remove("index-00000001-00000001").unwrap();
                    }
                }
                is_over.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                assert_eq!(lost(&files), None);
            }
        });
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
