//! `pravega stream scale`

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use clap::Args;
use pravega_sdk::{
    controller_client::{Controller, ScaleStart, ScaleState, SegmentWithRange},
    types::{Epoch, ErrorKind, KeyRange, ScalingPolicy, ScopedStream, SegmentId, check_cover},
};
use tokio::time::{Instant, sleep};

use super::show::segment_record;
use crate::{
    failure::{Failure, Result},
    interrupt::unless_stopped,
    output::Output,
    parse,
};

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ScaleTarget {
    /// Scale to this number of segments of equal ranges
    #[arg(long, value_name = "COUNT", value_parser = parse::count)]
    to: Option<NonZeroU32>,
    /// Split one segment in two. A number is enough if one active segment has it
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
        let next = format!("pravega stream scaling-state {stream} --epoch {epoch}");
        let waiting = wait(stream, epoch, controller);
        unless_stopped(waiting, "the scaling goes on", &format!("its state: {next}")).await?;
        output.status(format_args!("scaled stream {stream}"));
    }
    output.list(segments.iter().map(segment_record).collect())
}

/// The segments to seal, and the key ranges of the new ones.
fn plan(
    target: &ScaleTarget,
    active: &[SegmentWithRange],
) -> Result<(Vec<SegmentId>, Vec<KeyRange>)> {
    let find = |id: &SegmentId| find(id, active);
    if let Some(count) = target.to {
        return Ok((
            active.iter().map(|segment| segment.id).collect(),
            KeyRange::FULL.split(count.get()),
        ));
    }
    if let Some(id) = &target.split {
        let split = find(id)?;
        return Ok((vec![split.id], split.range.split(2)));
    }
    if target.merge.len() == 1 {
        return Err(Failure::usage("merging takes two segments or more"));
    }
    if !target.merge.is_empty() {
        let merged = target.merge.iter().map(find).collect::<Result<Vec<_>>>()?;
        let ranges: Vec<KeyRange> = merged.iter().map(|segment| segment.range).collect();
        let merged = merged.iter().map(|segment| segment.id).collect();
        return Ok((merged, vec![check_cover(&ranges).map_err(Failure::usage)?]));
    }
    let mut ranges = target.ranges.clone();
    ranges.sort_by(|a, b| a.low().total_cmp(&b.low()));
    let replaced =
        active.iter().filter(|segment| ranges.iter().any(|range| range.overlaps(&segment.range)));
    Ok((replaced.map(|segment| segment.id).collect(), ranges))
}

/// Finds an active segment. Its number is enough if no other active one has it.
fn find<'a>(id: &SegmentId, active: &'a [SegmentWithRange]) -> Result<&'a SegmentWithRange> {
    if let Some(found) = active.iter().find(|segment| segment.id == *id) {
        return Ok(found);
    }
    // A number is the id of a segment of the first epoch.
    let is_number = id.epoch() == Epoch(0);
    let mut same = active.iter().filter(|it| is_number && it.id.number() == id.number());
    if let (Some(found), None) = (same.next(), same.next()) {
        return Ok(found);
    }
    let ids: Vec<String> =
        active.iter().take(LISTED).map(|segment| segment.id.to_string()).collect();
    let more = if active.len() > LISTED { ", …" } else { "" };
    Err(Failure::usage(format_args!("segment {id} is not active"))
        .with_hint(format!("active are {}{more}", ids.join(", "))))
}

/// Segments that an error names.
const LISTED: usize = 10;

/// Starts to replace segments. Returns the epoch to ask [`wait`] about, and the new segments.
pub(crate) async fn start(
    stream: &ScopedStream,
    sealed: &[SegmentId],
    ranges: &[KeyRange],
    controller: &Arc<dyn Controller>,
) -> Result<(Epoch, Vec<SegmentWithRange>)> {
    match controller.scale(stream, sealed, ranges).await? {
        ScaleStart::Started { epoch, segments } => Ok((epoch, segments)),
        ScaleStart::PreconditionFailed => {
            let policy = controller.stream_configuration(stream).await;
            let policy = policy.map(|configuration| configuration.scaling()).ok();
            Err(refused(
                stream,
                sealed.len(),
                ranges.len(),
                active(stream, controller).await,
                policy,
            ))
        }
    }
}

/// The number of active segments, if the controller tells it.
async fn active(stream: &ScopedStream, controller: &Arc<dyn Controller>) -> Option<usize> {
    controller.current_segments(stream).await.ok().map(|segments| segments.len())
}

/// The failure of a scaling that the controller refuses, without telling why.
fn refused(
    stream: &ScopedStream,
    sealed: usize,
    created: usize,
    active: Option<usize>,
    policy: Option<ScalingPolicy>,
) -> Failure {
    let left = active.and_then(|active| (active + created).checked_sub(sealed));
    let least = policy.and_then(|policy| usize::try_from(policy.min_segments().get()).ok());
    match (left, least, policy) {
        (Some(left), Some(least), Some(policy)) if left < least => {
            let text = format_args!(
                "the scaling policy of {stream}, {policy}, keeps at least {least} segments, and \
                 {left} would remain"
            );
            Failure::of_kind(ErrorKind::ConditionFailed, text).with_hint(format!(
                "for fewer, first: pravega stream update {stream} --segments {left}"
            ))
        }
        _ => {
            let text = format_args!(
                "the controller refuses to scale {stream}: another scaling is not done, or has \
                 replaced a segment"
            );
            Failure::of_kind(ErrorKind::ConditionFailed, text)
                .with_hint(format!("active segments: pravega stream segments {stream}"))
        }
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
    fn a_number_is_enough_if_one_active_segment_has_it() {
        let id = |number: i64, epoch: i64| SegmentId::from((epoch << 32) | number);
        let segment = |id| SegmentWithRange::new(id, KeyRange::FULL);
        let active = [segment(id(1, 1)), segment(id(2, 1)), segment(id(2, 2))];
        let found = |wanted| find(&wanted, &active).map(|segment| segment.id).ok();
        assert_eq!(found(id(1, 0)), Some(id(1, 1)));
        assert_eq!(found(id(2, 1)), Some(id(2, 1)));
        assert_eq!(found(id(2, 0)), None, "two have the number");
        assert_eq!(found(id(1, 2)), None, "another epoch was named");
    }

    #[test]
    fn a_refusal_names_the_policy_if_that_is_why() {
        let stream = "s/t".parse().unwrap();
        let policy = ScalingPolicy::Fixed { segments: NonZeroU32::new(4).unwrap() };
        let text = refused(&stream, 4, 2, Some(4), Some(policy)).to_string();
        assert!(text.contains("keeps at least 4 segments, and 2 would remain"), "{text}");
        for (created, active, policy) in
            [(4, Some(4), Some(policy)), (2, None, Some(policy)), (2, Some(4), None)]
        {
            let text = refused(&stream, 4, created, active, policy).to_string();
            assert!(text.contains("another scaling"), "{text}");
        }
    }

    #[test]
    fn a_segment_that_is_not_active_is_refused() {
        for arguments in [&["--split", "9"][..], &["--merge", "0", "9"]] {
            let failure = plan_of(arguments).unwrap_err();
            assert_eq!(failure.to_string(), "segment 9.#epoch.0 is not active");
        }
    }
}
