//! This project's durable server beside Kafka and Redis, all of which acknowledge after a sync, and
//! beside the disk alone.

mod case;
mod disk;
mod figures;
mod keep;
mod measure;
mod numbered;
mod options;
mod own;
mod picture;
mod process;
mod report;
mod systems;
mod targets;
mod timeline;

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use self::{
    case::{CASES, Case, Place},
    figures::Figures,
    measure::{Floor, floor, measure},
    report::Found,
    systems::{Ready, System},
};
pub(crate) use self::{
    keep::{Options as KeepOptions, run as keep},
    options::Options,
    own::run as worker,
};

/// The systems that can run, and why others cannot.
type Systems = BTreeMap<System, Result<Ready, String>>;

/// Runs all cases; fails if a target is missed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut systems = Systems::new();
    for system in System::ALL.into_iter().filter(|it| it.name().contains(&options.system)) {
        match Ready::prepare(system) {
            Ok(None) => {}
            Ok(Some(ready)) => drop(systems.insert(system, Ok(ready))),
            Err(error) => {
                eprintln!("{} is left out: {error:#}", system.name());
                systems.insert(system, Err(format!("{error:#}")));
            }
        }
    }
    let mut all = Vec::new();
    for case in CASES.iter().filter(|case| case.name.contains(&options.only)) {
        let found = find(options, case, &systems);
        found.print();
        all.push(found);
        // After each case: a run takes long.
        report::write(&options.out, &all)?;
    }
    println!("\nwritten to {}", options.out.display());
    let short = all.iter().filter(|found| found.is_short()).count();
    if short > 0 {
        bail!("{short} of {} cases miss a target", all.len());
    }
    Ok(())
}

fn find(options: &Options, case: &Case, systems: &Systems) -> Found {
    let mut found = Found {
        case: *case,
        figures: BTreeMap::new(),
        missing: BTreeMap::new(),
        disk_rate: None,
        seconds: options.seconds,
    };
    match floor(options, case) {
        Ok(Floor::Writes(figures)) => drop(found.figures.insert(System::Disk, figures)),
        Ok(Floor::Reads(rate)) => found.disk_rate = Some(rate),
        Ok(Floor::Nothing) => {}
        Err(error) => drop(found.missing.insert(System::Disk, format!("{error:#}"))),
    }
    for (system, ready) in systems {
        match figures_of(options, case, *system, ready) {
            Ok(figures) => drop(found.figures.insert(*system, figures)),
            Err(why) => drop(found.missing.insert(*system, why)),
        }
    }
    found
}

fn figures_of(
    options: &Options,
    case: &Case,
    system: System,
    ready: &Result<Ready, String>,
) -> Result<Figures, String> {
    let ready = ready.as_ref().map_err(|why| format!("cannot be had: {why}"))?;
    if (system, case.bytes) == (System::Redis, Place::Disk) {
        return Err("keeps everything in memory".to_owned());
    }
    measure(options, case, ready).map_err(|error| format!("failed: {error:#}"))
}
