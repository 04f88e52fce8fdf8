//! What has changed in one partition between two scans of its keys.
//!
//! A version is the offset at which the store wrote the entry, so a version at or after the end of
//! the segment at some time is newer than that time. That tells what has changed since a position
//! that was kept; what was removed since is known only of keys that an earlier scan has seen.
//!
//! A removal does not move the end of the segment on a Java store, and the number of entries that
//! such a store returns is late, so neither proves that nothing was removed. The keys are therefore
//! scanned in rounds without a sign of change too, at growing distances.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use pravega_sdk_segment_client::seeded_bugs::{Bugs, SeededBug};
use pravega_sdk_types::Offset;

use crate::entry::{Version, VersionedKey};

/// The most rounds without a sign of change between two scans.
const MOST_RESTS: u32 = 64;

/// The keys of a partition as far as they are known, and the position up to which its changes were
/// reported.
#[derive(Debug)]
pub(super) struct WatchMachine {
    position: Offset,
    known: Known,
    /// The size of the segment when it was scanned.
    scanned: Option<Size>,
    /// Number of rounds since the last scan, and the number after which the next is due.
    rests: u32,
    due: u32,
    /// What the last scan found and was not yet reported.
    left: Found,
    bugs: Bugs,
}

/// The size of a partition, which changes with its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) end: Offset,
    pub(super) entry_count: u64,
}

#[derive(Debug)]
enum Known {
    /// No scan so far.
    Nothing,
    /// The keys of the last scan.
    Keys(BTreeMap<Bytes, Seen>),
}

/// The versions of a key. A Java store that has compacted a table returns another version to a scan
/// than to a read.
#[derive(Debug, Clone, Copy)]
struct Seen {
    scanned: Version,
    /// That of the entry that was reported, if it was read since the scan.
    read: Option<Version>,
}

/// What a scan found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The keys that were put since the position, in their order.
    pub(super) put: VecDeque<Bytes>,
    /// The keys that were removed since the last scan, in their order.
    pub(super) removed: VecDeque<Bytes>,
}

/// The changes that are reported next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Portion {
    /// Keys that were put, whose values must be read.
    Put(Vec<Bytes>),
    /// Keys that were removed.
    Removed(Vec<Bytes>),
    /// All changes of the scan were reported.
    Nothing,
}

impl WatchMachine {
    /// Begins at the end that the segment had at some time.
    pub(super) fn new(position: Offset, bugs: Bugs) -> Self {
        let (known, left) = (Known::Nothing, Found::default());
        Self { position, known, scanned: None, rests: 0, due: 1, left, bugs }
    }

    /// The position up to which changes were reported.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// A round begins; the partition has this size. Returns true if the keys must be scanned.
    pub(super) fn handle_size(&mut self, size: Size) -> bool {
        self.rests += 1;
        self.scanned != Some(size) || self.rests >= self.due
    }

    /// All keys were scanned; the partition had this size before the scan began.
    pub(super) fn handle_scan(&mut self, keys: Vec<VersionedKey>, size: Size) {
        self.due = match self.scanned {
            Some(before) if before == size => (self.due * 2).min(MOST_RESTS),
            _ => 1,
        };
        let mut scanned = BTreeMap::new();
        let mut found = Found::default();
        for VersionedKey { key, version } in keys {
            let before = self.known.of(&key);
            let is_new = match (&self.known, before) {
                (Known::Nothing, _) => Offset(version.get()) >= self.position,
                (Known::Keys(_), None) => true,
                (Known::Keys(_), Some(seen)) => {
                    seen.scanned != version && seen.read != Some(version)
                }
            };
            let is_late = Offset(version.get()) >= size.end;
            if is_new && !(is_late && self.bugs.has(SeededBug::MissesLatePuts)) {
                found.put.push_back(key.clone());
            }
            let read = before.filter(|_| !is_new).and_then(|seen| seen.read);
            scanned.insert(key, Seen { scanned: version, read });
        }
        if let Known::Keys(known) = &self.known
            && !self.bugs.has(SeededBug::MissesRemovals)
        {
            let is_gone = |key: &&Bytes| !scanned.contains_key(*key);
            found.removed = known.keys().filter(is_gone).cloned().collect();
        }
        (self.scanned, self.known, self.left) = (Some(size), Known::Keys(scanned), found);
        self.rests = 0;
        self.note_end();
    }

    /// Takes changes that are reported next, at most a number of them.
    pub(super) fn next_portion(&mut self, most: usize) -> Portion {
        let Found { put, removed } = &mut self.left;
        let take = |keys: &mut VecDeque<Bytes>| keys.drain(..most.min(keys.len())).collect();
        let portion = match (put.is_empty(), removed.is_empty()) {
            (false, _) => Portion::Put(take(put)),
            (true, false) => Portion::Removed(take(removed)),
            (true, true) => Portion::Nothing,
        };
        self.note_end();
        portion
    }

    /// A key that was put was read, maybe with a later version than it had in the scan.
    pub(super) fn handle_read(&mut self, key: &Bytes, version: Version) {
        if let Known::Keys(known) = &mut self.known
            && let Some(seen) = known.get_mut(key)
        {
            seen.read = Some(version);
        }
    }

    /// The position is that of the scan once nothing of it is left.
    fn note_end(&mut self) {
        if let Some(size) = self.scanned
            && self.left == Found::default()
        {
            self.position = size.end;
        }
    }
}

impl Known {
    fn of(&self, key: &Bytes) -> Option<Seen> {
        match self {
            Self::Nothing => None,
            Self::Keys(known) => known.get(key).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 100;

    fn scan(keys: &[(&'static str, i64)]) -> Vec<VersionedKey> {
        let key = |(key, version): &(&'static str, i64)| VersionedKey {
            key: (*key).into(),
            version: Version::new(*version).unwrap(),
        };
        keys.iter().map(key).collect()
    }

    fn size(end: i64) -> Size {
        Size { end: Offset(end), entry_count: 3 }
    }

    /// All that is reported of a scan.
    fn found(
        watch: &mut WatchMachine,
        keys: Vec<VersionedKey>,
        end: i64,
    ) -> (Vec<Bytes>, Vec<Bytes>) {
        watch.handle_scan(keys, size(end));
        let (mut all_put, mut all_removed) = (Vec::new(), Vec::new());
        loop {
            match watch.next_portion(MANY) {
                Portion::Put(keys) => all_put.extend(keys),
                Portion::Removed(keys) => all_removed.extend(keys),
                Portion::Nothing => return (all_put, all_removed),
            }
        }
    }

    fn changes(put: &[&'static str], removed: &[&'static str]) -> (Vec<Bytes>, Vec<Bytes>) {
        let keys = |keys: &[&'static str]| keys.iter().map(|key| Bytes::from(*key)).collect();
        (keys(put), keys(removed))
    }

    #[test]
    fn the_first_scan_reports_what_was_put_since_the_position() {
        let mut watch = WatchMachine::new(Offset(20), Bugs::default());
        assert!(watch.handle_size(size(20)), "nothing is known of its keys");
        let keys = scan(&[("a", 0), ("b", 20), ("c", 40)]);
        assert_eq!(found(&mut watch, keys, 60), changes(&["b", "c"], &[]));
        assert_eq!(watch.position(), Offset(60));
        assert!(watch.handle_size(size(61)));
    }

    #[test]
    fn a_later_scan_reports_each_change_once_and_removals() {
        let mut watch = WatchMachine::new(Offset(0), Bugs::default());
        // The entry at 60 was written during the scan, after the end was found.
        let keys = scan(&[("a", 0), ("b", 20), ("c", 60)]);
        assert_eq!(found(&mut watch, keys, 60), changes(&["a", "b", "c"], &[]));
        let keys = scan(&[("b", 80), ("c", 60), ("d", 100)]);
        assert_eq!(found(&mut watch, keys.clone(), 120), changes(&["b", "d"], &["a"]));
        assert_eq!(found(&mut watch, keys, 120), changes(&[], &[]));
        // It is put once more before it is read.
        let keys = scan(&[("b", 120), ("c", 60), ("d", 100)]);
        assert_eq!(found(&mut watch, keys, 140), changes(&["b"], &[]));
        watch.handle_read(&"b".into(), Version::new(140).unwrap());
        let keys = scan(&[("b", 140), ("c", 60), ("d", 100)]);
        assert_eq!(found(&mut watch, keys, 160), changes(&[], &[]));
    }

    #[test]
    fn a_removal_that_does_not_move_the_end_is_found_at_once_by_the_count_or_after_a_while() {
        let mut watch = WatchMachine::new(Offset(0), Bugs::default());
        found(&mut watch, scan(&[("a", 0), ("b", 20)]), 40);
        let fewer = Size { end: Offset(40), entry_count: 2 };
        assert!(watch.handle_size(fewer));
        // The count is late, so that it is that of before the removal.
        found(&mut watch, scan(&[("b", 20)]), 40);
        let mut scans = Vec::new();
        for round in 1..=300 {
            if watch.handle_size(size(40)) {
                scans.push(round);
                found(&mut watch, scan(&[("b", 20)]), 40);
            }
        }
        assert_eq!(scans, [2, 6, 14, 30, 62, 126, 190, 254], "rarer while nothing changes");
        assert!((1..=64).any(|_| watch.handle_size(size(40))));
        assert_eq!(found(&mut watch, scan(&[]), 40), changes(&[], &["b"]));
    }

    #[test]
    fn a_version_that_a_scan_and_a_read_have_differently_is_reported_once() {
        let mut watch = WatchMachine::new(Offset(0), Bugs::default());
        // The store has moved the entry to 90, and a read returns the version that it had before.
        assert_eq!(found(&mut watch, scan(&[("a", 90)]), 120), changes(&["a"], &[]));
        watch.handle_read(&"a".into(), Version::new(0).unwrap());
        for end in [130, 140, 150] {
            assert_eq!(found(&mut watch, scan(&[("a", 90)]), end), changes(&[], &[]));
        }
        assert_eq!(found(&mut watch, scan(&[("a", 150)]), 160), changes(&["a"], &[]));
    }

    #[test]
    fn changes_are_reported_in_portions_and_the_position_follows_the_last_one() {
        let mut watch = WatchMachine::new(Offset(0), Bugs::default());
        found(&mut watch, scan(&[("x", 0), ("y", 1), ("z", 2)]), 3);
        watch.handle_scan(scan(&[("a", 3), ("b", 4), ("c", 5)]), size(6));
        let keys = |keys: &[&'static str]| changes(keys, &[]).0;
        for (portion, position) in [
            (Portion::Put(keys(&["a", "b"])), 3),
            (Portion::Put(keys(&["c"])), 3),
            (Portion::Removed(keys(&["x", "y"])), 3),
            (Portion::Removed(keys(&["z"])), 6),
            (Portion::Nothing, 6),
        ] {
            assert_eq!(watch.next_portion(2), portion);
            assert_eq!(watch.position(), Offset(position), "after {portion:?}");
        }
    }
}
