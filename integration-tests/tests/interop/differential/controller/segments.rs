//! Calls about segments.

use pravega_sdk_integration_tests::harness::eventually;
use pravega_sdk_proto::*;

use super::{
    both::{Both, call},
    requests::{cut, id_of, scale, stream_info},
};

/// Scales, epochs, successors.
pub(super) async fn scales(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();
    let real = call!(both, "a scale", scale, scale(s, "stream", &[0], &[(0.0, 0.25), (0.25, 0.5)]));
    let epoch = real.unwrap().epoch;
    let scaled = |epoch| ScaleStatusRequest { stream_info: Some(stream_info(s, "stream")), epoch };
    let done = i32::from(scale_status_response::ScaleStatus::Success);
    let real = both.real.controller.clone();
    eventually("the scale is done", async || {
        real.clone().check_scale(scaled(epoch)).await.unwrap().into_inner().status == done
    })
    .await;
    call!(both, "it is done", check_scale, scaled(epoch));
    call!(both, "a scale to come", check_scale, scaled(99));
    call!(both, "the scale again", scale, scale(s, "stream", &[0], &[(0.0, 0.25), (0.25, 0.5)]));
    call!(both, "a scale that does not fit", scale, scale(s, "stream", &[1], &[(0.5, 0.9)]));
    call!(both, "a scale of a missing stream", scale, scale(s, "missing", &[0], &[(0.0, 1.0)]));
    call!(both, "segments after it", get_current_segments, stream_info(s, "stream"));
    let epoch_of =
        |epoch| GetEpochSegmentsRequest { stream_info: Some(stream_info(s, "stream")), epoch };
    call!(both, "segments before it", get_epoch_segments, epoch_of(0));
    call!(both, "segments of its epoch", get_epoch_segments, epoch_of(1));
    call!(both, "segments of no epoch", get_epoch_segments, epoch_of(7));
    let heirs = |mut answer: SuccessorResponse| {
        answer.segments.sort_by_key(|heir| {
            heir.segment.as_ref().and_then(|range| range.segment_id.clone()).map(|id| id.segment_id)
        });
        answer
    };
    let asked = id_of(s, "stream", 0);
    let real = both
        .real
        .controller
        .get_segments_immediately_following(asked.clone())
        .await
        .unwrap()
        .into_inner();
    let embedded = both
        .embedded
        .controller
        .get_segments_immediately_following(asked)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(heirs(real), heirs(embedded), "successors");
    call!(
        both,
        "successors of an open one",
        get_segments_immediately_following,
        id_of(s, "stream", 1)
    );
}

/// Cuts, ranges between them, truncation.
pub(super) async fn cuts(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();
    call!(both, "a sealed segment", is_segment_valid, id_of(s, "stream", 0));
    call!(both, "an open segment", is_segment_valid, id_of(s, "stream", 1));
    let (second, third) = ((1 << 32) | 2, (1 << 32) | 3);
    let whole = cut(s, "stream", &[(second, 0), (third, 0), (1, 0)]);
    call!(both, "a whole cut", is_stream_cut_valid, whole.clone());
    call!(both, "half a cut", is_stream_cut_valid, cut(s, "stream", &[(second, 0), (1, 0)]));
    let range = |from: &[(i64, i64)], to: &[(i64, i64)]| StreamCutRange {
        stream_info: Some(stream_info(s, "stream")),
        from: from.iter().copied().collect(),
        to: to.iter().copied().collect(),
    };
    let sorted = |answer: StreamCutRangeResponse| {
        let mut ids: Vec<i64> = answer.segments.iter().map(|segment| segment.segment_id).collect();
        ids.sort_unstable();
        ids
    };
    for (from, to) in [(&[(0, 0), (1, 0)][..], &[][..]), (&[], &[(second, 5), (third, 5), (1, 5)])]
    {
        let real =
            both.real.controller.get_segments_between(range(from, to)).await.unwrap().into_inner();
        let embedded = both
            .embedded
            .controller
            .get_segments_between(range(from, to))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(sorted(real), sorted(embedded), "between {from:?} and {to:?}");
    }
    call!(both, "between nothing", get_segments_between, range(&[], &[]));
    call!(both, "a truncation", truncate_stream, whole);
    call!(both, "half a truncation", truncate_stream, cut(s, "stream", &[(second, 0)]));
    let head = GetSegmentsRequest { stream_info: Some(stream_info(s, "stream")), timestamp: 0 };
    let by_id = |answer: SegmentsAtTime| {
        let mut found: Vec<(i64, i64)> = answer
            .segments
            .iter()
            .map(|place| (place.segment_id.as_ref().unwrap().segment_id, place.offset))
            .collect();
        found.sort_unstable();
        found
    };
    let real = both.real.controller.get_segments(head.clone()).await.unwrap().into_inner();
    let embedded = both.embedded.controller.get_segments(head).await.unwrap().into_inner();
    assert_eq!(by_id(real), by_id(embedded), "the head");
}
