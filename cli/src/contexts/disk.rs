//! The file of the contexts on a disk.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use pravega_sdk::types::ErrorKind;
use secrecy::zeroize::Zeroizing;
use tokio::time::{Instant, sleep};

use super::{
    edit::edit,
    model::Contexts,
    parse::parse,
    place::{VARIABLE, place},
};
use crate::failure::{Failure, Result};

/// A limit far above real files.
const MAX_LEN: u64 = 1 << 20;

/// Time for another process to finish its change.
const LOCKING: Duration = Duration::from_secs(5);
/// Time between two attempts to lock.
const PAUSE: Duration = Duration::from_millis(20);

/// The file of the contexts, which need not exist.
#[derive(Debug, Clone)]
pub(crate) struct ContextsFile {
    path: PathBuf,
}

impl ContextsFile {
    /// The file of this user; `None` if the environment names no place for it.
    pub(crate) fn find() -> Option<Self> {
        place(&|name| env::var_os(name)).map(|path| Self { path })
    }

    /// As [`Self::find`], for commands that are about it.
    pub(crate) fn require() -> Result<Self> {
        Self::find().ok_or_else(|| {
            let text = "there is no place for contexts: neither PRAVEGA_CONFIG nor HOME is set";
            Failure::usage(text).with_hint(format!("set {VARIABLE} to the path of a file"))
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the contexts, with paths that are relative to the folder of the file.
    pub(crate) fn load(&self) -> Result<Contexts> {
        self.read().map(|(_, contexts)| contexts)
    }

    /// Changes the contexts and writes them, if `change` succeeds and something has changed.
    /// Changes of other processes wait, or this one does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it has locked the file changes nothing; after that it does not
    /// wait.
    pub(crate) async fn change<T>(
        &self,
        change: impl FnOnce(&mut Contexts) -> Result<T>,
    ) -> Result<T> {
        let path = self.target();
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(self.unwritable(&"it is not a file"));
        }
        make_folder(folder_of(&path)).map_err(|error| self.unwritable(&error))?;
        let _lock = self.lock(&path).await?;
        let (text, before) = self.read()?;
        let mut after = before.clone();
        let result = change(&mut after)?;
        if after != before {
            let text = edit(&text, &before, &after).map_err(|error| self.unwritable(&error))?;
            let text = Zeroizing::new(text);
            replace(&path, text.as_bytes()).map_err(|error| self.unwritable(&error))?;
        }
        Ok(result)
    }

    /// The file itself, if the path is a link to it.
    fn target(&self) -> PathBuf {
        fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone())
    }

    /// Returns the text, which may have a password, and the contexts of it.
    fn read(&self) -> Result<(Zeroizing<String>, Contexts)> {
        let shown = self.path.display();
        let unreadable = |reason: &dyn std::fmt::Display| {
            let text = format_args!("{shown} cannot be read: {reason}");
            Failure::of_kind(ErrorKind::Config, text)
        };
        if let Ok(metadata) = fs::metadata(&self.path) {
            // To open a pipe of another user would wait for its writer.
            check_owner(&self.path, &metadata)?;
        }
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => return Err(unreadable(&error)),
        };
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        check_owner(&self.path, &metadata)?;
        // With its whole capacity from the start, no part of a password is left behind by growth.
        let capacity = usize::try_from(metadata.len().min(MAX_LEN) + 1).unwrap_or(0);
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        file.take(MAX_LEN + 1).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
        if text.len() as u64 > MAX_LEN {
            return Err(unreadable(&format_args!("it is longer than {MAX_LEN} bytes")));
        }
        let contexts = parse(&text).map_err(|error| {
            let text = format_args!("{shown}: {error}");
            Failure::of_kind(ErrorKind::Config, text)
        })?;
        check_mode(&self.path, &metadata, contexts.has_secret())?;
        Ok((text, contexts.relative_to(folder_of(&self.path))))
    }

    /// Locks a file beside the contexts; the one itself is replaced.
    async fn lock(&self, path: &Path) -> Result<Option<fs::File>> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        // A pipe that another user has put there is not waited for if it is opened for both.
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = through_no_link(private(&mut options)).open(&name);
        let unlockable = |reason: &dyn std::fmt::Display| {
            let text = format!("{} cannot be locked: {reason}", Path::new(&name).display());
            Failure::other(text).with_hint(format!(
                "the lock is for changes of {}; if it is no file of pravega, remove it",
                path.display()
            ))
        };
        let file = file.map_err(|error| match fs::symlink_metadata(&name) {
            Ok(found) if found.is_symlink() => unlockable(&"it is a symbolic link"),
            _ => unlockable(&error),
        })?;
        if file.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(unlockable(&"it is not a file"));
        }
        let deadline = Instant::now() + LOCKING;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                    sleep(PAUSE).await;
                }
                Err(fs::TryLockError::WouldBlock) => {
                    let text = format!("another pravega changes {}", self.path.display());
                    return Err(Failure::other(text).with_hint("run the command again"));
                }
                // A file system without locks: changes at the same time are rare.
                Err(fs::TryLockError::Error(_)) => return Ok(None),
            }
        }
    }

    fn unwritable(&self, reason: &dyn std::fmt::Display) -> Failure {
        Failure::other(format_args!("{} cannot be written: {reason}", self.path.display()))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Creates the folder, and those above it, for their owner only. One that exists keeps its mode.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// What a link leads to is not opened: another user may have put it there.
fn through_no_link(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, NO_LINK);
    options
}

#[cfg(unix)]
const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Replaces a file as a whole: readers see the old one or the new one, also after a crash.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", uuid::Uuid::new_v4().simple()));
    let new = PathBuf::from(name);
    let written = write_new(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        fs::remove_file(&new).ok();
    }
    written?;
    // The name is in the folder; what is left undone here only matters after a crash.
    fs::File::open(folder_of(path)).and_then(|folder| folder.sync_all()).ok();
    Ok(())
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = private(fs::OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Refuses a file, or a pipe, that is neither the user's nor the superuser's, as ssh does: it says
/// where credentials go. Only the superuser can make a device.
#[cfg(unix)]
fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let kind = metadata.file_type();
    let is_device = kind.is_char_device() || kind.is_block_device();
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if is_device || is_trusted(owner, user) {
        return Ok(());
    }
    let shown = path.display();
    let text = format_args!("another user, {owner}, owns {shown}, and can change it");
    let hint = format!("`chown {user} {shown}`, or set {VARIABLE} to a file of yours");
    Err(Failure::of_kind(ErrorKind::Config, text).with_hint(hint))
}

/// Returns true if a user may rely on what an owner of a file writes to it.
#[cfg(unix)]
fn is_trusted(owner: u32, user: u32) -> bool {
    const SUPERUSER: u32 = 0;
    owner == user || owner == SUPERUSER
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &fs::Metadata) -> Result<()> {
    Ok(())
}

/// Refuses a file that other users can change, as it says where credentials go; and one with a
/// secret that they can read. A pipe or a device is no file.
#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata, has_secret: bool) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    let reason = match mode {
        _ if !metadata.is_file() => return Ok(()),
        mode if mode & 0o022 != 0 => "other users can change",
        mode if has_secret && mode & 0o077 != 0 => "other users can read the password in",
        _ => return Ok(()),
    };
    let shown = path.display();
    let text = format_args!("{reason} {shown} (mode {mode:04o})");
    Err(Failure::of_kind(ErrorKind::Config, text).with_hint(format!("`chmod 600 {shown}`")))
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &fs::Metadata, _: bool) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::{
        contexts::model::Profile,
        login::{Login, Password},
    };

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn file(path: PathBuf) -> ContextsFile {
        ContextsFile { path }
    }

    async fn add(file: &ContextsFile, name: &str) -> Result<()> {
        let name = name.to_owned();
        file.change(move |contexts| {
            contexts.named.insert(name, Profile::new("tcp://h:1"));
            Ok(())
        })
        .await
    }

    /// The names of the files in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let name =
            |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_new_file_and_its_folder_are_of_their_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let file = file(home.path().join("a/b/config.toml"));
        assert_eq!(file.load().unwrap(), Contexts::default());
        add(&file, "one").await.unwrap();
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(&home.path().join("a/b")), 0o700);
        assert_eq!(file.load().unwrap().named.len(), 1);
        assert_eq!(names(&home.path().join("a/b")), ["config.toml", "config.toml.lock"]);
        // A file that others could read becomes one that they cannot.
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        add(&file, "two").await.unwrap();
        assert_eq!(mode(file.path()), 0o600);
    }

    #[tokio::test]
    async fn what_a_link_in_place_of_the_lock_leads_to_is_not_touched_and_the_lock_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path().join("config.toml"));
        let lock = folder.path().join("config.toml.lock");
        let (named, outside) = (lock.display(), folder.path().join("outside"));
        symlink(&outside, &lock).unwrap();
        let refused = add(&file, "one").await.unwrap_err().to_string();
        assert_eq!(refused, format!("{named} cannot be locked: it is a symbolic link"));
        assert!(!outside.exists() && !file.path().exists());
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
        let refused = add(&file, "one").await.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{named} cannot be locked: ")), "{refused}");
        fs::remove_dir(&lock).unwrap();
        add(&file, "one").await.unwrap();
    }

    #[tokio::test]
    async fn a_change_that_fails_or_changes_nothing_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path().join("config.toml"));
        let failed: Result<()> = file
            .change(|contexts| {
                contexts.named.insert("a".to_owned(), Profile::new("tcp://h:1"));
                Err(Failure::other("no"))
            })
            .await;
        failed.unwrap_err();
        file.change(|_| Ok(())).await.unwrap();
        assert_eq!(names(folder.path()), ["config.toml.lock"]);
        fs::write(file.path(), "version = 1\n").unwrap();
        let wrong = file
            .change(|contexts| {
                contexts.named.insert("a".to_owned(), Profile::new("http://h:1"));
                Ok(())
            })
            .await;
        assert!(wrong.unwrap_err().to_string().contains("cannot be written"));
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "version = 1\n");
        assert_eq!(names(folder.path()), ["config.toml", "config.toml.lock"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_at_the_same_time_are_all_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path().join("config.toml"));
        let adding = (0..16).map(|at| {
            let file = file.clone();
            tokio::spawn(async move { add(&file, &format!("c{at}")).await })
        });
        for added in futures_util::future::join_all(adding).await {
            added.unwrap().unwrap();
        }
        assert_eq!(file.load().unwrap().named.len(), 16);
    }

    #[tokio::test]
    async fn a_link_stays_and_the_file_that_it_names_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.toml");
        fs::write(&real, "").unwrap();
        let link = folder.path().join("config.toml");
        symlink(&real, &link).unwrap();
        add(&file(link.clone()), "one").await.unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("[contexts.one]"));
    }

    #[tokio::test]
    async fn a_file_that_others_can_change_or_whose_secret_they_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path().join("config.toml"));
        add(&file, "one").await.unwrap();
        let set =
            |mode| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        for (bits, refused) in [(0o644, false), (0o664, true), (0o622, true), (0o400, false)] {
            set(bits);
            assert_eq!(file.load().is_err(), refused, "{bits:o}");
        }
        set(0o600);
        file.change(|contexts| {
            let password = Password::Stored("canary".into());
            let login = Login::Password { user: "ann".to_owned(), password };
            contexts.named.get_mut("one").unwrap().login = Some(login);
            Ok(())
        })
        .await
        .unwrap();
        assert!(file.load().unwrap().has_secret());
        for bits in [0o640, 0o604, 0o644] {
            set(bits);
            let error = file.load().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("other users can read the password"), "{shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }

    #[test]
    fn the_user_and_the_superuser_are_trusted_and_no_other_owner() {
        for (owner, user, expected) in [
            (7, 7, true),
            (0, 7, true),
            (0, 0, true),
            (8, 7, false),
            // The superuser can read every file, but not trust it.
            (7, 0, false),
        ] {
            assert_eq!(is_trusted(owner, user), expected, "{owner} {user}");
        }
    }

    #[tokio::test]
    async fn a_file_or_a_pipe_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path().join("config.toml"));
        add(&file, "one").await.unwrap();
        // Only the superuser can give a file away.
        if std::os::unix::fs::chown(file.path(), Some(7), None).is_err() {
            return;
        }
        let error = file.load().unwrap_err();
        assert!(error.to_string().contains("another user, 7, owns"), "{error}");
        let text = fs::read(file.path()).unwrap();
        add(&file, "two").await.unwrap_err();
        assert_eq!(fs::read(file.path()).unwrap(), text);
        // The owner comes before what is in it, and before its mode.
        fs::write(file.path(), "x").unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o666)).unwrap();
        let error = file.load().unwrap_err();
        assert!(error.to_string().contains("another user, 7, owns"), "{error}");
        std::os::unix::fs::chown(file.path(), Some(0), None).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        let error = file.load().unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");

        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        std::os::unix::fs::chown(&pipe, Some(7), None).unwrap();
        // It has no writer.
        let error = ContextsFile { path: pipe }.load().unwrap_err();
        assert!(error.to_string().contains("another user, 7, owns"), "{error}");
    }

    fn make_pipe(path: &Path) {
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, path, fifo, mode, 0).unwrap();
    }

    #[tokio::test]
    async fn a_pipe_in_place_of_the_lock_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        make_pipe(&folder.path().join("config.toml.lock"));
        let error = add(&file(folder.path().join("config.toml")), "one").await.unwrap_err();
        assert!(
            error.to_string().contains("config.toml.lock cannot be locked: it is not a file"),
            "{error}"
        );
        assert_eq!(names(folder.path()), ["config.toml.lock"]);
    }

    #[tokio::test]
    async fn what_is_no_file_of_contexts_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(file(folder.path().to_owned()).load().is_err(), "a folder");
        let path = folder.path().join("config.toml");
        fs::write(&path, vec![b'#'; MAX_LEN as usize + 1]).unwrap();
        let error = file(path.clone()).load().unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
        fs::write(&path, b"\xff\xfe").unwrap();
        assert!(file(path.clone()).load().is_err(), "not UTF-8");
        fs::write(&path, "version = 1\nx = 1\n").unwrap();
        let error = add(&file(path.clone()), "one").await.unwrap_err();
        assert!(error.to_string().contains("config.toml: line 2: "), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "version = 1\nx = 1\n");
        let device = file("/dev/null".into());
        assert_eq!(device.load().unwrap(), Contexts::default());
        let error = add(&device, "one").await.unwrap_err();
        assert!(error.to_string().contains("it is not a file"), "{error}");
    }
}
