//! Whether what clients saw of some keys can have happened one operation after the other.
//!
//! The search is that of Wing and Gong, with the states that were seen kept, as Lowe does: the next
//! operation is one that began before any other that must come next had ended. An operation that
//! changes nothing is taken as soon as it fits, as no later one can miss it. A change whose outcome
//! is unknown may be anywhere after its begin, or nowhere.

use std::collections::{BTreeMap, HashSet};

/// Identifies a put, and so the entry that it made.
pub(crate) type PutId = u64;

/// The most states of one search.
const MAX_STATES: usize = 300_000;

/// What a change wants of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Anything,
    Absent,
    /// The entry of this put.
    Entry(PutId),
    /// A version that no known entry has.
    UnknownEntry,
}

/// One key of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) key: usize,
    pub(crate) wanted: Wanted,
    /// The entry that is put; `None` if the key is removed.
    pub(crate) put: Option<PutId>,
}

impl Step {
    /// Returns true if the key is as it was after a change that fits.
    fn only_reads(&self) -> bool {
        match self.wanted {
            Wanted::Absent => self.put.is_none(),
            Wanted::Entry(put) => self.put == Some(put),
            Wanted::Anything | Wanted::UnknownEntry => false,
        }
    }
}

/// The end of a change, as its client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Made,
    Refused,
    Unknown,
}

/// What an operation does.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Changes keys, all or none.
    Change(Vec<Step>, Told),
    /// Reads a key.
    Read { key: usize, found: Option<PutId> },
}

/// An operation of a client, from its begin to its end on a clock that all share.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) action: Action,
}

impl Operation {
    fn is_required(&self) -> bool {
        !matches!(self.action, Action::Change(_, Told::Unknown))
    }
}

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none; the most operations that fit, and the number of those that must.
    Impossible { fitted: usize, required: usize },
    /// The search was too long.
    Undecided,
}

/// The content of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Content {
    present: Option<PutId>,
    /// The highest version that the key is known to have had.
    highest: Option<i64>,
}

/// A point of the search.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Point {
    keys: Vec<Content>,
    /// One bit for each operation that has happened.
    happened: Vec<u64>,
}

impl Point {
    fn has(&self, index: usize) -> bool {
        self.happened[index / 64] & (1 << (index % 64)) != 0
    }

    fn note(&mut self, index: usize) {
        self.happened[index / 64] |= 1 << (index % 64);
    }

    fn holds(&self, step: &Step) -> bool {
        let present = self.keys[step.key].present;
        match step.wanted {
            Wanted::Anything => true,
            Wanted::Absent => present.is_none(),
            Wanted::Entry(put) => present == Some(put),
            Wanted::UnknownEntry => false,
        }
    }
}

/// Searches an order of operations on a number of keys, which are absent at first. The versions of
/// the entries of a key must rise.
pub(crate) fn check(
    keys: usize,
    operations: &[Operation],
    versions: &BTreeMap<PutId, i64>,
) -> Verdict {
    let mut sorted: Vec<&Operation> = operations.iter().collect();
    sorted.sort_by_key(|operation| operation.begun);
    let search = Search { operations: sorted, versions };
    search.run(keys)
}

struct Search<'o> {
    /// In the order of their begins.
    operations: Vec<&'o Operation>,
    versions: &'o BTreeMap<PutId, i64>,
}

impl Search<'_> {
    fn run(&self, keys: usize) -> Verdict {
        let required = self.operations.iter().filter(|one| one.is_required()).count();
        let happened = vec![0; self.operations.len() / 64 + 1];
        let mut stack = vec![Point { keys: vec![Content::default(); keys], happened }];
        let (mut seen, mut most) = (HashSet::new(), 0);
        while let Some(mut point) = stack.pop() {
            self.take_harmless(&mut point);
            let all = self.operations.iter().enumerate();
            let fitted = all.filter(|(index, one)| one.is_required() && point.has(*index)).count();
            most = most.max(fitted);
            if fitted == required {
                return Verdict::Linearizable;
            }
            if !seen.insert(point.clone()) {
                continue;
            }
            if seen.len() > MAX_STATES {
                return Verdict::Undecided;
            }
            // What was told is tried first, so it is pushed last.
            let mut next: Vec<(bool, Point)> = self
                .candidates(&point)
                .filter_map(|index| {
                    let is_required = self.operations[index].is_required();
                    Some((is_required, self.change(&point, index)?))
                })
                .collect();
            next.sort_by_key(|(is_required, _)| *is_required);
            stack.extend(next.into_iter().map(|(_, point)| point));
        }
        Verdict::Impossible { fitted: most, required }
    }

    /// The operations that may be next: no other that must happen had ended before they began.
    fn candidates<'s>(&'s self, point: &'s Point) -> impl Iterator<Item = usize> + 's {
        let left = || self.operations.iter().enumerate().filter(|(index, _)| !point.has(*index));
        let ends = left().filter(|(_, one)| one.is_required()).map(|(_, one)| one.ended);
        let first_end = ends.min().unwrap_or(u64::MAX);
        left().take_while(move |(_, one)| one.begun < first_end).map(|(index, _)| index)
    }

    /// Takes the operations that fit and change nothing.
    fn take_harmless(&self, point: &mut Point) {
        loop {
            let fits = |index: &usize| match &self.operations[*index].action {
                Action::Read { key, found } => point.keys[*key].present == *found,
                Action::Change(steps, Told::Refused) => !steps.iter().all(|step| point.holds(step)),
                Action::Change(steps, Told::Made) => {
                    steps.iter().all(|step| step.only_reads() && point.holds(step))
                }
                Action::Change(_, Told::Unknown) => false,
            };
            let Some(index) = self.candidates(point).find(fits) else { return };
            point.note(index);
        }
    }

    /// The point after a change; `None` if it cannot be made there.
    fn change(&self, point: &Point, index: usize) -> Option<Point> {
        let Action::Change(steps, told) = &self.operations[index].action else { return None };
        if *told == Told::Refused || !steps.iter().all(|step| point.holds(step)) {
            return None;
        }
        let mut after = point.clone();
        after.note(index);
        for step in steps {
            let content = &mut after.keys[step.key];
            content.present = step.put;
            let version = step.put.and_then(|put| self.versions.get(&put).copied());
            if let Some(version) = version {
                if content.highest.is_some_and(|highest| highest >= version) {
                    return None;
                }
                content.highest = Some(version);
            }
        }
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(begun: u64, ended: u64, told: Told, steps: &[Step]) -> Operation {
        Operation { begun, ended, action: Action::Change(steps.to_vec(), told) }
    }

    fn put(key: usize, wanted: Wanted, put: PutId) -> Step {
        Step { key, wanted, put: Some(put) }
    }

    fn remove(key: usize, wanted: Wanted) -> Step {
        Step { key, wanted, put: None }
    }

    fn read(begun: u64, ended: u64, key: usize, found: Option<PutId>) -> Operation {
        Operation { begun, ended, action: Action::Read { key, found } }
    }

    fn is_possible(operations: &[Operation]) -> bool {
        match check(2, operations, &BTreeMap::new()) {
            Verdict::Linearizable => true,
            Verdict::Impossible { .. } => false,
            Verdict::Undecided => panic!("{operations:?}"),
        }
    }

    use Told::*;
    use Wanted::*;

    #[test]
    fn a_read_returns_an_entry_of_its_time() {
        let first = change(0, 1, Made, &[put(0, Anything, 1)]);
        let second = |end| change(2, end, Made, &[put(0, Anything, 2)]);
        for (found, while_it_runs, after) in
            [(Some(1), true, false), (Some(2), true, true), (None, false, false)]
        {
            let seen = read(3, 4, 0, found);
            assert_eq!(is_possible(&[first.clone(), second(9), seen.clone()]), while_it_runs);
            let seen = Operation { begun: 10, ended: 11, ..seen };
            assert_eq!(is_possible(&[first.clone(), second(9), seen]), after);
        }
    }

    #[test]
    fn of_two_insertions_one_is_refused() {
        let insert = |id, told| change(0, 9, told, &[put(0, Absent, id)]);
        assert!(!is_possible(&[insert(1, Made), insert(2, Made)]));
        assert!(is_possible(&[insert(1, Made), insert(2, Refused)]));
        assert!(!is_possible(&[insert(1, Refused), insert(2, Refused)]));
        assert!(is_possible(&[insert(1, Unknown), insert(2, Refused)]));
        let removed = change(0, 9, Made, &[remove(0, Entry(1))]);
        assert!(is_possible(&[insert(1, Made), insert(2, Made), removed]));
    }

    #[test]
    fn a_change_of_unknown_outcome_is_made_at_any_time_after_its_begin_or_never() {
        let lost = change(0, 1, Unknown, &[put(0, Anything, 1)]);
        for found in [None, Some(1)] {
            assert!(is_possible(&[lost.clone(), read(50, 51, 0, found)]));
        }
        let later = change(60, 61, Unknown, &[put(0, Anything, 2)]);
        assert!(!is_possible(&[lost.clone(), later, read(50, 51, 0, Some(2))]));
        let twice = [read(2, 3, 0, Some(1)), read(4, 5, 0, None), read(6, 7, 0, Some(1))];
        assert!(!is_possible(&[&[lost][..], &twice].concat()), "it is made once");
    }

    #[test]
    fn a_change_is_made_as_a_whole() {
        let both = change(0, 9, Unknown, &[put(0, Anything, 1), put(1, Absent, 2)]);
        let halves = [read(2, 3, 0, Some(1)), read(4, 5, 1, None)];
        assert!(!is_possible(&[&[both.clone()][..], &halves].concat()));
        let halves = [read(2, 3, 0, None), read(4, 5, 1, Some(2))];
        assert!(is_possible(&[&[both][..], &halves].concat()));
    }

    #[test]
    fn a_condition_is_about_the_entry_of_a_version() {
        let first = change(0, 1, Made, &[put(0, Anything, 1)]);
        for (wanted, is_right) in [(Entry(1), true), (Entry(7), false), (UnknownEntry, false)] {
            let second = change(2, 3, Made, &[put(0, wanted, 2)]);
            assert_eq!(is_possible(&[first.clone(), second]), is_right, "{wanted:?}");
            let refused = change(2, 3, Refused, &[put(0, wanted, 2)]);
            assert_eq!(is_possible(&[first.clone(), refused]), !is_right, "{wanted:?}");
        }
    }

    #[test]
    fn the_versions_of_a_key_rise() {
        let puts = [1, 2].map(|id| change(id, id + 10, Made, &[put(0, Anything, id)]));
        let reads = [read(3, 4, 0, Some(1)), read(5, 6, 0, Some(2))];
        let operations = [&puts[..], &reads].concat();
        let verdict = |one, two| check(1, &operations, &[(1, one), (2, two)].into());
        assert_eq!(verdict(0, 20), Verdict::Linearizable);
        assert!(matches!(verdict(20, 0), Verdict::Impossible { .. }));
    }

    /// Operations that are made one after the other, but overlap as clients see them.
    fn history(random: &mut fastrand::Rng, length: u64) -> Vec<Operation> {
        let mut content: [Option<PutId>; 2] = [None; 2];
        let mut operations = Vec::new();
        for at in 0..length {
            let (begun, ended) = ((at * 10).saturating_sub(random.u64(0..30)), at * 10 + 1);
            let ended = ended + random.u64(0..30);
            let key = random.usize(0..2);
            let operation = if random.bool() {
                read(begun, ended, key, content[key])
            } else {
                let wanted = match content[key] {
                    Some(put) if random.bool() => Entry(put),
                    None if random.bool() => Absent,
                    _ => Anything,
                };
                let put = random.bool().then_some(at + 1);
                content[key] = put;
                let told = if random.u32(0..5) == 0 { Unknown } else { Made };
                change(begun, ended, told, &[Step { key, wanted, put }])
            };
            operations.push(operation);
        }
        operations
    }

    #[test]
    fn every_history_of_one_operation_after_the_other_is_found_and_a_changed_one_is_not() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut caught = 0;
        for _ in 0..300 {
            let mut operations = history(&mut random, 60);
            random.shuffle(&mut operations);
            assert!(is_possible(&operations), "{operations:?}");
            let at = random.usize(0..operations.len());
            if let Action::Read { found: found @ Some(_), .. } = &mut operations[at].action {
                *found = Some(1000);
                assert!(!is_possible(&operations), "no put made what was read");
                caught += 1;
            }
        }
        assert!(caught > 50, "{caught}");
    }
}
