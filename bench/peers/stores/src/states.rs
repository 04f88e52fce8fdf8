//! What keeps the state: each store commits changes durably, with appended data or without.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fjall::{Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use pravega_sdk_server_core::{
    log::{
        CurrentFile, Effect, Event, FileNumber, FolderId, HEAD_LEN, LogRecord, LogWriter, MARK_LEN,
        MarkSlot, Outcome, Salt, SegmentNumber, Settings,
    },
    record::Sequence,
};
use redb::{Database, TableDefinition};

use crate::machine::Failure;

/// The memory that a store may use for its cache, in bytes.
pub const CACHE: usize = 64 << 20;
const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
const DATA: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("data");
/// The zeros that are written before the first commit, so that no commit changes a file's length.
pub const ROOM: u64 = 256 << 20;

/// A key and its new value.
pub type Change = (Vec<u8>, Vec<u8>);

/// Appended bytes and their offset.
pub type Data<'a> = Option<(u64, &'a [u8])>;

/// A store of the state.
pub trait States {
    /// Makes changes and data durable, all or none of them.
    fn commit(&mut self, changes: &[Change], data: Data<'_>) -> Result<(), Failure>;
}

/// Creates a store in an empty folder.
pub fn create(system: &str, dir: &Path) -> Result<Box<dyn States>, Failure> {
    Ok(match system {
        "disk" => Box::new(Raw::create(&dir.join("file"), ROOM)?),
        "log" => Box::new(Log::create(dir)?),
        "redb" => Box::new(Redb::create(dir, Repair::Full)?),
        "redb-quick" => Box::new(Redb::create(dir, Repair::Quick)?),
        "fjall" => Box::new(Fjall::create(dir)?),
        other => return Err(format!("no system is named {other}").into()),
    })
}

/// A file with zeros, into which bytes are written one after the other.
pub struct Raw {
    file: File,
    at: u64,
    bytes: Vec<u8>,
}

impl Raw {
    /// Creates the file with durable zeros.
    pub fn create(path: &Path, room: u64) -> Result<Self, Failure> {
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(path)?;
        let zeros = vec![0; 4 << 20];
        for at in (0..room).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0, bytes: Vec::new() })
    }

    /// Writes bytes and makes them durable.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all_at(bytes, self.at)?;
        self.file.sync_data()?;
        self.at += bytes.len() as u64;
        // The same room is used again: what is measured is the sync.
        if self.at + (4 << 20) > ROOM {
            self.at = 0;
        }
        Ok(())
    }
}

impl States for Raw {
    fn commit(&mut self, changes: &[Change], data: Data<'_>) -> Result<(), Failure> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        for (key, value) in changes {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        bytes.extend_from_slice(data.map_or(&[], |(_, data)| data));
        self.append(&bytes)?;
        self.bytes = bytes;
        Ok(())
    }
}

/// The server's log with the state in memory: the machine of the server, driven by one thread.
struct Log {
    writer: LogWriter,
    file: File,
    mark: File,
    sequence: u64,
    began: Instant,
    state: HashMap<Vec<u8>, Vec<u8>>,
}

impl Log {
    fn create(dir: &Path) -> Result<Self, Failure> {
        let file = Raw::create(&dir.join("log-00000001"), ROOM)?.file;
        let mark = File::create(dir.join("synced"))?;
        mark.set_len(MARK_LEN as u64)?;
        mark.sync_all()?;
        let settings = Settings { file_len: u64::MAX / 2, ahead: 0, ..Settings::new(FolderId(1)) };
        let current = CurrentFile { number: FileNumber(1), salt: Salt(7), len: HEAD_LEN as u64 };
        let writer =
            LogWriter::new(settings, Some(current), None, Sequence(0), MarkSlot::default());
        let state = HashMap::new();
        Ok(Self { writer, file, mark, sequence: 0, began: Instant::now(), state })
    }

    fn carry_out(&self, effect: Effect) -> Result<(), Failure> {
        match effect {
            Effect::Write { place, bytes } => self.file.write_all_at(&bytes, place.at)?,
            Effect::Sync { .. } => self.file.sync_data()?,
            Effect::Cut { .. } => return Err("a write was taken back".into()),
            Effect::Mark { slot, bytes, .. } => self.mark.write_all_at(&bytes, slot.at())?,
        }
        Ok(())
    }
}

impl States for Log {
    fn commit(&mut self, changes: &[Change], data: Data<'_>) -> Result<(), Failure> {
        let meta = |(key, value): &Change| Bytes::from([&key[..], &value[..]].concat());
        let mut records: Vec<LogRecord> =
            changes.iter().map(|change| LogRecord::Change { meta: meta(change) }).collect();
        if let Some((offset, data)) = data {
            let (meta, data) = (Bytes::new(), Bytes::copy_from_slice(data));
            records.push(LogRecord::Data { segment: SegmentNumber(1), offset, meta, data });
        }
        self.sequence += 1;
        self.writer.submit(Sequence(self.sequence), records)?;
        for (key, value) in changes {
            self.state.insert(key.clone(), value.clone());
        }
        loop {
            let now: Duration = self.began.elapsed();
            let effect = self.writer.poll(now).ok_or("the log has nothing to do")?;
            self.carry_out(effect)?;
            if let Some(Event::Committed(_)) = self.writer.handle(Outcome::Done) {
                return Ok(());
            }
        }
    }
}

/// What redb does after a crash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It reads the whole file.
    Full,
    /// It reads what each commit wrote for this.
    Quick,
}

struct Redb {
    database: Database,
    repair: Repair,
}

impl Redb {
    fn create(dir: &Path, repair: Repair) -> Result<Self, Failure> {
        let database = Database::builder().set_cache_size(CACHE).create(dir.join("redb"))?;
        Ok(Self { database, repair })
    }
}

impl States for Redb {
    fn commit(&mut self, changes: &[Change], data: Data<'_>) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(self.repair == Repair::Quick);
        {
            let mut table = transaction.open_table(STATE)?;
            for (key, value) in changes {
                table.insert(&key[..], &value[..])?;
            }
        }
        if let Some((offset, data)) = data {
            transaction.open_table(DATA)?.insert(offset, data)?;
        }
        Ok(transaction.commit()?)
    }
}

struct Fjall {
    database: fjall::Database,
    state: Keyspace,
    data: Keyspace,
}

impl Fjall {
    fn create(dir: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir)?;
        let database = fjall::Database::builder(dir).cache_size(CACHE as u64).open()?;
        let state = database.keyspace("state", KeyspaceCreateOptions::default)?;
        let apart = || {
            KeyspaceCreateOptions::default()
                .with_kv_separation(Some(KvSeparationOptions::default()))
        };
        let data = database.keyspace("data", apart)?;
        Ok(Self { database, state, data })
    }
}

impl States for Fjall {
    fn commit(&mut self, changes: &[Change], data: Data<'_>) -> Result<(), Failure> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in changes {
            batch.insert(&self.state, &key[..], &value[..]);
        }
        if let Some((offset, data)) = data {
            batch.insert(&self.data, offset.to_be_bytes(), data);
        }
        Ok(batch.commit()?)
    }
}
