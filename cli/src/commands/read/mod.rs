//! `pravega read`

mod arguments;
mod group;
mod membership;
mod print;
mod start;
mod template;
mod totals;

use std::io::Write as _;

use pravega_sdk::{
    StreamPosition,
    codec::Raw,
    types::{BoundedCut, ErrorKind, StreamCut},
};

pub(crate) use self::arguments::Arguments;
use self::{arguments::BATCH, print::put, totals::Totals};
use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    limits::Reading,
    output::{Format, closed},
    signal::Signal,
    stop::Stop,
};

pub(crate) const AFTER_HELP: &str = "\
Events with the same routing key come in the order in which they were written.

Examples:
  pravega read shop/orders --follow
  pravega read shop/orders --ago 2h --format '{segment} {offset} {event}'
  pravega read shop/orders --format '{json.customer}: {size}' --until tail
  pravega read shop/orders --count 100 --show-cut        and then: --from CUT
  pravega read shop/orders --group billing              in several terminals";

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    arguments.check()?;
    if arguments.json {
        context.output.set_format(Format::Json);
    }
    let is_text = context.output.format() == Format::Text;
    if !is_text && !arguments.json && (arguments.format.is_some() || arguments.length_prefixed) {
        return Err(Failure::usage("--format and --length-prefixed are for --output text"));
    }
    match &arguments.membership.group {
        Some(group) => group::run(group, &arguments, context).await,
        None => alone(&arguments, context).await,
    }
}

/// The end of a command that a signal stopped, with how to go on.
fn stopped(signal: Signal, totals: &Totals, arguments: &Arguments, cut: &BoundedCut) -> Failure {
    let failure = Failure::stopped(signal, format_args!("printed {}", totals.events()));
    if arguments.show_cut {
        return failure;
    }
    let (stream, cut) = (&arguments.stream, StreamCut::from(cut.clone()).to_text());
    failure.with_hint(format!("to go on after them: pravega read {stream} --from {cut}"))
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
    let mut totals = Totals::new(context.verbosity);
    let stop = Stop::listen_once()?;
    let closed = closed();
    tokio::pin!(closed);
    let outcome = loop {
        if left == 0 {
            break Ok(());
        }
        let next = tokio::select! {
            biased;
            signal = stop.requested() => {
                break Err(stopped(signal, &totals, arguments, &reader.stream_cut()));
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
        totals.add(&events);
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
    totals.show();
    if arguments.show_cut {
        output.status(StreamCut::from(reader.stream_cut()).to_text());
    }
    outcome
}
