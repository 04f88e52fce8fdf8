//! What the files of a log hold, which of them are needed, and what a checkpoint must name.
//!
//! ```text
//! committed ──> index, space ──> a batch that gives files up is durable ──> files to remove
//! refused   ──> what its batches gave up is kept, and a compaction ends
//! run       ──> replaced runs wait for a checkpoint that was begun after that
//! ```
//!
//! A driver tells what became durable, from the commits or from a recovery, and removes the files
//! that are returned. What only the owner knows, which bytes of segments can be read, stays out of
//! here.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use super::{
    checkpoint::{CheckpointEnd, CheckpointNeeds, KnownFile, KnownRun, Position},
    compaction::Moved,
    frame::{Closed, FileChange, LogRecord, MovedFile, PlacedRecord},
    head::HEAD_LEN,
    ids::{FileNumber, Place, Salt, SpanPlace},
    index::{Index, Run, RunFile},
    recovery::Recovered,
    run::Footer,
    scrub::{Extent, ScrubFile, ScrubTarget},
    space::{FileUse, Space, SpaceSettings},
    spans::OutOfOrder,
    writer::Committed,
};
use crate::record::Sequence;

/// A compaction whose batch is not durable yet.
#[derive(Debug)]
struct Moving {
    moved: Moved,
    sequence: Sequence,
    leftovers: [String; 3],
}

/// The files of a log.
#[derive(Debug)]
pub struct Keeper {
    index: Index,
    space: Space,
    /// The last batch before each log file.
    begins: BTreeMap<FileNumber, u64>,
    run_lens: BTreeMap<RunFile, u64>,
    /// The log files before this one are not read again at a start.
    replayed_from: FileNumber,
    /// The end of the last durable frame, and the last batch in it.
    end: (Place, Sequence),
    last_moved: u64,
    /// Files that batches give up which are not durable yet.
    dropped: Vec<(FileNumber, Sequence)>,
    moving: Option<Moving>,
    /// Runs that a start may need until a checkpoint that begins from now on is complete.
    retired: Vec<RunFile>,
    /// Runs that are not needed once the checkpoint that was begun is complete.
    removable: Vec<RunFile>,
}

impl Keeper {
    /// The files of an empty log.
    #[must_use]
    pub fn new(settings: SpaceSettings) -> Self {
        Self {
            index: Index::default(),
            space: Space::new(settings),
            begins: BTreeMap::new(),
            run_lens: BTreeMap::new(),
            replayed_from: FileNumber::FIRST,
            end: (Place { file: FileNumber::FIRST, at: HEAD_LEN as u64 }, Sequence::default()),
            last_moved: 0,
            dropped: Vec::new(),
            moving: None,
            retired: Vec::new(),
            removable: Vec::new(),
        }
    }

    /// Takes the files of a checkpoint that exist.
    pub fn take_checkpoint(
        &mut self,
        position: &Position,
        end: &CheckpointEnd,
        exists: impl Fn(FileNumber) -> bool,
    ) {
        self.replayed_from = position.place.file;
        self.begins.insert(position.place.file, position.sequence);
        let is_settled =
            |file: &&KnownFile| file.number < position.place.file || file.number.is_moved();
        for file in end.files.iter().filter(is_settled).filter(|file| exists(file.number)) {
            let KnownFile { number, salt, len, bytes, live } = *file;
            self.index.add_file(number, salt);
            self.space.set_file(number, FileUse { len, bytes, live });
        }
    }

    /// Takes a run of a checkpoint, with its end.
    pub fn take_run(&mut self, known: &KnownRun, footer: Footer) {
        let KnownRun { run, salt, len } = *known;
        self.handle_run(run, Run { salt, footer }, len);
    }

    /// Takes a file that bytes were moved to after the checkpoint, with the end of its run.
    pub fn take_moved(&mut self, moved: &MovedFile, footer: Footer) {
        self.add_moved(moved, Run { salt: moved.run_salt, footer });
    }

    /// Takes a frame of a recovery, from a file with a salt.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] if the bytes of a segment do not follow those before them.
    pub fn take_frame(
        &mut self,
        place: Place,
        salt: Salt,
        records: &[PlacedRecord],
    ) -> Result<(), OutOfOrder> {
        let begun = records.iter().find_map(|placed| match placed.record {
            LogRecord::File(FileChange::Begun { previous }) => Some(previous),
            _ => None,
        });
        let spans: Vec<SpanPlace> =
            records.iter().filter_map(|placed| placed.span(place.file)).collect();
        let end = records.last().map_or(place.at, |placed| placed.end);
        self.add_frame(place.file, salt, end, begun.flatten(), &spans)
    }

    /// Takes the end of a recovery, after its frames and the files that bytes were moved to. Its
    /// obsolete files are forgotten at once: they are removed before the next commit, and a
    /// checkpoint that named them could not be read.
    pub fn take_end(&mut self, recovered: &Recovered) {
        self.take_last_moved(recovered.last_moved);
        self.end = (recovered.end(), recovered.sequence);
        for file in &recovered.obsolete {
            self.forget(*file);
        }
    }

    /// Takes a commit. Returns the files that are not needed any longer, and are removed.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] if the bytes of a segment do not follow those before them.
    pub fn handle_committed(
        &mut self,
        committed: &Committed,
    ) -> Result<Vec<FileNumber>, OutOfOrder> {
        let Committed { sequence, spans, closed, file } = committed;
        self.add_frame(file.number, file.salt, file.len, *closed, spans)?;
        self.end = (Place { file: file.number, at: file.len }, *sequence);
        let is_durable = |(_, number): &mut (FileNumber, Sequence)| *number <= *sequence;
        let mut gone: Vec<FileNumber> =
            self.dropped.extract_if(.., is_durable).map(|(file, _)| file).collect();
        match self.moving.take() {
            Some(Moving { moved, sequence: of_batch, .. }) if of_batch <= *sequence => {
                if let Some((file, run)) = moved.output {
                    self.add_moved(&file, run);
                }
                gone.extend(moved.victims);
            }
            other => self.moving = other,
        }
        for file in &gone {
            self.space.begin_removal(*file);
            self.forget(*file);
        }
        Ok(gone)
    }

    /// Continues after all batches after a durable one were refused: what they gave up is kept.
    /// Returns the names of the files of a compaction that are removed, where they exist.
    pub fn handle_refused(&mut self, durable: Sequence) -> Vec<String> {
        self.dropped.retain(|(_, sequence)| *sequence <= durable);
        match self.moving.take_if(|moving| moving.sequence > durable) {
            Some(moving) => moving.leftovers.into(),
            None => Vec::new(),
        }
    }

    /// Notes that a batch gives a file up: [`FileChange::Dropped`] is one of its records.
    pub fn drop_file(&mut self, file: FileNumber, sequence: Sequence) {
        self.dropped.push((file, sequence));
    }

    /// Notes that a batch has the records of a compaction, and the names of its files.
    pub fn move_files(&mut self, moved: Moved, leftovers: [String; 3], sequence: Sequence) {
        self.moving = Some(Moving { moved, sequence, leftovers });
    }

    /// The number of the next file that bytes are moved to. None is given twice.
    pub fn next_moved(&mut self) -> FileNumber {
        self.last_moved += 1;
        FileNumber::moved(self.last_moved)
    }

    /// Takes a run that was written, or merged from others.
    pub fn handle_run(&mut self, run: RunFile, content: Run, len: u64) {
        let replaced = self.index.add_run(run, content);
        self.retired.extend(replaced.into_iter().filter(|other| *other != run));
        self.run_lens.insert(run, len);
    }

    /// What a checkpoint needs that begins now, when the log is durable up to a batch; `None` if
    /// the log has no frame.
    pub fn begin_checkpoint(&mut self) -> Option<CheckpointNeeds> {
        let first = self.index.oldest_in_memory()?;
        let sequence = self.begins.get(&first).copied().unwrap_or_default();
        let place = Place { file: first, at: HEAD_LEN as u64 };
        let known = |(number, used): (FileNumber, FileUse)| {
            let len = if number == first { HEAD_LEN as u64 } else { used.len };
            let (salt, live) = (self.index.salt(number)?, self.space.recorded(number, used));
            Some(KnownFile { number, salt, len, bytes: used.bytes, live })
        };
        let files = self.space.settled(first.next()).filter_map(known).collect();
        let runs = self.known_runs();
        self.removable.append(&mut self.retired);
        Some(CheckpointNeeds { position: Position { place, sequence }, files, runs })
    }

    /// How many bytes of a file can be read, as a checkpoint has it; `None` if the file does not
    /// exist any longer.
    #[must_use]
    pub fn recorded(&self, file: FileNumber) -> Option<u64> {
        self.space.file(file).map(|used| self.space.recorded(file, used))
    }

    /// Continues after the last checkpoint that was begun is complete. Returns the runs that are
    /// not needed any longer, and are removed once no fetch reads them.
    pub fn complete_checkpoint(&mut self, position: &Position) -> Vec<RunFile> {
        self.replayed_from = position.place.file;
        let removed = mem::take(&mut self.removable);
        for run in &removed {
            self.run_lens.remove(run);
        }
        removed
    }

    /// The files that seem to have nothing that is read. Before one is given up, the owner checks
    /// each of its spans with [`live_in`](super::live_in).
    #[must_use]
    pub fn candidates(&self) -> Vec<FileNumber> {
        let leaving = self.leaving();
        let candidates = self.space.candidates(self.replayed_from);
        candidates.filter(|file| !leaving.contains(file)).collect()
    }

    /// The files whose compaction frees most; none while the batch of one is not durable.
    #[must_use]
    pub fn victims(&self, file_len: u64) -> Vec<FileNumber> {
        if self.moving.is_some() {
            return Vec::new();
        }
        let leaving = self.leaving();
        let mut victims = self.space.victims(self.replayed_from, file_len);
        victims.retain(|file| !leaving.contains(file));
        victims
    }

    /// The end of the last durable frame, and the last batch in it.
    #[must_use]
    pub fn end(&self) -> (Place, Sequence) {
        self.end
    }

    /// The files with bytes of segments, with their lengths, and the runs. With the checkpoints
    /// they are what a start reads, and what is read after it.
    #[must_use]
    pub fn files(&self) -> (Vec<KnownFile>, Vec<KnownRun>) {
        let known = |number: FileNumber| {
            let FileUse { len, bytes, live } = self.space.file(number)?;
            Some(KnownFile { number, salt: self.index.salt(number)?, len, bytes, live })
        };
        (self.index.files().filter_map(known).collect(), self.known_runs())
    }

    fn known_runs(&self) -> Vec<KnownRun> {
        let run = |(run, content): (RunFile, Run)| {
            Some(KnownRun { run, salt: content.salt, len: *self.run_lens.get(&run)? })
        };
        self.index.runs().filter_map(run).collect()
    }

    /// The files with bytes of segments, and their runs, to check.
    #[must_use]
    pub fn scrub_files(&self) -> Vec<ScrubFile> {
        let runs = self.index.runs().map(|(run, _)| ScrubFile::Run(run));
        runs.chain(self.index.files().map(ScrubFile::Log)).collect()
    }

    /// A file, with as much of it as is durable; `None` if it is not needed any longer.
    #[must_use]
    pub fn scrub_target(&self, file: ScrubFile) -> Option<ScrubTarget> {
        let (salt, len) = match file {
            ScrubFile::Folder => return Some(ScrubTarget::FOLDER),
            ScrubFile::Mark => return Some(ScrubTarget::MARK),
            ScrubFile::Checkpoint(_) => return None,
            ScrubFile::Run(run) => (self.index.run(run)?.salt, *self.run_lens.get(&run)?),
            ScrubFile::Log(number) => (self.index.salt(number)?, self.space.file(number)?.len),
        };
        Some(ScrubTarget { file, salt: Some(salt), extent: Extent::Exactly(len) })
    }

    /// The index of all segments.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The space of the files.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The space of the files, for hints and what other files take.
    pub fn space_mut(&mut self) -> &mut Space {
        &mut self.space
    }

    /// The files that batches give up which are not durable yet.
    fn leaving(&self) -> BTreeSet<FileNumber> {
        let moved = self.moving.iter().flat_map(|moving| moving.moved.victims.iter().copied());
        self.dropped.iter().map(|(file, _)| *file).chain(moved).collect()
    }

    /// Forgets a file. A start may need its runs until the next checkpoint is complete.
    fn forget(&mut self, file: FileNumber) {
        self.retired.extend(self.index.remove_file(file));
        self.space.remove(file);
        self.begins.remove(&file);
    }

    fn take_last_moved(&mut self, last_moved: u64) {
        self.last_moved = self.last_moved.max(last_moved);
    }

    fn add_moved(&mut self, moved: &MovedFile, run: Run) {
        let MovedFile { file, salt, len, bytes, run_len, .. } = *moved;
        self.index.add_file(file, salt);
        self.handle_run(RunFile::of(file), run, run_len);
        self.space.set_file(file, FileUse { len, bytes, live: bytes });
        // What was freed after it was judged, and before it is here, was counted in the victims.
        self.space.doubt_file(file);
        self.take_last_moved(file.n_of_moved());
    }

    fn add_frame(
        &mut self,
        file: FileNumber,
        salt: Salt,
        end: u64,
        closed: Option<Closed>,
        spans: &[SpanPlace],
    ) -> Result<(), OutOfOrder> {
        if self.index.salt(file).is_none() {
            self.index.begin(file, salt);
        }
        if let Some(Closed { sequence, .. }) = closed {
            self.begins.insert(file, sequence);
        }
        let bytes = spans.iter().map(|span| span.to - span.from).sum();
        self.space.grow(file, end, bytes);
        self.index.commit(spans)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ids::SegmentNumber, mark::MarkSlot, recovery::MarkState, writer::CurrentFile},
        *,
    };

    const SPACE: SpaceSettings = SpaceSettings { limit: None, reserve: 0 };

    /// A start that reads the checkpoint which another keeper begins now.
    fn after_a_checkpoint_of(keeper: &mut Keeper) -> Keeper {
        let CheckpointNeeds { position, files, runs } = keeper.begin_checkpoint().unwrap();
        let mut next = Keeper::new(SPACE);
        let up_to = position.sequence;
        next.take_checkpoint(&position, &CheckpointEnd { up_to, files, runs }, |_| true);
        next
    }

    /// The keeper of three files with ten bytes each, of which the first two have runs.
    fn keeper(files: [FileNumber; 3]) -> Keeper {
        let mut keeper = Keeper::new(SPACE);
        for (from, number) in files.into_iter().enumerate() {
            let (from, record) = (from as u64 * 10, Place { file: number, at: 64 });
            let (segment, to, end) = (SegmentNumber(1), from + 10, 100);
            let spans = vec![SpanPlace { segment, from, to, record, end }];
            let (sequence, closed) = (Sequence(from + 1), None);
            let file = CurrentFile { number, salt: Salt(number.0), len: end };
            let committed = Committed { sequence, spans, closed, file };
            assert_eq!(keeper.handle_committed(&committed), Ok(Vec::new()));
        }
        for number in &files[..2] {
            let (content, len) = Run::empty(*number);
            keeper.handle_run(RunFile::of(*number), content, len);
        }
        keeper
    }

    #[test]
    fn a_file_that_is_to_be_counted_again_is_so_after_a_start_too() {
        let files = [1, 2, 3].map(FileNumber);
        let mut keeper = keeper(files);
        assert_eq!(after_a_checkpoint_of(&mut keeper).candidates(), []);
        keeper.space_mut().doubt();
        keeper.space_mut().recount(files[1], 5);
        let next = after_a_checkpoint_of(&mut keeper);
        assert_eq!(next.candidates(), [files[0]]);
        assert_eq!(next.space().file(files[1]).map(|used| used.live), Some(5));
    }

    #[test]
    fn what_is_freed_while_it_is_moved_is_counted_in_the_file_that_has_it_then() {
        let files = [1, 2, 3].map(FileNumber);
        let mut keeper = keeper(files);
        let position = keeper.begin_checkpoint().unwrap().position;
        keeper.complete_checkpoint(&position);
        let file = keeper.next_moved();
        let (run, run_len) = Run::empty(file);
        let (salt, run_salt) = (Salt(9), run.salt);
        let moved = MovedFile { file, salt, len: 200, bytes: 10, run_salt, run_len };
        let output = Some((moved, run));
        let moved = Moved { victims: vec![files[0]], output };
        keeper.move_files(moved, Default::default(), Sequence(4));
        // It was judged as one that is read, and is deleted before the victim is replaced.
        keeper.space_mut().free(files[0], 10);
        let current = CurrentFile { number: files[2], salt: Salt(3), len: 100 };
        let (spans, closed) = (Vec::new(), None);
        let committed = Committed { sequence: Sequence(4), spans, closed, file: current };
        assert_eq!(keeper.handle_committed(&committed), Ok(vec![files[0]]));
        assert_eq!(keeper.candidates(), [file]);
        assert_eq!(after_a_checkpoint_of(&mut keeper).candidates(), [file]);
        keeper.space_mut().recount(file, 10);
        assert_eq!(keeper.candidates(), []);
        assert_eq!(after_a_checkpoint_of(&mut keeper).candidates(), []);
    }

    /// Measures a folder of files with these lengths.
    fn measure(keeper: &mut Keeper, files: &[(FileNumber, u64)]) -> u64 {
        keeper.space_mut().measure_files(files, 0);
        keeper.space().used()
    }

    #[test]
    fn an_output_that_was_measured_before_its_batch_is_durable_counts_once() {
        let files = [1, 2, 3].map(FileNumber);
        let mut keeper = keeper(files);
        let position = keeper.begin_checkpoint().unwrap().position;
        keeper.complete_checkpoint(&position);
        let file = keeper.next_moved();
        let folder = [(files[0], 100), (files[1], 100), (files[2], 100), (file, 200)];
        assert_eq!(measure(&mut keeper, &folder), 500);
        let (run, run_len) = Run::empty(file);
        let (salt, run_salt) = (Salt(9), run.salt);
        let moved = MovedFile { file, salt, len: 200, bytes: 10, run_salt, run_len };
        let moved = Moved { victims: vec![files[0], files[1]], output: Some((moved, run)) };
        keeper.move_files(moved, Default::default(), Sequence(4));
        let current = CurrentFile { number: files[2], salt: Salt(3), len: 100 };
        let (spans, closed) = (Vec::new(), None);
        let committed = Committed { sequence: Sequence(4), spans, closed, file: current };
        assert_eq!(keeper.handle_committed(&committed), Ok(files[..2].to_vec()));
        assert_eq!(keeper.space().used(), 300);
        // In whatever state of the removals.
        for folder in [&folder[..], &folder[1..], &folder[2..]] {
            assert_eq!(measure(&mut keeper, folder), 300);
        }
    }

    #[test]
    fn a_file_that_a_start_removes_counts_again_if_it_is_found_later() {
        let files = [1, 2, 3].map(FileNumber);
        let mut keeper = keeper(files);
        let current = CurrentFile { number: files[2], salt: Salt(3), len: 100 };
        keeper.take_end(&Recovered {
            current: Some(current),
            next: None,
            sequence: Sequence(3),
            cuts: Vec::new(),
            zeros: current.len,
            rewrites: Vec::new(),
            unfinished: None,
            moved: Vec::new(),
            last_moved: 0,
            obsolete: vec![files[0]],
            slot: MarkSlot::First,
            mark: MarkState::Whole,
        });
        assert_eq!(keeper.space().used(), 200);
        // No removal of a start ends: one that is noted would hide the file from then on.
        let folder = files.map(|file| (file, 100));
        assert_eq!(measure(&mut keeper, &folder), 300);
    }
}
