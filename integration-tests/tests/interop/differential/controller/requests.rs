//! Requests with defaults.

use pravega_sdk_proto::*;

pub(super) fn stream_info(scope: &str, stream: &str) -> StreamInfo {
    StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 }
}

pub(super) fn config(scope: &str, stream: &str, segments: i32, tags: &[&str]) -> StreamConfig {
    StreamConfig {
        stream_info: Some(stream_info(scope, stream)),
        scaling_policy: Some(ScalingPolicy {
            scale_type: 0,
            target_rate: 0,
            scale_factor: 0,
            min_num_segments: segments,
        }),
        retention_policy: None,
        tags: Some(Tags { tag: tags.iter().map(|tag| (*tag).to_owned()).collect() }),
        timestamp_aggregation_timeout: 0,
        rollover_size_bytes: 0,
    }
}

pub(super) fn cut(scope: &str, stream: &str, positions: &[(i64, i64)]) -> StreamCut {
    StreamCut {
        stream_info: Some(stream_info(scope, stream)),
        cut: positions.iter().copied().collect(),
    }
}

pub(super) fn scale(
    scope: &str,
    stream: &str,
    sealed: &[i64],
    ranges: &[(f64, f64)],
) -> ScaleRequest {
    let range =
        |(start, end): &(f64, f64)| scale_request::KeyRangeEntry { start: *start, end: *end };
    ScaleRequest {
        stream_info: Some(stream_info(scope, stream)),
        sealed_segments: sealed.to_vec(),
        new_key_ranges: ranges.iter().map(range).collect(),
        scale_timestamp: 0,
    }
}

pub(super) fn id_of(scope: &str, stream: &str, segment_id: i64) -> SegmentId {
    SegmentId { stream_info: Some(stream_info(scope, stream)), segment_id }
}
