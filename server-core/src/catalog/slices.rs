//! Long lists in slices, each short enough to be taken in one step.
//!
//! The lists are those that have no pages of their own in the controller's calls. The holder of a
//! slice asks for the next one with the place that came with it, so no list is ever copied whole.

use std::{
    cmp::Ordering,
    ops::{Bound, RangeInclusive},
};

use bytestring::ByteString;
use pravega_sdk_proto::{StreamConfig, StreamInfo};
use pravega_sdk_types::{Epoch, SegmentId};
use prost::Message;

use super::{
    history::{EpochRecord, History, SegmentRecord},
    names,
    state::{Catalog, Group},
    stream::Stream,
};
use crate::record::Millis;

/// The most entries that are visited for one slice.
const SLICE: usize = 256;
/// A slice of streams ends after configurations of this many bytes of tags.
const SLICE_BYTES: usize = 64 << 10;

/// The most streams of a group in one slice. Each slice decodes the names of the group again.
const GROUP_SLICE: usize = 1024;

/// The streams of a scope that are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFilter {
    /// Streams that users created.
    Own,
    /// Streams that Pravega created.
    Internal,
    /// Streams with a tag.
    Tagged(String),
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice<T, Place> {
    /// The entries, in the order of the list.
    pub items: Vec<T>,
    /// Where the next slice begins; `None` after the last one.
    pub next: Option<Place>,
}

/// The difference between an epoch of a stream and the one before it.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochChange {
    /// The epoch, if it is one of those that are listed. Epochs before them are only differences.
    pub begins: Option<EpochStart>,
    /// The segments that ended with the epoch before.
    pub sealed: Vec<SegmentId>,
    /// The segments that began with this epoch.
    pub created: Vec<EpochSegment>,
    /// When it began, in milliseconds since 1970.
    pub at: i64,
}

/// The begin of an epoch that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The number of segments of the epoch before that it splits; 0 for the first epoch that is
    /// listed.
    pub splits: usize,
    /// The number of its segments that merge others; 0 for the first epoch that is listed.
    pub merges: usize,
}

/// A segment that began with an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochSegment {
    /// The segment.
    pub id: SegmentId,
    /// The start of its key range.
    pub low: f64,
    /// The end of its key range.
    pub high: f64,
}

/// The names in the configuration of a reader group. Its cuts take many times their memory.
#[derive(Clone, PartialEq, Message)]
struct GroupNames {
    #[prost(string, tag = "8")]
    id: String,
    #[prost(message, repeated, tag = "9")]
    starting: Vec<CutNames>,
}

/// The name in a stream cut.
#[derive(Clone, PartialEq, Message)]
struct CutNames {
    #[prost(message, optional, tag = "1")]
    info: Option<StreamInfo>,
}

impl Catalog {
    /// The streams of a scope after a name, with their configurations; `None` if the scope does not
    /// exist.
    pub fn streams_after(
        &self,
        scope: &str,
        filter: &StreamFilter,
        after: &str,
    ) -> Option<Slice<(String, StreamConfig), String>> {
        let found = self.scopes.get(scope)?;
        let wanted = |name: &str, stream: &Stream| match filter {
            StreamFilter::Own => !names::is_internal(name),
            StreamFilter::Internal => names::is_internal(name),
            StreamFilter::Tagged(tag) => stream.has_tag(tag),
        };
        let (mut items, mut bytes) = (Vec::new(), 0);
        let rest = found.streams.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        for (visited, (name, stream)) in rest.enumerate() {
            if wanted(name, stream) {
                bytes += tag_bytes(stream.config());
                items.push((name.clone(), stream.config().clone()));
            }
            if visited + 1 == SLICE || bytes >= SLICE_BYTES {
                return Some(Slice { items, next: Some(name.clone()) });
            }
        }
        Some(Slice { items, next: None })
    }

    /// The reader groups of a scope after a name; `None` if the scope does not exist.
    pub fn groups_after(&self, scope: &str, after: &str) -> Option<Slice<String, String>> {
        let groups = &self.scopes.get(scope)?.groups;
        let rest = groups.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let items: Vec<String> = rest.take(SLICE).map(|(name, _)| name.clone()).collect();
        let next = if items.len() == SLICE { items.last().cloned() } else { None };
        Some(Slice { items, next })
    }

    /// The streams that a reader group reads, from an index on; `None` if the group does not exist.
    pub fn group_streams(
        &self,
        scope: &str,
        group: &str,
        from: usize,
    ) -> Option<Slice<String, usize>> {
        let names = names_of(self.group(scope, group)?);
        let name = |cut: &CutNames| {
            let info = cut.info.clone().unwrap_or_default();
            format!("{}/{}", info.scope, info.stream)
        };
        let items: Vec<String> =
            names.starting.iter().skip(from).take(GROUP_SLICE).map(name).collect();
        let end = from.saturating_add(items.len());
        Some(Slice { items, next: (end < names.starting.len()).then_some(end) })
    }

    /// The id of a reader group; `None` if the group does not exist.
    pub fn group_id(&self, scope: &str, group: &str) -> Option<String> {
        Some(names_of(self.group(scope, group)?).id)
    }

    /// The segment with the state of a reader group, which its readers share; `None` if the group
    /// has none.
    pub fn group_state(&self, scope: &str, group: &str) -> Option<ByteString> {
        let stream = names::group_stream(group);
        let open = self.stream(scope, &stream)?.active().first()?;
        Some(names::segment(scope, &stream, open.id))
    }

    /// The epochs of a stream, from a number on. Those are listed that began within a time, in
    /// milliseconds since 1970, and the one in which the time begins. `None` if the stream does not
    /// exist.
    pub fn epochs_within(
        &self,
        scope: &str,
        stream: &str,
        within: &RangeInclusive<i64>,
        from: Epoch,
    ) -> Option<Slice<EpochChange, Epoch>> {
        let history = &self.stream(scope, stream)?.history;
        let first = history.first_after(Millis(*within.start())).0.saturating_sub(1).max(0);
        let end = history.first_after(Millis(*within.end())).0;
        let (mut items, mut changes, mut next) = (Vec::new(), 0, from.0);
        while changes < SLICE && next < end {
            let Some(difference) = history.difference(Epoch(next)) else { break };
            // An epoch without a change makes progress, too.
            changes += (difference.sealed.len() + difference.created.len()).max(1);
            items.push(change(history, difference, next.cmp(&first)));
            next += 1;
        }
        Some(Slice { items, next: (next < end).then_some(Epoch(next)) })
    }
}

/// A difference as it is listed; `place` is that of its epoch beside the first one that is.
fn change(history: &History, difference: EpochRecord, place: Ordering) -> EpochChange {
    let EpochRecord { at, sealed, mut created, .. } = difference;
    let begins = match place {
        Ordering::Less => None,
        Ordering::Equal => Some(EpochStart { splits: 0, merges: 0 }),
        Ordering::Greater => {
            // A segment that stays is neither split nor merged.
            let mut ended: Vec<SegmentRecord> =
                sealed.iter().filter_map(|id| history.segment(*id)).collect();
            ended.sort_by(|a, b| a.low.total_cmp(&b.low));
            created.sort_by(|a, b| a.low.total_cmp(&b.low));
            let (splits, merges) = (divided(&ended, &created), divided(&created, &ended));
            Some(EpochStart { splits, merges })
        }
    };
    let shown = |SegmentRecord { id, low, high }: SegmentRecord| EpochSegment { id, low, high };
    EpochChange { begins, sealed, created: created.into_iter().map(shown).collect(), at: at.0 }
}

fn names_of(group: &Group) -> GroupNames {
    // It was encoded here, or checked when it was read back.
    GroupNames::decode(group.encoded()).unwrap_or_default()
}

/// The number of segments whose keys are divided among several of `parts`. Both lists are in the
/// order of their key ranges.
fn divided(segments: &[SegmentRecord], parts: &[SegmentRecord]) -> usize {
    let mut rest = parts;
    let is_divided = |segment: &&SegmentRecord| {
        let before = rest.iter().take_while(|part| part.high <= segment.low).count();
        rest = rest.get(before..).unwrap_or_default();
        rest.get(1).is_some_and(|second| second.overlaps(**segment))
    };
    segments.iter().filter(is_divided).count()
}

fn tag_bytes(config: &StreamConfig) -> usize {
    config.tags.as_ref().map_or(0, |tags| tags.tag.iter().map(String::len).sum())
}
