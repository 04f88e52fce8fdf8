//! Crashes at every call of the disk, with every way of losing what was not synced.

use super::{
    Log, OpenFailure, batches_in,
    disk::{Disk, Failed, Fault, LOSSES, Loss, Part},
    read_all,
};

/// The batches of a run before a crash.
const BATCHES: usize = 40;
const SEEDS: u64 = 4;

/// The result of a run until a crash.
struct Run {
    disk: Disk,
    acknowledged: usize,
    /// The batches that were submitted.
    history: Vec<u64>,
}

/// Opens a log and writes until the disk fails.
fn run(disk: Disk, seed: u64) -> Run {
    match Log::open(disk, seed) {
        Err((OpenFailure::Disk(Failed::Other), disk)) => {
            Run { disk, acknowledged: 0, history: vec![] }
        }
        Err((failure, _)) => panic!("{failure:?}"),
        Ok(mut log) => {
            let acknowledged = log.run(BATCHES);
            if log.writer.failure().is_none() && !log.disk.is_down() {
                log.close();
            }
            Run { disk: log.disk, acknowledged, history: log.history }
        }
    }
}

impl Run {
    /// Checks that the disk after a crash holds every acknowledged batch, and what was submitted
    /// only; and that it goes on. Returns the number of batches on it.
    fn check(&self, after: Disk, seed: u64) -> usize {
        let mut log = match Log::open(after, seed + 1) {
            Ok(log) => log,
            Err((failure, disk)) => panic!("{failure:?} in {:?}", disk.list()),
        };
        let recovered = log.history.len();
        assert!(recovered >= self.acknowledged, "{recovered} of {}", self.acknowledged);
        assert!(self.history.starts_with(&log.history), "only what was submitted is there");
        assert_eq!(log.run(5), recovered + 5);
        // What was recovered, and what was acknowledged after it, survives the next crash too.
        let mut random = fastrand::Rng::with_seed(seed);
        for loss in LOSSES {
            let (records, _) = read_all(&log.disk.after(loss, &mut random)).unwrap();
            assert_eq!(batches_in(&records), log.history, "{loss:?}");
        }
        recovered
    }
}

fn calls(seed: u64) -> usize {
    run(Disk::default(), seed).disk.calls()
}

#[test]
fn no_acknowledged_batch_is_lost_by_a_crash_at_any_call() {
    let (mut torn, mut recoveries) = (0, 0);
    for seed in 0..SEEDS {
        for call in 1..=calls(seed) {
            for part in [Part::Nothing, Part::Half, Part::Everything] {
                let disk = Disk::default().failing_at(call, Fault::Crash(part));
                let run = run(disk, seed);
                let disk = &run.disk;
                assert!(disk.is_down(), "call {call} does not happen");
                let mut random = fastrand::Rng::with_seed(seed * 1000 + call as u64);
                for loss in LOSSES {
                    let after = disk.after(loss, &mut random);
                    torn += usize::from(read_all(&after).is_ok_and(|(_, it)| !it.cuts.is_empty()));
                    run.check(after, seed);
                    recoveries += 1;
                }
            }
        }
    }
    assert!(torn > 100 && recoveries > 2000, "{torn} torn ends, {recoveries} recoveries");
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    for seed in 0..SEEDS {
        for call in 1..=calls(seed) {
            let disk = Disk::default().failing_at(call, Fault::Crash(Part::Half));
            let run = run(disk, seed);
            run.check(run.disk.after_kill(), seed);
        }
    }
}

#[test]
fn a_crash_while_a_log_is_recovered_changes_nothing_of_what_is_recovered() {
    let mut crashes = 0;
    for seed in 0..3 {
        for call in (1..=calls(seed)).step_by(3) {
            let disk = Disk::default().failing_at(call, Fault::Crash(Part::Half));
            let run = run(disk, seed);
            let mut random = fastrand::Rng::with_seed(call as u64);
            for loss in LOSSES {
                let after = run.disk.after(loss, &mut random);
                let expected = read_all(&after).map(|(records, _)| batches_in(&records).len());
                for again in 1.. {
                    let disk = after.clone().failing_at(again, Fault::Crash(Part::Half));
                    let Err((_, disk)) = Log::open(disk, seed) else { break };
                    crashes += 1;
                    for loss in LOSSES {
                        let recovered = run.check(disk.after(loss, &mut random), seed);
                        if let Ok(expected) = expected {
                            assert_eq!(recovered, expected, "{loss:?}");
                        }
                    }
                }
            }
        }
    }
    assert!(crashes > 500, "{crashes} crashes");
}

#[test]
fn a_folder_whose_creation_was_interrupted_is_created_again() {
    let mut interrupted = 0;
    for call in 1..20 {
        let disk = Disk::default().failing_at(call, Fault::Crash(Part::Half));
        let Err((_, disk)) = Log::open(disk, 7) else { break };
        for loss in [Loss::Everything, Loss::Nothing, Loss::Rest, Loss::Sectors] {
            let mut random = fastrand::Rng::with_seed(call as u64);
            let run = Run { disk: disk.clone(), acknowledged: 0, history: vec![] };
            run.check(disk.after(loss, &mut random), 7);
            interrupted += 1;
        }
    }
    assert!(interrupted >= 40, "{interrupted} creations");
}
