//! Conversion of messages from and to the SDK's types.
//!
//! Messages of the controller are untrusted input: an invalid name, an invalid range, or an unknown
//! status is a protocol error that shows it.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use pravega_sdk_proto as proto;
use pravega_sdk_types::{
    BoundedCut, Endpoint, GroupRetention, GroupStream, KeyRange, Offset, ReaderGroupConfiguration,
    RetentionPolicy, ScalingPolicy, Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment,
    ScopedStream, SegmentId, SegmentOffset, Stream, StreamConfiguration, StreamCut, Successor, Tag,
    TransactionId,
};
use proto::{
    retention_policy::RetentionPolicyType, scaling_policy::ScalingPolicyType,
    stream_info::AccessOperation as Access,
};

use crate::{AccessOperation, ControllerError, KeyValueTableConfiguration, SegmentWithRange};

type Result<T> = std::result::Result<T, ControllerError>;

/// Maximum difference of two neighboring bounds: the controller computes them with floating-point
/// numbers.
const BOUND_TOLERANCE: f64 = 1e-9;

// ---------------------------------------------------------------------------------- to the wire

pub(super) fn scope_info(scope: &Scope) -> proto::ScopeInfo {
    proto::ScopeInfo { scope: scope.to_string() }
}

pub(super) fn stream_info(stream: &ScopedStream) -> proto::StreamInfo {
    stream_info_for(stream, Access::Unspecified)
}

pub(super) fn stream_info_for(stream: &ScopedStream, access: Access) -> proto::StreamInfo {
    proto::StreamInfo {
        scope: stream.scope().to_string(),
        stream: stream.stream().to_string(),
        access_operation: access.into(),
    }
}

pub(super) fn access(access: AccessOperation) -> Access {
    match access {
        AccessOperation::Read => Access::Read,
        AccessOperation::Write => Access::Write,
        AccessOperation::ReadWrite => Access::ReadWrite,
    }
}

pub(super) fn segment_id(segment: &ScopedSegment) -> proto::SegmentId {
    proto::SegmentId {
        stream_info: Some(stream_info(&segment.scoped_stream())),
        segment_id: segment.id().into(),
    }
}

pub(super) fn cut_map(cut: &StreamCut) -> BTreeMap<i64, i64> {
    match cut {
        StreamCut::Unbounded => BTreeMap::new(),
        StreamCut::At(cut) => {
            cut.positions().map(|(id, offset)| (id.into(), offset.to_wire())).collect()
        }
    }
}

pub(super) fn stream_cut(cut: &BoundedCut) -> proto::StreamCut {
    proto::StreamCut {
        stream_info: Some(stream_info(cut.stream())),
        cut: cut.positions().map(|(id, offset)| (id.into(), offset.to_wire())).collect(),
    }
}

pub(super) fn transaction_id(id: TransactionId) -> proto::TxnId {
    let (high_bits, low_bits) = id.to_halves();
    proto::TxnId { high_bits, low_bits }
}

pub(super) fn millis(what: &str, duration: Duration) -> Result<i64> {
    i64::try_from(duration.as_millis()).map_err(|_| too_large(what))
}

fn too_large(what: &str) -> ControllerError {
    ControllerError::invalid(format!(
        "the {what} is larger than the controller's messages can hold"
    ))
}

fn int(what: &str, value: u32) -> Result<i32> {
    i32::try_from(value).map_err(|_| too_large(what))
}

fn long(what: &str, value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| too_large(what))
}

pub(super) fn scaling_policy(policy: ScalingPolicy) -> Result<proto::ScalingPolicy> {
    let rate = |kind: ScalingPolicyType, rate: NonZeroU32, factor: NonZeroU32, min: NonZeroU32| {
        Ok(proto::ScalingPolicy {
            scale_type: kind.into(),
            target_rate: int("target rate", rate.get())?,
            scale_factor: int("scale factor", factor.get())?,
            min_num_segments: int("number of segments", min.get())?,
        })
    };
    match policy {
        ScalingPolicy::Fixed { segments } => Ok(proto::ScalingPolicy {
            scale_type: ScalingPolicyType::FixedNumSegments.into(),
            target_rate: 0,
            scale_factor: 0,
            min_num_segments: int("number of segments", segments.get())?,
        }),
        ScalingPolicy::ByDataRate { kib_per_second, scale_factor, min_segments } => rate(
            ScalingPolicyType::ByRateInKbytesPerSec,
            kib_per_second,
            scale_factor,
            min_segments,
        ),
        ScalingPolicy::ByEventRate { events_per_second, scale_factor, min_segments } => rate(
            ScalingPolicyType::ByRateInEventsPerSec,
            events_per_second,
            scale_factor,
            min_segments,
        ),
        other => Err(ControllerError::invalid(format!(
            "the scaling policy {other} is not known to the controller's messages"
        ))),
    }
}

/// No limit is encoded as the largest number, as in the reference client.
pub(super) fn retention_policy(policy: RetentionPolicy) -> Result<proto::RetentionPolicy> {
    let (kind, min, max) = match policy {
        RetentionPolicy::ByTime { min, max } => (
            RetentionPolicyType::Time,
            millis("retention time", min)?,
            max.map(|max| millis("retention time", max)).transpose()?,
        ),
        RetentionPolicy::BySize { min_bytes, max_bytes } => (
            RetentionPolicyType::Size,
            long("retention size", min_bytes)?,
            max_bytes.map(|max| long("retention size", max)).transpose()?,
        ),
        other => {
            return Err(ControllerError::invalid(format!(
                "the retention policy {other} is not known to the controller's messages"
            )));
        }
    };
    Ok(proto::RetentionPolicy {
        retention_type: kind.into(),
        retention_param: min,
        retention_max: max.unwrap_or(i64::MAX),
    })
}

pub(super) fn stream_config(
    stream: &ScopedStream,
    configuration: &StreamConfiguration,
) -> Result<proto::StreamConfig> {
    Ok(proto::StreamConfig {
        stream_info: Some(stream_info(stream)),
        scaling_policy: Some(scaling_policy(configuration.scaling())?),
        retention_policy: configuration.retention().map(retention_policy).transpose()?,
        tags: Some(proto::Tags { tag: configuration.tags().iter().map(Tag::to_string).collect() }),
        timestamp_aggregation_timeout: millis(
            "timestamp aggregation timeout",
            configuration.timestamp_aggregation_timeout(),
        )?,
        rollover_size_bytes: long("rollover size", configuration.rollover_size_bytes())?,
    })
}

pub(super) fn table_info(table: &ScopedKeyValueTable) -> proto::KeyValueTableInfo {
    proto::KeyValueTableInfo {
        scope: table.scope().to_string(),
        kvt_name: table.table().to_string(),
    }
}

/// The longest keys of a table segment whose keys have one length, in bytes, as in the Java store.
const MAX_TABLE_KEY: u32 = 256;

pub(super) fn table_config(
    table: &ScopedKeyValueTable,
    configuration: &KeyValueTableConfiguration,
) -> Result<proto::KeyValueTableConfig> {
    if configuration.partition_count == 0 {
        return Err(ControllerError::invalid("a key-value table needs at least 1 partition"));
    }
    if configuration.primary_key_length == 0 {
        return Err(ControllerError::invalid(
            "the primary keys of a key-value table need at least 1 byte",
        ));
    }
    let (primary, secondary) =
        (configuration.primary_key_length, configuration.secondary_key_length);
    let key = primary.saturating_add(secondary);
    if key > MAX_TABLE_KEY {
        return Err(ControllerError::invalid(format_args!(
            "the primary and secondary key of a key-value table have at most {MAX_TABLE_KEY} bytes \
             together, not {key}"
        )));
    }
    Ok(proto::KeyValueTableConfig {
        scope: table.scope().to_string(),
        kvt_name: table.table().to_string(),
        partition_count: int("number of partitions", configuration.partition_count)?,
        primary_key_length: int("primary key length", configuration.primary_key_length)?,
        secondary_key_length: int("secondary key length", configuration.secondary_key_length)?,
        rollover_size_bytes: long("rollover size", configuration.rollover_size_bytes)?,
    })
}

pub(super) fn group_config(
    group: &ScopedReaderGroup,
    configuration: &ReaderGroupConfiguration,
) -> Result<proto::ReaderGroupConfiguration> {
    let cuts = |cut: fn(&GroupStream) -> &StreamCut| {
        let message = |entry: &GroupStream| proto::StreamCut {
            stream_info: Some(stream_info(&entry.stream)),
            cut: cut_map(cut(entry)),
        };
        configuration.streams().iter().map(message).collect()
    };
    Ok(proto::ReaderGroupConfiguration {
        scope: group.scope().to_string(),
        reader_group_name: group.group().to_string(),
        group_refresh_time_millis: millis("refresh interval", configuration.refresh_interval())?,
        automatic_checkpoint_interval_millis: match configuration.automatic_checkpoint_interval() {
            Some(interval) => millis("checkpoint interval", interval)?,
            None => NO_CHECKPOINTS,
        },
        max_outstanding_checkpoint_request: int(
            "number of checkpoints",
            configuration.max_outstanding_checkpoints().get(),
        )?,
        retention_type: match configuration.retention() {
            GroupRetention::None => 0,
            GroupRetention::ManualReleaseAtUserStreamCut => 1,
            GroupRetention::AutomaticReleaseAtLastCheckpoint => 2,
        },
        generation: configuration.generation().unwrap_or(NO_GENERATION),
        reader_group_id: configuration.id().to_string(),
        starting_stream_cuts: cuts(|entry| &entry.from),
        ending_stream_cuts: cuts(|entry| &entry.to),
        rollover_size_bytes: 0,
    })
}

const NO_CHECKPOINTS: i64 = -1;
/// The generation in a message about a group that the controller does not know yet.
const NO_GENERATION: i64 = -1;

// -------------------------------------------------------------------------------- from the wire

fn missing(what: &str) -> ControllerError {
    ControllerError::protocol(format_args!("the controller's answer lacks {what}"))
}

fn bad(what: &str, error: &dyn std::fmt::Display) -> ControllerError {
    ControllerError::protocol(format_args!("the controller sent {what} that is not valid: {error}"))
}

pub(super) fn unknown_status(number: i32) -> ControllerError {
    ControllerError::protocol(format_args!(
        "the controller sent status {number}, which is not known"
    ))
}

/// Converts an address; that of every interface of the server becomes the host of `asked`.
pub(super) fn endpoint(uri: &proto::NodeUri, asked: &Endpoint) -> Result<Endpoint> {
    let port = u16::try_from(uri.port).map_err(|_| bad("a port", &uri.port))?;
    let endpoint = Endpoint::new(&uri.endpoint, port).map_err(|error| bad("an address", &error))?;
    if endpoint.is_unspecified() {
        return Endpoint::new(asked.host(), port).map_err(|error| bad("an address", &error));
    }
    Ok(endpoint)
}

pub(super) fn scope(name: &str) -> Result<Scope> {
    Scope::internal(name).map_err(|error| bad("a scope", &error))
}

pub(super) fn scoped_stream(info: &proto::StreamInfo) -> Result<ScopedStream> {
    // The segments of tables are listed under names that are not valid for streams; `ScopedSegment`
    // knows them.
    let stream = Stream::internal(&info.stream).map_err(|error| bad("a stream", &error))?;
    Ok(ScopedStream::new(scope(&info.scope)?, stream))
}

pub(super) fn scoped_table(info: &proto::KeyValueTableInfo) -> Result<ScopedKeyValueTable> {
    let table = info.kvt_name.parse().map_err(|error| bad("a table", &error))?;
    Ok(ScopedKeyValueTable::new(scope(&info.scope)?, table))
}

fn key_range(low: f64, high: f64) -> Result<KeyRange> {
    KeyRange::new(low, high).map_err(|error| bad("a key range", &error))
}

fn segment_with_range(range: &proto::SegmentRange) -> Result<SegmentWithRange> {
    let id = range.segment_id.as_ref().ok_or_else(|| missing("a segment id"))?;
    Ok(SegmentWithRange {
        id: id.segment_id.into(),
        range: key_range(range.min_key, range.max_key)?,
    })
}

pub(super) fn segments_with_ranges(
    ranges: &[proto::SegmentRange],
) -> Result<Vec<SegmentWithRange>> {
    let mut segments = ranges.iter().map(segment_with_range).collect::<Result<Vec<_>>>()?;
    segments.sort_by(|a, b| a.range.low().total_cmp(&b.range.low()));
    Ok(segments)
}

/// Converts segments, which must cover the whole key space; a sealed stream has none.
pub(super) fn covering_segments(ranges: &[proto::SegmentRange]) -> Result<Vec<SegmentWithRange>> {
    let segments = segments_with_ranges(ranges)?;
    let mut reached = 0.0;
    for segment in &segments {
        if (segment.range.low() - reached).abs() > BOUND_TOLERANCE {
            return Err(bad(
                "key ranges",
                &format_args!("{} does not start at {reached}", segment.range),
            ));
        }
        reached = segment.range.high();
    }
    if !segments.is_empty() && (1.0 - reached).abs() > BOUND_TOLERANCE {
        return Err(bad("key ranges", &format_args!("the last ends at {reached}")));
    }
    Ok(segments)
}

pub(super) fn scoped_segment(id: &proto::SegmentId) -> Result<ScopedSegment> {
    let info = id.stream_info.as_ref().ok_or_else(|| missing("a stream"))?;
    Ok(ScopedSegment::new(&scoped_stream(info)?, SegmentId::from(id.segment_id)))
}

pub(super) fn successors(response: &proto::SuccessorResponse) -> Result<Vec<Successor>> {
    let successor = |entry: &proto::successor_response::SegmentEntry| {
        let segment =
            segment_with_range(entry.segment.as_ref().ok_or_else(|| missing("a segment"))?)?;
        let predecessors = entry.value.iter().map(|id| SegmentId::from(*id)).collect();
        Ok(Successor { id: segment.id, range: segment.range, predecessors })
    };
    response.segments.iter().map(successor).collect()
}

pub(super) fn head(response: &proto::SegmentsAtTime) -> Result<Vec<(SegmentId, Offset)>> {
    let place = |location: &proto::segments_at_time::SegmentLocation| {
        let id = location.segment_id.as_ref().ok_or_else(|| missing("a segment id"))?;
        Ok((SegmentId::from(id.segment_id), Offset(location.offset)))
    };
    response.segments.iter().map(place).collect()
}

pub(super) fn configuration(config: &proto::StreamConfig) -> Result<StreamConfiguration> {
    let scaling = config.scaling_policy.as_ref().map(scaling_from).transpose()?.unwrap_or_default();
    let retention = config.retention_policy.as_ref().map(retention_from).transpose()?.flatten();
    let tags = config.tags.iter().flat_map(|tags| &tags.tag).map(|tag| Tag::new(tag.clone()));
    let tags =
        tags.collect::<std::result::Result<Vec<_>, _>>().map_err(|error| bad("a tag", &error))?;
    let number = |what, value: i64| u64::try_from(value).map_err(|_| bad(what, &value));
    let timeout = number("a timeout", config.timestamp_aggregation_timeout)?;
    let configuration = StreamConfiguration::default()
        .with_scaling(scaling)
        .with_timestamp_aggregation_timeout(Duration::from_millis(timeout))
        .with_rollover_size_bytes(number("a rollover size", config.rollover_size_bytes)?);
    let configuration = configuration.with_tags(tags).map_err(|error| bad("tags", &error))?;
    configuration.with_retention(retention).map_err(|error| bad("a retention policy", &error))
}

fn scaling_from(policy: &proto::ScalingPolicy) -> Result<ScalingPolicy> {
    let number = |what, value: i32| {
        u32::try_from(value).ok().and_then(NonZeroU32::new).ok_or_else(|| bad(what, &value))
    };
    let min_segments = number("a number of segments", policy.min_num_segments)?;
    let rate = || number("a target rate", policy.target_rate);
    let scale_factor = || number("a scale factor", policy.scale_factor);
    Ok(match ScalingPolicyType::try_from(policy.scale_type) {
        Ok(ScalingPolicyType::FixedNumSegments) => ScalingPolicy::Fixed { segments: min_segments },
        Ok(ScalingPolicyType::ByRateInKbytesPerSec) => ScalingPolicy::ByDataRate {
            kib_per_second: rate()?,
            scale_factor: scale_factor()?,
            min_segments,
        },
        Ok(ScalingPolicyType::ByRateInEventsPerSec) => ScalingPolicy::ByEventRate {
            events_per_second: rate()?,
            scale_factor: scale_factor()?,
            min_segments,
        },
        Err(_) => return Err(bad("a scaling policy", &policy.scale_type)),
    })
}

fn retention_from(policy: &proto::RetentionPolicy) -> Result<Option<RetentionPolicy>> {
    let number = |value: i64| u64::try_from(value).map_err(|_| bad("a retention limit", &value));
    // The largest number means no limit; old servers leave it at 0.
    let max = match policy.retention_max {
        0 | i64::MAX => None,
        max => Some(number(max)?),
    };
    Ok(match RetentionPolicyType::try_from(policy.retention_type) {
        Ok(RetentionPolicyType::Unknown) => None,
        Ok(RetentionPolicyType::Time) => Some(RetentionPolicy::ByTime {
            min: Duration::from_millis(number(policy.retention_param)?),
            max: max.map(Duration::from_millis),
        }),
        Ok(RetentionPolicyType::Size) => Some(RetentionPolicy::BySize {
            min_bytes: number(policy.retention_param)?,
            max_bytes: max,
        }),
        Err(_) => return Err(bad("a retention policy", &policy.retention_type)),
    })
}

pub(super) fn table_configuration(
    config: &proto::KeyValueTableConfig,
) -> Result<KeyValueTableConfiguration> {
    let number = |what, value: i32| u32::try_from(value).map_err(|_| bad(what, &value));
    Ok(KeyValueTableConfiguration {
        partition_count: number("a number of partitions", config.partition_count)?,
        primary_key_length: number("a key length", config.primary_key_length)?,
        secondary_key_length: number("a key length", config.secondary_key_length)?,
        rollover_size_bytes: u64::try_from(config.rollover_size_bytes)
            .map_err(|_| bad("a rollover size", &config.rollover_size_bytes))?,
    })
}

pub(super) fn group_configuration(
    config: &proto::ReaderGroupConfiguration,
) -> Result<ReaderGroupConfiguration> {
    let mut streams: Vec<GroupStream> = Vec::new();
    for cut in &config.starting_stream_cuts {
        let (stream, from) = group_cut(cut)?;
        streams.push(GroupStream { stream, from, to: StreamCut::Unbounded });
    }
    for cut in &config.ending_stream_cuts {
        let (stream, to) = group_cut(cut)?;
        match streams.iter_mut().find(|entry| entry.stream == stream) {
            Some(entry) => entry.to = to,
            None => streams.push(GroupStream { stream, from: StreamCut::Unbounded, to }),
        }
    }
    let interval = |what, value: i64| {
        u64::try_from(value).map(Duration::from_millis).map_err(|_| bad(what, &value))
    };
    let checkpoints = match config.automatic_checkpoint_interval_millis {
        NO_CHECKPOINTS => None,
        value => Some(interval("a checkpoint interval", value)?),
    };
    let outstanding = config.max_outstanding_checkpoint_request;
    let outstanding = u32::try_from(outstanding)
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(|| bad("a number of checkpoints", &outstanding))?;
    let retention = match config.retention_type {
        0 => GroupRetention::None,
        1 => GroupRetention::ManualReleaseAtUserStreamCut,
        2 => GroupRetention::AutomaticReleaseAtLastCheckpoint,
        other => return Err(bad("a retention type", &other)),
    };
    let id =
        config.reader_group_id.parse().map_err(|_| bad("a group id", &config.reader_group_id))?;
    let configuration = ReaderGroupConfiguration::bounded(streams)
        .map_err(|error| bad("a group configuration", &error))?;
    Ok(configuration
        .with_refresh_interval(interval("a refresh interval", config.group_refresh_time_millis)?)
        .with_automatic_checkpoint_interval(checkpoints)
        .with_max_outstanding_checkpoints(outstanding)
        .with_retention(retention)
        .with_identity(id, (config.generation >= 0).then_some(config.generation)))
}

fn group_cut(cut: &proto::StreamCut) -> Result<(ScopedStream, StreamCut)> {
    let stream = scoped_stream(cut.stream_info.as_ref().ok_or_else(|| missing("a stream"))?)?;
    if cut.cut.is_empty() {
        return Ok((stream, StreamCut::Unbounded));
    }
    let positions = cut
        .cut
        .iter()
        .map(|(id, offset)| (SegmentId::from(*id), SegmentOffset::from_wire(*offset)));
    let cut = BoundedCut::new(stream.clone(), positions).map_err(|error| bad("a cut", &error))?;
    Ok((stream, cut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(id: i64, min_key: f64, max_key: f64) -> proto::SegmentRange {
        proto::SegmentRange {
            segment_id: Some(proto::SegmentId { stream_info: None, segment_id: id }),
            min_key,
            max_key,
        }
    }

    #[test]
    fn keys_of_a_table_have_256_bytes_at_most() {
        let table = "scope/table".parse().unwrap();
        let of = |primary, secondary| {
            let configuration = KeyValueTableConfiguration::new(1, primary);
            table_config(&table, &configuration.with_secondary_key_length(secondary))
        };
        assert!(of(256, 0).is_ok() && of(200, 56).is_ok());
        for (primary, secondary) in [(257, 0), (200, 57), (u32::MAX, u32::MAX), (0, 8)] {
            let error = of(primary, secondary).unwrap_err();
            assert_eq!(error.kind(), pravega_sdk_types::ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn ranges_with_holes_are_a_protocol_error_that_names_the_range() {
        let hole = covering_segments(&[range(0, 0.0, 0.4), range(1, 0.5, 1.0)]).unwrap_err();
        assert_eq!(hole.kind(), pravega_sdk_types::ErrorKind::Protocol);
        assert!(hole.to_string().contains("[0.5, 1)"), "{hole}");
        assert!(covering_segments(&[range(0, 0.0, 0.4)]).is_err());
        assert!(covering_segments(&[range(0, f64::NAN, 1.0)]).is_err());
        assert!(covering_segments(&[]).unwrap().is_empty(), "a sealed stream has no segments");
        let rounded: Vec<_> = KeyRange::equal(49)
            .iter()
            .zip(0..)
            .map(|(r, id)| range(id, r.low(), r.high()))
            .collect();
        assert_eq!(
            covering_segments(&rounded).unwrap().len(),
            49,
            "the controller's rounding is taken"
        );
    }

    #[test]
    fn an_address_of_every_interface_becomes_the_host_of_the_controller() {
        let asked: Endpoint = "controller:9090".parse().unwrap();
        let uri = |endpoint: &str, port| proto::NodeUri { endpoint: endpoint.to_owned(), port };
        assert_eq!(endpoint(&uri("0.0.0.0", 6000), &asked).unwrap().to_string(), "controller:6000");
        assert_eq!(endpoint(&uri("store", 6000), &asked).unwrap().to_string(), "store:6000");
        for (host, port) in [("", 6000), ("store", 0), ("store", -1), ("store", 70_000), ("a b", 1)]
        {
            assert!(endpoint(&uri(host, port), &asked).is_err(), "{host}:{port}");
        }
    }

    #[test]
    fn configurations_come_back_from_their_messages() {
        let stream: ScopedStream = "a/b".parse().unwrap();
        let rate = NonZeroU32::new(100).unwrap();
        let policies = [
            ScalingPolicy::fixed(3),
            ScalingPolicy::ByDataRate {
                kib_per_second: rate,
                scale_factor: rate,
                min_segments: rate,
            },
            ScalingPolicy::ByEventRate {
                events_per_second: rate,
                scale_factor: rate,
                min_segments: rate,
            },
        ];
        let retentions = [
            None,
            Some(RetentionPolicy::ByTime { min: Duration::from_secs(1), max: None }),
            Some(RetentionPolicy::BySize { min_bytes: 1, max_bytes: Some(2) }),
        ];
        for scaling in policies {
            for retention in retentions {
                let sent = StreamConfiguration::default()
                    .with_scaling(scaling)
                    .with_tags([Tag::new("t").unwrap()])
                    .unwrap()
                    .with_retention(retention)
                    .unwrap()
                    .with_rollover_size_bytes(7);
                assert_eq!(configuration(&stream_config(&stream, &sent).unwrap()).unwrap(), sent);
            }
        }
    }

    #[test]
    fn group_configurations_come_back_from_their_messages() {
        let cut =
            BoundedCut::new("a/b".parse().unwrap(), [(SegmentId::from(0), Offset(5))]).unwrap();
        let entry = GroupStream {
            stream: "a/b".parse().unwrap(),
            from: cut.into(),
            to: StreamCut::Unbounded,
        };
        let sent = ReaderGroupConfiguration::bounded([entry])
            .unwrap()
            .with_automatic_checkpoint_interval(None)
            .with_retention(GroupRetention::AutomaticReleaseAtLastCheckpoint)
            .with_identity(uuid::Uuid::from_u128(7), Some(3));
        let group: ScopedReaderGroup = "a/g".parse().unwrap();
        assert_eq!(group_configuration(&group_config(&group, &sent).unwrap()).unwrap(), sent);
    }
}
