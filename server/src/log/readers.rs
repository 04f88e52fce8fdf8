//! Threads that read bytes of segments from files.
//!
//! Every record is checked before a byte of it leaves. No lock is held while a file is read: a file
//! that is removed meanwhile was compacted, and its bytes are looked for again.

use std::{
    fmt, io, mem,
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use bytes::{Bytes, BytesMut};
use pravega_sdk_server_core::{
    log::{Fetch, FetchStep, Prefetch, ReadFile, SegmentNumber},
    store,
};

use super::{
    disk::Disk,
    kept::{Kept, Phase},
    owner::{Owner, ReadFailure, SegmentRange},
    read_queue::{Asker, Waiting},
};

use crate::locks::lock;

/// The number of threads.
const THREADS: usize = 2;
/// The most bytes of a file that are read at once because those before them were.
const READ_LEN: u64 = 256 << 10;

/// What is done with the bytes.
pub(crate) type Done = Box<dyn FnOnce(Result<Bytes, ReadFailure>) + Send>;

/// Who gets the first bytes of what is read, at least one, or the reason why there are none.
pub(crate) enum Then {
    /// The owner of the log, whose clients wait for them.
    Fetched(store::Fetch),
    /// Called on a thread that reads.
    Done(Done),
}

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetched(fetch) => f.debug_tuple("Fetched").field(fetch).finish(),
            Self::Done(_) => f.write_str("Done"),
        }
    }
}

/// Ranges of segments to read one after the other.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) parts: Vec<SegmentRange>,
    pub(crate) then: Then,
}

impl Job {
    fn asker(&self) -> Asker {
        match &self.then {
            Then::Fetched(fetch) => Asker::Connection(fetch.connection),
            Then::Done(_) => Asker::Server,
        }
    }
}

/// The reads that wait for a thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadQueue {
    shared: Arc<(Mutex<Queued>, Condvar)>,
}

#[derive(Debug, Default)]
struct Queued {
    jobs: Waiting<Job>,
    phase: Phase,
}

impl ReadQueue {
    fn queued(&self) -> MutexGuard<'_, Queued> {
        lock(&self.shared.0)
    }

    /// Adds a read; returns it if too many wait already.
    pub(crate) fn add(&self, job: Job) -> Result<(), Job> {
        let mut queued = self.queued();
        // After the end no client waits for it.
        if queued.phase == Phase::Running {
            queued.jobs.add(job.asker(), job)?;
            drop(queued);
            self.shared.1.notify_one();
        }
        Ok(())
    }

    /// Ends the threads; reads that wait are given up.
    pub(crate) fn close(&self) {
        let mut queued = self.queued();
        queued.phase = Phase::Ending;
        let jobs = mem::take(&mut queued.jobs);
        drop(queued);
        self.shared.1.notify_all();
        drop(jobs);
    }

    /// Waits for the next read; `None` at the end.
    fn next(&self) -> Option<Job> {
        let waits = |queued: &mut Queued| queued.jobs.is_empty() && queued.phase == Phase::Running;
        let queued = self.shared.1.wait_while(self.queued(), waits);
        queued.unwrap_or_else(PoisonError::into_inner).jobs.next()
    }
}

/// The threads, which end after [`ReadQueue::close`].
#[derive(Debug)]
pub(super) struct Readers {
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads.
    pub(super) fn start(
        disk: &Arc<dyn Disk>,
        kept: &Arc<Kept>,
        queue: &ReadQueue,
        owner: &Arc<dyn Owner>,
    ) -> io::Result<Self> {
        let prefetch = Arc::new(Mutex::new(Prefetch::default()));
        let start = |number: usize| {
            let (disk, kept, prefetch) =
                (Arc::clone(disk), Arc::clone(kept), Arc::clone(&prefetch));
            let (queue, owner) = (queue.clone(), Arc::clone(owner));
            std::thread::Builder::new().name(format!("pravega-read-{number}")).spawn(move || {
                let reader = Reader { disk: &*disk, kept: &kept, prefetch: &prefetch };
                while let Some(Job { parts, then }) = queue.next() {
                    let read = reader.read_parts(parts);
                    match then {
                        Then::Fetched(fetch) => owner.fetched(&fetch, read),
                        Then::Done(done) => done(read),
                    }
                }
            })
        };
        Ok(Self { threads: (0..THREADS).map(start).collect::<io::Result<_>>()? })
    }

    /// Waits for the end of the threads.
    pub(super) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the log has panicked");
            }
        }
    }
}

/// What a thread reads with.
struct Reader<'a> {
    disk: &'a dyn Disk,
    kept: &'a Kept,
    prefetch: &'a Mutex<Prefetch>,
}

/// Bytes of a file, of which the next read may want more.
struct Buffer {
    file: ReadFile,
    at: u64,
    bytes: Bytes,
}

impl Buffer {
    fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    fn get(&self, file: ReadFile, range: &Range<u64>) -> Option<Bytes> {
        if self.file != file || range.start < self.at || range.end > self.end() {
            return None;
        }
        let place = |at: u64| usize::try_from(at - self.at).ok();
        Some(self.bytes.slice(place(range.start)?..place(range.end)?))
    }

    /// How much is read of a file from an offset on, where `left` bytes of a segment are wanted:
    /// more than asked for, if the bytes before it were read just now.
    fn ahead(&self, file: ReadFile, at: u64, left: u64) -> u64 {
        let goes_on = self.file == file && (self.at..=self.end()).contains(&at);
        if goes_on { (2 * self.bytes.len() as u64).min(2 * left).min(READ_LEN) } else { 0 }
    }
}

impl Reader<'_> {
    /// The first bytes of ranges that follow each other: those before the first that cannot be
    /// read, or the reason if there are none.
    fn read_parts(&self, parts: Vec<SegmentRange>) -> Result<Bytes, ReadFailure> {
        let mut all = BytesMut::new();
        for (segment, range) in parts {
            let len = range.end.saturating_sub(range.start);
            match self.read(segment, range) {
                Ok(bytes) if all.is_empty() && bytes.len() as u64 >= len => all = bytes,
                Ok(bytes) => {
                    all.extend_from_slice(&bytes);
                    if (bytes.len() as u64) < len {
                        break;
                    }
                }
                Err(failure) if all.is_empty() => return Err(failure),
                // The next read begins at the failure, and reports it.
                Err(_) => break,
            }
        }
        Ok(all.freeze())
    }

    /// The first bytes of a range of a segment: those before the first that cannot be read, or the
    /// reason if there are none.
    fn read(&self, segment: SegmentNumber, range: Range<u64>) -> Result<BytesMut, ReadFailure> {
        let len = range.end.saturating_sub(range.start);
        let mut fetch = Fetch::new(segment, range.start, range.end);
        let most = usize::try_from(len.min(READ_LEN)).unwrap_or_default();
        let (mut out, mut buffer) = (BytesMut::with_capacity(most), None);
        let failure = loop {
            let step = fetch.poll(self.kept.keeper().index());
            match step {
                FetchStep::Read { file, range } => {
                    let left = len.saturating_sub(out.len() as u64);
                    match self.bytes_of(&mut buffer, file, range, left) {
                        Ok(bytes) => fetch.handle_read(bytes),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            fetch.handle_gone();
                        }
                        Err(error) => break ReadFailure::Disk { file: file.name(), error },
                    }
                }
                FetchStep::Bytes(bytes) => out.extend_from_slice(&bytes),
                FetchStep::Done => return Ok(out),
                FetchStep::Missing { offset } => break ReadFailure::Missing(offset),
                FetchStep::Damaged { file, at } => {
                    break ReadFailure::Damaged { file: file.name(), at };
                }
            }
        };
        // The next read begins at the failure, and reports it.
        if out.is_empty() { Err(failure) } else { Ok(out) }
    }

    fn bytes_of(
        &self,
        buffer: &mut Option<Buffer>,
        file: ReadFile,
        range: Range<u64>,
        left: u64,
    ) -> io::Result<Bytes> {
        if let Some(bytes) = buffer.as_ref().and_then(|buffer| buffer.get(file, &range)) {
            return Ok(bytes);
        }
        let (len, mut ahead) = (range.end.saturating_sub(range.start), 0);
        if let ReadFile::Log(number) = file {
            ahead = buffer.as_ref().map_or(0, |buffer| buffer.ahead(file, range.start, left));
            let next = lock(self.prefetch).follow(number, &range);
            if let Some(next) = next {
                self.disk.will_read(&file.name(), next);
            }
        }
        let bytes = self.disk.read_at(&file.name(), range.start, len.max(ahead))?;
        let wanted = bytes.slice(..bytes.len().min(usize::try_from(len).unwrap_or(usize::MAX)));
        *buffer = Some(Buffer { file, at: range.start, bytes });
        Ok(wanted)
    }
}
