//! A disk without space, and one that fails.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tempfile::TempDir;

use super::*;
use crate::folder::Kind;

/// The calls that fail, by the first letters of the name of their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    Write(&'static str, io::ErrorKind),
    /// A read of a file whose name ends with one of these, which is not found.
    Read(&'static str, &'static [char]),
    /// A read, for another reason.
    Unreadable(&'static str),
    Sync(&'static str),
    /// Every call that changes something.
    All(io::ErrorKind),
    Create(&'static str),
    /// A write of zeros.
    Zeros,
    Cut,
}

/// Calls that take as long as a test wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slow {
    Reads,
    Writes,
    Syncs,
}

/// A disk of which some calls fail, or take long.
#[derive(Debug)]
pub(crate) struct Faulty {
    files: Files,
    failing: Mutex<Vec<Failing>>,
    failures: AtomicU64,
    /// How often files that are not found were looked for, by their names.
    pub(crate) looks: Mutex<BTreeMap<String, usize>>,
    /// The zeros that were written.
    zeros: AtomicU64,
    /// The files that the system need not keep in its memory.
    left: Mutex<Vec<String>>,
    /// The calls that wait.
    held: (Mutex<Vec<Slow>>, Condvar),
    /// How many calls of those kinds wait.
    waiting: AtomicU64,
    /// The reads that were begun.
    pub(crate) begun_reads: AtomicU64,
}

impl Faulty {
    pub(crate) fn of(folder: &Path) -> Arc<Self> {
        Arc::new(Self {
            files: files(folder),
            failing: Mutex::default(),
            failures: AtomicU64::new(0),
            looks: Mutex::default(),
            zeros: AtomicU64::new(0),
            left: Mutex::default(),
            held: Default::default(),
            waiting: AtomicU64::new(0),
            begun_reads: AtomicU64::new(0),
        })
    }

    pub(crate) fn set(&self, failing: &[Failing]) {
        *self.failing.lock().unwrap() = failing.to_vec();
    }

    /// Lets calls wait, and all others go on.
    pub(crate) fn hold(&self, slow: &[Slow]) {
        *self.held.0.lock().unwrap() = slow.to_vec();
        self.held.1.notify_all();
    }

    /// How many calls wait.
    pub(crate) fn are_held(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Waits while calls of a kind are held.
    fn pass(&self, call: Slow) {
        let (held, changed) = &self.held;
        let held = held.lock().unwrap();
        if held.contains(&call) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            drop(changed.wait_while(held, |held| held.contains(&call)).unwrap());
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Fails a call that changes something, if it should, or all such.
    fn fail_change(&self, fails: impl Fn(&Failing) -> Option<io::ErrorKind>) -> io::Result<()> {
        self.fail(|failing| match failing {
            Failing::All(kind) => Some(*kind),
            other => fails(other),
        })
    }

    fn fail(&self, fails: impl Fn(&Failing) -> Option<io::ErrorKind>) -> io::Result<()> {
        match self.failing.lock().unwrap().iter().find_map(fails) {
            Some(kind) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(kind.into())
            }
            None => Ok(()),
        }
    }
}

impl Disk for Faulty {
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        self.files.list()
    }

    fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        self.begun_reads.fetch_add(1, Ordering::SeqCst);
        self.pass(Slow::Reads);
        self.fail(|failing| match failing {
            Failing::Unreadable(of) if name.starts_with(of) => Some(io::ErrorKind::Other),
            _ => None,
        })?;
        let found = self.fail(|failing| match failing {
            Failing::Read(of, ends) if name.starts_with(of) && name.ends_with(*ends) => {
                Some(io::ErrorKind::NotFound)
            }
            _ => None,
        });
        if found.is_err() {
            *self.looks.lock().unwrap().entry(name.to_owned()).or_default() += 1;
        }
        found?;
        self.files.read_at(name, at, len)
    }

    fn will_not_read(&self, name: &str) {
        self.left.lock().unwrap().push(name.to_owned());
        self.files.will_not_read(name);
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.fail_change(|failing| match failing {
            Failing::Create(of) if name.starts_with(of) => Some(io::ErrorKind::StorageFull),
            _ => None,
        })?;
        self.files.create(name, bytes)
    }

    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.pass(Slow::Writes);
        self.fail_change(|_| None)?;
        let failed = self.fail(|failing| match failing {
            Failing::Write(of, kind) if name.starts_with(of) => Some(*kind),
            Failing::Zeros if bytes.iter().all(|byte| *byte == 0) => {
                Some(io::ErrorKind::StorageFull)
            }
            _ => None,
        });
        match failed {
            Ok(()) => {
                self.files.write_at(name, at, bytes)?;
                if bytes.iter().all(|byte| *byte == 0) {
                    self.zeros.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
                Ok(())
            }
            Err(error) => {
                // A short write.
                self.files.write_at(name, at, &bytes[..bytes.len() / 2])?;
                Err(error)
            }
        }
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        self.fail_change(|failing| (*failing == Failing::Cut).then_some(io::ErrorKind::Other))?;
        self.files.cut(name, len)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.pass(Slow::Syncs);
        self.fail_change(|failing| match failing {
            Failing::Sync(of) if name.starts_with(of) => Some(io::ErrorKind::Other),
            _ => None,
        })?;
        self.files.sync(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fail_change(|_| None)?;
        self.files.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.fail_change(|_| None)?;
        self.files.remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.fail_change(|_| None)?;
        self.files.sync_folder()
    }
}

/// A new log in a folder of its own.
fn new_log() -> (TempDir, Arc<Faulty>, Log) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Faulty::of(folder.path());
    let log = Log::start(open_with(&*disk, &[]), Arc::clone(&disk) as Arc<dyn Disk>);
    (folder, disk, log)
}

#[tokio::test]
async fn a_write_without_space_is_refused_and_taken_back_and_writing_resumes() {
    for kind in
        [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge]
    {
        let (folder, disk, mut log) = new_log();
        assert!(log.submit(100));
        log.until_durable().await;
        disk.set(&[Failing::Write("log-", kind)]);
        while log.submit(3000) {
            tokio::task::yield_now().await;
        }
        let known = log.until("it is refused", |known| known.refused.is_some()).await;
        assert_eq!((known.durable, known.failed, log.inbox.queued()), (1, None, 0), "{kind}");
        assert!(!log.submit(1), "nothing is taken before it resumes");
        disk.set(&[]);
        log.inbox.resume();
        log.submitted = known.durable;
        assert!(log.submit(200));
        log.until_durable().await;
        assert_eq!(log.close().failed, None);
        drop(disk);
        open_with(&files(folder.path()), &[100, 200]);
    }
}

#[tokio::test]
async fn after_a_failed_write_sync_or_cut_nothing_more_is_acknowledged() {
    let full = Failing::Write("log-", io::ErrorKind::StorageFull);
    let failures = [
        vec![Failing::Sync("log-")],
        vec![Failing::Write("log-", io::ErrorKind::Other)],
        vec![full, Failing::Cut],
        vec![full, Failing::Sync("log-")],
    ];
    for failing in failures {
        let (_folder, disk, mut log) = new_log();
        assert!(log.submit(100));
        log.until_durable().await;
        disk.set(&failing);
        assert!(log.submit(200));
        let known = log.until("it has failed", |known| known.failed.is_some()).await;
        assert_eq!((known.durable, known.refused), (1, None), "{failing:?}");
        disk.set(&[]);
        log.inbox.resume();
        assert!(!log.submit(1), "{failing:?}");
        assert_eq!(log.inbox.queued(), 0);
        assert_eq!(log.close().durable, 1);
    }
}

#[tokio::test]
async fn a_mark_that_cannot_be_written_delays_nothing() {
    let (folder, disk, mut log) = new_log();
    disk.set(&[Failing::Write("synced", io::ErrorKind::StorageFull), Failing::Sync("synced")]);
    for _ in 0..50 {
        assert!(log.submit(10));
        log.until_durable().await;
    }
    assert_eq!(log.close().failed, None);
    assert!(disk.failures.load(Ordering::Relaxed) > 0);
    drop(disk);
    open_with(&files(folder.path()), &[10; 50]);
}

#[tokio::test]
async fn a_file_that_cannot_be_created_is_tried_again_and_no_commit_waits_for_it() {
    let (folder, disk, mut log) = new_log();
    disk.set(&[Failing::Create("log-")]);
    let mut lens = Vec::new();
    let mut write = async |log: &mut Log| {
        for _ in 0..10 {
            assert!(log.submit(16 << 10));
            lens.push(16 << 10);
        }
        log.until_durable().await
    };
    // The file grows beyond the length at which it should end, and no further than twice that.
    for _ in 0..8 {
        assert_eq!(write(&mut log).await.turnovers, 0);
    }
    assert!((1..20).contains(&disk.failures.load(Ordering::Relaxed)), "it is not tried at once");
    disk.set(&[]);
    let mut turnovers = 0;
    while turnovers == 0 {
        turnovers = write(&mut log).await.turnovers;
    }
    assert_eq!(log.close().failed, None);
    drop(disk);
    open_with(&files(folder.path()), &lens);
}

#[tokio::test]
async fn a_file_that_large_frames_have_filled_is_left_to_the_system() {
    let (folder, disk, mut log) = new_log();
    // The first file has four of them at least, and seven at most.
    let lens = [300_000; 8];
    for len in lens {
        assert!(log.submit(len));
        log.until_durable().await;
    }
    assert_eq!(log.close().failed, None);
    assert_eq!(*disk.left.lock().unwrap(), ["log-00000001"]);
    assert_eq!(disk.zeros.load(Ordering::Relaxed), 0, "no byte is written twice");
    drop(disk);
    open_with(&files(folder.path()), &lens);
}

#[tokio::test]
async fn zeros_that_find_no_space_are_written_later_and_no_commit_fails() {
    let (folder, disk, mut log) = new_log();
    disk.set(&[Failing::Zeros]);
    let len = || std::fs::metadata(folder.path().join("log-00000001")).unwrap().len();
    let mut lens = Vec::new();
    for number in 1..20 {
        assert!(log.submit(number));
        lens.push(number);
        log.until_durable().await;
    }
    disk.set(&[]);
    // Each commit asks again, after a while. After two slices none is needed for long.
    let slices = || disk.zeros.load(Ordering::Relaxed) / 200_000;
    while slices() < 2 {
        assert!(log.submit(7));
        lens.push(7);
        log.until_durable().await;
    }
    loop {
        let before = (disk.zeros.load(Ordering::Relaxed), len());
        for _ in 0..20 {
            assert!(log.submit(50));
            lens.push(50);
            log.until_durable().await;
        }
        // A third slice, if there were many commits before the second was written.
        if before.0 == disk.zeros.load(Ordering::Relaxed) && before.0.is_multiple_of(200_000) {
            assert_eq!(len(), before.1, "commits within zeros change no length");
            break;
        }
    }
    assert_eq!(log.close().failed, None);
    drop(disk);
    open_with(&files(folder.path()), &lens);
}
