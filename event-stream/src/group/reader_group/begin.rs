//! What a group begins with: the checks of its configuration, and the segments of its streams.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupStream, Outcome, ReaderGroupConfiguration, ScopedSegment,
    ScopedStream, SegmentId, SegmentOffset, StreamCut, StreamPosition,
};

use super::error::ReaderGroupError;
use crate::{
    group::{beginning, state::GroupInit},
    reader::{
        Bounds, Cuts, ReadUntil, ReaderConfig, StartedBy, bounds_of, head_cut, is_missing,
        position_of,
    },
};

/// How many streams and segments are asked about at once.
const AT_ONCE: usize = 64;

type Result<T> = std::result::Result<T, ReaderGroupError>;

/// Finds where reading of a stream begins and ends, for the configuration of a group.
pub(super) async fn part_of(
    context: &SegmentContext,
    stream: &ScopedStream,
    from: StreamPosition,
    until: ReadUntil,
) -> Result<GroupStream> {
    let is_head = from == StreamPosition::Head;
    let config = ReaderConfig::default().with_start(from).with_end(until.clone());
    let Bounds { starts, ends } = bounds_of(context, stream, &config).await?;
    let refused =
        |error| ReaderGroupError::caused_by(error, "the place in the stream is none of a group");
    let from = if is_head {
        StreamCut::Unbounded
    } else {
        let starts = starts.iter().map(|start| (start.id, position_of(start.from)));
        let mut starts: Vec<(SegmentId, SegmentOffset)> = starts.collect();
        if starts.is_empty() {
            starts = final_segments(context, stream).await?;
        }
        BoundedCut::new(stream.clone(), starts).map_err(refused)?.into()
    };
    let to = match (until, ends) {
        (_, None) => StreamCut::Unbounded,
        (ReadUntil::Cut(cut), _) => cut.into(),
        (_, Some(ends)) => BoundedCut::new(stream.clone(), ends).map_err(refused)?.into(),
    };
    Ok(GroupStream { stream: stream.clone(), from, to })
}

/// Checks the streams and the cuts of a configuration, before anything is changed.
pub(super) async fn check(
    context: &SegmentContext,
    configuration: &ReaderGroupConfiguration,
) -> Result<()> {
    // Boxed, as the futures of all streams would be large.
    let checks = configuration.streams().iter().map(|entry| Box::pin(check_part(context, entry)));
    stream::iter(checks.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await
}

async fn check_part(context: &SegmentContext, entry: &GroupStream) -> Result<()> {
    let GroupStream { stream, from, to } = entry;
    let mut cuts = Cuts::new(context, stream);
    for cut in [from, to].into_iter().filter_map(StreamCut::bounded) {
        if cut.positions().len() == 0 {
            // The controller stores it as an unbounded one.
            let detail = "a stream cut without segments is no place of a group";
            let error = ReaderGroupError::new(
                ErrorKind::InvalidStreamCut,
                Outcome::NotApplied,
                format_args!("{detail}: {stream}"),
            );
            return Err(error);
        }
    }
    let (start, started_by) = match from {
        StreamCut::Unbounded => {
            let head = head_cut(context, stream).await?;
            (cuts.trust(head.positions()).await?, StartedBy::Head)
        }
        StreamCut::At(cut) => {
            let checked = cuts.check(cut).await?;
            check_tails(context, cut).await?;
            (checked, StartedBy::Caller)
        }
    };
    if let StreamCut::At(cut) = to {
        let end = cuts.check(cut).await?;
        cuts.check_order(&start, &end, started_by).await?;
    }
    Ok(())
}

/// Refuses a start after the end of a segment, from which no reader could read.
async fn check_tails(context: &SegmentContext, cut: &BoundedCut) -> Result<()> {
    let checks = cut.positions().map(|(id, offset)| {
        Box::pin(async move {
            let segment = ScopedSegment::new(cut.stream(), id);
            let Some(offset) = offset.offset() else { return Ok(()) };
            match context.inspect(&segment).await {
                Ok(info) if offset.0 <= info.write_offset => Ok(()),
                Ok(info) => {
                    let tail = info.write_offset;
                    let detail = format_args!(
                        "the start, {offset}, is after the end of segment {segment}, {tail}"
                    );
                    let kind = ErrorKind::InvalidStreamCut;
                    Err(ReaderGroupError::new(kind, Outcome::NotApplied, detail))
                }
                // It was truncated away; the group goes on with its successors.
                Err(error) if is_missing(&error) => Ok(()),
                Err(error) => {
                    Err(error.into_read(&segment, "the segment's length cannot be found").into())
                }
            }
        })
    });
    stream::iter(checks.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await
}

/// Finds the segments with which a group begins by its configuration.
pub(super) async fn init_of(
    context: &SegmentContext,
    configuration: &ReaderGroupConfiguration,
) -> Result<GroupInit> {
    let init = beginning::init_of(context, configuration).await?;
    if init.segments.is_empty() {
        let detail = "the streams of the group have no segments";
        return Err(ReaderGroupError::new(ErrorKind::NotFound, Outcome::NotApplied, detail));
    }
    Ok(init)
}

/// Returns the cut at the end of a stream that is sealed, with the segments that end there; none if
/// it is not sealed.
pub(super) async fn final_segments(
    context: &SegmentContext,
    stream: &ScopedStream,
) -> Result<Vec<(SegmentId, SegmentOffset)>> {
    let head = head_cut(context, stream).await?;
    let found = context.controller().final_segments_after(&head).await;
    let found = found.map_err(|error| {
        ReaderGroupError::caused_by(error, "the last segments of a stream cannot be found")
    })?;
    let ids = found.into_iter().flatten().map(|segment| (segment.id(), SegmentOffset::End));
    let all = Cuts::new(context, stream).trust(ids).await?;
    Ok(all.last().collect())
}

/// Completes a cut of a group by the segments that were read to their ends while a successor waits
/// for another one: without them it would have no segment for their keys, and a group that begins
/// at it would wait for them.
pub(super) async fn complete(context: &SegmentContext, cut: BoundedCut) -> Result<BoundedCut> {
    let stream = cut.stream().clone();
    let mut cuts = Cuts::new(context, &stream);
    let mut positions: Vec<(SegmentId, SegmentOffset)> = cut.positions().collect();
    if cuts.trust(positions.iter().copied()).await?.is_whole() {
        return Ok(cut);
    }
    let mut read = Vec::new();
    for (id, _) in &positions {
        let segment = ScopedSegment::new(&stream, *id);
        let successors = context.controller().successors(&segment).await.map_err(|error| {
            ReaderGroupError::caused_by(error, "the successors of a segment cannot be found")
        })?;
        read.extend(successors.into_iter().flat_map(|successor| successor.predecessors));
    }
    read.sort_unstable();
    read.dedup();
    for id in read {
        let is_known = positions.iter().any(|(known, _)| *known == id);
        // A segment that has not begun shares its keys with one before it, which is in the cut.
        if !is_known && cuts.is_beside(id, positions.iter().map(|(known, _)| *known)).await? {
            positions.push((id, SegmentOffset::End));
        }
    }
    let completed = BoundedCut::new(stream, positions);
    completed.map_err(|error| ReaderGroupError::caused_by(error, "the state has no cut"))
}

/// Returns the part of a cut with one segment for each key, between which the controller lists
/// segments.
pub(super) async fn edge(context: &SegmentContext, cut: &BoundedCut) -> Result<BoundedCut> {
    let stream = cut.stream().clone();
    let first =
        Cuts::new(context, &stream).trust(cut.positions()).await?.first().collect::<Vec<_>>();
    let edge = BoundedCut::new(stream, first);
    edge.map_err(|error| ReaderGroupError::caused_by(error, "the state has no cut"))
}
