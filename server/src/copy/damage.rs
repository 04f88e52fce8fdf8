//! Reading a damaged folder: its state, as far as it is known, and where bytes of segments are.
//!
//! ```text
//! checkpoints, the newest that is whole ──> state
//! log files after it, frame by frame    ──> changes, in order; spans
//! other log files, files moved to       ──> spans
//! ```
//!
//! Runs are not read: every file that has bytes of segments is.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
};

use bytes::Bytes;
use pravega_sdk_server_core::{
    Restoring,
    log::{
        CheckpointEnd, CheckpointFile, CheckpointReader, CheckpointStep, FOLDER_LEN, FOLDER_NAME,
        FileChange, FileHead, FileKind, FileNumber, FileSalvage, FolderId, HEAD_LEN, Index,
        KnownFile, LogRecord, MARK_LEN, MARK_NAME, Mark, PlacedRecord, Position, SalvageStep,
        SegmentNumber, SpanPlace, StateEntry, read_identity,
    },
};

use super::missing::Missing;
use crate::log::{Disk, read_around};

/// What the names of checkpoints begin with.
const CHECKPOINT: &str = "checkpoint";

/// What was read of a damaged folder.
pub(super) struct Damaged<'a> {
    disk: &'a dyn Disk,
    listing: BTreeMap<String, u64>,
    folder: FolderId,
    pub(super) restoring: Restoring,
    /// Where bytes of segments are.
    pub(super) index: Index,
    pub(super) missing: Vec<Missing>,
    /// The files that the checkpoint, or the log after it, needs.
    needed: BTreeMap<FileNumber, Option<KnownFile>>,
    dropped: BTreeSet<FileNumber>,
    /// Log files of which nothing was read, and why they should have something.
    unread: BTreeMap<FileNumber, String>,
    /// The first log file whose changes are read.
    first: FileNumber,
    /// The end of the log file that was read last.
    end: Option<(FileNumber, u64)>,
    /// The greatest number of a segment.
    pub(super) last: SegmentNumber,
}

impl<'a> Damaged<'a> {
    /// Reads everything. Nothing is changed.
    pub(super) fn read(disk: &'a dyn Disk, restoring: Restoring) -> io::Result<Self> {
        let files = disk.list()?.into_iter();
        let listing = files.map(|(name, _, len)| (name, len)).collect();
        let mut damaged = Self {
            disk,
            listing,
            folder: FolderId(0),
            restoring,
            index: Index::default(),
            missing: Vec::new(),
            needed: BTreeMap::new(),
            dropped: BTreeSet::new(),
            unread: BTreeMap::new(),
            first: FileNumber::FIRST,
            end: None,
            last: SegmentNumber::default(),
        };
        damaged.identify();
        let position = damaged.read_checkpoints();
        let (moved, logs): (Vec<FileNumber>, Vec<FileNumber>) =
            damaged.numbers().partition(|number| number.is_moved());
        let mark = damaged.mark();
        let first = match position {
            Some(position) => position.place.file,
            // What the log does not have from its beginning on was in a checkpoint.
            None => {
                let marked = mark.map(|mark| mark.end.file);
                logs.first().copied().or(marked).unwrap_or(FileNumber::FIRST)
            }
        };
        damaged.first = first;
        damaged.expect_logs(first, &logs, mark);
        for number in logs {
            damaged.read_log(number, number >= first, mark);
        }
        damaged.note_end(mark);
        if position.is_none() {
            damaged.note_no_checkpoint(&moved);
        }
        moved.into_iter().for_each(|number| damaged.read_moved(number));
        damaged.note_absent_changes();
        Ok(damaged)
    }

    fn numbers(&self) -> impl Iterator<Item = FileNumber> + use<> {
        let numbers = self.listing.keys().filter_map(|name| FileNumber::of_name(name));
        numbers.collect::<BTreeSet<FileNumber>>().into_iter()
    }

    fn lost(&mut self, file: &str, why: impl ToString) {
        self.missing.push(Missing::File { file: file.to_owned(), why: why.to_string() });
    }

    fn len(&self, name: &str) -> u64 {
        self.listing.get(name).copied().unwrap_or_default()
    }

    /// Bytes of a file, with zeros for those that the disk cannot read.
    fn bytes(&mut self, name: &str, at: u64, len: u64) -> Bytes {
        let missing = &mut self.missing;
        let file_len = self.listing.get(name).copied().unwrap_or_default();
        let read = read_around(self.disk, (name, file_len), at, len, |part, error| {
            let why = format!("bytes {} to {}: {error}", part.start, part.end);
            let lost = Missing::File { file: name.to_owned(), why };
            if !missing.contains(&lost) {
                missing.push(lost);
            }
        });
        read.unwrap_or_default()
    }

    /// Finds out the id of the folder: if it cannot be read, most files have it.
    fn identify(&mut self) {
        let identity = self.bytes(FOLDER_NAME, 0, FOLDER_LEN as u64 + 1);
        match read_identity(&identity) {
            Ok(folder) => self.folder = folder,
            Err(problem) => {
                self.lost(FOLDER_NAME, problem.what);
                let mut counts: BTreeMap<u128, usize> = BTreeMap::new();
                for number in self.numbers() {
                    let head = self.bytes(&number.name(), 0, HEAD_LEN as u64);
                    if let Ok(head) = FileHead::decode(&head) {
                        *counts.entry(head.folder.0).or_default() += 1;
                    }
                }
                let most = counts.into_iter().max_by_key(|(_, count)| *count);
                self.folder = FolderId(most.map_or(0, |(folder, _)| folder));
            }
        }
    }

    fn mark(&mut self) -> Option<Mark> {
        let bytes = self.bytes(MARK_NAME, 0, MARK_LEN as u64 + 1);
        if !Mark::is_whole(&bytes) {
            self.lost(MARK_NAME, "what the log has lost at its end, if anything, is not known");
        }
        let found = Mark::read(&bytes).map(|(mark, _)| mark);
        found.filter(|mark| mark.folder == self.folder)
    }

    /// Takes the state of the newest checkpoint that is whole, with those before it.
    fn read_checkpoints(&mut self) -> Option<Position> {
        let mut files: Vec<CheckpointFile> =
            self.listing.keys().filter_map(|name| CheckpointFile::of_name(name)).collect();
        files.sort_by_key(|file| (file.number, file.base));
        // The newest one, or the one before it, and so on.
        while let Some(newest) = files.pop() {
            let chain: Vec<CheckpointFile> = (newest.base..=newest.number)
                .map(|number| CheckpointFile { base: newest.base, number })
                .collect();
            // Twice: nothing of one that is damaged in part is used.
            let whole = chain.iter().all(|file| self.read_checkpoint(*file, |_| {}).is_some());
            if !whole {
                continue;
            }
            let mut entries = Vec::new();
            let mut last = None;
            for file in chain {
                last = self.read_checkpoint(file, |found| entries.push(found));
                entries.drain(..).for_each(|found| self.restoring.entries(found));
            }
            let (position, end) = last?;
            self.needed.extend(end.files.iter().map(|known| (known.number, Some(*known))));
            return Some(position);
        }
        None
    }

    fn read_checkpoint(
        &mut self,
        file: CheckpointFile,
        mut take: impl FnMut(Vec<StateEntry>),
    ) -> Option<(Position, CheckpointEnd)> {
        let name = file.name();
        let mut reader = CheckpointReader::new(self.folder, file, self.len(&name));
        let problem = loop {
            match reader.poll() {
                Ok(CheckpointStep::Read { at, len }) => {
                    let bytes = self.bytes(&name, at, len);
                    if (bytes.len() as u64) < len {
                        break "the file became shorter while it was read".to_owned();
                    }
                    reader.handle_read(bytes);
                }
                Ok(CheckpointStep::Entries(entries)) => take(entries),
                Ok(CheckpointStep::Done(position, end)) => return Some((position, end)),
                Err(problem) => break problem.what.to_string(),
            }
        };
        let lost = Missing::File { file: name, why: problem };
        if !self.missing.contains(&lost) {
            self.missing.push(lost);
        }
        None
    }

    /// Notes the log files that should be there, and are not.
    fn expect_logs(&mut self, first: FileNumber, logs: &[FileNumber], mark: Option<Mark>) {
        let last = logs.last().copied().max(mark.map(|mark| mark.end.file)).unwrap_or(first);
        let mut number = first;
        while number <= last && self.needed.len() < 1 << 20 {
            self.needed.entry(number).or_insert(None);
            number = number.next();
        }
    }

    /// The head of a file; that of a damaged head, if its salt is known.
    fn head(&mut self, number: FileNumber) -> Option<FileHead> {
        let name = number.name();
        let kind = FileKind::of_frames(number);
        let known = self.needed.get(&number).copied().flatten();
        let bytes = self.bytes(&name, 0, HEAD_LEN as u64);
        let why = match FileHead::decode(&bytes) {
            Ok(head) if head.folder != self.folder => "it belongs to another folder",
            Ok(head) if (head.kind, head.number) != (kind, number) => {
                "it is a copy of another file"
            }
            Ok(head) if known.is_some_and(|known| known.salt != head.salt) => {
                "it is not the file that the checkpoint or the log names"
            }
            Ok(head) => return Some(head),
            // One that was created, and not used.
            Err(_) if known.is_none() && self.len(&name) <= HEAD_LEN as u64 => return None,
            Err(_) => match known {
                Some(known) => {
                    let folder = self.folder;
                    return Some(FileHead { kind, folder, number, salt: known.salt });
                }
                None => "its head is damaged, without which nothing of it can be checked",
            },
        };
        self.lost(&name, why);
        None
    }

    fn read_log(&mut self, number: FileNumber, has_state: bool, mark: Option<Mark>) {
        let Some(head) = self.head(number) else {
            let is_used = |mark: &Mark| mark.end.file == number && mark.end.at > HEAD_LEN as u64;
            if let Some(Mark { end, .. }) = mark.filter(is_used) {
                self.lost_unless_noted(number, format!("bytes up to {} of it were synced", end.at));
            }
            return;
        };
        let (mut end, mut first) = (HEAD_LEN as u64, true);
        self.scan(head, |damaged, step| match step {
            Scanned::Frame(at, records) => {
                if std::mem::take(&mut first) {
                    damaged.check_begun(number, at, &records);
                }
                end = records.last().map_or(at, |placed| placed.end);
                for placed in &records {
                    match placed.record {
                        LogRecord::File(FileChange::Dropped { file }) => {
                            damaged.dropped.insert(file);
                        }
                        LogRecord::File(FileChange::Moved(moved)) => {
                            let (number, salt, len, bytes) =
                                (moved.file, moved.salt, moved.len, moved.bytes);
                            let known = KnownFile { number, salt, len, bytes, live: bytes };
                            damaged.needed.insert(number, Some(known));
                        }
                        _ => {}
                    }
                }
                if has_state {
                    damaged.restoring.frame(records);
                }
            }
            Scanned::Damage(range) => {
                end = range.end;
                if has_state {
                    damaged.note_changes(number, range);
                }
            }
        });
        let marked = mark.filter(|mark| mark.end.file == number).map(|mark| mark.end.at);
        if let Some(marked) = marked.filter(|marked| *marked > end && has_state) {
            self.note_changes(number, end..marked);
            end = marked;
        }
        self.end = Some((number, end));
    }

    /// Notes what the file before one has lost at its end.
    fn check_begun(&mut self, number: FileNumber, at: u64, records: &[PlacedRecord]) {
        let begun = records.iter().find_map(|placed| match placed.record {
            LogRecord::File(FileChange::Begun { previous }) => Some(previous),
            _ => None,
        });
        match (begun, self.end) {
            (Some(Some(closed)), Some((before, end)))
                if closed.file == before && end < closed.len && before.next() == number =>
            {
                self.note_changes(before, end..closed.len);
            }
            // Of that file nothing was read.
            (Some(Some(closed)), end)
                if closed.file >= self.first && end.map(|(file, _)| file) != Some(closed.file) =>
            {
                let why = format!("it had {} bytes, of which none can be read", closed.len);
                self.unread.insert(closed.file, why);
            }
            // The first frame is another one: what was before it is damage, and was noted.
            (None, _) if at == HEAD_LEN as u64 => {
                self.lost(&number.name(), "it does not begin as it should");
            }
            _ => {}
        }
    }

    fn note_changes(&mut self, file: FileNumber, range: Range<u64>) {
        let (file, to) = (file.name(), range.end);
        match self.missing.last_mut() {
            Some(Missing::Changes { file: last, to: end, .. })
                if *last == file && *end == range.start =>
            {
                *end = to;
            }
            _ => self.missing.push(Missing::Changes { file, from: range.start, to }),
        }
    }

    /// Notes what was synced after the last log file that was read.
    fn note_end(&mut self, mark: Option<Mark>) {
        let last = self.end.map(|(file, _)| file);
        if let Some(mark) = mark.filter(|mark| last < Some(mark.end.file)) {
            let why = format!("bytes up to {} of it were synced", mark.end.at);
            self.lost(&mark.end.file.name(), why);
        }
    }

    /// Notes that a checkpoint is missing, if the log alone does not have everything.
    fn note_no_checkpoint(&mut self, moved: &[FileNumber]) {
        if self.first > FileNumber::FIRST {
            let first = self.first.name();
            let why = format!(
                "none can be read, and the log begins with {first}: scopes, streams, tables, \
                 transactions and events from before it are not in the new folder"
            );
            self.lost(CHECKPOINT, why);
        } else if let Some(file) = moved.iter().find(|file| !self.needed.contains_key(*file)) {
            let why = format!(
                "none can be read, and the log does not say what {} is for: its bytes are not in \
                 the new folder",
                file.name()
            );
            self.lost(CHECKPOINT, why);
        }
    }

    fn read_moved(&mut self, number: FileNumber) {
        if !self.needed.contains_key(&number) {
            // Not used yet, or not any longer; its bytes are those that were written all the same.
            let bytes = self.bytes(&number.name(), 0, HEAD_LEN as u64);
            if FileHead::decode(&bytes).is_ok_and(|head| head.folder == self.folder) {
                self.scan_moved(number);
            }
            return;
        }
        self.scan_moved(number);
    }

    fn scan_moved(&mut self, number: FileNumber) {
        // What is damaged is missing in segments, which are listed.
        if let Some(head) = self.head(number) {
            self.scan(head, |_, _| {});
        }
    }

    /// Notes the log files with changes that do not exist.
    fn note_absent_changes(&mut self) {
        let (given_up, lost): (Vec<FileNumber>, Vec<FileNumber>) = self
            .absent()
            .filter(|number| self.has_changes(number))
            .partition(|number| self.dropped.contains(number));
        for (number, why) in std::mem::take(&mut self.unread) {
            if !given_up.contains(&number) {
                self.lost_unless_noted(number, why);
            }
        }
        for number in lost {
            self.lost_unless_noted(number, "the file is missing");
        }
        // The server removed them: a later checkpoint had their changes.
        let is_checkpoint = |missing: &Missing| match missing {
            Missing::File { file, .. } => file.starts_with(CHECKPOINT),
            _ => false,
        };
        if let Some(number) = given_up.first()
            && !self.missing.iter().any(is_checkpoint)
        {
            let why =
                format!("the newest one is missing, which had the changes of {}", number.name());
            self.lost(CHECKPOINT, why);
        }
    }

    /// The files with nothing but bytes of segments that are needed, by what was read, and do not
    /// exist. Others may have those bytes as well.
    pub(super) fn absent_bytes(&self) -> Vec<Missing> {
        let is_needed =
            |number: &FileNumber| !self.has_changes(number) && !self.dropped.contains(number);
        let files = self.absent().filter(is_needed).map(FileNumber::name);
        let files = files.filter(|name| !self.is_noted(name));
        files.map(|file| Missing::File { file, why: "the file is missing".to_owned() }).collect()
    }

    fn absent(&self) -> impl Iterator<Item = FileNumber> {
        let needed = self.needed.keys().copied();
        needed.filter(|number| !self.listing.contains_key(&number.name()))
    }

    /// Returns true if changes of a file are read, and not only bytes.
    fn has_changes(&self, number: &FileNumber) -> bool {
        !number.is_moved() && *number >= self.first
    }

    fn is_noted(&self, name: &str) -> bool {
        let is_it =
            |missing: &Missing| matches!(missing, Missing::File { file, .. } if file == name);
        self.missing.iter().any(is_it)
    }

    fn lost_unless_noted(&mut self, number: FileNumber, why: impl ToString) {
        let name = number.name();
        if !self.is_noted(&name) {
            self.lost(&name, why);
        }
    }

    /// Reads a file from its head on.
    fn scan(&mut self, head: FileHead, mut take: impl FnMut(&mut Self, Scanned)) {
        let name = head.number.name();
        self.index.begin(head.number, head.salt);
        let mut salvage = FileSalvage::new(head, self.len(&name));
        loop {
            match salvage.poll() {
                SalvageStep::Read { at, len } => {
                    let mut bytes = self.bytes(&name, at, len);
                    if (bytes.len() as u64) < len {
                        // It became shorter.
                        let mut longer = bytes.to_vec();
                        longer.resize(usize::try_from(len).unwrap_or_default(), 0);
                        bytes = longer.into();
                    }
                    salvage.handle_read(bytes);
                }
                SalvageStep::Frame { at, records, .. } => {
                    let spans = records.iter().filter_map(|placed| placed.span(head.number));
                    self.take_spans(spans.collect());
                    take(self, Scanned::Frame(at, records));
                }
                SalvageStep::Damage { range, spans } => {
                    // A read of a span checks everything from its start on.
                    for span in spans {
                        self.index.split(head.number, span.record.at);
                        self.take_spans(vec![span]);
                    }
                    self.index.split(head.number, range.end);
                    take(self, Scanned::Damage(range));
                }
                SalvageStep::Done { .. } => return,
            }
        }
    }

    fn take_spans(&mut self, spans: Vec<SpanPlace>) {
        for span in spans {
            self.last = self.last.max(span.segment);
            if let Err(error) = self.index.commit(&[span]) {
                self.missing.push(Missing::Entry { why: error.to_string() });
            }
        }
    }
}

/// A part of a file.
enum Scanned {
    /// A frame, at an offset, with its records.
    Frame(u64, Vec<PlacedRecord>),
    /// Bytes that are no frame.
    Damage(Range<u64>),
}
