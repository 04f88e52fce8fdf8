//! The entries of the catalog, in the order of their keys, from any key on.

use std::{
    collections::{BTreeMap, btree_map},
    ops::{Bound, ControlFlow},
};

use pravega_sdk_types::{SegmentNumber, TransactionId};
use uuid::Uuid;

use super::{
    change::{Change, Part, ScopeRecord, StreamPart},
    key::{EntryKey, PartKey, StreamKey},
    names,
    state::{Catalog, Scope},
    stream::Stream,
};
use crate::record::Record;

/// Takes entries, until it has enough.
type Put<'a> = &'a mut dyn FnMut(Change) -> ControlFlow<()>;

/// The entries of one kind that were taken.
enum Taken<'a, K> {
    Nothing,
    Until(&'a K),
    All,
}

/// What was taken of a kind whose least key is known, after the last key of all kinds.
fn taken<'a, P: Ord, K>(
    last: Option<&'a P>,
    least: &P,
    of_kind: impl Fn(&'a P) -> Option<&'a K>,
) -> Taken<'a, K> {
    match last {
        None => Taken::Nothing,
        Some(last) => match of_kind(last) {
            Some(key) => Taken::Until(key),
            None if last < least => Taken::Nothing,
            None => Taken::All,
        },
    }
}

/// The entries of a kind that were not taken.
fn rest<'m, K: Ord, V>(
    map: &'m BTreeMap<K, V>,
    taken: Taken<'_, K>,
) -> impl Iterator<Item = (&'m K, &'m V)> {
    let range: Option<btree_map::Range<'_, K, V>> = match taken {
        Taken::Nothing => Some(map.range::<K, _>(..)),
        Taken::Until(last) => Some(map.range::<K, _>((Bound::Excluded(last), Bound::Unbounded))),
        Taken::All => None,
    };
    range.into_iter().flatten()
}

impl Catalog {
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
            taken(last, &of_kind(String::new()), name)
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
        let writers = taken(last, &StreamKey::Writer(String::new()), |key| match key {
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
        let subscribers = taken(last, &StreamKey::Subscriber(String::new()), |key| match key {
            StreamKey::Subscriber(name) => Some(name),
            _ => None,
        });
        for (name, subscriber) in rest(&self.subscribers, subscribers) {
            put(StreamPart::Subscriber(name.clone(), Some(subscriber.clone())))?;
        }
        let points = taken(last, &StreamKey::RetentionPoint(0), |key| match key {
            StreamKey::RetentionPoint(key) => Some(key),
            _ => None,
        });
        for (key, point) in rest(&self.retention_points, points) {
            put(StreamPart::RetentionPoint(*key, Some(point.clone())))?;
        }
        let least = StreamKey::Transaction(TransactionId(Uuid::nil()));
        let transactions = taken(last, &least, |key| match key {
            StreamKey::Transaction(id) => Some(id),
            _ => None,
        });
        for (id, transaction) in rest(self.transactions.by_id(), transactions) {
            put(StreamPart::Transaction(*id, Some(transaction.clone())))?;
        }
        ControlFlow::Continue(())
    }
}
