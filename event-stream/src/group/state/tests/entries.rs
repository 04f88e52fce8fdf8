//! The state as entries: every update changes few of them, and they are the state.

use std::collections::BTreeMap;

use ::bytes::Bytes;
use proptest::prelude::*;

use super::{
    super::{Basis, EntryChanges, StoredEntries},
    histories::any_update,
    *,
};

/// The most entries that a table changes together.
const MAX_CHANGES: usize = 255;

/// A table without versions, changed by one client after the other.
#[derive(Default)]
struct Table(BTreeMap<Bytes, Bytes>);

impl Table {
    /// A table with the state of a group with so many segments.
    fn of_group(segments: i64) -> Self {
        let mut table = Self::default();
        let first = group(segments);
        let changes =
            StoredEntries::default().changes(&[GroupUpdate::Init(init(segments))], &first);
        table.apply(changes.unwrap());
        assert_same(&table.read().1, &first);
        table
    }

    fn read(&self) -> (StoredEntries, ReaderGroupState) {
        let entries = self.0.iter().map(|(key, value)| (key.clone(), value.clone()));
        StoredEntries::read(entries).unwrap().expect("a state")
    }

    /// Makes updates by the state in the table, as a client without a copy does.
    fn update(&mut self, updates: &[GroupUpdate]) -> Result<EntryChanges, GroupUpdateError> {
        let (stored, mut state) = self.read();
        for update in updates {
            state.apply(update.clone())?;
        }
        let changes = stored.changes(updates, &state).unwrap();
        let copy = EntryChanges { changes: changes.changes.clone(), basis: changes.basis };
        self.apply(changes);
        assert_same(&self.read().1, &state);
        Ok(copy)
    }

    fn apply(&mut self, changes: EntryChanges) {
        assert!(changes.changes.len() <= MAX_CHANGES, "{}", changes.changes.len());
        for (key, value) in changes.changes {
            match value {
                Some(value) => drop(self.0.insert(key, value)),
                None => assert!(self.0.remove(&key).is_some(), "{key:?} is removed twice"),
            }
        }
    }

    fn bytes(&self) -> usize {
        self.0.values().map(Bytes::len).sum()
    }
}

fn bytes(changes: &EntryChanges) -> usize {
    changes.changes.iter().map(|(_, value)| value.as_ref().map_or(0, Bytes::len)).sum()
}

/// The order of what was read means nothing: it is by the holders of the segments.
fn sorted(state: &ReaderGroupState) -> ReaderGroupState {
    let mut state = state.clone();
    let read: BTreeMap<ScopedSegment, (Option<KeyRange>, SegmentOffset)> =
        state.last_read.iter().map(|(it, range, at)| (it.clone(), (range, at))).collect();
    let read = read.into_iter();
    state.last_read =
        read.map(|(segment, (range, at))| (GroupSegment { segment, range }, at)).collect();
    state
}

#[track_caller]
fn assert_same(one: &ReaderGroupState, other: &ReaderGroupState) {
    assert_eq!(sorted(one), sorted(other));
}

#[test]
fn a_table_without_a_head_has_no_state_and_foreign_entries_are_refused() {
    let entry = |key: &[u8]| (Bytes::copy_from_slice(key), Bytes::new());
    assert!(StoredEntries::read([entry(b"12345678k")]).unwrap().is_none());
    let mut table = Table::of_group(1);
    table.0.insert("foreign".into(), Bytes::new());
    let entries = table.0.iter().map(|(key, value)| (key.clone(), value.clone()));
    assert!(StoredEntries::read(entries).is_err());
}

#[test]
fn a_report_changes_entries_of_its_reader_alone_and_depends_on_no_others() {
    let mut table = Table::of_group(4);
    for updates in [[add("a"), acquire("a", 1)], [add("b"), acquire("b", 2)]] {
        assert_eq!(table.update(&updates).unwrap().basis, Basis::All);
    }
    let before = table.read();
    let (one, other) = ([report("a", 40_000, &[(1, 7)])], [report("b", 50_000, &[(2, 9)])]);
    // Both are made of the same state, and the order does not matter.
    for updates in [&one, &other] {
        let after = after(before.1.clone(), updates);
        let changes = before.0.changes(updates, &after).unwrap();
        assert_eq!((changes.basis, changes.changes.len()), (Basis::Own, 2));
        table.apply(changes);
    }
    assert_same(&table.read().1, &after(before.1, &[one, other].concat()));
    // One about a segment of another reader depends on all.
    let foreign = table.update(&[report("a", 41_000, &[(2, 10)])]).unwrap();
    assert_eq!(foreign.basis, Basis::All);
    // So does one that changes nothing: something must be written for it.
    let again = table.update(&[report("a", 41_000, &[])]).unwrap();
    assert_eq!((again.basis, again.changes.len()), (Basis::All, 1));
}

#[test]
fn an_update_that_changes_nothing_writes_the_head_so_that_earlier_attempts_fail() {
    let mut table = Table::of_group(1);
    for update in [remove("a", &[]), clear("x"), GroupUpdate::UpdatingConfig { is_updating: false }]
    {
        let changes = table.update(&[update]).unwrap();
        assert_eq!((changes.basis, changes.changes.len()), (Basis::All, 1));
    }
}

#[test]
fn an_update_of_a_large_group_writes_little_of_its_state() {
    const READERS: i64 = 40;
    const SEGMENTS: i64 = 4000;
    let mut table = Table::of_group(SEGMENTS);
    let part = |reader: i64| (0..SEGMENTS).filter(move |number| number % READERS == reader);
    for reader in 0..READERS {
        let name = format!("reader-{reader}");
        let taken = part(reader).map(|number| acquire(&name, number));
        table.update(&[add(&name)].into_iter().chain(taken).collect::<Vec<_>>()).unwrap();
    }
    let all = table.bytes();
    let name = "reader-7";
    let offsets: Vec<(i64, i64)> = part(7).map(|number| (number, 1000)).collect();
    let mut written = |updates: &[GroupUpdate]| bytes(&table.update(updates).unwrap());
    // Of a reader's 100 segments, or a page of them.
    assert!(written(&[report(name, 50_000, &offsets)]) < all / 20);
    assert!(written(&[release(name, 7, 1000)]) < all / 20);
    assert!(written(&[acquire(name, 7)]) < all / 20);
    assert!(written(&[create("c")]) < all / 20);
    assert!(written(&[answer("c", name, &offsets)]) < all / 10);
    assert!(written(&[remove(name, &offsets)]) < all / 20);
    assert!(written(&[add(name)]) < 1000);
}

#[test]
fn a_reader_takes_and_leaves_all_segments_of_a_large_group_in_one_change() {
    const SEGMENTS: i64 = 20_000;
    let mut table = Table::of_group(SEGMENTS);
    let all = (0..SEGMENTS).map(|number| acquire("a", number));
    table.update(&[add("a")].into_iter().chain(all).collect::<Vec<_>>()).unwrap();
    table.update(&[remove("a", &[])]).unwrap();
}

#[test]
fn a_group_with_many_readers_begins_again_in_one_change() {
    let mut table = Table::of_group(300);
    for reader in 0..300 {
        let name = format!("reader-{reader}");
        table.update(&[add(&name), acquire(&name, reader)]).unwrap();
    }
    table.update(&[create("c")]).unwrap();
    table.update(&[GroupUpdate::Init(init(3))]).unwrap();
    assert!(table.0.len() > 300, "what means nothing is removed later");
    for _ in 0..4 {
        table.update(&[GroupUpdate::UpdatingConfig { is_updating: true }]).unwrap();
    }
    assert!(table.0.len() < 10, "{}", table.0.len());
}

#[test]
fn the_positions_of_the_last_checkpoint_are_stored_once_and_stay_without_it() {
    let mut table = Table::of_group(100);
    table.update(&[add("a"), acquire("a", 0), create("x")]).unwrap();
    let offsets = [(0, 5)];
    let completed = table.update(&[answer("x", "a", &offsets)]).unwrap();
    assert!(bytes(&completed) < table.bytes() / 2, "{}", bytes(&completed));
    let last = table.read().1.checkpoints().last_completed().cloned();
    table.update(&[create("y"), clear("y")]).unwrap();
    assert_eq!(table.read().1.checkpoints().last_completed().cloned(), last);
    assert!(last.is_some());
    // Those of the one before are dropped with the next that is complete.
    let before = table.0.len();
    table.update(&[answer("y", "a", &offsets), create("z"), clear("z")]).unwrap();
    table.update(&[clear("z")]).unwrap();
    assert!(table.0.len() <= before + 2, "{} and {before}", table.0.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_entries_are_the_state_after_each_update_of_a_history(
        updates in prop::collection::vec(prop::collection::vec(any_update(), 1..4), 0..30),
        resets in prop::collection::vec(0..20_usize, 0..2),
    ) {
        let mut table = Table::of_group(6);
        for (number, updates) in updates.into_iter().enumerate() {
            // It compares the entries with the state.
            drop(table.update(&updates));
            if resets.contains(&number) {
                table.update(&[GroupUpdate::Init(init(3))]).unwrap();
            }
        }
    }
}
