//! What is salvaged of a small folder with any damage.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_proto::{ScalingPolicy, StreamConfig, StreamInfo};
use pravega_sdk_server_core::{
    ids::Moment,
    log::{
        CheckpointBuilder, CheckpointEnd, CheckpointFile, Fetch, FetchStep, FileHead, FileKind,
        FileNumber, FolderId, FolderStep, HEAD_LEN, LogWriter, MarkSlot, Outcome, Place, Position,
        Salt, Settings, Slice, StateEntry, creation,
    },
    machine::Machine,
    record::{Durability, Millis, Sequence},
};
use pravega_sdk_types::Offset;
use uuid::Uuid;

use super::{
    missing::Missing,
    salvage::{Salvaged, salvage_to},
};
use crate::{
    builder::ServerBuilder,
    folder::Kind,
    log::{Disk, carry_out_commit},
    storage::OpenedStorage,
};

type Listed = BTreeMap<String, Vec<u8>>;

/// The files of a folder, in memory.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Listed>>);

impl Memory {
    fn of(files: &Listed) -> Self {
        Self(Arc::new(Mutex::new(files.clone())))
    }

    fn files(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap()
    }
}

impl Disk for Memory {
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        let list =
            |(name, bytes): (&String, &Vec<u8>)| (name.clone(), Kind::Regular, bytes.len() as u64);
        Ok(self.files().iter().map(list).collect())
    }

    fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        let files = self.files();
        let bytes = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let rest = bytes.get(at as usize..).unwrap_or_default();
        Ok(Bytes::copy_from_slice(&rest[..rest.len().min(len as usize)]))
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files();
        let file = files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let (at, end) = (at as usize, at as usize + bytes.len());
        file.resize(file.len().max(end), 0);
        file[at..end].copy_from_slice(bytes);
        Ok(())
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        self.files().get_mut(name).ok_or(io::ErrorKind::NotFound)?.truncate(len as usize);
        Ok(())
    }

    fn sync(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(())
    }
}

const FOLDER: FolderId = FolderId(77);

/// A server whose log is written to a folder in memory, in short files.
struct Writing {
    disk: Memory,
    machine: Machine,
    writer: LogWriter,
    batches: u64,
}

impl Writing {
    fn new() -> Self {
        let disk = Memory::default();
        let (steps, head) = creation(FOLDER, Salt(5), Vec::new());
        for step in steps {
            match step {
                FolderStep::Create { name, bytes } => disk.create(&name, &bytes),
                FolderStep::Rename { from, to } => disk.rename(&from, &to),
                FolderStep::Remove(_) | FolderStep::Sync => Ok(()),
            }
            .unwrap();
        }
        let settings = Settings { file_len: 900, ahead: 0, ..Settings::new(FOLDER) };
        let slot = MarkSlot::Second;
        let writer = LogWriter::new(settings, None, Some(head), Sequence(0), slot);
        let machine = ServerBuilder::default().machine(Durability::Logged);
        Self { disk, machine, writer, batches: 0 }
    }

    fn change(&mut self, change: impl FnOnce(&mut Machine, Moment)) {
        self.batches += 1;
        let random = Uuid::from_u128(u128::from(self.batches) << 64);
        change(&mut self.machine, Moment { now: Millis(1000), random });
        let (sequence, records) = self.machine.take_batch().unwrap();
        self.writer.submit(sequence, records).unwrap();
        // Each mark is written, that of the last commit too.
        let now = Duration::from_secs(self.batches);
        for now in [now, now + Duration::from_millis(500)] {
            loop {
                if let Some(head) = self.writer.poll_prepare(self.batches) {
                    self.disk.create(&head.number.name(), &head.encode()).unwrap();
                    self.writer.handle_prepared(&Outcome::Done);
                }
                let Some(effect) = self.writer.poll(now) else { break };
                self.writer.handle(carry_out_commit(&self.disk, effect));
            }
        }
    }

    fn append(&mut self, segment: &str, byte: u8, len: usize) {
        self.change(|machine, at| {
            let data = vec![byte; len].into();
            machine.call(at).1.append_internal(&segment.into(), data, Vec::new()).unwrap();
        });
    }

    fn create(&mut self, segment: &str) {
        self.change(|machine, at| {
            machine.call(at).1.create(&segment.into(), Vec::new()).unwrap();
        });
    }

    /// Writes a checkpoint, after which a start reads the whole log again.
    fn checkpoint(&mut self) {
        let (kind, number) = (FileKind::Checkpoint, FileNumber(1));
        let head = FileHead { kind, folder: FOLDER, number, salt: Salt(6) };
        let place = Place { file: FileNumber::FIRST, at: HEAD_LEN as u64 };
        let mut builder = CheckpointBuilder::new(&head, Position { place, sequence: 0 });
        for (key, value) in values(&self.machine) {
            builder.push(&key, value.as_deref());
        }
        let end = CheckpointEnd { up_to: self.batches, files: Vec::new(), runs: Vec::new() };
        let name = CheckpointFile { base: 1, number: 1 }.name();
        self.disk.create(&name, &builder.finish(&end)).unwrap();
    }
}

/// A folder with streams, segments of all kinds, and several files.
fn folder() -> Listed {
    let mut writing = Writing::new();
    writing.change(|machine, at| {
        let (catalog, mut step) = machine.call(at);
        catalog.create_scope("s", &mut step).unwrap();
    });
    writing.change(|machine, at| {
        let (scope, stream) = ("s".to_owned(), "t".to_owned());
        let config = StreamConfig {
            stream_info: Some(StreamInfo { scope, stream, ..StreamInfo::default() }),
            scaling_policy: Some(ScalingPolicy { min_num_segments: 1, ..ScalingPolicy::default() }),
            ..StreamConfig::default()
        };
        let (catalog, mut step) = machine.call(at);
        catalog.create_stream(config, &mut step).unwrap();
    });
    for name in ["a", "b", "c", "gone"] {
        writing.create(name);
        writing.append(name, name.as_bytes()[0], 60);
    }
    writing.checkpoint();
    writing.append("s/t/0.#epoch.0", b'e', 80);
    writing.append("a", b'A', 100);
    writing.change(|machine, at| {
        machine.call(at).1.merge(&"a".into(), &"c".into(), &[]).unwrap();
    });
    writing.append("a", b'x', 30);
    writing.change(|machine, at| {
        machine.call(at).1.delete(&"gone".into()).unwrap();
    });
    writing.change(|machine, at| {
        machine.call(at).1.truncate(&"b".into(), Offset(20)).unwrap();
    });
    writing.append("b", b'y', 200);
    writing.append("a", b'z', 40);
    // Appends that follow each other, and are near each other, with others between them.
    for byte in 0..4 {
        writing.append("a", byte, 20);
        writing.append("b", byte, 20);
    }
    let files = writing.disk.files().clone();
    let logs = files.keys().filter(|name| name.starts_with("log-")).count();
    assert!(logs > 2, "{logs} log files");
    files
}

fn values(machine: &Machine) -> Vec<StateEntry> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let entries = machine.slice(&Slice::After(after.take(), 100));
        let Some((last, _)) = entries.last() else { return all };
        after = Some(last.clone());
        all.extend(entries);
    }
}

/// What a server has that starts on a folder: its state, and the bytes of its segments, of which
/// some cannot be read.
#[derive(Debug, PartialEq)]
struct Served {
    values: Vec<StateEntry>,
    segments: BTreeMap<String, BTreeMap<u64, Option<u8>>>,
}

fn serve(files: &Listed) -> Served {
    let disk: Arc<dyn Disk> = Arc::new(Memory::of(files));
    let opened = OpenedStorage::read(&ServerBuilder::default(), Arc::clone(&disk)).unwrap();
    let kept = Arc::clone(opened.handle.kept());
    let mut segments = BTreeMap::new();
    for segment in opened.machine.store.stored() {
        let (mut bytes, mut at) = (BTreeMap::new(), segment.start);
        for (number, range) in segment.parts {
            for offset in range {
                let mut fetch = Fetch::new(number, offset, offset + 1);
                let byte = loop {
                    match fetch.poll(kept.keeper().index()) {
                        FetchStep::Read { file, range } => {
                            let len = range.end - range.start;
                            match disk.read_at(&file.name(), range.start, len) {
                                Ok(bytes) => fetch.handle_read(bytes),
                                Err(_) => fetch.handle_gone(),
                            }
                        }
                        FetchStep::Bytes(bytes) => break Some(bytes[0]),
                        FetchStep::Missing { .. } => break None,
                        other => panic!("{}: {other:?}", segment.name),
                    }
                };
                bytes.insert(at, byte);
                at += 1;
            }
        }
        segments.insert(segment.name, bytes);
    }
    Served { values: values(&opened.machine), segments }
}

/// Salvages a damaged folder, and checks that what is not in the new one is on the list.
fn check(whole: &Served, damaged: &Listed, what: &str) -> Salvaged {
    let (from, to) = (Memory::of(damaged), Memory::default());
    let salvaged = salvage_to(&from, &to).unwrap_or_else(|why| panic!("{what}: {why:?}"));
    assert!(*from.files() == *damaged, "{what}: the damaged folder was changed");
    let served = serve(&to.files());
    assert_eq!(served.segments.len(), salvaged.segments, "{what}");
    let list = &salvaged.missing;
    let is_open = list.iter().any(|missing| {
        matches!(missing, Missing::File { .. } | Missing::Changes { .. } | Missing::Entry { .. })
    });
    if !is_open {
        assert_eq!(served.values, whole.values, "{what}: {list:?}");
    }
    let is_listed = |name: &str, at: u64| {
        list.iter().any(|missing| {
            matches!(missing, Missing::Bytes { segment, from, to }
                if *segment == name && (*from..*to).contains(&at))
        })
    };
    for (name, bytes) in &served.segments {
        let known = whole.segments.get(name);
        assert!(known.is_some() || is_open, "{what}: {name} is there");
        for (at, byte) in bytes {
            let expected = known.and_then(|known| known.get(at));
            match (byte, expected) {
                (None, _) => assert!(is_listed(name, *at), "{what}: {name} at {at}: {list:?}"),
                (Some(byte), Some(expected)) => {
                    assert_eq!(Some(*byte), *expected, "{what}: {name} at {at}");
                }
                // It was truncated, or deleted, which is lost.
                (Some(_), None) => assert!(is_open, "{what}: {name} at {at}"),
            }
        }
    }
    for (name, bytes) in &whole.segments {
        let found = served.segments.get(name);
        let is_lost = |at: &u64| found.is_none_or(|found| !found.contains_key(at));
        assert!(is_open || !bytes.keys().any(is_lost), "{what}: a part of {name} is not there");
    }
    salvaged
}

/// A folder whose log was read by a start, and one that was salvaged, which has other files.
fn folders() -> [(&'static str, Listed); 2] {
    let first = folder();
    let to = Memory::default();
    let salvaged = salvage_to(&Memory::of(&first), &to).unwrap();
    assert_eq!(salvaged.missing, []);
    let second = to.files().clone();
    for kind in ["moved-", "index-", "checkpoint-"] {
        assert!(second.keys().any(|name| name.starts_with(kind)), "{kind}");
    }
    [("first", first), ("second", second)]
}

#[test]
fn a_folder_without_damage_is_salvaged_whole() {
    for (which, files) in folders() {
        let whole = serve(&files);
        assert!(whole.segments.values().flat_map(|bytes| bytes.values()).all(Option::is_some));
        assert_eq!(check(&whole, &files, which).missing, []);
    }
}

#[test]
fn whatever_byte_is_flipped_what_is_not_salvaged_is_listed_and_no_byte_is_wrong() {
    for (which, files) in folders() {
        let whole = serve(&files);
        for (name, bytes) in &files {
            let step = if bytes.len() < 700 { 7 } else { 11 };
            for at in (0..bytes.len()).step_by(step) {
                let mut damaged = files.clone();
                damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
                check(&whole, &damaged, &format!("{which}: {name} at {at}"));
            }
        }
    }
}

#[test]
fn whatever_file_is_removed_or_cut_what_is_not_salvaged_is_listed() {
    for (which, files) in folders() {
        let whole = serve(&files);
        for (name, bytes) in &files {
            let is_only = |of: &str| {
                name.starts_with(of)
                    && files.keys().filter(|name| name.starts_with(of)).count() == 1
            };
            let mut without = files.clone();
            without.remove(name);
            if is_only("log-") && !files.keys().any(|name| name.starts_with("moved-")) {
                continue;
            }
            let salvaged = check(&whole, &without, &format!("{which}: without {name}"));
            // The next file, which was created and not used.
            let is_unused = name.starts_with("log-") && bytes.len() <= HEAD_LEN && !is_only("log-");
            let is_needed = !name.starts_with("index-") && !is_unused;
            // Without a checkpoint, a log that has everything is read from its beginning.
            let has_all = name.starts_with("checkpoint-") && which == "first";
            assert_eq!(!salvaged.missing.is_empty(), is_needed && !has_all, "{which}: {name}");
            for len in (0..bytes.len()).step_by(13) {
                let mut cut = files.clone();
                cut.get_mut(name).unwrap().truncate(len);
                check(&whole, &cut, &format!("{which}: {name} cut at {len}"));
            }
        }
    }
}

#[test]
fn a_hole_in_a_segment_leaves_what_is_before_and_after_it_at_its_offset() {
    let files = folder();
    let whole = serve(&files);
    // The bytes of one append are in one file, once.
    let (name, at) = files
        .iter()
        .find_map(|(name, bytes)| {
            let at = bytes.windows(100).position(|window| window == [b'A'; 100])?;
            Some((name.clone(), at))
        })
        .unwrap();
    let mut damaged = files.clone();
    damaged.get_mut(&name).unwrap()[at + 50] ^= 1;
    let (from, to) = (Memory::of(&damaged), Memory::default());
    let salvaged = salvage_to(&from, &to).unwrap();
    let hole = Missing::Bytes { segment: "a".to_owned(), from: 60, to: 160 };
    assert!(salvaged.missing.contains(&hole), "{:?}", salvaged.missing);
    let served = serve(&to.files());
    for (at, byte) in &served.segments["a"] {
        let expected = if (60..160).contains(at) { None } else { whole.segments["a"][at] };
        assert_eq!(*byte, expected, "at {at}");
    }
    assert_eq!(served.segments["a"].len(), whole.segments["a"].len());
}

#[test]
fn a_folder_without_a_log_is_not_salvaged() {
    let to = Memory::default();
    for files in [Listed::new(), [("thesis.tex".to_owned(), vec![7; 9])].into()] {
        salvage_to(&Memory::of(&files), &to).unwrap_err();
        assert_eq!(*to.files(), Listed::new());
    }
}
