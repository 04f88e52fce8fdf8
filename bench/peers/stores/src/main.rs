//! Embedded stores beside the log of the server: redb and fjall do what it does for its state and
//! its index. Each case runs in a process of its own, in turn, round after round; medians are told.
//!
//! `stores [--dir FOLDER] [--rounds N] [--seconds S] [--only PART]`

mod commits;
mod machine;
mod ranges;
mod runs;
mod states;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use machine::Failure;

const COMMITS: [&str; 6] = ["state-1", "state-64", "apart-1", "apart-64", "inside-1", "inside-64"];
const STORES: [&str; 6] = ["disk", "log", "log-held", "redb", "redb-quick", "fjall"];
/// The file after which a process that fills an index is killed.
const KILLED_AT: u64 = 60;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["commits", system, case, dir, seconds] => {
            commits::run(system, case, Path::new(dir), seconds.parse()?)
        }
        ["fill", system, dir] => ranges::fill(system, Path::new(dir)),
        ["reopen", system, dir, files] => ranges::reopen(system, Path::new(dir), files.parse()?),
        options => Settings::parse(options)?.run(),
    }
}

struct Settings {
    dir: PathBuf,
    rounds: usize,
    seconds: String,
    only: String,
}

/// The figures of one case and system, by name.
type Figures = BTreeMap<String, Vec<f64>>;

impl Settings {
    fn parse(options: &[&str]) -> Result<Self, Failure> {
        let mut settings = Self {
            dir: PathBuf::from("target/stores"),
            rounds: 5,
            seconds: "2".to_owned(),
            only: String::new(),
        };
        for pair in options.chunks(2) {
            match pair {
                ["--dir", dir] => settings.dir = PathBuf::from(dir),
                ["--rounds", rounds] => settings.rounds = rounds.parse()?,
                ["--seconds", seconds] => settings.seconds = (*seconds).to_owned(),
                ["--only", part] => settings.only = (*part).to_owned(),
                _ => return Err("options: --dir FOLDER --rounds N --seconds S --only PART".into()),
            }
        }
        Ok(settings)
    }

    fn run(&self) -> Result<(), Failure> {
        let mut all: BTreeMap<(String, String), Figures> = BTreeMap::new();
        for round in 0..self.rounds {
            for case in COMMITS.into_iter().chain(["ranges", "killed"]) {
                if !case.contains(&self.only) {
                    continue;
                }
                let mut systems = STORES.to_vec();
                if round % 2 == 1 {
                    systems.reverse();
                }
                for system in systems {
                    if has(system, case) {
                        let figures = all.entry((case.to_owned(), system.to_owned())).or_default();
                        self.one(system, case, figures)?;
                    }
                }
            }
            let load = fs::read_to_string("/proc/loadavg")?;
            eprintln!("round {} of {}, load {}", round + 1, self.rounds, load.trim());
        }
        report(&all);
        Ok(())
    }

    fn one(&self, system: &str, case: &str, figures: &mut Figures) -> Result<(), Failure> {
        fs::remove_dir_all(&self.dir).ok();
        fs::create_dir_all(self.dir.join("store"))?;
        let (all, store) = (self.dir.display().to_string(), self.dir.join("store"));
        let store = store.display().to_string();
        match case {
            "ranges" => {
                child(&["fill", system, &store], None, figures)?;
                child(&["reopen", system, &store, "100"], None, figures)?;
            }
            "killed" => {
                let mut lost = Figures::new();
                child(&["fill", system, &store], Some(KILLED_AT), &mut lost)?;
                let files = KILLED_AT.to_string();
                child(&["reopen", system, &store, &files], None, figures)?;
            }
            _ => child(&["commits", system, case, &all, &self.seconds], None, figures)?,
        }
        fs::remove_dir_all(&self.dir)?;
        Ok(())
    }
}

/// Returns true if a case is one for a system.
fn has(system: &str, case: &str) -> bool {
    match case {
        "ranges" | "killed" => system != "disk",
        _ if system == "log-held" => false,
        // The log and a plain file have the data beside the state; that is "inside".
        _ if case.starts_with("apart") => !matches!(system, "disk" | "log"),
        _ => true,
    }
}

/// Runs a case in a process of its own, which is killed once a file is durable.
fn child(words: &[&str], killed_at: Option<u64>, figures: &mut Figures) -> Result<(), Failure> {
    let mut process =
        Command::new(std::env::current_exe()?).args(words).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(' ') else { continue };
        let value: f64 = value.parse()?;
        if name != "durable" {
            figures.entry(name.to_owned()).or_default().push(value);
        } else if killed_at.is_some_and(|file| value >= file as f64) {
            process.kill()?;
        }
    }
    let status = process.wait()?;
    if !status.success() && killed_at.is_none() {
        return Err(format!("{}: {status}", words.join(" ")).into());
    }
    Ok(())
}

fn report(all: &BTreeMap<(String, String), Figures>) {
    println!("| case | system | figure | median | least | most |");
    println!("|---|---|---|---:|---:|---:|");
    for ((case, system), figures) in all {
        for (name, values) in figures {
            let mut values = values.clone();
            values.sort_by(f64::total_cmp);
            let least = values.first().copied().unwrap_or(f64::NAN);
            let most = values.last().copied().unwrap_or(f64::NAN);
            let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
            println!("| {case} | {system} | {name} | {median:.1} | {least:.1} | {most:.1} |");
        }
    }
}
