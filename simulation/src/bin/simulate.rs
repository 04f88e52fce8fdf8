//! Runs seeds: `simulate [transactions] [FIRST [COUNT [BUG]]]`. The number of a seed that failed
//! repeats its run; with `RUST_LOG=debug` the SDK logs its decisions.

use std::{collections::BTreeMap, process::ExitCode, time::Instant};

use pravega_sdk_event_stream::SeededBug;
use pravega_sdk_simulation::{scenario, transaction_scenario};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .without_time()
        .init();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let of_transactions = arguments.first().is_some_and(|first| first == "transactions");
    if of_transactions {
        arguments.remove(0);
    }
    let number =
        |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse::<u64>());
    let (Ok(first), Ok(count)) = (number(0, 0), number(1, 1)) else {
        eprintln!("usage: simulate [transactions] [FIRST [COUNT [BUG]]]");
        return ExitCode::FAILURE;
    };
    let bug = arguments.get(2).map(|name| {
        let mut all = SeededBug::ALL.into_iter().chain(SeededBug::TRANSACTIONS);
        all.find(|bug| format!("{bug:?}") == *name)
            .unwrap_or_else(|| panic!("unknown bug {name:?}"))
    });
    let started = Instant::now();
    let mut counters: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failed = 0;
    let mut acknowledged = 0;
    for seed in first..first + count {
        let report = if of_transactions {
            transaction_scenario::run(seed, bug)
        } else {
            scenario::run(seed, bug)
        };
        for (what, times) in report.counters {
            *counters.entry(what).or_default() += times;
        }
        acknowledged += report.acknowledged;
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
