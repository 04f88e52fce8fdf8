//! Segments in files and runs: reading them, and counting what of them is freed.

use std::{collections::BTreeMap, ops::Range};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::super::{
    DamagedRun, Directory, Entry, FOOTER_LEN, Fetch, FetchStep, FileHead, FileKind, FileNumber,
    FileSpans, FolderId, Footer, FrameBuilder, Freed, FreedStep, Index, IndexWork, KnownSpans,
    LogRecord, Merge, Place, ReadFile, Run, RunBuilder, RunFile, Salt, SegmentNumber, read_block,
};
use crate::record::Sequence;

/// Files, their index, and what segments should hold.
struct Files {
    index: Index,
    files: BTreeMap<ReadFile, Vec<u8>>,
    segments: BTreeMap<SegmentNumber, Vec<u8>>,
    sequence: u64,
    reads: usize,
}

fn salt_of(file: u64) -> Salt {
    Salt(file.wrapping_mul(7919))
}

impl Files {
    fn new() -> Self {
        let (index, files, segments) = (Index::default(), BTreeMap::new(), BTreeMap::new());
        Self { index, files, segments, sequence: 0, reads: 0 }
    }

    fn begin(&mut self, file: u64) {
        self.index.begin(FileNumber(file), salt_of(file));
        self.files.insert(ReadFile::Log(FileNumber(file)), vec![0; 64]);
    }

    /// Writes a frame with appends to segments.
    fn write(&mut self, file: u64, appends: &[(u64, Vec<u8>)]) {
        let content = self.files.get_mut(&ReadFile::Log(FileNumber(file))).unwrap();
        let start = Place { file: FileNumber(file), at: content.len() as u64 };
        let mut frame = FrameBuilder::new(salt_of(file), start, BytesMut::new());
        for (segment, data) in appends {
            let segment = SegmentNumber(*segment);
            let held = self.segments.entry(segment).or_default();
            let (offset, meta) = (held.len() as u64, Bytes::from_static(b"meta"));
            held.extend(data);
            let data = data.clone().into();
            frame.push(&LogRecord::Data { segment, offset, meta, data });
        }
        self.sequence += 1;
        let (bytes, spans) = frame.finish(Sequence(self.sequence)).unwrap();
        content.extend_from_slice(&bytes);
        self.index.commit(&spans).unwrap();
    }

    fn entries(&self, run: RunFile) -> Vec<Entry> {
        let content = &self.files[&ReadFile::Run(run)];
        let salt = FileHead::decode(content).unwrap().salt;
        let at = content.len() - FOOTER_LEN;
        let footer = Footer::decode(&content[at..], salt, at as u64).unwrap();
        let part = |place: Range<u64>| &content[place.start as usize..place.end as usize];
        let directory = part(footer.directory_place());
        let directory = Directory::decode(directory, salt, &footer).unwrap();
        let block = |place: Range<u64>| read_block(part(place.clone()), salt, place.start);
        directory.blocks().flat_map(|place| block(place).unwrap()).collect()
    }

    /// Writes and merges runs, as long as there are any to write.
    fn work(&mut self) {
        while let Some(work) = self.index.work() {
            let (run, entries) = match work {
                IndexWork::Write(file) => {
                    let spans = self.index.spans_of(file).unwrap();
                    let entry = |(segment, span)| Entry::new(segment, file, span);
                    (RunFile::of(file), spans.all().map(entry).collect::<Vec<_>>())
                }
                IndexWork::Merge(runs) => {
                    let exists = |file| self.index.salt(file).is_some();
                    let all = runs.iter().map(|run| self.entries(*run).into_iter());
                    let merged = Merge::new(all, exists).collect();
                    let (first, last) = (runs[0].first, runs[runs.len() - 1].last);
                    (RunFile { first, last }, merged)
                }
            };
            self.put_run(run, &entries);
        }
    }

    fn put_run(&mut self, run: RunFile, entries: &[Entry]) {
        let (kind, folder, salt) =
            (FileKind::Index, FolderId(1), Salt(run.last.0.wrapping_mul(31)));
        let head = FileHead { kind, folder, number: run.first, salt };
        let mut builder = RunBuilder::new(&head, run.last);
        let mut content = BytesMut::new();
        for entry in entries {
            builder.push(entry).unwrap();
            content.put_slice(&builder.take());
        }
        content.put_slice(&builder.finish());
        self.files.insert(ReadFile::Run(run), content.to_vec());
        for replaced in self.index.add_run(run, Run::of_content(&content, salt)) {
            self.files.remove(&ReadFile::Run(replaced));
        }
    }

    /// Moves the bytes of a file that has a run to a new file, and removes it.
    fn move_file(&mut self, victim: FileNumber, to: FileNumber) {
        let has = |(run, _): &(RunFile, Run)| run.first <= victim && victim <= run.last;
        let (run, _) = self.index.runs().find(has).unwrap();
        let (salt, mut content, mut spans) = (salt_of(to.0), vec![0; 64], FileSpans::new(to));
        for entry in self.entries(run).into_iter().filter(|entry| entry.file == victim) {
            let start = Place { file: to, at: content.len() as u64 };
            let mut frame = FrameBuilder::new(salt, start, BytesMut::new());
            let held = &self.segments[&entry.segment];
            let data = Bytes::copy_from_slice(&held[entry.from as usize..entry.to as usize]);
            let (segment, offset, meta) = (entry.segment, entry.from, Bytes::new());
            frame.push(&LogRecord::Data { segment, offset, meta, data });
            self.sequence += 1;
            let (bytes, placed) = frame.finish(Sequence(self.sequence)).unwrap();
            content.extend_from_slice(&bytes);
            placed.iter().for_each(|span| spans.add(span).unwrap());
        }
        self.files.insert(ReadFile::Log(to), content);
        self.index.add_file(to, salt);
        let entries: Vec<Entry> =
            spans.all().map(|(segment, span)| Entry::new(segment, to, span)).collect();
        self.put_run(RunFile::of(to), &entries);
        self.files.remove(&ReadFile::Log(victim));
        for gone in self.index.remove_file(victim) {
            self.files.remove(&ReadFile::Run(gone));
        }
    }

    fn fetch(&mut self, segment: u64, from: u64, to: u64) -> Result<Vec<u8>, FetchStep> {
        let mut fetch = Fetch::new(SegmentNumber(segment), from, to);
        let mut found = Vec::new();
        loop {
            match fetch.poll(&self.index) {
                FetchStep::Read { file, range } => {
                    self.reads += 1;
                    match self.files.get(&file) {
                        None => fetch.handle_gone(),
                        Some(content) => {
                            let range = range.start as usize..range.end as usize;
                            let bytes = content.get(range).unwrap_or_default();
                            fetch.handle_read(Bytes::copy_from_slice(bytes));
                        }
                    }
                }
                FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
                FetchStep::Done => return Ok(found),
                other => return Err(other),
            }
        }
    }
}

fn random_files(seed: u64, files: u64) -> Files {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut written = Files::new();
    let segments = random.u64(1..6);
    for file in 1..=files {
        written.begin(file);
        for _ in 0..random.usize(1..20) {
            let append = |random: &mut fastrand::Rng| {
                let len = match random.u8(..20) {
                    0 => random.usize(..200_000),
                    1..=5 => random.usize(..5000),
                    _ => random.usize(..200),
                };
                (random.u64(..segments), (0..len).map(|_| random.u8(..)).collect())
            };
            let appends: Vec<_> = (0..random.usize(1..5)).map(|_| append(&mut random)).collect();
            written.write(file, &appends);
        }
        if random.bool() {
            written.work();
        }
    }
    written
}

#[test]
fn every_range_of_every_segment_is_read_back() {
    let mut ranges = 0;
    for seed in 0..5 {
        let mut written = random_files(seed, 12);
        let mut random = fastrand::Rng::with_seed(seed);
        for (segment, content) in written.segments.clone() {
            for _ in 0..20 {
                let from = random.usize(..=content.len());
                let to = random.usize(from..=content.len());
                let found = written.fetch(segment.0, from as u64, to as u64);
                assert!(found.as_deref() == Ok(&content[from..to]), "seed {seed}");
                ranges += 1;
            }
        }
    }
    assert!(ranges > 200, "{ranges} ranges");
}

#[test]
fn a_byte_that_no_file_has_is_missing() {
    let mut written = random_files(1, 20);
    let len = written.segments[&SegmentNumber(0)].len() as u64;
    let missing = Err(FetchStep::Missing { offset: len });
    assert_eq!(written.fetch(0, len, len + 1), missing);
    let missing = Err(FetchStep::Missing { offset: 0 });
    assert_eq!(written.fetch(99, 0, 1), missing);
}

#[test]
fn damage_is_named_with_its_file_and_place_and_never_served() {
    let mut written = random_files(3, 4);
    written.work();
    let (mut named, mut served) = (0, 0);
    let mut random = fastrand::Rng::with_seed(3);
    for file in written.files.keys().copied().collect::<Vec<_>>() {
        for _ in 0..60 {
            let content = written.files[&file].clone();
            let byte = random.usize(..content.len());
            written.files.get_mut(&file).unwrap()[byte] ^= 1 << random.u8(..8);
            for (segment, content) in written.segments.clone() {
                match written.fetch(segment.0, 0, content.len() as u64) {
                    Ok(found) => {
                        assert!(found == content, "byte {byte} of {}", file.name());
                        served += 1;
                    }
                    Err(FetchStep::Damaged { file: named_file, at }) => {
                        assert_eq!(named_file, file);
                        assert!(at <= byte as u64, "{at} is after {byte}");
                        named += 1;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            written.files.insert(file, content);
        }
    }
    assert!(named > 200 && served > 200, "{named} named, {served} served");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mut written = random_files(3, 4);
    written.work();
    for file in written.files.keys().copied().collect::<Vec<_>>() {
        let content = written.files.remove(&file).unwrap();
        let len = written.segments[&SegmentNumber(0)].len() as u64;
        match written.fetch(0, 0, len) {
            Ok(_) => {}
            Err(step) => assert_eq!(step, FetchStep::Damaged { file, at: 0 }),
        }
        written.files.insert(file, content);
    }
}

/// Segments whose records are one after the other in the only file, which has a run.
fn in_turns(appends: u64, len: usize, segments: u64) -> Files {
    let mut written = Files::new();
    written.begin(1);
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..appends {
        let mut data = || -> Vec<u8> { (0..len).map(|_| random.u8(..)).collect() };
        let all: Vec<_> = (0..segments).map(|segment| (segment, data())).collect();
        written.write(1, &all);
    }
    written.begin(2);
    written.work();
    written
}

#[test]
fn what_lies_together_in_a_file_is_read_at_once_and_nothing_twice() {
    for (appends, len, segments, most) in
        // An append in several records, and appends between those of others.
        [(3, 1 << 20, 2, 4 * 3 + 3 + 2), (40, 20_000, 1, 6), (200, 2000, 3, 12)]
    {
        let written = in_turns(appends, len, segments);
        let content = written.segments[&SegmentNumber(0)].clone();
        let mut fetch = Fetch::new(SegmentNumber(0), 0, content.len() as u64);
        let (mut found, mut reads, mut last) = (Vec::new(), 0, 0);
        loop {
            match fetch.poll(&written.index) {
                FetchStep::Read { file, range } => {
                    if let ReadFile::Log(_) = file {
                        assert!(last <= range.start, "{range:?} is read after {last}");
                        assert!(range.end - range.start <= 300_000, "{range:?} is long");
                        last = range.end;
                    }
                    reads += 1;
                    let range = range.start as usize..range.end as usize;
                    let bytes = &written.files[&file][range];
                    fetch.handle_read(Bytes::copy_from_slice(bytes));
                }
                FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
                FetchStep::Done => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(found == content);
        assert!(reads <= most, "{reads} reads of {appends} appends of {len} bytes");
    }
}

#[test]
fn the_bytes_before_damage_come_first_and_what_lies_between_spans_does_not_matter() {
    let mut written = in_turns(12, 20_000, 1);
    let content = written.segments[&SegmentNumber(0)].clone();
    let middle = content.len() as u64 / 2;
    let entries = written.entries(RunFile::of(FileNumber(1)));
    let damaged = *entries.iter().find(|entry| middle < entry.to).unwrap();
    let flip = |written: &mut Files, at: u64| {
        written.files.get_mut(&ReadFile::Log(FileNumber(1))).unwrap()[at as usize] ^= 1;
    };
    // In the head of the next frame.
    flip(&mut written, damaged.end + 5);
    assert!(written.fetch(0, 0, content.len() as u64).as_deref() == Ok(&content[..]));
    flip(&mut written, damaged.end - 7);
    let mut fetch = Fetch::new(SegmentNumber(0), 0, content.len() as u64);
    let mut found = Vec::new();
    let step = loop {
        match fetch.poll(&written.index) {
            FetchStep::Read { file, range } => {
                let range = range.start as usize..range.end as usize;
                fetch.handle_read(Bytes::copy_from_slice(&written.files[&file][range]));
            }
            FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
            step => break step,
        }
    };
    assert!(found == content[..damaged.from as usize], "{} bytes", found.len());
    let file = ReadFile::Log(FileNumber(1));
    assert_eq!(step, FetchStep::Damaged { file, at: damaged.at });
}

#[test]
fn bytes_that_can_be_read_are_read_though_those_after_them_cannot() {
    let written = in_turns(12, 20_000, 1);
    let content = written.segments[&SegmentNumber(0)].clone();
    let middle = content.len() as u64 / 2;
    let entries = written.entries(RunFile::of(FileNumber(1)));
    let bad = *entries.iter().find(|entry| middle < entry.to).unwrap();
    let mut fetch = Fetch::new(SegmentNumber(0), 0, content.len() as u64);
    let mut found = Vec::new();
    let failed = loop {
        match fetch.poll(&written.index) {
            FetchStep::Read { file: ReadFile::Log(_), range } if range.contains(&bad.at) => {
                if !fetch.handle_unreadable() {
                    break range;
                }
            }
            FetchStep::Read { file, range } => {
                let range = range.start as usize..range.end as usize;
                fetch.handle_read(Bytes::copy_from_slice(&written.files[&file][range]));
            }
            FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
            other => panic!("{other:?}"),
        }
    };
    assert!(found == content[..bad.from as usize], "{} bytes", found.len());
    assert_eq!(failed, bad.at..bad.end);
}

#[test]
fn a_fetch_that_knows_the_spans_of_another_one_searches_no_run() {
    let mut written = in_turns(60, 20_000, 2);
    let (segment, len) = (SegmentNumber(1), 100_000);
    let content = written.segments[&segment].clone();
    let mut known = KnownSpans::within(u64::MAX);
    let (mut runs, mut found) = (0, Vec::new());
    while found.len() < content.len() {
        let from = found.len() as u64;
        let fetch = Fetch::new(segment, from, (from + len).min(content.len() as u64));
        let mut fetch = fetch.knowing(known.of(segment, from));
        loop {
            match fetch.poll(&written.index) {
                FetchStep::Read { file, range } => {
                    runs += usize::from(matches!(file, ReadFile::Run(_)));
                    let range = range.start as usize..range.end as usize;
                    fetch.handle_read(Bytes::copy_from_slice(&written.files[&file][range]));
                }
                FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
                FetchStep::Done => break,
                other => panic!("{other:?}"),
            }
        }
        known.keep(segment, fetch.into_known());
    }
    assert!(found == content);
    assert!(runs <= 2, "{runs} reads of runs");
    // What is known of a file that is gone is searched for again.
    written.files.remove(&ReadFile::Log(FileNumber(1)));
    written.index.remove_file(FileNumber(1));
    let last = content.len() as u64 - 1;
    assert_eq!(known.of(segment, last).len(), 1);
    let mut fetch = Fetch::new(segment, last, last + 1).knowing(known.of(segment, last));
    assert_eq!(fetch.poll(&written.index), FetchStep::Missing { offset: last });
}

#[test]
fn what_is_known_stays_true_while_files_are_moved_and_runs_are_merged() {
    let (mut moved, mut searched, mut known_only) = (0, 0, 0);
    for seed in 0..20 {
        let (mut written, mut known) = (random_files(seed, 16), KnownSpans::within(u64::MAX));
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..60 {
            let (segment, content) =
                written.segments.iter().nth(random.usize(..written.segments.len())).unwrap();
            let (segment, content) = (*segment, content.clone());
            let from = random.usize(..=content.len());
            let to = random.usize(from..=content.len()).min(from + 100_000);
            let fetch = Fetch::new(segment, from as u64, to as u64);
            let mut fetch = fetch.knowing(known.of(segment, from as u64));
            let (mut found, mut runs) = (Vec::new(), 0);
            loop {
                let step = fetch.poll(&written.index);
                // Before a read, or between two steps.
                let in_runs = |file: &FileNumber| written.index.spans_of(*file).is_none();
                let victims: Vec<FileNumber> = written.index.files().filter(in_runs).collect();
                if random.u8(..6) == 0 && !victims.is_empty() {
                    let victim = victims[random.usize(..victims.len())];
                    moved += 1;
                    written.move_file(victim, FileNumber::moved(moved));
                    written.work();
                }
                match step {
                    FetchStep::Read { file, range } => {
                        runs += usize::from(matches!(file, ReadFile::Run(_)));
                        match written.files.get(&file) {
                            None => fetch.handle_gone(),
                            Some(content) => {
                                let range = range.start as usize..range.end as usize;
                                fetch.handle_read(Bytes::copy_from_slice(&content[range]));
                            }
                        }
                    }
                    FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
                    FetchStep::Done => break,
                    other => panic!("seed {seed}: {segment:?} {from}..{to}: {other:?}"),
                }
            }
            assert!(found == content[from..to], "seed {seed}: {segment:?} {from}..{to}");
            *(if runs == 0 { &mut known_only } else { &mut searched }) += 1;
            known.keep(segment, fetch.into_known());
        }
    }
    assert!(moved > 100 && searched > 100 && known_only > 100, "{moved} {searched} {known_only}");
}

#[test]
fn runs_that_are_merged_during_a_fetch_are_searched_again() {
    let mut written = random_files(5, 30);
    let content = written.segments[&SegmentNumber(0)].clone();
    let mut fetch = Fetch::new(SegmentNumber(0), 0, content.len() as u64);
    let (mut found, mut gone, mut next) = (Vec::new(), 0, 30);
    loop {
        match fetch.poll(&written.index) {
            FetchStep::Read { file, range } => {
                // Every read happens after more runs were made.
                written.work();
                match written.files.get(&file) {
                    None => {
                        gone += 1;
                        fetch.handle_gone();
                    }
                    Some(content) => {
                        let range = range.start as usize..range.end as usize;
                        fetch.handle_read(Bytes::copy_from_slice(&content[range]));
                    }
                }
                next += 1;
                written.begin(next);
                written.write(next, &[(7, vec![1; 10])]);
            }
            FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
            FetchStep::Done => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(found == content);
    assert!(gone > 0, "no run was merged");
}

#[test]
fn a_read_of_small_appends_scans_little_more_than_it_wants() {
    let mut written = Files::new();
    written.begin(1);
    for _ in 0..5000 {
        written.write(1, &[(1, vec![5; 100])]);
    }
    assert!(written.index.spans_of(FileNumber(1)).unwrap().count() < 100);
    written.fetch(1, 250_000, 250_100).unwrap();
    assert!(written.reads <= 2, "{} reads", written.reads);
}

/// Counts a range of a segment, with the damage that is met.
fn freed(
    written: &Files,
    segment: SegmentNumber,
    range: Range<u64>,
) -> (BTreeMap<FileNumber, u64>, Vec<DamagedRun>) {
    let (mut freed, mut damaged) = (Freed::new(segment, range, &written.index), Vec::new());
    loop {
        match freed.poll() {
            FreedStep::Done(counts) => return (counts, damaged),
            FreedStep::Read { file, range } => match written.files.get(&file) {
                None => freed.handle_gone(),
                Some(content) => {
                    let bytes = &content[range.start as usize..range.end as usize];
                    damaged.extend(freed.handle_read(bytes).err());
                }
            },
        }
    }
}

#[test]
fn freed_ranges_are_counted_in_the_files_that_have_them() {
    for seed in 0..8 {
        let written = random_files(seed, 14);
        let mut random = fastrand::Rng::with_seed(seed);
        let runs = written.index.runs();
        let spans: Vec<Entry> = runs.flat_map(|(run, _)| written.entries(run)).collect();
        for (segment, content) in &written.segments {
            let from = random.u64(..=content.len() as u64);
            let to = random.u64(from..=content.len() as u64);
            let (counts, damaged) = freed(&written, *segment, from..to);
            assert_eq!((counts.values().sum::<u64>(), damaged), (to - from, vec![]));
            for (file, bytes) in counts {
                let of_file = spans.iter().filter(|it| it.file == file && it.segment == *segment);
                let within = |entry: &Entry| entry.to.min(to).saturating_sub(entry.from.max(from));
                let in_runs: u64 = of_file.map(within).sum();
                let in_memory = written.index.spans_of(file);
                let in_memory = in_memory.map_or(0, |it| it.bytes_within(*segment, from, to));
                assert_eq!(bytes, in_runs + in_memory, "{file:?}");
            }
        }
    }
}

#[test]
fn a_damaged_or_missing_run_is_named_and_the_others_are_counted() {
    let mut written = random_files(2, 30);
    written.work();
    let segment = SegmentNumber(0);
    let len = written.segments[&segment].len() as u64;
    let (whole, _) = freed(&written, segment, 0..len);
    let runs: Vec<RunFile> = written.index.runs().map(|(run, _)| run).collect();
    assert!(runs.len() > 2, "{runs:?}");
    for run in runs {
        let file = ReadFile::Run(run);
        let content = written.files.remove(&file).unwrap();
        let others: BTreeMap<_, _> =
            whole.iter().filter(|(file, _)| !(run.first..=run.last).contains(file)).collect();
        let (counts, damaged) = freed(&written, segment, 0..len);
        assert_eq!((counts.iter().collect(), damaged), (others.clone(), vec![]));
        written.files.insert(file, vec![7; content.len()]);
        let (counts, damaged) = freed(&written, segment, 0..len);
        assert_eq!(counts.iter().collect::<BTreeMap<_, _>>(), others);
        assert_eq!(damaged.iter().map(|damage| damage.file).collect::<Vec<_>>(), [file]);
        written.files.insert(file, content);
    }
}

#[test]
fn a_read_of_many_spans_of_a_run_looks_for_them_once() {
    let mut written = Files::new();
    written.begin(1);
    for _ in 0..100 {
        // Each is longer than a span of several records.
        written.write(1, &[(1, vec![1; 20_000]), (2, vec![2; 20_000])]);
    }
    written.begin(2);
    written.work();
    assert!(written.index.spans_of(FileNumber(1)).is_none(), "the spans are in a run");
    assert!(written.fetch(1, 10, 1_999_990).unwrap() == vec![1; 1_999_980]);
    // The records of each span, the directory, and the blocks of the run.
    assert!(written.reads <= 110, "{} reads", written.reads);
}
