//! The files of a running server, which it keeps while they are copied.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Write as _},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use pravega_sdk_server_core::log::{KEEPING_NAME, Snapshot};

use super::offer::{Answer, Line, MOST_OFFERED, MOST_READ, ReadAnswer};
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
    /// The names of files that another program has removed or replaced, and that only the server
    /// can read; `None` if it does not read for others.
    lost: Option<BTreeSet<String>>,
}

impl Keeping {
    /// Asks the server that uses a folder to keep its files.
    pub(super) fn ask(folder: &ReadFolder) -> io::Result<(Self, Snapshot)> {
        let socket = folder.connect(KEEPING_NAME)?;
        socket.set_write_timeout(Some(ANSWER))?;
        let line = line(&socket, Instant::now() + ANSWER)?;
        let (lost, snapshot) = match serde_json::from_slice(&line)? {
            Answer::Offer(mut offer) => (offer.take_lost(), offer.into_snapshot()),
            Answer::Failure(why) => return Err(io::Error::other(why)),
        };
        let later = || io::Error::other("it is of another version");
        let keeping = Self { socket, told: Mutex::new(Instant::now()), lost };
        Ok((keeping, snapshot.ok_or_else(later)?))
    }

    /// Has the server read bytes of a file: as many as there are, up to a number.
    fn read(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        let (mut all, mut at, end) = (Vec::new(), at, at.saturating_add(len));
        // One at a time: a request and its answer.
        let mut told = lock(&self.told);
        while at < end {
            let len = (end - at).min(MOST_READ);
            let request = Line::Read { name, at, len };
            (&self.socket).write_all(request.text().as_bytes())?;
            let by = Instant::now() + ANSWER;
            let mut reader = BufReader::new(&self.socket);
            let read = match serde_json::from_slice(&line_of(&mut reader, &self.socket, by)?)? {
                ReadAnswer::Bytes(read) if read <= len => read,
                ReadAnswer::Bytes(_) => return Err(io::Error::other("its answer is too long")),
                ReadAnswer::Missing => return Err(io::ErrorKind::NotFound.into()),
                ReadAnswer::Failure(why) => {
                    return Err(io::Error::other(format!("the server cannot read it: {why}")));
                }
            };
            bytes_of(&mut reader, &self.socket, by, read, &mut all)?;
            *told = Instant::now();
            at += read;
            if read == 0 {
                break;
            }
        }
        Ok(all.into())
    }

    /// Tells the server that it need not keep a file any longer.
    fn release(&self, name: &str) -> io::Result<()> {
        *lock(&self.told) = Instant::now();
        let told = (&self.socket).write_all(Line::Release(name).text().as_bytes());
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

    /// Returns true if another program has removed or replaced a file, before the server told what
    /// it has.
    pub(super) fn is_lost(&self, name: &str) -> bool {
        let lost = self.keeping.as_ref().and_then(|keeping| keeping.lost.as_ref());
        lost.is_some_and(|lost| lost.contains(name))
    }

    /// Has the server read bytes of a file. Returns `None` if none runs, or it does not read for
    /// others.
    ///
    /// # Errors
    ///
    /// If the server cannot read them, or does not answer.
    pub(super) fn read(&self, name: &str, at: u64, len: u64) -> Option<io::Result<Bytes>> {
        let keeping = self.keeping.as_ref().filter(|keeping| keeping.lost.is_some())?;
        Some(keeping.read(name, at, len))
    }

    /// Notes that a file is not read any longer.
    pub(super) fn release(&self, name: &str) -> io::Result<()> {
        self.keeping.as_ref().map_or(Ok(()), |keeping| keeping.release(name))
    }
}

/// Reads the first line until a deadline, without its end.
fn line(socket: &UnixStream, by: Instant) -> io::Result<Vec<u8>> {
    line_of(&mut BufReader::new(socket), socket, by)
}

/// Reads a line of a socket until a deadline, without its end.
fn line_of(reader: &mut impl BufRead, socket: &UnixStream, by: Instant) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let bytes = next(reader, socket, by)?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
        let used = end.map_or(bytes.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(line);
        }
        if line.len() > MOST_OFFERED {
            return Err(io::Error::other("its answer is too long"));
        }
    }
}

/// Reads a number of bytes of a socket until a deadline.
fn bytes_of(
    reader: &mut impl BufRead,
    socket: &UnixStream,
    by: Instant,
    mut left: u64,
    all: &mut Vec<u8>,
) -> io::Result<()> {
    while left > 0 {
        let bytes = next(reader, socket, by)?;
        let used = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        all.extend_from_slice(bytes.get(..used).unwrap_or_default());
        reader.consume(used);
        left -= used as u64;
    }
    Ok(())
}

/// The next bytes of a socket, at least one.
fn next<'a>(
    reader: &'a mut impl BufRead,
    socket: &UnixStream,
    by: Instant,
) -> io::Result<&'a [u8]> {
    let left = by.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    socket.set_read_timeout(Some(left))?;
    match reader.fill_buf()? {
        [] => Err(io::ErrorKind::UnexpectedEof.into()),
        bytes => Ok(bytes),
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
        let keeping = Some(Keeping { socket, told, lost: None });
        (Progress { keeping, ..Progress::default() }, server)
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
    fn what_only_the_server_can_read_is_asked_for_in_parts() {
        let (socket, server) = UnixStream::pair().unwrap();
        let lost = Some(BTreeSet::from(["log-00000001".to_owned()]));
        let keeping = Keeping { socket, told: Mutex::new(Instant::now()), lost };
        let progress = Progress { keeping: Some(keeping), ..Progress::default() };
        assert!(progress.is_lost("log-00000001") && !progress.is_lost("log-00000002"));
        let served = std::thread::spawn(move || {
            let (mut reader, mut asked) = (BufReader::new(&server), Vec::new());
            let answers = [(r#"{"bytes":1048576}"#, MOST_READ), (r#"{"bytes":3}"#, 3)];
            for (line, len) in answers.into_iter().chain([(r#""missing""#, 0)]) {
                let mut request = String::new();
                reader.read_line(&mut request).unwrap();
                asked.push(request);
                (&server).write_all(format!("{line}\n").as_bytes()).unwrap();
                (&server).write_all(&vec![7; len as usize]).unwrap();
            }
            asked
        });
        let read = |len| progress.read("log-00000001", 9, len).unwrap();
        let bytes = read(MOST_READ + 3).unwrap();
        assert!(bytes.len() as u64 == MOST_READ + 3 && bytes.iter().all(|byte| *byte == 7));
        assert_eq!(read(1).unwrap_err().kind(), io::ErrorKind::NotFound);
        let first = "? 9 1048576 log-00000001\n";
        let asked = [first, "? 1048585 3 log-00000001\n", "? 9 1 log-00000001\n"];
        assert_eq!(served.join().unwrap(), asked);
        assert!(read(1).is_err(), "the server has ended");
        let (progress, _server) = silent();
        assert!(progress.read("log-00000001", 0, 1).is_none(), "an earlier version");
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
