//! The floor: the same bytes, appended to a file and synced, without a server.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    case::Case, figures::Figures, numbered::Numbered, options::Options, timeline::Timeline,
};
use crate::work::Work;

/// The bytes of one write of a flood.
const BATCH: usize = 1 << 20;

/// Does the work of a case that writes, with events as others write them.
pub(super) fn write(options: &Options, case: &Case, folder: &Path) -> Result<Figures> {
    let mut file = File::create(folder.join("raw"))?;
    let mut events = Numbered::new(0, case.size);
    let work = Work {
        uri: String::new(),
        stream: String::new(),
        mode: case.mode.to_owned(),
        size: case.size,
        seconds: options.seconds,
        max_bytes: options.max_bytes,
        keys: 1,
        rate: case.rate,
        callers: 1,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let began = Instant::now();
    let mut timeline = Timeline::new(began);
    let mut written = 0_u64;
    while !work.is_over(began, written) {
        runtime.block_on(work.wait_for_turn(began, written));
        let len = match case.mode {
            "latency" => 1,
            "rate" => {
                let due = began.elapsed().as_nanos() as u64 * case.rate / 1_000_000_000;
                (due + 1).saturating_sub(written).max(1)
            }
            _ => (BATCH / case.size) as u64,
        };
        let begun = Instant::now();
        let batch: Vec<u8> = (0..len).flat_map(|_| events.next_event()).collect();
        file.write_all(&batch)?;
        file.sync_data()?;
        (0..len).for_each(|_| timeline.acknowledged(begun));
        written += len;
    }
    Figures::parse(&timeline.report(began.elapsed()))
}

/// Reads a new file of some bytes from its start to its end, none of which are in the page cache.
/// Returns bytes per second.
pub(super) fn sequential_rate(folder: &Path, bytes: u64) -> Result<f64> {
    let path = folder.join("sequential");
    let mut events = Numbered::new(0, BATCH);
    let mut file = File::create(&path)?;
    for _ in 0..bytes / BATCH as u64 {
        file.write_all(&events.next_event())?;
    }
    file.sync_all()?;
    drop_cache(folder)?;
    let mut file = File::open(&path)?;
    let mut buffer = vec![0; BATCH];
    let began = Instant::now();
    for _ in 0..bytes / BATCH as u64 {
        file.read_exact(&mut buffer)?;
    }
    let took = began.elapsed();
    std::fs::remove_file(&path)?;
    Ok(bytes as f64 / took.max(Duration::from_nanos(1)).as_secs_f64())
}

/// Drops what the page cache has of the files of a folder, once they are written back. It takes
/// no rights but those to the files.
pub(super) fn drop_cache(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            drop_cache(&path)?;
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        if file.metadata()?.len() == 0 {
            continue;
        }
        file.sync_all()?;
        let name = format!("if={}", path.display());
        let dropped =
            Command::new("dd").args([&name, "iflag=nocache", "count=0", "status=none"]).status()?;
        ensure!(dropped.success(), "dd cannot drop the page cache of {}", path.display());
    }
    Ok(())
}
