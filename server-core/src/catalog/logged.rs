//! Changes of the catalog for a log, and the present values of its entries for checkpoints.

use std::{mem, ops::ControlFlow};

use bytes::Bytes;

use super::{
    change::{Change, Part, ScopeRecord, StreamPart},
    encoded::CatalogLog,
    key::{EntryKey, PartKey, StreamKey},
    leaving::stream_of,
    names,
    state::{Catalog, Scope},
    stream::Stream,
};
use crate::{
    log::{Coverage, LogRecord},
    record::Record,
    state::{StateKey, TouchedKeys, encode},
};

impl Catalog {
    /// Encodes changes for a log from now on, after some streams and scopes have left.
    pub(crate) fn begin_log(&mut self, leavings: u64, touched: TouchedKeys) {
        self.log = Some(Box::new(CatalogLog { pending: Vec::new(), touched, leavings }));
    }

    /// Encodes no changes: what is applied is in the log.
    pub(crate) fn end_log(&mut self) {
        self.log = None;
    }

    /// Takes the records of changes since the last call.
    pub(crate) fn take_log(&mut self) -> Vec<LogRecord> {
        self.log.as_mut().map(|log| mem::take(&mut log.pending)).unwrap_or_default()
    }

    /// Takes the keys of the values that changed since they were taken last.
    pub(crate) fn take_touched(&mut self) -> TouchedKeys {
        self.log.as_mut().map(|log| log.touched.take()).unwrap_or_default()
    }

    /// Memory of those keys, in bytes.
    pub(crate) fn touched(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.touched.held())
    }

    /// Whether these are all of them.
    pub(crate) fn touched_coverage(&self) -> Coverage {
        self.log.as_ref().map_or(Coverage::Complete, |log| log.touched.coverage())
    }

    /// Returns true if a change was not taken yet.
    pub(crate) fn has_log(&self) -> bool {
        self.log.as_ref().is_some_and(|log| !log.pending.is_empty())
    }

    /// The number of streams and scopes that have left.
    pub(crate) fn leavings(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.leavings)
    }

    /// Notes the keys whose values a change is about to set or remove, and encodes it. An entry of
    /// an earlier version is encoded as what it sets, by [`log_older`](Self::log_older).
    pub(super) fn log(&mut self, change: &Change) {
        let Some(mut log) = self.log.take() else { return };
        let mut touch = |key: EntryKey| {
            log.touched.insert(StateKey::Catalog(key.path()));
        };
        match &change.part {
            Part::Scope(None) => self.each_key(&change.scope, None, &mut touch),
            Part::Stream(stream, StreamPart::State(None)) => {
                self.each_key(&change.scope, Some(stream), &mut touch);
            }
            Part::Leaving => {
                if !self.scopes.contains_key(&change.scope)
                    && let Some((scope, stream)) = stream_of(&change.scope)
                {
                    self.each_key(scope, Some(stream), &mut |key| {
                        touch(EntryKey { scope: change.scope.clone(), ..key.clone() });
                        touch(key);
                    });
                    touch(EntryKey { scope: change.scope.clone(), part: PartKey::Scope });
                }
                touch(change.key());
                log.leavings += 1;
                log.touched.insert(StateKey::Next);
            }
            Part::Floor(floor) => {
                let numbers =
                    self.scopes.get(&change.scope).map(|scope| scope.numbers.up_to(*floor));
                for stream in numbers.into_iter().flatten() {
                    touch(EntryKey { scope: change.scope.clone(), part: PartKey::Number(stream) });
                }
                touch(change.key());
            }
            Part::Stream(stream, StreamPart::Ends(ends)) => {
                for (segment, _) in ends {
                    let part = PartKey::Stream(stream.clone(), StreamKey::End(*segment));
                    touch(EntryKey { scope: change.scope.clone(), part });
                }
            }
            _ => touch(change.key()),
        }
        let leaving = matches!(change.part, Part::Leaving).then_some(log.leavings);
        log.push(change.record(), leaving);
        self.log = Some(log);
    }

    /// Encodes what an entry of an earlier version has set: the whole stream, or the numbers of a
    /// scope.
    pub(super) fn log_older(&mut self, scope: &str, stream: Option<&str>) {
        let Some(mut log) = self.log.take() else { return };
        if let Some(stream) = stream {
            let gone = Change::of_stream(scope, stream, StreamPart::State(None));
            log.push(gone.record(), None);
            log.touched.insert(StateKey::Catalog(gone.key().path()));
        }
        self.each_entry(scope, stream, &mut |change| {
            log.touched.insert(StateKey::Catalog(change.key().path()));
            log.push(change.record(), None);
        });
        self.log = Some(log);
    }

    fn each_key(&self, scope: &str, stream: Option<&str>, put: &mut dyn FnMut(EntryKey)) {
        self.each_entry(scope, stream, &mut |change| put(change.key()));
    }

    /// The entries of a scope, or of a stream in it.
    fn each_entry(&self, scope: &str, stream: Option<&str>, put: &mut dyn FnMut(Change)) {
        let leaves = self.leaving.get(scope).map(|leaving| &leaving.scope);
        let Some(found) = self.scopes.get(scope).or(leaves) else { return };
        let mut put = |change: Change| {
            put(change);
            ControlFlow::Continue(())
        };
        let all = match stream.map(|stream| (stream, found.streams.get(stream))) {
            None => found.entries(scope, leaves.is_some(), None, &mut put),
            Some((_, None)) => return,
            Some((stream, Some(entries))) => {
                entries.entries(None, &mut |part| put(Change::of_stream(scope, stream, part)))
            }
        };
        debug_assert!(all.is_continue(), "it was never told to break off");
    }

    /// The present value of an entry for a checkpoint; `None` if there is none.
    pub(crate) fn value(&self, path: &str) -> Option<Bytes> {
        let EntryKey { scope: name, part } = EntryKey::parse(path)?;
        let leaves = self.leaving.get(&name).map(|leaving| &leaving.scope);
        let scope = self.scopes.get(&name).or(leaves)?;
        let part = match part {
            PartKey::Scope if name == names::SYSTEM_SCOPE => return None,
            PartKey::Scope => Part::Scope(Some(ScopeRecord::default())),
            PartKey::Leaving => leaves.map(|_| Part::Leaving)?,
            part => scope.part(part)?,
        };
        self.encoded(&Change::new(&name, part)).map(|(_, value)| value)
    }

    /// The entries after one, or all, for a checkpoint. Returns false if `put` has enough.
    pub(crate) fn values(
        &self,
        after: Option<&str>,
        put: &mut dyn FnMut(StateKey, Bytes) -> bool,
    ) -> bool {
        let last = after.and_then(EntryKey::parse);
        let all = self.entries(last.as_ref(), &mut |change| {
            let Some((path, value)) = self.encoded(&change) else {
                return ControlFlow::Continue(());
            };
            match put(StateKey::Catalog(path), value) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        all.is_continue()
    }

    fn encoded(&self, change: &Change) -> Option<(String, Bytes)> {
        let Record::CatalogEntry { key, value } = change.record() else { return None };
        Some((key, encode(&(self.leavings(), value?))))
    }
}

impl Scope {
    /// The part with a key; `None` if there is none.
    fn part(&self, key: PartKey) -> Option<Part> {
        Some(match key {
            PartKey::Scope | PartKey::Leaving => return None,
            PartKey::Floor if self.numbers.floor == Default::default() => return None,
            PartKey::Floor => Part::Floor(self.numbers.floor),
            PartKey::Number(stream) => {
                let number = self.numbers.get(&stream)?;
                Part::Number(stream, Some(number))
            }
            PartKey::Table(name) => {
                let table = self.tables.get(&name)?.clone();
                Part::Table(name, Some(table))
            }
            PartKey::Group(name) => {
                let group = self.groups.get(&name)?.clone();
                Part::Group(name, Some(group))
            }
            PartKey::Stream(name, key) => {
                let part = self.streams.get(&name)?.part(key)?;
                Part::Stream(name, part)
            }
        })
    }
}

impl Stream {
    fn part(&self, key: StreamKey) -> Option<StreamPart> {
        Some(match key {
            StreamKey::State => StreamPart::State(Some(self.state.clone())),
            StreamKey::Epoch(number) => StreamPart::Epoch(number, self.history.difference(number)?),
            StreamKey::Head if self.head.is_empty() => return None,
            StreamKey::Head => StreamPart::Head(self.head.clone()),
            StreamKey::End(segment) => StreamPart::End(segment, *self.deleted_ends.get(&segment)?),
            StreamKey::Writer(name) => {
                let mark = self.writers.get(&name)?.clone();
                StreamPart::Writer(name, Some(mark))
            }
            StreamKey::Watermark => StreamPart::Watermark(self.watermark?),
            StreamKey::Subscriber(name) => {
                let subscriber = self.subscribers.get(&name)?.clone();
                StreamPart::Subscriber(name, Some(subscriber))
            }
            StreamKey::RetentionPoint(key) => {
                let point = self.retention_points.get(&key)?.clone();
                StreamPart::RetentionPoint(key, Some(point))
            }
            StreamKey::Transaction(id) => {
                StreamPart::Transaction(id, Some(self.transactions.get(id)?.clone()))
            }
        })
    }
}
