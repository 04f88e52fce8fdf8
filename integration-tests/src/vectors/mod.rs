//! Golden bytes of the Java implementation, line by line.

mod line;
mod semantics;
mod unread;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

use self::{line::Verdict, semantics::Context};

/// The result of a run over a folder.
#[derive(Debug, Default)]
pub struct Report {
    /// Number of lines that pass.
    pub passed: usize,
    /// Lines that fail, each with its place and the reason.
    pub failures: Vec<String>,
    /// Kinds without a check, and the number of lines of each.
    pub uncovered: BTreeMap<String, usize>,
    /// Number of lines that pass, by file.
    pub files: BTreeMap<String, usize>,
    /// Fields of lines that pass which no check reads, each as its kind and its name.
    pub unread: BTreeSet<String>,
}

/// Checks every line of every `*.jsonl` in `folder`.
///
/// # Errors
///
/// If the folder cannot be read, or contains no such file.
pub fn check_folder(folder: &Path) -> Result<Report> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{} holds no *.jsonl", folder.display());
    }
    let mut report = Report::default();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let before = report.passed;
        let text = fs::read_to_string(&file)?;
        // A line defines a layout, and other lines name it.
        let mut context = Context::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok()) {
            semantics::prepare(&line, &mut context)?;
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let checked = check_text(&name, line, &context);
            let place = format!("{name}:{}", number + 1);
            match checked {
                Ok(Verdict::Passed) => {
                    report.passed += 1;
                    let passes = |line: &Json| {
                        matches!(check_line(&name, line, &context), Ok(Verdict::Passed))
                    };
                    report.unread.extend(unread::fields(&name, line, passes)?);
                }
                Ok(Verdict::Uncovered(kind)) => *report.uncovered.entry(kind).or_default() += 1,
                Err(error) => report.failures.push(format!("{place}: {error:#}")),
            }
        }
        report.files.insert(name, report.passed - before);
    }
    Ok(report)
}

fn check_text(file: &str, line: &str, context: &Context) -> Result<Verdict> {
    check_line(file, &serde_json::from_str(line).context("not JSON")?, context)
}

/// Checks a line. A panic is a failure.
fn check_line(file: &str, line: &Json, context: &Context) -> Result<Verdict> {
    let checked = catch_unwind(AssertUnwindSafe(|| check(file, line, context)));
    checked.unwrap_or_else(|_| bail!("panicked"))
}

fn check(file: &str, json: &Json, context: &Context) -> Result<Verdict> {
    match file {
        "wire-commands.jsonl" => wire::command(json),
        "decode-compat.jsonl" => wire::compatible(json),
        "decode-reject.jsonl" => wire::rejected(json),
        "append-sequences.jsonl" => wire::append_sequence(json),
        _ if json.get("kind").is_some() => return semantics::check(json, context),
        other => bail!("nothing is known about lines of {other}"),
    }?;
    Ok(Verdict::Passed)
}
