//! Threads that read bytes of segments from files.
//!
//! Every record is checked before a byte of it leaves. No lock is held while a file is read: a file
//! that is removed meanwhile was compacted, and its bytes are looked for again.

use std::{
    io,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use bytes::{Bytes, BytesMut};
use pravega_sdk_server_core::log::{Fetch, FetchStep, Index, ReadFile, SegmentNumber};

use super::disk::Disk;

/// The number of threads.
const THREADS: usize = 2;
/// The most reads that wait for a thread. More wait at the one that asks.
const WAITING: usize = 1024;
/// The most bytes of a file that are read at once.
const READ_LEN: u64 = 1 << 20;

/// The reason why bytes cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// The next byte is in no file.
    #[error("the byte at offset {0} is in no file")]
    Missing(u64),
    /// A file is damaged.
    #[error("{file} is damaged at byte {at}")]
    Damaged {
        /// The file.
        file: String,
        /// The offset of the damage in it.
        at: u64,
    },
    /// The disk has failed.
    #[error("{file} cannot be read: {error}")]
    Disk {
        /// The file.
        file: String,
        /// The cause.
        error: io::Error,
    },
}

/// A range of a segment to read, and who waits for it.
pub(crate) struct Job {
    pub(crate) segment: SegmentNumber,
    pub(crate) range: Range<u64>,
    /// Called on the thread with the first bytes of the range: at least one.
    pub(crate) done: Box<dyn FnOnce(Result<Bytes, ReadFailure>) + Send>,
}

/// The threads, which end after this handle.
#[derive(Debug)]
pub(crate) struct Readers {
    jobs: SyncSender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads.
    pub(crate) fn start(disk: &Arc<dyn Disk>, index: &Arc<Mutex<Index>>) -> io::Result<Self> {
        let (jobs, receiver) = sync_channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |number: usize| {
            let (disk, index) = (Arc::clone(disk), Arc::clone(index));
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new()
                .name(format!("pravega-read-{number}"))
                .spawn(move || run(&*disk, &index, &receiver))
        };
        let threads = (0..THREADS).map(start).collect::<io::Result<_>>()?;
        Ok(Self { jobs, threads })
    }

    /// Reads a range; returns the job if too many wait already.
    pub(crate) fn read(&self, job: Job) -> Result<(), Job> {
        use std::sync::mpsc::TrySendError::{Disconnected, Full};
        self.jobs.try_send(job).map_err(|(Full(job) | Disconnected(job))| job)
    }

    /// Ends the threads after all reads.
    pub(crate) fn end(self) {
        drop(self.jobs);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the log has panicked");
            }
        }
    }
}

fn run(disk: &dyn Disk, index: &Mutex<Index>, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { segment, range, done }) = job else { return };
        done(read(disk, index, segment, range));
    }
}

/// Bytes of a file, of which the next read may want more.
struct Buffer {
    file: ReadFile,
    at: u64,
    bytes: Bytes,
}

impl Buffer {
    fn get(&self, file: ReadFile, range: &Range<u64>) -> Option<Bytes> {
        let end = self.at + self.bytes.len() as u64;
        if self.file != file || range.start < self.at || range.end > end {
            return None;
        }
        let place = |at: u64| usize::try_from(at - self.at).ok();
        Some(self.bytes.slice(place(range.start)?..place(range.end)?))
    }
}

/// The first bytes of a range of a segment: those before the first that cannot be read, or the
/// reason if there are none.
fn read(
    disk: &dyn Disk,
    index: &Mutex<Index>,
    segment: SegmentNumber,
    range: Range<u64>,
) -> Result<Bytes, ReadFailure> {
    let len = range.end.saturating_sub(range.start);
    let mut fetch = Fetch::new(segment, range.start, range.end);
    let (mut out, mut buffer) = (BytesMut::new(), None);
    let failure = loop {
        let step = fetch.poll(&index.lock().unwrap_or_else(PoisonError::into_inner));
        match step {
            FetchStep::Read { file, range } => {
                // The rest of the range likely follows. All of it was durable before this read.
                let ahead = (2 * len.saturating_sub(out.len() as u64)).min(READ_LEN);
                match bytes_of(disk, &mut buffer, file, range, ahead) {
                    Ok(bytes) => fetch.handle_read(bytes),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => fetch.handle_gone(),
                    Err(error) => break ReadFailure::Disk { file: file.name(), error },
                }
            }
            FetchStep::Bytes(bytes) => out.extend_from_slice(&bytes),
            FetchStep::Done => return Ok(out.freeze()),
            FetchStep::Missing { offset } => break ReadFailure::Missing(offset),
            FetchStep::Damaged { file, at } => {
                break ReadFailure::Damaged { file: file.name(), at };
            }
        }
    };
    // The next read begins at the failure, and reports it.
    if out.is_empty() { Err(failure) } else { Ok(out.freeze()) }
}

fn bytes_of(
    disk: &dyn Disk,
    buffer: &mut Option<Buffer>,
    file: ReadFile,
    range: Range<u64>,
    ahead: u64,
) -> io::Result<Bytes> {
    if let Some(bytes) = buffer.as_ref().and_then(|buffer| buffer.get(file, &range)) {
        return Ok(bytes);
    }
    let len = range.end.saturating_sub(range.start);
    let bytes = disk.read_at(&file.name(), range.start, len.max(ahead))?;
    let wanted = bytes.slice(..bytes.len().min(usize::try_from(len).unwrap_or(usize::MAX)));
    *buffer = Some(Buffer { file, at: range.start, bytes });
    Ok(wanted)
}
