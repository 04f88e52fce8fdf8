//! `pravega group checkpoint`

use std::time::Duration;

use pravega_sdk::{
    ClientFactory,
    group::{ReaderGroup, ReaderGroupError},
    types::{BoundedCut, Checkpoint, ScopedReaderGroup, StreamCut},
};
use serde_json::{Map, Value};

use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    interrupt::unless_stopped,
    output::{Format, Output, Record},
    parse::some_time,
};

pub(crate) const AFTER_HELP: &str = "\
Each reader shows the checkpoint to its program, and is part of it once the program reads on. A \
checkpoint that was not complete in time stays in the group: the same name waits for it again.

Examples:
  pravega group checkpoint shop/billing --name nightly
  pravega group checkpoint shop/billing --cancel";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/GROUP
    group: ScopedReaderGroup,
    /// Name of the checkpoint, which the readers show [default: one that no other has]
    #[arg(long)]
    name: Option<String>,
    /// Wait at most this long for the readers
    #[arg(long, value_name = "DURATION", value_parser = some_time, default_value = "1m")]
    wait: Duration,
    /// Return at once, and print the name only
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// Give up the checkpoints that wait for readers, and print their names
    #[arg(long, conflicts_with_all = ["name", "wait", "no_wait"])]
    cancel: bool,
}

pub(super) async fn run(
    arguments: Arguments,
    client: &ClientFactory,
    context: &mut Context,
) -> Result<()> {
    let group = client.reader_group_with(&arguments.group, context.limits.group()).await?;
    let output = &mut context.output;
    if arguments.cancel {
        let names = group.cancel_checkpoints().await?;
        return output.list(names.into_iter().map(|it| Record::new().with("name", it)).collect());
    }
    let name = arguments.name.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    if arguments.no_wait {
        group.initiate_checkpoint(&name).await?;
        return output.list(vec![Record::new().with("name", name)]);
    }
    let taking = async {
        let taken = group.checkpoint(&name, arguments.wait).await;
        taken.map_err(|error| explained(error, &name, &group))
    };
    let next = format!(
        "to wait again: pravega group checkpoint {} --name {name}; or give it up with --cancel",
        arguments.group
    );
    let checkpoint = unless_stopped(taking, "the checkpoint stays in the group", &next).await?;
    print(&checkpoint, output)
}

fn print(checkpoint: &Checkpoint, output: &mut Output) -> Result<()> {
    let text = checkpoint.to_text().map_err(|error| Failure::other(with_causes(&error)))?;
    match output.format() {
        Format::Text => output.raw(format!("{text}\n").as_bytes()),
        Format::Json | Format::Table => {
            let cut = |cut: &BoundedCut| {
                (cut.stream().to_string(), Value::from(StreamCut::from(cut.clone()).to_text()))
            };
            let cuts: Map<String, Value> = checkpoint.cuts().iter().map(cut).collect();
            output.one(
                Record::new()
                    .with("name", checkpoint.name())
                    .with("checkpoint", text)
                    .with("cuts", cuts),
            )
        }
    }
}

/// The error of a checkpoint, with what can be done about the readers that it waits for.
fn explained(error: ReaderGroupError, name: &str, group: &ReaderGroup) -> Failure {
    let group = group.group();
    let hint = error.waiting_for().first().map(|reader| {
        format!(
            "`pravega group checkpoint {group} --name {name}` waits again; a reader that has ended \
             is taken out by `pravega group offline {group} {reader}`"
        )
    });
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
