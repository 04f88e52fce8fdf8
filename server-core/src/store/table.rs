//! Table segments: keys and values with versions.
//!
//! A version is the offset at which an entry would be in the segment. The length of the segment
//! grows as that of the Java store does, so versions and lengths are the same in both. The entries
//! themselves are kept by key only.

use std::{collections::BTreeMap, fmt, ops::Bound};

use bytes::{Buf, BufMut, Bytes};
use pravega_sdk_types::{Offset, routing};
use pravega_sdk_wire_protocol::{TableEntry, TableKey, TableValue, WireCommand};

use crate::{record::KeyVersion, state::ENTRY_HEADER_LEN};

/// The longest key, in bytes.
const MAX_KEY_LEN: usize = 8192;
/// The longest entry with its header, in bytes.
pub(super) const MAX_ENTRY_LEN: usize = 1 << 20;
/// A page of an iteration ends at this many bytes: others wait while it is made.
pub(super) const MAX_PAGE_BYTES: usize = 256 << 10;
/// The memory that an entry of a page uses besides its bytes, in bytes.
pub(super) const PAGE_ENTRY_OVERHEAD: usize = 128;
/// Approximate memory that an entry uses besides its key and value, in bytes.
const ENTRY_OVERHEAD: usize = 288;
/// Values of this many bytes and more are kept as they are, shorter ones are copied.
pub(super) const OWNED_LEN: usize = 16 << 10;
/// The bytes of a key's hash before the key, in the order of a hash table.
const HASH_LEN: usize = 8;
/// The first bytes of a hash table's continuation token.
const TOKEN_HEAD: [u8; 2] = [0, 0];

/// The entries of a table segment.
pub struct Table {
    /// The length of every key; 0 for a hash table.
    key_len: usize,
    /// In the order of iterations.
    entries: BTreeMap<Bytes, Entry>,
    /// The order of the entry with each version, for the deltas of hash tables.
    by_version: BTreeMap<KeyVersion, Bytes>,
    held: u64,
}

impl Table {
    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl fmt::Debug for Table {
    /// Shows the sizes, not the entries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, held) = (self.entries.len(), self.held);
        f.debug_struct("Table").field("entries", &entries).field("held", &held).finish()
    }
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    version: KeyVersion,
}

/// A refusal of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableRefusal {
    /// A key does not have the version that was given.
    BadVersion,
    /// A version was given for a key that does not exist.
    NoSuchKey,
    /// The request is invalid.
    Invalid(&'static str),
    /// This kind of table does not support the request.
    Unsupported,
    /// The Java store closes the connection without a reply.
    Broken,
}

/// A page of an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The entries, in the order of the iteration.
    pub entries: Vec<TableEntry>,
    /// The start of the next page; empty if this one has no entries.
    pub continuation_token: Bytes,
}

/// Entries that were put from a position on.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    /// The newest entry of each key.
    pub entries: Vec<TableEntry>,
    /// True if no entry follows.
    pub reached_end: bool,
    /// The position at which the next delta starts.
    pub last_position: Offset,
}

/// Gives long values memory of their own, for a driver to call before the machine has them.
///
/// A value from a frame keeps the whole frame alive, and a megabyte takes a millisecond to copy to
/// memory that was not used before: too long for a lock that others wait for.
pub fn own_memory(command: &mut WireCommand) {
    let WireCommand::UpdateTableEntries(update) = command else { return };
    for TableEntry { value: TableValue { data }, .. } in &mut update.table_entries {
        if data.len() >= OWNED_LEN {
            *data = Bytes::copy_from_slice(data);
        }
    }
}

impl Table {
    /// An empty table; the length of its keys is 0 if it varies.
    pub fn new(key_len: usize) -> Self {
        Self { key_len, entries: BTreeMap::new(), by_version: BTreeMap::new(), held: 0 }
    }

    /// The length of every key, 0 if it varies.
    pub fn key_len(&self) -> usize {
        self.key_len
    }

    /// The number of entries.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Approximate memory that the entries use, in bytes.
    pub fn held(&self) -> u64 {
        self.held
    }

    fn is_hash(&self) -> bool {
        self.key_len == 0
    }

    /// The position of a key in the order of iterations: by its hash, or by itself.
    fn order(&self, key: &[u8]) -> Bytes {
        let mut hashed = Vec::new();
        match self.order_in(&mut hashed, key) {
            _ if self.is_hash() => hashed.into(),
            key => Bytes::copy_from_slice(key),
        }
    }

    /// The same position, made in a buffer if the key is not the position itself: a look-up of each
    /// of many keys needs no memory of its own.
    fn order_in<'a>(&self, buffer: &'a mut Vec<u8>, key: &'a [u8]) -> &'a [u8] {
        if !self.is_hash() {
            return key;
        }
        buffer.clear();
        buffer.reserve_exact(HASH_LEN + key.len());
        buffer.put_u64(routing::table_key_position(key).to_bits());
        buffer.put_slice(key);
        buffer
    }

    fn key_of(&self, order: &Bytes) -> Bytes {
        if self.is_hash() { order.slice(HASH_LEN.min(order.len())..) } else { order.clone() }
    }

    /// Checks whether entries may be put.
    pub fn check_update(&self, entries: &[TableEntry]) -> Result<(), TableRefusal> {
        let mut buffer = Vec::new();
        for entry in entries {
            self.check_key(&entry.key)?;
            if ENTRY_HEADER_LEN + entry.key.data.len() + entry.value.data.len() > MAX_ENTRY_LEN {
                return Err(TableRefusal::Invalid("the entry is too long"));
            }
            self.check_version(&entry.key, &mut buffer)?;
        }
        Ok(())
    }

    /// Checks whether keys may be removed.
    pub fn check_remove(&self, keys: &[TableKey]) -> Result<(), TableRefusal> {
        let mut buffer = Vec::new();
        keys.iter().try_for_each(|key| {
            self.check_key(key)?;
            self.check_version(key, &mut buffer)
        })
    }

    fn check_key(&self, key: &TableKey) -> Result<(), TableRefusal> {
        // The Java store accepts an empty key, which breaks its iterators. It is refused here.
        if key.data.is_empty() || key.data.len() > MAX_KEY_LEN {
            return Err(TableRefusal::Invalid(
                "the length of the key is not within 1 to 8192 bytes",
            ));
        }
        if !self.is_hash() && key.data.len() != self.key_len {
            return Err(TableRefusal::Invalid(
                "the length of the key is not that of the table's keys",
            ));
        }
        if key.key_version < TableKey::NOT_EXISTS && key.key_version != TableKey::NO_VERSION {
            return Err(TableRefusal::Broken);
        }
        Ok(())
    }

    fn check_version(&self, key: &TableKey, buffer: &mut Vec<u8>) -> Result<(), TableRefusal> {
        if key.key_version == TableKey::NO_VERSION {
            return Ok(());
        }
        let found = self.entries.get(self.order_in(buffer, &key.data)).map(|entry| entry.version);
        match (key.key_version, found) {
            (TableKey::NOT_EXISTS, None) => Ok(()),
            (version, Some(found)) if KeyVersion(version) == found => Ok(()),
            (_, Some(_)) => Err(TableRefusal::BadVersion),
            (_, None) if self.is_hash() => Err(TableRefusal::NoSuchKey),
            (_, None) => Err(TableRefusal::BadVersion),
        }
    }

    /// The length that entries add to the segment.
    pub fn entries_len(entries: &[TableEntry]) -> u64 {
        entries
            .iter()
            .map(|entry| (ENTRY_HEADER_LEN + entry.key.data.len() + entry.value.data.len()) as u64)
            .sum()
    }

    /// The length that removals add to the segment.
    pub fn removals_len(keys: &[TableKey]) -> u64 {
        keys.iter().map(|key| (ENTRY_HEADER_LEN + key.data.len()) as u64).sum()
    }

    /// Puts entries at the end of a segment that ends at `len`; returns their versions.
    pub fn update(&mut self, entries: &[TableEntry], mut len: u64) -> Vec<KeyVersion> {
        let mut versions = Vec::with_capacity(entries.len());
        for entry in entries {
            let version = KeyVersion(len as i64);
            self.put(&entry.key.data, &entry.value.data, version);
            versions.push(version);
            len += Self::entries_len(std::slice::from_ref(entry));
        }
        versions
    }

    /// Puts one entry with a version. A long value has memory of its own: see [`own_memory`].
    pub fn put(&mut self, key: &[u8], value: &Bytes, version: KeyVersion) {
        let order = self.order(key);
        let is_long = value.len() >= OWNED_LEN;
        // A short value must not keep the bytes of its frame alive.
        let value = if is_long { value.clone() } else { Bytes::copy_from_slice(value) };
        self.held += Self::footprint(order.len(), &value);
        self.by_version.insert(version, order.clone());
        if let Some(old) = self.entries.insert(order.clone(), Entry { value, version }) {
            self.held -= Self::footprint(order.len(), &old.value);
            self.by_version.remove(&old.version);
        }
    }

    /// Removes keys. Missing ones are ignored.
    pub fn remove(&mut self, keys: &[TableKey]) {
        for key in keys {
            let order = self.order(&key.data);
            if let Some(old) = self.entries.remove(&order) {
                self.held -= Self::footprint(order.len(), &old.value);
                self.by_version.remove(&old.version);
            }
        }
    }

    /// At least the change of [`held`](Self::held) by putting entries. No entry is looked up.
    pub fn growth_at_most(&self, entries: &[(Bytes, Bytes)]) -> i64 {
        let hash = if self.is_hash() { HASH_LEN } else { 0 };
        let footprint = |(key, value): &(Bytes, Bytes)| Self::footprint(hash + key.len(), value);
        i64::try_from(entries.iter().map(footprint).sum::<u64>()).unwrap_or(i64::MAX)
    }

    /// The change of [`held`](Self::held) by putting entries, of which the last of each key counts.
    pub fn growth(&self, entries: &[(Bytes, Bytes)]) -> i64 {
        let mut sorted: Vec<&(Bytes, Bytes)> = entries.iter().collect();
        // Entries of one key keep their order.
        sorted.sort_by(|(key, _), (other, _)| key.cmp(other));
        let mut buffer = Vec::new();
        let mut grows = |(key, value): &(Bytes, Bytes)| {
            let order = self.order_in(&mut buffer, key);
            let old = self.entries.get(order).map(|old| Self::footprint(order.len(), &old.value));
            Self::footprint(order.len(), value) as i64 - old.unwrap_or_default() as i64
        };
        let of_one_key = sorted.chunk_by(|(key, _), (other, _)| key == other);
        of_one_key.filter_map(|entries| entries.last()).map(|last| grows(last)).sum()
    }

    fn footprint(order_len: usize, value: &Bytes) -> u64 {
        // Two trees whose nodes are half full, and two allocations for the bytes.
        (order_len + value.len() + ENTRY_OVERHEAD) as u64
    }

    /// One entry for each key, in order; missing ones have version −1.
    pub fn read(&self, keys: &[TableKey]) -> Vec<TableEntry> {
        let mut buffer = Vec::new();
        let read = |key: &TableKey| match self.entries.get(self.order_in(&mut buffer, &key.data)) {
            Some(entry) => entry_of(key.data.clone(), entry),
            None => TableEntry {
                key: TableKey { data: key.data.clone(), key_version: TableKey::NOT_EXISTS },
                value: TableValue { data: Bytes::new() },
            },
        };
        keys.iter().map(read).collect()
    }

    /// A page of at most `count` entries.
    pub fn page(
        &self,
        count: i32,
        token: &Bytes,
        from: &Bytes,
        to: &Bytes,
    ) -> Result<Page, TableRefusal> {
        if self.is_hash() && !(from.is_empty() && to.is_empty()) {
            return Err(TableRefusal::Invalid("a hash table cannot be read by a range of keys"));
        }
        let is_bound = |key: &Bytes| key.is_empty() || key.len() == self.key_len;
        if !(self.is_hash() || is_bound(from) && is_bound(to)) {
            return Err(TableRefusal::Invalid("the ends of a range have the length of the keys"));
        }
        if !self.is_hash() && !token.is_empty() {
            return Err(TableRefusal::Invalid(
                "a table with keys of one length takes no continuation token",
            ));
        }
        let count = usize::try_from(count).unwrap_or(0);
        let (start, is_after) =
            if self.is_hash() { (read_token(token)?, true) } else { (from.clone(), false) };
        let (mut page, mut bytes, mut last) = (Vec::new(), 0, Bytes::new());
        for (order, entry) in self.entries.range(start.clone()..) {
            let passed = !to.is_empty() && order > to;
            if page.len() >= count || bytes >= MAX_PAGE_BYTES || passed {
                break;
            }
            if is_after && *order == start && !token.is_empty() {
                continue;
            }
            bytes += order.len() + entry.value.len() + PAGE_ENTRY_OVERHEAD;
            page.push(entry_of(self.key_of(order), entry));
            last = order.clone();
        }
        let continuation_token = if page.is_empty() { Bytes::new() } else { write_token(&last) };
        Ok(Page { entries: page, continuation_token })
    }

    /// At most `count` entries put at or after a position.
    pub fn delta(&self, from: Offset, count: i32, len: u64) -> Result<Delta, TableRefusal> {
        if !self.is_hash() {
            return Err(TableRefusal::Unsupported);
        }
        let end = Offset(len as i64);
        if from < Offset(0) || from > end {
            return Err(TableRefusal::Invalid("the position is outside the table segment"));
        }
        let count = usize::try_from(count).unwrap_or(0);
        let (mut entries, mut bytes, mut last) = (Vec::new(), 0, from);
        let mut newer = self.by_version.range(KeyVersion(from.0)..);
        while entries.len() < count
            && bytes < MAX_PAGE_BYTES
            && let Some((version, order)) = newer.next()
        {
            let Some(entry) = self.entries.get(order) else { continue };
            let key = self.key_of(order);
            last = Offset(version.0 + (ENTRY_HEADER_LEN + key.len() + entry.value.len()) as i64);
            bytes += key.len() + entry.value.len() + PAGE_ENTRY_OVERHEAD;
            entries.push(entry_of(key, entry));
        }
        let reached_end = newer.next().is_none();
        let last_position = if reached_end { end } else { last };
        Ok(Delta { entries, reached_end, last_position })
    }

    /// The version and the value of a key.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<(KeyVersion, Bytes)> {
        let entry = self.entries.get(self.order_in(&mut Vec::new(), key))?;
        Some((entry.version, entry.value.clone()))
    }

    /// The entries after a key in the order of iterations, or all of them.
    pub(crate) fn entries_after(
        &self,
        key: Option<&Bytes>,
    ) -> impl Iterator<Item = (Bytes, KeyVersion, Bytes)> + '_ {
        let from = key.map_or(Bound::Unbounded, |key| Bound::Excluded(self.order(key)));
        let entries = self.entries.range((from, Bound::Unbounded));
        entries.map(|(order, entry)| (self.key_of(order), entry.version, entry.value.clone()))
    }

    /// The entries with versions after one, in the order of their versions: key, value, version.
    pub fn after(
        &self,
        version: KeyVersion,
    ) -> impl Iterator<Item = (Bytes, Bytes, KeyVersion)> + '_ {
        let newer = self.by_version.range((Bound::Excluded(version), Bound::Unbounded));
        newer.filter_map(|(version, order)| {
            Some((self.key_of(order), self.entries.get(order)?.value.clone(), *version))
        })
    }
}

fn entry_of(key: Bytes, entry: &Entry) -> TableEntry {
    TableEntry {
        key: TableKey { data: key, key_version: entry.version.0 },
        value: TableValue { data: entry.value.clone() },
    }
}

fn write_token(last: &Bytes) -> Bytes {
    [&TOKEN_HEAD, &last[..]].concat().into()
}

fn read_token(token: &Bytes) -> Result<Bytes, TableRefusal> {
    if token.is_empty() {
        return Ok(Bytes::new());
    }
    let mut rest = token.clone();
    if rest.len() < TOKEN_HEAD.len() + HASH_LEN || rest.get_u16() != u16::from_be_bytes(TOKEN_HEAD)
    {
        return Err(TableRefusal::Broken);
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use pravega_sdk_wire_protocol::commands::UpdateTableEntries;

    use super::*;

    fn entry(key: &'static str, value: &'static str, key_version: i64) -> TableEntry {
        TableEntry {
            key: TableKey { data: key.into(), key_version },
            value: TableValue { data: value.into() },
        }
    }

    fn key(key: &'static str, key_version: i64) -> TableKey {
        TableKey { data: key.into(), key_version }
    }

    const ANY: i64 = TableKey::NO_VERSION;
    const ABSENT: i64 = TableKey::NOT_EXISTS;

    #[test]
    fn versions_are_the_offsets_of_the_entries() {
        let mut table = Table::new(3);
        let entries = [entry("abc", "x", ABSENT), entry("abd", "", ABSENT)];
        assert_eq!(table.update(&entries, 0), [KeyVersion(0), KeyVersion(21)]);
        assert_eq!(Table::entries_len(&entries), 41);
    }

    #[test]
    fn a_value_never_keeps_the_frame_alive_that_had_it() {
        for len in [1, OWNED_LEN - 1, OWNED_LEN, 10 * OWNED_LEN] {
            let frame = Bytes::from(vec![7; len + 64]);
            let watched = frame.clone();
            let mut update = entry("key", "", ANY);
            update.value.data = frame.slice(64..);
            drop(frame);
            let mut command = WireCommand::UpdateTableEntries(UpdateTableEntries {
                request_id: 1,
                segment: "scope/table".into(),
                delegation_token: "".into(),
                table_entries: vec![update],
                table_segment_offset: -1,
            });
            own_memory(&mut command);
            let WireCommand::UpdateTableEntries(update) = command else { panic!("another one") };
            let mut table = Table::new(0);
            table.update(&update.table_entries, 0);
            drop(update);
            assert!(watched.is_unique(), "a value of {len} bytes");
            assert_eq!(table.read(&[key("key", ANY)])[0].value.data.len(), len);
        }
    }

    #[test]
    fn growth_is_what_the_last_entry_of_each_key_adds_and_its_bound_is_not_below() {
        for key_len in [0, 2] {
            let mut table = Table::new(key_len);
            let mut random = fastrand::Rng::with_seed(7);
            let mut versions = (0..).map(KeyVersion);
            for _ in 0..200 {
                let mut entry = |_| {
                    let key = [b'k', b'0' + random.u8(..9)];
                    let value = vec![0; random.usize(..40)];
                    (Bytes::copy_from_slice(&key), Bytes::from(value))
                };
                let entries: Vec<_> = (0..20).map(&mut entry).collect();
                let (growth, bound) = (table.growth(&entries), table.growth_at_most(&entries));
                let held = table.held() as i64;
                for ((key, value), version) in entries.iter().zip(&mut versions) {
                    table.put(key, value, version);
                }
                assert_eq!(table.held() as i64 - held, growth);
                assert!(growth <= bound, "{growth} {bound}");
            }
        }
    }

    #[test]
    fn conditions_on_keys_that_are_absent_differ_between_the_kinds() {
        for (key_len, wanted) in [(0, TableRefusal::NoSuchKey), (1, TableRefusal::BadVersion)] {
            let mut table = Table::new(key_len);
            assert_eq!(table.check_update(&[entry("a", "x", 5)]), Err(wanted));
            table.update(&[entry("a", "x", ANY)], 0);
            assert_eq!(
                table.check_update(&[entry("a", "x", ABSENT)]),
                Err(TableRefusal::BadVersion)
            );
            assert_eq!(table.check_update(&[entry("a", "x", 7)]), Err(TableRefusal::BadVersion));
            assert_eq!(table.check_update(&[entry("a", "x", 0)]), Ok(()));
            assert_eq!(table.check_remove(&[key("b", ABSENT), key("b", ANY), key("a", 0)]), Ok(()));
            table.remove(&[key("a", 0)]);
            assert_eq!((table.entry_count(), table.held()), (0, 0));
        }
    }

    #[test]
    fn the_growth_by_entries_is_known_before_they_are_put() {
        for key_len in [0, 1] {
            let mut table = Table::new(key_len);
            table.update(&[entry("a", "12345", ANY)], 0);
            for values in [vec![("a", "1")], vec![("b", "1"), ("b", "22"), ("a", "333")], vec![]] {
                let entries: Vec<(Bytes, Bytes)> =
                    values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
                let foretold = table.held() as i64 + table.growth(&entries);
                for (version, (key, value)) in (100..).zip(&entries) {
                    table.put(key, value, KeyVersion(version));
                }
                assert_eq!(table.held() as i64, foretold);
            }
            assert_eq!(table.entry_count(), 2);
        }
    }

    #[test]
    fn pages_of_a_hash_table_lead_through_all_of_it_once() {
        let mut table = Table::new(0);
        let names: Vec<String> = (0..100).map(|number| format!("key-{number}")).collect();
        for name in &names {
            table.put(name.as_bytes(), &Bytes::new(), KeyVersion(0));
        }
        let (mut token, mut seen) = (Bytes::new(), Vec::new());
        loop {
            let Page { entries: page, continuation_token: next } =
                table.page(7, &token, &Bytes::new(), &Bytes::new()).unwrap();
            if page.is_empty() {
                assert!(next.is_empty());
                break;
            }
            seen.extend(
                page.into_iter().map(|entry| String::from_utf8(entry.key.data.to_vec()).unwrap()),
            );
            token = next;
        }
        seen.sort();
        let mut names = names;
        names.sort();
        assert_eq!(seen, names);
        assert_eq!(
            table.page(7, &Bytes::from_static(b"x"), &Bytes::new(), &Bytes::new()),
            Err(TableRefusal::Broken)
        );
    }

    #[test]
    fn ranges_of_a_table_with_fixed_keys_have_both_ends() {
        let mut table = Table::new(1);
        table.update(
            &[entry("a", "", ANY), entry("b", "", ANY), entry("c", "", ANY), entry("d", "", ANY)],
            0,
        );
        let Page { entries: page, .. } =
            table.page(10, &Bytes::new(), &"b".into(), &"c".into()).unwrap();
        assert_eq!(page.iter().map(|entry| entry.key.data.clone()).collect::<Vec<_>>(), ["b", "c"]);
        let Page { entries: page, .. } =
            table.page(0, &Bytes::new(), &Bytes::new(), &Bytes::new()).unwrap();
        assert!(page.is_empty());
    }

    #[test]
    fn a_delta_has_the_newest_of_each_key_and_no_removals() {
        let mut table = Table::new(0);
        let first = [entry("a", "1", ANY), entry("b", "1", ANY)];
        table.update(&first, 0);
        let second = [entry("a", "2", ANY)];
        table.update(&second, 38);
        let Delta { entries, reached_end, last_position: last } =
            table.delta(Offset(0), 10, 57).unwrap();
        assert_eq!(
            entries.iter().map(|entry| entry.value.data.clone()).collect::<Vec<_>>(),
            ["1", "2"]
        );
        assert!(reached_end);
        assert_eq!(last, Offset(57));
        let Delta { entries, reached_end, last_position: last } =
            table.delta(Offset(0), 1, 57).unwrap();
        assert_eq!((entries.len(), reached_end, last), (1, false, Offset(38)));
        assert_eq!(
            table.delta(Offset(58), 1, 57),
            Err(TableRefusal::Invalid("the position is outside the table segment"))
        );
    }
}
