//! Folders of others, and files that are none of the folder's.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::*;

/// A folder with a log of some batches.
async fn folder_with(parent: &Path, name: &str, lens: &[usize]) -> PathBuf {
    let folder = parent.join(name);
    let disk = Arc::new(files(&folder));
    let mut log = Log::start(open_with(&*disk, &[]), disk);
    assert!(lens.iter().all(|len| log.submit(*len)));
    assert_eq!(log.close().durable, lens.len() as u64);
    folder
}

/// The bytes of a log file without the zeros at its end.
fn frames(file: &[u8]) -> &[u8] {
    let len = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &file[..len]
}

/// The bytes of all files but the lock.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.is_file() && !path.ends_with("lock"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Checks that a folder is refused with a text that has the name of the file, and is not changed.
fn check_refused(folder: &Path, file: &str, what: &str) {
    let before = contents(folder);
    let text = problem(&files(folder)).to_string();
    assert!(text.starts_with(file), "{file}: {text}");
    assert!(text.contains(what), "{text}");
    assert!(contents(folder) == before, "{file}: something was changed");
}

#[tokio::test]
async fn a_copy_or_a_file_of_another_folder_is_refused_by_its_name() {
    let parent = tempfile::tempdir().unwrap();
    let own = folder_with(parent.path(), "own", &[10, 2000, 30]).await;
    let other = folder_with(parent.path(), "other", &[10, 2000, 30, 4000]).await;
    let (log, mark) = (own.join("log-00000001"), own.join("synced"));
    // A backup under the next number, or a later one, or with a name of its own.
    for (number, what) in [(2, "copy of log-00000001"), (3, "neither"), (7, "neither")] {
        let name = format!("log-{number:08}");
        fs::copy(&log, own.join(&name)).unwrap();
        check_refused(&own, &name, what);
        fs::remove_file(own.join(&name)).unwrap();
    }
    for name in ["log-00000001.bak", "log-1", "checkpoint-1", "index-00000001"] {
        fs::copy(&log, own.join(name)).unwrap();
        check_refused(&own, name, "neither");
        fs::remove_file(own.join(name)).unwrap();
    }
    // Files of another folder, under the same number and the next.
    let kept = fs::read(&log).unwrap();
    fs::copy(other.join("log-00000001"), &log).unwrap();
    check_refused(&own, "log-00000001", "belongs to folder");
    fs::write(&log, &kept).unwrap();
    fs::copy(other.join("log-00000001"), own.join("log-00000002")).unwrap();
    check_refused(&own, "log-00000002", "belongs to folder");
    fs::remove_file(own.join("log-00000002")).unwrap();
    // The mark of another folder, and a log that lost its last frame: the mark tells.
    let marked = fs::read(&mark).unwrap();
    fs::copy(other.join("synced"), &mark).unwrap();
    check_refused(&own, "synced", "belongs to folder");
    fs::write(&mark, &marked).unwrap();
    fs::write(&log, &frames(&kept)[..frames(&kept).len() - 100]).unwrap();
    check_refused(&own, "log-00000001", "synced");
    fs::write(&log, &kept).unwrap();
    open_with(&files(&own), &[10, 2000, 30]);
}

#[tokio::test]
async fn what_is_missing_or_changed_is_named_and_nothing_else_is_touched() {
    let parent = tempfile::tempdir().unwrap();
    let own = folder_with(parent.path(), "own", &[10, 2000, 30]).await;
    for name in ["folder", "synced", "log-00000001"] {
        let kept = fs::read(own.join(name)).unwrap();
        fs::remove_file(own.join(name)).unwrap();
        check_refused(&own, name, "missing");
        fs::write(own.join(name), &kept).unwrap();
    }
    let log = own.join("log-00000001");
    let mut bytes = fs::read(&log).unwrap();
    bytes[150] ^= 4;
    fs::write(&log, &bytes).unwrap();
    check_refused(&own, "log-00000001 is damaged at byte 64", "not those");
    bytes[150] ^= 4;
    fs::write(&log, &bytes).unwrap();
    let mut folder = fs::read(own.join("folder")).unwrap();
    folder.push(0);
    fs::write(own.join("folder"), &folder).unwrap();
    check_refused(&own, "folder", "head");
    folder.pop();
    fs::write(own.join("folder"), &folder).unwrap();
    // One slot of the mark is damaged: everything is there, and it is not passed over in silence.
    let mut mark = fs::read(own.join("synced")).unwrap();
    mark[3] ^= 1;
    fs::write(own.join("synced"), &mark).unwrap();
    open_with(&files(&own), &[10, 2000, 30]);
}

#[tokio::test]
async fn links_and_folders_with_names_of_the_log_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let own = folder_with(parent.path(), "own", &[10, 20]).await;
    for name in ["log-00000001", "folder", "synced"] {
        let moved = parent.path().join("moved");
        fs::rename(own.join(name), &moved).unwrap();
        symlink(&moved, own.join(name)).unwrap();
        check_refused(&own, name, "symbolic link");
        fs::remove_file(own.join(name)).unwrap();
        fs::rename(&moved, own.join(name)).unwrap();
    }
    fs::create_dir(own.join("log-00000002")).unwrap();
    check_refused(&own, "log-00000002", "no regular file");
    fs::remove_dir(own.join("log-00000002")).unwrap();
    // What the log has no name for is ignored, whatever it is.
    fs::create_dir(own.join("lost+found")).unwrap();
    fs::create_dir(own.join("notes")).unwrap();
    symlink("nowhere", own.join("link")).unwrap();
    fs::write(own.join("README"), b"text").unwrap();
    open_with(&files(&own), &[10, 20]);
}

#[tokio::test]
async fn a_folder_without_a_log_is_used_only_if_it_is_empty() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("thesis.tex"), b"text").unwrap();
    check_refused(parent.path(), "thesis.tex", "other files");
    let below = parent.path().join("below");
    fs::create_dir_all(below.join("lost+found")).unwrap();
    open_with(&files(&below), &[]);
    // What an interrupted creation left is no data.
    let left = parent.path().join("left");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("folder.new"), b"half").unwrap();
    fs::write(left.join("synced"), b"").unwrap();
    open_with(&files(&left), &[]);
    open_with(&files(&left), &[]);
}

#[tokio::test]
async fn a_torn_write_is_cut_off_and_writing_goes_on() {
    let parent = tempfile::tempdir().unwrap();
    let own = folder_with(parent.path(), "own", &[10, 20]).await;
    let log = own.join("log-00000001");
    let whole = fs::read(&log).unwrap();
    for torn in [&b"PRVF"[..], &[1; 5000], &[0; 100_000]] {
        fs::write(&log, [frames(&whole), torn].concat()).unwrap();
        let disk = Arc::new(files(&own));
        let mut log = Log::start(open_with(&*disk, &[10, 20]), disk);
        assert!(log.submit(30));
        log.until_durable().await;
        log.close();
        open_with(&files(&own), &[10, 20, 30]);
        // For the next one.
        fs::write(own.join("log-00000001"), &whole).unwrap();
        restore_mark(&own, frames(&whole).len() as u64);
    }
}

/// Writes a mark at the end of two batches.
fn restore_mark(folder: &Path, end: u64) {
    use pravega_sdk_server_core::log::{FileNumber, Mark, Place, read_identity};
    let id = read_identity(&fs::read(folder.join("folder")).unwrap()).unwrap();
    let end = Place { file: FileNumber::FIRST, at: end };
    let mut mark = Mark { folder: id, end, sequence: Sequence(2) }.encode();
    mark.resize(pravega_sdk_server_core::log::MARK_LEN, 0);
    fs::write(folder.join("synced"), mark).unwrap();
}

#[tokio::test]
async fn what_all_files_take_is_known_before_the_first_commit() {
    let parent = tempfile::tempdir().unwrap();
    let folder = folder_with(parent.path(), "own", &[10, 2000, 30]).await;
    fs::write(folder.join("notes"), vec![7_u8; 300_000]).unwrap();
    let disk = files(&folder);
    let (_, keeper) = open_with(&disk, &[10, 2000, 30]);
    let lens = disk.list().unwrap().into_iter().map(|(_, _, len)| len);
    let all: u64 = lens.sum();
    assert!(all > 300_000);
    assert_eq!(keeper.space().used(), all);
}

#[tokio::test]
async fn what_an_unused_file_took_is_measured_again_after_it_is_removed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = folder_with(parent.path(), "own", &[10]).await;
    fs::write(folder.join("moved-00000001"), vec![7_u8; 300_000]).unwrap();
    let disk = Arc::new(files(&folder));
    let kept = Arc::new(Kept::new(Keeper::new(SPACE), SPACE, u64::MAX));
    let inbox = Inbox::default();
    let (file_len, id) = (1 << 20, FolderId(1));
    let keeping =
        Keeping { disk: disk.clone(), inbox, kept: Arc::clone(&kept), folder: id, file_len };
    let names = ["moved-00000001".to_owned(), "index-00000001".to_owned()];
    keeping.remove_unused(&names);
    assert!(disk.list().unwrap().iter().all(|(name, _, _)| !names.contains(name)));
    // The thread that measures is woken by it.
    assert_eq!(kept.take_news().leftovers, names);
}
