//! Compaction of a storage: what is still read is moved, and its files are removed.

use super::{
    super::{
        super::CompactionStep,
        disk::{Disk, Fault, Part},
    },
    Sequence, Storage, live,
};

impl Storage {
    /// Begins a compaction, or goes on with one; at its end a change has what it did.
    pub(super) fn compact(&mut self) {
        let state = &self.state;
        let done = self.kept.compact(&|segment, range| live(state, segment, &range));
        let Some((moved, leftovers)) = done else { return };
        let before = self.changes.len();
        self.submit_with(moved.records());
        let number = self.changes.len();
        if number > before {
            self.kept.keeper.move_files(moved, leftovers, Sequence(number as u64));
        } else {
            self.kept.remove_leftovers(&leftovers);
        }
    }
}

#[test]
fn a_compaction_is_given_up_after_a_refusal_as_what_it_judged_may_be_back() {
    let Ok(mut storage) = Storage::open(Disk::default(), &[], 0, 5, None) else {
        panic!("an empty storage");
    };
    while storage.kept.compaction.is_none() {
        storage.run(5);
    }
    // Also for zeros and the next file, so that a commit is among those that fail.
    let fault = Fault::NoSpace(usize::MAX, Part::Nothing);
    let from_call = |storage: &mut Storage, call| {
        let disk = std::mem::take(&mut storage.kept.log.disk);
        storage.kept.log.disk = disk.failing_at(call, fault);
    };
    from_call(&mut storage, 1);
    let refusals = storage.kept.log.refusals;
    while storage.kept.log.refusals == refusals {
        storage.submit();
        storage.step();
        storage.kept.log.prepare();
        storage.kept.log.extend();
    }
    from_call(&mut storage, usize::MAX);
    let mut compaction = storage.kept.compaction.take().expect("a compaction");
    assert_eq!(compaction.poll(), CompactionStep::GivenUp);
    storage.kept.remove_leftovers(&compaction.leftovers());
    let listing = storage.kept.log.disk.list();
    assert!(compaction.leftovers().iter().all(|name| !listing.contains_key(name)));
    storage.run(50);
    while storage.kept.log.writer.queued() > 0 {
        storage.step();
        storage.kept.log.prepare();
        storage.kept.log.extend();
    }
    storage.read_back();
}
