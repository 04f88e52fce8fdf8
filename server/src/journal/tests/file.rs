//! A journal's file as earlier versions wrote it, and the one that replaces it.

use std::io;

use pravega_sdk_server_core::record::{Record, Sequence};

use super::{
    super::{
        files::{MARK, UNFINISHED, file_name},
        format::{Kind, Mark, SLOT_STRIDE, head, next_salt},
        recovery::Recovered,
    },
    disk::Disk,
    frames::Frame,
};

/// The approximate memory of the records of one frame, in bytes, unless one batch has more.
const FRAME_BYTES: usize = 4 << 20;
/// The bytes of a new file after which it is synced, so that its last sync is short.
const SYNC_BYTES: u64 = 4 << 20;

/// Records that take effect together.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) sequence: Sequence,
    pub(super) records: Vec<Record>,
    /// The records of a copy that follow from it, while one is made.
    pub(super) followed: Vec<Record>,
}

/// The file that is written.
pub(super) struct JournalFile {
    disk: Box<dyn Disk>,
    number: u64,
    salt: u64,
    len: u64,
    pub(super) sequence: Sequence,
    slot: usize,
    /// A copy of the server, which replaces the file once it is complete.
    copy: Option<NewFile>,
    /// The memory of the last frame, for the next one.
    buffer: Vec<u8>,
}

/// A file that is not complete yet.
#[derive(Debug, Clone, Copy)]
struct NewFile {
    salt: u64,
    len: u64,
    /// The part of it that was synced.
    synced: u64,
}

impl JournalFile {
    pub(super) fn open(disk: Box<dyn Disk>, recovered: Option<Recovered>, salt: u64) -> Self {
        let (number, salt, len, sequence, slot) = match recovered {
            None => (0, salt, 0, Sequence(0), 0),
            Some(Recovered { number, salt, len, sequence, slot, .. }) => {
                (number, salt, len, sequence, slot)
            }
        };
        let buffer = Vec::new();
        Self { disk, number, salt, len, sequence, slot, copy: None, buffer }
    }

    /// Writes batches, and syncs.
    pub(super) fn write<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a Batch> + Clone,
    ) -> io::Result<()> {
        let mut rest = batches.peekable();
        while rest.peek().is_some() {
            let (start, mut count, mut bytes) = (rest.clone(), 0, 0);
            let mut sequence = self.sequence;
            while let Some(next) = rest.next_if(|_| count == 0 || bytes < FRAME_BYTES) {
                count += 1;
                bytes += memory(&next.records);
                sequence = next.sequence;
            }
            let records = start.take(count).flat_map(|batch| &batch.records);
            self.commit(Kind::Batches, sequence, records, bytes)?;
        }
        Ok(())
    }

    /// Writes a frame, and syncs.
    fn commit<'a>(
        &mut self,
        kind: Kind,
        sequence: Sequence,
        records: impl Iterator<Item = &'a Record> + Clone,
        memory: usize,
    ) -> io::Result<()> {
        let file = file_name(self.number);
        let frame = Frame { salt: self.salt, kind, sequence, records, memory };
        let disk = &mut self.disk;
        let len = frame.write(&mut self.buffer, &mut |piece| disk.append(&file, piece))?;
        self.disk.sync(&file)?;
        self.len += len;
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

    /// Begins a new file, unless one is begun.
    fn begin_copy(&mut self) -> io::Result<NewFile> {
        if let Some(copy) = self.copy {
            return Ok(copy);
        }
        let salt = next_salt(self.salt, self.len);
        self.disk.create(UNFINISHED)?;
        let head = head(salt);
        self.disk.append(UNFINISHED, &head)?;
        Ok(NewFile { salt, len: head.len() as u64, synced: 0 })
    }

    /// Adds records to the new file, which is begun by the first ones.
    pub(super) fn add_to_copy(&mut self, records: &[Record]) -> io::Result<()> {
        self.put_in_copy(Kind::Snapshot, records)
    }

    fn put_in_copy(&mut self, kind: Kind, records: &[Record]) -> io::Result<()> {
        let mut copy = self.begin_copy()?;
        let (sequence, memory) = (self.sequence, memory(records));
        let frame = Frame { salt: copy.salt, kind, sequence, records: records.iter(), memory };
        let disk = &mut self.disk;
        copy.len += frame.write(&mut self.buffer, &mut |piece| disk.append(UNFINISHED, piece))?;
        if copy.len - copy.synced >= SYNC_BYTES || kind == Kind::SnapshotEnd {
            self.disk.sync(UNFINISHED)?;
            copy.synced = copy.len;
        }
        self.copy = Some(copy);
        Ok(())
    }

    /// Replaces the file by the new one, which has the whole server as of the last batch.
    pub(super) fn finish_copy(&mut self) -> io::Result<()> {
        self.put_in_copy(Kind::SnapshotEnd, &[])?;
        let Some(NewFile { salt, len, .. }) = self.copy.take() else {
            return Ok(());
        };
        let (old, is_first) = (file_name(self.number), self.number == 0);
        if is_first {
            // The mark is created before the first journal: a journal without a mark is damage.
            self.disk.create(MARK)?;
            self.disk.write_at(MARK, 0, &Mark { number: 0, len: 0, sequence: 0 }.slot())?;
            self.disk.sync(MARK)?;
            self.disk.sync_folder()?;
            self.slot = 1;
        } else {
            // While the next file is marked, the mark of this one is all that is left: if it were
            // of an older one, the next would be foreign.
            self.mark(true)?;
        }
        self.number += 1;
        self.disk.rename(UNFINISHED, &file_name(self.number))?;
        self.disk.sync_folder()?;
        (self.salt, self.len) = (salt, len);
        self.mark(true)?;
        if !is_first {
            self.disk.remove(&old)?;
        }
        Ok(())
    }

    /// Records that the server was shut down.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.commit(Kind::Clean, self.sequence, std::iter::empty(), 0)?;
        self.mark(true)
    }
}

/// The approximate memory of records, in bytes.
fn memory(records: &[Record]) -> usize {
    records.iter().map(Record::memory).sum()
}
