//! Files that a configuration names: how they are read and followed, and what is wrong with one.

use std::{
    fmt,
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use pravega_sdk_secret_file::SecretFileError;
use pravega_sdk_types::ErrorKind;
use secrecy::zeroize::Zeroizing;

use crate::{io_kind::io_kind, locks::lock};

/// The longest file, in bytes.
pub(crate) const MOST: u64 = 1 << 20;

/// What is in a file: it may be a key.
pub(crate) type Content = Zeroizing<Vec<u8>>;
/// What is in files.
pub(crate) type Contents<const FILES: usize> = [Content; FILES];

/// How long a file may change again without another time of its change, in seconds: as coarse as
/// the clocks of file systems are.
const COARSE: i64 = 2;

/// A file that cannot be used.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
    pub(crate) kind: ErrorKind,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl Unusable {
    pub(crate) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into(), kind: ErrorKind::Config }
    }

    pub(crate) fn secret(path: &Path, error: &SecretFileError) -> Self {
        match error {
            SecretFileError::Unreadable(error) => Self::io(path, "cannot read it", error),
            error => Self::new(path, error.to_string()),
        }
    }

    pub(crate) fn io(path: &Path, failed: &str, error: &io::Error) -> Self {
        Self { kind: io_kind(error), ..Self::new(path, format!("{failed}: {error}")) }
    }
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    /// When anything of it changed, in seconds and nanoseconds since 1970. No program can set it.
    changed: (i64, i64),
    len: u64,
    /// The file system, and the number of the file there.
    id: (u64, u64),
    is_regular: bool,
}

/// The stamps of files; `None` for one that cannot be found.
type Stamps<const FILES: usize> = [Option<Stamp>; FILES];

/// Files that are read again after they have changed.
#[derive(Debug)]
pub(crate) struct Followed<const FILES: usize> {
    paths: [PathBuf; FILES],
    hasher: RandomState,
    last: Mutex<Last<FILES>>,
}

/// What is known of the files since they were last read.
#[derive(Debug)]
struct Last<const FILES: usize> {
    stamps: Stamps<FILES>,
    /// The digest of what was read.
    content: u64,
    /// They were read, and every later change shows in their stamps.
    is_settled: bool,
}

impl<const FILES: usize> Followed<FILES> {
    /// Reads the files for the first time. It blocks.
    pub(crate) fn open(paths: [PathBuf; FILES]) -> Result<(Self, Contents<FILES>), Unusable> {
        let (now, hasher) = (now(), RandomState::new());
        // In this order: what changes in between is read again.
        let stamps = stamps(&paths);
        let found = read_all(&paths, read)?;
        let (content, is_settled) = (digest(&hasher, &found), is_settled(&stamps, now));
        let last = Mutex::new(Last { stamps, content, is_settled });
        Ok((Self { paths, hasher, last }, found))
    }

    /// The files.
    pub(crate) fn paths(&self) -> &[PathBuf; FILES] {
        &self.paths
    }

    /// The contents of the files if they have changed since they were last read. It blocks.
    ///
    /// A pipe is read once, when it is opened: waiting for its writer could take forever.
    ///
    /// # Errors
    ///
    /// [`Unusable`] for a file that cannot be read, once for each change of it. It is read again
    /// by each later call: the reason may have been one of this process.
    pub(crate) fn news(&self) -> Result<Option<Contents<FILES>>, Unusable> {
        self.news_by(now(), read)
    }

    fn news_by(
        &self,
        now: i64,
        read: impl Fn(&Path) -> Result<Content, Unusable>,
    ) -> Result<Option<Contents<FILES>>, Unusable> {
        let stamps = stamps(&self.paths);
        let mut last = lock(&self.last);
        let has_pipe = stamps.iter().flatten().any(|stamp| !stamp.is_regular);
        if has_pipe || last.is_settled && last.stamps == stamps {
            return Ok(None);
        }
        let is_known = last.stamps == stamps;
        last.stamps = stamps;
        last.is_settled = false;
        let found = match read_all(&self.paths, read) {
            Ok(found) => found,
            Err(_) if is_known => return Ok(None),
            Err(unusable) => return Err(unusable),
        };
        last.is_settled = is_settled(&stamps, now);
        let content = digest(&self.hasher, &found);
        let is_new = std::mem::replace(&mut last.content, content) != content;
        Ok(is_new.then_some(found))
    }
}

/// Returns true if files with these stamps have others after their next change.
fn is_settled<const FILES: usize>(stamps: &Stamps<FILES>, now: i64) -> bool {
    stamps.iter().all(|stamp| stamp.is_some_and(|stamp| stamp.changed.0 + COARSE < now))
}

fn stamps<const FILES: usize>(paths: &[PathBuf; FILES]) -> Stamps<FILES> {
    paths.each_ref().map(|path| {
        let found = fs::metadata(path).ok()?;
        Some(Stamp {
            changed: (found.ctime(), found.ctime_nsec()),
            len: found.len(),
            id: (found.dev(), found.ino()),
            is_regular: found.is_file(),
        })
    })
}

/// In seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn digest<const FILES: usize>(hasher: &RandomState, found: &Contents<FILES>) -> u64 {
    hasher.hash_one(found.each_ref().map(|content| content.as_slice()))
}

fn read_all<const FILES: usize>(
    paths: &[PathBuf; FILES],
    read: impl Fn(&Path) -> Result<Content, Unusable>,
) -> Result<Contents<FILES>, Unusable> {
    let mut all = [const { Vec::new() }; FILES].map(Content::new);
    for (bytes, path) in all.iter_mut().zip(paths) {
        *bytes = read(path)?;
    }
    Ok(all)
}

/// Reads a file, unless it is far too long. It blocks.
pub(crate) fn read(path: &Path) -> Result<Content, Unusable> {
    let unreadable = |error| Unusable::io(path, "cannot read it", &error);
    let file = File::open(path).map_err(unreadable)?;
    // With its whole capacity from the start, no part of a key is left behind by its growth.
    let len = file.metadata().map_or(0, |metadata| metadata.len().min(MOST) + 1);
    let mut bytes = Content::new(Vec::with_capacity(usize::try_from(len).unwrap_or(0)));
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST {
        return Err(Unusable::new(path, format!("it has more than {MOST} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    fn file_in(folder: &tempfile::TempDir, text: &str) -> PathBuf {
        let path = folder.path().join("file");
        fs::write(&path, text).unwrap();
        path
    }

    /// What is in one file.
    fn content(text: &str) -> Contents<1> {
        [Zeroizing::new(text.into())]
    }

    /// The time long after the last change of all files.
    fn later() -> i64 {
        now() + 2 * COARSE
    }

    #[test]
    fn every_change_is_news_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "one");
        let (followed, found) = Followed::open([path.clone()]).unwrap();
        assert!(found == content("one"));
        assert!(followed.news().unwrap().is_none());
        for text in ["two", "six"] {
            fs::write(&path, text).unwrap();
            assert!(followed.news().unwrap() == Some(content(text)));
            assert!(followed.news_by(later(), read).unwrap().is_none());
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "no runtime is here")]
    fn a_change_is_news_whatever_time_the_file_claims() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "one");
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let (followed, _) = Followed::open([path.clone()]).unwrap();
        assert!(followed.news_by(later(), read).unwrap().is_none());
        // As programs do that copy files with their times.
        thread::sleep(Duration::from_millis(20));
        fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(followed.news().unwrap() == Some(content("two")));
    }

    #[test]
    fn a_second_change_with_the_same_stamps_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "one");
        let (followed, _) = Followed::open([path]).unwrap();
        // The clock of the file system has not gone on in between.
        let second = |_: &Path| Ok(Zeroizing::new(b"two".to_vec()));
        assert!(followed.news_by(now(), second).unwrap() == Some(content("two")));
    }

    #[test]
    fn a_file_that_could_not_be_read_is_read_again_and_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "one");
        let (followed, _) = Followed::open([path.clone()]).unwrap();
        fs::write(&path, "other").unwrap();
        // As without a descriptor left.
        let failing = |path: &Path| Err(Unusable::new(path, "too many open files"));
        assert!(followed.news_by(later(), failing).is_err());
        assert!(followed.news_by(later(), failing).unwrap().is_none());
        assert!(followed.news_by(later(), read).unwrap() == Some(content("other")));
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "one");
        let (followed, _) = Followed::open([path.clone()]).unwrap();
        fs::remove_file(&path).unwrap();
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
        let (sender, done) = mpsc::channel();
        thread::spawn(move || sender.send(followed.news().unwrap()).unwrap());
        assert!(done.recv_timeout(Duration::from_secs(30)).unwrap().is_none());
    }
}
