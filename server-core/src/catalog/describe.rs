//! Descriptions of scopes, streams and groups, as the REST service shows them. The names of the
//! fields are those of Pravega's REST interface.

use pravega_sdk_proto::{
    RetentionPolicy, StreamConfig, StreamCut, retention_policy::RetentionPolicyType,
    scaling_policy::ScalingPolicyType,
};
use pravega_sdk_types::Epoch;
use serde::Serialize;

use super::{history::SegmentRecord, names, state::Catalog, stream::Stream};
use crate::record::Millis;

/// The streams of a scope that are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFilter {
    /// Streams that users created.
    Own,
    /// Streams that Pravega created.
    Internal,
    /// Streams with a tag.
    Tagged(String),
}

/// A scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeDescription {
    /// The name of the scope.
    pub scope_name: String,
}

/// All scopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScopeList {
    /// The scopes, by name.
    pub scopes: Vec<ScopeDescription>,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamDescription {
    /// The scope of the stream.
    pub scope_name: String,
    /// The name of the stream.
    pub stream_name: String,
    /// How the stream scales.
    pub scaling_policy: ScalingDescription,
    /// What the stream keeps; `None` if it keeps everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_policy: Option<RetentionDescription>,
    /// The tags of the stream.
    pub tags: Vec<String>,
    /// How long a writer may lag before watermarks leave it out, in milliseconds.
    pub timestamp_aggregation_timeout: i64,
    /// The size of a chunk in long-term storage, in bytes.
    pub rollover_size_bytes: i64,
}

/// The streams of a scope.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamList {
    /// The streams, by name.
    pub streams: Vec<StreamDescription>,
}

/// How a stream scales.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingDescription {
    /// The kind of policy.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The rate of one segment.
    pub target_rate: i32,
    /// The most segments of one split.
    pub scale_factor: i32,
    /// The fewest segments of the stream.
    pub min_segments: i32,
}

/// What a stream keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionDescription {
    /// The kind of policy.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The lower limit, in days or in MiB.
    pub value: i64,
    /// The upper limit in MiB, of a policy by size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_value: Option<i64>,
    /// The lower limit of a policy by time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_based_retention: Option<Period>,
    /// The upper limit of a policy by time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_time_based_retention: Option<Period>,
}

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Whole days.
    pub days: i64,
    /// Whole hours of the last day.
    pub hours: i64,
    /// Whole minutes of the last hour.
    pub minutes: i64,
}

/// An epoch of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingEvent {
    /// When the epoch began, in milliseconds since 1970.
    pub timestamp: i64,
    /// Its segments, in the order of their key ranges.
    pub segment_list: Vec<SegmentDescription>,
}

/// A segment of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentDescription {
    /// The id of the segment.
    pub number: i64,
    /// When the segment was created, in milliseconds since 1970.
    pub start_time: i64,
    /// The start of its key range.
    pub key_start: f64,
    /// The end of its key range.
    pub key_end: f64,
}

/// The reader groups of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupList {
    /// The groups, by name.
    pub reader_groups: Vec<GroupName>,
}

/// A reader group in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupName {
    /// The name of the group.
    pub reader_group_name: String,
}

/// A reader group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupDescription {
    /// The scope of the group.
    pub scope_name: String,
    /// The name of the group.
    pub reader_group_name: String,
    /// The streams that it reads. Its members are in the group's own state, which the server does
    /// not read.
    pub stream_list: Vec<String>,
}

impl Catalog {
    /// All scopes.
    pub fn describe_scopes(&self) -> ScopeList {
        let scope = |name: &String| ScopeDescription { scope_name: name.clone() };
        ScopeList { scopes: self.scopes.keys().map(scope).collect() }
    }

    /// A scope; `None` if it does not exist.
    pub fn describe_scope(&self, scope: &str) -> Option<ScopeDescription> {
        let exists = self.scopes.contains_key(scope);
        exists.then(|| ScopeDescription { scope_name: scope.to_owned() })
    }

    /// The streams of a scope; `None` if it does not exist.
    pub fn describe_streams(&self, scope: &str, filter: &StreamFilter) -> Option<StreamList> {
        let found = self.scopes.get(scope)?;
        let wanted = |(name, stream): &(&String, &Stream)| match filter {
            StreamFilter::Own => !names::is_internal(name),
            StreamFilter::Internal => names::is_internal(name),
            StreamFilter::Tagged(tag) => stream.has_tag(tag),
        };
        let wanted = found.streams.iter().filter(wanted);
        let streams = wanted.map(|(name, stream)| describe(scope, name, stream.config())).collect();
        Some(StreamList { streams })
    }

    /// A stream; `None` if it does not exist.
    pub fn describe_stream(&self, scope: &str, stream: &str) -> Option<StreamDescription> {
        Some(describe(scope, stream, self.stream(scope, stream)?.config()))
    }

    /// The epochs of a stream that began within a time, in milliseconds since 1970; `None` if the
    /// stream does not exist.
    pub fn describe_scaling(
        &self,
        scope: &str,
        stream: &str,
        within: std::ops::RangeInclusive<i64>,
    ) -> Option<Vec<ScalingEvent>> {
        let found = self.stream(scope, stream)?;
        let epochs = (0..=found.history.active_epoch().0).map(Epoch);
        let event = |epoch: Epoch| {
            let at = found.history.began(epoch).filter(|at| within.contains(&at.0))?;
            let segments = found.history.segments_of(epoch)?;
            let segment_list =
                segments.iter().map(|segment| describe_segment(*segment, found, at)).collect();
            Some(ScalingEvent { timestamp: at.0, segment_list })
        };
        Some(epochs.filter_map(event).collect())
    }

    /// The reader groups of a scope; `None` if it does not exist.
    pub fn describe_groups(&self, scope: &str) -> Option<GroupList> {
        let group = |name: &String| GroupName { reader_group_name: name.clone() };
        Some(GroupList {
            reader_groups: self.scopes.get(scope)?.groups.keys().map(group).collect(),
        })
    }

    /// A reader group; `None` if it does not exist.
    pub fn describe_group(&self, scope: &str, group: &str) -> Option<GroupDescription> {
        let found = self.group(scope, group)?;
        let stream = |cut: &StreamCut| cut.stream_info.clone().unwrap_or_default().stream;
        Some(GroupDescription {
            scope_name: scope.to_owned(),
            reader_group_name: group.to_owned(),
            stream_list: found.config().starting_stream_cuts.iter().map(stream).collect(),
        })
    }
}

fn describe_segment(segment: SegmentRecord, stream: &Stream, since: Millis) -> SegmentDescription {
    let created = stream.history.began(segment.epoch_created());
    SegmentDescription {
        number: segment.id.into(),
        start_time: created.unwrap_or(since).0,
        key_start: segment.low,
        key_end: segment.high,
    }
}

fn describe(scope: &str, stream: &str, config: &StreamConfig) -> StreamDescription {
    let scaling = config.scaling_policy.unwrap_or_default();
    let kind = match scaling.scale_type() {
        ScalingPolicyType::FixedNumSegments => "FIXED_NUM_SEGMENTS",
        ScalingPolicyType::ByRateInKbytesPerSec => "BY_RATE_IN_KBYTES_PER_SEC",
        ScalingPolicyType::ByRateInEventsPerSec => "BY_RATE_IN_EVENTS_PER_SEC",
    };
    StreamDescription {
        scope_name: scope.to_owned(),
        stream_name: stream.to_owned(),
        scaling_policy: ScalingDescription {
            kind,
            target_rate: scaling.target_rate,
            scale_factor: scaling.scale_factor,
            min_segments: scaling.min_num_segments,
        },
        retention_policy: config.retention_policy.and_then(describe_retention),
        tags: config.tags.as_ref().map_or_else(Vec::new, |tags| tags.tag.clone()),
        timestamp_aggregation_timeout: config.timestamp_aggregation_timeout,
        rollover_size_bytes: config.rollover_size_bytes,
    }
}

fn describe_retention(policy: RetentionPolicy) -> Option<RetentionDescription> {
    const MINUTE: i64 = 60_000;
    const MEGABYTE: i64 = 1 << 20;
    let period = |millis: i64| {
        let minutes = millis / MINUTE;
        Period { days: minutes / 1440, hours: minutes / 60 % 24, minutes: minutes % 60 }
    };
    match policy.retention_type() {
        RetentionPolicyType::Unknown => None,
        RetentionPolicyType::Time => Some(RetentionDescription {
            kind: "LIMITED_DAYS",
            value: policy.retention_param / (1440 * MINUTE),
            max_value: None,
            time_based_retention: Some(period(policy.retention_param)),
            max_time_based_retention: Some(period(policy.retention_max)),
        }),
        RetentionPolicyType::Size => Some(RetentionDescription {
            kind: "LIMITED_SIZE_MB",
            value: policy.retention_param / MEGABYTE,
            max_value: Some(policy.retention_max / MEGABYTE),
            time_based_retention: None,
            max_time_based_retention: None,
        }),
    }
}
