//! Calls of the disk that fail, and disks without space.

use super::{
    Log, OpenFailure, batch, batches_in,
    disk::{Disk, Fault, LOSSES, Part},
    failed, read_all,
};
use crate::record::Sequence;

const BATCHES: usize = 40;
const PARTS: [Part; 3] = [Part::Nothing, Part::Half, Part::Everything];

#[test]
fn after_a_failed_call_nothing_is_acknowledged_that_is_not_durable() {
    let (mut failed, mut went_on) = (0, 0);
    for seed in 0..4 {
        for call in (1..200).step_by(2) {
            for part in PARTS {
                let disk = Disk::default().failing_at(call, Fault::Error(part));
                let mut log = match Log::open(disk, seed) {
                    Ok(log) => log,
                    Err((OpenFailure::Disk(_), _)) => continue,
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
    assert!(failed > 100 && went_on > 50, "{failed} failed, {went_on} went on");
}

#[test]
fn what_finds_no_space_is_refused_and_never_comes_back() {
    let (mut full, mut crashes) = (0, 0);
    for seed in 0..4 {
        for call in (20..150).step_by(3) {
            for part in PARTS {
                let times = 1 + (call % 5);
                let disk = Disk::default().failing_at(call, Fault::NoSpace(times, part));
                let mut log = Log::open(disk, seed).unwrap_or_else(failed);
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
    assert!(full > 150 && crashes > 1000, "{full} times full, {crashes} crashes");
}

#[test]
fn a_full_disk_refuses_everything_until_there_is_space() {
    let mut full = 0;
    for call in 20..60 {
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
    for call in 10..120 {
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
