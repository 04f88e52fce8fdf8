//! `pravega stream`

pub(crate) mod scale;
mod settings;
mod show;
mod truncate;

use std::sync::Arc;

use clap::Subcommand;
use pravega_sdk::{
    controller_client::listing,
    types::{ErrorKind, Scope, ScopedStream, StreamConfiguration, Tag},
};

use self::{scale::ScaleTarget, settings::Settings};
use super::report::{confirm, created, deleted, list};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::Record,
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a stream (an existing one keeps its configuration)
    Create {
        /// SCOPE/STREAM
        stream: ScopedStream,
        #[command(flatten)]
        settings: Settings,
    },
    /// List the streams of a scope
    #[command(visible_alias = "ls")]
    List {
        /// The scope
        #[arg(value_parser = parse::any_scope)]
        scope: Scope,
        /// Only streams with this tag
        #[arg(long)]
        tag: Option<Tag>,
        /// Include internal streams
        #[arg(long)]
        all: bool,
    },
    /// Show the configuration and the segments of a stream
    #[command(visible_alias = "info")]
    Describe {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
    /// Change the given parts of a stream's configuration
    Update {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        #[command(flatten)]
        settings: Settings,
    },
    /// Scale a stream, and wait until it is done (at most 60 s)
    Scale {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        #[command(flatten)]
        target: ScaleTarget,
        /// Return as soon as the controller accepts
        #[arg(long)]
        no_wait: bool,
    },
    /// Show whether a scaling has finished
    ScalingState {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        /// The epoch that the scaling started from [default: the one before the newest]
        #[arg(long)]
        epoch: Option<i32>,
    },
    /// Drop all events before a position
    Truncate {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        #[command(flatten)]
        target: truncate::Target,
        /// Truncate at the offsets of --at even if no event begins there; then no reader can start
        /// at the head
        #[arg(long, requires = "at", conflicts_with_all = ["before", "keep", "cut"])]
        force: bool,
    },
    /// Make a stream read-only
    Seal {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
    /// Delete a sealed stream
    #[command(visible_alias = "rm")]
    Delete {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        /// Seal it first; asks on a terminal
        #[arg(long)]
        seal: bool,
        /// Do not ask
        #[arg(long, short, requires = "seal")]
        yes: bool,
    },
    /// List the segments of a stream
    Segments {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
        /// List the segments of this epoch instead of the active ones
        #[arg(long)]
        epoch: Option<i32>,
        /// List the segments at the head, with the first offset of each
        #[arg(long, conflicts_with = "epoch")]
        head: bool,
    },
    /// List the epochs of a stream, oldest first
    Epochs {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
    /// List subscribers: reader groups whose progress holds back truncation
    Subscribers {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let (limits, controller, output) = (context.limits, client.controller(), &mut context.output);
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
            if settings.is_empty() {
                let hint = "`pravega stream update --help` lists what can be changed";
                return Err(Failure::usage("no option says what to change").with_hint(hint));
            }
            let configuration = settings.apply(controller.stream_configuration(&stream).await?)?;
            controller.update_stream(&stream, &configuration).await?;
            output.status(format_args!("updated stream {stream}"));
            Ok(())
        }
        Command::Scale { stream, target, no_wait } => {
            scale::run(&stream, &target, no_wait, controller, output).await
        }
        Command::ScalingState { stream, epoch } => {
            show::scaling_state(&stream, epoch, controller, output).await
        }
        Command::Truncate { stream, target, force } => {
            truncate::run(&stream, &target, force, (&client, limits), output).await
        }
        Command::Seal { stream } => {
            controller.seal_stream(&stream).await?;
            output.status(format_args!("sealed stream {stream}"));
            Ok(())
        }
        Command::Delete { stream, seal, yes } => {
            if seal {
                if !yes {
                    confirm(&format!("Delete stream {stream} and all its events?")).await?;
                }
                controller.seal_stream(&stream).await?;
            }
            let deletion = controller.delete_stream(&stream).await.map_err(|error| {
                let kind = error.kind();
                let failure = Failure::from(error);
                if kind != ErrorKind::NotSealed {
                    return failure;
                }
                let hint = format!("to seal it first: pravega stream delete --seal {stream}");
                failure.with_hint(hint)
            })?;
            deleted("stream", &stream, deletion, output)
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
