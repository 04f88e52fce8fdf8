//! Positions in a stream: its head and tail, an event, or a time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use pravega_sdk_segment_client::{
    context::SegmentContext, error::ReadError, read::machine::StartOffset, request::AskError,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, EventPointer, Offset, ScopedSegment, ScopedStream, SegmentId,
    SegmentNumber, SegmentOffset, StreamPosition, Timestamp, Watermark,
};
use pravega_sdk_wire_protocol::{WireCommand, commands::StreamSegmentInfo, event};

use super::ReadUntil;

/// How many segments are asked at once.
const AT_ONCE: usize = 256;

/// Where each segment begins in which reading begins.
pub(super) async fn starts_of(
    context: &SegmentContext,
    stream: &ScopedStream,
    start: &StreamPosition,
) -> Result<Vec<(SegmentId, StartOffset)>, ReadError> {
    match start {
        StreamPosition::Head => Ok(known(&head_cut(context, stream).await?)),
        StreamPosition::Tail => Ok(known(&tail_cut(context, stream).await?)),
        StreamPosition::Cut(cut) => {
            check_stream(cut, stream)?;
            if cut.positions().len() == 0 {
                return Err(ReadError::new(
                    ErrorKind::InvalidStreamCut,
                    "the stream cut holds no segment",
                )
                .with_stream(stream));
            }
            Ok(cut.positions().map(|(id, offset)| (id, StartOffset::claimed(offset))).collect())
        }
        StreamPosition::Event(pointer) => starts_at_event(context, stream, pointer).await,
        StreamPosition::Time(time) => starts_at_time(context, stream, *time).await,
        other => {
            let detail = format_args!("readers cannot start at {other}");
            Err(ReadError::invalid(detail).with_stream(stream))
        }
    }
}

/// The end of each segment in which reading ends; `None` if there is no end.
pub(super) async fn ends_of(
    context: &SegmentContext,
    stream: &ScopedStream,
    end: &ReadUntil,
    starts: &[(SegmentId, StartOffset)],
) -> Result<Option<BTreeMap<SegmentId, i64>>, ReadError> {
    let cut = match end {
        ReadUntil::Sealed => return Ok(None),
        ReadUntil::Tail => {
            let tail = tail_cut(context, stream).await?;
            // A sealed stream has no tail; it ends by itself.
            return Ok(Some(offsets(&tail)).filter(|ends| !ends.is_empty()));
        }
        ReadUntil::Cut(cut) => cut,
    };
    check_stream(cut, stream)?;
    let ends = offsets(cut);
    for (id, from) in starts {
        let start = match *from {
            StartOffset::Known(start) | StartOffset::Claimed(start) => start.0,
            StartOffset::Tail => -1,
        };
        if let Some(&end) = ends.get(id)
            && (end >= 0 && (start < 0 || start > end))
        {
            let detail = format_args!("the start, {start}, is after the end, {end}");
            return Err(ReadError::invalid(detail).with_stream(stream).with_segment(*id, None, 0));
        }
    }
    // Every segment of the end is one of the start, or comes after one of them.
    let (lowest_start, lowest_end) =
        (starts.iter().map(|(id, _)| *id).min(), ends.keys().copied().min());
    if let (Some(start), Some(end)) = (lowest_start, lowest_end)
        && end < start
    {
        let detail = format_args!("the end is before the start, which begins with segment {start}");
        return Err(ReadError::invalid(detail).with_stream(stream).with_segment(end, None, 0));
    }
    Ok(Some(ends))
}

/// Refuses a cut of another stream.
pub(crate) fn check_stream(cut: &BoundedCut, stream: &ScopedStream) -> Result<(), ReadError> {
    if cut.stream() == stream {
        return Ok(());
    }
    let detail = format_args!("the stream cut is one of {}", cut.stream());
    Err(ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(stream))
}

fn known(cut: &BoundedCut) -> Vec<(SegmentId, StartOffset)> {
    let start = |offset: SegmentOffset| StartOffset::Known(Offset(offset.to_wire().max(0)));
    cut.positions().map(|(id, offset)| (id, start(offset))).collect()
}

fn offsets(cut: &BoundedCut) -> BTreeMap<SegmentId, i64> {
    cut.positions().map(|(id, offset)| (id, offset.to_wire())).collect()
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
pub(crate) async fn tail_cut(
    context: &SegmentContext,
    stream: &ScopedStream,
) -> Result<BoundedCut, ReadError> {
    let active = context.controller().current_segments(stream).await;
    let active = active.map_err(|error| {
        ReadError::from_controller(error, "the stream's segments cannot be found", stream)
    })?;
    let tails = segment_tails(context, stream, active.iter().map(|segment| segment.id)).await?;
    make_cut(stream, tails.into_iter().map(|(id, info)| (id, Offset(info.write_offset))))
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
    if segment.scoped_stream() != *stream {
        let detail = format_args!("the event is one of {}", segment.scoped_stream());
        return Err(ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(stream));
    }
    let all = context.controller().epoch_segments(stream, segment.id().epoch()).await;
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
            Err(error) if matches!(error.reply(), Some(WireCommand::NoSuchSegment(_))) => {
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
) -> Result<Vec<(SegmentId, StartOffset)>, ReadError> {
    let head = head_cut(context, stream).await?;
    let mark =
        watermarks(context, stream).await?.into_iter().rfind(|mark| mark.upper_time() <= time);
    if let Some(mark) = mark {
        // Truncated parts are left out without an error: the caller did not name them.
        let marked: BTreeMap<SegmentId, i64> =
            mark.positions().map(|(id, offset)| (id, offset.to_wire())).collect();
        let lowest = head.positions().map(|(id, _)| id).min();
        if marked.keys().min() >= lowest.as_ref() {
            let starts = marked.iter().map(|(id, offset)| {
                let head = head.offset(*id).map_or(0, SegmentOffset::to_wire);
                let start = match *offset {
                    ..0 => StartOffset::Tail,
                    offset => StartOffset::Claimed(Offset(offset.max(head))),
                };
                (*id, start)
            });
            return Ok(starts.collect());
        }
    }
    let mut ahead: BTreeMap<SegmentId, i64> =
        head.positions().map(|(id, offset)| (id, offset.to_wire())).collect();
    let (mut starts, mut passed) = (Vec::new(), BTreeSet::new());
    while let Some((id, offset)) = ahead.pop_first() {
        let segment = ScopedSegment::new(stream, id);
        let info = context
            .inspect(&segment)
            .await
            .map_err(|error| error.into_read(&segment, "its age cannot be found"))?;
        if !info.is_sealed || info.last_modified >= time.as_millis() {
            starts.push((id, StartOffset::Known(Offset(offset))));
            continue;
        }
        let successors = context.controller().successors(&segment).await;
        let successors = successors.map_err(|error| {
            ReadError::from_controller(error, "its successors cannot be found", stream)
        })?;
        passed.insert(id);
        for successor in &successors {
            if successor.predecessors.iter().all(|before| passed.contains(before)) {
                ahead.entry(successor.id).or_insert(0);
            }
        }
        if !successors.iter().all(|successor| ahead.contains_key(&successor.id)) {
            // One of them waits for another segment that must be read, so this one stays in the
            // cut, at its end.
            starts.push((id, StartOffset::Tail));
        }
    }
    Ok(starts)
}

/// All watermarks of a stream, in the order in which they were made.
async fn watermarks(
    context: &SegmentContext,
    stream: &ScopedStream,
) -> Result<Vec<Watermark>, ReadError> {
    let segment =
        ScopedSegment::new(&stream.watermark_stream(), SegmentId::new(0.into(), SegmentNumber(0)));
    let unreadable =
        |error: AskError| error.into_read(&segment, "the stream's watermarks cannot be read");
    let info = match context.inspect(&segment).await {
        Ok(info) => info,
        // Streams of older servers have no watermarks.
        Err(error) if matches!(error.reply(), Some(WireCommand::NoSuchSegment(_))) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = BytesMut::new();
    let mut offset = info.start_offset;
    while offset < info.write_offset {
        let data =
            context.read_some(&segment, offset, info.write_offset).await.map_err(unreadable)?;
        offset += data.len() as i64;
        bytes.extend_from_slice(&data);
    }
    let corrupt = |error: &dyn std::fmt::Display| {
        let detail =
            format_args!("an entry of the stream's watermarks is not a watermark: {error}");
        ReadError::new(ErrorKind::Corrupt, detail).with_stream(stream)
    };
    let mut marks = Vec::new();
    while let Some(mark) = event::take(&mut bytes, 1 << 20).map_err(|error| corrupt(&error))? {
        marks.push(Watermark::from_bytes(&mark).map_err(|error| corrupt(&error))?);
    }
    Ok(marks)
}
