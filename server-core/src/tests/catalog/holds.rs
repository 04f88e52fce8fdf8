//! How long each call has the machine to itself: counted in steps, with large streams.

use super::largest::{Call, calls, prepared};
use crate::{machine::Machine, store::Progress, tests::at};

/// The segments of a stream.
const LARGE: usize = 2_000;
/// A call that reads the segments of a stream looks at each at most this often.
const LOOKS: usize = 3;
/// A call or a slice changes at most so many segments.
const CHANGES: usize = 1_200;
/// A call or a slice makes at most so many records.
const RECORDS: usize = 2_500;

/// Does some work, and checks that it is short.
fn short<T>(what: &str, machine: &mut Machine, work: impl FnOnce(&mut Machine) -> T) -> T {
    machine.store.looks.set(0);
    let before = machine.store.applied;
    let done = work(machine);
    let (looks, changes) = (machine.store.looks.get(), machine.store.applied - before);
    let records = machine.journal.take().map_or(0, |(_, records)| records.len());
    assert!(looks <= LOOKS * LARGE, "{what} looks at {looks} segments");
    assert!(changes <= CHANGES, "{what} changes {changes} segments");
    assert!(records <= RECORDS, "{what} makes {records} records");
    done
}

fn hold(name: &str, call: &Call, machine: &mut Machine) {
    let mut progress = short(name, machine, |machine| {
        let (catalog, mut step) = machine.call(at(9));
        call(catalog, &mut step);
        step.progress
    });
    let is_told = progress == Progress::Unfinished;
    for slice in 0.. {
        progress =
            short(&format!("{name}, slice {slice},"), machine, |machine| machine.work(at(9)));
        if progress == Progress::Finished {
            break;
        }
        assert!(is_told, "{name} has work left and does not tell");
    }
}

#[test]
fn no_call_and_no_slice_of_its_work_has_the_machine_for_long() {
    for (name, call) in calls(LARGE) {
        let mut machine = prepared(LARGE);
        machine.journal.take();
        hold(name, &call, &mut machine);
    }
}
