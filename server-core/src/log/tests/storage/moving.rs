//! Compaction of a storage: what is still read is moved, and its files are removed.

use super::{
    super::{
        super::{Compaction, CompactionStep, Moved, MovedFile, ReadFile},
        disk::{Disk, Fault, Part},
    },
    FOLDER, FOOTER_LEN, FileNumber, FileUse, Footer, Mistake, Range, Run, RunFile, SegmentNumber,
    Storage, carry_out, outcome,
};

impl Storage {
    /// Takes a file that bytes were moved to after the checkpoint.
    pub(super) fn take_moved(&mut self, moved: &MovedFile) {
        let MovedFile { file, salt, len, bytes, run_salt, run_len } = *moved;
        let (run, at) = (RunFile::of(file), run_len - FOOTER_LEN as u64);
        let footer = self.log.disk.read(&run.name(), at, FOOTER_LEN as u64);
        let footer = Footer::decode(&footer, run_salt, at).expect("a whole run");
        self.index.add_file(file, salt);
        self.index.add_run(run, Run { salt: run_salt, footer });
        self.run_lens.insert(run, run_len);
        self.space.set_file(file, FileUse { len, bytes, live: bytes });
    }

    /// The parts of a range of a segment that can be read.
    fn live(&self, segment: SegmentNumber, range: &Range<u64>) -> Vec<Range<u64>> {
        let Some(found) = self.state.get(&segment.0) else { return Vec::new() };
        let part = range.start.max(found.start)..range.end.min(found.end);
        if part.is_empty() { Vec::new() } else { vec![part] }
    }

    /// Begins a compaction, or goes on with one.
    pub(super) fn compact(&mut self) {
        let Some(mut compaction) = self.compaction.take() else {
            if self.moving.is_none() {
                self.begin_compaction();
            }
            return;
        };
        match compaction.poll() {
            CompactionStep::Read { file, range } => {
                let exists = match file {
                    ReadFile::Log(file) => self.index.salt(file).is_some(),
                    ReadFile::Run(run) => self.index.runs().any(|(other, _)| other == run),
                };
                match exists {
                    true => compaction.handle_read(self.read(&file.name(), range)).unwrap(),
                    false => compaction.handle_gone(),
                }
            }
            CompactionStep::Judge(ranges) => {
                let live = ranges.iter().map(|(segment, range)| self.live(*segment, range));
                compaction.handle_live(live.collect());
            }
            CompactionStep::Effect(effect) => {
                let done = carry_out(&mut self.log.disk, effect);
                compaction.handle(outcome(done)).ok();
            }
            CompactionStep::Done(moved) => {
                if self.submit_moved(&moved) {
                    self.moving = Some((*moved, self.changes.len() as u64, compaction.leftovers()));
                } else {
                    self.remove_leftovers(&compaction.leftovers());
                }
                return;
            }
            CompactionStep::GivenUp => {
                self.remove_leftovers(&compaction.leftovers());
                return;
            }
            CompactionStep::Wait => panic!("every step is carried out at once"),
        }
        self.compaction = Some(compaction);
    }

    fn begin_compaction(&mut self) {
        let is_dropped = |file: &FileNumber| self.dropped.iter().any(|(other, _)| other == file);
        let mut victims = self.space.victims(self.replayed_from, 6000);
        victims.retain(|file| !is_dropped(file));
        if !victims.is_empty() {
            let random = (self.log.random.u64(..), self.log.random.u64(..));
            self.next_moved += 1;
            let output = FileNumber::moved(self.next_moved);
            self.compaction = Compaction::new(FOLDER, output, &victims, &self.index, random);
        }
    }

    /// Submits what a compaction did, with a change.
    fn submit_moved(&mut self, moved: &Moved) -> bool {
        let before = self.changes.len();
        if self.mistake == Some(Mistake::ReplacesUnrecorded) {
            self.adopt(moved);
            return false;
        }
        self.submit_with(moved.records());
        self.changes.len() > before
    }

    /// Uses a file that bytes were moved to, and removes those that they are from.
    fn adopt(&mut self, moved: &Moved) {
        if let Some((file, _)) = &moved.output {
            self.take_moved(file);
            self.moves += 1;
        }
        moved.victims.iter().for_each(|file| self.remove_file(*file));
    }

    /// Continues a compaction whose batch is durable, or was refused.
    pub(super) fn check_moved(&mut self, durable: u64, is_refused: bool) {
        if is_refused && let Some(compaction) = &mut self.compaction {
            compaction.abort();
        }
        match self.moving.take() {
            Some((moved, number, _)) if number <= durable => self.adopt(&moved),
            Some((_, _, leftovers)) if is_refused => self.remove_leftovers(&leftovers),
            other => self.moving = other,
        }
    }

    fn remove_leftovers(&mut self, names: &[String]) {
        for name in names {
            if self.log.disk.list().contains_key(name) && !self.is_used(name) {
                self.log.disk.remove(name).ok();
            }
        }
    }

    fn is_used(&self, name: &str) -> bool {
        let is_file = FileNumber::of_name(name).is_some_and(|it| self.index.salt(it).is_some());
        is_file || self.index.runs().any(|(run, _)| run.name() == name)
    }
}

#[test]
fn a_compaction_is_given_up_after_a_refusal_as_what_it_judged_may_be_back() {
    let Ok(mut storage) = Storage::open(Disk::default(), &[], 0, 5, None) else {
        panic!("an empty storage");
    };
    while storage.compaction.is_none() {
        storage.run(5);
    }
    storage.log.disk =
        std::mem::take(&mut storage.log.disk).failing_at(1, Fault::NoSpace(1, Part::Nothing));
    let refusals = storage.log.refusals;
    while storage.log.refusals == refusals {
        storage.submit();
        storage.step();
    }
    let mut compaction = storage.compaction.take().expect("a compaction");
    assert_eq!(compaction.poll(), CompactionStep::GivenUp);
    storage.remove_leftovers(&compaction.leftovers());
    let listing = storage.log.disk.list();
    assert!(compaction.leftovers().iter().all(|name| !listing.contains_key(name)));
    storage.run(50);
    storage.read_back();
}
