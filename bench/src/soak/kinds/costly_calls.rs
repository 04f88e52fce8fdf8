//! The largest messages of the calls that compare each element with each segment of a stream.

use std::collections::BTreeMap;

use anyhow::Result;
use pravega_sdk_proto::{
    ScaleRequest, ScalingPolicy, ScopeInfo, StreamConfig, StreamCut, StreamCutRange, StreamInfo,
    controller_service_client::ControllerServiceClient, scale_request::KeyRangeEntry,
};
use tonic::transport::Channel;

use crate::soak::attacker::Attacker;

const SEGMENTS: i32 = 10_000;
/// With five bytes each, as many as a message of 4 MB holds.
const IDS: i64 = 800_000;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut controller = attacker.controller().await?;
    let Some(info) = create(&attacker, &mut controller, "wide", SEGMENTS).await else {
        return Ok(());
    };
    let stream_info = Some(info);
    let request = ScaleRequest {
        stream_info: stream_info.clone(),
        sealed_segments: (1 << 33..(1 << 33) + IDS).collect(),
        new_key_ranges: vec![KeyRangeEntry { start: 0.0, end: 1.0 }],
        scale_timestamp: 1,
    };
    attacker.count(controller.scale(request).await);
    let ranges = |count: i32| {
        let width = 1.0 / f64::from(count);
        let at = move |number| f64::from(number) * width;
        (0..count).map(move |number| KeyRangeEntry { start: at(number), end: at(number + 1) })
    };
    let request = ScaleRequest {
        stream_info: stream_info.clone(),
        sealed_segments: (0..i64::from(SEGMENTS)).collect(),
        new_key_ranges: ranges(150_000).collect(),
        scale_timestamp: 1,
    };
    attacker.count(controller.scale(request).await);
    let cut: BTreeMap<i64, i64> = (0..i64::from(SEGMENTS)).map(|number| (number, 0)).collect();
    // Segments that do not exist, as many as the message holds.
    let foreign: BTreeMap<i64, i64> = (0..250_000).map(|number| (number + (1 << 33), 1)).collect();
    for cut in [cut, foreign] {
        let one = StreamCut { stream_info: stream_info.clone(), cut: cut.clone() };
        attacker.count(controller.is_stream_cut_valid(one.clone()).await);
        attacker.count(controller.truncate_stream(one).await);
        let range =
            StreamCutRange { stream_info: stream_info.clone(), from: cut.clone(), to: cut.clone() };
        attacker.count(controller.get_segments_between(range).await);
        let range =
            StreamCutRange { stream_info: stream_info.clone(), from: cut, ..Default::default() };
        attacker.count(controller.get_segments_between(range).await);
    }
    Ok(())
}

/// Creates a stream in the scope of the client, if it does not exist.
pub(super) async fn create(
    attacker: &Attacker,
    controller: &mut ControllerServiceClient<Channel>,
    stream: &str,
    segments: i32,
) -> Option<StreamInfo> {
    let scope = attacker.scope();
    attacker.count(controller.create_scope(ScopeInfo { scope: scope.clone() }).await)?;
    let info = StreamInfo { scope, stream: stream.to_owned(), access_operation: 0 };
    attacker.count(controller.create_stream(configuration(info.clone(), segments)).await)?;
    Some(info)
}

/// A configuration with a fixed number of segments.
pub(super) fn configuration(info: StreamInfo, segments: i32) -> StreamConfig {
    let scaling_policy = ScalingPolicy { min_num_segments: segments, ..Default::default() };
    StreamConfig {
        stream_info: Some(info),
        scaling_policy: Some(scaling_policy),
        ..Default::default()
    }
}
