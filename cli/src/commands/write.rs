//! `pravega write`

use std::{
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use pravega_sdk::{
    Ack, ClientFactory, EventWriter, LargeEvents, WriterConfig, codec::Raw, event_stream::MAX_ROUTING_KEY_LEN,
    types::ScopedStream, wire_protocol::event::MAX_EVENT_LEN,
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    failure::{Failure, Result},
    output::{Format, Output, Record},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/STREAM
    stream: ScopedStream,

    /// The file to take events from; stdin by default
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// What stands in front of the first of these characters is the routing key of the line, what stands behind it the event
    #[arg(long, value_name = "CHARACTER", conflicts_with_all = ["json", "length_prefixed"])]
    key_separator: Option<char>,

    /// The field of a JSON line that is its routing key; implies --json
    #[arg(long, value_name = "FIELD", conflicts_with = "length_prefixed")]
    key_field: Option<String>,

    /// Every line must be JSON
    #[arg(long, conflicts_with = "length_prefixed")]
    json: bool,

    /// Events are not lines: each stands behind its length, four bytes with the high one first
    #[arg(long)]
    length_prefixed: bool,

    /// The longest event, in bytes; above 8388608 it travels through a segment of its own
    #[arg(long, value_name = "BYTES", default_value_t = MAX_EVENT_LEN)]
    max_event_bytes: usize,
}

type Input = BufReader<Box<dyn std::io::Read + Send>>;

/// An event and its routing key.
type KeyedEvent = (Option<String>, Vec<u8>);

/// Events handed over in one go; whatever was read is handed over before the input is waited for.
const MAX_BATCH: usize = 512;
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// As a writer's own limit: nothing that was read waits for longer.
const CLOSE_DEADLINE: Duration = Duration::from_secs(125);

pub(crate) async fn run(arguments: Arguments, factory: &ClientFactory, output: &mut Output) -> Result<()> {
    let (input, len) = open(&arguments)?;
    let large = match arguments.max_event_bytes {
        ..=MAX_EVENT_LEN => LargeEvents::Refuse,
        more => LargeEvents::UpTo(more),
    };
    let config = WriterConfig::default().with_large_events(large);
    let writer = factory.event_writer_with(&arguments.stream, Raw, config).await?;
    let progress = progress(len);
    let (batches, events) = mpsc::channel(4);
    // It may stand at a terminal's or a pipe's input for ever, so nobody waits for it.
    std::thread::spawn(move || read(input, &arguments, &batches));
    let started = Instant::now();
    let (acks, waiting) = mpsc::channel(65_536);
    let counting = tokio::spawn(count(waiting, progress.clone()));
    let handed_in = hand_in(&writer, events, acks).await;
    let counted = counting.await.map_err(Failure::other)??;
    let report = writer.close(CLOSE_DEADLINE).await;
    progress.finish_and_clear();
    show(&counted, started.elapsed(), output)?;
    // What went wrong with an event matters more than what stopped the input then.
    if let Some(failure) = counted.failure.or(report.first_failure) {
        let failed = report.failed;
        let outcome = failure.outcome();
        return Err(Failure::from(failure).with_hint(format!("{failed} events were not acknowledged: {outcome}")));
    }
    handed_in
}

fn open(arguments: &Arguments) -> Result<(Input, Option<u64>)> {
    let Some(path) = &arguments.file else {
        return Ok((BufReader::new(Box::new(std::io::stdin())), None));
    };
    let unreadable = |error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", path.display())));
    }
    let len = Some(metadata.len()).filter(|_| metadata.is_file());
    Ok((BufReader::with_capacity(256 * 1024, Box::new(file)), len))
}

/// Drawn only where stderr is a terminal.
fn progress(len: Option<u64>) -> ProgressBar {
    let (bar, template) = match len {
        Some(len) => (
            ProgressBar::new(len),
            "{bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left, {msg}",
        ),
        None => (ProgressBar::no_length(), "{spinner} {binary_bytes} {binary_bytes_per_sec}, {elapsed}, {msg}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Reads the input to its end, or to the first thing that is no event.
fn read(mut input: Input, arguments: &Arguments, batches: &mpsc::Sender<Result<Vec<KeyedEvent>>>) {
    let mut number = 0_u64;
    let mut is_over = false;
    while !is_over {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut failure = None;
        while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            number += 1;
            let next = match arguments.length_prefixed {
                true => next_prefixed(&mut input, arguments, number),
                false => next_line(&mut input, arguments, number),
            };
            match next {
                Ok(Some(event)) => {
                    bytes += event.1.len();
                    batch.push(event);
                }
                Ok(None) => is_over = true,
                Err(error) => {
                    is_over = true;
                    failure = Some(error);
                }
            }
            // An empty buffer may take for ever to fill.
            if is_over || input.buffer().is_empty() {
                break;
            }
        }
        // What was read before the mistake is written.
        if batches.blocking_send(Ok(batch)).is_err() {
            return;
        }
        if let Some(failure) = failure {
            batches.blocking_send(Err(failure)).ok();
        }
    }
}

fn next_line(input: &mut Input, arguments: &Arguments, number: u64) -> Result<Option<KeyedEvent>> {
    let mut line = Vec::new();
    let limit = arguments.max_event_bytes.saturating_add(MAX_KEY_BYTES) as u64;
    input.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|error| unreadable(number, &error))?;
    match line.last() {
        None => return Ok(None),
        Some(b'\n') => drop(line.pop()),
        // The last line of a file may have no end.
        Some(_) if (line.len() as u64) < limit => {}
        Some(_) => return Err(too_long(number, arguments.max_event_bytes)),
    }
    let event = keyed(line, arguments, number)?;
    if event.1.len() > arguments.max_event_bytes {
        return Err(too_long(number, arguments.max_event_bytes));
    }
    Ok(Some(event))
}

fn keyed(line: Vec<u8>, arguments: &Arguments, number: u64) -> Result<KeyedEvent> {
    let wrong = |detail: &dyn std::fmt::Display| Failure::usage(format!("line {number}: {detail}"));
    if let Some(separator) = arguments.key_separator {
        let text = String::from_utf8(line).map_err(|_| wrong(&"it is not UTF-8, so it cannot have a key"))?;
        let (key, event) =
            text.split_once(separator).ok_or_else(|| wrong(&format_args!("there is no {separator:?} in it")))?;
        return Ok((Some(key.to_owned()), event.as_bytes().to_vec()));
    }
    if arguments.json || arguments.key_field.is_some() {
        let value: Value = serde_json::from_slice(&line).map_err(|error| wrong(&format_args!("no JSON: {error}")))?;
        if let Some(field) = &arguments.key_field {
            let key = match value.get(field) {
                Some(Value::String(key)) => key.clone(),
                Some(Value::Null) | None => return Err(wrong(&format_args!("it has no field {field:?}"))),
                Some(other) => other.to_string(),
            };
            return Ok((Some(key), line));
        }
    }
    Ok((None, line))
}

/// Room for a key and its separator in a line.
const MAX_KEY_BYTES: usize = MAX_ROUTING_KEY_LEN + 8;

fn next_prefixed(input: &mut Input, arguments: &Arguments, number: u64) -> Result<Option<KeyedEvent>> {
    let mut prefix = Vec::new();
    input.by_ref().take(4).read_to_end(&mut prefix).map_err(|error| unreadable(number, &error))?;
    let cut = || Failure::usage(format!("event {number}: the input ends in the middle of it"));
    let len = match prefix[..] {
        [] => return Ok(None),
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        _ => return Err(cut()),
    };
    if len as usize > arguments.max_event_bytes {
        return Err(too_long(number, arguments.max_event_bytes));
    }
    // Memory grows with what is there, not with what the prefix claims.
    let mut event = Vec::new();
    input.by_ref().take(len.into()).read_to_end(&mut event).map_err(|error| unreadable(number, &error))?;
    if event.len() < len as usize {
        return Err(cut());
    }
    Ok(Some((None, event)))
}

fn unreadable(number: u64, error: &std::io::Error) -> Failure {
    Failure::other(format!("event {number}: the input cannot be read: {error}"))
}

fn too_long(number: u64, limit: usize) -> Failure {
    Failure::usage(format!("event {number} has more than {limit} bytes; --max-event-bytes allows more"))
}

/// Hands every event to the writer, and its ack on. Ends early if an event failed: nobody takes acks any more then.
async fn hand_in(
    writer: &EventWriter<Raw>,
    mut events: mpsc::Receiver<Result<Vec<KeyedEvent>>>,
    acks: mpsc::Sender<(Instant, u64, Ack)>,
) -> Result<()> {
    while let Some(batch) = events.recv().await {
        for (key, event) in batch? {
            let (begun, len) = (Instant::now(), event.len() as u64);
            let ack = writer.enqueue(key.as_deref(), event).await?;
            if acks.send((begun, len, ack)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

struct Counted {
    events: u64,
    bytes: u64,
    /// In microseconds.
    latencies: Histogram<u64>,
    failure: Option<pravega_sdk::WriteError>,
}

/// Waits for the acks in order, up to the first failure.
async fn count(mut waiting: mpsc::Receiver<(Instant, u64, Ack)>, progress: ProgressBar) -> Result<Counted> {
    // One microsecond to ten minutes, to two digits.
    let latencies = Histogram::new_with_bounds(1, 600_000_000, 2).map_err(Failure::other)?;
    let mut counted = Counted { events: 0, bytes: 0, latencies, failure: None };
    while let Some((begun, len, ack)) = waiting.recv().await {
        if let Err(failure) = ack.await {
            counted.failure = Some(failure);
            break;
        }
        counted.events += 1;
        counted.bytes += len;
        counted.latencies.saturating_record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        progress.inc(len);
        if counted.events.is_multiple_of(1000) {
            progress.set_message(format!("{} events", counted.events));
        }
    }
    Ok(counted)
}

fn show(counted: &Counted, took: Duration, output: &mut Output) -> Result<()> {
    let seconds = took.as_secs_f64().max(1e-6);
    let rate = (counted.events as f64 / seconds).round();
    let [p50, p99] = [50.0, 99.0].map(|percentile| counted.latencies.value_at_percentile(percentile) as f64 / 1000.0);
    let record = Record::new()
        .with("events", counted.events)
        .with("bytes", counted.bytes)
        .with("seconds", (seconds * 1000.0).round() / 1000.0)
        .with("events_per_s", rate)
        .with("p50_ms", p50)
        .with("p99_ms", p99);
    if output.format() == Format::Text {
        let (events, bytes) = (counted.events, indicatif::HumanBytes(counted.bytes));
        output.status(format_args!(
            "wrote {events} events, {bytes}, in {seconds:.1} s: {rate:.0} a second, p50 {p50:.1} ms, p99 {p99:.1} ms"
        ));
        return Ok(());
    }
    output.one(record)
}
