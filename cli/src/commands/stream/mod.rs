//! `pravega stream`

mod cut;
pub(crate) mod scale;
mod settings;
mod show;

use std::sync::Arc;

use clap::Subcommand;
use pravega_sdk::{
    controller_client::listing,
    types::{Scope, ScopedStream, SegmentId, StreamConfiguration, Tag},
};

use self::{scale::ScaleHow, settings::Settings};
use super::report::{created, deleted, list};
use crate::{context::Context, failure::Result, output::Record, parse};

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

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let (controller, output) = (client.controller(), &mut context.output);
    match command {
        Command::Create { stream, settings } => {
            let configuration = settings.apply(StreamConfiguration::default())?;
            let creation = controller.create_stream(&stream, &configuration).await?;
            created("stream", &stream, creation, output)
        }
        Command::List { scope, tag, all } => {
            let record = |stream: &ScopedStream| Record::new().with("stream", stream.to_string());
            let listing = match tag {
                Some(tag) => listing::streams_by_tag(Arc::clone(controller), scope, tag),
                None => listing::streams(Arc::clone(controller), scope),
            };
            let visible = move |stream: &ScopedStream| all || !stream.stream().is_internal();
            list(listing.only(visible), output, record).await
        }
        Command::Describe { stream } => show::describe(&stream, controller, output).await,
        Command::Update { stream, settings } => {
            let configuration = settings.apply(controller.stream_configuration(&stream).await?)?;
            controller.update_stream(&stream, &configuration).await?;
            output.status(format_args!("updated stream {stream}"));
            Ok(())
        }
        Command::Scale { stream, how, no_wait } => {
            scale::run(&stream, &how, no_wait, controller, output).await
        }
        Command::ScalingState { stream, epoch } => {
            show::scaling_state(&stream, epoch, controller, output).await
        }
        Command::Truncate { stream, cut, at } => {
            controller.truncate_stream(&cut::of(&stream, cut.as_deref(), &at)?).await?;
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
            show::head_segments(&stream, controller, output).await
        }
        Command::Segments { stream, epoch, .. } => {
            show::segments(&stream, epoch, controller, output).await
        }
        Command::Epochs { stream } => show::epochs(&stream, controller, output).await,
        Command::Subscribers { stream } => {
            let subscribers = controller.subscribers(&stream).await?;
            output.list(
                subscribers.into_iter().map(|name| Record::new().with("group", name)).collect(),
            )
        }
    }
}
