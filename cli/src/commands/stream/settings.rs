//! The options of `pravega stream create` and `update` that configure a stream.

use std::{num::NonZeroU32, time::Duration};

use clap::Args;
use pravega_sdk::types::{RetentionPolicy, ScalingPolicy, StreamConfiguration, Tag};

use crate::{
    failure::{Failure, Result},
    parse::{self, ScaleRate},
};

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// A fixed number of segments [default: 1, unless the stream scales by a rate]
    #[arg(long, value_name = "COUNT", group = "scaling", value_parser = parse::count)]
    segments: Option<NonZeroU32>,
    /// Scale by events per second and segment: RATE[:FACTOR[:MIN]], with FACTOR segments per split
    /// (default 2) and at least MIN segments (default 1)
    #[arg(long, value_name = "RATE", group = "scaling", value_parser = parse::rate)]
    events_per_second: Option<ScaleRate>,
    /// Scale by KiB per second and segment: RATE[:FACTOR[:MIN]], as for --events-per-second
    #[arg(long, value_name = "RATE", group = "scaling", value_parser = parse::rate)]
    kib_per_second: Option<ScaleRate>,
    /// Retain events for MIN, at most MAX: MIN[..MAX], such as 7days or 1h..30days
    #[arg(long, value_name = "DURATION", group = "retention")]
    retain_time: Option<String>,
    /// Retain MIN bytes, at most MAX: MIN[..MAX], such as 10G or 1G..10G
    #[arg(long, value_name = "BYTES", group = "retention")]
    retain_bytes: Option<String>,
    /// Retain everything, which a new stream does by default
    #[arg(long, group = "retention")]
    retain_all: bool,
    /// Set a tag; repeat for several. They replace the existing tags
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<Tag>,
    /// Remove all tags
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// Chunk size in long-term storage, with K, M, G or T for powers of 1024 [default: that of the
    /// server]
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    rollover_size: Option<u64>,
    /// Ignore a writer in watermarks after this long without a timestamp, such as 30s
    /// [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    timestamp_timeout: Option<Duration>,
}

impl Settings {
    /// Returns true if no option is given.
    pub(super) fn is_empty(&self) -> bool {
        let Self { segments, events_per_second, kib_per_second, rollover_size, .. } = self;
        let Self {
            retain_time, retain_bytes, retain_all, tags, no_tags, timestamp_timeout, ..
        } = self;
        let has_scaling =
            segments.is_some() || events_per_second.is_some() || kib_per_second.is_some();
        let has_retention = retain_time.is_some() || retain_bytes.is_some() || *retain_all;
        let has_rest = rollover_size.is_some() || timestamp_timeout.is_some();
        !(has_scaling || has_retention || has_rest || *no_tags || !tags.is_empty())
    }

    pub(super) fn apply(&self, configuration: StreamConfiguration) -> Result<StreamConfiguration> {
        let usage = |error: &dyn std::fmt::Display| Failure::usage(error);
        let mut configuration = configuration;
        if let Some(scaling) = self.scaling() {
            configuration = configuration.with_scaling(scaling);
        }
        if self.retain_all || self.retain_time.is_some() || self.retain_bytes.is_some() {
            configuration =
                configuration.with_retention(self.retention()?).map_err(|error| usage(&error))?;
        }
        if self.no_tags || !self.tags.is_empty() {
            configuration = configuration
                .with_tags(self.tags.iter().cloned())
                .map_err(|error| usage(&error))?;
        }
        if let Some(bytes) = self.rollover_size {
            configuration = configuration.with_rollover_size_bytes(bytes);
        }
        if let Some(timeout) = self.timestamp_timeout {
            configuration = configuration.with_timestamp_aggregation_timeout(timeout);
        }
        Ok(configuration)
    }

    fn scaling(&self) -> Option<ScalingPolicy> {
        if let Some(rate) = self.events_per_second {
            return Some(ScalingPolicy::ByEventRate {
                events_per_second: rate.target,
                scale_factor: rate.split_factor,
                min_segments: rate.min_segments,
            });
        }
        if let Some(rate) = self.kib_per_second {
            return Some(ScalingPolicy::ByDataRate {
                kib_per_second: rate.target,
                scale_factor: rate.split_factor,
                min_segments: rate.min_segments,
            });
        }
        self.segments.map(|segments| ScalingPolicy::Fixed { segments })
    }

    fn retention(&self) -> Result<Option<RetentionPolicy>> {
        if let Some(text) = &self.retain_time {
            let (min, max) = parse::limits(text, parse::some_time).map_err(Failure::usage)?;
            return Ok(Some(RetentionPolicy::ByTime { min, max }));
        }
        if let Some(text) = &self.retain_bytes {
            let (min_bytes, max_bytes) =
                parse::limits(text, parse::bytes).map_err(Failure::usage)?;
            return Ok(Some(RetentionPolicy::BySize { min_bytes, max_bytes }));
        }
        Ok(None)
    }
}
