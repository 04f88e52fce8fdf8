//! The controller's messages as the SDK's types, and back.
//!
//! The messages come from the catalog in the same process, so an invalid one is a panic.

use std::collections::BTreeMap;

use pravega_sdk_controller_client::{
    ControllerError, DelegationToken, KeyValueTableConfiguration, Page, PageToken, SegmentWithRange,
};
use pravega_sdk_proto as proto;
use pravega_sdk_server_core::record::Millis;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, KeyRange, Offset, Outcome, ScalingPolicy, ScopedKeyValueTable,
    ScopedSegment, ScopedStream, SegmentId, StreamConfiguration, StreamCut, Successor,
};

pub(crate) fn stream_info(stream: &ScopedStream) -> proto::StreamInfo {
    proto::StreamInfo {
        scope: stream.scope().to_string(),
        stream: stream.stream().to_string(),
        access_operation: 0,
    }
}

pub(crate) fn table_info(table: &ScopedKeyValueTable) -> proto::KeyValueTableInfo {
    proto::KeyValueTableInfo {
        scope: table.scope().to_string(),
        kvt_name: table.table().to_string(),
    }
}

pub(crate) fn table_config(
    table: &ScopedKeyValueTable,
    configuration: &KeyValueTableConfiguration,
) -> Result<proto::KeyValueTableConfig, ControllerError> {
    let too_large = |_| {
        let detail = "a number of the configuration is too large";
        ControllerError::new(ErrorKind::InvalidArgument, Outcome::NotApplied, detail)
    };
    let number = |number: u32| i32::try_from(number).map_err(too_large);
    Ok(proto::KeyValueTableConfig {
        scope: table.scope().to_string(),
        kvt_name: table.table().to_string(),
        partition_count: number(configuration.partition_count)?,
        primary_key_length: number(configuration.primary_key_length)?,
        secondary_key_length: number(configuration.secondary_key_length)?,
        rollover_size_bytes: i64::try_from(configuration.rollover_size_bytes).map_err(too_large)?,
    })
}

pub(crate) fn tables_page(answer: &proto::KvTablesInScopeResponse) -> Page<ScopedKeyValueTable> {
    let name = |info: &proto::KeyValueTableInfo| {
        format!("{}/{}", info.scope, info.kvt_name).parse().expect("the name of a table")
    };
    let next = answer.continuation_token.clone().unwrap_or_default();
    let items = answer.kvtables.iter().map(name).collect();
    Page { items, next: PageToken(next.token) }
}

pub(crate) fn table_configuration(
    config: &proto::KeyValueTableConfig,
) -> KeyValueTableConfiguration {
    let number = |number: i32| number.unsigned_abs();
    let (count, primary) = (config.partition_count, config.primary_key_length);
    KeyValueTableConfiguration::new(number(count), number(primary))
        .with_secondary_key_length(number(config.secondary_key_length))
        .with_rollover_size_bytes(config.rollover_size_bytes.unsigned_abs())
}

/// Segments with their ranges, in the order of the ranges.
pub(crate) fn segments(ranges: &[proto::SegmentRange]) -> Vec<SegmentWithRange> {
    let mut segments: Vec<SegmentWithRange> = ranges.iter().map(segment).collect();
    segments.sort_by(|a, b| a.range.low().total_cmp(&b.range.low()));
    segments
}

fn segment(range: &proto::SegmentRange) -> SegmentWithRange {
    let id = range.segment_id.as_ref().expect("a segment id");
    let range = KeyRange::new(range.min_key, range.max_key).expect("a key range");
    SegmentWithRange::new(SegmentId::from(id.segment_id), range)
}

pub(crate) fn successors(response: &proto::SuccessorResponse) -> Vec<Successor> {
    let successor = |entry: &proto::successor_response::SegmentEntry| {
        let SegmentWithRange { id, range, .. } =
            segment(entry.segment.as_ref().expect("a segment"));
        let predecessors = entry.value.iter().map(|id| SegmentId::from(*id)).collect();
        Successor { id, range, predecessors }
    };
    response.segments.iter().map(successor).collect()
}

pub(crate) fn head(head: &proto::SegmentsAtTime) -> Vec<(SegmentId, Offset)> {
    let position = |location: &proto::segments_at_time::SegmentLocation| {
        let id = location.segment_id.as_ref().expect("a segment id").segment_id;
        (SegmentId::from(id), Offset(location.offset))
    };
    head.segments.iter().map(position).collect()
}

/// The offsets of a cut.
pub(crate) fn cut(cut: &BoundedCut) -> BTreeMap<i64, i64> {
    cut.positions().map(|(id, offset)| (id.into(), offset.to_wire())).collect()
}

/// The offsets of a cut; none for the head or the tail.
pub(crate) fn cut_or_none(cut: &StreamCut) -> BTreeMap<i64, i64> {
    cut.bounded().map(self::cut).unwrap_or_default()
}

/// The segments between two cuts.
pub(crate) fn segments_between(
    stream: &ScopedStream,
    found: &proto::StreamCutRangeResponse,
) -> Vec<ScopedSegment> {
    let ids = found.segments.iter().map(|id| id.segment_id.into());
    ids.map(|id| ScopedSegment::new(stream, id)).collect()
}

/// The message of a configuration. The simulation knows fixed numbers of segments only.
pub(crate) fn stream_config(
    stream: &ScopedStream,
    configuration: &StreamConfiguration,
) -> Result<proto::StreamConfig, ControllerError> {
    let is_known = matches!(configuration.scaling(), ScalingPolicy::Fixed { .. })
        && configuration.retention().is_none();
    if !is_known {
        let detail = "the simulation has no scaling by rate and no retention";
        return Err(ControllerError::new(ErrorKind::Unsupported, Outcome::NotApplied, detail));
    }
    let segments = configuration.scaling().min_segments().get();
    let policy = proto::ScalingPolicy {
        scale_type: proto::scaling_policy::ScalingPolicyType::FixedNumSegments.into(),
        min_num_segments: i32::try_from(segments).expect("a number of segments"),
        ..proto::ScalingPolicy::default()
    };
    Ok(proto::StreamConfig {
        stream_info: Some(stream_info(stream)),
        scaling_policy: Some(policy),
        ..proto::StreamConfig::default()
    })
}

/// A configuration of its message. A stream of [`configuration`] has its fewest segments.
pub(crate) fn stream_configuration(config: &proto::StreamConfig) -> StreamConfiguration {
    let segments = config.scaling_policy.as_ref().map_or(1, |policy| policy.min_num_segments);
    let segments = u32::try_from(segments).expect("a number of segments");
    StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments))
}

pub(crate) fn scale_request(
    stream: &ScopedStream,
    sealed: &[SegmentId],
    ranges: &[KeyRange],
) -> proto::ScaleRequest {
    let entry = |range: &KeyRange| proto::scale_request::KeyRangeEntry {
        start: range.low(),
        end: range.high(),
    };
    proto::ScaleRequest {
        stream_info: Some(stream_info(stream)),
        sealed_segments: sealed.iter().map(|id| i64::from(*id)).collect(),
        new_key_ranges: ranges.iter().map(entry).collect(),
        scale_timestamp: 0,
    }
}

/// A configuration with a number of segments, which scale on request only: no rate is measured in
/// a simulation.
pub(crate) fn configuration(stream: &ScopedStream, segments: i32) -> proto::StreamConfig {
    let policy = proto::ScalingPolicy {
        scale_type: proto::scaling_policy::ScalingPolicyType::ByRateInEventsPerSec.into(),
        target_rate: i32::MAX,
        scale_factor: 2,
        min_num_segments: segments,
    };
    proto::StreamConfig {
        stream_info: Some(stream_info(stream)),
        scaling_policy: Some(policy),
        ..proto::StreamConfig::default()
    }
}

/// The time at which a token expires; `None` if it never does, or is not one.
pub(crate) fn token_expiry(token: &str) -> Option<Millis> {
    let expires_at = DelegationToken::new(token).claims()?.expires_at;
    Some(Millis(i64::try_from(expires_at).ok()?.saturating_mul(1000)))
}
