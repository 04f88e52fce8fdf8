//! The table of a comparison, and its files.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    case::{Case, DRAWN},
    figures::Figures,
    picture,
    systems::System,
    targets::{Target, targets},
};

/// What was found in a case.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) case: Case,
    pub(super) figures: BTreeMap<System, Figures>,
    /// Why a system has no figures.
    pub(super) missing: BTreeMap<System, String>,
    /// The disk's bytes per second in a sequential read, if the case reads from it.
    pub(super) disk_rate: Option<f64>,
    /// The length of a run that writes.
    pub(super) seconds: f64,
}

impl Found {
    fn targets(&self) -> Vec<Target> {
        targets(&self.case, &self.figures, self.seconds, self.disk_rate)
    }

    /// Returns true if a target is missed.
    pub(super) fn is_short(&self) -> bool {
        self.targets().iter().any(|target| target.reached == Some(false))
    }

    /// Prints the rows of the case.
    pub(super) fn print(&self) {
        println!("\n{}", self.case.name);
        println!(
            "  {:8} {:>12} {:>9} {:>10} {:>10} {:>10} {:>7} {:>9} {:>24}",
            "system",
            "events/s",
            "MB/s",
            "p50 µs",
            "p99 µs",
            "max µs",
            "silent",
            "peak MiB",
            "acknowledged → read"
        );
        for system in System::ALL {
            if let Some(figures) = self.figures.get(&system) {
                println!("  {}", self.row(system, figures));
            } else if let Some(why) = self.missing.get(&system) {
                println!("  {:8} {why}", system.name());
            }
        }
        if let Some(rate) = self.disk_rate {
            println!("  {:8} {:>12} {:>9.0}   sequential read", "disk", "", rate / 1e6);
        }
        for target in self.targets() {
            let verdict = match target.reached {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "open",
            };
            println!("  target   {verdict:8} {}", target.text);
        }
    }

    fn row(&self, system: System, figures: &Figures) -> String {
        let checked = figures.checked.map_or("–".to_owned(), |checked| {
            let faults = if checked.is_whole() {
                String::new()
            } else {
                format!(" ({} FAULTS)", checked.faults)
            };
            format!("{} → {}{faults}", checked.acknowledged, checked.read)
        });
        let rate = figures.events_per_s();
        let peak = figures.peak_mib.map_or("–".to_owned(), |peak| peak.to_string());
        let silent = figures.silent_seconds(self.seconds);
        let [p50, p99, max] = [figures.p50_us, figures.p99_us, figures.max_us].map(|micros| {
            // Reads have none.
            if micros > 0.0 { format!("{micros:.0}") } else { "–".to_owned() }
        });
        format!(
            "{:8} {rate:>12.0} {:>9.1} {p50:>10} {p99:>10} {max:>10} {silent:>7} {peak:>9} \
             {checked:>24}",
            system.name(),
            rate * self.case.size as f64 / 1e6,
        )
    }

    fn json(&self) -> Value {
        let figures: BTreeMap<&str, Value> =
            self.figures.iter().map(|(system, figures)| (system.name(), figures.json())).collect();
        let missing: BTreeMap<&str, &String> =
            self.missing.iter().map(|(system, why)| (system.name(), why)).collect();
        let targets: Vec<Value> = self
            .targets()
            .into_iter()
            .map(|target| json!({ "target": target.text, "reached": target.reached }))
            .collect();
        json!({
            "case": self.case.name,
            "systems": figures,
            "missing": missing,
            "disk_bytes_per_s": self.disk_rate,
            "targets": targets,
        })
    }
}

/// Writes what was found so far: `elsewhere.json`, `seconds.csv`, and the picture. Returns their
/// folder.
pub(super) fn write(out: &Path, all: &[Found]) -> Result<PathBuf> {
    fs::create_dir_all(out)?;
    let cases: Vec<Value> = all.iter().map(Found::json).collect();
    fs::write(out.join("elsewhere.json"), serde_json::to_string_pretty(&cases)?)?;
    let mut csv = "case,system,second,events,p99_us\n".to_owned();
    for found in all {
        for (system, figures) in &found.figures {
            for (at, second) in figures.each.iter().enumerate() {
                let (case, system) = (found.case.name, system.name());
                writeln!(csv, "{case},{system},{at},{},{:.1}", second.events, second.p99_us)?;
            }
        }
    }
    fs::write(out.join("seconds.csv"), csv)?;
    if let Some(found) = all.iter().find(|found| found.case.name == DRAWN) {
        let curves: Vec<_> = found
            .figures
            .iter()
            .map(|(system, figures)| (*system, figures.whole_seconds(found.seconds)))
            .collect();
        let title = "1 KiB from four producers, synced";
        fs::write(out.join("write-1KiB-x4.svg"), picture::draw(title, &curves))?;
    }
    Ok(out.to_owned())
}
