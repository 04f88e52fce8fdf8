//! The settings of a stream as JSON, with the names of Pravega's REST interface.

use pravega_sdk_proto::{
    RetentionPolicy, ScalingPolicy, StreamConfig, StreamInfo, Tags,
    retention_policy::RetentionPolicyType, scaling_policy::ScalingPolicyType,
};
use serde::{Deserialize, Serialize};

use super::call::Refusal;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const MEGABYTE: i64 = 1 << 20;

/// The settings of a stream in a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    scaling_policy: Scaling,
    retention_policy: Option<Retention>,
    stream_tags: Option<Vec<String>>,
    timestamp_aggregation_timeout: Option<i64>,
    rollover_size_bytes: Option<i64>,
}

/// A stream in a response.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamProperty {
    scope_name: String,
    stream_name: String,
    scaling_policy: Scaling,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_policy: Option<Retention>,
    tags: Vec<String>,
    timestamp_aggregation_timeout: i64,
    rollover_size_bytes: i64,
}

/// How a stream scales.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scaling {
    #[serde(rename = "type")]
    kind: ScalingKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_rate: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale_factor: Option<i32>,
    min_segments: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ScalingKind {
    FixedNumSegments,
    ByRateInKbytesPerSec,
    ByRateInEventsPerSec,
}

/// What a stream keeps.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retention {
    #[serde(rename = "type")]
    kind: RetentionKind,
    /// In days or in MiB.
    value: i64,
    /// Counts if `value` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_based_retention: Option<Period>,
    /// The upper limit; never in a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_value: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_time_based_retention: Option<Period>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum RetentionKind {
    #[serde(rename = "LIMITED_DAYS")]
    Days,
    #[serde(rename = "LIMITED_SIZE_MB")]
    Megabytes,
}

/// A length of time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Period {
    days: i64,
    hours: i64,
    minutes: i64,
}

impl Settings {
    /// The configuration of a stream with these settings.
    pub(super) fn into_config(self, scope: &str, stream: &str) -> Result<StreamConfig, Refusal> {
        let rollover_size_bytes = self.rollover_size_bytes.unwrap_or_default();
        if rollover_size_bytes < 0 {
            return Err(Refusal::bad("rolloverSizeBytes must not be negative"));
        }
        let mut tag = self.stream_tags.unwrap_or_default();
        tag.sort_unstable();
        tag.dedup();
        Ok(StreamConfig {
            stream_info: Some(StreamInfo {
                scope: scope.to_owned(),
                stream: stream.to_owned(),
                access_operation: 0,
            }),
            scaling_policy: Some(self.scaling_policy.into_message()?),
            retention_policy: self.retention_policy.map(Retention::into_message).transpose()?,
            tags: Some(Tags { tag }),
            timestamp_aggregation_timeout: self.timestamp_aggregation_timeout.unwrap_or_default(),
            rollover_size_bytes,
        })
    }
}

impl StreamProperty {
    /// Shows the configuration of a stream.
    pub(super) fn of(scope: &str, stream: &str, config: StreamConfig) -> Self {
        Self {
            scope_name: scope.to_owned(),
            stream_name: stream.to_owned(),
            scaling_policy: Scaling::of(config.scaling_policy.unwrap_or_default()),
            retention_policy: config.retention_policy.and_then(Retention::of),
            tags: config.tags.unwrap_or_default().tag,
            timestamp_aggregation_timeout: config.timestamp_aggregation_timeout,
            rollover_size_bytes: config.rollover_size_bytes,
        }
    }
}

impl Scaling {
    fn into_message(self) -> Result<ScalingPolicy, Refusal> {
        let positive = |name: &str, value: Option<i32>| match value {
            Some(value @ 1..) => Ok(value),
            _ => Err(Refusal::bad(format!("{name} must be a number above 0"))),
        };
        let scale_type = match self.kind {
            ScalingKind::FixedNumSegments => ScalingPolicyType::FixedNumSegments,
            ScalingKind::ByRateInKbytesPerSec => ScalingPolicyType::ByRateInKbytesPerSec,
            ScalingKind::ByRateInEventsPerSec => ScalingPolicyType::ByRateInEventsPerSec,
        };
        let (target_rate, scale_factor) = match self.kind {
            ScalingKind::FixedNumSegments => (0, 0),
            _ => (
                positive("targetRate", self.target_rate)?,
                positive("scaleFactor", self.scale_factor)?,
            ),
        };
        Ok(ScalingPolicy {
            scale_type: scale_type.into(),
            target_rate,
            scale_factor,
            min_num_segments: positive("minSegments", Some(self.min_segments))?,
        })
    }

    fn of(policy: ScalingPolicy) -> Self {
        let kind = match policy.scale_type() {
            ScalingPolicyType::FixedNumSegments => ScalingKind::FixedNumSegments,
            ScalingPolicyType::ByRateInKbytesPerSec => ScalingKind::ByRateInKbytesPerSec,
            ScalingPolicyType::ByRateInEventsPerSec => ScalingKind::ByRateInEventsPerSec,
        };
        let by_rate = kind != ScalingKind::FixedNumSegments;
        Self {
            kind,
            target_rate: by_rate.then_some(policy.target_rate),
            scale_factor: by_rate.then_some(policy.scale_factor),
            min_segments: policy.min_num_segments,
        }
    }
}

impl Retention {
    fn into_message(self) -> Result<RetentionPolicy, Refusal> {
        let too_large = || Refusal::bad("a limit of retentionPolicy is too large");
        let megabytes = |value: i64| value.checked_mul(MEGABYTE).ok_or_else(too_large);
        let time = |days: i64, period: Option<Period>| {
            let millis = match period {
                Some(period) if days == 0 => period.millis(),
                _ => days.checked_mul(DAY),
            };
            millis.ok_or_else(too_large)
        };
        // Without an upper limit there is none: the protocol has a number for that.
        let unlimited = || Ok(i64::MAX);
        let (kind, retention_param, retention_max) = match self.kind {
            RetentionKind::Megabytes => (
                RetentionPolicyType::Size,
                megabytes(self.value)?,
                self.max_value.map_or_else(unlimited, megabytes)?,
            ),
            RetentionKind::Days => (
                RetentionPolicyType::Time,
                time(self.value, self.time_based_retention)?,
                match (self.max_value, self.max_time_based_retention) {
                    (None, None) => unlimited()?,
                    (days, period) => time(days.unwrap_or_default(), period)?,
                },
            ),
        };
        Ok(RetentionPolicy { retention_type: kind.into(), retention_param, retention_max })
    }

    /// `None` if the stream keeps everything.
    fn of(policy: RetentionPolicy) -> Option<Self> {
        let param = policy.retention_param;
        let (kind, value, time_based_retention) = match policy.retention_type() {
            RetentionPolicyType::Unknown => return None,
            RetentionPolicyType::Size => (RetentionKind::Megabytes, param / MEGABYTE, None),
            RetentionPolicyType::Time => {
                let value = if param % DAY == 0 { param / DAY } else { 0 };
                (RetentionKind::Days, value, Some(Period::of(param)))
            }
        };
        let (max_value, max_time_based_retention) = (None, None);
        Some(Self { kind, value, time_based_retention, max_value, max_time_based_retention })
    }
}

impl Period {
    fn of(millis: i64) -> Self {
        Self { days: millis / DAY, hours: millis % DAY / HOUR, minutes: millis % HOUR / MINUTE }
    }

    fn millis(self) -> Option<i64> {
        let days = self.days.checked_mul(DAY)?;
        let hours = self.hours.checked_mul(HOUR)?;
        let minutes = self.minutes.checked_mul(MINUTE)?;
        days.checked_add(hours)?.checked_add(minutes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(settings: Value) -> Result<StreamConfig, Refusal> {
        serde_json::from_value::<Settings>(settings).unwrap().into_config("s", "t")
    }

    fn fixed(count: i32) -> Value {
        json!({ "type": "FIXED_NUM_SEGMENTS", "minSegments": count })
    }

    #[test]
    fn settings_come_back_as_they_were_set() {
        let scaling = [
            fixed(3),
            json!({
                "type": "BY_RATE_IN_KBYTES_PER_SEC",
                "targetRate": 7, "scaleFactor": 2, "minSegments": 1,
            }),
            json!({
                "type": "BY_RATE_IN_EVENTS_PER_SEC",
                "targetRate": 7, "scaleFactor": 2, "minSegments": 1,
            }),
        ];
        let period =
            |days, hours, minutes| json!({ "days": days, "hours": hours, "minutes": minutes });
        let retention = [
            json!({ "type": "LIMITED_SIZE_MB", "value": 5 }),
            json!({ "type": "LIMITED_DAYS", "value": 2, "timeBasedRetention": period(2, 0, 0) }),
            json!({ "type": "LIMITED_DAYS", "value": 0, "timeBasedRetention": period(1, 23, 59) }),
        ];
        for (scaling, retention) in scaling.iter().zip(&retention) {
            let settings = json!({
                "scalingPolicy": scaling,
                "retentionPolicy": retention,
                "streamTags": ["b", "a", "b"],
                "timestampAggregationTimeout": 1000,
                "rolloverSizeBytes": 4096,
            });
            let shown = StreamProperty::of("s", "t", config(settings).unwrap());
            assert_eq!(
                serde_json::to_value(shown).unwrap(),
                json!({
                    "scopeName": "s",
                    "streamName": "t",
                    "scalingPolicy": scaling,
                    "retentionPolicy": retention,
                    "tags": ["a", "b"],
                    "timestampAggregationTimeout": 1000,
                    "rolloverSizeBytes": 4096,
                })
            );
        }
    }

    #[test]
    fn an_upper_limit_is_kept_and_none_is_unlimited() {
        let retention = |retention: Value| {
            let settings = json!({ "scalingPolicy": fixed(1), "retentionPolicy": retention });
            let policy = config(settings).unwrap().retention_policy.unwrap();
            (policy.retention_param, policy.retention_max)
        };
        let size = json!({ "type": "LIMITED_SIZE_MB", "value": 1 });
        assert_eq!(retention(size), (MEGABYTE, i64::MAX));
        let size = json!({ "type": "LIMITED_SIZE_MB", "value": 1, "maxValue": 3 });
        assert_eq!(retention(size), (MEGABYTE, 3 * MEGABYTE));
        let days = json!({ "type": "LIMITED_DAYS", "value": 1, "maxValue": 3 });
        assert_eq!(retention(days), (DAY, 3 * DAY));
        let days = json!({
            "type": "LIMITED_DAYS", "value": 1,
            "maxTimeBasedRetention": { "days": 1, "hours": 1, "minutes": 1 },
        });
        assert_eq!(retention(days), (DAY, DAY + HOUR + MINUTE));
    }

    #[test]
    fn settings_that_break_a_rule_are_refused() {
        let by_rate = json!({ "type": "BY_RATE_IN_KBYTES_PER_SEC", "minSegments": 1 });
        let large = i64::MAX;
        for bad in [
            json!({ "scalingPolicy": fixed(0) }),
            json!({ "scalingPolicy": by_rate }),
            json!({ "scalingPolicy": fixed(1), "rolloverSizeBytes": -1 }),
            json!({
                "scalingPolicy": fixed(1),
                "retentionPolicy": { "type": "LIMITED_SIZE_MB", "value": large },
            }),
            json!({
                "scalingPolicy": fixed(1),
                "retentionPolicy": { "type": "LIMITED_DAYS", "value": large },
            }),
            json!({
                "scalingPolicy": fixed(1),
                "retentionPolicy": {
                    "type": "LIMITED_DAYS", "value": 0,
                    "timeBasedRetention": { "days": large, "hours": 0, "minutes": 0 },
                },
            }),
        ] {
            assert_eq!(config(bad.clone()).unwrap_err().status().as_u16(), 400, "{bad}");
        }
    }
}
