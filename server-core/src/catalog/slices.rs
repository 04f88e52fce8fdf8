//! Long lists in slices, each short enough to be taken in one step.
//!
//! The lists are those that have no pages of their own in the controller's calls. The holder of a
//! slice asks for the next one with the place that came with it, so no list is ever copied whole.

use std::{
    ops::{Bound, RangeInclusive},
    sync::Arc,
};

use bytestring::ByteString;
use pravega_sdk_proto::{StreamConfig, StreamCut};
use pravega_sdk_types::Epoch;

use super::{
    history::{History, SegmentRecord},
    names,
    state::Catalog,
    stream::Stream,
};

/// The most entries that are visited for one slice.
const SLICE: usize = 256;
/// A slice of streams ends after configurations of this many bytes of tags.
const SLICE_BYTES: usize = 64 << 10;

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

/// A place in the history of a stream, with the segments of its epoch. Those of the next epoch are
/// found from them and from what it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochPlace {
    epoch: Epoch,
    segments: Arc<[SegmentRecord]>,
    /// The epoch with which it is compared; empty for the first one that is listed.
    before: Arc<[SegmentRecord]>,
    /// The number of its segments that were listed.
    listed: usize,
}

/// A part of an epoch of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochPart {
    /// The epoch, if its first segment is in this part.
    pub begins: Option<EpochStart>,
    /// The segments of this part, in the order of their key ranges.
    pub segments: Vec<EpochSegment>,
    /// True if no segment of the epoch follows.
    pub ends: bool,
}

/// The begin of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// When it began, in milliseconds since 1970.
    pub at: i64,
    /// The number of segments of the epoch before that it splits; 0 for the first epoch that is
    /// listed.
    pub splits: usize,
    /// The number of its segments that merge others; 0 for the first epoch that is listed.
    pub merges: usize,
}

/// A segment of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochSegment {
    /// The number of the segment.
    pub number: i32,
    /// The epoch in which it was created.
    pub epoch: i32,
    /// When it was created, in milliseconds since 1970.
    pub start: i64,
    /// The start of its key range.
    pub low: f64,
    /// The end of its key range.
    pub high: f64,
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
        let cuts = self.group(scope, group)?.config().starting_stream_cuts;
        let name = |cut: &StreamCut| {
            let info = cut.stream_info.clone().unwrap_or_default();
            format!("{}/{}", info.scope, info.stream)
        };
        let items: Vec<String> = cuts.iter().skip(from).take(SLICE).map(name).collect();
        let end = from.saturating_add(items.len());
        Some(Slice { items, next: (end < cuts.len()).then_some(end) })
    }

    /// The segment with the state of a reader group, which its readers share; `None` if the group
    /// has none.
    pub fn group_state(&self, scope: &str, group: &str) -> Option<ByteString> {
        let stream = names::group_stream(group);
        let open = self.stream(scope, &stream)?.active().first()?;
        Some(names::segment(scope, &stream, open.id))
    }

    /// The epochs of a stream within a time, in milliseconds since 1970, and the one that the time
    /// begins in; `None` if the stream does not exist. The first slice has no place.
    pub fn epochs_within(
        &self,
        scope: &str,
        stream: &str,
        within: &RangeInclusive<i64>,
        from: Option<EpochPlace>,
    ) -> Option<Slice<EpochPart, EpochPlace>> {
        let history = &self.stream(scope, stream)?.history;
        let (first, end) = history.epochs_until(within);
        let mut place = from.or_else(|| EpochPlace::first(history, first));
        let (mut items, mut left) = (Vec::new(), SLICE);
        while left > 0
            && let Some(listed) = place.take_if(|place| place.epoch < end)
        {
            let part = listed.part(history, left);
            // An epoch without segments makes progress, too.
            left = left.saturating_sub(part.segments.len().max(1));
            place = listed.after(history, &part);
            items.push(part);
        }
        Some(Slice { items, next: place.filter(|place| place.epoch < end) })
    }
}

impl EpochPlace {
    fn first(history: &History, epoch: Epoch) -> Option<Self> {
        let segments = history.segments_of(epoch)?.into();
        Some(Self { epoch, segments, before: Arc::default(), listed: 0 })
    }

    /// The place after a part of the epoch; `None` if no epoch follows.
    fn after(self, history: &History, part: &EpochPart) -> Option<Self> {
        if !part.ends {
            return Some(Self { listed: self.listed + part.segments.len(), ..self });
        }
        let epoch = Epoch(self.epoch.0 + 1);
        let segments = history.segments_after(epoch, &self.segments)?.into();
        Some(Self { epoch, segments, before: self.segments, listed: 0 })
    }

    /// A part of the epoch, of at most so many segments.
    fn part(&self, history: &History, most: usize) -> EpochPart {
        let (segments, before) = (&self.segments, &self.before);
        let at = history.began(self.epoch).unwrap_or_default();
        let begins = (self.listed == 0).then(|| EpochStart {
            at: at.0,
            splits: divided(before, segments),
            merges: if before.is_empty() { 0 } else { divided(segments, before) },
        });
        let shown = |segment: &SegmentRecord| EpochSegment {
            number: segment.number().0,
            epoch: segment.epoch_created().0,
            start: history.began(segment.epoch_created()).unwrap_or(at).0,
            low: segment.low,
            high: segment.high,
        };
        let shown: Vec<_> = segments.iter().skip(self.listed).take(most).map(shown).collect();
        let ends = self.listed + shown.len() >= segments.len();
        EpochPart { begins, segments: shown, ends }
    }
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
