//! Damaged files, and files that are not those of the folder: each is named, and nothing is
//! changed or served.

use std::collections::BTreeMap;

use super::{
    FileHead, FileNumber, FolderId, Log, LogRecord, Mark, OpenFailure, Problem, What, Zeros,
    batches_in, disk::Disk, failed, read_all, read_frames,
};

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a log with some batches, which was closed or killed.
fn written(batches: usize, seed: u64, is_closed: bool) -> Files {
    let mut log = Log::open(Disk::default(), seed).unwrap_or_else(failed);
    log.zeros = Zeros::None;
    assert_eq!(log.run(batches), batches);
    if is_closed {
        log.close();
    }
    log.disk.contents()
}

fn read(files: &Files) -> Result<Vec<LogRecord>, Problem> {
    match read_all(&Disk::with_contents(files)) {
        Ok((records, _)) => Ok(records),
        Err(OpenFailure::Problem(problem)) => Err(problem),
        Err(other) => panic!("{other:?}"),
    }
}

/// Checks that a log is refused with a file and a problem, and that opening it changes nothing.
#[track_caller]
fn refused(files: &Files, name: &str, what: What) {
    let problem = read(files).map(|records| batches_in(&records)).unwrap_err();
    assert_eq!((&*problem.file, problem.what), (name, what), "{problem}");
    let Err((failure, disk)) = Log::open(Disk::with_contents(files), 1) else {
        panic!("{problem} is not refused");
    };
    assert_eq!(failure, OpenFailure::Problem(problem));
    assert_eq!((disk.calls(), &disk.contents()), (0, files));
}

/// Every file with each of its bits flipped, and with each of its ends cut off.
fn damaged(files: &Files) -> impl Iterator<Item = (String, String, Files)> + '_ {
    files.iter().flat_map(move |(name, content)| {
        let with = move |content: Vec<u8>| {
            let mut files = files.clone();
            files.insert(name.clone(), content);
            files
        };
        let flips = (0..content.len() * 8).map(move |bit| {
            let mut content = content.clone();
            content[bit / 8] ^= 1 << (bit % 8);
            (name.clone(), format!("bit {bit} of {name}"), with(content))
        });
        let cuts = (0..content.len()).map(move |len| {
            (name.clone(), format!("{name} cut to {len}"), with(content[..len].to_vec()))
        });
        flips.chain(cuts)
    })
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_closed_log_is_named_or_harmless() {
    let files = written(16, 3, true);
    let whole = read(&files).unwrap();
    assert!(files.len() > 3, "{:?}", files.keys());
    let (mut named, mut harmless) = (0, 0);
    for (name, what, files) in damaged(&files) {
        match read(&files) {
            Err(problem) => {
                assert_eq!(problem.file, name, "{what}: {problem}");
                named += 1;
            }
            Ok(records) => {
                assert_eq!(records, whole, "{what}");
                // A mark has two slots, and a file may have been created ahead of time.
                let is_next = files.keys().rfind(|name| name.starts_with("log-"));
                assert!(name == "synced" || Some(&name) == is_next, "{what}");
                harmless += 1;
            }
        }
    }
    assert!(named > 30_000 && harmless > 500, "{named} named, {harmless} harmless");
}

#[test]
fn damage_after_a_kill_costs_at_most_the_frames_after_the_mark() {
    let files = written(12, 5, false);
    let whole = read(&files).unwrap();
    let (mark, _) = Mark::read(&files["synced"]).unwrap();
    let mut lost = 0;
    for (name, what, files) in damaged(&files) {
        match read(&files) {
            Err(problem) => assert_eq!(problem.file, name, "{what}: {problem}"),
            Ok(records) if records == whole => {}
            Ok(records) => {
                assert!(batches_in(&records).len() as u64 >= mark.sequence.0, "{what}");
                lost += 1;
            }
        }
    }
    assert!(lost > 0, "the mark is the end");
}

#[test]
fn the_files_of_another_folder_are_refused_by_name() {
    let ours = written(60, 1, true);
    let mut theirs = ours.clone();
    let other = FolderId(99);
    for (name, content) in &mut theirs {
        if name.starts_with("log-") {
            let mut head = FileHead::decode(content).unwrap();
            head.folder = other;
            content[..64].copy_from_slice(&head.encode());
        }
    }
    let (mark, slot) = Mark::read(&ours["synced"]).unwrap();
    let at = slot.at() as usize;
    let foreign = Mark { folder: other, ..mark }.encode();
    theirs.get_mut("synced").unwrap()[at..at + 64].copy_from_slice(&foreign);
    for name in ours.keys().filter(|name| *name != "folder") {
        let mut files = ours.clone();
        files.insert(name.clone(), theirs[name].clone());
        refused(&files, name, What::OtherFolder(other));
    }
}

#[test]
fn a_copy_under_another_number_is_refused_by_name() {
    let files = written(60, 1, true);
    let logs: Vec<String> = files.keys().filter(|name| name.starts_with("log-")).cloned().collect();
    assert!(logs.len() > 3, "{logs:?}");
    let next = FileNumber(logs.len() as u64 + 1);
    for copied in logs.iter().filter(|name| files[*name].len() > 64) {
        let number = FileNumber::of_name(copied).unwrap();
        let with = |name: FileNumber| {
            let mut files = files.clone();
            files.insert(name.name(), files[copied].clone());
            files
        };
        for other in logs.iter().filter(|other| *other != copied) {
            let other = FileNumber::of_name(other).unwrap();
            refused(&with(other), &other.name(), What::OtherNumber(number));
        }
        // The last file was created ahead of time, so no file may follow it.
        for far in [next, FileNumber(99)] {
            let what = match files[logs.last().unwrap()].len() {
                64 => What::NotNext,
                _ if far == next => What::OtherNumber(number),
                _ => What::NotNext,
            };
            refused(&with(far), &far.name(), what);
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let files = written(60, 1, true);
    let begun = |name: &String| name.starts_with("log-") && files[name].len() > 64;
    for name in files.keys().filter(|name| !name.starts_with("log-") || begun(name)) {
        let mut files = files.clone();
        files.remove(name);
        refused(&files, name, What::Missing);
    }
}

#[test]
fn an_older_copy_of_a_file_is_refused() {
    let files = written(60, 1, true);
    for (name, content) in files.iter().filter(|(name, _)| name.starts_with("log-")) {
        let mut log = Log::open(Disk::with_contents(&files), 2).unwrap_or_else(failed);
        log.run(30);
        log.close();
        let mut newer = log.disk.contents();
        if newer[name] == *content {
            continue;
        }
        newer.insert(name.clone(), content.clone());
        let problem = read(&newer).unwrap_err();
        assert!(problem.file >= *name, "{name}: {problem}");
    }
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let files: Files = [("thesis.tex".to_owned(), b"text".to_vec())].into();
    let Err((failure, disk)) = Log::open(Disk::with_contents(&files), 1) else {
        panic!("the folder is used");
    };
    assert_eq!(failure, OpenFailure::OtherFiles("thesis.tex".to_owned()));
    assert_eq!((disk.calls(), disk.contents()), (0, files));
}

#[test]
fn a_torn_frame_in_the_next_file_shows_that_the_one_before_was_synced() {
    let files = written(60, 1, true);
    let (frames, found) = read_frames(&Disk::with_contents(&files)).unwrap();
    let current = found.current.unwrap().number;
    let before = FileNumber(current.0 - 1);
    let last = frames.iter().rposition(|frame| frame.place.file == before).unwrap();
    let (sequence, last) = (frames[last - 1].sequence, frames[last].place);
    // The first frame of the current file is torn, as if it were just written; then the mark is
    // before it, and the last frame of the file before is damaged.
    let mut files = files;
    let id = FileHead::decode(&files[&current.name()]).unwrap().folder;
    files.get_mut(&current.name()).unwrap().truncate(70);
    files.retain(|name, _| FileNumber::of_name(name).is_none_or(|number| number <= current));
    let mut mark = Mark { folder: id, end: last, sequence }.encode();
    mark.resize(576, 0);
    files.insert("synced".to_owned(), mark);
    // Here it is torn only, and all before it is read.
    let (_, found) = read_all(&Disk::with_contents(&files)).unwrap();
    assert_eq!(found.current.unwrap().number, before);
    assert_eq!(found.cuts.len(), 1);
    let damaged = files.get_mut(&before.name()).unwrap();
    damaged[last.at as usize + 30] ^= 1;
    refused(&files, &before.name(), What::DamagedBeforeNext);
}

#[test]
fn zeros_after_the_last_frame_are_the_end_and_zeros_before_another_are_damage() {
    let files = written(60, 1, true);
    let whole = read(&files).unwrap();
    let (frames, _) = read_frames(&Disk::with_contents(&files)).unwrap();
    for name in files.keys().filter(|name| name.starts_with("log-")) {
        let mut files = files.clone();
        files.get_mut(name).unwrap().extend([0; 5000]);
        let (records, found) = read_all(&Disk::with_contents(&files)).unwrap();
        assert_eq!((records, found.cuts), (whole.clone(), vec![]), "{name}");
    }
    let two = frames.windows(2).rfind(|two| two[0].place.file == two[1].place.file).unwrap();
    let (current, first) = (two[0].place.file, two[0].place);
    let mut files = files;
    let content = files.get_mut(&current.name()).unwrap();
    content[first.at as usize..first.at as usize + 24].fill(0);
    refused(&files, &current.name(), What::Damaged);
}
