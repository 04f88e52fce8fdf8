//! Commits of state changes, one after the other, each durable before the next.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    machine::{Failure, Random, processor_time, quantile, resident, tell, written},
    states::{Change, ROOM, Raw, create},
};

/// The keys of the state.
const KEYS: u64 = 100_000;
/// The appended data for each change, in bytes.
const DATA_LEN: usize = 1024;

/// Where appended data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Appended {
    /// There is none.
    Nowhere,
    /// A file of its own, which is synced before the store commits.
    Apart,
    /// The store, in the same commit.
    Inside,
}

fn change(number: u64, random: &mut Random) -> Change {
    // 40 bytes, as a scope, a stream and a number take.
    let key = format!("scope-{:04}/stream-{:06}/segment-{number:07}", number % 10, number / 10);
    (key.into_bytes(), random.bytes(100))
}

/// Runs a case, `state-64` for one: what a commit has, and how many changes.
pub fn run(system: &str, case: &str, dir: &Path, seconds: f64) -> Result<(), Failure> {
    let (appended, batch) = case.split_once('-').ok_or("a case is KIND-BATCH")?;
    let batch: usize = batch.parse()?;
    let appended = match appended {
        "state" => Appended::Nowhere,
        "apart" => Appended::Apart,
        "inside" => Appended::Inside,
        other => return Err(format!("no case is named {other}").into()),
    };
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut store = create(system, &dir.join("store"))?;
    let numbers: Vec<u64> = (0..KEYS).collect();
    for part in numbers.chunks(10_000) {
        let changes: Vec<Change> = part.iter().map(|key| change(*key, &mut random)).collect();
        store.commit(&changes, None)?;
    }
    let mut apart = match appended {
        Appended::Apart => Some(Raw::create(&dir.join("data"), ROOM)?),
        Appended::Nowhere | Appended::Inside => None,
    };
    let data = random.bytes(DATA_LEN * batch);
    let (mut times, mut offset) = (Vec::new(), 0);
    let ((bytes, calls), processor) = (written()?, processor_time()?);
    let (began, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
    while began.elapsed() < limit {
        let changes: Vec<Change> =
            (0..batch).map(|_| change(random.below(KEYS), &mut random)).collect();
        let start = Instant::now();
        if let Some(file) = &mut apart {
            file.append(&data)?;
        }
        let inside = (appended == Appended::Inside).then_some((offset, &data[..]));
        store.commit(&changes, inside)?;
        times.push(start.elapsed());
        offset += data.len() as u64;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let count = times.len() as f64;
    times.sort_unstable();
    let (bytes_after, calls_after) = written()?;
    tell("p01_us", quantile(&times, 0.01));
    tell("p50_us", quantile(&times, 0.5));
    tell("p99_us", quantile(&times, 0.99));
    tell("commits_per_s", count / elapsed);
    tell("processor_us_per_commit", (processor_time()? - processor) / count);
    tell("kb_written_per_commit", (bytes_after - bytes) as f64 / 1000.0 / count);
    tell("write_calls_per_commit", (calls_after - calls) as f64 / count);
    tell("resident_mib", resident()?);
    Ok(())
}
