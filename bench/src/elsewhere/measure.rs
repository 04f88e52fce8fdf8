//! One run of one system.

use std::path::Path;

use anyhow::Result;

use super::{
    case::{Case, Place},
    disk,
    figures::{Checked, Figures},
    options::Options,
    process::Worker,
    systems::Ready,
};

/// Starts a system on an empty folder, lets its client do the work of a case, and removes all.
pub(super) fn measure(options: &Options, case: &Case, ready: &Ready) -> Result<Figures> {
    let folder = options.folder()?;
    let running = ready.start(folder.path(), case)?;
    let (seconds, max_bytes) = match case.bytes {
        Place::Written => (options.seconds, options.max_bytes),
        Place::Memory => (0.0, options.warm_bytes),
        Place::Disk => (0.0, options.cold_bytes),
    };
    let mut command = ready.client()?;
    command.args([running.uri(), "bench", "elsewhere", case.mode]);
    command.args([case.size.to_string(), seconds.to_string(), max_bytes.to_string()]);
    command.args([case.producers as u64, case.rate, 1].map(|number| number.to_string()));
    let mut client = Worker::start(&mut command)?;
    while client.line()? != "ready" {}
    if case.bytes == Place::Disk {
        disk::drop_cache(folder.path())?;
    }
    client.go_on()?;
    let mut figures = Figures::parse(&client.line()?)?;
    client.go_on()?;
    figures.checked = Some(Checked::parse(&client.line()?)?);
    figures.peak_mib = Some(running.peak_mib()?);
    client.go_on()?;
    Ok(figures)
}

/// What the disk does alone in a case: its figures, or the bytes per second of a sequential read.
pub(super) fn floor(options: &Options, case: &Case) -> Result<Floor> {
    let folder = options.folder()?;
    let folder: &Path = folder.path();
    Ok(match case.bytes {
        Place::Written => Floor::Writes(disk::write(options, case, folder)?),
        Place::Memory => Floor::Nothing,
        Place::Disk => Floor::Reads(disk::sequential_rate(folder, options.cold_bytes)?),
    })
}

/// What the disk does alone.
#[derive(Debug)]
pub(super) enum Floor {
    Writes(Figures),
    /// Bytes per second.
    Reads(f64),
    Nothing,
}
