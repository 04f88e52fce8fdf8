//! Sockets in a folder, for processes of users who may write in it.

use std::{
    fs::File,
    io,
    os::{
        fd::AsRawFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
};

use rustix::fs::{AtFlags, Mode};

/// The path of a name in a folder by the descriptor of the folder: it is short, as that of a socket
/// must be, and not of another folder that took the place of this one.
fn path(folder: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

/// Listens on a socket, which replaces one that a process has left. Only its user can connect.
pub(super) fn listen(folder: &File, name: &str) -> io::Result<UnixListener> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let listener = UnixListener::bind(path(folder, name))?;
    rustix::fs::chmodat(folder, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    Ok(listener)
}

/// Connects to a socket.
pub(super) fn connect(folder: &File, name: &str) -> io::Result<UnixStream> {
    UnixStream::connect(path(folder, name))
}
