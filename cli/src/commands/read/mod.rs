//! `pravega read`

mod arguments;
mod group;
mod membership;
mod print;
mod start;
mod template;

use std::io::Write as _;

use pravega_sdk::{
    StreamPosition,
    codec::Raw,
    types::{ErrorKind, StreamCut},
};

pub(crate) use self::arguments::Arguments;
use self::{arguments::BATCH, print::put};
use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    limits::Reading,
    output::{Format, closed},
    stop::Stop,
};

pub(crate) const AFTER_HELP: &str = "\
Events with the same routing key come in the order in which they were written.

Examples:
  pravega read shop/orders --follow
  pravega read shop/orders --ago 2h --format '{segment} {offset} {event}'
  pravega read shop/orders --count 100 --show-cut        and then: --from CUT
  pravega read shop/orders --group billing              in several terminals";

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let is_text = context.output.format() == Format::Text;
    if !is_text && (arguments.format.is_some() || arguments.length_prefixed) {
        return Err(Failure::usage("--format and --length-prefixed are for --output text"));
    }
    match &arguments.membership.group {
        Some(group) => group::run(group, &arguments, context).await,
        None => alone(&arguments, context).await,
    }
}

/// Reads all events, whatever other readers do.
async fn alone(arguments: &Arguments, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let output = &mut context.output;
    let start = arguments.start()?;
    let limits = context.limits;
    let reading = if arguments.follow { Reading::Following } else { Reading::Present };
    let config = limits.reader(reading).with_start(start.clone()).with_end(arguments.end());
    let mut reader = client.event_reader_with(&arguments.stream, Raw, config).await?;
    if let StreamPosition::Time(time) = start {
        let cut = reader.stream_cut();
        let stream = &arguments.stream;
        start::warn_without_watermark(stream, time, &cut, &client, limits, output).await?;
    }
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut text = Vec::new();
    // Without a cut to print there is nothing to do before the end.
    let stop = if arguments.show_cut { Stop::listen_once()? } else { Stop::never() };
    let closed = closed();
    tokio::pin!(closed);
    let outcome = loop {
        if left == 0 {
            break Ok(());
        }
        let next = tokio::select! {
            biased;
            signal = stop.requested() => {
                break Err(Failure::stopped(signal, "the cut is after the last event printed"));
            }
            next = reader.next_batch(usize::try_from(left).unwrap_or(BATCH).min(BATCH)) => next,
            () = &mut closed => break Ok(()),
        };
        let events = match next {
            None => break Ok(()),
            // The events after the truncation follow.
            Some(Err(error)) if error.kind() == ErrorKind::Truncated => {
                output.status(format_args!("warning: {}", with_causes(&error)));
                continue;
            }
            Some(Err(error)) => break Err(error.into()),
            Some(Ok(events)) => events,
        };
        left -= events.len() as u64;
        for event in &events {
            put(event, arguments, output.format(), &mut text);
        }
        // Events that have arrived are printed before the next wait.
        output.raw(&text)?;
        text.clear();
        if arguments.follow {
            std::io::stdout().flush().ok();
        }
    };
    std::io::stdout().flush().ok();
    if arguments.show_cut {
        output.status(StreamCut::from(reader.stream_cut()).to_text());
    }
    outcome
}
