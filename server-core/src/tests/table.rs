//! Tables of the effect of an event in each state, as text in a test.

use crate::{
    machine::Machine,
    record::{Record, Sequence},
};

/// Compares a table with the effects of an event: one line for each state.
pub(super) fn check(expected: &str, states: &[&str], happens: impl Fn(&str) -> String) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rows: Vec<String> = Vec::new();
    for line in expected.lines().map(words).filter(|line| !line.is_empty()) {
        let is_row = states.iter().any(|state| line.starts_with(&format!("{state}: ")));
        match rows.last_mut().filter(|_| !is_row) {
            // The next line of a long row.
            Some(row) => *row = format!("{row} {line}"),
            None => rows.push(line),
        }
    }
    let found: Vec<String> =
        states.iter().map(|state| words(&format!("{state}: {}", happens(state)))).collect();
    let (rows, found) = (rows.join("\n"), found.join("\n"));
    assert!(rows == found, "expected:\n{rows}\nfound:\n{found}\n<end>");
}

/// The kinds of the records since the last call, and their batch.
pub(super) fn take_records(machine: &mut Machine) -> (Option<Sequence>, String) {
    let Some((sequence, records)) = machine.journal.take() else {
        return (None, String::new());
    };
    let kinds: Vec<String> = records.iter().map(kind).collect();
    (Some(sequence), format!(" => {}", kinds.join(", ")))
}

fn kind(record: &Record) -> String {
    match record {
        Record::CatalogEntry { key, value } => {
            let kind = key.split('/').next().unwrap_or_default();
            format!("{}{kind}", if value.is_some() { "" } else { "-" })
        }
        other => {
            let shown = format!("{other:?}");
            shown.split(' ').next().unwrap_or_default().to_owned()
        }
    }
}
