//! `pravega read`

mod start;
mod template;

use std::{
    io::Write as _,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pravega_sdk::{
    ReadEvent, ReadUntil, StreamPosition, Timestamp,
    codec::Raw,
    types::{ScopedStream, StreamCut},
};

use self::template::Template;
use super::position::Position;
use crate::{
    context::Context,
    failure::{Failure, Result},
    limits::Reading,
    output::{Format, Record, closed},
    parse::duration,
    stop::Stop,
};

pub(crate) const AFTER_HELP: &str = "\
Events with the same routing key come in the order in which they were written.

Examples:
  pravega read shop/orders --follow
  pravega read shop/orders --ago 2h --format '{segment} {offset} {event}'
  pravega read shop/orders --count 100 --show-cut        and then: --from CUT";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/STREAM
    stream: ScopedStream,

    /// Start position: head, tail, the text of a stream cut, an event as SEGMENT:OFFSET-LENGTH
    /// ({pointer} in --format, "pointer" in JSON), or time:2020-09-13T12:26:40Z
    #[arg(long, value_name = "POSITION", default_value = "head")]
    from: Position,

    /// Start this far back. Exact only with watermarks; without them, reading starts at the oldest
    /// segment that was still written to in that time
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "from")]
    ago: Option<Duration>,

    /// End position: tail (where the stream ends now) or the text of a stream cut
    #[arg(long, value_name = "POSITION", default_value = "tail", conflicts_with = "follow")]
    until: Position,

    /// Keep reading new events until the stream is sealed
    #[arg(long, short)]
    follow: bool,

    /// Stop after this many events
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<u64>,

    /// Template of the output of each event, with {event}, {base64}, {size}, {key}, {segment},
    /// {offset} and {pointer}; \t and \n are tab and newline
    #[arg(long, value_name = "TEXT", conflicts_with = "length_prefixed")]
    format: Option<Template>,

    /// {key} is the text of the event before the first such character: a stream does not store
    /// routing keys
    // A requirement that another option rules out is not checked, so those are named, too.
    #[arg(
        long,
        value_name = "CHARACTER",
        default_value = ":",
        requires = "format",
        conflicts_with_all = ["length_prefixed", "base64"]
    )]
    key_separator: char,

    /// Write each event with a length prefix (u32, big-endian) instead of as a line
    #[arg(long)]
    length_prefixed: bool,

    /// Write each event in Base64
    #[arg(long, conflicts_with_all = ["format", "length_prefixed"])]
    base64: bool,

    /// Print the position after the last event to stderr; pass it to --from to resume
    #[arg(long)]
    show_cut: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let output = &mut context.output;
    if output.format() != Format::Text && (arguments.format.is_some() || arguments.length_prefixed)
    {
        return Err(Failure::usage("--format and --length-prefixed are for --output text"));
    }
    let start = start(&arguments)?;
    let limits = context.limits;
    let reading = if arguments.follow { Reading::Following } else { Reading::Present };
    let config = limits.reader(reading).with_start(start.clone()).with_end(end(&arguments)?);
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
            Some(Err(error)) => break Err(error.into()),
            Some(Ok(events)) => events,
        };
        left -= events.len() as u64;
        for event in &events {
            put(event, &arguments, output.format(), &mut text);
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

const BATCH: usize = 4096;

fn start(arguments: &Arguments) -> Result<StreamPosition> {
    if let Some(ago) = arguments.ago {
        let then = SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        return Ok(Timestamp::from(then.max(SystemTime::UNIX_EPOCH)).into());
    }
    Ok(arguments.from.in_stream(&arguments.stream, StreamPosition::Head)?)
}

fn end(arguments: &Arguments) -> Result<ReadUntil> {
    if arguments.follow {
        return Ok(ReadUntil::Sealed);
    }
    match &arguments.until {
        Position::At(StreamPosition::Tail) | Position::Unbounded => Ok(ReadUntil::Tail),
        Position::At(StreamPosition::Cut(cut)) => Ok(ReadUntil::Cut(cut.clone())),
        Position::At(_) | Position::Event { .. } => {
            Err(Failure::usage("--until takes tail or the text of a stream cut"))
        }
    }
}

fn put(event: &ReadEvent<Bytes>, arguments: &Arguments, format: Format, text: &mut Vec<u8>) {
    let payload = event.event();
    match (format, &arguments.format) {
        (Format::Text, Some(template)) => template.render(event, arguments.key_separator, text),
        (Format::Text, None) if arguments.length_prefixed => {
            // The length of a stored event fits in 32 bits.
            text.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
            text.extend_from_slice(payload);
            return;
        }
        (Format::Text, None) if arguments.base64 => {
            text.extend_from_slice(BASE64_STANDARD.encode(payload).as_bytes());
        }
        (Format::Text, None) => text.extend_from_slice(payload),
        (Format::Json | Format::Table, _) => {
            serde_json::to_writer(&mut *text, &record(event, arguments.base64).into_json()).ok();
        }
    }
    text.push(b'\n');
}

/// An event with its position; the payload as text if it is UTF-8, otherwise in Base64.
fn record(event: &ReadEvent<Bytes>, is_base64: bool) -> Record {
    let segment = event.segment().id().to_string();
    let record = Record::new().with("segment", segment).with("offset", event.offset().0);
    let record = record.with("pointer", event.pointer().map(|pointer| pointer.to_string()));
    match std::str::from_utf8(event.event()) {
        Ok(text) if !is_base64 => record.with("event", text),
        _ => record.with("event_base64", BASE64_STANDARD.encode(event.event())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        read: Arguments,
    }

    #[test]
    fn no_option_is_passed_over() {
        for arguments in [
            &["--key-separator", ";"][..],
            &["--key-separator", ";", "--base64"],
            &["--key-separator", ";", "--length-prefixed"],
            &["--format", "{event}", "--base64"],
            &["--format", "{event}", "--length-prefixed"],
            &["--base64", "--length-prefixed"],
            &["--from", "tail", "--ago", "1h"],
            &["--until", "tail", "--follow"],
        ] {
            let arguments = [&["tool", "s/t"], arguments].concat();
            assert!(Tool::try_parse_from(&arguments).is_err(), "{arguments:?}");
        }
        let arguments = ["tool", "s/t", "--format", "{key}", "--key-separator", ";"];
        assert!(Tool::try_parse_from(arguments).is_ok_and(|tool| tool.read.key_separator == ';'));
    }
}
