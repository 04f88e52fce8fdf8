//! Damage of each byte of a small folder is found, or does no harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
    sync::Mutex,
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_server_core::log::CheckpointFile;

use super::*;
use crate::{
    EmbeddedServer, clock::Clock, folder::Kind, state::ServerState, storage::OpenedStorage,
};

/// Files in memory, of which none is written.
#[derive(Debug, Default)]
struct Held {
    files: BTreeMap<String, Bytes>,
    /// Those that were asked for.
    reads: Mutex<BTreeSet<String>>,
    /// A part of one that cannot be read.
    bad: Option<(String, Range<u64>)>,
}

fn written<T>() -> io::Result<T> {
    panic!("a check changes nothing")
}

impl Disk for Held {
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        let files = self.files.iter();
        Ok(files.map(|(name, bytes)| (name.clone(), Kind::Regular, bytes.len() as u64)).collect())
    }

    fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        self.reads.lock().unwrap().insert(name.to_owned());
        let bytes = self.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        if let Some((_, bad)) = self.bad.as_ref().filter(|(file, _)| file == name)
            && at < bad.end
            && bad.start < at.saturating_add(len)
        {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        let place = |at: u64| (at as usize).min(bytes.len());
        Ok(bytes.slice(place(at)..place(at.saturating_add(len))))
    }

    fn create(&self, _: &str, _: &[u8]) -> io::Result<()> {
        written()
    }

    fn write_at(&self, _: &str, _: u64, _: &[u8]) -> io::Result<()> {
        written()
    }

    fn cut(&self, _: &str, _: u64) -> io::Result<()> {
        written()
    }

    fn sync(&self, _: &str) -> io::Result<()> {
        written()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        written()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        written()
    }

    fn sync_folder(&self) -> io::Result<()> {
        written()
    }
}

fn files(folder: &Path) -> BTreeMap<String, Bytes> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    // A server that runs may remove a file meanwhile.
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let named = files.filter_map(|entry| {
        let bytes = std::fs::read(entry.path()).ok()?;
        Some((entry.file_name().into_string().unwrap(), Bytes::from(bytes)))
    });
    named.filter(|(name, _)| name != "lock").collect()
}

async fn start(folder: &Path) -> EmbeddedServer {
    let builder = EmbeddedServer::builder().with_directory(folder).with_disk_limit(32 << 20);
    builder.start().await.unwrap()
}

async fn append(state: &ServerState, segment: &str, len: usize) {
    let ((), after) = state.run(|machine, at| {
        let (_, mut step) = machine.call(at);
        if step.store.info(segment).is_err() {
            step.create(&segment.into(), Vec::new()).unwrap();
        }
        let data = (0..len).map(|byte| (byte / 5) as u8 | 1).collect::<Vec<_>>().into();
        step.append_internal(&segment.into(), data, Vec::new()).unwrap();
    });
    state.wait_durable(after).await.unwrap();
}

/// The files of a small folder, after two lives of a server.
async fn small() -> Held {
    let folder = tempfile::tempdir().unwrap();
    for life in 0..2 {
        let server = start(folder.path()).await;
        for segment in ["scope/one/0.#epoch.0", "scope/two/0.#epoch.0"] {
            append(&server.state, segment, 300 + life).await;
        }
        server.shutdown().await;
    }
    // The zeros at the end of the newest file are most of the folder.
    let mut files = files(folder.path());
    for (name, bytes) in &mut files {
        if name.starts_with("log-") {
            let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            *bytes = bytes.slice(..(len + 200).min(bytes.len()));
        }
    }
    Held { files, ..Held::default() }
}

fn flipped(files: &BTreeMap<String, Bytes>, name: &str, at: usize, bit: u8) -> Held {
    let mut files = files.clone();
    let mut bytes = files[name].to_vec();
    bytes[at] ^= 1 << bit;
    files.insert(name.to_owned(), bytes.into());
    Held { files, ..Held::default() }
}

fn without(files: &BTreeMap<String, Bytes>, name: &str) -> Held {
    let mut files = files.clone();
    files.remove(name).unwrap();
    Held { files, ..Held::default() }
}

/// The file that a report is about.
fn refused(report: &FolderReport) -> Option<&str> {
    match report.refusal.as_ref()? {
        OpenProblem::Corrupt { file, .. }
        | OpenProblem::Missing { file, .. }
        | OpenProblem::Foreign { file, .. } => Some(file),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_every_byte_is_found_but_for_zeros_after_the_end() {
    let whole = small().await;
    let report = check_disk(&whole).unwrap();
    assert!(report.is_whole() && report.harmless.is_empty(), "{report:?}");
    assert!(report.segments > Some(1) && report.files >= 3, "{report:?}");
    let (mut found, mut zeros) = (0, 0);
    for (name, bytes) in &whole.files {
        if report.obsolete.contains(name) {
            continue;
        }
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        for at in 0..bytes.len() {
            let held = flipped(&whole.files, name, at, (at % 8) as u8);
            let report = check_disk(&held).unwrap();
            let is_in = |part: &DamagedPart| {
                part.file == *name && part.from <= at as u64 && (at as u64) < part.to
            };
            let parts = report.damage.iter().chain(&report.harmless);
            if parts.clone().any(is_in) || refused(&report) == Some(name) {
                // What a crash may leave so is reported, too.
                let is_harmless = name == MARK_NAME || at >= end;
                assert!(is_harmless || !report.is_whole(), "byte {at} of {name}: {report:?}");
                found += 1;
            } else {
                // In the file that was created for what comes next, a start looks at the head only.
                assert!(name.starts_with("log-") && report.is_whole(), "byte {at} of {name}");
                assert!(at >= HEAD_LEN || at >= end, "byte {at} of {name}: {report:?}");
                zeros += 1;
            }
        }
    }
    println!("{found} found, {zeros} in zeros");
    assert!(found > 1500 && zeros < 600, "{found} found, {zeros} in zeros");
}

/// A folder with several log files, runs and a checkpoint.
async fn large() -> (tempfile::TempDir, BTreeMap<String, Bytes>) {
    let folder = tempfile::tempdir().unwrap();
    let builder = EmbeddedServer::builder().with_disk_limit(32 << 20);
    let mut opened = OpenedStorage::open(&builder, folder.path()).unwrap();
    opened.log.checkpoints.tail_len = 3 << 20;
    let (state, storage) = opened.start(Clock::standing()).unwrap();
    let names = || files(folder.path()).into_keys().collect::<Vec<_>>();
    for _ in 0..18 {
        append(&state, "scope/one/0.#epoch.0", 700_000).await;
        append(&state, "scope/two/0.#epoch.0", 300_000).await;
        let has = |prefix: &str| names().iter().any(|name| name.starts_with(prefix));
        // A start reads the log from the newest checkpoint on.
        let is_third = |name: &String| {
            CheckpointFile::of_name(name).is_some_and(|checkpoint| checkpoint.number >= 3)
        };
        if has("index-") && names().iter().any(is_third) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    state.close_log();
    tokio::task::spawn_blocking(move || storage.join()).await.unwrap();
    let files = files(folder.path());
    assert!(files.keys().any(|name| name.starts_with("checkpoint-")), "{:?}", files.keys());
    (folder, files)
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_what_a_start_does_not_read_is_named_with_the_segments_that_have_it() {
    let (_folder, files) = large().await;
    let whole = check_disk(&Held { files: files.clone(), ..Held::default() }).unwrap();
    assert!(whole.is_whole(), "{whole:?}");
    let name = "log-00000001";
    let report = check_disk(&flipped(&files, name, 100_000, 3)).unwrap();
    assert!(report.refusal.is_none(), "a start does not read it: {report:?}");
    let [DamagedPart { file, from, to, segments: Some(segments), .. }] = &report.damage[..] else {
        panic!("{report:?}");
    };
    assert_eq!(file, name);
    assert!(*from <= 100_000 && 100_000 < *to && to - from < 70_000, "{report:?}");
    let [SegmentPart { segment, from, to }] = &segments[..] else { panic!("{segments:?}") };
    assert_eq!(segment, "scope/one/0.#epoch.0");
    assert!(*from < 100_000 && to - from <= 64 << 10, "{from} to {to}");
    // The index of it.
    let run = files.keys().find(|name| name.starts_with("index-")).unwrap();
    let report = check_disk(&flipped(&files, run, 80, 0)).unwrap();
    assert_eq!(report.damage.len(), 1, "{report:?}");
    assert_eq!((&report.damage[0].file, &report.damage[0].segments), (run, &None));
    // A checkpoint, without which no server starts.
    let checkpoint = files.keys().rfind(|name| name.starts_with("checkpoint-")).unwrap();
    let report = check_disk(&flipped(&files, checkpoint, 100, 0)).unwrap();
    assert_eq!(refused(&report), Some(&**checkpoint));
    assert!(report.damage.iter().any(|part| part.file == *checkpoint), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_cannot_read_is_reported_and_all_else_is_checked() {
    let (_folder, files) = large().await;
    for (name, bytes) in &files {
        let at = bytes.len() as u64 / 2 / 4096 * 4096;
        let bad = Some((name.clone(), at + 10..at + 20));
        let mut held = Held { bad, ..flipped(&files, "log-00000001", 100_000, 3) };
        let report = check_disk(&held).unwrap();
        let tells = |part: &DamagedPart, what: &str| part.file == *name && part.what.contains(what);
        let is_checked = !report.obsolete.contains(name);
        let sector = report.damage.iter().find(|part| tells(part, "cannot read the bytes"));
        let told = sector.map(|part| (part.from, part.to));
        let end = (at + 4096).min(bytes.len() as u64);
        // Without it no server starts, or the file has no more than a head.
        let is_refused = |report: &FolderReport| match &report.refusal {
            Some(OpenProblem::Io { what, .. }) => what.contains(&**name),
            _ => false,
        };
        // Some are read as a whole, and shorter.
        let is_told = told.is_some_and(|(from, to)| at <= from && from < at + 20 && to == end);
        assert!(is_told || is_refused(&report) || !is_checked, "{name}: {report:?}");
        let is_found = |part: &DamagedPart| {
            part.file == "log-00000001" && part.from <= 100_000 && 100_000 < part.to
        };
        assert!(report.damage.iter().any(is_found), "{name}: {report:?}");
        held.bad = Some((name.clone(), 0..bytes.len() as u64));
        let report = check_disk(&held).unwrap();
        let is_told = report.damage.iter().any(|part| tells(part, "cannot read"));
        assert!(is_told || is_refused(&report) || !is_checked, "{name}: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_shorter_or_another_is_named() {
    let (_folder, files) = large().await;
    let first = |kind: &str| files.keys().find(|name| name.starts_with(kind)).unwrap();
    for name in [first("log-"), first("index-"), first("checkpoint-"), first("synced")] {
        let report = check_disk(&without(&files, name)).unwrap();
        assert_eq!(refused(&report), Some(&**name), "{report:?}");
        let mut shorter = files.clone();
        shorter.insert(name.clone(), files[name].slice(..files[name].len() / 3));
        let report = check_disk(&Held { files: shorter, ..Held::default() }).unwrap();
        let is_mark = name == MARK_NAME;
        assert!(!report.is_whole() || is_mark, "{name} is shorter: {report:?}");
    }
    let mut swapped = files.clone();
    swapped.insert("log-00000001".to_owned(), files["log-00000002"].clone());
    let report = check_disk(&Held { files: swapped, ..Held::default() }).unwrap();
    assert_eq!(refused(&report), Some("log-00000001"), "{report:?}");
    let mut foreign = files.clone();
    foreign.insert("log-00000099".to_owned(), files["log-00000001"].clone());
    let report = check_disk(&Held { files: foreign, ..Held::default() }).unwrap();
    assert_eq!(refused(&report), Some("log-00000099"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_is_told_and_is_no_damage() {
    let held = small().await;
    let name = held.files.keys().find(|name| name.starts_with("log-")).unwrap().clone();
    let bytes = &held.files[&name];
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut torn = bytes.to_vec();
    torn[end] = 7;
    torn[end + 50] = 9;
    let mut files = held.files.clone();
    files.insert(name.clone(), torn.into());
    let report = check_disk(&Held { files, ..Held::default() }).unwrap();
    assert!(report.is_whole(), "{report:?}");
    let [DamagedPart { file, from, .. }] = &report.harmless[..] else { panic!("{report:?}") };
    assert_eq!((file, *from), (&name, end as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_checked_stays_as_it_is_and_one_in_use_is_not_checked() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    append(&server.state, "scope/one/0.#epoch.0", 1000).await;
    let refused = check(folder.path()).unwrap_err();
    assert!(matches!(refused.problem(), OpenProblem::InUse { .. }), "{refused}");
    server.shutdown().await;
    let before = files(folder.path());
    let report = check(folder.path()).unwrap();
    assert!(report.is_whole() && report.bytes > 1000, "{report:?}");
    assert_eq!(files(folder.path()), before);
    std::fs::remove_file(folder.path().join("lock")).unwrap();
    assert!(check(folder.path()).unwrap().is_whole());
    assert!(!folder.path().join("lock").exists(), "nothing is created");
    let missing = check(folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing.problem(), OpenProblem::Io { .. }), "{missing}");
    assert!(!folder.path().join("missing").exists());
    let empty = tempfile::tempdir().unwrap();
    let report = check(empty.path()).unwrap();
    assert!(report.is_whole() && report.files == 0, "{report:?}");
    std::fs::write(empty.path().join("letter.txt"), "dear").unwrap();
    let report = check(empty.path()).unwrap();
    assert!(
        matches!(&report.refusal, Some(OpenProblem::Foreign { file, .. }) if file == "letter.txt")
    );
}
