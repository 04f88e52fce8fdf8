//! Compaction of a storage: what is still read is moved, and its files are removed.

use super::{
    super::{
        super::{Compaction, CompactionStep, Moved, ReadFile},
        disk::{Disk, Fault, Part},
    },
    FOLDER, FileNumber, Mistake, Range, SegmentNumber, Sequence, Storage, carry_out, outcome,
};

impl Storage {
    /// The parts of a range of a segment that can be read.
    fn live(&self, segment: SegmentNumber, range: &Range<u64>) -> Vec<Range<u64>> {
        let Some(found) = self.state.get(&segment.0) else { return Vec::new() };
        let part = range.start.max(found.start)..range.end.min(found.end);
        if part.is_empty() { Vec::new() } else { vec![part] }
    }

    /// Begins a compaction, or goes on with one.
    pub(super) fn compact(&mut self) {
        let Some(mut compaction) = self.compaction.take() else {
            self.begin_compaction();
            return;
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
                let live = ranges.iter().map(|(segment, range)| self.live(*segment, range));
                compaction.handle_live(live.collect());
            }
            CompactionStep::Effect(effect) => {
                let done = carry_out(&mut self.log.disk, effect);
                compaction.handle(outcome(done)).ok();
            }
            CompactionStep::Done(moved) => {
                if !self.submit_moved(*moved, compaction.leftovers()) {
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
        let victims = self.keeper.victims(6000);
        if !victims.is_empty() {
            let random = (self.log.random.u64(..), self.log.random.u64(..));
            let (output, index) = (self.keeper.next_moved(), self.keeper.index());
            self.compaction = Compaction::new(FOLDER, output, &victims, index, random);
        }
    }

    /// Submits what a compaction did, with a change.
    fn submit_moved(&mut self, moved: Moved, leftovers: [String; 3]) -> bool {
        let before = self.changes.len();
        if self.mistake == Some(Mistake::ReplacesUnrecorded) {
            moved.victims.iter().for_each(|file| self.remove_file(*file));
            return false;
        }
        self.submit_with(moved.records());
        let number = self.changes.len();
        if number > before {
            self.keeper.move_files(moved, leftovers, Sequence(number as u64));
        }
        number > before
    }

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
