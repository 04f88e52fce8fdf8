//! The thread that writes the journal.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use pravega_sdk_server_core::record::{Record, Sequence};
use tokio::sync::watch;

use super::{
    disk::Disk,
    durable::Durable,
    files::{MARK, UNFINISHED, file_name},
    format::{FRAME_HEAD_LEN, Kind, Mark, SLOT_STRIDE, complete_frame, head, put_frame},
    recovery::Recovered,
};

/// The approximate length of one write at most, in bytes.
const WRITE_BYTES: usize = 4 << 20;
/// The memory of a record besides its names and data, in bytes.
const RECORD_OVERHEAD: usize = 192;
/// A journal that grew by this many bytes, and to a multiple of its first length, is rewritten.
const REWRITE_BYTES: u64 = 256 << 20;
const REWRITE_TIMES: u64 = 3;

/// Records that take effect together.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) sequence: Sequence,
    pub(crate) records: Vec<Record>,
}

/// Batches on their way to the disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct JournalQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    /// The memory of all batches that were not written, in bytes.
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    batches: Vec<Batch>,
    /// The whole server, to begin a new file with; `batches` follow it.
    snapshot: Option<Batch>,
    /// True if the file is so long that a new one should be begun.
    wants_snapshot: bool,
    closed: bool,
}

impl JournalQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch.
    pub(crate) fn push(&self, sequence: Sequence, records: Vec<Record>) {
        self.shared.bytes.fetch_add(memory(&records), Ordering::Relaxed);
        self.state().batches.push(Batch { sequence, records });
        self.shared.filled.notify_one();
    }

    /// The memory of the batches that were not written yet, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Gives back the memory of batches.
    fn done_with(&self, batches: Vec<Batch>) {
        let bytes = batches.iter().map(|batch| memory(&batch.records)).sum();
        self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns true if a new file should be begun, with [`Self::rewrite`].
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.state().wants_snapshot
    }

    /// Begins a new file with the records of the whole server as of the last batch.
    pub(crate) fn rewrite(&self, sequence: Sequence, records: Vec<Record>) {
        let mut state = self.state();
        state.wants_snapshot = false;
        let obsolete = std::mem::take(&mut state.batches);
        self.done_with(obsolete);
        state.snapshot = Some(Batch { sequence, records });
        drop(state);
        self.shared.filled.notify_one();
    }

    /// Ends the writer after the batches in the queue.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.shared.filled.notify_one();
    }
}

/// The writer's thread; it ends after [`JournalQueue::close`].
pub(crate) type Writer = JoinHandle<()>;

/// Starts the thread that writes a journal, after the part that was read back.
///
/// With a `snapshot`, which a new or a mostly obsolete journal needs, a new file is begun.
pub(crate) fn start(
    disk: Box<dyn Disk>,
    recovered: Option<Recovered>,
    salt: u64,
    snapshot: Option<Vec<Record>>,
    queue: JournalQueue,
) -> io::Result<(watch::Receiver<Durable>, Writer)> {
    let mut journal = JournalFile::open(disk, recovered, salt);
    if let Some(snapshot) = snapshot {
        journal.rewrite(journal.sequence, &snapshot)?;
    }
    let (durable, receiver) = watch::channel(Durable::To(journal.sequence));
    let writer = std::thread::Builder::new()
        .name("pravega-journal".to_owned())
        .spawn(move || write_all(journal, &queue, &durable))?;
    Ok((receiver, writer))
}

fn write_all(mut journal: JournalFile, queue: &JournalQueue, durable: &watch::Sender<Durable>) {
    loop {
        let Work { snapshot, batches, closed } = next(queue);
        let done = match (&snapshot, batches.is_empty()) {
            (None, true) => Ok(()),
            (None, false) => journal.write(&batches),
            (Some(Batch { sequence, records }), _) => {
                journal.rewrite(*sequence, records).and_then(|()| journal.write(&batches))
            }
        };
        let was_idle = batches.is_empty();
        queue.done_with(batches);
        match done {
            Ok(()) => drop(durable.send_replace(Durable::To(journal.sequence))),
            Err(error) => {
                tracing::error!(%error, "cannot write the journal; it takes no more changes");
                let why = format!("cannot write the journal: {error}");
                durable.send_replace(Durable::Failed { to: journal.sequence, why });
                return;
            }
        }
        if journal.is_overgrown() {
            queue.state().wants_snapshot = true;
        }
        if closed && was_idle {
            // The next start knows that no write was torn.
            if let Err(error) = journal.end() {
                tracing::warn!(%error, "cannot mark the end of the journal");
            }
            return;
        }
    }
}

/// The next work of the thread.
struct Work {
    /// The whole server, to begin a new file with.
    snapshot: Option<Batch>,
    /// Batches after it.
    batches: Vec<Batch>,
    /// True if no more work follows.
    closed: bool,
}

/// Waits for work.
fn next(queue: &JournalQueue) -> Work {
    let mut state = queue.state();
    while state.batches.is_empty() && state.snapshot.is_none() && !state.closed {
        state = queue.shared.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    Work {
        snapshot: state.snapshot.take(),
        batches: std::mem::take(&mut state.batches),
        closed: state.closed,
    }
}

/// The file that the thread writes to.
pub(super) struct JournalFile {
    disk: Box<dyn Disk>,
    number: u64,
    salt: u64,
    len: u64,
    /// The length of the file when it was begun.
    began: u64,
    pub(super) sequence: Sequence,
    slot: usize,
    /// The memory of the last frame, for the next one.
    frame: Vec<u8>,
}

impl JournalFile {
    pub(super) fn open(disk: Box<dyn Disk>, recovered: Option<Recovered>, salt: u64) -> Self {
        let frame = Vec::new();
        match recovered {
            None => {
                let sequence = Sequence(0);
                Self { disk, number: 0, salt, len: 0, began: 0, sequence, slot: 0, frame }
            }
            Some(Recovered { number, salt, len, sequence, .. }) => {
                Self { disk, number, salt, len, began: len, sequence, slot: 0, frame }
            }
        }
    }

    fn is_overgrown(&self) -> bool {
        self.len > self.began + REWRITE_BYTES && self.len > self.began.saturating_mul(REWRITE_TIMES)
    }

    /// Writes batches, and syncs.
    pub(super) fn write(&mut self, batches: &[Batch]) -> io::Result<()> {
        let mut rest = batches;
        while !rest.is_empty() {
            let mut frame = std::mem::take(&mut self.frame);
            frame.clear();
            frame.resize(FRAME_HEAD_LEN, 0);
            let mut sequence = self.sequence;
            while let Some((first, others)) = rest.split_first()
                && frame.len() < WRITE_BYTES
            {
                frame.reserve(memory(&first.records) as usize);
                encode(&first.records, &mut frame)?;
                sequence = first.sequence;
                rest = others;
            }
            self.commit(Kind::Batches, sequence, &mut frame)?;
            if frame.capacity() <= 2 * WRITE_BYTES {
                self.frame = frame;
            }
        }
        Ok(())
    }

    /// Writes a frame whose head is still to be filled in, and syncs.
    fn commit(&mut self, kind: Kind, sequence: Sequence, frame: &mut [u8]) -> io::Result<()> {
        let file = file_name(self.number);
        complete_frame(frame, self.salt, kind, sequence)?;
        self.disk.append(&file, frame)?;
        self.disk.sync(&file)?;
        self.len += frame.len() as u64;
        self.sequence = sequence;
        self.mark(false)
    }

    /// Records the synced length of the file. The mark itself is synced only where a new file
    /// begins: after a failure of the system it may be too small, never too large.
    fn mark(&mut self, synced: bool) -> io::Result<()> {
        let mark = Mark { number: self.number, len: self.len, sequence: self.sequence.0 };
        self.disk.write_at(MARK, (self.slot * SLOT_STRIDE) as u64, &mark.slot())?;
        self.slot = 1 - self.slot;
        if synced { self.disk.sync(MARK) } else { Ok(()) }
    }

    /// Begins a new file with the whole server, which replaces the old one once it is complete.
    pub(super) fn rewrite(&mut self, sequence: Sequence, records: &[Record]) -> io::Result<()> {
        let salt = self.salt.rotate_left(7) ^ self.len ^ 0x9E37_79B9_7F4A_7C15;
        self.disk.create(UNFINISHED)?;
        let mut bytes = head(salt);
        let (mut len, mut payload) = (0, Vec::new());
        for record in records {
            encode(std::slice::from_ref(record), &mut payload)?;
            if payload.len() >= WRITE_BYTES {
                put_frame(&mut bytes, salt, Kind::Snapshot, sequence, &payload)?;
                self.disk.append(UNFINISHED, &bytes)?;
                len += bytes.len() as u64;
                bytes.clear();
                payload.clear();
            }
        }
        put_frame(&mut bytes, salt, Kind::SnapshotEnd, sequence, &payload)?;
        self.disk.append(UNFINISHED, &bytes)?;
        len += bytes.len() as u64;
        self.disk.sync(UNFINISHED)?;
        let (old, is_first) = (file_name(self.number), self.number == 0);
        if is_first {
            // The mark is created before the first journal: a journal without a mark is damage.
            self.disk.create(MARK)?;
            self.disk.write_at(MARK, 0, &Mark { number: 0, len: 0, sequence: 0 }.slot())?;
            self.disk.sync(MARK)?;
            self.disk.sync_folder()?;
            self.slot = 1;
        }
        self.number += 1;
        self.disk.rename(UNFINISHED, &file_name(self.number))?;
        self.disk.sync_folder()?;
        (self.salt, self.len, self.began, self.sequence) = (salt, len, len, sequence);
        self.mark(true)?;
        if !is_first {
            self.disk.remove(&old)?;
        }
        Ok(())
    }

    /// Records that the server was shut down.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.commit(Kind::Clean, self.sequence, &mut [0; FRAME_HEAD_LEN])?;
        self.mark(true)
    }
}

/// The approximate memory of records until they are written, in bytes.
fn memory(records: &[Record]) -> u64 {
    records.iter().map(|record| (RECORD_OVERHEAD + content_len(record)) as u64).sum()
}

/// The length of the names, data and numbers of a record.
fn content_len(record: &Record) -> usize {
    match record {
        Record::Created { segment, attributes, .. }
        | Record::Attributed { segment, attributes } => segment.len() + attributes.len() * 24,
        Record::Appended { segment, data, attributes, .. } => {
            segment.len() + data.len() + attributes.len() * 24
        }
        Record::Merged { target, source, attributes, .. } => {
            target.len() + source.len() + attributes.len() * 24
        }
        Record::Sealed { segment, .. }
        | Record::Truncated { segment, .. }
        | Record::Deleted { segment }
        | Record::Restored { segment, .. } => segment.len(),
        Record::Put { segment, entries, .. } => {
            let entry = |(key, value): &(Bytes, Bytes)| key.len() + value.len() + 64;
            segment.len() + entries.iter().map(entry).sum::<usize>()
        }
        Record::Removed { segment, keys, .. } => {
            segment.len() + keys.iter().map(|key| key.len() + 32).sum::<usize>()
        }
        Record::CatalogEntry { key, value } => key.len() + value.as_ref().map_or(0, Bytes::len),
        Record::RestoredEntry { segment, key, value, .. } => {
            segment.len() + key.len() + value.len()
        }
    }
}

fn encode(records: &[Record], out: &mut Vec<u8>) -> io::Result<()> {
    for record in records {
        let taken = std::mem::take(out);
        *out = postcard::to_extend(record, taken).map_err(io::Error::other)?;
    }
    Ok(())
}
