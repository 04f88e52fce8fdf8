//! Folders as they are found: of others, linked, replaced, locked by earlier versions.

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn claim(path: &Path) -> Result<ClaimedFolder, FolderError> {
    LockedFolder::open(path)?.claim()
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn refusal<T: std::fmt::Debug>(result: Result<T, FolderError>) -> String {
    match result.unwrap_err() {
        FolderError::Io { what, error } => format!("{what}: {error}"),
        in_use @ FolderError::InUse { .. } => panic!("{in_use:?}"),
    }
}

#[test]
fn what_is_created_is_private_and_what_exists_keeps_its_mode() {
    let parent = tempfile::tempdir().unwrap();
    fs::set_permissions(parent.path(), Permissions::from_mode(0o1777)).unwrap();
    let path = parent.path().join("a").join("b");
    let folder = claim(&path).unwrap();
    folder.create_file("one").unwrap();
    assert_eq!((mode(&path), mode(&parent.path().join("a"))), (0o700, 0o700));
    assert_eq!((mode(&path.join("one")), mode(&path.join(LOCK))), (0o600, 0o600));
    assert_eq!(mode(parent.path()), 0o1777);
    let shared = claim(parent.path()).unwrap();
    assert_eq!(mode(parent.path()), 0o1777);
    drop((folder, shared));
    fs::set_permissions(path.join("one"), Permissions::from_mode(0o640)).unwrap();
    claim(&path).unwrap().open_file("one").unwrap();
    assert_eq!(mode(&path.join("one")), 0o640);
}

#[test]
fn a_file_in_place_of_a_folder_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let help = "name a folder, or a path where one can be created";
    let why = refusal(claim(&file));
    assert_eq!(why, format!("cannot open it: it is not a folder; {help}"));
    let (named, within) = (file.display(), refusal(claim(&file.join("a/b"))));
    assert_eq!(within, format!("cannot open it: {named} is not a folder; {help}"));
    assert!(file.is_file());
}

#[test]
fn a_folder_that_is_looked_at_only_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), b"text").unwrap();
    let locked = LockedFolder::open(folder.path()).unwrap();
    let thesis = Listed { kind: Kind::Regular, len: 4 };
    assert_eq!(locked.list().unwrap(), [("thesis.tex".to_owned(), thesis)].into());
    drop(locked);
    assert_eq!(names(folder.path()), ["thesis.tex"]);
}

#[test]
fn a_link_to_a_folder_is_refused_however_it_is_written() {
    let parent = tempfile::tempdir().unwrap();
    let (target, link) = (parent.path().join("target"), parent.path().join("link"));
    fs::create_dir(&target).unwrap();
    symlink(&target, &link).unwrap();
    for end in ["", "/", "//", "/.", "/./"] {
        let path = format!("{}{end}", link.display());
        let refused = refusal(LockedFolder::open(Path::new(&path)));
        let folder = target.canonicalize().unwrap();
        let why = format!("it is a symbolic link; name the folder itself: {}", folder.display());
        assert_eq!(refused, format!("cannot open it: {why}"), "{path}");
    }
    symlink("nowhere", parent.path().join("dangling")).unwrap();
    let refused = refusal(LockedFolder::open(&parent.path().join("dangling/")));
    assert_eq!(refused, "cannot open it: it is a symbolic link; name a folder");
    assert_eq!(names(&target), [""; 0]);
    // One above it may be a link: the folder itself is none.
    claim(&link.join("data")).unwrap();
    assert_eq!(names(&target), ["data"]);
}

#[test]
fn a_folder_has_one_owner_even_if_its_lock_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let own = Some(std::process::id());
    let first = claim(folder.path()).unwrap();
    match claim(folder.path()).unwrap_err() {
        FolderError::InUse { pid } => assert_eq!(pid, own),
        other => panic!("{other:?}"),
    }
    fs::remove_file(folder.path().join(LOCK)).unwrap();
    match claim(folder.path()).unwrap_err() {
        FolderError::InUse { pid } => assert_eq!(pid, None),
        other => panic!("{other:?}"),
    }
    drop(first);
    claim(folder.path()).unwrap();
}

#[test]
fn a_folder_that_an_earlier_version_uses_is_refused_and_only_a_process_that_runs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let own = std::process::id();
    // Systems have no processes with such numbers.
    let cases = [
        (format!("{own}\n"), Some(own)),
        (format!("{}\n", i32::MAX), None),
        ("4294967295\n".to_owned(), None),
        ("0\n".to_owned(), None),
        ("-1\n".to_owned(), None),
        (String::new(), None),
    ];
    for (text, expected) in cases {
        let mut lock = File::create(folder.path().join(LOCK)).unwrap();
        lock.write_all(text.as_bytes()).unwrap();
        lock.lock().unwrap();
        match claim(folder.path()).unwrap_err() {
            FolderError::InUse { pid } => assert_eq!(pid, expected, "{text:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(folder.path().join(LOCK)).unwrap(), text.as_bytes());
        drop(lock);
    }
    claim(folder.path()).unwrap();
}

#[test]
fn what_a_link_leads_to_is_neither_written_nor_read() {
    let parent = tempfile::tempdir().unwrap();
    let (data, outside) = (parent.path().join("data"), parent.path().join("outside"));
    fs::create_dir(&data).unwrap();
    fs::write(&outside, b"precious").unwrap();
    symlink(&outside, data.join(LOCK)).unwrap();
    let refused = refusal(claim(&data));
    assert_eq!(refused, "cannot open its file `lock`: it is a symbolic link");
    fs::remove_file(data.join(LOCK)).unwrap();
    let folder = claim(&data).unwrap();
    symlink(&outside, data.join("link")).unwrap();
    assert_eq!(folder.list().unwrap()["link"].kind, Kind::Link);
    assert_eq!(folder.open_file("link").unwrap_err().to_string(), "it is a symbolic link");
    // A link is replaced, and so is a second name of a file: neither is written to.
    fs::hard_link(&outside, data.join("name")).unwrap();
    for name in ["link", "name"] {
        folder.create_file(name).unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read(data.join(name)).unwrap(), b"new");
    }
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
}

#[test]
fn a_pipe_is_no_file_and_its_other_end_is_not_waited_for() {
    let data = tempfile::tempdir().unwrap();
    let folder = claim(data.path()).unwrap();
    fs::create_dir(data.path().join("below")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        data.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert_eq!(folder.open_file("pipe").unwrap_err().to_string(), "it is no regular file");
    assert!(folder.open_file("below").is_err());
    let listing = folder.list().unwrap();
    assert_eq!((listing["pipe"].kind, listing["below"].kind), (Kind::Other, Kind::Other));
}

#[test]
fn a_folder_that_is_moved_is_still_the_one_that_is_written_to() {
    let parent = tempfile::tempdir().unwrap();
    let (before, after) = (parent.path().join("before"), parent.path().join("after"));
    let folder = claim(&before).unwrap();
    fs::rename(&before, &after).unwrap();
    fs::create_dir(&before).unwrap();
    folder.create_file("one").unwrap();
    folder.rename("one", "two").unwrap();
    folder.create_file("three").unwrap();
    folder.remove("three").unwrap();
    folder.sync().unwrap();
    assert_eq!(names(&after), [LOCK, "two"]);
    assert_eq!(names(&before), [""; 0]);
    // Another server may use the new one.
    let other = claim(&before).unwrap();
    assert_ne!(
        other.create_file("x").unwrap().metadata().unwrap().ino(),
        folder.open_file("two").unwrap().metadata().unwrap().ino()
    );
}
