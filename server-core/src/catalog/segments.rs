//! Segments of streams in the store, and the policy that they carry.

use pravega_sdk_proto::{StreamConfig, scaling_policy::ScalingPolicyType};

use super::{
    error::{CallError, CallResult},
    names,
    stream::SegmentRecord,
};
use crate::{
    record::Attributes,
    store::{Refusal, SegmentPolicy, Step},
};

/// The most segments of a stream. A request for more is a mistake.
const MAX_SEGMENTS: i32 = 100_000;

/// Creates the segments of a stream.
pub(super) fn create_segments(
    scope: &str,
    stream: &str,
    config: &StreamConfig,
    segments: &[SegmentRecord],
    step: &mut Step<'_>,
) -> CallResult<()> {
    let policy = policy(config);
    for segment in segments {
        let attributes =
            if policy.scale_type > 0 { policy.attributes() } else { Attributes::new() };
        match step.create(&names::segment(scope, stream, segment.id), attributes) {
            // A client created it without the controller. It is this stream's now.
            Ok(()) | Err(Refusal::AlreadyExists) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
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
    match config.scaling_policy.unwrap_or_default().min_num_segments {
        count @ 1..=MAX_SEGMENTS => Ok(count.unsigned_abs()),
        _ => Err(CallError::unspecified()),
    }
}
