//! Writes some lines of an import: those with the same primary key together, others at the same
//! time.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use pravega_sdk::{
    table_synchronizer::{Key, KeyCondition, KeyPut, KeyValueTable, TableError},
    types::{ErrorKind, Outcome},
};

use super::super::format::KeyCoder;
use crate::{commands::input::Place, escape::escape, failure::Failure};

/// What is done about a key that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnConflict {
    /// The import fails
    Fail,
    /// The key keeps its value
    Keep,
    /// The key gets the value of the line
    Replace,
}

/// A line of the input.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) at: Place,
    pub(super) key: Key,
    pub(super) value: Bytes,
}

/// What was written of some lines.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Lines that were put.
    pub(super) imported: Vec<Place>,
    /// Lines whose keys existed and were kept.
    pub(super) kept: Vec<Place>,
    pub(super) failed: Option<Failed>,
}

/// The first failure of some lines.
#[derive(Debug)]
pub(super) struct Failed {
    at: Place,
    pub(super) failure: Failure,
    /// Lines that may be written or not.
    pub(super) unknown: Vec<Place>,
}

/// Writes lines to a table.
#[derive(Debug)]
pub(super) struct Importer {
    table: KeyValueTable,
    keys: KeyCoder,
    on_conflict: OnConflict,
}

/// Primary keys that are written at the same time.
const IN_FLIGHT: usize = 64;
/// How often keys are written that other clients insert and remove meanwhile.
const ATTEMPTS: usize = 10;

impl Importer {
    pub(super) fn new(table: KeyValueTable, keys: KeyCoder, on_conflict: OnConflict) -> Self {
        Self { table, keys, on_conflict }
    }

    pub(super) fn keys(&self) -> &KeyCoder {
        &self.keys
    }

    /// Writes lines. After a failure no further primary key is begun.
    pub(super) async fn write(&self, lines: Vec<Line>) -> Window {
        let has_failed = &AtomicBool::new(false);
        let parts = by_primary(lines).into_iter().map(|part| async move {
            let mut window = Window::default();
            for batch in batches(part) {
                if has_failed.load(Ordering::Relaxed) {
                    break;
                }
                self.put(batch, &mut window).await;
                if window.failed.is_some() {
                    has_failed.store(true, Ordering::Relaxed);
                }
            }
            window
        });
        let parts: Vec<_> = parts.map(Box::pin).collect();
        let mut parts = stream::iter(parts).buffer_unordered(IN_FLIGHT);
        let mut whole = Window::default();
        while let Some(part) = parts.next().await {
            whole.add(part);
        }
        whole
    }

    /// Puts lines of one primary key, each with another key.
    async fn put(&self, mut batch: Vec<Line>, window: &mut Window) {
        let condition = match self.on_conflict {
            OnConflict::Replace => KeyCondition::Any,
            OnConflict::Fail | OnConflict::Keep => KeyCondition::Absent,
        };
        for attempt in 1..=ATTEMPTS {
            let puts = batch
                .iter()
                .map(|line| KeyPut::new(line.key.clone(), line.value.clone()).when(condition));
            let Err(error) = self.table.put_all(puts).await else {
                window.imported.extend(batch.iter().map(|line| line.at));
                return;
            };
            if error.kind() != ErrorKind::ConditionFailed || attempt == ATTEMPTS {
                window.failed = Failed::of(error, &batch);
                return;
            }
            let existing = match self.table.get_all(batch.iter().map(|line| line.key.clone())).await
            {
                Ok(existing) => existing,
                Err(error) => {
                    window.failed = Failed::of(error, &batch);
                    return;
                }
            };
            let mut left = Vec::new();
            for (line, entry) in batch.into_iter().zip(existing) {
                match (entry, self.on_conflict) {
                    (None, _) => left.push(line),
                    (Some(_), OnConflict::Keep) => window.kept.push(line.at),
                    (Some(entry), OnConflict::Fail | OnConflict::Replace) => {
                        let failure = self.exists(&line, &entry.version.to_string());
                        let unknown = Vec::new();
                        window.failed = Some(Failed { at: line.at, failure, unknown });
                        return;
                    }
                }
            }
            batch = left;
        }
    }

    fn exists(&self, line: &Line, version: &str) -> Failure {
        let (key, table) = (escape(&self.keys.shown(&line.key)), self.table.table());
        let number = line.at.number;
        let text = format!("line {number}: key {key} of {table} exists; its version is {version}");
        Failure::of_kind(ErrorKind::ConditionFailed, text)
    }
}

impl Failed {
    /// The failure of a change of some lines, or of reading their keys.
    fn of(error: TableError, batch: &[Line]) -> Option<Self> {
        let at = batch.first()?.at;
        let places = batch.iter().map(|line| line.at);
        let unknown = match error.outcome() {
            Outcome::NotApplied => Vec::new(),
            _ => places.collect(),
        };
        Some(Self { at, failure: error.into(), unknown })
    }
}

impl Window {
    fn add(&mut self, part: Self) {
        self.imported.extend(part.imported);
        self.kept.extend(part.kept);
        self.failed = match (self.failed.take(), part.failed) {
            (Some(mut one), Some(mut other)) => {
                if other.at.number < one.at.number {
                    std::mem::swap(&mut one, &mut other);
                }
                one.unknown.extend(other.unknown);
                Some(one)
            }
            (one, other) => one.or(other),
        };
    }
}

/// Divides lines by their primary keys. Those of one are in the order of the input.
fn by_primary(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut places: HashMap<Bytes, usize> = HashMap::new();
    let mut parts: Vec<Vec<Line>> = Vec::new();
    for line in lines {
        let next = parts.len();
        let place = *places.entry(line.key.primary().clone()).or_insert(next);
        match parts.get_mut(place) {
            Some(part) => part.push(line),
            None => parts.push(vec![line]),
        }
    }
    parts
}

/// Cuts lines of one primary key where a key occurs again: a change has each key once.
fn batches(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut keys = HashSet::new();
    let mut batches: Vec<Vec<Line>> = Vec::new();
    for line in lines {
        let is_new = keys.insert(line.key.secondary().clone());
        match batches.last_mut() {
            Some(batch) if is_new => batch.push(line),
            _ => {
                keys = HashSet::from([line.key.secondary().clone()]);
                batches.push(vec![line]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, primary: &'static str, secondary: &'static str) -> Line {
        let key = Key::new(primary).with_secondary(secondary);
        Line { at: Place { number, end: 0 }, key, value: Bytes::new() }
    }

    fn numbers(parts: &[Vec<Line>]) -> Vec<Vec<u64>> {
        let part = |part: &Vec<Line>| part.iter().map(|line| line.at.number).collect();
        parts.iter().map(part).collect()
    }

    #[test]
    fn lines_of_one_primary_key_stay_in_order() {
        let lines = vec![line(1, "a", "x"), line(2, "b", "x"), line(3, "a", "w"), line(4, "c", "")];
        assert_eq!(numbers(&by_primary(lines)), [vec![1, 3], vec![2], vec![4]]);
    }

    #[test]
    fn a_key_that_occurs_again_begins_another_batch() {
        let lines = [(1, "x"), (2, "y"), (3, "x"), (4, "y"), (5, "z"), (6, "z")];
        let lines = lines.map(|(number, secondary)| line(number, "a", secondary)).to_vec();
        assert_eq!(numbers(&batches(lines)), [vec![1, 2], vec![3, 4, 5], vec![6]]);
    }

    #[test]
    fn the_failure_of_the_first_line_is_told_and_every_line_that_is_unknown() {
        let failed = |number, text| {
            let at = Place { number, end: 0 };
            let failed = Failed { at, failure: Failure::other(text), unknown: vec![at] };
            Window { failed: Some(failed), ..Window::default() }
        };
        let mut window = failed(7, "seven");
        window.add(failed(3, "three"));
        window.add(failed(5, "five"));
        let failed = window.failed.unwrap();
        assert_eq!(failed.failure.to_string(), "three");
        let mut unknown: Vec<u64> = failed.unknown.iter().map(|place| place.number).collect();
        unknown.sort_unstable();
        assert_eq!(unknown, [3, 5, 7]);
    }
}
