//! An index of ranges: where the bytes of segments are. A commit has those of one log file.

use std::{
    fs::File,
    io::{Write as _, stdout},
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use fjall::{KeyspaceCreateOptions, PersistMode};
use pravega_sdk_server_core::log::{Entry, FileNumber, SegmentNumber};
use redb::{Database, ReadableDatabase as _, TableDefinition};

use crate::{
    machine::{Failure, Random, disk_usage, forget_pages, quantile, resident, tell, written},
    runs::{Directories, Runs},
    states::CACHE,
};

const RANGES: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("ranges");

/// The log files.
const FILES: u64 = 100;
const SEGMENTS: u64 = 1000;
/// The ranges of a segment in each file.
const EACH: u64 = 10;
/// The bytes of a range: a log file of 64 MiB has 10,000 of them.
const LEN: u64 = 6_700;

/// An index in a folder.
pub trait Ranges {
    /// Makes the ranges of one file durable; they are sorted.
    fn insert(&mut self, ranges: &[Entry]) -> Result<(), Failure>;
    /// The range with a byte of a segment.
    fn find(&self, segment: u64, offset: u64) -> Result<Option<Entry>, Failure>;
    /// Waits until what was begun is done.
    fn settle(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

fn open(system: &str, dir: &Path) -> Result<Box<dyn Ranges>, Failure> {
    Ok(match system {
        "log" => Box::new(Runs::open(dir, Directories::Read)?),
        "log-held" => Box::new(Runs::open(dir, Directories::Held)?),
        "redb" | "redb-quick" => {
            let database = Database::builder().set_cache_size(CACHE).create(dir.join("redb"))?;
            Box::new(Redb { database, is_quick: system == "redb-quick" })
        }
        "fjall" => {
            let database = fjall::Database::builder(dir).cache_size(CACHE as u64).open()?;
            let ranges = database.keyspace("ranges", KeyspaceCreateOptions::default)?;
            Box::new(Fjall { database, ranges })
        }
        other => return Err(format!("no system is named {other}").into()),
    })
}

fn ranges_of(file: u64) -> Vec<Entry> {
    let mut at = 64;
    let mut out = Vec::new();
    for segment in 1..=SEGMENTS {
        for each in 0..EACH {
            let from = ((file - 1) * EACH + each) * LEN;
            let end = at + LEN + 32;
            let (segment, file) = (SegmentNumber(segment), FileNumber(file));
            out.push(Entry { segment, from, file, to: from + LEN, at, end });
            at = end;
        }
    }
    out
}

/// Fills an index, and tells each file that is durable.
pub fn fill(system: &str, dir: &Path) -> Result<(), Failure> {
    let mut index = open(system, dir)?;
    let (before, mut times) = (written()?.0, Vec::new());
    for file in 1..=FILES {
        let ranges = ranges_of(file);
        let began = Instant::now();
        index.insert(&ranges)?;
        times.push(began.elapsed());
        println!("durable {file}");
        stdout().flush()?;
    }
    index.settle()?;
    tell("fill_s", times.iter().sum::<Duration>().as_secs_f64());
    times.sort_unstable();
    tell("file_p50_us", quantile(&times, 0.5));
    tell("file_max_us", quantile(&times, 1.0));
    tell("fill_resident_mib", resident()?);
    drop(index);
    tell("written_mb", (written()?.0 - before) as f64 / 1e6);
    tell("disk_mb", disk_usage(dir)? as f64 / 1e6);
    Ok(())
}

/// Opens an index of which some files are durable, and looks ranges of them up.
pub fn reopen(system: &str, dir: &Path, files: u64) -> Result<(), Failure> {
    forget_pages(dir)?;
    let began = Instant::now();
    let index = open(system, dir)?;
    tell("open_ms", began.elapsed().as_secs_f64() * 1e3);
    tell("open_resident_mib", resident()?);
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut look_up = |count: usize| -> Result<Vec<Duration>, Failure> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let segment = 1 + random.below(SEGMENTS);
            let offset = random.below(files * EACH * LEN);
            let began = Instant::now();
            let found = index.find(segment, offset)?;
            times.push(began.elapsed());
            let entry = found.ok_or("a durable range is missing")?;
            let is_right = entry.segment.0 == segment
                && (entry.from..entry.to).contains(&offset)
                && entry.file.0 == offset / (EACH * LEN) + 1;
            if !is_right {
                return Err(format!("{entry:?} is not the range of {segment} at {offset}").into());
            }
        }
        times.sort_unstable();
        Ok(times)
    };
    let cold = look_up(200)?;
    look_up(20_000)?;
    let warm = look_up(20_000)?;
    tell("cold_p50_us", quantile(&cold, 0.5));
    tell("warm_p50_us", quantile(&warm, 0.5));
    tell("warm_p99_us", quantile(&warm, 0.99));
    tell("used_resident_mib", resident()?);
    Ok(())
}

/// Key and value of a range, with the numbers as short as in a run.
fn encode(entry: &Entry) -> ([u8; 16], Vec<u8>) {
    let mut key = [0; 16];
    let (segment, offset) = key.split_at_mut(8);
    segment.copy_from_slice(&entry.segment.0.to_be_bytes());
    offset.copy_from_slice(&entry.from.to_be_bytes());
    let mut value = Vec::with_capacity(16);
    for mut number in [entry.to - entry.from, entry.file.0, entry.at, entry.end - entry.at] {
        while number >= 0x80 {
            value.push(number as u8 | 0x80);
            number >>= 7;
        }
        value.push(number as u8);
    }
    (key, value)
}

fn decode(key: &[u8], value: &[u8]) -> Option<Entry> {
    let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
    let (segment, from) = (number(key.get(..8)?)?, number(key.get(8..)?)?);
    let mut bytes = value.iter();
    let mut next = || {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = bytes.next()?;
            number |= u64::from(byte & 0x7F) << shift;
            shift += 7;
            if *byte < 0x80 {
                return Some(number);
            }
        }
    };
    let (len, file, at, took) = (next()?, next()?, next()?, next()?);
    let (segment, file) = (SegmentNumber(segment), FileNumber(file));
    Some(Entry { segment, from, file, to: from + len, at, end: at + took })
}

fn last_key(segment: u64, offset: u64) -> [u8; 16] {
    ((u128::from(segment) << 64) | u128::from(offset)).to_be_bytes()
}

struct Redb {
    database: Database,
    is_quick: bool,
}

impl Ranges for Redb {
    fn insert(&mut self, ranges: &[Entry]) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(self.is_quick);
        {
            let mut table = transaction.open_table(RANGES)?;
            for range in ranges {
                let (key, value) = encode(range);
                table.insert(&key, &value[..])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn find(&self, segment: u64, offset: u64) -> Result<Option<Entry>, Failure> {
        let table = self.database.begin_read()?.open_table(RANGES)?;
        let (first, last) = (last_key(segment, 0), last_key(segment, offset));
        let Some(found) = table.range::<&[u8; 16]>(&first..=&last)?.next_back() else {
            return Ok(None);
        };
        let (key, value) = found?;
        Ok(decode(key.value(), value.value()))
    }
}

struct Fjall {
    database: fjall::Database,
    ranges: fjall::Keyspace,
}

impl Ranges for Fjall {
    fn insert(&mut self, ranges: &[Entry]) -> Result<(), Failure> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for range in ranges {
            let (key, value) = encode(range);
            batch.insert(&self.ranges, &key[..], &value[..]);
        }
        Ok(batch.commit()?)
    }

    fn find(&self, segment: u64, offset: u64) -> Result<Option<Entry>, Failure> {
        let range = last_key(segment, 0)..=last_key(segment, offset);
        let Some(found) = self.ranges.range(range).next_back() else { return Ok(None) };
        let (key, value) = found.into_inner()?;
        Ok(decode(&key, &value))
    }

    #[expect(clippy::disallowed_methods, reason = "there is no runtime here")]
    fn settle(&mut self) -> Result<(), Failure> {
        // What is in memory goes to its tables, so that the journal is not all that is measured.
        self.ranges.rotate_memtable_and_wait()?;
        while self.database.active_compactions() > 0 || self.database.outstanding_flushes() > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Reads a part of a file.
pub fn read(file: &File, at: u64, len: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; usize::try_from(len)?];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
