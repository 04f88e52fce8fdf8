//! The files of a running server, which it keeps while they are copied.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use pravega_sdk_server_core::log::{KEEPING_NAME, Snapshot};

use super::offer::{Answer, MOST_OFFERED};
use crate::folder::ReadFolder;
use crate::locks::lock;

/// How long an answer may take: a step that changes files is waited for.
const ANSWER: Duration = Duration::from_secs(60);
/// The interval at which a server learns that a copy goes on.
const EVERY: Duration = Duration::from_secs(5);

/// The files that a server keeps until this is dropped.
#[derive(Debug)]
pub(super) struct Keeping {
    socket: UnixStream,
    /// When the server was told something last.
    told: Mutex<Instant>,
}

impl Keeping {
    /// Asks the server that uses a folder to keep its files.
    pub(super) fn ask(folder: &ReadFolder) -> io::Result<(Self, Snapshot)> {
        let socket = folder.connect(KEEPING_NAME)?;
        socket.set_write_timeout(Some(ANSWER))?;
        let line = line(&socket, Instant::now() + ANSWER)?;
        let snapshot = match serde_json::from_slice(&line)? {
            Answer::Offer(offer) => offer.into_snapshot(),
            Answer::Failure(why) => return Err(io::Error::other(why)),
        };
        let later = || io::Error::other("it is of another version");
        Ok((Self { socket, told: Mutex::new(Instant::now()) }, snapshot.ok_or_else(later)?))
    }

    /// Tells the server that it need not keep a file any longer.
    fn release(&self, name: &str) -> io::Result<()> {
        *lock(&self.told) = Instant::now();
        let told = (&self.socket).write_all(format!("{name}\n").as_bytes());
        told.map_err(|error| {
            let why = format!("the server does not keep its files any longer: {error}");
            io::Error::new(error.kind(), why)
        })
    }

    /// Tells the server from time to time that the copy goes on.
    fn go_on(&self) -> io::Result<()> {
        let told = *lock(&self.told);
        if told.elapsed() < EVERY { Ok(()) } else { self.release("") }
    }
}

/// A backup that is under way: its reads keep it so.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Returns true if the backup is not wanted any longer.
    pub(super) is_ended: Arc<AtomicBool>,
    /// What a running server keeps for it.
    pub(super) keeping: Option<Keeping>,
}

impl Progress {
    /// Goes on with the next read.
    ///
    /// # Errors
    ///
    /// If the backup has ended, or the server does not keep its files any longer.
    pub(super) fn go_on(&self) -> io::Result<()> {
        if self.is_ended.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "it is not wanted any longer"));
        }
        self.keeping.as_ref().map_or(Ok(()), Keeping::go_on)
    }

    /// Notes that a file is not read any longer.
    pub(super) fn release(&self, name: &str) -> io::Result<()> {
        self.keeping.as_ref().map_or(Ok(()), |keeping| keeping.release(name))
    }
}

/// Reads a line until a deadline, without its end.
fn line(socket: &UnixStream, by: Instant) -> io::Result<Vec<u8>> {
    let (mut reader, mut line) = (BufReader::new(socket), Vec::new());
    loop {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
        if end.is_some() {
            return Ok(line);
        }
        if line.len() > MOST_OFFERED {
            return Err(io::Error::other("its answer is too long"));
        }
        let len = bytes.len();
        reader.consume(len);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read as _;

    use super::*;

    /// The progress of a backup that a server has not heard of for a time, and the server's side.
    pub(in crate::copy) fn silent() -> (Progress, UnixStream) {
        let (socket, server) = UnixStream::pair().unwrap();
        let told = Mutex::new(Instant::now().checked_sub(2 * EVERY).unwrap());
        (Progress { keeping: Some(Keeping { socket, told }), ..Progress::default() }, server)
    }

    #[test]
    fn a_server_hears_of_a_copy_from_time_to_time_and_of_each_file() {
        let (progress, mut server) = silent();
        (0..3).for_each(|_| progress.go_on().unwrap());
        progress.release("log-00000001").unwrap();
        progress.go_on().unwrap();
        drop(progress);
        let mut heard = String::new();
        server.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "\nlog-00000001\n");
    }

    #[test]
    fn a_copy_ends_with_its_server_or_when_it_is_not_wanted() {
        let (progress, server) = silent();
        drop(server);
        assert_eq!(progress.go_on().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let progress = Progress::default();
        progress.go_on().unwrap();
        progress.is_ended.store(true, Ordering::Release);
        assert_eq!(progress.go_on().unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
