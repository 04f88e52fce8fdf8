//! Calls of the disk that fail, and disks without space.

use super::{
    Log, OpenFailure, batch, batches_in,
    disk::{Disk, Failed, Fault, LOSSES, Part},
    failed, read_all,
};
use crate::record::Sequence;

const BATCHES: usize = 40;
const PARTS: [Part; 3] = [Part::Nothing, Part::Half, Part::Everything];
const SEEDS: u64 = 12;

/// The calls of a run in which none fails: each of them happens too if it is the first that fails.
fn calls(seed: u64) -> usize {
    let mut log = Log::open(Disk::default(), seed).unwrap_or_else(failed);
    log.run(BATCHES);
    log.disk.calls()
}

#[test]
fn after_a_failed_call_nothing_is_acknowledged_that_is_not_durable() {
    let (mut unopened, mut failed, mut went_on, mut all) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        for call in 1..=calls(seed) {
            for part in PARTS {
                all += 1;
                let disk = Disk::default().failing_at(call, Fault::Error(part));
                let mut log = match Log::open(disk, seed) {
                    Ok(log) => log,
                    Err((OpenFailure::Disk(_), _)) => {
                        unopened += 1;
                        continue;
                    }
                    Err((failure, _)) => panic!("{failure:?}"),
                };
                let acknowledged = log.run(BATCHES);
                if log.writer.failure().is_some() {
                    failed += 1;
                    assert!(log.writer.submit(Sequence(1000), batch(1000, 1)).is_err());
                    assert_eq!(log.writer.poll(log.now), None, "nothing more is written");
                } else {
                    went_on += 1;
                    assert_eq!(acknowledged, BATCHES, "a mark or a new file can be late");
                }
                let mut random = fastrand::Rng::with_seed(call as u64);
                for loss in LOSSES {
                    let (records, _) = read_all(&log.disk.after(loss, &mut random)).unwrap();
                    let found = batches_in(&records);
                    assert!(found.len() >= acknowledged && log.history.starts_with(&found));
                }
            }
        }
    }
    println!("of {all} failures {unopened} ended a start, {failed} the log, {went_on} nothing");
    assert!(unopened > 200 && failed > 500 && went_on > 200, "{unopened}, {failed}, {went_on}");
}

#[test]
fn what_finds_no_space_is_refused_and_never_comes_back() {
    let (mut full, mut crashes) = (0, 0);
    for seed in 0..SEEDS {
        for call in 1..=calls(seed) {
            for part in PARTS {
                let times = 1 + (call % 5);
                let disk = Disk::default().failing_at(call, Fault::NoSpace(times, part));
                let mut log = match Log::open(disk, seed) {
                    Ok(log) => log,
                    Err((OpenFailure::Disk(Failed::NoSpace), _)) => continue,
                    Err((failure, _)) => panic!("{failure:?}"),
                };
                // Refused batches are submitted again, as other ones.
                let acknowledged = log.run(BATCHES);
                assert_eq!((acknowledged, log.writer.failure()), (log.history.len(), None));
                full += log.full;
                let mut random = fastrand::Rng::with_seed(call as u64);
                for loss in LOSSES {
                    let (records, _) = read_all(&log.disk.after(loss, &mut random)).unwrap();
                    assert_eq!(batches_in(&records), log.history);
                    crashes += 1;
                }
            }
        }
    }
    println!("{full} times full, {crashes} crashes");
    assert!(full > 1000 && crashes > 4000, "{full} times full, {crashes} crashes");
}

#[test]
fn a_full_disk_refuses_everything_until_there_is_space() {
    let mut full = 0;
    for call in 20..=calls(1) {
        let disk = Disk::default().failing_at(call, Fault::NoSpace(usize::MAX, Part::Half));
        let mut log = Log::open(disk, 1).unwrap_or_else(failed);
        let acknowledged = log.run(BATCHES);
        assert_eq!(log.writer.failure(), None);
        full += usize::from(acknowledged < BATCHES);
        log.disk = log.disk.after_kill();
        let more = log.run(10);
        assert!(more >= acknowledged + 10 && more == log.history.len());
        let (records, _) = read_all(&log.disk).unwrap();
        assert_eq!(batches_in(&records), log.history);
    }
    assert!(full > 20, "{full} full disks");
}

#[test]
fn a_frame_whose_sync_failed_is_durable_after_the_next_start_or_is_not_there() {
    let (mut kept, mut crashes) = (0, 0);
    for call in 1..=calls(2) {
        let disk = Disk::default().failing_at(call, Fault::Error(Part::Nothing));
        let Ok(mut log) = Log::open(disk, 2) else { continue };
        let acknowledged = log.run(BATCHES);
        if log.writer.failure().is_none() {
            continue;
        }
        // The process ends, the system goes on: what it has in memory is read again.
        let again = Log::open(log.disk.after_kill(), 3).unwrap_or_else(failed);
        kept += usize::from(again.history.len() > acknowledged);
        let mut random = fastrand::Rng::with_seed(call as u64);
        for loss in LOSSES {
            let (records, _) = read_all(&again.disk.after(loss, &mut random)).unwrap();
            assert_eq!(batches_in(&records), again.history, "call {call}, {loss:?}");
            crashes += 1;
        }
    }
    assert!(kept > 5 && crashes > 50, "{kept} kept, {crashes} crashes");
}

#[test]
fn a_full_disk_is_noticed_by_the_zeros_before_a_commit_meets_it() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    log.run(3);
    while log.extending.is_none() {
        log.extend();
        log.run(1);
    }
    assert!(log.writer.has_room(u64::from(u32::MAX)), "nothing is known of the disk");
    log.disk = log.disk.failing_at(1, Fault::NoSpace(usize::MAX, Part::Nothing));
    log.extend();
    assert!(!log.writer.has_room(u64::from(u32::MAX)), "there is no space for more than the zeros");
    log.disk = log.disk.after_kill();
    log.now += std::time::Duration::from_secs(1);
    (0..2).for_each(|_| log.extend());
    assert!(log.writer.has_room(u64::from(u32::MAX)), "there is space again");
}
