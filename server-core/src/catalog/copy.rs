//! Copies of the catalog: the records that restore it, in the order of their keys.
//!
//! A copy is made in portions, and clients are served between them. What changes meanwhile and was
//! copied already is followed: its records belong to the copy as well, in the order in which they
//! were applied. What changes and was not copied yet is copied as it is then.

use std::{
    collections::{BTreeMap, btree_map},
    ops::{Bound, ControlFlow},
};

use pravega_sdk_types::{SegmentNumber, TransactionId};
use uuid::Uuid;

use super::{
    change::{Change, Part, ScopeRecord, StreamPart},
    key::{CopyPlace, EntryKey, PartKey, StreamKey},
    leaving::stream_of,
    names,
    state::{Catalog, Scope},
    stream::Stream,
};
use crate::{
    copying::Copying,
    record::{Portion, Record},
    store::Progress,
};

/// Takes the entries of a copy, until it has enough.
type Put<'a> = &'a mut dyn FnMut(Change) -> ControlFlow<()>;

/// The entries of one kind that were copied.
enum Copied<'a, K> {
    Nothing,
    Until(&'a K),
    All,
}

/// What was copied of a kind whose least key is known, after the last key of all kinds.
fn copied<'a, P: Ord, K>(
    last: Option<&'a P>,
    least: &P,
    of_kind: impl Fn(&'a P) -> Option<&'a K>,
) -> Copied<'a, K> {
    match last {
        None => Copied::Nothing,
        Some(last) => match of_kind(last) {
            Some(key) => Copied::Until(key),
            None if last < least => Copied::Nothing,
            None => Copied::All,
        },
    }
}

/// The entries of a kind that were not copied.
fn rest<'m, K: Ord, V>(
    map: &'m BTreeMap<K, V>,
    copied: Copied<'_, K>,
) -> impl Iterator<Item = (&'m K, &'m V)> {
    let range: Option<btree_map::Range<'_, K, V>> = match copied {
        Copied::Nothing => Some(map.range::<K, _>(..)),
        Copied::Until(last) => Some(map.range::<K, _>((Bound::Excluded(last), Bound::Unbounded))),
        Copied::All => None,
    };
    range.into_iter().flatten()
}

impl Catalog {
    /// Begins a copy, in place of one that was not finished.
    pub(crate) fn begin_copy(&mut self) {
        self.copying = Some(Copying::default());
    }

    /// Adds the next entries to a portion of the copy.
    pub(crate) fn copy(&mut self, portion: &mut Portion) -> Progress {
        let Some(copying) = &mut self.copying else {
            return Progress::Finished;
        };
        let place = std::mem::replace(&mut copying.place, CopyPlace::End);
        let last = match &place {
            CopyPlace::Begin => None,
            CopyPlace::After(key) => Some(key),
            CopyPlace::End => return Progress::Finished,
        };
        let mut reached = None;
        let copied = self.entries(last, &mut |change| {
            portion.push(change.record());
            if !portion.is_full() {
                return ControlFlow::Continue(());
            }
            reached = Some(change.key());
            ControlFlow::Break(())
        });
        if let (Some(copying), Some(reached)) = (&mut self.copying, reached) {
            copying.place = CopyPlace::After(reached);
        }
        if copied.is_break() { Progress::Unfinished } else { Progress::Finished }
    }

    /// Takes the changes of what was copied already, since the last call.
    pub(crate) fn take_followed(&mut self) -> Vec<Record> {
        self.copying.as_mut().map(Copying::take_followed).unwrap_or_default()
    }

    /// Ends the copy.
    pub(crate) fn end_copy(&mut self) {
        self.copying = None;
    }

    /// Notes a change before it is applied, if it changes what was copied.
    pub(super) fn follow(&mut self, change: &Change) {
        let Some(Copying { place, followed }) = &mut self.copying else { return };
        let is_copied = |key: &EntryKey| match &place {
            CopyPlace::Begin => false,
            CopyPlace::After(last) => key <= last,
            CopyPlace::End => true,
        };
        if is_copied(&change.key()) {
            followed.push(change.record());
        } else if matches!(change.part, Part::Leaving)
            && let Some((scope, stream)) = stream_of(&change.scope)
        {
            // It is copied under the name under which it leaves.
            let gone = Change::of_stream(scope, stream, StreamPart::State(None));
            if is_copied(&gone.key()) {
                followed.push(gone.record());
            }
        }
    }

    /// The whole catalog as records that restore it.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        let all = self.entries(None, &mut |change| {
            put(change.record());
            ControlFlow::Continue(())
        });
        debug_assert!(all.is_continue(), "it was never told to break off");
    }

    /// The entries after a key, in order.
    pub(super) fn entries(&self, last: Option<&EntryKey>, put: Put<'_>) -> ControlFlow<()> {
        let from = last.map_or(Bound::Unbounded, |last| Bound::Included(&last.scope));
        let mut scopes = self.scopes.range::<String, _>((from, Bound::Unbounded)).peekable();
        let mut leaving = self.leaving.range::<String, _>((from, Bound::Unbounded)).peekable();
        loop {
            let leaves = match (scopes.peek(), leaving.peek()) {
                (None, None) => return ControlFlow::Continue(()),
                (Some((scope, _)), Some((leaving, _))) => leaving < scope,
                (scope, _) => scope.is_none(),
            };
            let next = if leaves {
                leaving.next().map(|(name, leaving)| (name, &leaving.scope))
            } else {
                scopes.next()
            };
            let Some((name, scope)) = next else {
                return ControlFlow::Continue(());
            };
            let last = last.filter(|last| last.scope == *name).map(|last| &last.part);
            scope.entries(name, leaves, last, put)?;
        }
    }
}

impl Scope {
    pub(super) fn entries(
        &self,
        scope: &str,
        leaves: bool,
        last: Option<&PartKey>,
        put: Put<'_>,
    ) -> ControlFlow<()> {
        let is_left = |key: PartKey| last.is_none_or(|last| *last < key);
        let mut put = |part: Part| put(Change::new(scope, part));
        if scope != names::SYSTEM_SCOPE && is_left(PartKey::Scope) {
            put(Part::Scope(Some(ScopeRecord::default())))?;
        }
        if leaves && is_left(PartKey::Leaving) {
            put(Part::Leaving)?;
        }
        if self.numbers.floor != SegmentNumber::default() && is_left(PartKey::Floor) {
            put(Part::Floor(self.numbers.floor))?;
        }
        let named = |of_kind: fn(String) -> PartKey, name: fn(&PartKey) -> Option<&String>| {
            copied(last, &of_kind(String::new()), name)
        };
        let numbers = named(PartKey::Number, |key| match key {
            PartKey::Number(name) => Some(name),
            _ => None,
        });
        for (stream, number) in rest(self.numbers.by_stream(), numbers) {
            put(Part::Number(stream.clone(), Some(*number)))?;
        }
        let tables = named(PartKey::Table, |key| match key {
            PartKey::Table(name) => Some(name),
            _ => None,
        });
        for (name, table) in rest(&self.tables, tables) {
            put(Part::Table(name.clone(), Some(table.clone())))?;
        }
        let groups = named(PartKey::Group, |key| match key {
            PartKey::Group(name) => Some(name),
            _ => None,
        });
        for (name, group) in rest(&self.groups, groups) {
            put(Part::Group(name.clone(), Some(group.clone())))?;
        }
        let within = match last {
            Some(PartKey::Stream(name, last)) => Some((name, last)),
            // Streams are the last entries of a scope.
            _ => None,
        };
        let from = within.map_or(Bound::Unbounded, |(name, _)| Bound::Included(name));
        for (name, stream) in self.streams.range::<String, _>((from, Bound::Unbounded)) {
            let last = within.filter(|(last, _)| *last == name).map(|(_, last)| last);
            stream.entries(last, &mut |part| put(Part::Stream(name.clone(), part)))?;
        }
        ControlFlow::Continue(())
    }
}

impl Stream {
    pub(super) fn entries(
        &self,
        last: Option<&StreamKey>,
        put: &mut dyn FnMut(StreamPart) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let is_left = |key: StreamKey| last.is_none_or(|last| *last < key);
        if is_left(StreamKey::State) {
            put(StreamPart::State(Some(self.state.clone())))?;
        }
        for number in self.history.epochs() {
            if is_left(StreamKey::Epoch(number))
                && let Some(epoch) = self.history.difference(number)
            {
                put(StreamPart::Epoch(number, epoch))?;
            }
        }
        if !self.head.is_empty() && is_left(StreamKey::Head) {
            put(StreamPart::Head(self.head.clone()))?;
        }
        for (segment, end) in &self.deleted_ends {
            if is_left(StreamKey::End(*segment)) {
                put(StreamPart::End(*segment, *end))?;
            }
        }
        let writers = copied(last, &StreamKey::Writer(String::new()), |key| match key {
            StreamKey::Writer(name) => Some(name),
            _ => None,
        });
        for (name, mark) in rest(&self.writers, writers) {
            put(StreamPart::Writer(name.clone(), Some(mark.clone())))?;
        }
        if let Some(bounds) = self.watermark
            && is_left(StreamKey::Watermark)
        {
            put(StreamPart::Watermark(bounds))?;
        }
        let subscribers = copied(last, &StreamKey::Subscriber(String::new()), |key| match key {
            StreamKey::Subscriber(name) => Some(name),
            _ => None,
        });
        for (name, subscriber) in rest(&self.subscribers, subscribers) {
            put(StreamPart::Subscriber(name.clone(), Some(subscriber.clone())))?;
        }
        let points = copied(last, &StreamKey::RetentionPoint(0), |key| match key {
            StreamKey::RetentionPoint(key) => Some(key),
            _ => None,
        });
        for (key, point) in rest(&self.retention_points, points) {
            put(StreamPart::RetentionPoint(*key, Some(point.clone())))?;
        }
        let least = StreamKey::Transaction(TransactionId(Uuid::nil()));
        let transactions = copied(last, &least, |key| match key {
            StreamKey::Transaction(id) => Some(id),
            _ => None,
        });
        for (id, transaction) in rest(self.transactions.by_id(), transactions) {
            put(StreamPart::Transaction(*id, Some(transaction.clone())))?;
        }
        ControlFlow::Continue(())
    }
}
