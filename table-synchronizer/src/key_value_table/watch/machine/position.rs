//! How far the changes of one partition were reported.

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use pravega_sdk_types::Offset;

use crate::entry::Version;

/// How far the changes of one partition were reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionPosition {
    /// The puts with versions below this one were reported.
    pub(crate) base: Offset,
    /// The scan that was under way.
    pub(crate) scan: Option<ScanPosition>,
    /// The versions of puts that were reported and that no scan counts as reported yet.
    pub(crate) early: BTreeSet<Version>,
}

/// How far a scan has come.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ScanPosition {
    /// The end that the segment had before the scan began. When all keys were passed, it is the
    /// base.
    pub(crate) end: Offset,
    /// The last key that was passed.
    pub(crate) after: Bytes,
}

impl fmt::Debug for ScanPosition {
    /// Shows the length of the key, which may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanPosition({}, after {} bytes)", self.end, self.after.len())
    }
}

/// Changes that are reported together, and what the positions between them are made of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    before: PartitionPosition,
    /// The end of the scan that has found them.
    end: Offset,
    /// The stored key of each change, and the version of a put.
    changes: Vec<(Bytes, Option<Version>)>,
}

impl fmt::Debug for Passed {
    /// Shows the number of keys, which may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passed({:?} and {} changes)", self.before, self.changes.len())
    }
}

impl Passed {
    pub(super) fn new(before: PartitionPosition, end: Offset) -> Self {
        Self { before, end, changes: Vec::new() }
    }

    /// The next change is one of a key; a put has a version.
    pub(crate) fn push(&mut self, key: &Bytes, version: Option<Version>) {
        self.changes.push((key.clone(), version));
    }

    /// Returns the position after some of the changes, which is one amid the scan.
    pub(crate) fn position_after(&self, count: usize) -> PartitionPosition {
        let mut position = self.before.clone();
        for (after, version) in self.changes.iter().take(count) {
            position.scan = Some(ScanPosition { end: self.end, after: after.clone() });
            position.early.extend(version.filter(|version| is_late(*version, self.end)));
        }
        position
    }
}

impl PartitionPosition {
    /// The position after all puts with versions below one.
    pub(crate) fn at(base: Offset) -> Self {
        Self { base, scan: None, early: BTreeSet::new() }
    }

    /// Returns true if a put with a version is not reported, as far as the versions tell.
    pub(super) fn is_new(&self, version: Version) -> bool {
        is_late(version, self.base) && !self.early.contains(&version)
    }

    /// The versions that were reported and that a scan with this end does not count.
    pub(super) fn late(&self, end: Offset) -> impl Iterator<Item = Version> + '_ {
        self.early.iter().rev().copied().take_while(move |version| is_late(*version, end))
    }

    /// A scan with this end has passed all keys.
    pub(super) fn end_scan(&mut self, end: Offset) {
        (self.base, self.scan) = (end, None);
        self.early.retain(|version| is_late(*version, end));
    }

    /// The largest offset that it has, which is in the segment or its end.
    pub(super) fn last(&self) -> Offset {
        let end = self.scan.as_ref().map_or(self.base, |scan| scan.end);
        let early = self.early.last().map_or(end, |version| Offset(version.get()));
        end.max(self.base).max(early)
    }
}

/// Returns true if a put was made after a scan began, which has this end.
pub(super) fn is_late(version: Version, end: Offset) -> bool {
    Offset(version.get()) >= end
}
