//! The files of a running server, which it keeps while they are copied.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use pravega_sdk_server_core::log::{KEEPING_NAME, Snapshot};

use super::offer::{Answer, MOST_OFFERED};
use crate::folder::ReadFolder;

/// How long an answer may take: a step that changes files is waited for.
const ANSWER: Duration = Duration::from_secs(60);
/// The interval at which a server learns that a copy goes on.
const EVERY: Duration = Duration::from_secs(5);

/// The files that a server keeps until this is dropped.
#[derive(Debug)]
pub(super) struct Keeping {
    socket: UnixStream,
    told: Instant,
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
        Ok((Self { socket, told: Instant::now() }, snapshot.ok_or_else(later)?))
    }

    /// Tells the server that it need not keep a file any longer.
    pub(super) fn release(&mut self, name: &str) -> io::Result<()> {
        self.told = Instant::now();
        self.socket.write_all(format!("{name}\n").as_bytes())
    }

    /// Tells the server from time to time that the copy goes on.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        if self.told.elapsed() < EVERY { Ok(()) } else { self.release("") }
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
