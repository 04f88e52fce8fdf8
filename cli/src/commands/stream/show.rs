//! The queries of `pravega stream`: configuration, segments, epochs, scaling.

use std::{sync::Arc, time::Duration};

use pravega_sdk::{
    controller_client::{Controller, ScaleState, SegmentWithRange},
    types::{
        Epoch, ErrorKind, Offset, RetentionPolicy, ScalingPolicy, ScopedStream, SegmentId, Tag,
    },
};
use serde_json::{Value, json};

use crate::{
    failure::Result,
    output::{Format, Output, Record},
};

pub(super) async fn describe(
    stream: &ScopedStream,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    let configuration = controller.stream_configuration(stream).await?;
    let segments = controller.current_segments(stream).await?;
    let head = controller.head_segments(stream).await?;
    let tags: Vec<&str> = configuration.tags().iter().map(Tag::as_str).collect();
    let head: Vec<String> = head.iter().map(|(id, offset)| format!("{id}={offset}")).collect();
    let record = Record::new()
        .with("stream", stream.to_string())
        .with("is_sealed", segments.is_empty())
        .with("segments", segments.len());
    let rollover_size = configuration.rollover_size_bytes();
    let timeout = configuration.timestamp_aggregation_timeout();
    if output.format() == Format::Json {
        return output.one(
            record
                .with("scaling", scaling_value(configuration.scaling()))
                .with("retention", configuration.retention().map(retention_value))
                .with("tags", tags)
                .with("head", head)
                .with("rollover_size_bytes", rollover_size)
                .with("timestamp_aggregation_timeout_ms", millis(timeout)),
        );
    }
    let retention =
        configuration.retention().map_or("everything".to_owned(), |policy| policy.to_string());
    output.one(
        record
            .with("scaling", configuration.scaling().to_string())
            .with("retention", retention)
            .with("tags", tags)
            .with("head", head)
            .with("rollover_size_bytes", rollover_size)
            .with("timestamp_aggregation_timeout", humantime::format_duration(timeout).to_string()),
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A scaling policy for programs.
fn scaling_value(policy: ScalingPolicy) -> Value {
    match policy {
        ScalingPolicy::Fixed { segments } => json!({"kind": "fixed", "segments": segments}),
        ScalingPolicy::ByDataRate { kib_per_second, scale_factor, min_segments } => json!({
            "kind": "by-data-rate",
            "kib_per_second": kib_per_second,
            "scale_factor": scale_factor,
            "min_segments": min_segments,
        }),
        ScalingPolicy::ByEventRate { events_per_second, scale_factor, min_segments } => json!({
            "kind": "by-event-rate",
            "events_per_second": events_per_second,
            "scale_factor": scale_factor,
            "min_segments": min_segments,
        }),
        // A later version of the library may have others.
        other => json!({"kind": "other", "text": other.to_string()}),
    }
}

/// A retention policy for programs.
fn retention_value(policy: RetentionPolicy) -> Value {
    match policy {
        RetentionPolicy::ByTime { min, max } => json!({
            "kind": "by-time", "min_ms": millis(min), "max_ms": max.map(millis),
        }),
        RetentionPolicy::BySize { min_bytes, max_bytes } => json!({
            "kind": "by-size", "min_bytes": min_bytes, "max_bytes": max_bytes,
        }),
        other => json!({"kind": "other", "text": other.to_string()}),
    }
}

pub(super) async fn head_segments(
    stream: &ScopedStream,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    let head = controller.head_segments(stream).await?;
    let record = |(id, offset): &(SegmentId, Offset)| {
        Record::new()
            .with("segment", id.to_string())
            .with("id", i64::from(*id))
            .with("head_offset", offset.0)
    };
    output.list(head.iter().map(record).collect())
}

pub(super) async fn segments(
    stream: &ScopedStream,
    epoch: Option<i32>,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    let segments = match epoch {
        Some(epoch) => controller.epoch_segments(stream, Epoch(epoch)).await?,
        None => controller.current_segments(stream).await?,
    };
    if segments.is_empty() {
        output.status(format_args!("stream {stream} is sealed: it has no active segments"));
    }
    output.list(segments.iter().map(segment_record).collect())
}

pub(super) fn segment_record(segment: &SegmentWithRange) -> Record {
    Record::new()
        .with("segment", segment.id.to_string())
        .with("id", i64::from(segment.id))
        .with("low", segment.range.low())
        .with("high", segment.range.high())
}

pub(super) async fn scaling_state(
    stream: &ScopedStream,
    epoch: Option<i32>,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    // The controller reports a scaling as done after the stream has left the epoch it started from.
    let epoch = match epoch {
        Some(epoch) => Epoch(epoch),
        None => Epoch(newest_epoch(stream, controller).await?.0 - 1),
    };
    let state = match epoch {
        Epoch(..0) => "never-scaled",
        epoch => match controller.scale_state(stream, epoch).await? {
            ScaleState::InProgress => "in-progress",
            ScaleState::Done => "done",
        },
    };
    output.one(
        Record::new()
            .with("stream", stream.to_string())
            .with("epoch", epoch.0)
            .with("state", state),
    )
}

pub(super) async fn epochs(
    stream: &ScopedStream,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    let mut records = Vec::new();
    each_epoch(stream, controller, |epoch, segments| {
        let names: Vec<String> = segments.iter().map(|segment| segment.id.to_string()).collect();
        records.push(Record::new().with("epoch", epoch.0).with("segments", names));
    })
    .await?;
    output.list(records)
}

/// Calls `see` with each epoch and its segments, from the first to the newest.
async fn each_epoch(
    stream: &ScopedStream,
    controller: &Arc<dyn Controller>,
    mut see: impl FnMut(Epoch, Vec<SegmentWithRange>),
) -> Result<()> {
    for epoch in 0.. {
        match controller.epoch_segments(stream, Epoch(epoch)).await {
            Ok(segments) => see(Epoch(epoch), segments),
            Err(error) if error.kind() == ErrorKind::NotFound && epoch > 0 => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn newest_epoch(stream: &ScopedStream, controller: &Arc<dyn Controller>) -> Result<Epoch> {
    let mut newest = Epoch(0);
    each_epoch(stream, controller, |epoch, _| newest = epoch).await?;
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn policies_are_objects_for_programs() {
        let one = NonZeroU32::MIN;
        let policy = ScalingPolicy::ByEventRate {
            events_per_second: one,
            scale_factor: one,
            min_segments: one,
        };
        let expected =
            r#"{"kind":"by-event-rate","events_per_second":1,"scale_factor":1,"min_segments":1}"#;
        assert_eq!(scaling_value(policy).to_string(), expected);
        let fixed = scaling_value(ScalingPolicy::Fixed { segments: one });
        assert_eq!(fixed.to_string(), r#"{"kind":"fixed","segments":1}"#);
        let policy = RetentionPolicy::ByTime { min: Duration::from_secs(2), max: None };
        let expected = r#"{"kind":"by-time","min_ms":2000,"max_ms":null}"#;
        assert_eq!(retention_value(policy).to_string(), expected);
    }
}
