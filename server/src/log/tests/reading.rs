//! Reading ranges of segments from files, while others are written.

use std::{
    fs,
    ops::Range,
    sync::{Arc, mpsc},
};

use pravega_sdk_server_core::log::{FileNumber, batch_len};

use super::*;
use crate::log::{
    owner::{Owner, ReadFailure},
    readers::{Job, ReadQueue, Readers, Then},
    runs::write_run,
};

const SEGMENTS: u64 = 3;

/// Tells what becomes durable.
struct Durable(mpsc::Sender<u64>);

impl Sink for Durable {
    fn handle(&mut self, event: Event) {
        let Event::Committed(committed) = event else { panic!("{event:?}") };
        self.0.send(committed.sequence.0).ok();
    }

    fn fail(&mut self, _: Sequence, why: &str) {
        panic!("{why}");
    }
}

/// Segments whose bytes are in several files.
struct Written {
    folder: tempfile::TempDir,
    id: FolderId,
    disk: Arc<dyn Disk>,
    kept: Arc<Kept>,
    queue: ReadQueue,
    readers: Readers,
    segments: Vec<Vec<u8>>,
}

impl Written {
    fn new() -> Self {
        Self::within(u64::MAX)
    }

    /// Those of a server with a memory limit, in bytes.
    fn within(memory: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
        let (durable, receiver) = mpsc::channel();
        let (inbox, (opened, keeper)) = (Inbox::default(), open_with(&*disk, &[]));
        let (id, writer) = (opened.settings.folder, opened.writer);
        let kept = Arc::new(Kept::new(keeper, SPACE, memory));
        let thread = CommitThread::start(
            writer,
            Arc::clone(&disk),
            inbox.clone(),
            Arc::clone(&kept),
            Durable(durable),
        )
        .unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let mut segments = vec![Vec::new(); SEGMENTS as usize];
        for sequence in 1..=300 {
            let number = random.u64(..SEGMENTS);
            let len =
                if random.u8(..4) == 0 { random.usize(..90_000) } else { random.usize(1..300) };
            let data: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
            let bytes = &mut segments[number as usize];
            let (segment, offset) = (SegmentNumber(number), bytes.len() as u64);
            bytes.extend_from_slice(&data);
            let (meta, data) = (Bytes::from_static(b"meta"), data.into());
            let records = vec![LogRecord::Data { segment, offset, meta, data }];
            assert!(batch_len(&records).is_ok());
            inbox.submit(Sequence(sequence), records).unwrap();
        }
        while receiver.recv().unwrap() < 300 {}
        inbox.close();
        thread.join();
        let queue = ReadQueue::default();
        let owner: Arc<dyn Owner> = Arc::new(storage::Model::default());
        let readers = Readers::start(&disk, &kept, &queue, &owner).unwrap();
        Self { folder, id, disk, kept, queue, readers, segments }
    }

    /// Writes the spans of files that ended to runs.
    fn index(&self) {
        loop {
            let work = self.kept.keeper().index().work();
            let Some(work) = work else { return };
            write_run(&*self.disk, self.id, &self.kept, &work).unwrap();
        }
    }

    fn read(&self, segment: u64, from: u64, to: u64) -> Result<Bytes, ReadFailure> {
        self.read_parts(&[(segment, from..to)])
    }

    fn read_parts(&self, parts: &[(u64, Range<u64>)]) -> Result<Bytes, ReadFailure> {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        let part = |(segment, range): &(u64, Range<u64>)| (SegmentNumber(*segment), range.clone());
        let parts = parts.iter().map(part).collect();
        let job = Job { parts, then: Then::Done(done) };
        assert!(self.queue.add(job).is_ok());
        receiver.recv().unwrap()
    }

    fn end(self) {
        self.queue.close();
        self.readers.join();
    }
}

#[test]
fn every_range_of_a_segment_is_read_from_its_files() {
    let written = Written::new();
    assert!(written.kept.keeper().index().salt(FileNumber(3)).is_some(), "there are several files");
    let mut random = fastrand::Rng::with_seed(8);
    for number in 0..SEGMENTS {
        let all = &written.segments[number as usize];
        let len = all.len() as u64;
        assert!(written.read(number, 0, len).unwrap() == all[..]);
        for _ in 0..50 {
            let from = random.u64(..len);
            let to = random.u64(from..len) + 1;
            let found = written.read(number, from, to).unwrap();
            assert!(found == all[from as usize..to as usize], "{from}..{to}");
        }
        // What is after the end is nowhere, and what is before it comes first.
        assert!(written.read(number, len - 3, len + 5).unwrap() == all[all.len() - 3..]);
        let missing = written.read(number, len, len + 5).unwrap_err();
        assert!(matches!(missing, ReadFailure::Missing(at) if at == len), "{missing}");
    }
    written.end();
}

#[test]
fn parts_come_one_after_the_other_up_to_the_first_byte_that_cannot_be_read() {
    let written = Written::new();
    let [one, other] = [0, 1].map(|number: usize| &written.segments[number][..]);
    let (len, nowhere) = (one.len() as u64, (SEGMENTS, 0..5));
    let read = |parts: &[(u64, Range<u64>)]| written.read_parts(parts);
    let both = read(&[(0, 10..20), (1, 5..9), (0, 20..30)]).unwrap();
    assert!(both == [&one[10..20], &other[5..9], &one[20..30]].concat());
    // Bytes after some that are missing would be served in their place.
    let short = read(&[(0, len - 3..len + 5), (1, 0..10)]).unwrap();
    assert!(short == one[one.len() - 3..], "{} bytes", short.len());
    let first = read(&[(0, 0..10), nowhere.clone(), (1, 0..10)]).unwrap();
    assert!(first == one[..10], "{} bytes", first.len());
    let missing = read(&[nowhere, (0, 0..10)]).unwrap_err();
    assert!(matches!(missing, ReadFailure::Missing(0)), "{missing}");
    written.end();
}

#[test]
fn what_is_known_for_the_next_reads_stays_within_its_share_of_the_memory() {
    // Of all segments without a limit; of none, and of a part of them.
    for memory in [u64::MAX, 0, 64 * 500, 64 * 1500] {
        let written = Written::within(memory);
        written.index();
        let mut random = fastrand::Rng::with_seed(9);
        let mut most = 0;
        for _ in 0..100 {
            let number = random.u64(..SEGMENTS);
            let all = &written.segments[number as usize];
            let from = random.u64(..all.len() as u64);
            let to = (from + 50_000).min(all.len() as u64);
            let found = written.read(number, from, to).unwrap();
            assert!(found == all[from as usize..to as usize], "{from}..{to}");
            most = most.max(written.kept.held_by_spans());
        }
        assert!(most <= memory / 64, "{most} bytes of a limit of {memory}");
        assert_eq!(most > 0, memory > 0, "{most} bytes of a limit of {memory}");
        written.end();
    }
}

#[test]
fn damage_is_named_with_its_place_and_the_bytes_elsewhere_are_read() {
    let written = Written::new();
    let all = &written.segments[0];
    let place = {
        let keeper = written.kept.keeper();
        keeper.index().find(SegmentNumber(0), all.len() as u64 / 2).unwrap()
    };
    // In the middle of the records of a span.
    let path = written.folder.path().join(place.file.name());
    let mut bytes = fs::read(&path).unwrap();
    let middle = place.at as usize + (place.end - place.at) as usize / 2;
    bytes[middle] ^= 16;
    fs::write(&path, &bytes).unwrap();
    let (mut at, mut damages) = (0, 0);
    while at < all.len() as u64 {
        match written.read(0, at, all.len() as u64) {
            Ok(found) => {
                assert!(found == all[at as usize..at as usize + found.len()]);
                at += found.len() as u64;
            }
            Err(ReadFailure::Damaged { file, at: damaged }) => {
                assert_eq!(file, place.file.name());
                assert!((place.at..=middle as u64).contains(&damaged), "{damaged}");
                damages += 1;
                at = place.to;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(damages, 1);
    written.disk.remove(&place.file.name()).unwrap();
    let gone = written.read(0, place.from, place.to).unwrap_err();
    assert!(matches!(gone, ReadFailure::Damaged { at: 0, .. }), "it should exist: {gone}");
    written.end();
}
