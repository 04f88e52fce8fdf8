//! Runs seeds: `simulate [WHAT] [FIRST [COUNT [BUG]]]`. The number of a seed that failed repeats
//! its run; with `RUST_LOG=debug` the SDK logs its decisions.
//!
//! | what | seeds |
//! |---|---|
//! | | writers and readers, with a few kinds of faults in each seed |
//! | `deadlines` | as these, and every event has a short deadline |
//! | `with KIND` | with one kind in every seed |
//! | `transactions` | transactions |
//! | `bytes` | byte streams |
//! | `index` | index streams |
//! | `controllers` | calls of several controllers |
//! | `tables` | tables |
//! | `agreed` | tables that clients agree on |
//! | `states` | states that clients agree on |
//! | `recipes` | locks and elections |
//! | `groups` | reader groups |
//! | `bugs` | for every seeded bug the first seed that catches it |

use std::{collections::BTreeMap, fmt, process::ExitCode, time::Instant};

use pravega_sdk_controller_client::ControllerBug;
use pravega_sdk_event_stream::SeededBug;
use pravega_sdk_simulation::{
    Report, byte_scenario, controllers, groups, index_scenario, scenario, tables, theme::Mode,
    transaction_scenario,
};

/// The seeds that are run.
#[derive(Debug, Clone, Copy)]
enum What {
    Events(Mode),
    Transactions,
    Bytes,
    Index,
    Controllers,
    Tables,
    Agreed,
    States,
    Recipes,
    Groups,
    Bugs,
}

/// A seeded bug.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// Of the engines of segments and streams.
    Streams(SeededBug),
    /// Of the client of the controller.
    Calls(ControllerBug),
    /// Of the readers of a group.
    Groups(groups::Bug),
}

impl fmt::Debug for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Streams(bug) => bug.fmt(f),
            Self::Calls(bug) => bug.fmt(f),
            Self::Groups(bug) => bug.fmt(f),
        }
    }
}

impl Bug {
    /// The seeds that may catch it.
    fn seeds(self) -> What {
        match self {
            Self::Calls(_) => What::Controllers,
            Self::Groups(_) => What::Groups,
            Self::Streams(bug) if SeededBug::TRANSACTIONS.contains(&bug) => What::Transactions,
            Self::Streams(bug) if SeededBug::BYTES.contains(&bug) => What::Bytes,
            Self::Streams(bug) if SeededBug::SYNCHRONIZERS.contains(&bug) => What::Agreed,
            Self::Streams(bug) if SeededBug::TABLES.contains(&bug) => What::Tables,
            Self::Streams(bug) if SeededBug::STATES.contains(&bug) => What::States,
            Self::Streams(bug) if SeededBug::RECIPES.contains(&bug) => What::Recipes,
            Self::Streams(_) => What::Events(Mode::Usual),
        }
    }

    fn of_streams(self) -> Option<SeededBug> {
        match self {
            Self::Streams(bug) => Some(bug),
            Self::Calls(_) | Self::Groups(_) => None,
        }
    }

    fn of_calls(self) -> Option<ControllerBug> {
        match self {
            Self::Calls(bug) => Some(bug),
            Self::Streams(_) | Self::Groups(_) => None,
        }
    }

    fn of_groups(self) -> Option<groups::Bug> {
        match self {
            Self::Groups(bug) => Some(bug),
            Self::Streams(_) | Self::Calls(_) => None,
        }
    }
}

const USAGE: &str = "usage: simulate [WHAT] [FIRST [COUNT [BUG]]]; WHAT is deadlines, \
                     with KIND, transactions, bytes, index, controllers, tables, agreed, \
                     states, recipes, groups or bugs";

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .without_time()
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Ok((What::Bugs, first, count, bug)) => hunt(first, count.unwrap_or(2000), bug),
        Ok((what, first, count, bug)) => run(what, first, count.unwrap_or(1), bug),
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

type Parsed = (What, u64, Option<u64>, Option<Bug>);

fn parse(arguments: &[String]) -> Result<Parsed, String> {
    let mut rest = arguments.iter().map(String::as_str).peekable();
    let what = match rest.peek().copied() {
        Some("deadlines") => What::Events(Mode::Deadlines),
        Some("transactions") => What::Transactions,
        Some("bytes") => What::Bytes,
        Some("index") => What::Index,
        Some("controllers") => What::Controllers,
        Some("tables") => What::Tables,
        Some("agreed") => What::Agreed,
        Some("states") => What::States,
        Some("recipes") => What::Recipes,
        Some("groups") => What::Groups,
        Some("bugs") => What::Bugs,
        Some("with") => {
            rest.next();
            let kind = rest.peek().ok_or("a kind of fault is missing")?;
            What::Events(Mode::With(kind.parse().map_err(|error| format!("{error}"))?))
        }
        _ => What::Events(Mode::Usual),
    };
    if !matches!(what, What::Events(Mode::Usual)) {
        rest.next();
    }
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let first = rest.next().map(number).transpose()?.unwrap_or(0);
    let count = rest.next().map(number).transpose()?;
    let bug = rest.next().map(|name| {
        let found = all_bugs().find(|bug| format!("{bug:?}") == *name);
        found.ok_or_else(|| format!("unknown bug {name:?}"))
    });
    Ok((what, first, count, bug.transpose()?))
}

fn all_bugs() -> impl Iterator<Item = Bug> {
    let all = SeededBug::ALL.into_iter().chain(SeededBug::APPENDING).chain(SeededBug::READING);
    let all = all.chain(SeededBug::FULL).chain(SeededBug::CONNECTIONS);
    let all = all.chain(SeededBug::BYTES).chain(SeededBug::TRANSACTIONS).chain(SeededBug::TABLES);
    let all = all.chain(SeededBug::SYNCHRONIZERS).chain(SeededBug::STATES);
    let all = all.chain(SeededBug::RECIPES);
    all.map(Bug::Streams)
        .chain(ControllerBug::ALL.map(Bug::Calls))
        .chain(groups::Bug::ALL.map(Bug::Groups))
}

fn run_seed(what: What, seed: u64, bug: Option<Bug>) -> Report {
    let of_streams = bug.and_then(Bug::of_streams);
    match what {
        What::Transactions => transaction_scenario::run(seed, of_streams),
        What::Index => index_scenario::run(seed),
        What::Bytes => byte_scenario::run(seed, of_streams),
        What::Events(mode) => scenario::run_in(mode, seed, of_streams),
        What::Tables => tables::run(seed, of_streams),
        What::Agreed => tables::agreed::run(seed, of_streams),
        What::States => tables::states::run(seed, of_streams),
        What::Recipes => tables::recipes::run(seed, of_streams),
        What::Groups => groups::run(seed, bug.and_then(Bug::of_groups)),
        What::Controllers => controllers::run(seed, bug.and_then(Bug::of_calls)),
        What::Bugs => scenario::run(seed, of_streams),
    }
}

fn run(what: What, first: u64, count: u64, bug: Option<Bug>) -> ExitCode {
    let started = Instant::now();
    let mut counters: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failed = 0;
    let mut acknowledged = 0;
    for seed in first..first + count {
        let report = run_seed(what, seed, bug);
        for (what, times) in report.counters {
            *counters.entry(what).or_default() += times;
        }
        acknowledged += report.acknowledged;
        if count == 1 {
            println!("digest {:016x}", report.digest);
        }
        if !report.violations.is_empty() {
            failed += 1;
            println!("SEED={seed}: {} violations", report.violations.len());
            report.violations.iter().take(5).for_each(|violation| println!("  {violation}"));
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{count} seeds in {seconds:.1} s, {:.0} a second; {acknowledged} acknowledged or decided",
        count as f64 / seconds
    );
    println!("{counters:#?}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints for every seeded bug, or for one, the first seed that catches it.
fn hunt(first: u64, count: u64, only: Option<Bug>) -> ExitCode {
    let mut escaped = 0;
    for bug in all_bugs().filter(|bug| only.is_none_or(|only| only == *bug)) {
        let what = bug.seeds();
        let caught = (first..first + count)
            .find_map(|seed| Some(seed).zip(run_seed(what, seed, Some(bug)).violations.pop()));
        match caught {
            Some((seed, violation)) => println!("{bug:?}: {what:?} {seed}: {violation}"),
            None => {
                escaped += 1;
                println!("{bug:?}: not caught by {count} seeds");
            }
        }
    }
    if escaped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
