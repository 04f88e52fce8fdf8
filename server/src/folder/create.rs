//! Opening a folder, which is created if it does not exist.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

/// Opens a folder. It and those above it that do not exist are created with mode 0700 under any
/// umask, and durably; one that exists stays as it is.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    let path = without_trailing(path);
    let mut missing = Vec::new();
    let mut above = Some(path);
    while let Some(folder) = above
        && let Err(error) = fs::symlink_metadata(folder)
    {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        missing.push(folder);
        // A relative path ends with an empty one: the present folder.
        above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    }
    for folder in missing.into_iter().rev() {
        create(folder)?;
    }
    open(path)
}

/// Names what is in the way of a folder that cannot be opened or created.
pub(super) fn in_the_way(path: &Path, error: io::Error) -> io::Error {
    let is_in_the_way = |part: &&Path| fs::metadata(part).is_ok_and(|found| !found.is_dir());
    let Some(found) = path.ancestors().find(is_in_the_way) else { return error };
    let named = if found == path { "it".to_owned() } else { found.display().to_string() };
    let why = format!("{named} is not a folder; name a folder, or a path where one can be created");
    io::Error::new(error.kind(), why)
}

/// Opens a folder that is no link.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(without_trailing(path), flags, Mode::empty());
    Ok(File::from(opened.map_err(|error| match error {
        rustix::io::Errno::LOOP => is_link(path),
        // Linux says so of a link, too.
        rustix::io::Errno::NOTDIR if path_is_link(path) => is_link(path),
        other => other.into(),
    })?))
}

fn path_is_link(path: &Path) -> bool {
    fs::symlink_metadata(without_trailing(path)).is_ok_and(|found| found.is_symlink())
}

fn is_link(path: &Path) -> io::Error {
    // The link itself may be replaced while its folder is in use.
    let to = fs::canonicalize(path).ok().filter(|to| to.is_dir());
    io::Error::other(match to {
        Some(to) => format!("it is a symbolic link; name the folder itself: {}", to.display()),
        None => "it is a symbolic link; name a folder".to_owned(),
    })
}

/// A path without slashes and dots at its end, by which a link would be followed.
fn without_trailing(path: &Path) -> &Path {
    let plain = path.components().as_path();
    if plain.as_os_str().is_empty() { path } else { plain }
}

fn create(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        // Another process was faster: it is not ours to change.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    open(folder)?.set_permissions(Permissions::from_mode(0o700))?;
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.map_or_else(|| PathBuf::from("."), Path::to_owned);
    // Those above may be links.
    File::open(above)?.sync_all()
}
