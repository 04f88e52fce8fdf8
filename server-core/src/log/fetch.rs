//! Reading bytes of a segment from files: where they are, and whether they are those written.
//!
//! ```text
//! byte ──> span in memory ───────────────────────────────┐
//!      └─> for each run: directory ──> blocks ──> span ──┴──> records, checked ──> bytes
//! ```
//!
//! A driver reads what is asked for, through a cache where it likes, and holds no lock meanwhile. A
//! file that was removed in the meantime was compacted: its bytes are looked for again.

use std::{collections::VecDeque, fmt, ops::Range};

use bytes::{Buf as _, Bytes};

use super::{
    frame::{FRAME_HEAD_LEN, FrameHead, LogRecord, read_record},
    ids::{FileNumber, Salt, SegmentNumber},
    index::{Index, Run, RunFile},
    run::{Directory, Entry, find, read_block},
};

/// A file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadFile {
    /// A log file.
    Log(FileNumber),
    /// A run.
    Run(RunFile),
}

impl ReadFile {
    /// The file's name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Log(file) => file.name(),
            Self::Run(run) => run.name(),
        }
    }
}

/// The next step of a fetch.
#[derive(Clone, PartialEq, Eq)]
pub enum FetchStep {
    /// Bytes of a file are needed.
    Read {
        /// The file.
        file: ReadFile,
        /// The places of the bytes.
        range: Range<u64>,
    },
    /// Bytes of the segment, in order.
    Bytes(Bytes),
    /// The fetch is complete.
    Done,
    /// The next byte is in no file.
    Missing {
        /// The offset of the byte in the segment.
        offset: u64,
    },
    /// Bytes of a file are not those that were written.
    Damaged {
        /// The file.
        file: ReadFile,
        /// The offset of the damage in the file.
        at: u64,
    },
}

impl fmt::Debug for FetchStep {
    /// Shows lengths, not bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, range } => {
                f.debug_struct("Read").field("file", file).field("range", range).finish()
            }
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::Done => f.write_str("Done"),
            Self::Missing { offset } => f.debug_struct("Missing").field("offset", offset).finish(),
            Self::Damaged { file, at } => {
                f.debug_struct("Damaged").field("file", file).field("at", at).finish()
            }
        }
    }
}

/// What the bytes of the last read are.
#[derive(Debug)]
enum Asked {
    Nothing,
    Directory,
    Block(Directory, VecDeque<Range<u64>>),
    Records(Entry, Salt),
}

/// The reading of a range of a segment.
pub struct Fetch {
    segment: SegmentNumber,
    offset: u64,
    end: u64,
    asked: Asked,
    /// The run that is searched.
    run: Option<(RunFile, Run)>,
    /// Spans of the run that may have the byte.
    entries: Vec<Entry>,
    input: Option<Bytes>,
    /// The file of the last read, if it was not found.
    gone: Option<ReadFile>,
    /// The file of the last read.
    reads: Option<ReadFile>,
    output: VecDeque<Bytes>,
}

impl fmt::Debug for Fetch {
    /// Shows the place, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("segment", &self.segment)
            .field("offset", &self.offset)
            .field("end", &self.end)
            .field("run", &self.run)
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl Fetch {
    /// The reading of a segment's bytes from an offset to another.
    #[must_use]
    pub fn new(segment: SegmentNumber, offset: u64, end: u64) -> Self {
        Self {
            segment,
            offset,
            end,
            asked: Asked::Nothing,
            run: None,
            entries: Vec::new(),
            input: None,
            gone: None,
            reads: None,
            output: VecDeque::new(),
        }
    }

    /// Continues with the bytes of the last [`FetchStep::Read`].
    pub fn handle_read(&mut self, bytes: Bytes) {
        self.input = Some(bytes);
    }

    /// Continues after the file of the last [`FetchStep::Read`] was not found.
    pub fn handle_gone(&mut self) {
        self.gone = self.reads;
    }

    /// The next step, by the index as it is now.
    pub fn poll(&mut self, index: &Index) -> FetchStep {
        loop {
            if let Some(bytes) = self.output.pop_front() {
                return FetchStep::Bytes(bytes);
            }
            if let Some(file) = self.gone.take() {
                let exists = match file {
                    ReadFile::Log(file) => index.salt(file).is_some(),
                    ReadFile::Run(run) => index.runs().any(|(other, _)| other == run),
                };
                if exists {
                    return FetchStep::Damaged { file, at: 0 };
                }
                self.search_again();
            }
            let input = self.input.take();
            let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
            let step = match (asked, input) {
                (Asked::Directory, Some(bytes)) => self.read_directory(&bytes),
                (Asked::Block(directory, blocks), Some(bytes)) => {
                    self.read_block(directory, blocks, &bytes, index)
                }
                (Asked::Records(entry, salt), Some(bytes)) => self.read_records(entry, salt, bytes),
                _ => self.search(index),
            };
            if let Some(step) = step {
                if let FetchStep::Read { file, .. } = &step {
                    self.reads = Some(*file);
                }
                return step;
            }
        }
    }

    fn search_again(&mut self) {
        (self.asked, self.run, self.input) = (Asked::Nothing, None, None);
        self.entries.clear();
    }

    /// Looks for the next byte in memory, and then in the next run.
    fn search(&mut self, index: &Index) -> Option<FetchStep> {
        if self.offset >= self.end {
            return Some(FetchStep::Done);
        }
        if let Some(entry) = index.find(self.segment, self.offset) {
            return self.ask_records(entry, index);
        }
        let searched = self.run.map(|(run, _)| run);
        let next = index.runs_for().find(|(run, _)| searched.is_none_or(|last| *run < last));
        let Some((run, content)) = next else {
            return Some(FetchStep::Missing { offset: self.offset });
        };
        self.run = Some((run, content));
        self.asked = Asked::Directory;
        Some(FetchStep::Read { file: ReadFile::Run(run), range: content.footer.directory_place() })
    }

    fn read_directory(&mut self, bytes: &[u8]) -> Option<FetchStep> {
        let (run, content) = self.run?;
        let Some(directory) = Directory::decode(bytes, content.salt, &content.footer) else {
            let at = content.footer.directory_place().start;
            return Some(FetchStep::Damaged { file: ReadFile::Run(run), at });
        };
        let blocks = directory.blocks_for(self.segment, self.offset).collect();
        self.ask_block(run, directory, blocks)
    }

    /// Asks for the next block; without one, the next run is searched.
    fn ask_block(
        &mut self,
        run: RunFile,
        directory: Directory,
        blocks: VecDeque<Range<u64>>,
    ) -> Option<FetchStep> {
        let range = blocks.front()?.clone();
        self.asked = Asked::Block(directory, blocks);
        Some(FetchStep::Read { file: ReadFile::Run(run), range })
    }

    fn read_block(
        &mut self,
        directory: Directory,
        mut blocks: VecDeque<Range<u64>>,
        bytes: &[u8],
        index: &Index,
    ) -> Option<FetchStep> {
        let ((run, content), place) = (self.run?, blocks.pop_front()?);
        let Some(entries) = read_block(bytes, content.salt, place.start) else {
            return Some(FetchStep::Damaged { file: ReadFile::Run(run), at: place.start });
        };
        self.entries.extend(entries);
        if !blocks.is_empty() {
            return self.ask_block(run, directory, blocks);
        }
        let entries = std::mem::take(&mut self.entries);
        let exists = |file| index.salt(file).is_some();
        let entry = find(&entries, self.segment, self.offset, exists)?;
        self.ask_records(entry, index)
    }

    fn ask_records(&mut self, entry: Entry, index: &Index) -> Option<FetchStep> {
        let Some(salt) = index.salt(entry.file) else {
            return Some(FetchStep::Missing { offset: self.offset });
        };
        self.asked = Asked::Records(entry, salt);
        Some(FetchStep::Read { file: ReadFile::Log(entry.file), range: entry.at..entry.end })
    }

    /// Takes the segment's bytes from the records of a span, each of which is checked.
    fn read_records(&mut self, entry: Entry, salt: Salt, mut bytes: Bytes) -> Option<FetchStep> {
        let (file, mut at) = (ReadFile::Log(entry.file), entry.at);
        let wanted = self.end.min(entry.to);
        while self.offset < wanted {
            if FrameHead::decode(&bytes, salt, at).is_some() {
                bytes.advance(FRAME_HEAD_LEN);
                at += FRAME_HEAD_LEN as u64;
                continue;
            }
            let Some(record) = read_record(&bytes, salt, at) else {
                return Some(FetchStep::Damaged { file, at });
            };
            bytes.advance(usize::try_from(record.end - at).unwrap_or(usize::MAX).min(bytes.len()));
            at = record.end;
            if let LogRecord::Data { segment, offset, data, .. } = record.record
                && segment == self.segment
            {
                self.take(offset, &data, wanted);
            }
        }
        self.run = None;
        None
    }

    /// Takes the bytes of a record from the next wanted one on.
    fn take(&mut self, from: u64, data: &Bytes, wanted: u64) {
        let to = from.saturating_add(data.len() as u64).min(wanted);
        if from <= self.offset && self.offset < to {
            let skipped = usize::try_from(self.offset - from).unwrap_or(usize::MAX);
            let len = usize::try_from(to - from).unwrap_or(usize::MAX);
            if skipped < len && len <= data.len() {
                self.output.push_back(data.slice(skipped..len));
                self.offset = to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::{BufMut as _, BytesMut};

    use super::{
        super::{
            frame::FrameBuilder,
            head::{FileHead, FileKind},
            ids::{FolderId, Place},
            index::IndexWork,
            run::{FOOTER_LEN, Footer, Merge, RunBuilder},
        },
        *,
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
        Salt(file * 7919)
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
                let (kind, folder, salt) = (FileKind::Index, FolderId(1), Salt(run.last.0 * 31));
                let head = FileHead { kind, folder, number: run.first, salt };
                let mut builder = RunBuilder::new(&head, run.last);
                let mut content = BytesMut::new();
                for entry in &entries {
                    builder.push(entry).unwrap();
                    content.put_slice(&builder.take());
                }
                content.put_slice(&builder.finish());
                let at = content.len() - FOOTER_LEN;
                let footer = Footer::decode(&content[at..], salt, at as u64).unwrap();
                self.files.insert(ReadFile::Run(run), content.to_vec());
                for replaced in self.index.add_run(run, Run { salt, footer }) {
                    self.files.remove(&ReadFile::Run(replaced));
                }
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
                let appends: Vec<_> =
                    (0..random.usize(1..5)).map(|_| append(&mut random)).collect();
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
        for seed in 0..10 {
            let mut written = random_files(seed, 12);
            let mut random = fastrand::Rng::with_seed(seed);
            for (segment, content) in written.segments.clone() {
                for _ in 0..30 {
                    let from = random.usize(..=content.len());
                    let to = random.usize(from..=content.len());
                    let found = written.fetch(segment.0, from as u64, to as u64);
                    assert!(found.as_deref() == Ok(&content[from..to]), "seed {seed}");
                    ranges += 1;
                }
            }
        }
        assert!(ranges > 500, "{ranges} ranges");
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
}
