//! Segments of streams in the store, and the policy that they carry.

use pravega_sdk_proto::{StreamConfig, scaling_policy::ScalingPolicyType};
use pravega_sdk_types::{Epoch, KeyRange, SegmentId, SegmentNumber};

use super::{
    error::{CallError, CallResult},
    history::SegmentRecord,
    names,
    plan::Plan,
};
use crate::{
    record::{Attributes, Each},
    store::{SegmentKind, SegmentPolicy, Step},
};

/// The most segments of a stream at a time. Other clients wait while a request creates or seals all
/// of them.
const MAX_SEGMENTS: u32 = 10_000;

/// New segments of a stream, numbered from the first one on.
pub(super) fn new_segments(
    epoch: Epoch,
    first: SegmentNumber,
    ranges: &[KeyRange],
) -> CallResult<Vec<SegmentRecord>> {
    let SegmentNumber(first) = first;
    let end = i32::try_from(ranges.len()).ok().and_then(|count| first.checked_add(count));
    let Some(end) = end else {
        return Err(CallError::Internal(format!("no segment numbers are left after {first}")));
    };
    let record = |(number, range): (i32, &KeyRange)| SegmentRecord {
        id: SegmentId::new(epoch, SegmentNumber(number)),
        low: range.low(),
        high: range.high(),
    };
    Ok((first..end).zip(ranges).map(record).collect())
}

/// Plans the creation of segments of a stream. A segment that exists was created by a client
/// without the controller; it is this stream's now.
pub(super) fn plan_segments(
    plan: &mut Plan,
    scope: &str,
    stream: &str,
    config: &StreamConfig,
    segments: &[SegmentRecord],
    step: &Step<'_>,
) {
    let policy = policy(config);
    let attributes = if policy.scale_type > 0 { policy.attributes() } else { Attributes::new() };
    let (stream, ids) = (names::scoped(scope, stream), segments.iter().map(|record| record.id));
    plan.each(step.creations(stream, ids, SegmentKind::Stream, attributes), step);
}

/// Plans the sealing of segments of a stream. A missing one was deleted by a client without the
/// controller; the next read reports it.
pub(super) fn plan_sealing(
    plan: &mut Plan,
    scope: &str,
    stream: &str,
    segments: &[SegmentRecord],
    step: &Step<'_>,
) {
    let (stream, ids) = (names::scoped(scope, stream), segments.iter().map(|record| record.id));
    plan.each(step.many(stream, ids, Each::Sealed), step);
}

/// The policy by which a stream scales, as its segments keep it.
pub(super) fn policy(config: &StreamConfig) -> SegmentPolicy {
    let policy = config.scaling_policy.unwrap_or_default();
    let (scale_type, target_rate) = match policy.scale_type() {
        ScalingPolicyType::FixedNumSegments => (0, 0),
        ScalingPolicyType::ByRateInKbytesPerSec => (1, policy.target_rate),
        ScalingPolicyType::ByRateInEventsPerSec => (2, policy.target_rate),
    };
    SegmentPolicy { scale_type, target_rate }
}

/// Returns true if the stream keeps its number of segments.
pub(super) fn is_fixed(config: &StreamConfig) -> bool {
    policy(config).scale_type == 0
}

/// The fewest segments of a stream.
pub(super) fn min_segments(config: &StreamConfig) -> CallResult<u32> {
    match u32::try_from(config.scaling_policy.unwrap_or_default().min_num_segments) {
        Err(_) | Ok(0) => Err(CallError::unspecified()),
        Ok(count) => check_count(count as usize).map(|()| count),
    }
}

/// Refuses if a stream would have too many segments at a time.
pub(super) fn check_count(segments: usize) -> CallResult<()> {
    if segments > MAX_SEGMENTS as usize {
        return Err(CallError::Invalid(format!(
            "a stream has at most {MAX_SEGMENTS} segments, not {segments}"
        )));
    }
    Ok(())
}
