//! The same work on tables as the counterparts in `peers`, with this SDK, and that of a table
//! synchronizer.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use pravega_sdk::{
    ClientFactory,
    codec::Raw,
    table_synchronizer::{KeyValueTable, Keys, Put, TableSegment, TableSynchronizer},
    types::ScopedKeyValueTable,
};
use tokio_stream::StreamExt as _;

use crate::{
    entries::{cbor_text, key},
    histogram::Histogram,
    work::Work,
};

/// A table that is open, and what is done with it.
pub(crate) enum TableWork {
    Calls(Table, Operation),
    /// Updates of a synchronizer, which has all entries.
    Updates(Box<TableSynchronizer<Raw, Raw>>),
}

/// What the callers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    Get,
    Iterate,
}

impl Operation {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "put" => Self::Put,
            "get" => Self::Get,
            "iterate" => Self::Iterate,
            other => bail!("no operation is called {other}"),
        })
    }
}

impl TableWork {
    /// Opens the table; `None` if the work is on a stream.
    pub(crate) async fn open(factory: &ClientFactory, work: &Work) -> Result<Option<Self>> {
        let Some((kind, operation)) = work.mode.split_once('-') else { return Ok(None) };
        let table: ScopedKeyValueTable = work.stream.parse()?;
        let table = match kind {
            "keyed" => Table::Keyed(factory.key_value_table(&table).await?),
            "hash" => Table::Hash(factory.table_segment(&table, 0.into()).await?.into()),
            "agreed" => {
                let table = factory.table_synchronizer(&table, Raw, Raw).await?;
                let known = table.state().len();
                ensure!(known == work.keys, "{known} entries of {}", work.keys);
                return Ok(Some(Self::Updates(Box::new(table))));
            }
            _ => return Ok(None),
        };
        Ok(Some(Self::Calls(table, Operation::parse(operation)?)))
    }

    /// Does the work once. Returns the latencies, and the seconds.
    pub(crate) async fn run(&mut self, work: &Work) -> Result<(Histogram, f64)> {
        let started = Instant::now();
        let histogram = match self {
            Self::Calls(table, Operation::Iterate) => iterate(table, work, started).await?,
            Self::Calls(table, operation) => {
                let mut histogram = Histogram::default();
                let calling: Vec<_> = (0..work.callers)
                    .map(|caller| (table.clone(), *operation, work.clone(), caller))
                    .map(|(table, operation, work, caller)| {
                        tokio::spawn(call(table, operation, work, caller, started))
                    })
                    .collect();
                for caller in calling {
                    histogram.merge(&caller.await??);
                }
                histogram
            }
            Self::Updates(table) => update(table, work, started).await?,
        };
        Ok((histogram, started.elapsed().as_secs_f64()))
    }
}

/// One caller, which waits for each reply before its next call.
async fn call(
    table: Table,
    operation: Operation,
    work: Work,
    caller: u64,
    started: Instant,
) -> Result<Histogram> {
    let mut histogram = Histogram::default();
    let value = "v".repeat(work.size);
    let mut done = 0;
    while !work.is_over(started, done * work.callers) {
        let number = work.entry(caller, done);
        let begun = Instant::now();
        if operation == Operation::Put {
            table.put(number, &value).await?;
        } else {
            table.get(number).await?;
        }
        histogram.record(begun.elapsed());
        done += 1;
    }
    Ok(histogram)
}

/// A table of each kind: as the Java client has them, and as `pravega-client` has them.
#[derive(Clone)]
pub(crate) enum Table {
    /// A key-value table of one partition.
    Keyed(KeyValueTable),
    /// A hash table, whose keys and values are CBOR.
    Hash(Box<TableSegment>),
}

impl Table {
    pub(crate) async fn put(&self, number: u64, value: &str) -> Result<()> {
        match self {
            Self::Keyed(table) => drop(table.put(key(number), value.to_owned()).await?),
            Self::Hash(table) => {
                let put = Put::new(cbor_text(&key(number)), cbor_text(value));
                drop(table.put([put]).await?);
            }
        }
        Ok(())
    }

    async fn get(&self, number: u64) -> Result<()> {
        let value: Option<Bytes> = match self {
            Self::Keyed(table) => table.get(key(number)).await?.map(|entry| entry.value),
            Self::Hash(table) => {
                let found = table.read([cbor_text(&key(number))]).await?.pop();
                found.flatten().map(|entry| entry.value)
            }
        };
        ensure!(value.is_some_and(|value| !value.is_empty()), "entry {number} is missing");
        Ok(())
    }

    /// Reads all entries, and returns their number, which must be as expected.
    async fn iterate(&self, expected: u64) -> Result<u64> {
        let (mut count, mut bytes) = (0, 0);
        match self {
            Self::Keyed(table) => {
                let mut entries = table.entries(&Keys::all())?;
                while let Some(entry) = entries.next().await {
                    count += 1;
                    bytes += entry?.value.len();
                }
            }
            Self::Hash(table) => {
                let mut entries = table.entries();
                while let Some(entry) = entries.next().await {
                    count += 1;
                    bytes += entry?.value.len();
                }
            }
        }
        ensure!(count == expected && bytes > 0, "{count} entries of {expected}");
        Ok(count)
    }
}

/// Reads all entries, again and again.
async fn iterate(table: &Table, work: &Work, started: Instant) -> Result<Histogram> {
    let mut histogram = Histogram::default();
    while !work.is_over(started, 0) {
        for _ in 0..table.iterate(work.keys as u64).await? {
            histogram.record(Duration::ZERO);
        }
    }
    Ok(histogram)
}

/// Changes one entry after the other of a table that clients agree on.
async fn update(
    table: &mut TableSynchronizer<Raw, Raw>,
    work: &Work,
    started: Instant,
) -> Result<Histogram> {
    let mut histogram = Histogram::default();
    let value = Bytes::from(vec![b'v'; work.size]);
    let mut done = 0;
    while !work.is_over(started, done) {
        let key = Bytes::from(key(work.entry(0, done)));
        let begun = Instant::now();
        let updating = table.update(|changes| {
            changes.get(key.clone())?;
            changes.put(key.clone(), value.clone())
        });
        updating.await?;
        histogram.record(begun.elapsed());
        done += 1;
    }
    Ok(histogram)
}
