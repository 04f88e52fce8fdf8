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
pub(crate) struct ScaleTarget {
    /// Scale to this number of segments of equal ranges
    #[arg(long, value_name = "COUNT", value_parser = parse::count)]
    to: Option<NonZeroU32>,
    /// Split one segment in two
    #[arg(long, value_name = "SEGMENT", value_parser = parse::segment_id)]
    split: Option<SegmentId>,
    /// Merge adjacent segments into one: two or more, after spaces or commas
    #[arg(
        long,
        value_name = "SEGMENT",
        value_parser = parse::segment_id,
        num_args = 1..,
        value_delimiter = ','
    )]
    merge: Vec<SegmentId>,
    /// Replace the segments that own these key ranges with one segment per range: LOW-HIGH,
    /// comma-separated
    #[arg(long, value_name = "RANGE", value_parser = parse::key_range, value_delimiter = ',')]
    ranges: Vec<KeyRange>,
}

pub(super) async fn run(
    stream: &ScopedStream,
    target: &ScaleTarget,
    no_wait: bool,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    let active = controller.current_segments(stream).await?;
    let (sealed, ranges) = plan(target, &active)?;
    let (epoch, segments) = start(stream, &sealed, &ranges, controller).await?;
    if !no_wait {
        wait(stream, epoch, controller).await?;
        output.status(format_args!("scaled stream {stream}"));
    }
    output.list(segments.iter().map(segment_record).collect())
}

/// The segments to seal, and the key ranges of the new ones.
fn plan(
    target: &ScaleTarget,
    active: &[SegmentWithRange],
) -> Result<(Vec<SegmentId>, Vec<KeyRange>)> {
    let find = |id: &SegmentId| {
        let found = active.iter().find(|segment| segment.id == *id);
        found.ok_or_else(|| {
            Failure::usage(format_args!(
                "segment {id} is not active; see `pravega stream segments`"
            ))
        })
    };
    if let Some(count) = target.to {
        return Ok((
            active.iter().map(|segment| segment.id).collect(),
            KeyRange::FULL.split(count.get()),
        ));
    }
    if let Some(id) = &target.split {
        return Ok((vec![*id], find(id)?.range.split(2)));
    }
    if target.merge.len() == 1 {
        return Err(Failure::usage("merging takes two segments or more"));
    }
    if !target.merge.is_empty() {
        let ranges =
            target.merge.iter().map(|id| Ok(find(id)?.range)).collect::<Result<Vec<_>>>()?;
        return Ok((target.merge.clone(), vec![check_cover(&ranges).map_err(Failure::usage)?]));
    }
    let mut ranges = target.ranges.clone();
    ranges.sort_by(|a, b| a.low().total_cmp(&b.low()));
    let replaced =
        active.iter().filter(|segment| ranges.iter().any(|range| range.overlaps(&segment.range)));
    Ok((replaced.map(|segment| segment.id).collect(), ranges))
}

/// Starts to replace segments. Returns the epoch to ask [`wait`] about, and the new segments.
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
            "the controller refused: a segment is no longer active, \
             or too few segments would remain",
        )),
    }
}

/// Waits until a scaling is done, at most one minute.
pub(crate) async fn wait(
    stream: &ScopedStream,
    epoch: Epoch,
    controller: &Arc<dyn Controller>,
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while controller.scale_state(stream, epoch).await? == ScaleState::InProgress {
        if Instant::now() > deadline {
            let late = format_args!("scaling {stream} is not done after 60 s");
            let hint =
                format!("check again with: pravega stream scaling-state {stream} --epoch {epoch}");
            return Err(Failure::of_kind(ErrorKind::Timeout, late).with_hint(hint));
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        target: ScaleTarget,
    }

    /// Plans for a stream of four segments of equal ranges.
    fn plan_of(arguments: &[&str]) -> Result<(Vec<SegmentId>, Vec<KeyRange>)> {
        let active: Vec<SegmentWithRange> = (0..)
            .zip(KeyRange::equal(4))
            .map(|(id, range)| SegmentWithRange::new(SegmentId::from(id), range))
            .collect();
        let target = Tool::try_parse_from([&["tool"], arguments].concat()).unwrap().target;
        plan(&target, &active)
    }

    #[track_caller]
    fn check(arguments: &[&str], sealed: &[i64], ranges: &[(f64, f64)]) {
        let (found_sealed, found_ranges) = plan_of(arguments).unwrap();
        assert_eq!(found_sealed.into_iter().map(i64::from).collect::<Vec<_>>(), sealed);
        let found_ranges: Vec<_> =
            found_ranges.iter().map(|range| (range.low(), range.high())).collect();
        assert_eq!(found_ranges, ranges);
    }

    #[test]
    fn a_count_replaces_all_segments() {
        check(&["--to", "2"], &[0, 1, 2, 3], &[(0.0, 0.5), (0.5, 1.0)]);
    }

    #[test]
    fn a_split_replaces_one_segment_by_two() {
        check(&["--split", "1"], &[1], &[(0.25, 0.375), (0.375, 0.5)]);
    }

    #[test]
    fn a_merge_replaces_adjacent_segments_by_one() {
        check(&["--merge", "1", "2"], &[1, 2], &[(0.25, 0.75)]);
        check(&["--merge", "1,2,3"], &[1, 2, 3], &[(0.25, 1.0)]);
        assert!(plan_of(&["--merge", "1"]).is_err(), "one segment is not merged");
        assert!(plan_of(&["--merge", "0", "2"]).is_err(), "segments 0 and 2 are not adjacent");
    }

    #[test]
    fn ranges_replace_the_segments_that_they_overlap() {
        check(&["--ranges", "0.3-0.5,0.25-0.3"], &[1], &[(0.25, 0.3), (0.3, 0.5)]);
    }

    #[test]
    fn a_segment_that_is_not_active_is_refused() {
        for arguments in [&["--split", "9"][..], &["--merge", "0", "9"]] {
            let failure = plan_of(arguments).unwrap_err();
            assert!(failure.to_string().starts_with("segment 9.#epoch.0 is not active"));
        }
    }
}
