//! Damage that no client reads is found while changes go on, and a file that is missing holds up
//! nothing else.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize},
};

use pravega_sdk_server_core::log::ScrubFile;

use super::*;
use crate::log::{kept::Phase, scrub::Scrubbing};

/// So fast that a test does not wait.
const RATE: u64 = 1 << 40;

fn scrubbing(run: &Life) -> Scrubbing {
    let owner: Arc<dyn Owner> = Arc::clone(&run.model) as Arc<dyn Owner>;
    Scrubbing::new(run.keeping.clone(), owner, RATE)
}

/// A log with files of all kinds, in which nothing is written at the moment.
fn written(disk: &Arc<dyn Disk>, seed: u64) -> Life {
    let run = Life::begin(Arc::clone(disk), &BTreeMap::new(), 0);
    let mut random = fastrand::Rng::with_seed(seed);
    let has = |prefix: &str| names(&**disk).iter().any(|name| name.starts_with(prefix));
    until("a checkpoint, a run, and a file that bytes were moved to", || {
        (0..100).for_each(|_| assert!(run.change(&mut random)));
        run.settle();
        let is_moved = |file: &ScrubFile| matches!(file, ScrubFile::Log(file) if file.is_moved());
        let has_moved = run.keeping.kept.keeper().scrub_files().iter().any(is_moved);
        has("checkpoint-") && has("index-") && has_moved
    });
    run
}

#[test]
fn while_files_are_written_moved_and_removed_nothing_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    let mut scrubbing = scrubbing(&run);
    let (is_over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let told = std::thread::scope(|scope| {
        let checks = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                assert_eq!(scrubbing.round(), Phase::Running);
                rounds.fetch_add(1, Ordering::SeqCst);
            }
            scrubbing.told
        });
        let mut random = fastrand::Rng::with_seed(4);
        let has = |prefix: &str| names(&*disk).iter().any(|name| name.starts_with(prefix));
        until("there are files of all kinds, and some rounds", || {
            (0..100).for_each(|_| assert!(run.change(&mut random)));
            run.settle();
            let is_first_gone = !names(&*disk).contains(&"log-00000001".to_owned());
            has("moved-") && is_first_gone && rounds.load(Ordering::SeqCst) > 3
        });
        is_over.store(true, Ordering::SeqCst);
        checks.join().unwrap()
    });
    assert_eq!(told, [].into());
    run.end();
}

/// Changes one byte of a file.
fn damage(folder: &Path, name: &str, at: usize) {
    let path = folder.join(name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 8;
    // In place, as the server has it open.
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[at..=at], at as u64).unwrap();
}

#[test]
fn damage_is_told_once_with_its_file_and_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = written(&disk, 5);
    let mut scrubbing = scrubbing(&run);
    // What is under way ends; what changes later is not told.
    let quiet = run.keeping.kept.quiet();
    run.settle();
    assert_eq!(scrubbing.round(), Phase::Running);
    assert_eq!(scrubbing.told, [].into());
    let needed = run.keeping.kept.keeper().scrub_files();
    let moved = |file: &&ScrubFile| matches!(file, ScrubFile::Log(file) if file.is_moved());
    let log = |file: &&ScrubFile| matches!(file, ScrubFile::Log(file) if !file.is_moved());
    let index = |file: &&ScrubFile| matches!(file, ScrubFile::Run(_));
    let any = |is: fn(&&ScrubFile) -> bool| *needed.iter().find(is).unwrap();
    let damaged = [any(moved), any(log), any(index), ScrubFile::Folder];
    for file in damaged {
        damage(folder.path(), &file.name(), if file == ScrubFile::Folder { 20 } else { 70 });
    }
    scrubbing.round();
    let told: Vec<ScrubFile> = scrubbing.told.iter().map(|(file, _)| *file).collect();
    let mut expected = damaged.to_vec();
    expected.sort();
    assert_eq!(told, expected);
    let before = scrubbing.told.clone();
    scrubbing.round();
    assert_eq!(scrubbing.told, before, "it is logged once");
    let missing = needed.iter().find(|file| log(file) && !damaged.contains(file)).unwrap();
    disk.remove(&missing.name()).unwrap();
    scrubbing.round();
    assert!(scrubbing.told.contains(&(*missing, 0)));
    assert_eq!(scrubbing.told.len(), before.len() + 1);
    drop(quiet);
    run.end();
}

#[test]
fn files_that_are_missing_are_looked_for_once_and_the_others_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let losing = Faulty::of(folder.path());
    let disk = Arc::clone(&losing) as Arc<dyn Disk>;
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    // Half of the files: any of them may die before its bytes are moved.
    losing.set(&[Failing::Read("log-", &['1', '3', '5', '7', '9'])]);
    let mut random = fastrand::Rng::with_seed(1);
    let mut have_moved = false;
    until("files are moved, and one that is missing was to be moved", || {
        (0..100).for_each(|_| assert!(run.change(&mut random)));
        run.settle();
        have_moved |= names(&*disk).iter().any(|name| name.starts_with("moved-"));
        have_moved && !losing.looks.lock().unwrap().is_empty()
    });
    let looks = losing.looks.lock().unwrap().clone();
    assert!(looks.values().all(|looks| *looks == 1), "{looks:?}");
    run.end();
}

#[test]
fn after_another_program_has_removed_a_file_nothing_more_is_written() {
    for replaces in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
        let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
        let mut random = fastrand::Rng::with_seed(6);
        (0..20).for_each(|_| assert!(run.change(&mut random)));
        run.settle();
        // It is open: without a check it is written and read as before.
        let log = folder.path().join("log-00000001");
        fs::remove_file(&log).unwrap();
        if replaces {
            fs::write(&log, b"another").unwrap();
        }
        until("the loss is noticed", || run.model.state().failed);
        assert!(!run.change(&mut random));
        run.read_back();
        run.end();
        assert_eq!(log.exists(), replaces);
    }
}
