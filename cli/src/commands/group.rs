//! `pravega group`

use std::sync::Arc;

use clap::Subcommand;
use pravega_sdk::{
    controller_client::listing,
    types::{
        GroupRetention, GroupStream, ReaderGroupConfiguration, Scope, ScopedReaderGroup,
        ScopedStream,
    },
};

use super::report::{deleted, list};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::Record,
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a reader group
    Create {
        /// SCOPE/GROUP
        group: ScopedReaderGroup,
        /// Stream that it reads; repeat for several
        #[arg(long = "stream", required = true, value_name = "SCOPE/STREAM")]
        streams: Vec<ScopedStream>,
    },
    /// List the reader groups of a scope
    List {
        /// The scope
        #[arg(value_parser = parse::any_scope)]
        scope: Scope,
    },
    /// Show the configuration of a reader group
    Describe {
        /// SCOPE/GROUP
        group: ScopedReaderGroup,
    },
    /// Delete a reader group
    Delete {
        /// SCOPE/GROUP
        group: ScopedReaderGroup,
    },
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let (controller, output) = (client.controller(), &mut context.output);
    match command {
        Command::Create { group, streams } => {
            let id = uuid::Uuid::new_v4();
            let configuration = ReaderGroupConfiguration::new(streams).map_err(Failure::usage)?;
            let registered = controller
                .create_reader_group(&group, &configuration.with_identity(id, None))
                .await?;
            if registered.id() == id {
                output.status(format_args!("created group {group}"));
            } else {
                output.status(format_args!("group {group} already exists"));
            }
            Ok(())
        }
        Command::List { scope } => {
            let record = |group: &ScopedReaderGroup| Record::new().with("group", group.to_string());
            list(listing::reader_groups(Arc::clone(controller), scope), output, record).await
        }
        Command::Describe { group } => {
            let configuration = controller.reader_group_configuration(&group).await?;
            output.one(record(&group, &configuration))
        }
        Command::Delete { group } => {
            let id = controller.reader_group_configuration(&group).await?.id();
            deleted("group", &group, controller.delete_reader_group(&group, id).await?, output)
        }
    }
}

fn record(group: &ScopedReaderGroup, configuration: &ReaderGroupConfiguration) -> Record {
    let range = |entry: &GroupStream| match (entry.from.bounded(), entry.to.bounded()) {
        (None, None) => entry.stream.to_string(),
        (from, to) => {
            let shown = |cut: Option<&pravega_sdk::types::BoundedCut>| {
                cut.map_or("..".to_owned(), ToString::to_string)
            };
            format!("{} from {} to {}", entry.stream, shown(from), shown(to))
        }
    };
    let streams: Vec<String> = configuration.streams().iter().map(range).collect();
    let checkpoints = configuration.automatic_checkpoint_interval();
    let retention = match configuration.retention() {
        GroupRetention::None => "none",
        GroupRetention::ManualReleaseAtUserStreamCut => "manual",
        GroupRetention::AutomaticReleaseAtLastCheckpoint => "automatic",
    };
    Record::new()
        .with("group", group.to_string())
        .with("id", configuration.id().to_string())
        .with("generation", configuration.generation())
        .with("streams", streams)
        .with(
            "refresh_interval",
            humantime::format_duration(configuration.refresh_interval()).to_string(),
        )
        .with(
            "checkpoint_interval",
            checkpoints.map(|interval| humantime::format_duration(interval).to_string()),
        )
        .with("max_outstanding_checkpoints", configuration.max_outstanding_checkpoints().get())
        .with("retention", retention)
}
