//! Positions in a stream: its head and tail, an event, or a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_segment_client::{
    context::SegmentContext, error::ReadError, read::machine::StartOffset, seeded_bugs::SeededBug,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, EventPointer, Offset, ScopedSegment, ScopedStream, SegmentId,
    SegmentOffset, StreamPosition, Timestamp,
};
use pravega_sdk_wire_protocol::commands::StreamSegmentInfo;

use super::{
    config::{ReadUntil, ReaderConfig},
    cuts::{Cuts, StartedBy, is_missing},
    epochs::{may_come, segments_beside},
    machine::{Bounds, Ends, Start},
};
use crate::time_window::newest_mark;

/// How many segments are asked at once.
const AT_ONCE: usize = 256;

/// Finds where a reader begins and ends, and refuses cuts that it cannot read between.
pub(crate) async fn bounds_of(
    context: &SegmentContext,
    stream: &ScopedStream,
    config: &ReaderConfig,
) -> Result<Bounds, ReadError> {
    let mut cuts = Cuts::new(context, stream);
    if config.bugs.has(SeededBug::TrustsCuts) {
        return trusted_bounds(context, stream, config).await;
    }
    let refuses = |cut: &BoundedCut| {
        config.bugs.has(SeededBug::RefusesEmptyCuts) && cut.positions().len() == 0
    };
    if matches!(&config.start, StreamPosition::Cut(cut) if refuses(cut))
        || matches!(&config.end, ReadUntil::Cut(cut) if refuses(cut))
    {
        let detail = "the stream cut names no segment";
        return Err(ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(stream));
    }
    let start = match &config.start {
        StreamPosition::Cut(cut) => Some(cuts.check(cut).await?),
        _ => None,
    };
    let starts = match &start {
        Some(start) => cuts.starts_of(start),
        None => starts_of(context, stream, config).await?,
    };
    let end = match &config.end {
        ReadUntil::Sealed => return Ok(Bounds { starts, ends: None }),
        ReadUntil::Tail => {
            let tail: Ends = tail_cut(context, stream).await?.positions().collect();
            // A sealed stream has no tail; it ends by itself.
            return Ok(Bounds { starts, ends: Some(tail).filter(|ends| !ends.is_empty()) });
        }
        ReadUntil::Cut(cut) => cuts.check(cut).await?,
    };
    if end.is_empty() {
        return Ok(Bounds { starts, ends: None });
    }
    let start = match start {
        Some(start) => start,
        None => cuts.trust(starts.iter().map(|start| (start.id, position_of(start.from)))).await?,
    };
    let started_by = match config.start {
        StreamPosition::Head => StartedBy::Head,
        _ => StartedBy::Caller,
    };
    cuts.check_order(&start, &end, started_by).await?;
    Ok(Bounds { starts, ends: Some(end.last().collect()) })
}

/// As [`bounds_of`], without a check.
async fn trusted_bounds(
    context: &SegmentContext,
    stream: &ScopedStream,
    config: &ReaderConfig,
) -> Result<Bounds, ReadError> {
    let starts = match &config.start {
        StreamPosition::Cut(cut) => {
            cut.positions().map(|(id, at)| Start::new(id, StartOffset::claimed(at))).collect()
        }
        _ => starts_of(context, stream, config).await?,
    };
    let ends = match &config.end {
        ReadUntil::Sealed => None,
        ReadUntil::Tail => Some(tail_cut(context, stream).await?.positions().collect()),
        ReadUntil::Cut(cut) => Some(cut.positions().collect()),
    };
    Ok(Bounds { starts, ends })
}

/// Where each segment begins in which reading begins, unless a cut says it.
async fn starts_of(
    context: &SegmentContext,
    stream: &ScopedStream,
    config: &ReaderConfig,
) -> Result<Vec<Start>, ReadError> {
    let starts = match &config.start {
        StreamPosition::Head => known(&head_cut(context, stream).await?),
        StreamPosition::Tail => known(&tail_cut(context, stream).await?),
        StreamPosition::Event(pointer) => starts_at_event(context, stream, pointer).await?,
        StreamPosition::Time(time) => {
            starts_at_time(context, stream, *time, config.stall_timeout).await?
        }
        other => {
            let detail = format_args!("readers cannot start at {other}");
            return Err(ReadError::invalid(detail).with_stream(stream));
        }
    };
    Ok(starts.into_iter().map(|(id, from)| Start::new(id, from)).collect())
}

/// The start at a position of a cut that the client itself has found.
fn known(cut: &BoundedCut) -> Vec<(SegmentId, StartOffset)> {
    let start = |position| match position {
        SegmentOffset::At(offset) => StartOffset::Known(offset),
        SegmentOffset::End => StartOffset::Tail,
    };
    cut.positions().map(|(id, position)| (id, start(position))).collect()
}

/// Returns how far a segment is read before a start in it.
pub(crate) fn position_of(start: StartOffset) -> SegmentOffset {
    match start {
        StartOffset::Known(offset) | StartOffset::Claimed(offset) => offset.into(),
        StartOffset::Tail => SegmentOffset::End,
    }
}

/// Explains why a segment does not exist: one that has successors was truncated away, another one
/// was deleted with its stream.
pub(crate) async fn explain_missing(context: &SegmentContext, error: ReadError) -> ReadError {
    let (Some(stream), Some(id)) = (error.stream().cloned(), error.segment()) else {
        return error;
    };
    match has_successors(context, &stream, id).await {
        Ok(true) => error.with_kind(ErrorKind::Truncated),
        Ok(false) => error,
        Err(unknown) if unknown.kind() == ErrorKind::NotFound => error,
        Err(unknown) => {
            let detail = "a segment is missing, and the reason cannot be found";
            ReadError::from_controller(unknown, detail, &stream).with_segment(id, None, 0)
        }
    }
}

/// Returns true if a segment that its store does not have has successors. A controller that names
/// none is asked again for as long as an instance of it may lag.
async fn has_successors(
    context: &SegmentContext,
    stream: &ScopedStream,
    id: SegmentId,
) -> Result<bool, ControllerError> {
    let mut lag = context.lag();
    loop {
        let segment = ScopedSegment::new(stream, id);
        if !context.controller().successors(&segment).await?.is_empty() {
            return Ok(true);
        }
        if !may_come(context, stream, id).await? || !lag.wait().await {
            return Ok(false);
        }
    }
}

/// The head of a stream.
pub(crate) async fn head_cut(
    context: &SegmentContext,
    stream: &ScopedStream,
) -> Result<BoundedCut, ReadError> {
    let head = context.controller().head_segments(stream).await;
    let head = head.map_err(|error| {
        ReadError::from_controller(error, "the stream's head cannot be found", stream)
    })?;
    make_cut(stream, head)
}

/// The tail of a stream; empty if that is sealed.
///
/// A segment that the controller names and that its store has sealed, or does not have, is about to
/// be replaced, or was: the next answer of the controller knows its successors.
pub(crate) async fn tail_cut(
    context: &SegmentContext,
    stream: &ScopedStream,
) -> Result<BoundedCut, ReadError> {
    let mut lag = context.lag();
    loop {
        let active = context.controller().current_segments(stream).await;
        let active = active.map_err(|error| {
            ReadError::from_controller(error, "the stream's segments cannot be found", stream)
        })?;
        let ids = active.iter().map(|segment| segment.id);
        let tails = segment_tails(context, stream, ids).await;
        let is_old = match &tails {
            Ok(tails) => tails.iter().any(|(_, info)| info.is_sealed),
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if is_old && lag.wait().await {
            continue;
        }
        let tails = tails?.into_iter().map(|(id, info)| (id, Offset(info.write_offset)));
        return make_cut(stream, tails);
    }
}

pub(crate) fn make_cut(
    stream: &ScopedStream,
    positions: impl IntoIterator<Item = (SegmentId, Offset)>,
) -> Result<BoundedCut, ReadError> {
    let positions =
        positions.into_iter().map(|(id, offset)| (id, SegmentOffset::from_wire(offset.0)));
    BoundedCut::new(stream.clone(), positions).map_err(|error| {
        ReadError::new(ErrorKind::Protocol, format_args!("the controller's answer: {error}"))
            .with_stream(stream)
    })
}

/// Asks segments how long they are, many at once.
pub(crate) async fn segment_tails(
    context: &SegmentContext,
    stream: &ScopedStream,
    segments: impl IntoIterator<Item = SegmentId>,
) -> Result<Vec<(SegmentId, StreamSegmentInfo)>, ReadError> {
    let mut asking: Vec<BoxFuture<'static, Result<_, ReadError>>> = Vec::new();
    for id in segments {
        let (context, segment) = (context.clone(), ScopedSegment::new(stream, id));
        asking.push(Box::pin(async move {
            let info = context.inspect(&segment).await;
            let info = info.map_err(|error| {
                error.into_read(&segment, "the segment's length cannot be found")
            })?;
            Ok((id, info))
        }));
    }
    stream::iter(asking).buffered(AT_ONCE).try_collect().await
}

async fn starts_at_event(
    context: &SegmentContext,
    stream: &ScopedStream,
    pointer: &EventPointer,
) -> Result<Vec<(SegmentId, StartOffset)>, ReadError> {
    let segment = pointer.segment();
    let other = segment.scoped_stream();
    if other != *stream {
        let detail = format_args!("the event is one of {other}");
        return Err(ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(stream));
    }
    let all = segments_beside(context, stream, segment.id()).await;
    let all = all.map_err(|error| {
        ReadError::from_controller(error, "the segments of the epoch cannot be found", stream)
    })?;
    if !all.iter().any(|other| other.id == segment.id()) {
        let error = ReadError::new(ErrorKind::NotFound, "there is no such segment");
        return Err(error.with_stream(stream).with_segment(segment.id(), None, 0));
    }
    let mut starts = vec![(segment.id(), StartOffset::Claimed(pointer.offset()))];
    for other in all.iter().map(|other| other.id).filter(|id| *id != segment.id()) {
        let name = ScopedSegment::new(stream, other);
        match context.inspect(&name).await {
            Ok(info) => starts.push((other, StartOffset::Known(Offset(info.start_offset)))),
            // Truncated: its successors follow.
            Err(error) if is_missing(&error) => {
                starts.push((other, StartOffset::Known(Offset(0))));
            }
            Err(error) => return Err(error.into_read(&name, "the segment's head cannot be found")),
        }
    }
    Ok(starts)
}

/// The newest watermark that is not after the time decides; otherwise segments that ended before it
/// are left out.
async fn starts_at_time(
    context: &SegmentContext,
    stream: &ScopedStream,
    time: Timestamp,
    limit: Duration,
) -> Result<Vec<(SegmentId, StartOffset)>, ReadError> {
    let head = head_cut(context, stream).await?;
    if let Some(mark) = newest_mark(context, stream, time, limit).await? {
        // Truncated parts are left out without an error: the caller did not name them.
        let marked: BTreeMap<SegmentId, SegmentOffset> = mark.positions().collect();
        let lowest = head.positions().map(|(id, _)| id).min();
        if marked.keys().min() >= lowest.as_ref() {
            let starts = marked.iter().map(|(id, offset)| {
                let offset = head.offset(*id).map_or(*offset, |head| head.max(*offset));
                (*id, StartOffset::claimed(offset))
            });
            return Ok(starts.collect());
        }
    }
    let mut ahead: BTreeMap<SegmentId, StartOffset> = known(&head).into_iter().collect();
    let (mut starts, mut passed) = (Vec::new(), BTreeSet::new());
    while let Some((id, offset)) = ahead.pop_first() {
        let segment = ScopedSegment::new(stream, id);
        let info = match context.inspect(&segment).await {
            Ok(info) => Some(info),
            // It was truncated away since.
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(error.into_read(&segment, "its age cannot be found")),
        };
        if info.is_some_and(|it| !it.is_sealed || it.last_modified >= time.as_millis()) {
            starts.push((id, offset));
            continue;
        }
        let successors = context.controller().successors(&segment).await;
        let successors = successors.map_err(|error| {
            ReadError::from_controller(error, "its successors cannot be found", stream)
        })?;
        passed.insert(id);
        for successor in &successors {
            if successor.predecessors.iter().all(|before| passed.contains(before)) {
                ahead.entry(successor.id).or_insert(StartOffset::Known(Offset(0)));
            }
        }
        let is_followed = successors.iter().all(|successor| ahead.contains_key(&successor.id));
        if successors.is_empty() || !is_followed {
            // One of them waits for another segment that must be read, or is not known yet, so this
            // one stays in the cut, at its end.
            starts.push((id, StartOffset::Tail));
        }
    }
    Ok(starts)
}
