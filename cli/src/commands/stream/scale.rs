//! `pravega stream scale`

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use clap::Args;
use pravega_sdk::{
    controller_client::{Controller, ScaleStart, ScaleState, SegmentWithRange},
    types::{Epoch, ErrorKind, KeyRange, ScopedStream, SegmentId, check_cover},
};
use tokio::time::{Instant, sleep};

use super::show::segment_record;
use crate::{
    failure::{Failure, Result},
    output::Output,
    parse,
};

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ScaleHow {
    /// To this number of segments of equal ranges
    #[arg(long, value_name = "COUNT")]
    to: Option<NonZeroU32>,
    /// Splits one segment in two
    #[arg(long, value_name = "SEGMENT", value_parser = parse::segment_id)]
    split: Option<SegmentId>,
    /// Merges neighbours into one
    #[arg(long, value_name = "SEGMENT", value_parser = parse::segment_id, num_args = 2.., value_delimiter = ',')]
    merge: Vec<SegmentId>,
    /// Replaces the segments that own these ranges by segments that own just them: LOW-HIGH,
    /// comma-separated
    #[arg(long, value_name = "RANGE", value_parser = parse::key_range, value_delimiter = ',')]
    ranges: Vec<KeyRange>,
}

pub(super) async fn run(
    stream: &ScopedStream,
    how: &ScaleHow,
    no_wait: bool,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    let active = controller.current_segments(stream).await?;
    let (sealed, ranges) = plan(how, &active)?;
    let (epoch, segments) = start(stream, &sealed, &ranges, controller).await?;
    if !no_wait {
        wait(stream, epoch, controller).await?;
        output.status(format_args!("scaled stream {stream}"));
    }
    output.list(segments.iter().map(segment_record).collect())
}

/// Which segments go and which ranges come.
fn plan(how: &ScaleHow, active: &[SegmentWithRange]) -> Result<(Vec<SegmentId>, Vec<KeyRange>)> {
    let find = |id: &SegmentId| {
        let found = active.iter().find(|segment| segment.id == *id);
        found.ok_or_else(|| {
            Failure::usage(format_args!(
                "segment {id} is not active; see `pravega stream segments`"
            ))
        })
    };
    if let Some(count) = how.to {
        return Ok((
            active.iter().map(|segment| segment.id).collect(),
            KeyRange::FULL.split(count.get()),
        ));
    }
    if let Some(id) = &how.split {
        return Ok((vec![*id], find(id)?.range.split(2)));
    }
    if !how.merge.is_empty() {
        let ranges = how.merge.iter().map(|id| Ok(find(id)?.range)).collect::<Result<Vec<_>>>()?;
        return Ok((how.merge.clone(), vec![check_cover(&ranges).map_err(Failure::usage)?]));
    }
    let mut ranges = how.ranges.clone();
    ranges.sort_by(|a, b| a.low().total_cmp(&b.low()));
    let replaced =
        active.iter().filter(|segment| ranges.iter().any(|range| range.overlaps(&segment.range)));
    Ok((replaced.map(|segment| segment.id).collect(), ranges))
}

/// Has segments replaced by others; gives the epoch to ask about and the new segments.
pub(crate) async fn start(
    stream: &ScopedStream,
    sealed: &[SegmentId],
    ranges: &[KeyRange],
    controller: &Arc<dyn Controller>,
) -> Result<(Epoch, Vec<SegmentWithRange>)> {
    match controller.scale(stream, sealed, ranges).await? {
        ScaleStart::Started { epoch, segments } => Ok((epoch, segments)),
        ScaleStart::PreconditionFailed => Err(Failure::of_kind(
            ErrorKind::ConditionFailed,
            "the controller refused: the segments are not active any more, or too few would be left",
        )),
    }
}

/// Waits until a scale is done, for a minute at the most.
pub(crate) async fn wait(
    stream: &ScopedStream,
    epoch: Epoch,
    controller: &Arc<dyn Controller>,
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while controller.scale_state(stream, epoch).await? == ScaleState::InProgress {
        if Instant::now() > deadline {
            let late = format_args!("the scale of {stream} is not done after 60 s");
            let hint = format!("ask again: pravega stream scaling-state {stream} --epoch {epoch}");
            return Err(Failure::of_kind(ErrorKind::Timeout, late).with_hint(hint));
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
