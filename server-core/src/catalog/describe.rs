//! What there is, as the REST service shows it. The names of the fields are those of Pravega's REST
//! interface.

use pravega_sdk_proto::{
    RetentionPolicy, StreamConfig, retention_policy::RetentionPolicyType,
    scaling_policy::ScalingPolicyType,
};
use serde_json::{Value, json};

use super::{names, stream::Stream};
use crate::machine::Machine;

/// Which streams of a scope are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFilter {
    /// Those that users made.
    Own,
    /// Those of Pravega itself.
    Internal,
    Tagged(String),
}

impl Machine {
    pub fn describe_scopes(&self) -> Value {
        let scopes: Vec<Value> =
            self.catalog.scopes.keys().map(|scope| json!({ "scopeName": scope })).collect();
        json!({ "scopes": scopes })
    }

    pub fn describe_scope(&self, scope: &str) -> Option<Value> {
        self.catalog.scopes.contains_key(scope).then(|| json!({ "scopeName": scope }))
    }

    pub fn describe_streams(&self, scope: &str, filter: &StreamFilter) -> Option<Value> {
        let found = self.catalog.scopes.get(scope)?;
        let wanted = |(name, stream): &(&String, &Stream)| match filter {
            StreamFilter::Own => !names::is_internal(name),
            StreamFilter::Internal => names::is_internal(name),
            StreamFilter::Tagged(tag) => stream.has_tag(tag),
        };
        let shown = found
            .streams
            .iter()
            .filter(wanted)
            .map(|(name, stream)| shown(scope, name, &stream.config));
        Some(json!({ "streams": shown.collect::<Vec<_>>() }))
    }

    pub fn describe_stream(&self, scope: &str, stream: &str) -> Option<Value> {
        Some(shown(scope, stream, &self.catalog.stream(scope, stream)?.config))
    }

    /// The epochs of a stream that began within a time, in milliseconds since 1970.
    pub fn describe_scaling(&self, scope: &str, stream: &str, from: i64, to: i64) -> Option<Value> {
        let found = self.catalog.stream(scope, stream)?;
        let within = found.epochs.iter().filter(|epoch| (from..=to).contains(&epoch.at));
        let event = |epoch: &super::stream::Epoch| {
            let segment = |part: &super::stream::Part| {
                let made =
                    usize::try_from(part.made_in()).ok().and_then(|made| found.epochs.get(made));
                let since = made.map_or(epoch.at, |made| made.at);
                json!({ "number": part.id, "startTime": since, "keyStart": part.low, "keyEnd": part.high })
            };
            json!({ "timestamp": epoch.at, "segmentList": epoch.segments.iter().map(segment).collect::<Vec<_>>() })
        };
        Some(within.map(event).collect())
    }

    pub fn describe_groups(&self, scope: &str) -> Option<Value> {
        let found = self.catalog.scopes.get(scope)?;
        let groups: Vec<Value> =
            found.groups.keys().map(|group| json!({ "readerGroupName": group })).collect();
        Some(json!({ "readerGroups": groups }))
    }

    /// Who is online stands in the group's own state, which the server does not look into.
    pub fn describe_group(&self, scope: &str, group: &str) -> Option<Value> {
        let found = self.catalog.scopes.get(scope)?.groups.get(group)?;
        let stream =
            |cut: &pravega_sdk_proto::StreamCut| cut.stream_info.clone().unwrap_or_default().stream;
        let streams: Vec<String> = found.config.starting_stream_cuts.iter().map(stream).collect();
        Some(json!({ "scopeName": scope, "readerGroupName": group, "streamList": streams }))
    }
}

fn shown(scope: &str, stream: &str, config: &StreamConfig) -> Value {
    let scaling = config.scaling_policy.unwrap_or_default();
    let kind = match scaling.scale_type() {
        ScalingPolicyType::FixedNumSegments => "FIXED_NUM_SEGMENTS",
        ScalingPolicyType::ByRateInKbytesPerSec => "BY_RATE_IN_KBYTES_PER_SEC",
        ScalingPolicyType::ByRateInEventsPerSec => "BY_RATE_IN_EVENTS_PER_SEC",
    };
    let mut shown = json!({
        "scopeName": scope,
        "streamName": stream,
        "scalingPolicy": {
            "type": kind,
            "targetRate": scaling.target_rate,
            "scaleFactor": scaling.scale_factor,
            "minSegments": scaling.min_num_segments,
        },
        "tags": config.tags.as_ref().map_or(&[][..], |tags| &tags.tag),
        "timestampAggregationTimeout": config.timestamp_aggregation_timeout,
        "rolloverSizeBytes": config.rollover_size_bytes,
    });
    if let (Some(policy), Some(shown)) =
        (config.retention_policy.and_then(retention), shown.as_object_mut())
    {
        shown.insert("retentionPolicy".to_owned(), policy);
    }
    shown
}

fn retention(policy: RetentionPolicy) -> Option<Value> {
    const MINUTE: i64 = 60_000;
    let time = |millis: i64| {
        let minutes = millis / MINUTE;
        json!({ "days": minutes / 1440, "hours": minutes / 60 % 24, "minutes": minutes % 60 })
    };
    const MEGABYTE: i64 = 1 << 20;
    match policy.retention_type() {
        RetentionPolicyType::Unknown => None,
        RetentionPolicyType::Time => Some(json!({
            "type": "LIMITED_DAYS",
            "value": policy.retention_param / (1440 * MINUTE),
            "timeBasedRetention": time(policy.retention_param),
            "maxTimeBasedRetention": time(policy.retention_max),
        })),
        RetentionPolicyType::Size => Some(json!({
            "type": "LIMITED_SIZE_MB",
            "value": policy.retention_param / MEGABYTE,
            "maxValue": policy.retention_max / MEGABYTE,
        })),
    }
}
