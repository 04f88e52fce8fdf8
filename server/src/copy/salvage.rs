//! A new folder with what can be read of a damaged one.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use pravega_sdk_server_core::{
    Restoring,
    log::{
        CheckpointBuilder, CheckpointEnd, CheckpointFile, Contents, Fetch, FetchStep, FileFill,
        FileHead, FileKind, FileNumber, HEAD_LEN, Index, KnownFile, KnownRun, Place, Position,
        Salt, SegmentNumber, Slice,
    },
    machine::Machine,
    record::{Durability, Sequence},
    store::Stored,
};

use super::{
    damage::Damaged,
    error::{CopyError, Side},
    in_thread,
    missing::Missing,
    source::Source,
    target::{self, Target},
};
use crate::{
    builder::ServerBuilder,
    folder::ReadFolder,
    journal::{OpenError, OpenProblem},
    log::{Disk, foreign, is_of_journal, joined},
};

/// The length after which a file ends.
const FILE_LEN: u64 = 64 << 20;
/// The most bytes that are written at once.
const PART: u64 = 1 << 20;
/// The most keys of a part of the state.
const KEYS: usize = 500;

/// Ranges of records, by the numbers of segments.
type Ranges = BTreeMap<SegmentNumber, Vec<Range<u64>>>;

/// What was read of a damaged folder.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// The number of segments in the new folder.
    pub segments: usize,
    /// The bytes of events in it.
    pub bytes: u64,
    /// What is missing.
    pub missing: Vec<Missing>,
}

/// Reads what can be read of the damaged folder of a server, and writes a new folder with it, on
/// which a server can be started. Nothing in the damaged folder is changed.
///
/// Every byte in the new folder was checked. A segment keeps its offsets: where bytes are missing,
/// a read of them fails, and those before and after them are read as before. So no position of a
/// reader means another event than it did. A commit that is damaged in part counts as missing as a
/// whole, for it may have been half of a change; what it did is not known, so also a stream that it
/// deleted, or a part that it truncated, is there again. What is not in the new folder is listed.
///
/// The new folder must be empty, or not exist. A failure leaves it empty.
///
/// # Errors
///
/// [`CopyError`] if the folder cannot be read at all, or a server uses it, if the new one cannot be
/// written, and outside a tokio runtime.
///
/// # Cancel safety
///
/// Dropping the future does not end the work, which goes on in a thread.
pub async fn salvage(
    from: impl Into<PathBuf>,
    to: impl Into<PathBuf>,
) -> Result<Salvaged, CopyError> {
    in_thread("reading it", from.into(), to.into(), run).await
}

fn run(from: &Path, to: &Path) -> Result<Salvaged, CopyError> {
    let source = |problem| CopyError::Source(OpenError { folder: from.to_owned(), problem });
    let folder = ReadFolder::locked(from).map_err(OpenProblem::of_folder).map_err(source)?;
    let files = Source::of(folder);
    let salvaged = target::empty(to).and_then(|target| salvage_to(&files, &target));
    salvaged.map_err(|side| side.error(from.to_owned(), to.to_owned()))
}

/// Writes what can be read of a folder to an empty one.
pub(crate) fn salvage_to(files: &dyn Disk, to: &dyn Disk) -> Result<Salvaged, Side> {
    let failed = || Side::source("cannot list its files");
    let listing = files.list().map_err(failed())?;
    let names = || listing.iter().map(|(name, _, _)| &**name);
    if is_of_journal(names()) || !names().any(|name| FileNumber::of_name(name).is_some()) {
        let listing = listing.iter().map(|(name, _, len)| (name.clone(), *len)).collect();
        if let Ok(Contents::Others { name }) = Contents::of(&listing) {
            return Err(Side::Source(foreign(name)));
        }
        let (file, what) = ("log-00000001".to_owned(), "the folder has no log".to_owned());
        return Err(Side::Source(OpenProblem::Missing { file, what }));
    }
    let machine = ServerBuilder::default().machine(Durability::Logged);
    let damaged = Damaged::read(files, Restoring::new(machine)).map_err(failed())?;
    let absent = damaged.absent_bytes();
    let Damaged { restoring, index, mut missing, last, .. } = damaged;
    let (machine, failures) = restoring.finish_salvaged(last);
    let entry = |why: String| Missing::Entry { why };
    missing.extend(failures.into_iter().map(|failure| entry(failure.to_string())));
    let stored = machine.store.stored();
    let readable = readable(&index);
    let mut holes = Vec::new();
    for segment in &stored {
        note_holes(segment, &readable, &mut holes);
    }
    // Without a hole, all that was in them is elsewhere, or not needed any longer.
    if !holes.is_empty() {
        missing.extend(absent);
    }
    missing.append(&mut holes);
    let wanted = ranges(stored.iter().flat_map(|segment| segment.parts.iter().cloned()));
    if !missing.is_empty() {
        note_nameless(&readable, &wanted, &mut missing);
    }
    let mut target = Target::begin(to)?;
    let mut filling =
        Filling { files, index: &index, bytes: 0, known: Vec::new(), runs: Vec::new() };
    match filling.write(&mut target, &readable, &wanted, &machine) {
        Ok(()) => {}
        Err(side) => return Err(target.give_up(side)),
    }
    let bytes = filling.bytes;
    target.finish(START, Sequence::default())?;
    Ok(Salvaged { segments: stored.len(), bytes, missing })
}

/// The end of a log without a frame.
const START: Place = Place { file: FileNumber::FIRST, at: HEAD_LEN as u64 };

/// The ranges of all records that were read.
fn readable(index: &Index) -> Ranges {
    let spans = index.files().filter_map(|file| index.spans_of(file));
    let spans = spans.flat_map(|spans| spans.all());
    ranges(spans.map(|(segment, span)| (segment, span.from..span.to)))
}

/// Ranges in order, of which those that touch are one.
fn ranges(all: impl IntoIterator<Item = (SegmentNumber, Range<u64>)>) -> Ranges {
    let mut ranges = Ranges::new();
    for (segment, range) in joined(all.into_iter().collect()) {
        let ranges = ranges.entry(segment).or_default();
        if !range.is_empty() {
            ranges.push(range);
        }
    }
    ranges
}

/// The parts of a range that are in others, which are in order.
fn within(range: &Range<u64>, all: &[Range<u64>]) -> Vec<Range<u64>> {
    let first = all.partition_point(|other| other.end <= range.start);
    let others = all.iter().skip(first).take_while(|other| other.start < range.end);
    others.map(|other| other.start.max(range.start)..other.end.min(range.end)).collect()
}

/// The parts of a range that are in none of others, which are in order.
fn without(range: &Range<u64>, all: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut holes, mut at) = (Vec::new(), range.start);
    for part in within(range, all) {
        if at < part.start {
            holes.push(at..part.start);
        }
        at = part.end;
    }
    if at < range.end {
        holes.push(at..range.end);
    }
    holes
}

const NONE: &[Range<u64>] = &[];

fn of(ranges: &Ranges, number: SegmentNumber) -> &[Range<u64>] {
    ranges.get(&number).map_or(NONE, Vec::as_slice)
}

/// Notes the bytes of a segment that are in no file.
fn note_holes(segment: &Stored, readable: &Ranges, missing: &mut Vec<Missing>) {
    let (mut at, mut holes) = (segment.start, Vec::new());
    for (number, range) in &segment.parts {
        let base = at;
        let hole =
            |hole: Range<u64>| base + (hole.start - range.start)..base + (hole.end - range.start);
        holes.extend(without(range, of(readable, *number)).into_iter().map(hole));
        at += range.end - range.start;
    }
    let holes = holes.into_iter().map(|hole| (segment.name.clone(), hole)).collect();
    let bytes = |(segment, Range { start: from, end: to })| Missing::Bytes { segment, from, to };
    missing.extend(joined(holes).into_iter().map(bytes));
}

/// Notes the bytes that were read and that no segment has.
fn note_nameless(readable: &Ranges, wanted: &Ranges, missing: &mut Vec<Missing>) {
    for (number, ranges) in readable {
        if wanted.contains_key(number) {
            continue;
        }
        let bytes = |Range { start: from, end: to }: &Range<u64>| Missing::Nameless {
            number: number.0,
            from: *from,
            to: *to,
        };
        missing.extend(ranges.iter().map(bytes));
    }
}

/// The writing of the new folder.
struct Filling<'a> {
    files: &'a dyn Disk,
    index: &'a Index,
    /// The bytes of segments that were written.
    bytes: u64,
    known: Vec<KnownFile>,
    runs: Vec<KnownRun>,
}

impl Filling<'_> {
    fn write(
        &mut self,
        target: &mut Target<'_>,
        readable: &Ranges,
        wanted: &Ranges,
        machine: &Machine,
    ) -> Result<(), Side> {
        let (folder, number) = (target.id(), FileNumber::FIRST);
        let head = FileHead { kind: FileKind::Log, folder, number, salt: random() };
        target.write(&number.name(), 0, &head.encode())?;
        let mut fill = None;
        for (number, ranges) in wanted {
            for range in ranges.iter().flat_map(|range| within(range, of(readable, *number))) {
                self.copy(target, &mut fill, *number, range)?;
            }
        }
        if let Some(fill) = fill {
            self.end(target, fill)?;
        }
        self.checkpoint(target, machine)
    }

    /// Copies bytes that can be read.
    fn copy(
        &mut self,
        target: &mut Target<'_>,
        fill: &mut Option<FileFill>,
        segment: SegmentNumber,
        range: Range<u64>,
    ) -> Result<(), Side> {
        let mut at = range.start;
        while at < range.end {
            let to = range.end.min(at + PART);
            let data = self.read(segment, at..to)?;
            let mut file = match fill.take() {
                Some(file) => file,
                None => {
                    let n = self.known.len() as u64 + 1;
                    let (file, head) = FileFill::new(target.id(), n, random());
                    target.write(&file.number().name(), 0, &head)?;
                    file
                }
            };
            let (place, len) = (file.len(), data.len() as u64);
            let bytes = file.add(segment, at, data).map_err(contradicts)?;
            target.write(&file.number().name(), place, &bytes)?;
            (at, self.bytes) = (to, self.bytes + len);
            if file.len() >= FILE_LEN || file.is_full() {
                self.end(target, file)?;
            } else {
                *fill = Some(file);
            }
        }
        Ok(())
    }

    fn end(&mut self, target: &mut Target<'_>, file: FileFill) -> Result<(), Side> {
        target.sync(&file.number().name())?;
        let (file, run, bytes) = file.finish(random()).map_err(contradicts)?;
        target.write(&run.run.name(), 0, &bytes)?;
        self.known.push(file);
        self.runs.push(run);
        Ok(())
    }

    /// Reads bytes, each of which is checked again.
    fn read(&self, segment: SegmentNumber, range: Range<u64>) -> Result<Bytes, Side> {
        let mut fetch = Fetch::new(segment, range.start, range.end);
        let mut all = Vec::new();
        loop {
            match fetch.poll(self.index) {
                FetchStep::Read { file, range } => {
                    let len = range.end.saturating_sub(range.start);
                    let name = file.name();
                    let read = self.files.read_at(&name, range.start, len);
                    fetch.handle_read(
                        read.map_err(Side::source(format!("cannot read {name} again")))?,
                    );
                }
                FetchStep::Bytes(bytes) => all.extend_from_slice(&bytes),
                FetchStep::Done => return Ok(all.into()),
                FetchStep::Missing { offset: at } | FetchStep::Damaged { at, .. } => {
                    let why = format!("the bytes at {at} are not those that were read before");
                    return Err(contradicts(why));
                }
            }
        }
    }

    /// Writes the state.
    fn checkpoint(&mut self, target: &mut Target<'_>, machine: &Machine) -> Result<(), Side> {
        let file = CheckpointFile { base: 1, number: 1 };
        let (folder, number) = (target.id(), FileNumber(file.number));
        let head = FileHead { kind: FileKind::Checkpoint, folder, number, salt: random() };
        let mut builder = CheckpointBuilder::new(&head, Position { place: START, sequence: 0 });
        let (name, mut at, mut after) = (file.name(), 0, None);
        loop {
            let entries = machine.slice(&Slice::After(after.take(), KEYS));
            let Some((last, _)) = entries.last() else { break };
            after = Some(last.clone());
            for (key, value) in &entries {
                builder.push(key, value.as_deref());
            }
            let bytes = builder.take();
            target.write(&name, at, &bytes)?;
            at += bytes.len() as u64;
        }
        let (files, runs) = (std::mem::take(&mut self.known), std::mem::take(&mut self.runs));
        let end = builder.finish(&CheckpointEnd { up_to: 0, files, runs });
        target.write(&name, at, &end)?;
        target.sync(&name)
    }
}

fn random() -> Salt {
    Salt(fastrand::u64(..))
}

fn contradicts(why: impl ToString) -> Side {
    Side::source("its files contradict each other")(io::Error::other(why.to_string()))
}
