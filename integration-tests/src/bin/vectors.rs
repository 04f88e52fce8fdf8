//! Holds the SDK against golden bytes of the Java implementation: `vectors [--strict] FOLDER`.
//!
//! Every line of every `*.jsonl` file in the folder is checked. Kinds that the SDK does not cover
//! yet are listed with their counts, and so are fields that no check reads; with `--strict` both
//! fail. The last line is `N passed, M failed`.

use std::{path::PathBuf, process::ExitCode};

use pravega_sdk_integration_tests::vectors;

fn main() -> ExitCode {
    let mut strict = false;
    let mut folder = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--strict" => strict = true,
            other if folder.is_none() => folder = Some(PathBuf::from(other)),
            other => {
                eprintln!(
                    "vectors: {other:?} is one argument too many; usage: vectors [--strict] FOLDER"
                );
                return ExitCode::from(2);
            }
        }
    }
    let Some(folder) = folder else {
        eprintln!("usage: vectors [--strict] FOLDER");
        return ExitCode::from(2);
    };
    let report = match vectors::check_folder(&folder) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("vectors: {error:#}");
            return ExitCode::from(2);
        }
    };
    for failure in &report.failures {
        println!("failed: {failure}");
    }
    for (file, passed) in &report.files {
        println!("{file}: {passed} passed");
    }
    for (kind, count) in &report.uncovered {
        println!("not covered yet: {kind} ({count})");
    }
    for field in &report.unread {
        println!("not read: {field}");
    }
    let uncovered: usize = report.uncovered.values().sum();
    let passed_over = uncovered + report.unread.len();
    let failed = report.failures.len() + if strict { passed_over } else { 0 };
    println!("{} passed, {failed} failed", report.passed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
