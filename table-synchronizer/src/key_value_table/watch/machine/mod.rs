//! What is reported of one partition: its keys are scanned in their order, again and again, and
//! each change is reported when the scan passes its key.
//!
//! Keys of one length have no changes that a server returns, so versions tell what is new. A
//! version is the offset at which the store wrote the entry. A scan begins when the segment ends at
//! some offset, its end; a put of before has a version below it, and the scan passes it unless the
//! key was changed since. So after a scan all puts below its end were reported, and the next one
//! reports those at or after it, which were made while the first was under way.
//!
//! ```text
//!  0 ───────────── base ──────────── end of the scan ──────▶ versions
//!     reported           reported up to        late: reported by the next scan, or early:
//!                        the passed key        at once, and each version is then in the position
//! ```
//!
//! A key that changes all the time is late in each scan. So some late puts are reported at once,
//! and their versions kept, until the base is beyond them. There is a bound on their number, and
//! where it is reached the next scan reports those of the keys that follow.
//!
//! A Java store that compacts a table writes entries again, and a scan returns the offset at which
//! it did so. A read returns the version of the put, so that decides.
//!
//! What was removed is known only of keys that were passed before: they are remembered, up to a
//! bound in bytes. A removal does not move the end of the segment on a Java store, and the number
//! of entries that such a store returns is late, so neither proves that nothing was removed. The
//! keys are therefore scanned in rounds without a sign of change too, at growing distances.

mod known;
mod position;

use bytes::Bytes;
use pravega_sdk_segment_client::seeded_bugs::{Bugs, SeededBug};
use pravega_sdk_types::Offset;

pub(super) use self::position::{PartitionPosition, Passed, ScanPosition};
use self::{known::Known, position::is_late};
use crate::entry::{Version, VersionedKey};

/// The most rounds without a sign of change between two scans.
const MOST_RESTS: u32 = 64;

/// Decides about one partition.
///
/// A round is [`handle_size`](Self::handle_size), and if that starts a scan,
/// [`poll_step`](Self::poll_step) until it returns [`Step::Rest`].
#[derive(Debug)]
pub(super) struct WatchMachine {
    position: PartitionPosition,
    known: Known,
    limits: Limits,
    /// The size of the segment before the last scan.
    scanned: Option<Size>,
    /// Number of rounds since the last scan, and the number after which the next is due.
    rests: u32,
    due: u32,
    scan: Option<Scan>,
    /// The last key of which the scan before reported a late put, if it could report no more.
    turn: Option<Bytes>,
    next_turn: Option<Bytes>,
    bugs: Bugs,
}

/// The bounds of what a partition uses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Memory for the keys that are remembered, in bytes.
    pub(super) known_bytes: usize,
    /// Number of late puts that one scan reports.
    pub(super) early: usize,
    /// Number of changes that are reported together.
    pub(super) portion: usize,
}

/// The size of a partition, which changes with its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) end: Offset,
    pub(super) entry_count: u64,
}

/// A position that is beyond the end of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BeyondEnd;

/// What a round begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Nothing has changed.
    Rest,
    /// All keys are scanned.
    Scan,
    /// The keys after one are scanned.
    ScanAfter(Bytes),
}

/// What must be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next key of the scan is needed: [`handle_key`](WatchMachine::handle_key), or
    /// [`handle_end`](WatchMachine::handle_end) if there is none.
    NextKey,
    /// Something was found. The keys that were put must be read, and each entry be
    /// [checked](WatchMachine::handle_entry).
    Report(Portion),
    /// The round is over.
    Rest,
}

/// Changes that a scan has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Portion {
    /// In the order of the keys.
    pub(super) found: Vec<Found>,
    /// The position before them.
    pub(super) before: PartitionPosition,
    /// The end of the scan.
    pub(super) end: Offset,
}

/// A key that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Put(Bytes),
    Removed(Bytes),
}

impl Portion {
    /// Begins a list of those changes that are reported.
    pub(super) fn passed(&self) -> Passed {
        Passed::new(self.before.clone(), self.end)
    }
}

impl Found {
    /// The key, if it was put.
    pub(super) fn put(&self) -> Option<&Bytes> {
        match self {
            Self::Put(key) => Some(key),
            Self::Removed(_) => None,
        }
    }
}

/// A scan that is under way.
#[derive(Debug)]
struct Scan {
    size: Size,
    /// The last key whose changes were found.
    passed: Option<Bytes>,
    upcoming: Upcoming,
    /// What was found since the last portion.
    found: Vec<Found>,
}

/// The next key of a scan.
#[derive(Debug)]
enum Upcoming {
    Unknown,
    Key(VersionedKey),
    /// There is none.
    End,
}

impl WatchMachine {
    pub(super) fn new(position: PartitionPosition, limits: Limits, bugs: Bugs) -> Self {
        Self {
            position,
            known: Known::new(limits.known_bytes),
            limits,
            scanned: None,
            rests: 0,
            due: 1,
            scan: None,
            turn: None,
            next_turn: None,
            bugs,
        }
    }

    /// Returns the position after all that was found.
    pub(super) fn position(&self) -> &PartitionPosition {
        &self.position
    }

    /// A round begins; the partition has this size.
    pub(super) fn handle_size(&mut self, size: Size) -> Result<Round, BeyondEnd> {
        if self.position.last() > size.end {
            return Err(BeyondEnd);
        }
        self.rests += 1;
        let (size, passed) = match &self.position.scan {
            Some(ScanPosition { end, after }) => (Size { end: *end, ..size }, Some(after.clone())),
            None if self.scanned != Some(size) || self.rests >= self.due => (size, None),
            None => return Ok(Round::Rest),
        };
        self.turn = self.next_turn.take();
        let round = passed.clone().map_or(Round::Scan, Round::ScanAfter);
        let (upcoming, found) = (Upcoming::Unknown, Vec::new());
        self.scan = Some(Scan { size, passed, upcoming, found });
        Ok(round)
    }

    /// The scan has come to a key.
    pub(super) fn handle_key(&mut self, key: VersionedKey) {
        if let Some(scan) = &mut self.scan {
            scan.upcoming = Upcoming::Key(key);
        }
    }

    /// The scan has come to its end.
    pub(super) fn handle_end(&mut self) {
        if let Some(scan) = &mut self.scan {
            scan.upcoming = Upcoming::End;
        }
    }

    /// Returns what must be done next.
    pub(super) fn poll_step(&mut self) -> Step {
        while let Some(scan) = &mut self.scan {
            if scan.found.len() >= self.limits.portion {
                return Step::Report(self.portion());
            }
            let until = match &scan.upcoming {
                Upcoming::Unknown => return Step::NextKey,
                Upcoming::Key(key) => Some(&key.key),
                Upcoming::End => None,
            };
            if let Some(gone) = self.known.take_between(scan.passed.as_ref(), until) {
                scan.passed = Some(gone.clone());
                if !self.bugs.has(SeededBug::MissesRemovals) {
                    scan.found.push(Found::Removed(gone));
                }
                continue;
            }
            match std::mem::replace(&mut scan.upcoming, Upcoming::Unknown) {
                Upcoming::Key(VersionedKey { key, version }) => {
                    // A copy, so that it does not keep its page in memory.
                    let key = Bytes::copy_from_slice(&key);
                    if self.position.is_new(version) {
                        scan.found.push(Found::Put(key.clone()));
                    }
                    self.known.insert(&key);
                    scan.passed = Some(key);
                }
                Upcoming::End | Upcoming::Unknown => return self.end_scan(),
            }
        }
        Step::Rest
    }

    /// Takes what was found; the scan goes on.
    fn portion(&mut self) -> Portion {
        let before = self.position.clone();
        let Some(scan) = &mut self.scan else {
            return Portion { found: Vec::new(), end: before.base, before };
        };
        let (found, end) = (std::mem::take(&mut scan.found), scan.size.end);
        self.position.scan = scan.passed.clone().map(|after| ScanPosition { end, after });
        Portion { found, before, end }
    }

    /// All keys were passed: what was put before the end of the scan is reported.
    fn end_scan(&mut self) -> Step {
        let portion = self.portion();
        if let Some(Scan { size, .. }) = self.scan.take() {
            self.due = match self.scanned {
                Some(before) if before == size => (self.due * 2).min(MOST_RESTS),
                // After the rest of the keys, all of them are scanned in the next round.
                _ => 1,
            };
            (self.scanned, self.rests) = (Some(size), 0);
            self.position.end_scan(size.end);
        }
        if portion.found.is_empty() { Step::Rest } else { Step::Report(portion) }
    }

    /// A key that was put was read and has this version. Returns true if that is reported now.
    pub(super) fn handle_entry(
        &mut self,
        portion: &Portion,
        key: &Bytes,
        version: Version,
    ) -> bool {
        if !portion.before.is_new(version) {
            // The store has written it again, or it was reported early.
            return false;
        }
        let end = portion.end;
        if !is_late(version, end) {
            return true;
        }
        if self.bugs.has(SeededBug::MissesLatePuts) {
            self.position.early.insert(version);
            return false;
        }
        let count = self.position.late(end).count();
        let is_in_turn = self.turn.as_ref().is_none_or(|last| key > last);
        if count >= self.limits.early || !is_in_turn {
            return false;
        }
        self.position.early.insert(version);
        if count + 1 >= self.limits.early {
            self.next_turn = Some(key.clone());
        }
        true
    }
}

#[cfg(test)]
mod tests;
