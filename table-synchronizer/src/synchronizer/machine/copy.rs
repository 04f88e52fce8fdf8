//! What a synchronizer knows of its table.
//!
//! All changes of the table up to a position are applied. A removal is an entry of its own in the
//! table, until a synchronizer cleans it away. Before that, it stores the highest version that it
//! is going to clean away. So a client that has read up to a position misses a removal only if it
//! finds a higher or equal version there, and then it reads the table again.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use pravega_sdk_segment_client::seeded_bugs::{Bugs, SeededBug};
use pravega_sdk_types::{ErrorKind, Offset, Outcome};

use crate::{
    entry::{Entry, Version},
    error::TableError,
    synchronizer::layout::{Identity, Stored, WriterId, end_of},
};

/// The memory that an entry takes besides its key and value, in bytes: two handles of bytes, their
/// allocations, the version, and its share of the tree.
const ENTRY_OVERHEAD: usize = 160;
/// Removals are cleaned away if there are more than so many, and more than a fourth of the entries:
/// clients that lag behind read the whole table then, which is paid for by so many removals.
const MIN_REMOVED: usize = 64;
/// The number of receipts that are kept when there are too many.
const KEPT_RECEIPTS: usize = 256;
const MAX_RECEIPTS: usize = 2 * KEPT_RECEIPTS;
/// The most receipts of other clients that are known. A receipt that is removed is not reported, so
/// a client that only reads would hold those of all writers that have ever been.
const KNOWN_RECEIPTS: usize = 16 * KEPT_RECEIPTS;

/// The number of changed entries that are known. A client that looks at them less often looks at
/// all entries.
const MAX_LOG: usize = 1024;

/// An entry that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) value: Bytes,
    pub(crate) version: Version,
}

/// The entries of a table as of a position.
#[derive(Debug)]
pub(crate) struct LocalCopy {
    identity: Identity,
    entries: BTreeMap<Bytes, Held>,
    /// The removals that are in the table.
    removed: BTreeMap<Bytes, Version>,
    receipts: BTreeMap<WriterId, Version>,
    cleaned: Option<Cleaned>,
    /// The keys of the entries that have changed last, and the number of all that ever have.
    log: VecDeque<Bytes>,
    logged: u64,
    /// Memory that the entries and removals take, and its limit.
    bytes: usize,
    max_bytes: usize,
    position: Offset,
    /// The end of the table if no other client has changed it since.
    end: Option<Offset>,
    bugs: Bugs,
}

/// The record of what was cleaned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cleaned {
    /// The version of the record.
    pub(crate) record: Version,
    /// The highest version of a removal that was cleaned away.
    pub(crate) up_to: Version,
}

/// What an applied entry was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It changed an entry.
    Change,
    /// It was known, or is not an entry.
    Nothing,
    /// Removals may have been cleaned away that were not read.
    Gap,
}

impl LocalCopy {
    /// Creates a copy that knows nothing yet, of a table with an identity. It is read from
    /// `position` on.
    pub(crate) fn new(identity: Identity, position: Offset, max_bytes: usize) -> Self {
        Self {
            identity,
            entries: BTreeMap::new(),
            removed: BTreeMap::new(),
            receipts: BTreeMap::new(),
            cleaned: None,
            log: VecDeque::new(),
            logged: 0,
            bytes: 0,
            max_bytes,
            position,
            end: None,
            bugs: Bugs::default(),
        }
    }

    pub(crate) fn with_bugs(mut self, bugs: Bugs) -> Self {
        self.bugs = bugs;
        self
    }

    /// Goes on after another copy of the table, with whatever may have changed since.
    pub(crate) fn following(mut self, before: &Self) -> Self {
        self.log.clear();
        self.logged = before.logged.wrapping_add(1);
        self
    }

    /// Returns the number of changes of entries that this copy and those before it have seen.
    pub(crate) fn logged(&self) -> u64 {
        self.logged
    }

    /// Returns the keys of the entries that have changed after so many changes were seen, some
    /// perhaps several times; `None` if that is not known.
    pub(crate) fn changed_since(&self, logged: u64) -> Option<impl Iterator<Item = &Bytes> + '_> {
        let count = usize::try_from(self.logged.checked_sub(logged)?).ok()?;
        let skipped = self.log.len().checked_sub(count)?;
        Some(self.log.iter().skip(skipped))
    }

    fn log(&mut self, key: &Bytes) {
        if self.log.len() >= MAX_LOG {
            self.log.pop_front();
        }
        self.log.push_back(key.clone());
        self.logged = self.logged.wrapping_add(1);
    }

    pub(crate) fn bugs(&self) -> Bugs {
        self.bugs
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn entries(&self) -> &BTreeMap<Bytes, Held> {
        &self.entries
    }

    /// The version of an entry or of its removal.
    pub(crate) fn version(&self, key: &[u8]) -> Option<Version> {
        let entry = self.entries.get(key).map(|held| held.version);
        entry.or_else(|| self.removed.get(key).copied())
    }

    /// The position up to which all changes are applied.
    pub(crate) fn position(&self) -> Offset {
        self.position
    }

    /// The end of the table if no other client has changed it; `None` if it is known that one has.
    pub(crate) fn end(&self) -> Option<Offset> {
        self.end
    }

    /// All changes up to a position were applied, and the table ended there or at `end`.
    pub(crate) fn handle_end(&mut self, position: Offset, end: Offset) {
        (self.position, self.end) = (position, Some(position.max(end)));
        if self.bugs.has(SeededBug::CountsOneTooMany) {
            self.position = Offset(position.0.saturating_add(1));
        }
    }

    /// Returns the version of a writer's receipt.
    pub(crate) fn receipt(&self, writer: WriterId) -> Option<Version> {
        self.receipts.get(&writer).copied()
    }

    /// A writer's receipt was read, as it was after the changes up to `start`; `None` if it does
    /// not exist.
    pub(crate) fn handle_receipt(
        &mut self,
        writer: WriterId,
        version: Option<Version>,
        start: Offset,
    ) {
        match version {
            Some(version) => self.hold_receipt(writer, version),
            None => {
                let is_old = |held: &Version| Offset(held.get()) < start;
                if self.receipts.get(&writer).is_some_and(is_old) {
                    self.receipts.remove(&writer);
                }
            }
        }
    }

    fn hold_receipt(&mut self, writer: WriterId, version: Version) {
        let held = self.receipts.entry(writer).or_insert(version);
        *held = version.max(*held);
    }

    fn hold_cleaned(&mut self, cleaned: Cleaned) {
        if self.cleaned.is_none_or(|held| held.record < cleaned.record) {
            self.cleaned = Some(cleaned);
        }
    }

    /// A key was not found, after the changes up to `start` were applied: its entry or removal is
    /// not in the table any more.
    pub(crate) fn handle_absent(&mut self, key: &[u8], start: Offset) {
        if self.version(key).is_some_and(|version| Offset(version.get()) < start) {
            self.forget(key);
        }
    }

    /// A key was found after the changes up to `start` were applied. A removal that is not known,
    /// as it was announced to be cleaned away, is known again.
    ///
    /// # Errors
    ///
    /// [`TableError`] if no synchronizer has written the entry.
    pub(crate) fn handle_found(
        &mut self,
        key: &[u8],
        entry: &Entry,
        start: Offset,
    ) -> Result<(), TableError> {
        let is_removal = matches!(Stored::read(entry)?, Stored::Entry { value: None, .. });
        if is_removal && self.version(key).is_none() && Offset(entry.version.get()) < start {
            self.hold(key, None, entry.version);
        }
        Ok(())
    }

    /// Forgets the removals up to a version: they are cleaned away, or soon will be.
    fn forget_removals(&mut self, up_to: Version) {
        let is_over = |(_, version): &(&Bytes, &Version)| **version <= up_to;
        let over: Vec<Bytes> =
            self.removed.iter().filter(is_over).map(|(key, _)| key.clone()).collect();
        over.iter().for_each(|key| self.forget(key));
    }

    /// Applies an entry that was read from the table: of changes read from `start` on, or, if that
    /// is `None`, of all entries.
    ///
    /// # Errors
    ///
    /// [`TableError`] if no synchronizer has written the entry, or the copy is over its limit.
    pub(crate) fn apply(
        &mut self,
        entry: &Entry,
        start: Option<Offset>,
    ) -> Result<Applied, TableError> {
        match Stored::read(entry)? {
            Stored::Identity(identity) if identity != self.identity => return Ok(Applied::Gap),
            Stored::Identity(_) => {}
            Stored::Receipt { writer, .. } => {
                let is_known = self.receipts.contains_key(&writer);
                if is_known || self.receipts.len() < KNOWN_RECEIPTS {
                    self.hold_receipt(writer, entry.version);
                }
            }
            Stored::Cleaned(up_to) => {
                self.hold_cleaned(Cleaned { record: entry.version, up_to });
                match start {
                    _ if self.bugs.has(SeededBug::MissesCleanedRemovals) => {}
                    Some(start) if Offset(up_to.get()) >= start => return Ok(Applied::Gap),
                    Some(_) => self.forget_removals(up_to),
                    None => {}
                }
            }
            Stored::Entry { key, value } => {
                if self.version(&key).is_some_and(|known| known >= entry.version) {
                    return Ok(Applied::Nothing);
                }
                if value.is_none() && self.bugs.has(SeededBug::ForgetsRemovals) {
                    return Ok(Applied::Nothing);
                }
                self.hold(&key, value.as_deref(), entry.version);
                return self.check().map(|()| Applied::Change);
            }
        }
        Ok(Applied::Nothing)
    }

    /// Checks that changes leave the copy within its limit, or make it no larger.
    ///
    /// # Errors
    ///
    /// [`TableError`] if they do not: other clients with the same limit could not read the table.
    pub(crate) fn check_changes(
        &self,
        changes: &BTreeMap<Bytes, Option<Bytes>>,
    ) -> Result<(), TableError> {
        let len = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let (mut added, mut freed) = (0, 0);
        for (key, value) in changes {
            added += ENTRY_OVERHEAD + key.len() + len(value);
            match self.entries.get(key) {
                Some(held) => freed += ENTRY_OVERHEAD + key.len() + held.value.len(),
                None if self.removed.contains_key(key) => freed += ENTRY_OVERHEAD + key.len(),
                None => {}
            }
        }
        let bytes = (self.bytes + added).saturating_sub(freed);
        if added <= freed || bytes <= self.max_bytes { Ok(()) } else { Err(self.over_limit()) }
    }

    fn check(&self) -> Result<(), TableError> {
        if self.bytes <= self.max_bytes { Ok(()) } else { Err(self.over_limit()) }
    }

    fn over_limit(&self) -> TableError {
        let detail = format_args!(
            "the entries take more than {} bytes of memory, the limit of the synchronizer",
            self.max_bytes
        );
        TableError::new(ErrorKind::LimitReached, Outcome::NotApplied, detail)
    }

    /// Holds a value in memory of its own: what was received is in pages of many entries.
    fn hold(&mut self, key: &[u8], value: Option<&[u8]>, version: Version) {
        self.forget(key);
        self.bytes += ENTRY_OVERHEAD + key.len() + value.map_or(0, <[u8]>::len);
        let key = Bytes::copy_from_slice(key);
        self.log(&key);
        match value.map(Bytes::copy_from_slice) {
            Some(value) => drop(self.entries.insert(key, Held { value, version })),
            None => drop(self.removed.insert(key, version)),
        }
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some((key, held)) = self.entries.remove_entry(key) {
            self.log(&key);
            self.bytes = self.bytes.saturating_sub(ENTRY_OVERHEAD + key.len() + held.value.len());
        }
        if self.removed.remove(key).is_some() {
            self.bytes = self.bytes.saturating_sub(ENTRY_OVERHEAD + key.len());
        }
    }

    /// Entries were put by this client, with these versions.
    pub(crate) fn handle_put<'e>(
        &mut self,
        put: impl IntoIterator<Item = (&'e Bytes, &'e Bytes, Version)>,
    ) {
        for (key, value, version) in put {
            self.end = (self.end == Some(Offset(version.get())))
                .then(|| end_of(version, key, value))
                .flatten();
            let entry = Entry { key: key.clone(), value: value.clone(), version };
            // What this client writes can be read, and was compared with the limit.
            match Stored::read(&entry) {
                Ok(Stored::Receipt { writer, .. }) => self.hold_receipt(writer, version),
                Ok(Stored::Cleaned(up_to)) => {
                    self.hold_cleaned(Cleaned { record: version, up_to });
                }
                Ok(Stored::Entry { key, value }) => self.hold(&key, value.as_deref(), version),
                Ok(Stored::Identity(_)) | Err(_) => {}
            }
        }
    }

    /// The table was changed, and the copy does not know how.
    pub(crate) fn handle_unknown_change(&mut self) {
        self.end = None;
    }

    /// Returns the record of what was cleaned away.
    pub(crate) fn cleaned(&self) -> Option<Cleaned> {
        self.cleaned
    }

    /// Returns true if there are many removals or receipts in the table.
    pub(crate) fn should_clean(&self) -> bool {
        let removed = self.removed.len();
        let has_many = removed > MIN_REMOVED && removed > self.entries.len() / 4;
        has_many || self.receipts.len() > MAX_RECEIPTS
    }

    /// Returns the removals that can be cleaned away: this client has read beyond them.
    pub(crate) fn cleanable(&self) -> Vec<(Bytes, Version)> {
        let is_read = |(_, version): &(&Bytes, &Version)| Offset(version.get()) < self.position;
        let removed = self.removed.iter().filter(is_read);
        removed.map(|(key, version)| (key.clone(), *version)).collect()
    }

    /// Returns the receipts that can be cleaned away, with their versions: the oldest, if there are
    /// many.
    pub(crate) fn old_receipts(&self) -> Vec<(WriterId, Version)> {
        if self.receipts.len() <= MAX_RECEIPTS {
            return Vec::new();
        }
        let mut all: Vec<_> = self.receipts.iter().map(|(id, version)| (*id, *version)).collect();
        all.sort_by_key(|(_, version)| std::cmp::Reverse(*version));
        all.split_off(KEPT_RECEIPTS)
    }

    /// A removal is not in the table any more.
    pub(crate) fn handle_cleaned(&mut self, key: &[u8], version: Version) {
        if self.removed.get(key) == Some(&version) {
            self.forget(key);
        }
    }

    /// A receipt of another writer is not in the table any more.
    pub(crate) fn handle_receipt_cleaned(&mut self, writer: WriterId) {
        self.receipts.remove(&writer);
    }
}

/// Returns true if the version of a key that is found cannot be in a table of which all changes up
/// to `start` were applied, and in which the key had a known version before it was searched: the
/// server has restored an earlier state of the table.
pub(crate) fn is_restored(known: Option<Version>, found: Option<Version>, start: Offset) -> bool {
    known.zip(found).is_some_and(|(known, found)| {
        found < known || (found > known && Offset(found.get()) < start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synchronizer::layout::{
        CLEANED_KEY, IDENTITY_KEY, cleaned_value, entry_key, entry_value, identity_value,
        receipt_key, receipt_value,
    };

    fn version(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    fn entry(key: &str, value: Option<&str>, number: i64) -> Entry {
        let value = entry_value(value.map(str::as_bytes));
        Entry { key: entry_key(key.as_bytes()), value, version: version(number) }
    }

    fn new() -> LocalCopy {
        LocalCopy::new(Identity(1), Offset(0), 1 << 20)
    }

    fn seen(copy: &LocalCopy) -> Vec<(String, String)> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        copy.entries().iter().map(|(key, held)| (text(key), text(&held.value))).collect()
    }

    #[test]
    fn an_entry_replaces_older_ones_only() {
        let mut copy = new();
        assert_eq!(copy.apply(&entry("k", Some("2"), 20), None).unwrap(), Applied::Change);
        for old in [entry("k", Some("1"), 10), entry("k", Some("2"), 20), entry("k", None, 19)] {
            assert_eq!(copy.apply(&old, None).unwrap(), Applied::Nothing);
        }
        assert_eq!(seen(&copy), [("k".into(), "2".into())]);
        assert_eq!(copy.apply(&entry("k", None, 30), None).unwrap(), Applied::Change);
        assert_eq!((seen(&copy), copy.version(b"k")), (vec![], Some(version(30))));
        assert_eq!(copy.apply(&entry("k", Some("1"), 29), None).unwrap(), Applied::Nothing);
        assert_eq!(copy.apply(&entry("k", Some("3"), 31), None).unwrap(), Applied::Change);
        assert_eq!(seen(&copy), [("k".into(), "3".into())]);
    }

    #[test]
    fn memory_is_counted_and_limited() {
        let mut copy = LocalCopy::new(Identity(1), Offset(0), 2 * ENTRY_OVERHEAD + 10);
        copy.apply(&entry("a", Some("1234"), 1), None).unwrap();
        copy.apply(&entry("b", Some("1234"), 2), None).unwrap();
        for number in 3..50 {
            copy.apply(&entry("b", Some("4321"), number), None).unwrap();
        }
        let error = copy.apply(&entry("b", Some("12345"), 50), None).unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::LimitReached, true));
        copy.apply(&entry("b", None, 51), None).unwrap();
        copy.handle_cleaned(b"b", version(50));
        assert_eq!(copy.cleanable().len(), 0, "it was not read beyond");
        copy.handle_end(Offset(60), Offset(60));
        assert_eq!(copy.cleanable(), [("b".into(), version(51))]);
        copy.handle_cleaned(b"b", version(51));
        assert_eq!(copy.bytes, ENTRY_OVERHEAD + 5);
    }

    #[test]
    fn removals_that_were_cleaned_away_unread_are_a_gap() {
        let record = |up_to, at| Entry {
            key: CLEANED_KEY.into(),
            value: cleaned_value(version(up_to)),
            version: version(at),
        };
        let mut copy = new();
        let found = copy.apply(&record(90, 100), Some(Offset(91))).unwrap();
        assert_eq!(found, Applied::Nothing, "the removal was read before");
        assert_eq!(copy.apply(&record(91, 110), Some(Offset(91))).unwrap(), Applied::Gap);
        assert_eq!(copy.apply(&record(91, 110), None).unwrap(), Applied::Nothing);
        let cleaned = Cleaned { record: version(110), up_to: version(91) };
        assert_eq!(copy.cleaned(), Some(cleaned));
    }

    #[test]
    fn the_identity_of_another_table_is_a_gap() {
        let other = Entry {
            key: IDENTITY_KEY.into(),
            value: identity_value(Identity(2)),
            version: version(0),
        };
        assert_eq!(new().apply(&other, None).unwrap(), Applied::Gap);
        let same = Entry { value: identity_value(Identity(1)), ..other };
        assert_eq!(new().apply(&same, None).unwrap(), Applied::Nothing);
    }

    #[test]
    fn a_key_that_is_not_found_is_forgotten_unless_it_was_put_meanwhile() {
        let mut copy = new();
        copy.apply(&entry("old", None, 10), None).unwrap();
        copy.apply(&entry("new", Some("1"), 30), None).unwrap();
        for key in ["old", "new", "none"] {
            copy.handle_absent(key.as_bytes(), Offset(30));
        }
        assert_eq!((copy.version(b"old"), copy.version(b"new")), (None, Some(version(30))));
        let writer = WriterId(7);
        copy.handle_receipt(writer, Some(version(30)), Offset(30));
        copy.handle_receipt(writer, Some(version(20)), Offset(30));
        copy.handle_receipt(writer, None, Offset(30));
        assert_eq!(copy.receipt(writer), Some(version(30)));
        copy.handle_receipt(writer, None, Offset(31));
        assert_eq!(copy.receipt(writer), None);
    }

    #[test]
    fn the_end_is_known_as_long_as_this_client_alone_writes() {
        let put = |copy: &mut LocalCopy, key: &str, at: i64| {
            let (key, value) = (entry_key(key.as_bytes()), entry_value(Some(b"v")));
            copy.handle_put([(&key, &value, version(at))]);
        };
        let mut copy = new();
        put(&mut copy, "a", 0);
        assert_eq!(copy.end(), None, "nothing was read");
        copy.handle_end(Offset(50), Offset(50));
        put(&mut copy, "a", 50);
        assert_eq!((copy.end(), copy.position()), (Some(Offset(50 + 17 + 4)), Offset(50)));
        put(&mut copy, "b", 71);
        assert_eq!(copy.end(), Some(Offset(92)));
        put(&mut copy, "b", 120);
        assert_eq!(copy.end(), None, "another client has written in between");
        copy.handle_end(Offset(200), Offset(220));
        assert_eq!((copy.position(), copy.end()), (Offset(200), Some(Offset(220))));
        copy.handle_unknown_change();
        assert_eq!(copy.end(), None);
    }

    #[test]
    fn what_has_changed_is_known_since_a_moment_unless_that_is_long_ago_or_of_another_copy() {
        let mut copy = new();
        let changed = |copy: &LocalCopy, since| -> Option<Vec<Bytes>> {
            copy.changed_since(since).map(|keys| keys.cloned().collect())
        };
        copy.apply(&entry("a", Some("1"), 10), None).unwrap();
        let before = copy.logged();
        assert_eq!(changed(&copy, before), Some(vec![]));
        copy.apply(&entry("b", Some("1"), 20), None).unwrap();
        copy.apply(&entry("b", Some("0"), 15), None).unwrap();
        copy.apply(&entry("a", None, 30), None).unwrap();
        let keys = changed(&copy, before).unwrap();
        assert!(keys.contains(&"a".into()) && keys.contains(&"b".into()), "{keys:?}");
        let removed = copy.logged();
        copy.handle_absent(b"a", Offset(31));
        assert_eq!(changed(&copy, removed), Some(vec![]), "a removal that is cleaned away");
        copy.handle_absent(b"b", Offset(31));
        assert_eq!(changed(&copy, removed), Some(vec!["b".into()]));
        assert_eq!(changed(&copy, copy.logged() + 1), None, "it has not been yet");
        for number in 0..2000 {
            copy.apply(&entry(&format!("{number}"), Some(""), 100 + number), None).unwrap();
        }
        assert_eq!(changed(&copy, removed), None);
        assert_eq!(changed(&copy, copy.logged() - 1024).unwrap().len(), 1024);
        let again = new().following(&copy);
        assert_eq!(changed(&again, copy.logged()), None);
        assert_eq!(changed(&again, again.logged()), Some(vec![]));
    }

    #[test]
    fn a_version_that_goes_back_or_is_one_of_a_missed_change_is_of_a_restored_table() {
        let start = Offset(40);
        let is_restored = |known: Option<i64>, found: Option<i64>| {
            is_restored(known.map(version), found.map(version), start)
        };
        for (known, found) in [(20, 19), (20, 21), (20, 39), (60, 20), (60, 59)] {
            assert!(is_restored(Some(known), Some(found)), "{known} and {found}");
        }
        for (known, found) in [(20, 20), (20, 40), (60, 60), (60, 70)] {
            assert!(!is_restored(Some(known), Some(found)), "{known} and {found}");
        }
        // It was removed and cleaned away, or added.
        assert!(!is_restored(Some(20), None) && !is_restored(None, Some(20)));
    }

    #[test]
    fn receipts_of_ever_more_writers_take_a_bounded_memory_and_the_own_one_is_known() {
        let mut copy = new();
        for number in 0..10_000 {
            let (key, value) = (receipt_key(WriterId(number)), receipt_value(0));
            let version = version(i64::try_from(number).unwrap());
            copy.apply(&Entry { key, value, version }, Some(Offset(0))).unwrap();
        }
        assert_eq!(copy.receipts.len(), KNOWN_RECEIPTS);
        let own = WriterId(9_999);
        assert_eq!(copy.receipt(own), None);
        copy.handle_receipt(own, Some(version(9_999)), Offset(0));
        assert_eq!(copy.receipt(own), Some(version(9_999)));
    }

    #[test]
    fn a_record_of_what_was_cleaned_away_forgets_removals_and_a_key_that_is_found_is_known_again() {
        let mut copy = new();
        for number in [10, 20, 30] {
            copy.apply(&entry(&format!("{number}"), None, number), Some(Offset(0))).unwrap();
        }
        let record = Entry {
            key: CLEANED_KEY.into(),
            value: cleaned_value(version(20)),
            version: version(40),
        };
        assert_eq!(copy.apply(&record, Some(Offset(35))).unwrap(), Applied::Nothing);
        assert_eq!(copy.removed.keys().collect::<Vec<_>>(), ["30"]);
        assert_eq!(copy.bytes, ENTRY_OVERHEAD + 2);
        copy.handle_found(b"10", &entry("10", None, 10), Offset(35)).unwrap();
        assert_eq!(copy.version(b"10"), Some(version(10)));
        // What is newer is read with the changes that were made beside it.
        copy.handle_found(b"20", &entry("20", None, 35), Offset(35)).unwrap();
        assert_eq!(copy.version(b"20"), None);
    }

    #[test]
    fn cleaning_is_worth_it_if_there_are_many_removals_or_receipts() {
        let mut copy = new();
        for number in 0..65 {
            assert!(!copy.should_clean(), "{number}");
            copy.apply(&entry(&format!("{number}"), None, number), None).unwrap();
        }
        assert!(copy.should_clean());
        for number in 0..300 {
            copy.apply(&entry(&format!("live {number}"), Some(""), 1000 + number), None).unwrap();
        }
        assert!(!copy.should_clean(), "they are few beside the entries");
        for number in 0..600 {
            let writer = WriterId(number);
            let (key, value) = (receipt_key(writer), receipt_value(0));
            let version = version(5000 - i64::try_from(number).unwrap());
            copy.apply(&Entry { key, value, version }, None).unwrap();
        }
        assert!(copy.should_clean());
        let old = copy.old_receipts();
        assert_eq!(old.len(), 600 - KEPT_RECEIPTS);
        assert!(old.iter().all(|(writer, _)| writer.0 >= 256), "the newest are kept");
        old.iter().for_each(|(writer, _)| copy.handle_receipt_cleaned(*writer));
        assert!(copy.old_receipts().is_empty() && copy.receipt(WriterId(0)).is_some());
    }
}
