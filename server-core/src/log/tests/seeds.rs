//! Seeds: lives of a log with any faults in any order, and the broken variants that they catch.

use std::panic::catch_unwind;

use super::{
    super::seeded_bugs::{Bug, with},
    FileHead, FileNumber, FolderId, Log, MARK_NAME, Mark, OpenFailure, batches_in,
    disk::{Disk, Fault, LOSSES, Part},
    failed, read_all, read_frames,
};

/// The lives of one log: each ends with a crash, a kill, a failure or a shutdown, and the next one
/// has all that was acknowledged. At the end one of the files is replaced or damaged.
fn lives(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut disk, mut acknowledged, mut history) = (Disk::default(), 0, Vec::new());
    for _ in 0..random.usize(1..6) {
        let part = [Part::Nothing, Part::Half, Part::Everything][random.usize(..3)];
        let fault = match random.u8(..4) {
            0 | 1 => Fault::Crash(part),
            2 => Fault::Error(part),
            _ => Fault::NoSpace(random.usize(1..12), part),
        };
        let call = random.usize(1..120);
        match Log::open(disk.failing_at(call, fault), random.u64(..)) {
            Err((OpenFailure::Disk(_), left)) => disk = left,
            Err((failure, _)) => panic!("{failure:?}"),
            Ok(mut log) => {
                assert!(log.history.len() >= acknowledged, "an acknowledged batch is lost");
                assert!(history.starts_with(&log.history), "another batch is recovered");
                let batches = random.usize(1..40);
                acknowledged = log.run(batches);
                let is_up = log.writer.failure().is_none() && !log.disk.is_down();
                if is_up && random.u8(..4) == 0 {
                    log.close();
                }
                (disk, history) = (log.disk, log.history);
            }
        }
        disk = disk.after_end(&mut random);
    }
    let mut log = Log::open(disk, random.u64(..)).unwrap_or_else(failed);
    assert!(log.history.len() >= acknowledged && history.starts_with(&log.history));
    log.run(30);
    match log.writer.failure() {
        None if random.bool() => damage(&log.disk, &log.history, &mut random),
        _ => {
            log.close();
            misplace(&log.disk, &log.history, &mut random);
        }
    }
}

/// Damages one file of a log that was killed: that is named, or costs at most the last frame, or
/// what a cut takes after the mark.
fn damage(disk: &Disk, history: &[u64], random: &mut fastrand::Rng) {
    let mut files = disk.contents();
    let logs: Vec<String> = files.keys().filter(|name| name.starts_with("log-")).cloned().collect();
    let content = files.get_mut(&logs[random.usize(..logs.len())]).unwrap();
    let (frames, _) = read_frames(disk).unwrap();
    let kept = if random.bool() {
        flip(content, random);
        frames.iter().rev().nth(1).map_or(0, |frame| frame.sequence.0)
    } else {
        content.truncate(random.usize(..content.len()));
        Mark::read(&disk.read(MARK_NAME, 0, 1000)).unwrap().0.sequence.0
    };
    match read_all(&Disk::with_contents(&files)) {
        Err(OpenFailure::Problem(_)) => {}
        Err(other) => panic!("{other:?}"),
        Ok((records, _)) => {
            let found = batches_in(&records);
            assert!(found.len() as u64 >= kept && history.starts_with(&found));
        }
    }
}

fn flip(content: &mut [u8], random: &mut fastrand::Rng) {
    let byte = random.usize(..content.len());
    content[byte] ^= 1 << random.u8(..8);
}

/// Damages or replaces one file of a closed log: it is refused, or nothing is missing.
fn misplace(disk: &Disk, history: &[u64], random: &mut fastrand::Rng) {
    let mut files = disk.contents();
    let logs: Vec<String> = files.keys().filter(|name| name.starts_with("log-")).cloned().collect();
    let name = logs[random.usize(..logs.len())].clone();
    let content = files.get_mut(&name).unwrap();
    match random.u8(..7) {
        0 => flip(content, random),
        1 => content.truncate(random.usize(..content.len())),
        2 => drop(files.remove(&name)),
        3 => {
            let copy = files[&name].clone();
            let other = FileNumber(random.u64(1..logs.len() as u64 + 3)).name();
            files.insert(other, copy);
        }
        4 => {
            let (frames, _) = read_frames(disk).unwrap();
            let cut = frames[random.usize(..frames.len())].place;
            files.get_mut(&cut.file.name()).unwrap().truncate(cut.at as usize);
        }
        5 => {
            let number = FileNumber::of_name(&name).unwrap();
            let Ok(mut head) = FileHead::decode(content) else { return };
            assert_eq!(head.number, number);
            head.folder = FolderId(1);
            content[..64].copy_from_slice(&head.encode());
            let problem = read_all(&Disk::with_contents(&files)).map(drop).unwrap_err();
            assert!(matches!(problem, OpenFailure::Problem(_)));
            return;
        }
        _ => {
            let from = random.usize(..content.len());
            let to = random.usize(from..content.len());
            content[from..to].fill(0);
        }
    }
    match read_all(&Disk::with_contents(&files)) {
        Err(OpenFailure::Problem(_)) => {}
        Err(other) => panic!("{other:?}"),
        Ok((records, _)) => assert_eq!(batches_in(&records), history, "a loss is not named"),
    }
}

#[test]
fn a_log_keeps_what_it_acknowledged_in_every_life() {
    (0..1500).for_each(lives);
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| {
        let mut log =
            Log::open(Disk::default().failing_at(90, Fault::Crash(Part::Half)), seed).ok().unwrap();
        log.run(60);
        log.disk.after(LOSSES[3], &mut fastrand::Rng::with_seed(seed)).contents()
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
}

#[test]
fn every_seeded_bug_is_caught() {
    let bugs = [
        Bug::SkipsSync,
        Bug::KeepsRefused,
        Bug::CutsUnsynced,
        Bug::UsesUnprepared,
        Bug::IgnoresBegun,
        Bug::IgnoresMark,
        Bug::IgnoresLaterFrames,
        Bug::IgnoresFolder,
        Bug::RefusesZeros,
        Bug::TrustsCache,
    ];
    for bug in bugs {
        let is_caught = |seed: &u64| catch_unwind(|| with(bug, || lives(*seed))).is_err();
        let caught = (0..2000).find(is_caught);
        println!("{bug:?} is caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} is not caught");
    }
}
