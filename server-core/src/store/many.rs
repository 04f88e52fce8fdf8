//! Changes of many segments of a stream, made in slices.
//!
//! A call of the controller may change ten thousand segments. It commits one record, which counts
//! at once: its memory is reserved, and no request can tell it from a change that was made at once.
//! What it does to each segment is done in slices between which other clients are served, or before
//! a request that names the segment is handled, if that comes first.
//!
//! ```text
//! commit ──> reserved ──┬─ the next slice ────────────────────┬─> made, segment by segment
//!                       └─ a request that names the segment ──┘
//! ```

use bytestring::ByteString;

use super::{
    growth::growth_by_segment, requests::Progress, segment::change, state::Store, unmade::Due,
};
use crate::record::{Attributes, Each, Many, Record, Sequence};

/// The segments that one slice changes: a millisecond of work.
const SLICE: usize = 500;
/// A slice ends after merges of this many bytes.
const SLICE_BYTES: u64 = 4 << 20;

impl Store {
    /// The record of a change of one of many segments; `None` if it does not fit the segment.
    pub(super) fn one_of(&self, many: &Many, index: usize) -> Option<Record> {
        let (id, at) = (*many.ids.get(index)?, many.at);
        let segment = many.target(id);
        let found = self.exact(&segment);
        match &many.change {
            Each::Created { key_len, attributes } => found.is_none().then(|| {
                let (key_len, attributes) = (*key_len, attributes.clone());
                Record::Created { segment, key_len, attributes, at }
            }),
            Each::Attributed { attributes } => {
                let found = found.filter(|found| !found.sealed)?;
                let has = |(id, value): &(_, i64)| found.attribute(*id).unwrap_or(0) == *value;
                let differs = !attributes.iter().all(has);
                let attributes = attributes.clone();
                differs.then_some(Record::Attributed { segment, attributes })
            }
            Each::Sealed => {
                let found = found.filter(|found| !found.sealed);
                found.map(|_| Record::Sealed { segment, at })
            }
            Each::Truncated { offsets } => {
                let (found, offset) = (found?, *offsets.get(index)?);
                let is_within =
                    found.table().is_none() && offset > found.start() && offset <= found.len();
                is_within.then_some(Record::Truncated { segment, offset, at })
            }
            Each::Deleted => found.map(|_| Record::Deleted { segment }),
            Each::Merged => {
                let source = many.part(id)?;
                let (into, from) = (found?, self.exact(&source)?);
                let fits = !into.sealed && into.table().is_none() && from.table().is_none();
                let attributes = Attributes::new();
                fits.then_some(Record::Merged { target: segment, source, attributes, at })
            }
        }
    }

    /// Returns true if one of many segments exists.
    pub(super) fn has_any(&self, many: &Many) -> bool {
        many.ids.iter().any(|id| self.exact(&many.target(*id)).is_some())
    }

    /// The most memory that a change of many segments takes, in bytes.
    pub fn growth_by_many(&self, many: &Many) -> i64 {
        let all = 0..many.ids.len();
        match &many.change {
            // A segment that exists takes nothing; there is none, unless clients created it.
            Each::Created { attributes, .. } => {
                let names: usize = many.ids.iter().map(|id| many.target(*id).len()).sum();
                let each = growth_by_segment("", attributes);
                let count = i64::try_from(many.ids.len()).unwrap_or(i64::MAX);
                count.saturating_mul(each).saturating_add(change(0, names as u64))
            }
            Each::Attributed { .. } => all
                .filter_map(|index| self.one_of(many, index))
                .map(|record| self.growth(&record).max(0))
                .fold(0, i64::saturating_add),
            Each::Merged => many
                .ids
                .iter()
                .filter_map(|id| Some((many.target(*id), many.part(*id)?)))
                .map(|(target, source)| self.growth_by_merge(&target, [&*source]).max(0))
                .fold(0, i64::saturating_add),
            Each::Sealed | Each::Truncated { .. } | Each::Deleted => 0,
        }
    }

    /// Makes a change of many segments at once, as a journal that is read back has it.
    pub(super) fn make_all(&mut self, many: &Many, after: Sequence) {
        for index in 0..many.ids.len() {
            if let Some(record) = self.one_of(many, index) {
                self.apply(&record, after);
            }
        }
    }

    /// Begins a change of many segments, whose memory was checked.
    pub(super) fn begin(&mut self, many: Many, growth: i64, after: Sequence) {
        self.log_many(self.unmade.next_key(), &many);
        self.unmade.add(many, after, u64::try_from(growth).unwrap_or(0));
    }

    /// Returns true if each change of many segments is made.
    pub fn is_settled(&self) -> bool {
        self.unmade.is_empty()
    }

    /// Returns true if each change of many segments of a stream is made.
    pub fn is_stream_settled(&self, scope: &str, stream: &str) -> bool {
        self.is_settled() || self.is_settled_at(&format!("{scope}/{stream}"))
    }

    /// Returns true if each change of many segments of a stream, named with its scope, is made.
    pub(super) fn is_settled_at(&self, stream: &str) -> bool {
        !self.unmade.has(stream)
    }

    /// Returns true if each change of many segments of a scope is made.
    pub fn is_scope_settled(&self, scope: &str) -> bool {
        let is_of = |stream: &ByteString| {
            stream.strip_prefix(scope).is_some_and(|rest| rest.starts_with('/'))
        };
        !self.unmade.streams().any(is_of)
    }

    /// Makes the changes of a segment that are due, before a request that names it.
    pub(crate) fn settle(&mut self, segment: &str) {
        if !self.is_settled() {
            for due in self.unmade.due(segment) {
                self.make(&due);
            }
        }
    }

    fn slice(&self) -> usize {
        #[cfg(test)]
        if self.few.is_some() {
            return 1;
        }
        SLICE
    }

    /// Makes the next slice of the changes.
    pub fn settle_slice(&mut self) -> Progress {
        let (mut left, mut bytes) = (self.slice(), 0);
        while left > 0
            && bytes < SLICE_BYTES
            && let Some(due) = self.unmade.next()
        {
            left -= 1;
            bytes += self.make(&due);
        }
        if self.is_settled() { Progress::Finished } else { Progress::Unfinished }
    }

    /// Changes one of many segments; returns the number of bytes that were moved.
    fn make(&mut self, due: &Due) -> u64 {
        self.log_made(due.key, due.index);
        let Some(record) = self.one_of(&due.many, due.index) else { return 0 };
        let growth = self.growth(&record);
        self.unmade.give_back(due.key, u64::try_from(growth).unwrap_or(0));
        let moved = match &record {
            Record::Merged { source, .. } => {
                self.exact(source).map_or(0, |from| from.len() - from.start())
            }
            _ => 0,
        };
        self.apply(&record, due.after);
        moved
    }
}
