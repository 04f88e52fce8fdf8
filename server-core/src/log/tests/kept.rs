//! The files of a log as its owner keeps them: index, checkpoints, compaction, and deaths of files.

use std::{ops::Range, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    super::{
        Chain, CheckpointSettings, Checkpoints, Compaction, CompactionStep, Directory, Entry,
        FOOTER_LEN, Fetch, FetchStep, FileKind, FileUse, Footer, Freed, FreedStep, IndexWork,
        Keeper, KnownFile, LogWriter, Merge, Moved, NextOfCheckpoint, ReadFile, Run, RunBuilder,
        Slice, SpaceSettings, live_in, read_block,
    },
    FOLDER, FileChange, FileHead, FileNumber, Held, Log, LogRecord, Position, Recovered, RunFile,
    Salt, SegmentNumber, StateEntry,
    disk::{Disk, Failed, carry_out},
    outcome,
};
use crate::record::Sequence;

/// A mistake of the owner of a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mistake {
    /// A file is given up by its hint alone.
    DropsOnHint,
    /// A checkpoint is at the end of the log, though files before it have no run.
    PassesUnindexed,
    /// Runs are removed when they were merged, though the checkpoint needs them.
    RemovesRunsEarly,
    /// A file is removed before the log says so.
    RemovesUnrecorded,
    /// A file is replaced by what was moved from it before the log says so.
    ReplacesUnrecorded,
    /// A checkpoint does not wait for the batches whose changes it has.
    ClaimsDurable,
    /// Files that a start has removed are forgotten by the first commit after it.
    ForgetsLate,
}

/// The parts of a range of a segment that can be read.
pub(super) type Live<'a> = &'a dyn Fn(SegmentNumber, Range<u64>) -> Vec<Range<u64>>;

/// What a compaction did, and the names of its files.
pub(super) type Done = (Moved, [String; 3]);

/// The files of a log.
pub(super) struct Kept {
    pub(super) log: Log,
    pub(super) checkpoints: Checkpoints,
    pub(super) keeper: Keeper,
    pub(super) compaction: Option<Compaction>,
    /// How many files died.
    pub(super) deaths: usize,
    /// How often bytes were moved.
    pub(super) moves: usize,
    pub(super) mistake: Option<Mistake>,
}

impl Kept {
    /// The files of a folder, which may hold something.
    pub(super) fn new(
        (disk, writer): (Disk, LogWriter),
        held: Option<&Held>,
        settings: CheckpointSettings,
        seed: u64,
        mistake: Option<Mistake>,
    ) -> Self {
        let chain = held.and_then(|held| {
            let (newest, base_len) = (*held.checkpoints.last()?, *held.lens.first()?);
            Some(Chain { newest, base_len, deltas_len: held.lens.iter().skip(1).sum() })
        });
        let mut kept = Self {
            log: Log::with(disk, writer, Vec::new(), seed),
            checkpoints: Checkpoints::new(settings, chain),
            keeper: Keeper::new(SpaceSettings { limit: None, reserve: 0 }),
            compaction: None,
            deaths: 0,
            moves: 0,
            mistake,
        };
        if let Some(held) = held {
            kept.take(held);
        }
        kept
    }

    /// Takes the files that a folder holds.
    fn take(&mut self, held: &Held) {
        let Held { ends, known, frames, recovered, .. } = held;
        if let Some((position, end)) = known {
            let listing = self.log.disk.list();
            // Obsolete files exist when the checkpoint is taken, and are removed by now.
            let obsolete = &recovered.obsolete;
            let exists =
                |file: FileNumber| listing.contains_key(&file.name()) || obsolete.contains(&file);
            self.keeper.take_checkpoint(position, end, exists);
            // A hint may be wrong.
            for file in end.files.iter().map(|file| file.number) {
                if self.log.random.u8(..8) == 0 {
                    self.keeper.space_mut().recount(file, 0);
                }
            }
            for known in &end.runs {
                let footer = self.footer(known.run, known.salt, known.len);
                self.keeper.take_run(known, footer);
            }
        }
        for frame in frames {
            let salt = self.salt(frame.place.file);
            self.keeper.take_frame(frame.place, salt, &frame.placed).unwrap();
        }
        for moved in &recovered.moved {
            let footer = self.footer(RunFile::of(moved.file), moved.run_salt, moved.run_len);
            self.keeper.take_moved(moved, footer);
        }
        if self.mistake == Some(Mistake::ForgetsLate) {
            for file in &recovered.obsolete {
                self.keeper.drop_file(*file, recovered.sequence);
            }
            self.keeper.take_end(&Recovered { obsolete: Vec::new(), ..recovered.clone() });
        } else {
            self.keeper.take_end(recovered);
        }
        self.log.ends.clone_from(ends);
    }

    fn salt(&self, file: FileNumber) -> Salt {
        FileHead::decode(&self.log.disk.read(&file.name(), 0, 64)).unwrap().salt
    }

    fn footer(&self, run: RunFile, salt: Salt, len: u64) -> Footer {
        footer(&self.log.disk, run, salt, len).expect("a whole run")
    }

    fn read(&self, name: &str, range: Range<u64>) -> Bytes {
        self.log.disk.read(name, range.start, range.end - range.start)
    }

    /// The bytes of a range of a segment; otherwise the step that says why there are none.
    pub(super) fn fetch(
        &self,
        segment: SegmentNumber,
        range: Range<u64>,
    ) -> Result<Vec<u8>, FetchStep> {
        let mut fetch = Fetch::new(segment, range.start, range.end);
        let mut found = Vec::new();
        loop {
            match fetch.poll(self.keeper.index()) {
                FetchStep::Read { file, range } => {
                    fetch.handle_read(self.read(&file.name(), range));
                }
                FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
                FetchStep::Done => return Ok(found),
                other => return Err(other),
            }
        }
    }

    /// Corrects the hints after a range was freed.
    pub(super) fn free(&mut self, segment: SegmentNumber, range: Range<u64>) {
        let mut freed = Freed::new(segment, range, self.keeper.index());
        loop {
            match freed.poll() {
                FreedStep::Read { file, range } => {
                    freed.handle_read(&self.read(&file.name(), range)).unwrap();
                }
                FreedStep::Done(counts) => {
                    let space = self.keeper.space_mut();
                    counts.into_iter().for_each(|(file, bytes)| space.free(file, bytes));
                    return;
                }
            }
        }
    }

    /// Files that have nothing that is read, and are not replayed.
    pub(super) fn dying(&self, live: Live<'_>) -> Vec<FileNumber> {
        let bytes = |segment: SegmentNumber, from: u64, to: u64| {
            live(segment, from..to).iter().map(|part| part.end - part.start).sum()
        };
        let is_dead = |file: &FileNumber| {
            let runs = self.keeper.index().runs().map(|(run, _)| run);
            let runs = runs.filter(|run| run.first <= *file && *file <= run.last);
            let entries: Vec<Entry> = runs.flat_map(|run| self.entries(run)).collect();
            self.mistake == Some(Mistake::DropsOnHint) || live_in(*file, entries, bytes) == 0
        };
        self.keeper.candidates().into_iter().filter(is_dead).collect()
    }

    /// The records that give files up.
    pub(super) fn dropped(files: &[FileNumber]) -> impl Iterator<Item = LogRecord> + '_ {
        files.iter().map(|file| LogRecord::File(FileChange::Dropped { file: *file }))
    }

    /// Notes that a batch gives files up.
    pub(super) fn drop_files(&mut self, files: Vec<FileNumber>, sequence: Sequence) {
        for file in files {
            if self.mistake == Some(Mistake::RemovesUnrecorded) {
                self.log.disk.remove(&file.name()).ok();
            }
            self.keeper.drop_file(file, sequence);
        }
    }

    fn entries(&self, run: RunFile) -> Vec<Entry> {
        let (_, content) = self.keeper.index().runs().find(|(other, _)| *other == run).unwrap();
        let directory = self.read(&run.name(), content.footer.directory_place());
        let directory = Directory::decode(&directory, content.salt, &content.footer).unwrap();
        let block = |place: Range<u64>| {
            let at = place.start;
            read_block(&self.read(&run.name(), place), content.salt, at).unwrap()
        };
        directory.blocks().flat_map(block).collect()
    }

    /// Writes or merges one run.
    pub(super) fn index(&mut self) {
        let Some(work) = self.keeper.index().work() else { return };
        let (run, entries): (RunFile, Vec<Entry>) = match work {
            IndexWork::Write(file) => {
                let spans = self.keeper.index().spans_of(file).unwrap();
                let entry = |(segment, span)| Entry::new(segment, file, span);
                (RunFile::of(file), spans.all().map(entry).collect())
            }
            IndexWork::Merge(runs) => {
                let exists = |file| self.keeper.index().salt(file).is_some();
                let all = runs.iter().map(|run| self.entries(*run).into_iter());
                let (first, last) = (runs[0].first, runs[runs.len() - 1].last);
                (RunFile { first, last }, Merge::new(all, exists).collect())
            }
        };
        let salt = Salt(self.log.random.u64(..));
        let head = FileHead { kind: FileKind::Index, folder: FOLDER, number: run.first, salt };
        let mut builder = RunBuilder::new(&head, run.last);
        let mut content = BytesMut::new();
        entries.iter().for_each(|entry| builder.push(entry).unwrap());
        content.put_slice(&builder.finish());
        if write_whole(&mut self.log.disk, &run.name(), &content).is_err() {
            return;
        }
        let before: Vec<RunFile> = self.keeper.index().runs().map(|(run, _)| run).collect();
        self.keeper.handle_run(run, Run::of_content(&content, salt), content.len() as u64);
        if self.mistake == Some(Mistake::RemovesRunsEarly) {
            let is_left = |run: &RunFile| self.keeper.index().runs().any(|(it, _)| it == *run);
            for run in before.iter().filter(|run| !is_left(run)) {
                self.log.disk.remove(&run.name()).ok();
            }
        }
    }

    /// Carries out one effect of the writer. Returns true if batches were refused: the owner goes
    /// back to the last durable one.
    #[must_use]
    pub(super) fn step(&mut self) -> bool {
        let refusals = self.log.refusals;
        if !self.log.step() {
            self.log.now += Duration::from_millis(30);
        }
        for committed in std::mem::take(&mut self.log.committed) {
            let moved = self.keeper.space().moved().count();
            let gone = self.keeper.handle_committed(&committed).unwrap();
            self.moves += usize::from(self.keeper.space().moved().count() > moved);
            gone.into_iter().for_each(|file| self.remove_file(file));
            self.checkpoints.grow(100, 1);
        }
        if self.log.refusals == refusals {
            return false;
        }
        let leftovers = self.keeper.handle_refused(self.log.writer.durable());
        self.remove_leftovers(&leftovers);
        if let Some(compaction) = &mut self.compaction {
            compaction.abort();
        }
        self.checkpoints.abort();
        true
    }

    /// Removes a file that is not needed any longer.
    fn remove_file(&mut self, file: FileNumber) {
        self.log.ends.remove(&file);
        self.deaths += 1;
        if self.log.disk.list().contains_key(&file.name()) {
            self.log.disk.remove(&file.name()).ok();
        }
    }

    /// One step of a checkpoint. The owner tells the values of a slice, and the last batch whose
    /// changes they have.
    pub(super) fn checkpoint(&mut self, slice: impl FnOnce(Slice) -> (Vec<StateEntry>, Sequence)) {
        if self.checkpoints.is_due() {
            self.begin_checkpoint();
        }
        match self.checkpoints.poll(self.log.writer.durable()) {
            NextOfCheckpoint::Idle | NextOfCheckpoint::Wait => {}
            NextOfCheckpoint::Slice(asked) => {
                let (entries, up_to) = slice(asked);
                self.checkpoints.handle_slice(&entries, up_to);
            }
            NextOfCheckpoint::Effect(effect) => {
                let done = carry_out(&mut self.log.disk, effect);
                self.checkpoints.handle(&outcome(done));
            }
            NextOfCheckpoint::Completed(position) => {
                for run in self.keeper.complete_checkpoint(&position) {
                    self.log.disk.remove(&run.name()).ok();
                }
            }
        }
    }

    pub(super) fn begin_checkpoint(&mut self) {
        let random = self.log.random.u64(..);
        let (keeper, writer, mistake) = (&mut self.keeper, &self.log.writer, self.mistake);
        let needs = || {
            let mut needs = keeper.begin_checkpoint()?;
            if mistake == Some(Mistake::PassesUnindexed) {
                let (place, sequence) = (writer.end().unwrap(), writer.durable().0);
                needs.position = Position { place, sequence };
                let files = keeper.space().settled(place.file.next());
                let known = |(number, FileUse { len, bytes, live })| {
                    let salt = keeper.index().salt(number).unwrap();
                    KnownFile { number, salt, len, bytes, live }
                };
                needs.files = files.map(known).collect();
            }
            Some(needs)
        };
        self.checkpoints.begin(needs, random);
    }

    /// Begins a compaction, or goes on with one; returns what it did at its end.
    pub(super) fn compact(&mut self, live: Live<'_>) -> Option<Done> {
        let Some(mut compaction) = self.compaction.take() else {
            self.begin_compaction();
            return None;
        };
        match compaction.poll() {
            CompactionStep::Read { file, range } => {
                let exists = match file {
                    ReadFile::Log(file) => self.keeper.index().salt(file).is_some(),
                    ReadFile::Run(run) => self.keeper.index().runs().any(|(other, _)| other == run),
                };
                match exists {
                    true => compaction.handle_read(self.read(&file.name(), range)).unwrap(),
                    false => compaction.handle_gone(),
                }
            }
            CompactionStep::Judge(ranges) => {
                let live = ranges.iter().map(|(segment, range)| live(*segment, range.clone()));
                compaction.handle_live(live.collect());
            }
            CompactionStep::Effect(effect) => {
                let done = carry_out(&mut self.log.disk, effect);
                compaction.handle(outcome(done)).ok();
            }
            CompactionStep::Done(moved) => {
                if self.mistake == Some(Mistake::ReplacesUnrecorded) {
                    moved.victims.iter().for_each(|file| self.remove_file(*file));
                    self.remove_leftovers(&compaction.leftovers());
                    return None;
                }
                return Some((*moved, compaction.leftovers()));
            }
            CompactionStep::GivenUp => {
                self.remove_leftovers(&compaction.leftovers());
                return None;
            }
            CompactionStep::Wait => panic!("every step is carried out at once"),
        }
        self.compaction = Some(compaction);
        None
    }

    fn begin_compaction(&mut self) {
        let victims = self.keeper.victims(6000);
        if !victims.is_empty() {
            let random = (self.log.random.u64(..), self.log.random.u64(..));
            let (output, index) = (self.keeper.next_moved(), self.keeper.index());
            self.compaction = Compaction::new(FOLDER, output, &victims, index, random);
        }
    }

    /// Removes the files of a compaction that came to nothing.
    pub(super) fn remove_leftovers(&mut self, names: &[String]) {
        for name in names {
            if self.log.disk.list().contains_key(name) && !self.is_used(name) {
                self.log.disk.remove(name).ok();
            }
        }
    }

    fn is_used(&self, name: &str) -> bool {
        let is_file =
            FileNumber::of_name(name).is_some_and(|it| self.keeper.index().salt(it).is_some());
        is_file || self.keeper.index().runs().any(|(run, _)| run.name() == name)
    }
}

/// The end of a run; `None` if it is damaged.
pub(super) fn footer(disk: &Disk, run: RunFile, salt: Salt, len: u64) -> Option<Footer> {
    let at = len - FOOTER_LEN as u64;
    Footer::decode(&disk.read(&run.name(), at, FOOTER_LEN as u64), salt, at)
}

/// Writes a file that is whole once it has its name.
fn write_whole(disk: &mut Disk, name: &str, content: &[u8]) -> Result<(), Failed> {
    let new = format!("{name}.new");
    if disk.list().contains_key(&new) {
        disk.remove(&new)?;
    }
    disk.create(&new)?;
    disk.write(&new, 0, content)?;
    disk.sync(&new)?;
    disk.rename(&new, name)?;
    disk.sync_folder()
}
