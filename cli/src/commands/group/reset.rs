//! `pravega group reset`

use pravega_sdk::{
    ClientFactory,
    group::ReaderGroup,
    types::{Checkpoint, ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream},
};

use super::settings::{Places, Settings, checkpoint};
use crate::{context::Context, failure::Result};

pub(crate) const AFTER_HELP: &str = "\
Without a place the group begins where it began when it was created. What is not named stays as \
it is.

Examples:
  pravega group reset shop/billing --to-last-checkpoint
  pravega group reset shop/billing --from head
  pravega group reset shop/billing --stream shop/orders --stream shop/refunds";

/// What the places of a checkpoint leave nothing to say about.
const ELSE: [&str; 7] = [
    "streams",
    "from",
    "until",
    "refresh_interval",
    "checkpoint_interval",
    "max_checkpoints",
    "retention",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/GROUP
    group: ScopedReaderGroup,
    /// Begin at the last checkpoint that is complete
    #[arg(long, conflicts_with = "to_checkpoint", conflicts_with_all = ELSE)]
    to_last_checkpoint: bool,
    /// Begin at a checkpoint of this group
    #[arg(
        long,
        value_name = "CHECKPOINT",
        value_parser = checkpoint,
        conflicts_with_all = ELSE
    )]
    to_checkpoint: Option<Checkpoint>,
    /// Stream that it reads from now on; repeat for several
    #[arg(long = "stream", value_name = "SCOPE/STREAM")]
    streams: Vec<ScopedStream>,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(
    arguments: Arguments,
    client: &ClientFactory,
    context: &mut Context,
) -> Result<()> {
    let group = client.reader_group_with(&arguments.group, context.limits.group()).await?;
    if arguments.to_last_checkpoint {
        group.reset_to_last_checkpoint().await?;
    } else if let Some(checkpoint) = &arguments.to_checkpoint {
        group.reset_to(checkpoint).await?;
    } else {
        group.reset(&wanted(&arguments, &group, client).await?).await?;
    }
    let generation = group.configuration().await?.generation().unwrap_or_default();
    context.output.status(format_args!("reset group {}: generation {generation}", group.group()));
    Ok(())
}

async fn wanted(
    arguments: &Arguments,
    group: &ReaderGroup,
    client: &ClientFactory,
) -> Result<ReaderGroupConfiguration> {
    let known = group.configuration().await?;
    let Arguments { streams, places, settings, .. } = arguments;
    if streams.is_empty() && places.is_empty() {
        return Ok(settings.apply(known));
    }
    let streams = if streams.is_empty() {
        known.streams().iter().map(|entry| entry.stream.clone()).collect()
    } else {
        streams.clone()
    };
    let moved = places.configuration(streams, client).await?;
    let moved = moved
        .with_refresh_interval(known.refresh_interval())
        .with_automatic_checkpoint_interval(known.automatic_checkpoint_interval())
        .with_max_outstanding_checkpoints(known.max_outstanding_checkpoints())
        .with_retention(known.retention());
    Ok(settings.apply(moved))
}
