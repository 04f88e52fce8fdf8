//! The state as entries: every update changes few of them, and they are the state.

use std::collections::BTreeMap;

use ::bytes::Bytes;
use proptest::prelude::*;

use super::{
    super::{Basis, EntryChanges, Refreshed, StageError, StoredState},
    histories::any_update,
    *,
};

/// The most entries that a table changes together.
const MAX_CHANGES: usize = 255;

/// A table without versions, changed by one client after the other.
#[derive(Default)]
pub(super) struct Table(pub(super) BTreeMap<Bytes, Bytes>);

impl Table {
    /// A table with the state of a group with so many segments.
    pub(super) fn of_group(segments: i64) -> Self {
        let mut table = Self::default();
        table.apply(StoredState::first(&init(segments)).unwrap());
        assert_same(table.read().state(), &group(segments));
        table
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
        self.0.iter().map(|(key, value)| (key.clone(), value.clone()))
    }

    fn read(&self) -> StoredState {
        StoredState::read(self.entries()).unwrap().expect("a state")
    }

    /// Makes updates by the state in the table, as a client without a copy does.
    pub(super) fn update(
        &mut self,
        updates: &[GroupUpdate],
    ) -> Result<EntryChanges, GroupUpdateError> {
        let mut stored = self.read();
        let mut state = stored.state().clone();
        let staged = stored.stage(updates, |key| self.0.get(key).cloned());
        for update in updates {
            state.apply(update.clone())?;
        }
        let changes = staged.expect("they fit");
        self.apply(changes.clone());
        assert_same(self.read().state(), &state);
        Ok(changes)
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

/// A client that follows the changes of a table.
struct Client {
    stored: StoredState,
    /// The entries that it has seen.
    seen: BTreeMap<Bytes, Bytes>,
    /// The number of pages that it has read before the last time that it had to read all.
    pages_before: u64,
}

impl Client {
    fn of(table: &Table) -> Self {
        Self { stored: table.read(), seen: table.0.clone(), pages_before: 0 }
    }

    /// Follows all changes since the last time, and compares the state with one that is read.
    fn refresh(&mut self, table: &Table) {
        self.follow(table);
        assert_same(self.stored.state(), table.read().state());
    }

    fn follow(&mut self, table: &Table) {
        let keys = self.seen.keys().chain(table.0.keys());
        let changed = keys.filter(|key| self.seen.get(*key) != table.0.get(*key));
        let mut changed: Vec<_> =
            changed.map(|key| (key.clone(), table.0.get(key).cloned())).collect();
        changed.dedup();
        if self.stored.refresh(changed).unwrap() == Refreshed::Unclear {
            self.pages_before += self.stored.pages_read();
            self.stored = table.read();
        }
        self.seen.clone_from(&table.0);
    }

    /// Prepares updates, which leave the client as it is, and are the same as those of a client
    /// that has read the table just now.
    fn stage(
        &mut self,
        table: &Table,
        updates: &[GroupUpdate],
    ) -> Result<EntryChanges, GroupUpdateError> {
        let before = self.stored.state().clone();
        let mut staged = self.stored.stage(updates, |key| table.0.get(key).cloned());
        assert_eq!(*self.stored.state(), before, "{updates:?}");
        let mut other = table.read();
        let again = other.stage(updates, |key| table.0.get(key).cloned());
        match (&mut staged, again) {
            (Ok(staged), Ok(mut again)) => {
                staged.changes.sort();
                again.changes.sort();
                assert_eq!(*staged, again, "{updates:?}");
                check_staged(table, &before, updates, staged);
            }
            (Err(StageError::Unfit(one)), Err(StageError::Unfit(other))) => assert_eq!(*one, other),
            (one, other) => panic!("{one:?} and {other:?}"),
        }
        staged.map_err(|error| match error {
            StageError::Unfit(error) => error,
            StageError::Unstorable(error) => panic!("{error}"),
        })
    }

    fn pages_read(&self) -> u64 {
        self.pages_before + self.stored.pages_read()
    }
}

/// Checks that changes make a table that of the state after some updates.
fn check_staged(
    table: &Table,
    before: &ReaderGroupState,
    updates: &[GroupUpdate],
    changes: &EntryChanges,
) {
    let mut then = Table(table.0.clone());
    then.apply(changes.clone());
    assert_same(then.read().state(), &after(before.clone(), updates));
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
pub(super) fn assert_same(one: &ReaderGroupState, other: &ReaderGroupState) {
    assert_eq!(sorted(one), sorted(other));
}

#[test]
fn a_table_without_a_head_has_no_state_and_foreign_entries_are_refused() {
    let entry = |key: &[u8]| (Bytes::copy_from_slice(key), Bytes::new());
    assert!(StoredState::read([entry(b"12345678k")]).unwrap().is_none());
    let mut table = Table::of_group(1);
    let mut client = Client::of(&table);
    table.0.insert("foreign".into(), Bytes::new());
    assert!(StoredState::read(table.entries()).is_err());
    let foreign = vec![("foreign".into(), Some(Bytes::new()))];
    assert!(client.stored.refresh(foreign).is_err());
    table.0.remove(&b"foreign"[..]);
    client.refresh(&table);
}

#[test]
fn a_report_changes_entries_of_its_reader_alone_and_depends_on_no_others() {
    let mut table = Table::of_group(4);
    for updates in [[add("a"), acquire("a", 1)], [add("b"), acquire("b", 2)]] {
        assert_eq!(table.update(&updates).unwrap().basis, Basis::All);
    }
    let mut before = Client::of(&table);
    let (one, other) = ([report("a", 40_000, &[(1, 7)])], [report("b", 50_000, &[(2, 9)])]);
    // Both are made of the same state, and the order does not matter.
    let staged = [&one, &other].map(|updates| before.stage(&table, updates).unwrap());
    for changes in staged {
        assert_eq!((changes.basis, changes.changes.len()), (Basis::Own, 2));
        table.apply(changes);
    }
    let both = after(before.stored.state().clone(), &[one, other].concat());
    assert_same(table.read().state(), &both);
    before.refresh(&table);
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
    let last = table.read().state().checkpoints().last_completed().cloned();
    table.update(&[create("y"), clear("y")]).unwrap();
    assert_eq!(table.read().state().checkpoints().last_completed().cloned(), last);
    assert!(last.is_some());
    // Those of the one before are dropped with the next that is complete.
    let before = table.0.len();
    table.update(&[answer("y", "a", &offsets), create("z"), clear("z")]).unwrap();
    table.update(&[clear("z")]).unwrap();
    assert!(table.0.len() <= before + 2, "{} and {before}", table.0.len());
}

/// The pages that a client reads for each of some updates, which another one makes.
fn pages_for_each(table: &mut Table, updates: &[&[GroupUpdate]]) -> Vec<u64> {
    let (mut one, mut other) = (Client::of(table), Client::of(table));
    let read = updates.iter().map(|updates| {
        let before = other.pages_read();
        let mut changes = one.stored.stage(updates, |key| table.0.get(key).cloned()).unwrap();
        changes.changes.sort();
        table.apply(changes);
        one.follow(table);
        other.follow(table);
        other.pages_read() - before
    });
    read.collect()
}

#[test]
fn a_change_of_one_reader_costs_a_bounded_number_of_pages_however_large_the_group_is() {
    let cost = |readers: i64, segments: i64| {
        let mut table = Table::of_group(segments);
        for reader in 0..readers {
            let name = format!("reader-{reader}");
            let part = (0..10).map(|index| acquire(&name, reader * 10 + index));
            let updates: Vec<_> = [add(&name)].into_iter().chain(part).collect();
            let mut client = Client::of(&table);
            let changes = client.stored.stage(&updates, |key| table.0.get(key).cloned());
            table.apply(changes.unwrap());
        }
        let name = "reader-3";
        let pages = pages_for_each(
            &mut table,
            &[
                &[report(name, 40_000, &[(30, 5), (35, 7)])],
                &[release(name, 31, 100)],
                &[acquire(name, 31)],
                &[complete(name, 32, &[(100_001, &[32]), (100_002, &[32])])],
                &[add("new"), acquire("new", 31 + 10 * readers)],
                &[create("c")],
                &[answer("c", name, &[(30, 9), (31, 200)])],
                &[remove(name, &[(30, 6)])],
            ],
        );
        println!("{readers} readers, {segments} segments: {pages:?}");
        pages
    };
    let (few, many) = (cost(5, 200), cost(100, 2000));
    for (index, (few, many)) in few.into_iter().zip(many).enumerate() {
        // The begin of a checkpoint has the positions of all segments without a reader.
        let bound = if index == 5 { 2 + 1000 / 64 + 2 } else { 6 };
        assert!(many <= bound, "change {index}: {many} pages, and {few} in a small group");
    }
}

#[test]
fn a_page_that_is_damaged_too_new_or_twice_is_refused_and_the_client_goes_on_when_it_is_repaired() {
    let mut table = Table::of_group(100);
    table.update(&[add("a"), acquire("a", 0), create("x")]).unwrap();
    let mut client = Client::of(&table);
    for (key, value) in table.0.clone() {
        let mut newer = value.to_vec();
        // The version of an object is its second byte.
        newer[1] = newer[1].wrapping_add(1);
        let mut refused = vec![value.slice(..value.len() - 1), newer.into()];
        refused.retain(|bytes| !(bytes.len() >= 8 && key.get(8) == Some(&b'l')));
        for value in refused {
            let changed = vec![(key.clone(), Some(value.clone()))];
            assert!(client.stored.refresh(changed.clone()).is_err_or_unclear(), "{key:?}");
            let others = table.entries().filter(|(other, _)| *other != key);
            assert!(StoredState::read(others.chain([(key.clone(), value)])).is_err(), "{key:?}");
        }
    }
    client.refresh(&table);
    // A segment in the pages of two readers, with how far it was read.
    let page = |reader: &str| {
        let tail = [&b"r"[..], reader.as_bytes(), &[0; 4]].concat();
        table.0.keys().find(|key| key.ends_with(&tail)).cloned().unwrap()
    };
    let of_a = page("a");
    let of_b = Bytes::from([&of_a[..8], b"rb", &[0; 4]].concat());
    table.0.insert(of_b.clone(), table.0[&of_a].clone());
    assert!(StoredState::read(table.entries()).is_err());
    let twice = vec![(of_b.clone(), table.0.get(&of_b).cloned())];
    assert_eq!(client.stored.refresh(twice).unwrap(), Refreshed::Unclear);
}

trait Refused {
    /// An error, or the request to read all entries, which is one then.
    fn is_err_or_unclear(&self) -> bool;
}

impl<E> Refused for Result<Refreshed, E> {
    fn is_err_or_unclear(&self) -> bool {
        !matches!(self, Ok(Refreshed::Done))
    }
}

#[test]
fn a_checkpoint_and_a_reader_may_have_any_name_that_fits_a_key() {
    let mut table = Table::of_group(4);
    let mut client = Client::of(&table);
    let long = "n".repeat(8000);
    for name in ["", " ", "a/b", "_SILENT_", "\0", "h", "\u{1F600}", "x\0\0\0\0", &long] {
        for updates in [
            vec![add(name), acquire(name, 1), create(name)],
            vec![report(name, 50_000, &[(1, 3)]), answer(name, name, &[(1, 4)])],
            vec![remove(name, &[(1, 5)])],
        ] {
            let changes = client.stage(&table, &updates).unwrap();
            assert!(changes.changes.iter().all(|(key, _)| key.len() < 8191));
            table.apply(changes);
            client.refresh(&table);
        }
    }
}

#[test]
fn a_group_with_ten_thousand_segments_has_entries_that_a_table_takes() {
    const SEGMENTS: i64 = 10_000;
    /// The longest value that a synchronizer stores.
    const MAX_VALUE: usize = 1_040_383;
    let mut table = Table::of_group(SEGMENTS);
    let mut client = Client::of(&table);
    let all: Vec<_> = (0..SEGMENTS).map(|number| acquire("a", number)).collect();
    let offsets: Vec<_> = (0..SEGMENTS).map(|number| (number, 1_000_000)).collect();
    let steps = [
        vec![create("of none")],
        [vec![add("a")], all].concat(),
        vec![create("c")],
        vec![answer("c", "a", &offsets)],
        vec![report("a", 50_000, &offsets)],
        vec![remove("a", &offsets)],
        vec![clear("c")],
        vec![GroupUpdate::Init(init(SEGMENTS))],
    ];
    for updates in steps {
        let changes = client.stored.stage(&updates, |key| table.0.get(key).cloned()).unwrap();
        let len = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        assert!(changes.changes.iter().all(|(_, value)| len(value) <= MAX_VALUE));
        assert!(bytes(&changes) < 16_769_023, "{}", bytes(&changes));
        table.apply(changes);
        client.refresh(&table);
    }
}

#[test]
fn a_client_that_was_paused_across_a_reset_reads_the_state_that_is_and_its_report_changes_nothing()
{
    let mut table = Table::of_group(4);
    table.update(&[add("a"), acquire("a", 1), add("b"), acquire("b", 2)]).unwrap();
    let mut paused = Client::of(&table);
    let late = paused.stage(&table, &[report("a", 40_000, &[(1, 7)])]).unwrap();
    table.update(&[GroupUpdate::Init(init(4))]).unwrap();
    let reset = table.read().state().clone();
    // Its own entries may not have been removed yet, so the table takes it.
    table.apply(late);
    assert_same(table.read().state(), &reset);
    paused.refresh(&table);
    assert!(!paused.stored.state().is_online("a"));
    table.update(&[add("a"), acquire("a", 3)]).unwrap();
    paused.refresh(&table);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn clients_that_look_at_changes_now_and_then_have_the_state_of_one_that_reads_all_of_it(
        updates in prop::collection::vec(
            (0..3_usize, any::<bool>(), prop::collection::vec(any_update(), 1..6)),
            0..25,
        ),
        resets in prop::collection::vec(0..25_usize, 0..2),
    ) {
        let mut table = Table::of_group(100);
        let mut clients = [0; 3].map(|_| Client::of(&table));
        for (number, (client, is_made, updates)) in updates.into_iter().enumerate() {
            let client = &mut clients[client];
            client.refresh(&table);
            let staged = match resets.contains(&number) {
                true => client.stage(&table, &[GroupUpdate::Init(init(90))]),
                false => client.stage(&table, &updates),
            };
            if let Some(changes) = staged.ok().filter(|_| is_made) {
                table.apply(changes);
            }
        }
        clients.iter_mut().for_each(|client| client.refresh(&table));
    }

    #[test]
    fn damaged_entries_are_an_error_or_another_state_and_never_a_panic(
        updates in prop::collection::vec(any_update(), 0..20),
        damages in prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..4),
        follow in any_update(),
    ) {
        let mut table = Table::of_group(70);
        updates.into_iter().for_each(|update| drop(table.update(&[update])));
        let mut client = Client::of(&table);
        let mut damaged = Table(table.0.clone());
        for (entry, at, byte) in damages {
            let count = damaged.0.len();
            let Some((_, value)) = damaged.0.iter_mut().nth(entry % count) else { continue };
            let mut bytes = value.to_vec();
            let len = bytes.len();
            if let Some(found) = bytes.get_mut(at % len.max(1)) {
                *found = byte;
            }
            *value = bytes.into();
        }
        let changed = damaged.0.iter().filter(|(key, value)| table.0.get(*key) != Some(value));
        let changed: Vec<_> =
            changed.map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let read = StoredState::read(damaged.entries());
        match client.stored.refresh(changed) {
            Ok(Refreshed::Done) => {
                let mut read = read.unwrap().expect("a state");
                assert_same(client.stored.state(), read.state());
                drop(read.stage(&[follow], |key| damaged.0.get(key).cloned()));
            }
            Ok(Refreshed::Unclear) | Err(_) => drop(read),
        }
    }
}
