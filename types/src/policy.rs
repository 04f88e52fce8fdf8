//! Policies of streams: scaling, retention and tags.

use std::{fmt, num::NonZeroU32, time::Duration};

use crate::{ErrorKind, Printable, classify};

/// Decides how many segments a stream has.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingPolicy {
    /// The stream has this many segments until it is scaled manually.
    Fixed {
        /// Number of segments.
        segments: NonZeroU32,
    },
    /// The controller splits a segment that receives more than a rate of bytes, and merges segments
    /// that receive much less.
    ByDataRate {
        /// Target rate of each segment, in KiB per second.
        kib_per_second: NonZeroU32,
        /// Number of segments that a hot segment is split into.
        scale_factor: NonZeroU32,
        /// Minimum number of segments.
        min_segments: NonZeroU32,
    },
    /// The controller splits a segment that receives more than a rate of events, and merges
    /// segments that receive much less.
    ByEventRate {
        /// Target rate of each segment, in events per second.
        events_per_second: NonZeroU32,
        /// Number of segments that a hot segment is split into.
        scale_factor: NonZeroU32,
        /// Minimum number of segments.
        min_segments: NonZeroU32,
    },
}

impl ScalingPolicy {
    /// Creates a policy of `segments` segments, at least one.
    #[must_use]
    pub fn fixed(segments: u32) -> Self {
        Self::Fixed { segments: NonZeroU32::new(segments).unwrap_or(NonZeroU32::MIN) }
    }

    /// Returns the minimum number of segments.
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
    /// One segment, until the stream is scaled manually.
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
                    "by-data-rate({kib_per_second} KiB/s, split by {scale_factor}, \
                     at least {min_segments})"
                )
            }
            Self::ByEventRate { events_per_second, scale_factor, min_segments } => {
                write!(
                    f,
                    "by-event-rate({events_per_second} events/s, split by {scale_factor}, \
                     at least {min_segments})"
                )
            }
        }
    }
}

/// Decides what the controller truncates from the front of a stream, about every 30 minutes.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionPolicy {
    /// Keeps data younger than `min`, and truncates data older than `max` even if a subscriber has
    /// not read it.
    ByTime {
        /// Younger data is kept.
        min: Duration,
        /// Older data is truncated; `None` means no limit.
        max: Option<Duration>,
    },
    /// Keeps at least `min_bytes`, and at most `max_bytes` even if a subscriber has not read
    /// them.
    BySize {
        /// Number of bytes kept.
        min_bytes: u64,
        /// Maximum number of bytes; `None` means no limit.
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

/// A label by which streams can be listed: 1 to 255 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// A tag or a stream's configuration that is refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A tag is empty. The controller fails to list streams by it.
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
    #[error(
        "{count} tags are given, at most {max} are allowed",
        max = StreamConfiguration::MAX_TAGS
    )]
    TooManyTags {
        /// Number of tags.
        count: usize,
    },
    /// The lower limit of a retention policy is above its upper one.
    #[error("the retention policy {0} has a lower limit above its upper limit")]
    RetentionLimits(RetentionPolicy),
    /// A number does not fit the controller's messages.
    #[error("{what} is too large")]
    TooLarge {
        /// The number's name.
        what: &'static str,
    },
}

classify!(PolicyError, |_| ErrorKind::InvalidArgument);

impl Tag {
    /// Maximum length of a tag: the server accepts fewer than 256 characters.
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

    /// Returns the tag as text.
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

/// The configuration of a stream.
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
    /// Maximum number of tags: the server accepts fewer than 128.
    pub const MAX_TAGS: usize = 127;

    /// Sets the scaling policy. Default: one fixed segment.
    #[must_use]
    pub fn with_scaling(mut self, scaling: ScalingPolicy) -> Self {
        self.scaling = scaling;
        self
    }

    /// Sets the retention policy. Default: `None`, which keeps everything.
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

    /// Sets the tags, and replaces the present ones. Default: no tags. At most [`Self::MAX_TAGS`].
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

    /// Sets the time after which a writer that notes no time no longer counts for watermarks.
    /// Default: zero, the first round in which it is late.
    #[must_use]
    pub fn with_timestamp_aggregation_timeout(mut self, timeout: Duration) -> Self {
        self.timestamp_aggregation_timeout = timeout;
        self
    }

    /// Sets the maximum size of a chunk of a segment in long-term storage, in bytes. Default: 0,
    /// the server's choice.
    #[must_use]
    pub fn with_rollover_size_bytes(mut self, bytes: u64) -> Self {
        self.rollover_size_bytes = bytes;
        self
    }

    /// Returns the scaling policy.
    #[must_use]
    pub fn scaling(&self) -> ScalingPolicy {
        self.scaling
    }

    /// Returns the retention policy; `None` means that everything is kept.
    #[must_use]
    pub fn retention(&self) -> Option<RetentionPolicy> {
        self.retention
    }

    /// Returns the tags, sorted.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Returns the time after which a writer that notes no time no longer counts for watermarks.
    #[must_use]
    pub fn timestamp_aggregation_timeout(&self) -> Duration {
        self.timestamp_aggregation_timeout
    }

    /// Returns the maximum size of a chunk of a segment in long-term storage, in bytes; 0 means the
    /// server's choice.
    #[must_use]
    pub fn rollover_size_bytes(&self) -> u64 {
        self.rollover_size_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_beyond_their_limits_are_refused() {
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
