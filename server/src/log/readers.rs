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
/// The memory that is taken for the bytes of a read before there are any, at most.
const FIRST_LEN: u64 = 256 << 10;

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
                    match then {
                        Then::Fetched(fetch) => {
                            let mut bytes = fetch.gather();
                            let read = reader.read_parts(parts, &mut |part| bytes.push(part));
                            owner.fetched(&fetch, read.map(|()| bytes));
                        }
                        Then::Done(done) => {
                            let len =
                                parts.iter().map(|(_, part)| part.end.saturating_sub(part.start));
                            let len =
                                usize::try_from(len.fold(0, u64::saturating_add).min(FIRST_LEN));
                            let mut bytes = BytesMut::with_capacity(len.unwrap_or_default());
                            let read =
                                reader.read_parts(parts, &mut |part| bytes.extend_from_slice(part));
                            done(read.map(|()| bytes.freeze()));
                        }
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

impl Reader<'_> {
    /// Hands over the first bytes of ranges that follow each other: those before the first that
    /// cannot be read.
    ///
    /// # Errors
    ///
    /// The reason if there are none.
    fn read_parts(
        &self,
        parts: Vec<SegmentRange>,
        put: &mut dyn FnMut(&[u8]),
    ) -> Result<(), ReadFailure> {
        let mut is_first = true;
        for (segment, range) in parts {
            let len = range.end.saturating_sub(range.start);
            match self.read(segment, range, put) {
                Ok(read) if read < len => break,
                Ok(_) => {}
                Err(failure) if is_first => return Err(failure),
                // The next read begins at the failure, and reports it.
                Err(_) => break,
            }
            is_first = false;
        }
        Ok(())
    }

    /// Hands over the first bytes of a range of a segment, those before the first that cannot be
    /// read, and returns how many there are.
    ///
    /// # Errors
    ///
    /// The reason if there are none.
    fn read(
        &self,
        segment: SegmentNumber,
        range: Range<u64>,
        put: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, ReadFailure> {
        let known = self.kept.spans_of(segment, range.start);
        let mut fetch = Fetch::new(segment, range.start, range.end).knowing(known);
        let mut read = 0;
        let failure = loop {
            let step = fetch.poll(self.kept.keeper().index());
            match step {
                FetchStep::Read { file, range } => match self.bytes_of(file, range) {
                    Ok(bytes) => fetch.handle_read(bytes),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => fetch.handle_gone(),
                    Err(_) if fetch.handle_unreadable() => {}
                    Err(error) => break ReadFailure::Disk { file: file.name(), error },
                },
                FetchStep::Bytes(bytes) => {
                    read += bytes.len() as u64;
                    put(&bytes);
                }
                FetchStep::Done => {
                    self.kept.keep_spans(segment, fetch.into_known());
                    return Ok(read);
                }
                FetchStep::Missing { offset } => break ReadFailure::Missing(offset),
                FetchStep::Damaged { file, at } => {
                    break ReadFailure::Damaged { file: file.name(), at };
                }
            }
        };
        // The next read begins at the failure, and reports it.
        if read == 0 { Err(failure) } else { Ok(read) }
    }

    fn bytes_of(&self, file: ReadFile, range: Range<u64>) -> io::Result<Bytes> {
        if let ReadFile::Log(number) = file {
            let next = lock(self.prefetch).follow(number, &range);
            if let Some(next) = next {
                self.disk.will_read(&file.name(), next);
            }
        }
        self.disk.read_at(&file.name(), range.start, range.end.saturating_sub(range.start))
    }
}
