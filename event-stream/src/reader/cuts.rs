//! Checks of stream cuts before anything is read: that the stream has their segments, that these
//! cover the key space, and that a start is not after its end.

use std::collections::{BTreeMap, BTreeSet};

use pravega_sdk_controller_client::SegmentWithRange;
use pravega_sdk_segment_client::{
    context::SegmentContext, error::ReadError, read::machine::StartOffset, request::AskError,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, KeyRange, ScopedSegment, ScopedStream, SegmentId, SegmentOffset,
};
use pravega_sdk_wire_protocol::WireCommand;

use super::{
    coverage::{Coverage, Gap, Place, Reversed},
    epochs::segments_beside,
    machine::Start,
};

/// The segments of one stream that cuts name, and their parts of the key space.
pub(crate) struct Cuts<'a> {
    context: &'a SegmentContext,
    stream: &'a ScopedStream,
    ranges: BTreeMap<SegmentId, KeyRange>,
}

/// A cut that covers the key space, or that is empty: the tail of a sealed stream.
#[derive(Debug, Clone)]
pub(crate) struct CheckedCut {
    positions: BTreeMap<SegmentId, SegmentOffset>,
    coverage: Option<Coverage>,
}

/// Where a start comes from, which decides the error if it is after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartedBy {
    /// The caller named it.
    Caller,
    /// It is the head of the stream, which truncation moves.
    Head,
}

impl<'a> Cuts<'a> {
    pub(crate) fn new(context: &'a SegmentContext, stream: &'a ScopedStream) -> Self {
        Self { context, stream, ranges: BTreeMap::new() }
    }

    /// Checks a cut that a caller named.
    pub(crate) async fn check(&mut self, cut: &BoundedCut) -> Result<CheckedCut, ReadError> {
        check_stream(cut, self.stream)?;
        let positions: BTreeMap<SegmentId, SegmentOffset> = cut.positions().collect();
        if positions.is_empty() {
            self.check_sealed().await?;
            return Ok(CheckedCut { positions, coverage: None });
        }
        if !self.learn(positions.keys().copied()).await? {
            return Ok(CheckedCut { positions, coverage: None });
        }
        let coverage = self.coverage(&positions).map_err(|Gap { low, high }| {
            self.invalid(format_args!(
                "the stream cut holds no segment for a part of the key space, from {low} to {high}"
            ))
        })?;
        for id in coverage.passed() {
            self.check_passed(*id, positions.get(id).copied()).await?;
        }
        Ok(CheckedCut { positions, coverage: Some(coverage) })
    }

    /// Returns where reading begins at a cut.
    pub(crate) fn starts_of(&self, cut: &CheckedCut) -> Vec<Start> {
        let passed: Vec<(SegmentId, KeyRange)> = cut.coverage.as_ref().map_or(Vec::new(), |it| {
            let known = it.passed().iter().filter_map(|id| Some((*id, *self.ranges.get(id)?)));
            known.collect()
        });
        let start = |(id, position): (&SegmentId, &SegmentOffset)| {
            let range = self.ranges.get(id).copied();
            let is_before = |(before, of): &&(SegmentId, KeyRange)| {
                before < id && range.is_some_and(|range| range.overlaps(of))
            };
            let predecessors = passed.iter().filter(is_before).map(|(before, _)| *before).collect();
            Start { id: *id, from: StartOffset::claimed(*position), range, predecessors }
        };
        cut.positions.iter().map(start).collect()
    }

    /// Takes a position that the client itself has found.
    pub(crate) async fn trust(
        &mut self,
        positions: impl IntoIterator<Item = (SegmentId, SegmentOffset)>,
    ) -> Result<CheckedCut, ReadError> {
        let positions: BTreeMap<SegmentId, SegmentOffset> = positions.into_iter().collect();
        let is_known = self.learn(positions.keys().copied()).await?;
        let coverage = is_known.then(|| self.coverage(&positions).ok()).flatten();
        Ok(CheckedCut { positions, coverage })
    }

    /// Returns true if a segment shares no keys with any of others, as far as its keys are known.
    pub(crate) async fn is_beside(
        &mut self,
        id: SegmentId,
        others: impl IntoIterator<Item = SegmentId>,
    ) -> Result<bool, ReadError> {
        if !self.learn([id]).await? {
            return Ok(false);
        }
        let range = self.ranges.get(&id);
        let mut others = others.into_iter().filter_map(|other| self.ranges.get(&other));
        Ok(range.is_some_and(|range| !others.any(|other| range.overlaps(other))))
    }

    /// Checks that a start is not after an end.
    pub(crate) async fn check_order(
        &mut self,
        start: &CheckedCut,
        end: &CheckedCut,
        started_by: StartedBy,
    ) -> Result<(), ReadError> {
        if start.is_empty() && !end.is_empty() {
            return Err(self.tail_before());
        }
        let start = self.resolve(start, end).await?;
        let checked = match (&start.coverage, &end.coverage) {
            (Some(from), Some(to)) => from.check_order(to),
            _ => check_order_of_ids(&start.positions, &end.positions),
        };
        checked.map_err(|reversed| self.reversed(reversed, started_by))
    }

    /// The error of a start that holds no segment, as the tail of a sealed stream, before an end
    /// that does.
    pub(crate) fn tail_before(&self) -> ReadError {
        let detail = "the start is the tail of a sealed stream, which is after the end";
        ReadError::invalid(detail).with_stream(self.stream)
    }

    /// A start at the end of a segment is not after an end that has the segment's length: it gets
    /// that offset.
    async fn resolve(&self, start: &CheckedCut, end: &CheckedCut) -> Result<CheckedCut, ReadError> {
        let mut resolved = start.clone();
        for (id, position) in &mut resolved.positions {
            let Some(SegmentOffset::At(until)) = end.positions.get(id).copied() else { continue };
            if *position != SegmentOffset::End {
                continue;
            }
            let segment = ScopedSegment::new(self.stream, *id);
            *position = match self.context.inspect(&segment).await {
                Ok(info) => SegmentOffset::from_wire(info.write_offset),
                // Nothing of it can be read, whatever its length was.
                Err(error) if is_missing(&error) => until.into(),
                Err(error) => {
                    return Err(error.into_read(&segment, "the segment's length cannot be found"));
                }
            };
        }
        if resolved.positions != start.positions && start.coverage.is_some() {
            resolved.coverage = self.coverage(&resolved.positions).ok();
        }
        Ok(resolved)
    }

    /// Finds the key ranges of segments. Returns false if the caller may not ask for them.
    async fn learn(&mut self, ids: impl IntoIterator<Item = SegmentId>) -> Result<bool, ReadError> {
        let mut unknown: BTreeSet<SegmentId> = ids.into_iter().collect();
        if self.ranges.is_empty() {
            let current = self.current().await?;
            self.ranges.extend(current.into_iter().map(|segment| (segment.id, segment.range)));
        }
        unknown.retain(|id| !self.ranges.contains_key(id));
        // An epoch has the segments of earlier ones that were not replaced, so few calls are
        // needed for a cut.
        while let Some(newest) = unknown.last().copied() {
            let found = segments_beside(self.context, self.stream, newest).await;
            let segments = match found {
                Ok(segments) => segments,
                // The stream exists, but not the epoch.
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                // The controller demands more than the right to read.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(false),
                Err(error) => {
                    let detail = "the segments of a stream cut cannot be found";
                    return Err(ReadError::from_controller(error, detail, self.stream));
                }
            };
            for segment in segments {
                unknown.remove(&segment.id);
                self.ranges.insert(segment.id, segment.range);
            }
            if unknown.contains(&newest) {
                let detail = "the stream does not have this segment: the stream cut is one of an \
                              earlier stream of the same name, or is damaged";
                return Err(self.invalid(detail).with_segment(newest, None, 0));
            }
        }
        Ok(true)
    }

    /// Returns the segments that take events.
    async fn current(&self) -> Result<Vec<SegmentWithRange>, ReadError> {
        let current = self.context.controller().current_segments(self.stream).await;
        current.map_err(|error| {
            ReadError::from_controller(error, "the stream's segments cannot be found", self.stream)
        })
    }

    async fn check_sealed(&self) -> Result<(), ReadError> {
        let mut lag = self.context.lag();
        loop {
            let current = self.current().await?;
            let Some(first) = current.first() else { return Ok(()) };
            // If the store says that it is sealed, the answer may be older than the seal.
            if self.is_open(first.id).await? || !lag.wait().await {
                break;
            }
        }
        let detail = "the stream cut holds no segment, as the tail of a sealed stream, but the \
                      stream is not sealed";
        Err(self.invalid(detail))
    }

    /// Returns true if a segment takes appends.
    async fn is_open(&self, id: SegmentId) -> Result<bool, ReadError> {
        let segment = ScopedSegment::new(self.stream, id);
        match self.context.inspect(&segment).await {
            Ok(info) => Ok(!info.is_sealed),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error.into_read(&segment, "the segment cannot be inspected")),
        }
    }

    /// Checks that a segment was read to its end, as successors of it are in the cut.
    async fn check_passed(
        &self,
        id: SegmentId,
        position: Option<SegmentOffset>,
    ) -> Result<(), ReadError> {
        let Some(SegmentOffset::At(offset)) = position else { return Ok(()) };
        let segment = ScopedSegment::new(self.stream, id);
        match self.context.inspect(&segment).await {
            Ok(info) if info.is_sealed && offset.0 >= info.write_offset => Ok(()),
            Ok(_) => {
                let detail = "the stream cut holds successors of this segment, which is not at its \
                              end";
                Err(self.invalid(detail).with_offset(offset).with_segment(id, None, 0))
            }
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error.into_read(&segment, "the segment's length cannot be found")),
        }
    }

    fn coverage(&self, positions: &BTreeMap<SegmentId, SegmentOffset>) -> Result<Coverage, Gap> {
        let places = positions.iter().filter_map(|(id, offset)| {
            let range = *self.ranges.get(id)?;
            Some(Place { id: *id, range, offset: *offset })
        });
        Coverage::new(&places.collect::<Vec<_>>())
    }

    fn invalid(&self, detail: impl std::fmt::Display) -> ReadError {
        ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(self.stream)
    }

    fn reversed(&self, reversed: Reversed, started_by: StartedBy) -> ReadError {
        let Reversed { start, end } = reversed;
        let name = |offset: SegmentOffset| match offset {
            SegmentOffset::At(offset) => offset.to_string(),
            SegmentOffset::End => "the end of the segment".to_owned(),
        };
        let places = if start.0 == end.0 {
            format!("{}, is after the end, {}", name(start.1), name(end.1))
        } else {
            format!("in segment {}, is after the end, in segment {}", start.0, end.0)
        };
        let error = match started_by {
            StartedBy::Caller => ReadError::invalid(format_args!("the start, {places}")),
            StartedBy::Head => {
                let detail = format_args!("the stream was truncated: its head, {places}");
                ReadError::new(ErrorKind::Truncated, detail)
            }
        };
        error.with_stream(self.stream).with_segment(end.0, None, 0)
    }
}

/// Refuses a cut of another stream.
fn check_stream(cut: &BoundedCut, stream: &ScopedStream) -> Result<(), ReadError> {
    let other = cut.stream();
    if other == stream {
        return Ok(());
    }
    let detail = format_args!("the stream cut is one of {other}");
    Err(ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(stream))
}

/// Returns true if the segment that was asked for does not exist.
pub(crate) fn is_missing(error: &AskError) -> bool {
    matches!(error.reply(), Some(WireCommand::NoSuchSegment(_)))
}

/// The order of two cuts, as far as it follows from the ids: a later segment has a higher one.
fn check_order_of_ids(
    start: &BTreeMap<SegmentId, SegmentOffset>,
    end: &BTreeMap<SegmentId, SegmentOffset>,
) -> Result<(), Reversed> {
    let shared = start.iter().filter_map(|(id, from)| Some(((*id, *from), (*id, *end.get(id)?))));
    let ends = |cut: &BTreeMap<SegmentId, SegmentOffset>| {
        let entry = |(id, offset): (&SegmentId, &SegmentOffset)| (*id, *offset);
        [cut.first_key_value().map(entry), cut.last_key_value().map(entry)]
    };
    let outermost = ends(start).into_iter().zip(ends(end)).filter_map(|(a, b)| a.zip(b));
    let mut pairs = shared.chain(outermost);
    match pairs.find(|(from, to)| from > to) {
        Some((start, end)) => Err(Reversed { start, end }),
        None => Ok(()),
    }
}

impl CheckedCut {
    /// Returns true for the tail of a sealed stream.
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Returns true if it is known to have a segment for each key.
    pub(crate) fn is_whole(&self) -> bool {
        self.coverage.is_some()
    }

    /// Returns the position in each segment.
    pub(crate) fn positions(&self) -> &BTreeMap<SegmentId, SegmentOffset> {
        &self.positions
    }

    /// Returns the position in a segment, if the cut has one there.
    pub(crate) fn position(&self, id: SegmentId) -> Option<SegmentOffset> {
        self.positions.get(&id).copied()
    }

    /// Returns the segments in which reading ends: those without a successor in the cut.
    pub(crate) fn last(&self) -> impl Iterator<Item = (SegmentId, SegmentOffset)> + '_ {
        self.without(self.coverage.as_ref().map(Coverage::passed))
    }

    /// Returns the segments without a predecessor in the cut: one for each key.
    pub(crate) fn first(&self) -> impl Iterator<Item = (SegmentId, SegmentOffset)> + '_ {
        self.without(self.coverage.as_ref().map(Coverage::begun))
    }

    fn without<'a>(
        &'a self,
        left_out: Option<&'a BTreeSet<SegmentId>>,
    ) -> impl Iterator<Item = (SegmentId, SegmentOffset)> + 'a {
        let is_left_out = move |id: &SegmentId| left_out.is_some_and(|it| it.contains(id));
        let kept = self.positions.iter().filter(move |(id, _)| !is_left_out(id));
        kept.map(|(id, position)| (*id, *position))
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{Epoch, Offset, SegmentNumber};

    use super::*;

    #[test]
    fn without_ranges_the_ids_and_offsets_tell_most_of_the_order() {
        let id = |epoch, number| SegmentId::new(Epoch(epoch), SegmentNumber(number));
        let cut = |offsets: &[(SegmentId, i64)]| -> BTreeMap<SegmentId, SegmentOffset> {
            offsets.iter().map(|(id, offset)| (*id, Offset(*offset).into())).collect()
        };
        let first = cut(&[(id(0, 0), 10), (id(0, 1), 10)]);
        let later = cut(&[(id(0, 0), 10), (id(0, 1), 20)]);
        // Segment 1 is replaced by 2 and 3.
        let scaled = cut(&[(id(0, 0), 0), (id(1, 2), 0), (id(1, 3), 0)]);
        let far = cut(&[(id(2, 4), 0)]);
        for (start, end, is_ordered) in [
            (&first, &first, true),
            (&first, &later, true),
            (&later, &first, false),
            (&scaled, &first, false),
            (&first, &scaled, false),
            (&first, &far, true),
            (&scaled, &far, true),
            (&far, &scaled, false),
        ] {
            assert_eq!(check_order_of_ids(start, end).is_ok(), is_ordered, "{start:?} to {end:?}");
        }
    }
}
