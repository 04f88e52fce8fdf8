//! The work on tables, which are hash tables with keys and values in CBOR.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{pin_mut, StreamExt};
use pravega_client::sync::table::Table;

use crate::{histogram::Histogram, work::Work};

/// The number of entries that each page of an iteration has: as of this SDK.
const PAGE: i32 = 1000;

/// Does the work once. Returns the latencies, and the seconds.
pub(crate) async fn run(table: &Arc<Table>, work: &Work) -> (Histogram, f64) {
    let started = Instant::now();
    let mut histogram = Histogram::default();
    if work.mode == "hash-iterate" {
        while !work.is_over(started, 0) {
            iterate(table, work, &mut histogram).await;
        }
    } else {
        let calling: Vec<_> = (0..work.callers)
            .map(|caller| tokio::spawn(call(table.clone(), work.clone(), caller, started)))
            .collect();
        for caller in calling {
            histogram.merge(&caller.await.expect("a caller"));
        }
    }
    (histogram, started.elapsed().as_secs_f64())
}

fn key(number: u64) -> String {
    format!("key-{number:08}")
}

/// One caller, which waits for each reply before its next call.
async fn call(table: Arc<Table>, work: Work, caller: u64, started: Instant) -> Histogram {
    let mut histogram = Histogram::default();
    let value = "v".repeat(work.size);
    let mut done = 0;
    while !work.is_over(started, done * work.callers) {
        let key = key(work.entry(caller, done));
        let begun = Instant::now();
        if work.mode == "hash-put" {
            table.insert(&key, &value, -1).await.expect("a put");
        } else {
            let (found, _): (String, i64) = table.get(&key).await.expect("a read").expect("an entry");
            assert!(!found.is_empty());
        }
        histogram.record(begun.elapsed());
        done += 1;
    }
    histogram
}

/// Reads all entries.
async fn iterate(table: &Table, work: &Work, histogram: &mut Histogram) {
    let entries = table.read_entries_stream::<String, String>(PAGE);
    pin_mut!(entries);
    let (mut count, mut bytes) = (0, 0);
    while let Some(entry) = entries.next().await {
        count += 1;
        bytes += entry.expect("an entry").1.len();
        histogram.record(Duration::ZERO);
    }
    assert!(count == work.keys && bytes > 0, "{count} entries of {}", work.keys);
}
