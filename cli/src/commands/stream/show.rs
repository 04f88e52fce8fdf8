//! The queries of `pravega stream`: configuration, segments, epochs, scaling.

use std::sync::Arc;

use pravega_sdk::{
    controller_client::{Controller, ScaleState, SegmentWithRange},
    types::{Epoch, ErrorKind, Offset, ScopedStream, SegmentId, Tag},
};

use crate::{
    failure::Result,
    output::{Output, Record},
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
    let retention =
        configuration.retention().map_or("everything".to_owned(), |policy| policy.to_string());
    output.one(
        Record::new()
            .with("stream", stream.to_string())
            .with("is_sealed", segments.is_empty())
            .with("segments", segments.len())
            .with("scaling", configuration.scaling().to_string())
            .with("retention", retention)
            .with("tags", tags)
            .with("head", head)
            .with("rollover_size_bytes", configuration.rollover_size_bytes())
            .with(
                "timestamp_aggregation_timeout",
                humantime::format_duration(configuration.timestamp_aggregation_timeout())
                    .to_string(),
            ),
    )
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
