//! Copies of a log at work.

use std::{collections::BTreeSet, sync::atomic::AtomicBool};

use pravega_sdk_server_core::log::Contents;

use super::*;
use crate::{
    copy::{Missing, Side, Snapshots, salvage_to, take},
    log::{Failing, Faulty},
};

fn snapshots(disk: &Arc<dyn Disk>, run: &Life) -> Snapshots {
    Snapshots { disk: Arc::new(Mutex::new(Some(Arc::clone(disk)))), log: run.handle.clone() }
}

/// Writes until a log has a checkpoint and runs, and a file that bytes were moved to.
fn grow(disk: &Arc<dyn Disk>, run: &Life, random: &mut fastrand::Rng) {
    let has = |prefix: &str| names(&**disk).iter().any(|name| name.starts_with(prefix));
    until("a checkpoint, a run, and a file that was moved to", || {
        (0..100).for_each(|_| assert!(run.change(random)));
        run.settle();
        has("checkpoint-") && has("index-") && has("moved-")
    });
}

#[test]
fn a_copy_of_a_log_at_work_has_what_was_acknowledged_before_it_and_no_change_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    let mut random = fastrand::Rng::with_seed(4);
    grow(&disk, &run, &mut random);
    let kinds = ["checkpoint-", "index-", "moved-", "log-"];
    let (mut copies, mut seen) = (0, BTreeSet::<&str>::new());
    while copies < 6 || seen.len() < kinds.len() {
        copies += 1;
        let is_over = AtomicBool::new(false);
        let acknowledged = run.model.state().durable;
        let copy = tempfile::tempdir().unwrap();
        let backup = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    (0..20).for_each(|_| assert!(run.change(&mut random)));
                    run.settle();
                }
            });
            let snapshots = snapshots(&disk, &run);
            let backup = take(&snapshots, folder.path(), &files(copy.path()));
            is_over.store(true, Ordering::Relaxed);
            backup.unwrap()
        });
        assert!(acknowledged <= backup.batch, "{acknowledged}: {backup:?}");
        let history = run.model.state().history.clone();
        let copied: Arc<dyn Disk> = Arc::new(files(copy.path()));
        let of_kind =
            |kind: &&&'static str| names(&*copied).iter().any(|name| name.starts_with(**kind));
        seen.extend(kinds.iter().filter(of_kind).copied());
        let copy = Life::begin(copied, &history, backup.batch);
        assert_eq!(copy.model.state().durable, backup.batch, "and nothing later");
        copy.read_back();
        // It goes on by itself.
        assert!(copy.change(&mut fastrand::Rng::with_seed(1)));
        copy.settle();
        copy.end();
    }
    run.read_back();
    run.end();
}

#[test]
fn a_copy_without_a_commit_since_the_start_is_that_of_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = BTreeMap::new();
    for changes in [0, 50, 0] {
        let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
        let run = Life::begin(Arc::clone(&disk), &history, history.len() as u64);
        let copy = tempfile::tempdir().unwrap();
        let backup = take(&snapshots(&disk, &run), folder.path(), &files(copy.path())).unwrap();
        let copy = Life::begin(Arc::new(files(copy.path())), &history, backup.batch);
        copy.read_back();
        copy.end();
        let mut random = fastrand::Rng::with_seed(5);
        (0..changes).for_each(|_| assert!(run.change(&mut random)));
        run.settle();
        (history, _) = run.end();
    }
}

#[test]
fn a_file_that_is_copied_is_removed_once_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    let mut random = fastrand::Rng::with_seed(6);
    grow(&disk, &run, &mut random);
    let (snapshot, mut pins) = snapshots(&disk, &run).take().unwrap();
    let segments: Vec<u64> = run.model.state().contents.keys().copied().collect();
    assert!(segments.into_iter().all(|segment| run.submit(Change::Delete { segment })));
    let files_of = || -> Vec<String> {
        let is_there = |name: &&String| disk.read_at(name, 0, 1).is_ok();
        snapshot.files.keys().filter(is_there).cloned().collect()
    };
    let in_use = || run.handle.kept().keeper().files().0.len();
    let (mut start, segment) = (0, run.model.state().next_segment);
    let mut go_on = || {
        let len = 20_000;
        assert!(run.submit(Change::Append { segment, len, draw: start }));
        start += len;
        assert!(run.submit(Change::Truncate { segment, start }));
        run.settle();
    };
    until("no old file is needed", || {
        go_on();
        in_use() <= 4
    });
    assert_eq!(files_of(), snapshot.files.keys().cloned().collect::<Vec<_>>());
    let of_log = |name: &&String| name.starts_with("log-");
    let first = snapshot.files.keys().find(of_log).unwrap();
    pins.release(first);
    until("the one that was released is removed", || !files_of().contains(first));
    assert_eq!(files_of().len(), snapshot.files.len() - 1);
    drop(pins);
    until("the others are removed", || {
        go_on();
        files_of().iter().filter(of_log).count() <= 1
    });
    run.end();
}

#[test]
fn a_crash_at_any_call_leaves_nothing_that_is_taken_for_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    grow(&disk, &run, &mut fastrand::Rng::with_seed(7));
    let history = run.model.state().history.clone();
    let (mut calls, mut refused) = (0, 0);
    loop {
        let copy = tempfile::tempdir().unwrap();
        let mortal = Mortal { files: files(copy.path()), calls: AtomicI64::new(calls) };
        let before = run.model.state().durable;
        let taken = take(&snapshots(&disk, &run), folder.path(), &mortal);
        drop(mortal);
        let copied = files(copy.path());
        let listing = copied.list().unwrap().into_iter().map(|(name, _, len)| (name, len));
        match (Contents::of(&listing.collect()), &taken) {
            (Ok(Contents::Nothing { leftovers }), Err(_)) => {
                assert!(leftovers.is_empty(), "after {calls} calls: {leftovers:?}");
            }
            (Err(problem), Err(_)) => {
                let OpenProblem::Corrupt { file, .. } = problem_of(&copied) else {
                    panic!("{problem}")
                };
                assert_eq!(file, "folder.copy", "after {calls} calls: {problem}");
                refused += 1;
            }
            // Only the last sync failed, or nothing.
            (Ok(Contents::Log { .. }), _) => {
                let whole = Life::begin(Arc::new(copied), &history, 0);
                // The threads of the log commit batches of their own.
                let durable = whole.model.state().durable;
                assert!((before..=run.model.state().durable).contains(&durable), "{durable}");
                whole.read_back();
                whole.end();
            }
            (contents, _) => panic!("after {calls} calls: {contents:?}"),
        }
        if taken.is_ok() {
            break;
        }
        calls += 1;
    }
    assert!(refused > 10, "{refused} of {calls}");
    run.end();
}

fn problem_of(disk: &dyn Disk) -> OpenProblem {
    open(disk, short(), &mut Restored::default()).unwrap_err()
}

/// The files that a salvage of a folder says are missing.
fn missing_files(folder: &Path) -> Vec<String> {
    let to = tempfile::tempdir().unwrap();
    let salvaged = salvage_to(&files(folder), &files(to.path())).unwrap();
    // The records are those of a model, of which no state is made.
    let file = |missing| match missing {
        Missing::File { file, why } => Some(format!("{file}: {why}")),
        _ => None,
    };
    salvaged.missing.into_iter().filter_map(file).collect()
}

#[test]
fn a_salvage_names_a_lost_checkpoint_and_no_file_that_was_given_up_or_is_only_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    let mut random = fastrand::Rng::with_seed(11);
    until("the first file was given up", || {
        grow(&disk, &run, &mut random);
        !names(&*disk).contains(&"log-00000001".to_owned())
    });
    run.end();
    let names = names(&*disk);
    drop(disk);
    assert_eq!(missing_files(folder.path()), [""; 0]);
    let remove = |kind: &str| {
        for name in names.iter().filter(|name| name.starts_with(kind)) {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
    };
    remove("index-");
    assert_eq!(missing_files(folder.path()), [""; 0], "each index is made again");
    match problem_of(&files(folder.path())) {
        OpenProblem::Missing { file, what } => {
            assert!(file.starts_with("index-") && what.contains("salvage"), "{file}: {what}");
        }
        other => panic!("{other:?}"),
    }
    remove("checkpoint-");
    let missing = missing_files(folder.path());
    let first = names.iter().find(|name| name.starts_with("log-")).unwrap();
    let why = format!("checkpoint: none can be read, and the log begins with {first}:");
    assert!(missing.len() == 1 && missing[0].starts_with(&why), "{missing:?}");
}

#[test]
fn a_target_that_fails_is_told_and_left_empty() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    grow(&disk, &run, &mut fastrand::Rng::with_seed(8));
    let full = io::ErrorKind::StorageFull;
    for failing in [
        Failing::Create("folder"),
        Failing::Create("log-"),
        Failing::Write("log-", full),
        Failing::Sync("log-"),
        Failing::Create("synced"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let target = Faulty::of(copy.path());
        target.set(&[failing]);
        let failure = take(&snapshots(&disk, &run), folder.path(), &*target).unwrap_err();
        match (&failure, failing) {
            (Side::Target(OpenProblem::Io { .. }), Failing::Sync(_)) => {}
            (Side::Target(OpenProblem::Io { error, .. }), _) => {
                assert_eq!(error.kind(), full, "{failing:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(names(&*target), Vec::<String>::new(), "{failing:?}");
    }
    run.read_back();
    run.end();
}

/// Writes bytes over those of a file, which is not cut: the server would notice that. One that it
/// has removed is not created again.
fn write_in_place(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::FileExt as _;
    match std::fs::File::options().write(true).open(path) {
        Ok(file) => file.write_all_at(bytes, 0).unwrap(),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
    }
}

#[test]
fn damage_is_named_and_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    grow(&disk, &run, &mut fastrand::Rng::with_seed(9));
    let (snapshot, pins) = snapshots(&disk, &run).take().unwrap();
    drop(pins);
    for name in snapshot.files.keys() {
        if ["folder", "synced"].contains(&&**name) {
            continue;
        }
        let path = folder.path().join(name);
        let Ok(whole) = std::fs::read(&path) else { continue };
        let at = whole.len().min(snapshot.files[name] as usize) / 2;
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        write_in_place(&path, &flipped);
        let copy = tempfile::tempdir().unwrap();
        let taken = take(&snapshots(&disk, &run), folder.path(), &files(copy.path()));
        write_in_place(&path, &whole);
        match taken {
            Err(Side::Source(OpenProblem::Corrupt { file, offset, .. })) => {
                assert_eq!(file, *name);
                assert!(offset <= at as u64, "{file}: {offset} is not before {at}");
            }
            // It is not needed any longer.
            Ok(_) => assert!(!names(&files(copy.path())).contains(name), "{name}"),
            Err(other) => panic!("{name}: {other:?}"),
        }
    }
    run.end();
}

/// A disk that lists its files, and goes on once it may.
#[derive(Debug)]
struct Listed {
    disk: Arc<dyn Disk>,
    listed: mpsc::SyncSender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Disk for Listed {
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        let listing = self.disk.list();
        self.listed.send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
        listing
    }

    fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        self.disk.read_at(name, at, len)
    }

    fn create(&self, name: &str, _: &[u8]) -> io::Result<()> {
        panic!("{name} is only read")
    }

    fn write_at(&self, name: &str, _: u64, _: &[u8]) -> io::Result<()> {
        panic!("{name} is only read")
    }

    fn cut(&self, name: &str, _: u64) -> io::Result<()> {
        panic!("{name} is only read")
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        panic!("{name} is only read")
    }

    fn rename(&self, name: &str, _: &str) -> io::Result<()> {
        panic!("{name} is only read")
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        panic!("{name} is only read")
    }

    fn sync_folder(&self) -> io::Result<()> {
        panic!("the folder is only read")
    }
}

#[test]
fn what_is_written_while_the_files_are_listed_does_not_fail_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    let mut random = fastrand::Rng::with_seed(11);
    grow(&disk, &run, &mut random);
    for _ in 0..3 {
        let acknowledged = run.model.state().durable;
        let (listed, is_listed) = mpsc::sync_channel(0);
        let (sender, go_on) = mpsc::sync_channel(0);
        let go_on = Mutex::new(go_on);
        let slow: Arc<dyn Disk> = Arc::new(Listed { disk: Arc::clone(&disk), listed, go_on });
        let snapshots = snapshots(&slow, &run);
        let copy = tempfile::tempdir().unwrap();
        let backup = std::thread::scope(|scope| {
            let taken = scope.spawn(|| take(&snapshots, folder.path(), &files(copy.path())));
            is_listed.recv().unwrap();
            let end = || run.handle.kept().keeper().end().0.file;
            let file = end();
            // Into the next file, which the listing does not have.
            until("the log has its next file but one", || {
                (0..20).for_each(|_| assert!(run.change(&mut random)));
                run.settle();
                end() > file.next()
            });
            sender.send(()).unwrap();
            taken.join().unwrap().unwrap()
        });
        assert!(acknowledged <= backup.batch, "{acknowledged}: {backup:?}");
        let history = run.model.state().history.clone();
        let copy = Life::begin(Arc::new(files(copy.path())), &history, backup.batch);
        assert_eq!(copy.model.state().durable, backup.batch, "and nothing later");
        copy.read_back();
        copy.end();
    }
    run.end();
}
