//! Files that other programs change, and those of this process that several threads use.

use std::{fs, path::Path, thread};

use pravega_sdk_server_core::log::Seen;

use super::*;
use crate::folder::LockedFolder;

#[test]
fn the_file_of_commits_stays_open_while_the_next_one_gets_zeros_and_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let claimed = LockedFolder::open(folder.path()).unwrap().claim().unwrap();
    let files = Files { most: 3, ..Files::new(claimed) };
    let name = |number: usize| format!("log-{number:08}");
    let open_others = |number: usize| {
        for other in ["a", "b", "c", "d"] {
            files.create(&format!("moved-{number}{other}"), b"x").unwrap();
        }
    };
    files.create(&name(1), b"head").unwrap();
    for current in 1..6 {
        let next = current + 1;
        let are_open = |what: &str| {
            let open = files.opened();
            for written in [name(current), name(next)] {
                let open = open.files.keys();
                assert!(open.clone().any(|it| *it == written), "{written} {what}: {open:?}");
            }
        };
        files.write_at(&name(current), 4, b"frame").unwrap();
        files.create(&name(next), b"head").unwrap();
        open_others(current);
        are_open("after it was created");
        for round in 0..4 {
            files.write_at(&name(current), 10 * round, b"frame").unwrap();
            files.write_at(&name(next), 4 + round, &[0]).unwrap();
            open_others(current);
            are_open("after zeros");
        }
    }
    assert!(files.opened().files.len() <= 3);
}

/// What is lost, in the words of the log: one file at most.
fn lost(files: &Files) -> Option<String> {
    let Losses { files, unseen } = files.lost();
    assert!(files.len() <= 1 && unseen.is_empty(), "{files:?} {unseen:?}");
    files.first().map(ToString::to_string)
}

#[test]
fn a_file_that_another_program_removes_or_replaces_is_lost_and_is_not_removed() {
    for is_open in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        drop(in_folder(folder.path(), 9).create("log-00000001", b"one"));
        let files = in_folder(folder.path(), 9);
        files.create("log-00000002", b"two").unwrap();
        if is_open {
            files.read_at("log-00000001", 0, 3).unwrap();
        }
        assert_eq!(lost(&files), None, "{is_open}");
        // What this process does is no loss.
        files.write_at("log-00000002", 3, b"more").unwrap();
        files.create("checkpoint-00000001-00000001.new", b"new").unwrap();
        files.rename("checkpoint-00000001-00000001.new", "index-00000001-00000001").unwrap();
        files.remove("index-00000001-00000001").unwrap();
        assert_eq!(lost(&files), None, "{is_open}");
        fs::rename(path("log-00000001"), path("elsewhere")).unwrap();
        let told = Some("log-00000001 was removed by another program".to_owned());
        assert_eq!(lost(&files), told, "{is_open}");
        assert_eq!(files.read_at("log-00000001", 0, 3).is_ok(), is_open);
        let is_listed = files.list().unwrap().iter().any(|(name, ..)| name == "log-00000001");
        assert_eq!(is_listed, is_open, "what can be read is listed");
        fs::write(path("log-00000001"), b"another").unwrap();
        let another = File::options().write(true).open(path("log-00000001")).unwrap();
        another.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let told = Some("log-00000001 was replaced by another program".to_owned());
        assert_eq!(lost(&files), told, "{is_open}");
        // It stays so after the other one was opened.
        files.read_at("log-00000001", 0, 3).unwrap();
        assert_eq!(lost(&files), told, "{is_open}");
        files.remove("log-00000001").unwrap_err();
        assert_eq!(fs::read(path("log-00000001")).unwrap(), b"another");
        // It is back.
        fs::rename(path("elsewhere"), path("log-00000001")).unwrap();
        assert_eq!(lost(&files), None, "{is_open}");
        files.remove("log-00000001").unwrap();
        assert_eq!(lost(&files), None, "{is_open}");
        // A copy with the time of the file is another one as long as the file is open.
        let modified = fs::metadata(path("log-00000002")).unwrap().modified().unwrap();
        fs::remove_file(path("log-00000002")).unwrap();
        fs::write(path("log-00000002"), b"twomore").unwrap();
        let copy = File::options().write(true).open(path("log-00000002")).unwrap();
        copy.set_modified(modified).unwrap();
        let told = Some("log-00000002 was replaced by another program".to_owned());
        assert_eq!(lost(&files), told, "{is_open}");
        fs::remove_file(path(LOCK)).unwrap();
        let told = files.lost().files.iter().map(ToString::to_string).collect::<Vec<_>>();
        let both = ["lock was removed", "log-00000002 was replaced"];
        assert_eq!(told, both.map(|it| format!("{it} by another program")), "{is_open}");
    }
}

#[test]
fn a_copy_of_the_lock_is_another_file_also_if_nothing_tells_it_from_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LOCK);
    let files = in_folder(folder.path(), 9);
    let (bytes, modified) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap());
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let copy = File::options().write(true).open(&path).unwrap();
    copy.set_modified(modified.modified().unwrap()).unwrap();
    assert_eq!(lost(&files), Some("lock was replaced by another program".to_owned()));
}

#[test]
fn a_file_that_another_program_cuts_is_lost_and_is_not_written_to() {
    let log = "log-00000001";
    for (most, cut_to) in [(9, 0), (9, 7), (0, 0), (0, 7)] {
        let folder = tempfile::tempdir().unwrap();
        let cut = |name: &str, len| {
            let file = File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_len(len).unwrap();
        };
        let files = in_folder(folder.path(), most);
        files.create("folder", b"identity").unwrap();
        files.create(log, b"head").unwrap();
        files.write_at(log, 4, b"frames").unwrap();
        files.write_at(log, 2, b"ad").unwrap();
        assert_eq!(lost(&files), None);
        files.cut(log, 8).unwrap();
        assert_eq!(lost(&files), None, "the log was cut by this process");
        cut(log, cut_to);
        let had = format!("it has {cut_to} bytes, and had at least 8");
        let told = format!("{log} was cut short by another program: {had}");
        assert_eq!(lost(&files), Some(told.clone()));
        // Also before it is noticed otherwise, and when the file would be long enough after it.
        assert_eq!(files.write_at(log, 4, b"frames").unwrap_err().to_string(), told);
        assert_eq!(files.cut(log, 8).unwrap_err().to_string(), told);
        assert_eq!(fs::metadata(folder.path().join(log)).unwrap().len(), cut_to);
        cut("folder", 0);
        fs::remove_file(folder.path().join(LOCK)).unwrap();
        let all = files.lost().files;
        let names = all.iter().map(|lost| &*lost.name).collect::<Vec<_>>();
        assert_eq!(names, ["folder", LOCK, log], "each is named");
    }
}

#[test]
fn files_that_are_written_and_cut_by_several_threads_meanwhile_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let files = in_folder(folder.path(), 3);
    let log = "log-00000001";
    files.create(log, b"head").unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let over = || is_over.load(std::sync::atomic::Ordering::SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..3000 {
                files.write_at(log, 4 + round % 100, &[7; 100]).unwrap();
                files.cut(log, 4 + round % 50).unwrap();
            }
            is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !over() {
                files.write_at(log, 60, &[0; 500]).unwrap();
            }
        });
        while !over() {
            assert_eq!(lost(&files), None);
        }
    });
    assert_eq!(lost(&files), None);
}

#[test]
fn a_file_that_is_closed_is_known_by_the_time_of_its_last_change() {
    let folder = tempfile::tempdir().unwrap();
    let files = in_folder(folder.path(), 1);
    let [one, other] = ["log-00000001", "moved-00000001"];
    for name in [one, other, "log-00000002", "log-00000003"] {
        files.create(name, b"head").unwrap();
    }
    let changed = |name: &str, seconds: u64| {
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::open(folder.path().join(name)).unwrap().set_modified(time)
    };
    let is_closed_and_known = |name: &str| {
        let (open, now) = (files.opened(), files.folder.seen(name).unwrap().unwrap());
        // As file systems tell it that give a closed file another number.
        let again = Seen { inode: now.inode + 1000, ..now };
        open.find(name).is_none() && open.watched.is_expected(name, &again)
    };
    for (name, other) in [(one, other), (other, one)] {
        files.read_at(name, 0, 1).unwrap();
        changed(name, 1000).unwrap();
        files.read_at(other, 0, 1).unwrap();
        assert!(is_closed_and_known(name), "{name} was changed before others were opened");
        let change = |_: &File| {
            files.read_at(other, 0, 1)?;
            changed(name, 2000)
        };
        files.change(name, Change::Write { end: 4 }, change).unwrap();
        assert!(is_closed_and_known(name), "{name} was changed after others were opened");
    }
}

#[test]
fn files_that_are_created_renamed_and_removed_meanwhile_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let files = in_folder(folder.path(), 3);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..300 {
                let name = format!("log-{:08}", round % 5 + 1);
                files.create(&name, b"one").unwrap();
                files.create("log-00000009", b"instead of the one before").unwrap();
                files.rename(&name, "index-00000001-00000001").unwrap();
                if round % 2 == 0 {
                    files.remove("index-00000001-00000001").unwrap();
                }
            }
            is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
            assert_eq!(lost(&files), None);
        }
    });
}

fn in_folder(folder: &Path, most: usize) -> Files {
    let claimed = LockedFolder::open(folder).unwrap().claim().unwrap();
    Files { most, ..Files::new(claimed) }
}

/// Bytes that are freed in several steps.
fn long() -> Vec<u8> {
    vec![7; 2 * usize::try_from(FREED_AT_ONCE).unwrap() + 100]
}

#[test]
fn a_long_file_is_freed_in_steps_after_its_name_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let files = in_folder(folder.path(), 3);
    files.create("a", &long()).unwrap();
    let open = File::open(folder.path().join("a")).unwrap();
    files.remove("a").unwrap();
    assert_eq!(files.read_at("a", 0, 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    let left = open.metadata().unwrap().len();
    assert!((1..=FREED_AT_ONCE).contains(&left), "{left} bytes are freed by the last step");
    files.remove("a").unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no runtime is here")]
fn a_removed_file_keeps_its_bytes_as_long_as_a_thread_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = in_folder(folder.path(), 1);
    files.create("a", &long()).unwrap();
    let used = files.file("a").unwrap();
    // It is not kept open any longer, so only its user has it.
    files.create("b", b"b").unwrap();
    let reader = thread::spawn(move || {
        sleep(20 * PAUSE);
        read_at(&used, 0, u64::MAX)
    });
    files.remove("a").unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), long());
}

#[test]
fn a_removed_file_that_has_another_name_keeps_its_bytes_under_that() {
    let folder = tempfile::tempdir().unwrap();
    let files = in_folder(folder.path(), 3);
    files.create("a", &long()).unwrap();
    let elsewhere = tempfile::tempdir_in(folder.path().parent().unwrap()).unwrap();
    let elsewhere = elsewhere.path().join("copy");
    fs::hard_link(folder.path().join("a"), &elsewhere).unwrap();
    files.remove("a").unwrap();
    assert_eq!(fs::read(elsewhere).unwrap(), long());
}
