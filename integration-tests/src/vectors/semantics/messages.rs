//! Messages to the controller: policies and configurations.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use pravega_sdk_controller_client::{KeyValueTableConfiguration, encoding};
use pravega_sdk_types::{
    GroupRetention, GroupStream, ReaderGroupConfiguration, RetentionPolicy, ScalingPolicy,
    ScopedReaderGroup, ScopedStream, SegmentMap, StreamConfiguration, StreamCut, Tag, routing,
};
use pravega_sdk_wire_protocol::value::to_hex;
use serde_json::Value as Json;

use super::client::at_least_one;
use super::hashes::bits;
use super::stored::bounded;
use crate::vectors::line::{hex, list, number, same, text};

pub(super) fn scaling_policy(line: &Json) -> Result<ScalingPolicy> {
    let min_segments = at_least_one(line, "minNumSegments")?;
    Ok(match text(line, "type")? {
        "FIXED_NUM_SEGMENTS" => {
            let unused = (number(line, "targetRate")?, number(line, "scaleFactor")?);
            same("the rate and the factor", (0, 0), unused)?;
            ScalingPolicy::Fixed { segments: min_segments }
        }
        "BY_RATE_IN_KBYTES_PER_SEC" => ScalingPolicy::ByDataRate {
            kib_per_second: at_least_one(line, "targetRate")?,
            scale_factor: at_least_one(line, "scaleFactor")?,
            min_segments,
        },
        "BY_RATE_IN_EVENTS_PER_SEC" => ScalingPolicy::ByEventRate {
            events_per_second: at_least_one(line, "targetRate")?,
            scale_factor: at_least_one(line, "scaleFactor")?,
            min_segments,
        },
        other => bail!("scaling type {other} is not known"),
    })
}

pub(super) fn retention_policy(line: &Json) -> Result<RetentionPolicy> {
    let param = u64::try_from(number(line, "param")?)?;
    let max =
        Some(number(line, "max")?).filter(|max| *max != i64::MAX).map(u64::try_from).transpose()?;
    Ok(match text(line, "type")? {
        "TIME" => RetentionPolicy::ByTime {
            min: Duration::from_millis(param),
            max: max.map(Duration::from_millis),
        },
        "SIZE" => RetentionPolicy::BySize { min_bytes: param, max_bytes: max },
        other => bail!("retention type {other} is not known"),
    })
}

pub(super) fn stream_config(line: &Json) -> Result<()> {
    let stream = ScopedStream::new(text(line, "scope")?.parse()?, text(line, "stream")?.parse()?);
    let tags = list(line, "tags")?.iter().filter_map(Json::as_str).map(Tag::new);
    let retention = RetentionPolicy::BySize {
        min_bytes: u64::try_from(number(line, "retentionSizeMin")?)?,
        max_bytes: None,
    };
    let configuration = StreamConfiguration::default()
        .with_scaling(ScalingPolicy::Fixed { segments: at_least_one(line, "minNumSegments")? })
        .with_retention(retention)?
        .with_tags(tags.collect::<Result<Vec<_>, _>>()?)?
        .with_timestamp_aggregation_timeout(Duration::from_millis(u64::try_from(number(
            line,
            "timestampAggregationTimeout",
        )?)?))
        .with_rollover_size_bytes(u64::try_from(number(line, "rolloverSizeBytes")?)?);
    let bytes = encoding::stream_config(&stream, &configuration)?;
    same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())
}

fn group_configuration(config: &Json) -> Result<ReaderGroupConfiguration> {
    let cut = |pair: &Json| {
        let stream = pair[0].as_str().context("a stream is not a text")?;
        let cut = match &pair[1] {
            Json::String(_) => StreamCut::Unbounded,
            positions => bounded(stream, positions.as_array().context("positions")?)?.into(),
        };
        Ok::<_, anyhow::Error>((ScopedStream::internal(stream)?, cut))
    };
    let ends = list(config, "ending")?.iter().map(cut).collect::<Result<Vec<_>>>()?;
    let streams = list(config, "starting")?.iter().map(|pair| {
        let (stream, from) = cut(pair)?;
        let to = ends
            .iter()
            .find(|(other, _)| *other == stream)
            .map_or(StreamCut::Unbounded, |(_, to)| to.clone());
        Ok(GroupStream { stream, from, to })
    });
    let millis = |name: &str| {
        Ok::<_, anyhow::Error>(u64::try_from(number(config, name)?).ok().map(Duration::from_millis))
    };
    let retention = match number(config, "retentionType")? {
        0 => GroupRetention::None,
        1 => GroupRetention::ManualReleaseAtUserStreamCut,
        _ => GroupRetention::AutomaticReleaseAtLastCheckpoint,
    };
    let generation = Some(number(config, "generation")?).filter(|generation| *generation >= 0);
    Ok(ReaderGroupConfiguration::bounded(streams.collect::<Result<Vec<_>>>()?)?
        .with_refresh_interval(millis("groupRefreshTimeMillis")?.context("no interval")?)
        .with_automatic_checkpoint_interval(millis("automaticCheckpointIntervalMillis")?)
        .with_max_outstanding_checkpoints(at_least_one(config, "maxOutstandingCheckpointRequest")?)
        .with_retention(retention)
        .with_identity(text(config, "readerGroupId")?.parse()?, generation))
}

pub(super) fn reader_group(line: &Json) -> Result<()> {
    let group =
        ScopedReaderGroup::new(text(line, "scope")?.parse()?, text(line, "group")?.parse()?);
    let configuration = group_configuration(&line["config"])?;
    same(
        "the configuration of the message",
        encoding::read_reader_group(&hex(line, "hex")?)?,
        configuration.clone(),
    )?;
    // A missing end is written as unbounded, as Java's own groups send it.
    let all_ends_given = list(&line["config"], "ending")?.len() == configuration.streams().len();
    if all_ends_given {
        let bytes = encoding::reader_group(&group, &configuration)?;
        same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())?;
    }
    Ok(())
}

pub(super) fn table_config(line: &Json) -> Result<()> {
    let table = format!("{}/{}", text(line, "scope")?, text(line, "kvt")?).parse()?;
    let length = |name| anyhow::Ok(u32::try_from(number(line, name)?)?);
    let configuration =
        KeyValueTableConfiguration::new(length("partitionCount")?, length("primaryKeyLength")?)
            .with_secondary_key_length(length("secondaryKeyLength")?)
            .with_rollover_size_bytes(u64::try_from(number(line, "rolloverSizeBytes")?)?);
    let bytes = encoding::key_value_table(&table, &configuration)?;
    same("the message", to_hex(&bytes), text(line, "hex")?.to_owned())
}

pub(super) fn table_partition(line: &Json) -> Result<()> {
    let position = routing::table_key_position(&hex(line, "primaryKey")?);
    bits("the position", position, line)?;
    let partitions = SegmentMap::equal_ranges(u32::try_from(number(line, "partitions")?)?);
    same(
        "the partition",
        partitions.segment_for(position).map(i64::from),
        Some(number(line, "segmentId")?),
    )
}
