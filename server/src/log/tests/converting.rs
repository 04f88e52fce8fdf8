//! Folders with the journal of an earlier version, which become logs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicI64,
};

use pravega_sdk_server_core::{
    machine::Machine,
    record::{Durability, Record},
    store::Info,
};

use super::{
    faulty::{Failing, Faulty},
    storage::Mortal,
    *,
};
use crate::{
    builder::ServerBuilder,
    journal,
    log::convert::{JournalFiles, convert, finish},
    storage::OpenedStorage,
};

const FOLDERS: [&str; 3] = ["crashed", "rewritten", "scaled"];

/// A copy of a folder that an earlier version wrote.
fn copy(name: &str, parent: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/journal/tests/folders").join(name);
    let to = parent.join(name);
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    to
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let files = files.filter(|file| file.file_type().unwrap().is_file());
    let files =
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()));
    files.filter(|(name, _)| name != "lock").collect()
}

fn machine() -> Machine {
    ServerBuilder::default().machine(Durability::Logged)
}

/// What a machine has: the entries of the catalog, and the state of each segment.
#[derive(Debug, Default, PartialEq)]
struct State {
    entries: BTreeMap<String, Option<Bytes>>,
    segments: BTreeMap<String, Info>,
}

fn state(machine: &Machine) -> State {
    let mut state = State::default();
    machine.snapshot(|record| match record {
        Record::CatalogEntry { key, value } => drop(state.entries.insert(key, value)),
        Record::Created { segment, .. } => {
            let info = machine.store.info(&segment).unwrap();
            state.segments.insert(segment.to_string(), info);
        }
        _ => {}
    });
    assert!(!state.segments.is_empty());
    state
}

/// What the journal of a folder has.
fn of_journal(folder: &Path) -> State {
    let mut machine = machine();
    let disk = files(folder);
    let names = disk.list().unwrap().into_iter().map(|(name, _, len)| (name, len)).collect();
    let mut files = JournalFiles { disk: &disk, files: &names };
    journal::read_back(&mut files, |record| machine.restore(record)).unwrap();
    state(&machine)
}

fn open_storage(folder: &Path) -> State {
    let opened = OpenedStorage::open(&ServerBuilder::default(), folder).unwrap();
    state(&opened.machine)
}

#[test]
fn a_journal_of_an_earlier_version_becomes_a_log_with_the_same_streams() {
    for name in FOLDERS {
        let parent = tempfile::tempdir().unwrap();
        let folder = copy(name, parent.path());
        let before = of_journal(&folder);
        assert_eq!(open_storage(&folder), before, "{name}");
        let names: Vec<String> = contents(&folder).into_keys().collect();
        assert_eq!(names, ["folder", "log-00000001", "synced"], "{name}");
        assert_eq!(open_storage(&folder), before, "{name}");
    }
}

#[test]
fn a_conversion_that_is_killed_at_any_call_begins_again() {
    let folder_settings = configure().writer;
    for name in FOLDERS {
        let expected = {
            let parent = tempfile::tempdir().unwrap();
            of_journal(&copy(name, parent.path()))
        };
        let (mut calls, mut is_over) = (0, false);
        while !is_over {
            calls += 1;
            let parent = tempfile::tempdir().unwrap();
            let folder = copy(name, parent.path());
            let mortal = Mortal { files: files(&folder), calls: AtomicI64::new(calls) };
            let converted = convert(&mortal, folder_settings, machine());
            is_over = converted.is_ok() && finish(&mortal).is_ok();
            drop(mortal);
            assert_eq!(open_storage(&folder), expected, "{name} after {calls} calls");
        }
        assert!(calls > 10, "{calls} calls");
    }
}

#[test]
fn a_conversion_without_space_is_told_and_changes_nothing() {
    for name in FOLDERS {
        let parent = tempfile::tempdir().unwrap();
        let folder = copy(name, parent.path());
        let before = contents(&folder);
        let disk = Faulty::of(&folder);
        disk.set(&[Failing::Write("log-", std::io::ErrorKind::StorageFull)]);
        let problem = convert(&*disk, configure().writer, machine()).unwrap_err();
        assert!(problem.to_string().contains("convert"), "{problem}");
        assert!(contents(&folder) == before, "{name}: something was changed");
        // With space it is converted.
        disk.set(&[]);
        convert(&*disk, configure().writer, machine()).unwrap();
    }
}

#[test]
fn what_no_conversion_has_left_is_refused_by_its_name_and_stays() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, other) = (copy("crashed", parent.path()), copy("scaled", parent.path()));
    drop(OpenedStorage::open(&ServerBuilder::default(), &other).unwrap());
    for name in ["log-00000001", "synced"] {
        fs::copy(other.join(name), folder.join(name)).unwrap();
        let before = contents(&folder);
        let problem = OpenedStorage::open(&ServerBuilder::default(), &folder).unwrap_err();
        assert!(problem.to_string().starts_with(name), "{problem}");
        assert!(contents(&folder) == before, "something was changed");
        fs::remove_file(folder.join(name)).unwrap();
    }
    OpenedStorage::open(&ServerBuilder::default(), &folder).unwrap();
}

#[test]
fn another_journal_than_the_converted_one_is_not_removed() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, other) = (copy("crashed", parent.path()), copy("scaled", parent.path()));
    let mortal = Mortal { files: files(&folder), calls: AtomicI64::new(i64::MAX) };
    convert(&mortal, configure().writer, machine()).unwrap();
    drop(mortal);
    // The journal was not removed yet.
    fs::copy(other.join("journal-00000001"), folder.join("journal-00000001")).unwrap();
    let problem = OpenedStorage::open(&ServerBuilder::default(), &folder).unwrap_err();
    assert!(problem.to_string().contains("not the journal that was converted"), "{problem}");
    assert!(folder.join("journal-00000001").exists());
}
