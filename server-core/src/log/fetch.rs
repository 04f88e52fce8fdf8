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
    frame::{FRAME_HEAD_LEN, FrameHead, LogRecord, MAX_DATA, read_record},
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

/// The most bytes of a log file that are read at once, unless one span has more: four of the
/// longest records, which stay in the cache of a processor until they are checked and copied.
const MAX_READ: u64 = 4 * (MAX_DATA as u64 + 1024);
/// Spans of a segment that are no further apart in a file are read at once: another read would take
/// longer than these bytes do.
const MAX_GAP: u64 = 8 << 10;
/// The most spans that are kept for the next fetches of a segment.
const MAX_KNOWN: usize = 512;

/// What the bytes of the last read are.
#[derive(Debug)]
enum Asked {
    Nothing,
    Directory,
    Block(Directory, VecDeque<Range<u64>>),
    /// Spans of one file that follow each other in the segment and in the file.
    Records(Vec<Entry>, Salt),
}

/// The reading of a range of a segment.
pub struct Fetch {
    segment: SegmentNumber,
    offset: u64,
    end: u64,
    asked: Asked,
    /// The run that is searched.
    run: Option<(RunFile, Run)>,
    /// The files that were removed from the index before the search of the byte.
    removals: u64,
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
    /// The damage of the records that were read last, if there is nothing before it.
    damage: Option<FetchStep>,
    /// The most bytes of a log file that are read at once, unless one span has more.
    most: u64,
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
            removals: 0,
            entries: Vec::new(),
            known: Vec::new(),
            input: None,
            gone: None,
            reads: None,
            output: VecDeque::new(),
            damage: None,
            most: MAX_READ,
        }
    }

    /// The same with spans that an earlier fetch of the segment knew.
    #[must_use]
    pub fn knowing(mut self, known: Vec<Entry>) -> Self {
        self.known = known;
        self
    }

    /// The spans of the segment that were found in a run last.
    #[must_use]
    pub fn into_known(self) -> Vec<Entry> {
        self.known
    }

    /// Continues with the bytes of the last [`FetchStep::Read`]. Those of records are checked now,
    /// which needs no index: others may use it meanwhile.
    pub fn handle_read(&mut self, bytes: Bytes) {
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Records(entries, salt) => {
                self.damage = self.read_spans(&entries, salt, &bytes);
            }
            asked => (self.asked, self.input) = (asked, Some(bytes)),
        }
    }

    /// Continues after the last [`FetchStep::Read`] has failed, if it can be made of fewer bytes:
    /// some of them may be readable. Returns false if it cannot.
    #[must_use]
    pub fn handle_unreadable(&mut self) -> bool {
        let has_several = matches!(&self.asked, Asked::Records(spans, _) if spans.len() > 1);
        if has_several {
            (self.asked, self.most) = (Asked::Nothing, 0);
        }
        has_several
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
            if let Some(damage) = self.damage.take() {
                return damage;
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
        if let Some(entry) = self.find(self.offset, index) {
            return self.ask_records(entry, index);
        }
        let searched = self.run.map(|(run, _)| run);
        if searched.is_none() {
            self.removals = index.removals();
        }
        let next = index.runs_for().find(|(run, _)| searched.is_none_or(|last| *run < last));
        let Some((run, content)) = next else {
            if self.removals != index.removals() {
                // It may have been moved meanwhile, to a file that is newer than those searched.
                self.search_again();
                return None;
            }
            return Some(FetchStep::Missing { offset: self.offset });
        };
        self.run = Some((run, content));
        self.asked = Asked::Directory;
        Some(FetchStep::Read { file: ReadFile::Run(run), range: content.footer.directory_place() })
    }

    /// The span with a byte of the segment, if it is in memory or was read from a run.
    fn find(&self, offset: u64, index: &Index) -> Option<Entry> {
        let exists = |file| index.salt(file).is_some();
        let in_memory = index.find(self.segment, offset);
        in_memory.or_else(|| find(&self.known, self.segment, offset, exists))
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
        let (segment, offset) = (self.segment, self.offset);
        let may_follow = |entry: &Entry| entry.segment == segment && offset < entry.to;
        self.known = entries.into_iter().filter(may_follow).take(MAX_KNOWN).collect();
        self.ask_records(entry, index)
    }

    /// Asks for the records of a span, and of those after it that lie near it in the same file.
    fn ask_records(&mut self, entry: Entry, index: &Index) -> Option<FetchStep> {
        let Some(salt) = index.salt(entry.file) else {
            return Some(FetchStep::Missing { offset: self.offset });
        };
        let (file, start) = (entry.file, entry.at);
        let (mut last, mut entries) = (entry, vec![entry]);
        while last.to < self.end
            && let Some(next) = self.find(last.to, index)
            && (next.file, next.from) == (file, last.to)
            && (last.end..=last.end.saturating_add(MAX_GAP)).contains(&next.at)
            && (last.end..=start.saturating_add(self.most)).contains(&next.end)
        {
            last = next;
            entries.push(next);
        }
        self.asked = Asked::Records(entries, salt);
        Some(FetchStep::Read { file: ReadFile::Log(file), range: start..last.end })
    }

    /// Takes the segment's bytes from the records of spans, of which the first begins with `bytes`.
    fn read_spans(&mut self, entries: &[Entry], salt: Salt, bytes: &Bytes) -> Option<FetchStep> {
        let start = entries.first()?.at;
        for entry in entries {
            let place =
                |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX).min(bytes.len());
            let part = bytes.slice(place(entry.at)..place(entry.end));
            if let Some(damaged) = self.read_records(*entry, salt, part) {
                // What is before it comes first. Then its span is read again, and has nothing more.
                return Some(damaged).filter(|_| self.output.is_empty());
            }
        }
        None
    }

    /// Takes the segment's bytes from the records of a span, each of which is checked.
    fn read_records(&mut self, entry: Entry, salt: Salt, mut bytes: Bytes) -> Option<FetchStep> {
        let (file, mut at) = (ReadFile::Log(entry.file), entry.at);
        let wanted = self.end.min(entry.to);
        self.run = None;
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
