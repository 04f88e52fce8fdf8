//! The files of a folder.

use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
};

use bytes::Bytes;
use pravega_sdk_server_core::log::{LOCK_NAME, Seen};
use rustix::{
    buffer::spare_capacity,
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat},
    io::{Errno, pread},
};

/// The file with the second lock, and the process that has it.
pub(crate) const LOCK: &str = LOCK_NAME;

/// The files of a folder, by their names.
pub(crate) type Listing = BTreeMap<String, Listed>;

/// A file as it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The kind of the file.
    pub(crate) kind: Kind,
    /// Its length, in bytes.
    pub(crate) len: u64,
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has bytes.
    Regular,
    /// It is a link to something else, which may be outside the folder.
    Link,
    /// It is a folder, a device, a pipe or a socket.
    Other,
}

/// The files of a folder, but for the lock.
pub(super) fn list(folder: &File) -> io::Result<Listing> {
    let mut listing = Listing::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy().into_owned();
        if [".", "..", LOCK].contains(&&*text) {
            continue;
        }
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            // It was removed meanwhile.
            Err(Errno::NOENT) => continue,
            stat => stat?,
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::Regular,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        listing.insert(text, Listed { kind, len: u64::try_from(stat.st_size).unwrap_or(0) });
    }
    Ok(listing)
}

/// What the system says of a file of a folder; `None` if there is none with the name.
pub(super) fn seen(folder: &File, name: &str) -> io::Result<Option<Seen>> {
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat?,
    };
    Ok(Some(of_stat(&stat)))
}

/// What the system says of an open file.
pub(crate) fn seen_open(file: &File) -> io::Result<Seen> {
    Ok(of_stat(&rustix::fs::fstat(file)?))
}

fn of_stat(stat: &Stat) -> Seen {
    let modified = (wide(stat.st_mtime), wide(stat.st_mtime_nsec));
    let len = u64::try_from(stat.st_size).unwrap_or(0);
    Seen { device: wide(stat.st_dev), inode: wide(stat.st_ino), modified, len }
}

fn wide(number: impl Into<i128>) -> i128 {
    number.into()
}

/// No link is followed, and nothing is waited for, such as the other end of a pipe.
const SAFE: OFlags =
    OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens a file of a folder.
pub(super) fn open(folder: &File, name: &str, access: OFlags) -> io::Result<File> {
    let opened = rustix::fs::openat(folder, name, access | SAFE, Mode::empty());
    let file = File::from(opened.map_err(|error| match error {
        Errno::LOOP => io::Error::other("it is a symbolic link"),
        other => other.into(),
    })?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// Creates a file of a folder, with mode 0600 under any umask; fails if it exists.
pub(super) fn create(folder: &File, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | SAFE;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The bytes of a file at an offset: as many as there are, up to a number.
pub(crate) fn read_at(file: &File, at: u64, len: u64) -> io::Result<Bytes> {
    // What is missing at the end is left out, before memory is taken for it.
    let len = len.min(file.metadata()?.len().saturating_sub(at));
    let len = usize::try_from(len).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let next = at + bytes.len() as u64;
        match pread(file, spare_capacity(&mut bytes), next) {
            // It was cut meanwhile.
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // An allocation may be longer than was asked for.
    bytes.truncate(len);
    Ok(bytes.into())
}
