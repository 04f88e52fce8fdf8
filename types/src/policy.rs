//! How a stream scales, what it keeps, and how it is tagged.

use std::{fmt, num::NonZeroU32, time::Duration};

use crate::Printable;

/// Decides how many segments a stream has.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingPolicy {
    /// The stream has this many segments until somebody scales it.
    Fixed {
        /// Number of segments.
        segments: NonZeroU32,
    },
    /// The controller splits a segment that takes more than a rate of bytes, and merges those that
    /// take much less.
    ByDataRate {
        /// Target for each segment, in KiB a second.
        kib_per_second: NonZeroU32,
        /// Into how many a hot segment is split at once.
        scale_factor: NonZeroU32,
        /// The stream never has fewer segments.
        min_segments: NonZeroU32,
    },
    /// The controller splits a segment that takes more than a rate of events, and merges those that
    /// take much less.
    ByEventRate {
        /// Target for each segment, in events a second.
        events_per_second: NonZeroU32,
        /// Into how many a hot segment is split at once.
        scale_factor: NonZeroU32,
        /// The stream never has fewer segments.
        min_segments: NonZeroU32,
    },
}

impl ScalingPolicy {
    /// A stream of `segments` segments, at least one.
    #[must_use]
    pub fn fixed(segments: u32) -> Self {
        Self::Fixed { segments: NonZeroU32::new(segments).unwrap_or(NonZeroU32::MIN) }
    }

    /// The fewest segments the stream has.
    #[must_use]
    pub fn min_segments(&self) -> NonZeroU32 {
        match *self {
            Self::Fixed { segments } => segments,
            Self::ByDataRate { min_segments, .. } | Self::ByEventRate { min_segments, .. } => {
                min_segments
            }
        }
    }
}

impl Default for ScalingPolicy {
    /// One segment, for as long as nobody scales by hand.
    fn default() -> Self {
        Self::fixed(1)
    }
}

impl fmt::Display for ScalingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { segments } => write!(f, "fixed({segments})"),
            Self::ByDataRate { kib_per_second, scale_factor, min_segments } => {
                write!(
                    f,
                    "by-data-rate({kib_per_second} KiB/s, split by {scale_factor}, at least {min_segments})"
                )
            }
            Self::ByEventRate { events_per_second, scale_factor, min_segments } => {
                write!(
                    f,
                    "by-event-rate({events_per_second} events/s, split by {scale_factor}, at least {min_segments})"
                )
            }
        }
    }
}

/// Decides what the controller truncates from the front of a stream, about every 30 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionPolicy {
    /// Keeps what is younger than `min`, and truncates what is older than `max` even where a
    /// subscriber lags behind.
    ByTime {
        /// What is younger is kept.
        min: Duration,
        /// What is older goes, if there is a limit.
        max: Option<Duration>,
    },
    /// Keeps at least `min_bytes`, and no more than `max_bytes` even where a subscriber lags
    /// behind.
    BySize {
        /// This many bytes are kept.
        min_bytes: u64,
        /// What is more goes, if there is a limit.
        max_bytes: Option<u64>,
    },
}

impl fmt::Display for RetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByTime { min, max: None } => write!(f, "by-time({min:?})"),
            Self::ByTime { min, max: Some(max) } => write!(f, "by-time({min:?}..{max:?})"),
            Self::BySize { min_bytes, max_bytes: None } => write!(f, "by-size({min_bytes} bytes)"),
            Self::BySize { min_bytes, max_bytes: Some(max) } => {
                write!(f, "by-size({min_bytes}..{max} bytes)")
            }
        }
    }
}

/// A word by which streams can be listed: 1 to 255 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// Tells why a tag or a stream's configuration is refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A tag is empty: the controller fails where it is asked for such.
    #[error("a tag must not be empty")]
    EmptyTag,
    /// A tag is too long.
    #[error("tag \"{tag}\" has {len} characters, at most {max} are allowed", max = Tag::MAX_CHARS)]
    LongTag {
        /// The tag, cut.
        tag: String,
        /// Its length.
        len: usize,
    },
    /// A stream has too many tags.
    #[error("{count} tags are given, at most {max} are allowed", max = StreamConfiguration::MAX_TAGS)]
    TooManyTags {
        /// How many.
        count: usize,
    },
    /// The lower limit of a retention policy is above its upper one.
    #[error("the retention policy {0} keeps at least more than it keeps at most")]
    RetentionLimits(RetentionPolicy),
    /// A number is beyond what the controller's messages hold.
    #[error("{what} is too large")]
    TooLarge {
        /// Which number.
        what: &'static str,
    },
}

impl Tag {
    /// The longest tag: the server takes fewer than 256 characters.
    pub const MAX_CHARS: usize = 255;

    /// Checks a tag.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if it is empty or too long.
    pub fn new(tag: impl Into<String>) -> Result<Self, PolicyError> {
        let tag = tag.into();
        match tag.encode_utf16().count() {
            0 => Err(PolicyError::EmptyTag),
            len if len > Self::MAX_CHARS => {
                Err(PolicyError::LongTag { tag: Printable::with_limit(&tag, 40).to_string(), len })
            }
            _ => Ok(Self(tag)),
        }
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Tag {
    type Err = PolicyError;

    fn from_str(tag: &str) -> Result<Self, PolicyError> {
        Self::new(tag)
    }
}

/// Everything that can be set about a stream.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{ScalingPolicy, StreamConfiguration, Tag};
///
/// let configuration = StreamConfiguration::default()
///     .with_scaling(ScalingPolicy::fixed(4))
///     .with_tags([Tag::new("orders")?])?;
/// assert_eq!(configuration.scaling().min_segments().get(), 4);
/// # Ok::<(), pravega_sdk_types::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamConfiguration {
    scaling: ScalingPolicy,
    retention: Option<RetentionPolicy>,
    tags: Vec<Tag>,
    timestamp_aggregation_timeout: Duration,
    rollover_size_bytes: u64,
}

impl StreamConfiguration {
    /// The most tags a stream may have: the server takes fewer than 128.
    pub const MAX_TAGS: usize = 127;

    /// Sets how the stream scales. Default: one fixed segment.
    #[must_use]
    pub fn with_scaling(mut self, scaling: ScalingPolicy) -> Self {
        self.scaling = scaling;
        self
    }

    /// Sets what the stream keeps. Default: everything.
    ///
    /// # Errors
    ///
    /// [`PolicyError::RetentionLimits`] if the lower limit is above the upper one.
    pub fn with_retention(
        mut self,
        retention: impl Into<Option<RetentionPolicy>>,
    ) -> Result<Self, PolicyError> {
        let retention = retention.into();
        let crossed = match retention {
            Some(RetentionPolicy::ByTime { min, max: Some(max) }) => min > max,
            Some(RetentionPolicy::BySize { min_bytes, max_bytes: Some(max) }) => min_bytes > max,
            _ => false,
        };
        match retention {
            Some(policy) if crossed => Err(PolicyError::RetentionLimits(policy)),
            retention => {
                self.retention = retention;
                Ok(self)
            }
        }
    }

    /// Sets the tags, in place of those there were. Default: none. At most [`Self::MAX_TAGS`].
    ///
    /// # Errors
    ///
    /// [`PolicyError::TooManyTags`].
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = Tag>) -> Result<Self, PolicyError> {
        self.tags = tags.into_iter().collect();
        self.tags.sort();
        self.tags.dedup();
        match self.tags.len() {
            count if count > Self::MAX_TAGS => Err(PolicyError::TooManyTags { count }),
            _ => Ok(self),
        }
    }

    /// Sets after how long a writer that notes no time stops counting for watermarks. Default:
    /// zero, which is at the first round in which it is behind.
    #[must_use]
    pub fn with_timestamp_aggregation_timeout(mut self, timeout: Duration) -> Self {
        self.timestamp_aggregation_timeout = timeout;
        self
    }

    /// Sets how large a piece of a segment in long-term storage may grow, in bytes. Default: 0, the
    /// server's own choice.
    #[must_use]
    pub fn with_rollover_size_bytes(mut self, bytes: u64) -> Self {
        self.rollover_size_bytes = bytes;
        self
    }

    /// How the stream scales.
    #[must_use]
    pub fn scaling(&self) -> ScalingPolicy {
        self.scaling
    }

    /// What the stream keeps.
    #[must_use]
    pub fn retention(&self) -> Option<RetentionPolicy> {
        self.retention
    }

    /// The tags, sorted.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// After how long a writer that notes no time stops counting for watermarks.
    #[must_use]
    pub fn timestamp_aggregation_timeout(&self) -> Duration {
        self.timestamp_aggregation_timeout
    }

    /// How large a piece of a segment in long-term storage may grow, in bytes; 0 is the server's
    /// own choice.
    #[must_use]
    pub fn rollover_size_bytes(&self) -> u64 {
        self.rollover_size_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_held_at_their_limits() {
        assert!(Tag::new("x".repeat(255)).is_ok());
        assert!(matches!(Tag::new("x".repeat(256)), Err(PolicyError::LongTag { len: 256, .. })));
        assert_eq!(Tag::new(""), Err(PolicyError::EmptyTag));
        let tags = |count: usize| (0..count).map(|i| Tag::new(format!("t{i}")).unwrap());
        assert!(StreamConfiguration::default().with_tags(tags(127)).is_ok());
        assert_eq!(
            StreamConfiguration::default().with_tags(tags(128)),
            Err(PolicyError::TooManyTags { count: 128 })
        );
    }

    #[test]
    fn crossed_retention_limits_are_refused() {
        let crossed = RetentionPolicy::BySize { min_bytes: 2, max_bytes: Some(1) };
        assert!(StreamConfiguration::default().with_retention(crossed).is_err());
        assert!(StreamConfiguration::default().with_retention(None).is_ok());
    }
}
