//! `pravega stream`

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use pravega_sdk::{
    controller_client::{Controller, ScaleStart, ScaleState, SegmentWithRange, listing},
    types::{
        BoundedCut, Epoch, ErrorKind, KeyRange, Offset, RetentionPolicy, ScalingPolicy, Scope,
        ScopedStream, SegmentId, StreamConfiguration, StreamCut, Tag, check_cover,
    },
};
use tokio::time::{Instant, sleep};

use super::{created, deleted, show};
use crate::{
    failure::{Failure, Result},
    output::{Output, Record},
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a stream; one that is there already keeps its configuration
    Create {
        /// SCOPE/STREAM
        stream: ScopedStream,
        #[command(flatten)]
        settings: Settings,
    },
    /// Lists the streams of a scope
    List {
        /// The scope
        #[arg(value_parser = parse::any_scope)]
        scope: Scope,
        /// Only those with this tag
        #[arg(long)]
        tag: Option<Tag>,
        /// Internal ones too
        #[arg(long)]
        all: bool,
    },
    /// Shows the configuration of a stream and how many segments it has
    Describe {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
    /// Changes what is given of a stream's configuration; the rest stays
    Update {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        #[command(flatten)]
        settings: Settings,
    },
    /// Replaces segments by others, and waits until that is done
    Scale {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        #[command(flatten)]
        how: ScaleHow,
        /// Does not wait
        #[arg(long)]
        no_wait: bool,
    },
    /// Tells whether the scale that left an epoch is done
    ScalingState {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        /// The epoch; the one before the newest if none is given
        #[arg(long)]
        epoch: Option<i32>,
    },
    /// Drops all that stands before a cut
    Truncate {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        /// The cut as text, as programs print it
        #[arg(long, required_unless_present = "at")]
        cut: Option<String>,
        /// The cut as SEGMENT=OFFSET, once for each segment it runs through
        #[arg(long, value_parser = parse::place, conflicts_with = "cut")]
        at: Vec<(SegmentId, i64)>,
    },
    /// Makes a stream read-only
    Seal {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
    /// Removes a sealed stream
    Delete {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        /// Seals it first
        #[arg(long)]
        seal: bool,
    },
    /// Lists the segments of a stream
    Segments {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        /// Those of an epoch, in place of those active now
        #[arg(long)]
        epoch: Option<i32>,
        /// Those at the head, with the first offset of each
        #[arg(long, conflicts_with = "epoch")]
        head: bool,
    },
    /// Lists the epochs of a stream, from the first to the newest
    Epochs {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
    /// Lists the reader groups that have a say in what a stream keeps
    Subscribers {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// A fixed number of segments
    #[arg(long, value_name = "COUNT", group = "scaling")]
    segments: Option<NonZeroU32>,
    /// Scales by events a second and segment: RATE[:FACTOR[:MIN]]
    #[arg(long, value_name = "RATE", group = "scaling", value_parser = parse::rate)]
    events_per_second: Option<(NonZeroU32, NonZeroU32, NonZeroU32)>,
    /// Scales by KiB a second and segment: RATE[:FACTOR[:MIN]]
    #[arg(long, value_name = "RATE", group = "scaling", value_parser = parse::rate)]
    kib_per_second: Option<(NonZeroU32, NonZeroU32, NonZeroU32)>,
    /// Keeps what is younger: MIN[..MAX], such as 7days or 1h..30days
    #[arg(long, value_name = "TIME", group = "retention")]
    retain_time: Option<String>,
    /// Keeps this much: MIN[..MAX], such as 10G or 1G..10G
    #[arg(long, value_name = "BYTES", group = "retention")]
    retain_bytes: Option<String>,
    /// Keeps everything
    #[arg(long, group = "retention")]
    retain_all: bool,
    /// A tag, once for each; in place of those there were
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<Tag>,
    /// Removes all tags
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// The size of a piece in long-term storage
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    rollover_size: Option<u64>,
    /// After how long a writer that notes no time stops counting for watermarks
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    timestamp_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ScaleHow {
    /// To this number of segments of equal ranges
    #[arg(long, value_name = "COUNT")]
    to: Option<NonZeroU32>,
    /// Splits one segment in two
    #[arg(long, value_name = "SEGMENT", value_parser = parse::segment_id)]
    split: Option<SegmentId>,
    /// Merges neighbours into one
    #[arg(long, value_name = "SEGMENT", value_parser = parse::segment_id, num_args = 2.., value_delimiter = ',')]
    merge: Vec<SegmentId>,
    /// Replaces the segments that own these ranges by segments that own just them: LOW-HIGH,
    /// comma-separated
    #[arg(long, value_name = "RANGE", value_parser = parse::key_range, value_delimiter = ',')]
    ranges: Vec<KeyRange>,
}

impl Settings {
    fn apply(&self, configuration: StreamConfiguration) -> Result<StreamConfiguration> {
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
        if let Some((events_per_second, scale_factor, min_segments)) = self.events_per_second {
            return Some(ScalingPolicy::ByEventRate {
                events_per_second,
                scale_factor,
                min_segments,
            });
        }
        if let Some((kib_per_second, scale_factor, min_segments)) = self.kib_per_second {
            return Some(ScalingPolicy::ByDataRate { kib_per_second, scale_factor, min_segments });
        }
        self.segments.map(|segments| ScalingPolicy::Fixed { segments })
    }

    fn retention(&self) -> Result<Option<RetentionPolicy>> {
        if let Some(text) = &self.retain_time {
            let (min, max) = parse::limits(text, parse::duration).map_err(Failure::usage)?;
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

pub(crate) async fn run(
    command: Command,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    match command {
        Command::Create { stream, settings } => {
            let configuration = settings.apply(StreamConfiguration::default())?;
            created(
                "stream",
                &stream,
                controller.create_stream(&stream, &configuration).await?,
                output,
            )
        }
        Command::List { scope, tag, all } => {
            let record = |stream: &ScopedStream| Record::new().with("stream", stream.to_string());
            let listing = match tag {
                Some(tag) => listing::streams_by_tag(Arc::clone(controller), scope, tag),
                None => listing::streams(Arc::clone(controller), scope),
            };
            let visible = move |stream: &ScopedStream| all || !stream.stream().is_internal();
            show(listing.only(visible), output, record).await
        }
        Command::Describe { stream } => describe(&stream, controller, output).await,
        Command::Update { stream, settings } => {
            let configuration = settings.apply(controller.stream_configuration(&stream).await?)?;
            controller.update_stream(&stream, &configuration).await?;
            output.status(format_args!("updated stream {stream}"));
            Ok(())
        }
        Command::Scale { stream, how, no_wait } => {
            scale(&stream, &how, no_wait, controller, output).await
        }
        Command::ScalingState { stream, epoch } => {
            // The controller calls a scale done once the stream has left the epoch it started from.
            let epoch = match epoch {
                Some(epoch) => Epoch(epoch),
                None => Epoch(newest_epoch(&stream, controller).await?.0 - 1),
            };
            let state = match epoch {
                Epoch(..0) => "never-scaled",
                epoch => match controller.scale_state(&stream, epoch).await? {
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
        Command::Truncate { stream, cut, at } => {
            controller.truncate_stream(&cut_of(&stream, cut.as_deref(), &at)?).await?;
            output.status(format_args!("truncated stream {stream}"));
            Ok(())
        }
        Command::Seal { stream } => {
            controller.seal_stream(&stream).await?;
            output.status(format_args!("sealed stream {stream}"));
            Ok(())
        }
        Command::Delete { stream, seal } => {
            if seal {
                controller.seal_stream(&stream).await?;
            }
            deleted("stream", &stream, controller.delete_stream(&stream).await?, output)
        }
        Command::Segments { stream, head: true, .. } => {
            let head = controller.head_segments(&stream).await?;
            let record = |(id, offset): &(SegmentId, Offset)| {
                Record::new()
                    .with("segment", id.to_string())
                    .with("id", i64::from(*id))
                    .with("head_offset", offset.0)
            };
            output.list(head.iter().map(record).collect())
        }
        Command::Segments { stream, epoch, .. } => {
            let segments = match epoch {
                Some(epoch) => controller.epoch_segments(&stream, Epoch(epoch)).await?,
                None => controller.current_segments(&stream).await?,
            };
            if segments.is_empty() {
                output.status(format_args!("stream {stream} is sealed: it has no active segments"));
            }
            output.list(segments.iter().map(segment_record).collect())
        }
        Command::Epochs { stream } => epochs(&stream, controller, output).await,
        Command::Subscribers { stream } => {
            let subscribers = controller.subscribers(&stream).await?;
            output.list(
                subscribers.into_iter().map(|name| Record::new().with("group", name)).collect(),
            )
        }
    }
}

fn segment_record(segment: &SegmentWithRange) -> Record {
    Record::new()
        .with("segment", segment.id.to_string())
        .with("id", i64::from(segment.id))
        .with("low", segment.range.low())
        .with("high", segment.range.high())
}

async fn describe(
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

fn cut_of(
    stream: &ScopedStream,
    text: Option<&str>,
    at: &[(SegmentId, i64)],
) -> Result<BoundedCut> {
    let refuse =
        |error: &dyn std::fmt::Display| Failure::of_kind(ErrorKind::InvalidStreamCut, error);
    let cut = match text {
        Some(text) => match text.parse::<StreamCut>().map_err(|error| refuse(&error))? {
            StreamCut::At(cut) => cut,
            StreamCut::Unbounded => {
                return Err(refuse(&"an unbounded cut is no place to truncate at"));
            }
        },
        None => {
            let places = at.iter().map(|(segment, offset)| (*segment, Offset(*offset)));
            BoundedCut::new(stream.clone(), places).map_err(|error| refuse(&error))?
        }
    };
    if cut.stream() != stream {
        return Err(refuse(&format_args!(
            "the cut belongs to stream {}, not to {stream}",
            cut.stream()
        )));
    }
    Ok(cut)
}

/// Which segments go and which ranges come.
fn plan(how: &ScaleHow, active: &[SegmentWithRange]) -> Result<(Vec<SegmentId>, Vec<KeyRange>)> {
    let find = |id: &SegmentId| {
        let found = active.iter().find(|segment| segment.id == *id);
        found.ok_or_else(|| {
            Failure::usage(format_args!(
                "segment {id} is not active; see `pravega stream segments`"
            ))
        })
    };
    if let Some(count) = how.to {
        return Ok((
            active.iter().map(|segment| segment.id).collect(),
            KeyRange::FULL.split(count.get()),
        ));
    }
    if let Some(id) = &how.split {
        return Ok((vec![*id], find(id)?.range.split(2)));
    }
    if !how.merge.is_empty() {
        let ranges = how.merge.iter().map(|id| Ok(find(id)?.range)).collect::<Result<Vec<_>>>()?;
        return Ok((how.merge.clone(), vec![check_cover(&ranges).map_err(Failure::usage)?]));
    }
    let mut ranges = how.ranges.clone();
    ranges.sort_by(|a, b| a.low().total_cmp(&b.low()));
    let replaced =
        active.iter().filter(|segment| ranges.iter().any(|range| range.overlaps(&segment.range)));
    Ok((replaced.map(|segment| segment.id).collect(), ranges))
}

/// Has segments replaced by others; gives the epoch to ask about and the new segments.
pub(crate) async fn start_scale(
    stream: &ScopedStream,
    sealed: &[SegmentId],
    ranges: &[KeyRange],
    controller: &Arc<dyn Controller>,
) -> Result<(Epoch, Vec<SegmentWithRange>)> {
    match controller.scale(stream, sealed, ranges).await? {
        ScaleStart::Started { epoch, segments } => Ok((epoch, segments)),
        ScaleStart::PreconditionFailed => Err(Failure::of_kind(
            ErrorKind::ConditionFailed,
            "the controller refused: the segments are not active any more, or too few would be left",
        )),
    }
}

/// Waits until a scale is done, for a minute at the most.
pub(crate) async fn wait_for_scale(
    stream: &ScopedStream,
    epoch: Epoch,
    controller: &Arc<dyn Controller>,
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while controller.scale_state(stream, epoch).await? == ScaleState::InProgress {
        if Instant::now() > deadline {
            let late = format_args!("the scale of {stream} is not done after 60 s");
            let hint = format!("ask again: pravega stream scaling-state {stream} --epoch {epoch}");
            return Err(Failure::of_kind(ErrorKind::Timeout, late).with_hint(hint));
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn scale(
    stream: &ScopedStream,
    how: &ScaleHow,
    no_wait: bool,
    controller: &Arc<dyn Controller>,
    output: &mut Output,
) -> Result<()> {
    let active = controller.current_segments(stream).await?;
    let (sealed, ranges) = plan(how, &active)?;
    let (epoch, segments) = start_scale(stream, &sealed, &ranges, controller).await?;
    if !no_wait {
        wait_for_scale(stream, epoch, controller).await?;
        output.status(format_args!("scaled stream {stream}"));
    }
    output.list(segments.iter().map(segment_record).collect())
}

/// Epochs are asked for one by one until there is none.
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

async fn epochs(
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
