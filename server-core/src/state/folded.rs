//! The state of all segments, folded from the values of checkpoints and the changes after them.
//!
//! Values are taken at different moments, so what is here is no state that ever was, until the last
//! change is applied. A change of a segment that is gone changes nothing: its deletion follows, or
//! was the reason.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    iter::Peekable,
    ops::Range,
};

use bytes::Bytes;
use bytestring::ByteString;
use uuid::Uuid;

use super::{
    change::{
        AppendedMeta, ENTRY_HEADER_LEN, ManyState, NextNumbers, PartOf, SegmentState, StateChange,
        decode,
    },
    key::StateKey,
    parts::Parts,
    touched::{FreedRanges, TouchedKeys},
};
use crate::{
    log::SegmentNumber,
    record::{Attributes, KeyVersion, Many, Millis},
};

/// The value that removes an attribute.
const ABSENT: i64 = i64::MIN;

/// A value is not of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadValue;

/// A change of many segments, and those that are left.
#[derive(Debug, PartialEq)]
pub(crate) struct ManyLeft {
    pub(crate) many: Many,
    pub(crate) made: BTreeSet<u32>,
}

/// The state of all segments.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) next: NextNumbers,
    segments: BTreeMap<SegmentNumber, SegmentState>,
    attributes: BTreeMap<(SegmentNumber, Uuid), i64>,
    entries: BTreeMap<(SegmentNumber, Bytes), (KeyVersion, Bytes)>,
    parts: BTreeMap<(SegmentNumber, u64), (u64, SegmentNumber, u64)>,
    merges: BTreeMap<u64, ByteString>,
    /// Their places by name.
    merged: HashMap<ByteString, u64>,
    many: BTreeMap<u64, ManyLeft>,
    /// The keys that changes have set since the checkpoint.
    pub(crate) touched: TouchedKeys,
    /// The checkpoints have no segment with this number or a later one.
    recorded: u64,
    pub(crate) freed: FreedRanges,
}

/// A segment, with everything of it.
#[derive(Debug)]
pub(crate) struct Unfolded {
    pub(crate) number: SegmentNumber,
    pub(crate) state: SegmentState,
    pub(crate) attributes: Attributes,
    pub(crate) entries: Vec<(Bytes, KeyVersion, Bytes)>,
    pub(crate) parts: Vec<PartOf>,
}

impl Folded {
    /// No segments yet. Keys of at most so much memory are kept.
    pub(crate) fn within(most_touched: u64) -> Self {
        Self { touched: TouchedKeys::within(most_touched), ..Self::default() }
    }

    /// Sets the value of a key, or removes it.
    pub(crate) fn set(&mut self, key: StateKey, value: Option<&Bytes>) -> Result<(), BadValue> {
        if let Some(number) = key.segment() {
            self.recorded = self.recorded.max(number.0.saturating_add(1));
        }
        let Some(value) = value else {
            self.remove(&key);
            return Ok(());
        };
        match key {
            StateKey::Next => self.next = decode(value).ok_or(BadValue)?,
            StateKey::Catalog(_) => return Err(BadValue),
            StateKey::Segment(number) => {
                self.segments.insert(number, decode(value).ok_or(BadValue)?);
            }
            StateKey::Attribute(number, id) => {
                self.attributes.insert((number, id), decode(value).ok_or(BadValue)?);
            }
            StateKey::Entry(number, key) => {
                self.entries.insert((number, key), decode(value).ok_or(BadValue)?);
            }
            StateKey::Part(number, at) => {
                self.parts.insert((number, at), decode(value).ok_or(BadValue)?);
            }
            StateKey::Merge(order) => {
                self.remember(order, decode(value).ok_or(BadValue)?);
            }
            StateKey::Many(key) => {
                let ManyState { many, done, early } = decode(value).ok_or(BadValue)?;
                let made = (0..done).chain(early).collect();
                self.many.insert(key, ManyLeft { many, made });
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: &StateKey) {
        match key {
            StateKey::Next | StateKey::Catalog(_) => {}
            StateKey::Segment(number) => drop(self.segments.remove(number)),
            StateKey::Attribute(number, id) => drop(self.attributes.remove(&(*number, *id))),
            StateKey::Entry(number, key) => drop(self.entries.remove(&(*number, key.clone()))),
            StateKey::Part(number, at) => drop(self.parts.remove(&(*number, *at))),
            StateKey::Merge(order) => self.forget(*order),
            StateKey::Many(key) => drop(self.many.remove(key)),
        }
    }

    /// Applies bytes that were appended.
    pub(crate) fn append(
        &mut self,
        segment: SegmentNumber,
        offset: u64,
        len: u64,
        meta: Option<AppendedMeta>,
    ) {
        self.touched.insert(StateKey::Segment(segment));
        if let Some(AppendedMeta { attributes, at }) = meta {
            self.set_attributes(segment, &attributes);
            self.modify(segment, at);
        }
        let Some(state) = self.segments.get_mut(&segment) else { return };
        if state.key_len.is_some() {
            return;
        }
        state.len = offset.saturating_add(len);
    }

    /// Applies a change. Those of the catalog are not here.
    pub(crate) fn apply(&mut self, change: StateChange) {
        match change {
            StateChange::Created { segment, name, key_len, attributes, at } => {
                self.create(segment, name, key_len, &attributes, at);
            }
            StateChange::Merged { .. } => self.merge(change),
            StateChange::Attributed { segment, attributes } => {
                self.set_attributes(segment, &attributes);
            }
            StateChange::Sealed { segment, at } => {
                self.modify(segment, at);
                self.change(segment, |state| state.sealed = true);
            }
            StateChange::Truncated { segment, offset, at } => {
                self.modify(segment, at);
                let state = self.segments.get(&segment);
                let start = state.map(|state| state.start.min(offset));
                self.free(segment, start.unwrap_or(offset)..offset);
                self.change(segment, |state| state.start = offset);
            }
            StateChange::Deleted { segment } => {
                let state = self.segments.get(&segment);
                let range = state.map(|state| state.start..state.len);
                self.free(segment, range.unwrap_or_default());
                self.leave(segment);
            }
            StateChange::Put { segment, from, entries, at } => {
                self.put(segment, from, entries, at);
            }
            StateChange::Removed { segment, from, keys, at } => {
                self.modify(segment, at);
                let mut len = from;
                for key in keys {
                    len = len.saturating_add((ENTRY_HEADER_LEN + key.len()) as u64);
                    self.entries.remove(&(segment, key.clone()));
                    self.touched.insert(StateKey::Entry(segment, key));
                }
                self.change(segment, |state| state.len = len);
            }
            StateChange::Restored { segment, start, len } => {
                self.change(segment, |state| (state.start, state.len) = (start, len));
            }
            StateChange::RestoredEntry { segment, key, value, version } => {
                self.touched.insert(StateKey::Entry(segment, key.clone()));
                if self.segments.contains_key(&segment) {
                    self.entries.insert((segment, key), (version, value));
                }
            }
            StateChange::Entry { .. } => {}
            StateChange::Many { key, many } => {
                self.touched.insert(StateKey::Many(key));
                self.next.many = self.next.many.max(key.saturating_add(1));
                self.many.insert(key, ManyLeft { many, made: BTreeSet::new() });
            }
            StateChange::Made { key, index } => {
                self.touched.insert(StateKey::Many(key));
                if let Some(left) = self.many.get_mut(&key) {
                    left.made.insert(index);
                }
            }
        }
        self.touched.insert(StateKey::Next);
    }

    fn change(&mut self, segment: SegmentNumber, change: impl FnOnce(&mut SegmentState)) {
        self.touched.insert(StateKey::Segment(segment));
        if let Some(state) = self.segments.get_mut(&segment) {
            change(state);
        }
    }

    fn modify(&mut self, segment: SegmentNumber, at: Millis) {
        self.change(segment, |state| state.modified = at);
    }

    fn create(
        &mut self,
        segment: SegmentNumber,
        name: ByteString,
        key_len: Option<u32>,
        attributes: &Attributes,
        at: Millis,
    ) {
        if let Some(order) = self.merged.get(&name).copied() {
            self.forget(order);
            self.touched.insert(StateKey::Merge(order));
        }
        self.leave(segment);
        let (start, len, sealed, modified) = (0, 0, false, at);
        self.segments.insert(segment, SegmentState { name, key_len, start, len, sealed, modified });
        self.set_attributes(segment, attributes);
        self.next.segment = self.next.segment.max(segment.0.saturating_add(1));
    }

    fn put(&mut self, segment: SegmentNumber, from: u64, entries: Vec<(Bytes, Bytes)>, at: Millis) {
        self.modify(segment, at);
        let (mut len, exists) = (from, self.segments.contains_key(&segment));
        for (key, value) in entries {
            let version = KeyVersion(len as i64);
            len = len.saturating_add((ENTRY_HEADER_LEN + key.len() + value.len()) as u64);
            self.touched.insert(StateKey::Entry(segment, key.clone()));
            if exists {
                self.entries.insert((segment, key), (version, value));
            }
        }
        self.change(segment, |state| state.len = len);
    }

    fn merge(&mut self, change: StateChange) {
        let StateChange::Merged {
            target,
            source,
            name,
            from,
            len,
            parts,
            order,
            oldest,
            attributes,
            at,
        } = change
        else {
            return;
        };
        self.leave(source);
        self.next.merge = self.next.merge.max(order.saturating_add(1));
        let forgotten: Vec<u64> = self.merges.range(..oldest).map(|(order, _)| *order).collect();
        for order in forgotten {
            self.forget(order);
            self.touched.insert(StateKey::Merge(order));
        }
        self.touched.insert(StateKey::Merge(order));
        self.remember(order, name);
        let Some(target) = target else { return };
        self.modify(target, at);
        self.set_attributes(target, &attributes);
        self.change(target, |state| state.len = from.saturating_add(len));
        if self.segments.contains_key(&target) {
            for part in parts {
                self.put_part(target, part);
            }
        }
    }

    fn set_attributes(&mut self, segment: SegmentNumber, attributes: &Attributes) {
        self.touched.insert(StateKey::Segment(segment));
        let exists = self.segments.contains_key(&segment);
        for (id, value) in attributes {
            self.touched.insert(StateKey::Attribute(segment, *id));
            if *value == ABSENT {
                self.attributes.remove(&(segment, *id));
            } else if exists {
                self.attributes.insert((segment, *id), *value);
            }
        }
    }

    fn put_part(&mut self, of: SegmentNumber, part: PartOf) {
        self.touched.insert(StateKey::Part(of, part.at));
        self.parts.insert((of, part.at), (part.len, part.segment, part.from));
    }

    /// Notes that a range of a segment is not read any longer.
    fn free(&mut self, segment: SegmentNumber, range: Range<u64>) {
        let Some(state) = self.segments.get(&segment) else { return };
        if range.is_empty() || state.key_len.is_some() {
            return;
        }
        let parts = Parts::of(self.parts_of(segment), 0);
        self.freed.extend(parts.ranges(segment, range));
    }

    fn parts_of(&self, segment: SegmentNumber) -> Vec<PartOf> {
        let parts = self.parts.range((segment, 0)..=(segment, u64::MAX));
        let part = |((_, at), (len, segment, from)): (&(_, u64), &(u64, SegmentNumber, u64))| {
            PartOf { at: *at, len: *len, segment: *segment, from: *from }
        };
        parts.map(part).collect()
    }

    /// Removes a segment, and what belongs to it.
    fn leave(&mut self, segment: SegmentNumber) {
        self.touched.insert(StateKey::Segment(segment));
        self.segments.remove(&segment);
        for id in keys_of(&self.attributes, segment, Uuid::nil()) {
            self.attributes.remove(&(segment, id));
        }
        for key in keys_of(&self.entries, segment, Bytes::new()) {
            self.entries.remove(&(segment, key));
        }
        for at in keys_of(&self.parts, segment, 0) {
            self.parts.remove(&(segment, at));
            self.touched.insert(StateKey::Part(segment, at));
        }
        // What no checkpoint has need not be removed by one.
        if segment.0 >= self.recorded {
            self.touched.forget(segment);
        }
    }

    fn remember(&mut self, order: u64, name: ByteString) {
        // A name is remembered once: an older value of it is that of an older moment.
        if let Some(before) = self.merged.insert(name.clone(), order)
            && before != order
        {
            self.merges.remove(&before);
            self.touched.insert(StateKey::Merge(before));
        }
        if let Some(other) = self.merges.insert(order, name.clone())
            && other != name
        {
            self.merged.remove(&other);
        }
    }

    fn forget(&mut self, order: u64) {
        if let Some(name) = self.merges.remove(&order)
            && self.merged.get(&name) == Some(&order)
        {
            self.merged.remove(&name);
        }
    }

    /// Makes one state of what is known, if changes are missing: of two segments with a name the
    /// older one is gone, and none begins after its end. No number up to `last` is given again.
    /// Returns the names of the segments that are gone.
    pub(crate) fn settle(&mut self, last: SegmentNumber) -> Vec<ByteString> {
        let (mut newest, mut gone) = (HashMap::new(), Vec::new());
        for (number, state) in &mut self.segments {
            state.len = state.len.max(state.start);
            if let Some(older) = newest.insert(state.name.clone(), *number) {
                gone.push((older, state.name.clone()));
            }
        }
        gone.iter().for_each(|(number, _)| self.leave(*number));
        let known = self.segments.keys().next_back().copied().unwrap_or_default();
        let of_parts = self.parts.values().map(|(_, segment, _)| *segment).max();
        let greatest = known.max(last).max(of_parts.unwrap_or_default());
        self.next.segment = self.next.segment.max(greatest.0.saturating_add(1));
        gone.into_iter().map(|(_, name)| name).collect()
    }

    /// The merges that are remembered, in their order.
    pub(crate) fn take_merges(&mut self) -> BTreeMap<u64, ByteString> {
        self.merged.clear();
        std::mem::take(&mut self.merges)
    }

    /// The changes of many segments of which some are left, in their order.
    pub(crate) fn take_many(&mut self) -> BTreeMap<u64, ManyLeft> {
        let mut many = std::mem::take(&mut self.many);
        many.retain(|_, left| left.made.len() < left.many.ids.len());
        many
    }

    /// All segments, in the order of their numbers. What belongs to none is left out.
    pub(crate) fn unfold(self) -> impl Iterator<Item = Unfolded> {
        let Self { segments, attributes, entries, parts, .. } = self;
        let mut attributes = attributes.into_iter().peekable();
        let mut entries = entries.into_iter().peekable();
        let mut parts = parts.into_iter().peekable();
        segments.into_iter().map(move |(number, state)| {
            let attributes = take_of(&mut attributes, number);
            let entries = take_of(&mut entries, number)
                .map(|(key, (version, value))| (key, version, value))
                .collect();
            let part = |(at, (len, segment, from))| PartOf { at, len, segment, from };
            let (attributes, parts) =
                (attributes.collect(), take_of(&mut parts, number).map(part).collect());
            Unfolded { number, state, attributes, entries, parts }
        })
    }
}

/// The keys of a segment from one on.
fn keys_of<K: Ord + Clone, V>(
    map: &BTreeMap<(SegmentNumber, K), V>,
    segment: SegmentNumber,
    from: K,
) -> Vec<K> {
    let keys = map.range((segment, from)..).map(|(key, _)| key);
    keys.take_while(|(of, _)| *of == segment).map(|(_, key)| key.clone()).collect()
}

/// Takes what belongs to a segment, after leaving out what belongs to none before it.
fn take_of<K, V, I: Iterator<Item = ((SegmentNumber, K), V)>>(
    all: &mut Peekable<I>,
    segment: SegmentNumber,
) -> impl Iterator<Item = (K, V)> {
    while all.next_if(|((of, _), _)| *of < segment).is_some() {}
    std::iter::from_fn(move || {
        let ((_, key), value) = all.next_if(|((of, _), _)| *of == segment)?;
        Some((key, value))
    })
}
