//! Reading bytes of a segment from files: where they are, and whether they are those written.
//!
//! ```text
//! byte ──> span in memory ───────────────────────────────┐
//!      └─> for each run: directory ──> blocks ──> span ──┴──> records, checked ──> bytes
//! ```
//!
//! A driver reads what is asked for, through a cache where it likes, and holds no lock meanwhile. A
//! file that was removed in the meantime was compacted: its bytes are looked for again. Spans that
//! were read from a run are searched first for the bytes after: all copies of a byte are the same.

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
    /// Spans that were found in a run, and may have the next bytes too.
    known: Vec<Entry>,
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
            known: Vec::new(),
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
        self.known.clear();
    }

    /// Looks for the next byte in memory, and then in the next run.
    fn search(&mut self, index: &Index) -> Option<FetchStep> {
        if self.offset >= self.end {
            return Some(FetchStep::Done);
        }
        if let Some(entry) = index.find(self.segment, self.offset) {
            return self.ask_records(entry, index);
        }
        let exists = |file| index.salt(file).is_some();
        if let Some(entry) = find(&self.known, self.segment, self.offset, exists) {
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
        // Each of them is searched for the next bytes: no more than may have some.
        let (segment, wanted) = (self.segment, self.offset..self.end);
        let may_follow = |entry: &Entry| {
            entry.segment == segment && entry.from < wanted.end && wanted.start < entry.to
        };
        self.known = entries.into_iter().filter(may_follow).collect();
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
