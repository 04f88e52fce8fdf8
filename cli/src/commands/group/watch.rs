//! `pravega group watch`

use std::io::Write as _;

use futures_util::StreamExt as _;
use pravega_sdk::{ClientFactory, group::GroupNotice, types::ScopedReaderGroup};

use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    output::{Format, Output, Record, closed},
    stop::Stop,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/GROUP
    group: ScopedReaderGroup,
    /// Stop after this many lines
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<u64>,
    /// Stop at the end of the data
    #[arg(long)]
    until_end: bool,
}

pub(super) async fn run(
    arguments: Arguments,
    client: &ClientFactory,
    context: &mut Context,
) -> Result<()> {
    let group = client.reader_group_with(&arguments.group, context.limits.group()).await?;
    let output = &mut context.output;
    let mut notices = group.watch();
    let stop = Stop::listen_once()?;
    let closed = closed();
    tokio::pin!(closed);
    let mut left = arguments.limit;
    while left != Some(0) {
        let next = tokio::select! {
            biased;
            signal = stop.requested() => {
                return Err(Failure::stopped(signal, "the group goes on"));
            }
            next = notices.next() => next,
            () = &mut closed => break,
        };
        match next {
            None => break,
            // The next look at the state may succeed.
            Some(Err(error)) if error.is_retryable() => {
                output.status(format_args!("warning: {}", with_causes(&error)));
            }
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(notice)) => {
                print(&notice, output)?;
                left = left.map(|left| left - 1);
                if arguments.until_end && notice == GroupNotice::EndOfData {
                    break;
                }
            }
        }
        std::io::stdout().flush().ok();
    }
    Ok(())
}

fn print(notice: &GroupNotice, output: &mut Output) -> Result<()> {
    let record = |what: &str| Record::new().with("notice", what);
    let record = match notice {
        GroupNotice::Sizes(sizes) => record("sizes")
            .with("segments", sizes.segments)
            .with("unassigned", sizes.unassigned)
            .with("readers", sizes.readers),
        GroupNotice::ReaderJoined(reader) => record("reader-joined").with("reader", &**reader),
        GroupNotice::ReaderLeft(reader) => record("reader-left").with("reader", &**reader),
        GroupNotice::Reset { generation } => record("reset").with("generation", *generation),
        GroupNotice::EndOfData => record("end-of-data"),
        // A later version of the library may report other changes.
        other => record(&format!("{other:?}")),
    };
    match output.format() {
        Format::Text => output.raw(line(record).as_bytes()),
        Format::Json | Format::Table => output.list(vec![record]),
    }
}

/// One line: what happened, and the rest with names.
fn line(record: Record) -> String {
    let mut line = String::new();
    for (name, value) in record.into_json().as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        if line.is_empty() {
            line = value;
        } else {
            line.push_str(&format!("\t{name}={value}"));
        }
    }
    line + "\n"
}
