//! What clients did with tables and were told, and the checks of it.
//!
//! | check | holds |
//! |---|---|
//! | C9 | the changes and reads of the keys with one primary key have an order |
//! | C9 | an entry has one version, and a version one entry |
//! | C11 | an iteration returns no key twice, and what it returns is in that order too |

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::linear::{self, Action, Operation, PutId, Step, Told, Verdict, Wanted};
use crate::history::Violation;

/// The keys with one primary key, which are changed together. A table that is created again has
/// other segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Family {
    /// The first segment of the table.
    pub(crate) table: i64,
    pub(crate) primary: u8,
}

/// A version of a key, in its segment.
pub(crate) type At = (i64, i64);

/// What a client wants of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Anything,
    Absent,
    At(At),
}

/// One key of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) secondary: u8,
    pub(crate) condition: Condition,
    /// `None` if the key is removed.
    pub(crate) put: Option<PutId>,
}

/// The end of a change.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// It was made; the versions of its puts, if they are known.
    Made(Option<Vec<At>>),
    /// A condition did not hold.
    Refused,
    /// It was not made for another reason.
    NotMade,
    Unknown,
}

/// What was read of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) secondary: u8,
    pub(crate) entry: Option<(PutId, At)>,
}

#[derive(Debug, Clone)]
struct Change {
    family: Family,
    begun: u64,
    ended: u64,
    items: Vec<Item>,
    end: Ended,
}

#[derive(Debug, Clone)]
struct Read {
    family: Family,
    begun: u64,
    ended: u64,
    found: Found,
}

/// What all clients did.
#[derive(Debug, Default)]
pub(crate) struct History {
    clock: u64,
    puts: PutId,
    changes: Vec<Change>,
    reads: Vec<Read>,
    pub(crate) violations: Vec<Violation>,
    /// The longest time of a call, beyond its limit.
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

/// The history of all clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<History>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// The time, which passes with each call.
    pub(crate) fn now(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Returns the id of a new put.
    pub(crate) fn new_put(&mut self) -> PutId {
        self.puts += 1;
        self.puts
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(crate) fn say(&mut self, check: &'static str, detail: String) {
        self.violations.push(Violation { check, detail });
    }

    /// Notes that a call took a time, within a limit.
    pub(crate) fn took(&mut self, call: &str, took: Duration, limit: Duration) {
        if took > limit {
            self.say("C14", format!("{call} took {took:?}, and its limit is {limit:?}"));
        }
    }

    pub(crate) fn changed(&mut self, family: Family, begun: u64, items: Vec<Item>, end: Ended) {
        self.count(match &end {
            Ended::Made(_) => "table change made",
            Ended::Refused => "table change refused",
            Ended::NotMade => "table change failed, not applied",
            Ended::Unknown => "table change failed, unknown",
        });
        let ended = self.now();
        self.changes.push(Change { family, begun, ended, items, end });
    }

    pub(crate) fn read(&mut self, family: Family, begun: u64, found: Vec<Found>) {
        self.count("table read");
        let ended = self.now();
        let read = |found| Read { family, begun, ended, found };
        self.reads.extend(found.into_iter().map(read));
    }

    /// Checks everything; `secondaries` is the number of keys of a family.
    pub(crate) fn check(&mut self, secondaries: usize) {
        let entries = self.entries();
        let versions: BTreeMap<PutId, i64> =
            entries.iter().map(|((_, version), put)| (*put, *version)).collect();
        let mut families: BTreeMap<Family, Vec<Operation>> = BTreeMap::new();
        for change in &self.changes {
            let told = match &change.end {
                Ended::Made(_) => Told::Made,
                Ended::Refused => Told::Refused,
                Ended::Unknown => Told::Unknown,
                Ended::NotMade => continue,
            };
            let step = |item: &Item| Step {
                key: usize::from(item.secondary),
                wanted: match item.condition {
                    Condition::Anything => Wanted::Anything,
                    Condition::Absent => Wanted::Absent,
                    Condition::At(at) => {
                        entries.get(&at).map_or(Wanted::UnknownEntry, |put| Wanted::Entry(*put))
                    }
                },
                put: item.put,
            };
            let action = Action::Change(change.items.iter().map(step).collect(), told);
            let operation = Operation { begun: change.begun, ended: change.ended, action };
            families.entry(change.family).or_default().push(operation);
        }
        for Read { family, begun, ended, found } in &self.reads {
            let (key, found) = (usize::from(found.secondary), found.entry.map(|(put, _)| put));
            let (begun, ended) = (*begun, *ended);
            let operation = Operation { begun, ended, action: Action::Read { key, found } };
            families.entry(*family).or_default().push(operation);
        }
        for (family, operations) in families {
            match linear::check(secondaries, &operations, &versions) {
                Verdict::Linearizable => self.count("family of keys in order"),
                Verdict::Undecided => self.count("family of keys undecided"),
                Verdict::Impossible { fitted, required } => self.say(
                    "C9",
                    format!("{family:?}: {fitted} of {required} operations have an order"),
                ),
            }
        }
    }

    /// The put of each version.
    fn entries(&mut self) -> BTreeMap<At, PutId> {
        let mut entries: BTreeMap<At, PutId> = BTreeMap::new();
        let mut versions: BTreeMap<PutId, At> = BTreeMap::new();
        let mut wrong = Vec::new();
        let mut learn = |put: PutId, at: At| {
            let other_put = *entries.entry(at).or_insert(put);
            let other_at = *versions.entry(put).or_insert(at);
            if (other_put, other_at) != (put, at) {
                wrong.push(format!(
                    "put {put} has version {at:?}, and put {other_put} and version {other_at:?} \
                     were seen before"
                ));
            }
        };
        for change in &self.changes {
            let puts: Vec<PutId> = change.items.iter().filter_map(|item| item.put).collect();
            if let Ended::Made(Some(ats)) = &change.end {
                puts.iter().zip(ats).for_each(|(put, at)| learn(*put, *at));
            }
        }
        for read in &self.reads {
            if let Some((put, at)) = read.found.entry {
                learn(put, at);
            }
        }
        for detail in wrong {
            self.say("C9", detail);
        }
        entries
    }
}
