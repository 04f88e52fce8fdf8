//! Files that a configuration names: how they are read, and what is wrong with one.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use pravega_sdk_types::ErrorKind;

use crate::io_kind::io_kind;

/// The longest file, in bytes.
pub(crate) const MOST: u64 = 1 << 20;

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

    pub(crate) fn io(path: &Path, failed: &str, error: &io::Error) -> Self {
        Self { kind: io_kind(error), ..Self::new(path, format!("{failed}: {error}")) }
    }
}

/// What changes when a file does; `None` for a file that cannot be found.
pub(crate) type Stamp = Option<(SystemTime, u64, u64)>;

/// The stamp of a file. It blocks.
pub(crate) fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len(), found.ino()))
}

/// Reads a file, unless it is far too long. It blocks.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    read.map_err(|error| Unusable::io(path, "cannot read it", &error))?;
    if bytes.len() as u64 > MOST {
        return Err(Unusable::new(path, format!("it has more than {MOST} bytes")));
    }
    Ok(bytes)
}
