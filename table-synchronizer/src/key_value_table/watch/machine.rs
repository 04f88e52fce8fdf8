//! What has changed in one partition between two scans of its keys.
//!
//! A version is the offset at which the store wrote the entry, so a version at or after the end of
//! the segment at some time is newer than that time. That tells what has changed since a position
//! that was kept; what was removed since is known only of keys that an earlier scan has seen.

use std::collections::BTreeMap;

use bytes::Bytes;
use pravega_sdk_types::Offset;

use crate::entry::{Version, VersionedKey};

/// The keys of a partition as far as they are known, and the position up to which its changes were
/// reported.
#[derive(Debug)]
pub(super) struct WatchMachine {
    position: Offset,
    known: Known,
}

#[derive(Debug)]
enum Known {
    /// No scan so far.
    Nothing,
    /// The keys of the last scan.
    Keys(BTreeMap<Bytes, Version>),
}

/// What a scan found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The keys that were put since the position, in their order.
    pub(super) put: Vec<Bytes>,
    /// The keys that were removed since the last scan, in their order.
    pub(super) removed: Vec<Bytes>,
}

impl WatchMachine {
    /// Begins at the end that the segment had at some time.
    pub(super) fn new(position: Offset) -> Self {
        Self { position, known: Known::Nothing }
    }

    /// The position up to which changes were reported.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// Returns true if the keys must be scanned, as the segment ends at `end`.
    pub(super) fn must_scan(&self, end: Offset) -> bool {
        end != self.position || matches!(self.known, Known::Nothing)
    }

    /// All keys were scanned; the segment ended at `end` before the scan began.
    pub(super) fn handle_scan(&mut self, keys: Vec<VersionedKey>, end: Offset) -> Found {
        let scanned: BTreeMap<Bytes, Version> =
            keys.into_iter().map(|key| (key.key, key.version)).collect();
        let is_new = |(key, version): &(&Bytes, &Version)| match &self.known {
            Known::Nothing => Offset(version.get()) >= self.position,
            Known::Keys(known) => known.get(*key) != Some(*version),
        };
        let put = scanned.iter().filter(is_new).map(|(key, _)| key.clone()).collect();
        let removed = match &self.known {
            Known::Nothing => Vec::new(),
            Known::Keys(known) => {
                known.keys().filter(|key| !scanned.contains_key(*key)).cloned().collect()
            }
        };
        (self.position, self.known) = (end, Known::Keys(scanned));
        Found { put, removed }
    }

    /// A key that was put was read, maybe with a later version than it had in the scan.
    pub(super) fn handle_read(&mut self, key: &Bytes, version: Version) {
        if let Known::Keys(known) = &mut self.known {
            known.insert(key.clone(), version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(keys: &[(&'static str, i64)]) -> Vec<VersionedKey> {
        let key = |(key, version): &(&'static str, i64)| VersionedKey {
            key: (*key).into(),
            version: Version::new(*version).unwrap(),
        };
        keys.iter().map(key).collect()
    }

    fn found(put: &[&'static str], removed: &[&'static str]) -> Found {
        let keys = |keys: &[&'static str]| keys.iter().map(|key| Bytes::from(*key)).collect();
        Found { put: keys(put), removed: keys(removed) }
    }

    #[test]
    fn the_first_scan_reports_what_was_put_since_the_position() {
        let mut watch = WatchMachine::new(Offset(20));
        assert!(watch.must_scan(Offset(20)), "nothing is known of its keys");
        let keys = scan(&[("a", 0), ("b", 20), ("c", 40)]);
        assert_eq!(watch.handle_scan(keys, Offset(60)), found(&["b", "c"], &[]));
        assert_eq!(watch.position(), Offset(60));
        assert!(!watch.must_scan(Offset(60)) && watch.must_scan(Offset(61)));
    }

    #[test]
    fn a_later_scan_reports_each_change_once_and_removals() {
        let mut watch = WatchMachine::new(Offset(0));
        // The entry at 60 was written during the scan, after the end was found.
        let keys = scan(&[("a", 0), ("b", 20), ("c", 60)]);
        assert_eq!(watch.handle_scan(keys, Offset(60)), found(&["a", "b", "c"], &[]));
        let keys = scan(&[("b", 80), ("c", 60), ("d", 100)]);
        assert_eq!(watch.handle_scan(keys.clone(), Offset(120)), found(&["b", "d"], &["a"]));
        assert_eq!(watch.handle_scan(keys, Offset(120)), found(&[], &[]));
        // It is put once more before it is read.
        let keys = scan(&[("b", 120), ("c", 60), ("d", 100)]);
        assert_eq!(watch.handle_scan(keys, Offset(140)), found(&["b"], &[]));
        watch.handle_read(&"b".into(), Version::new(140).unwrap());
        let keys = scan(&[("b", 140), ("c", 60), ("d", 100)]);
        assert_eq!(watch.handle_scan(keys, Offset(160)), found(&[], &[]));
    }
}
