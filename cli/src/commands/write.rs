//! `pravega write`

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use pravega_sdk::{
    Ack, EventWriter, LargeEvents, WriterConfig, codec::Raw, types::ScopedStream,
    wire_protocol::event::MAX_EVENT_LEN,
};
use tokio::sync::mpsc;

use super::{
    input::{Input, InputArguments, KeyedEvent},
    progress,
};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Format, Output, Record},
};

pub(crate) const AFTER_HELP: &str = "\
Events with the same routing key stay in order; events without one go to any segment. \
An event counts as written once it is durable.

Examples:
  pravega write shop/orders --file orders.txt
  tail -f log | pravega write shop/log --key-separator ' '
  pravega write shop/orders --file orders.jsonl --key-field customer";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/STREAM
    stream: ScopedStream,

    #[command(flatten)]
    input: InputArguments,
}

/// The writer's own limit: no event waits longer than this.
const CLOSE_DEADLINE: Duration = Duration::from_secs(125);

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let output = &mut context.output;
    let large = match arguments.input.max_event_bytes() {
        ..=MAX_EVENT_LEN => LargeEvents::Refuse,
        more => LargeEvents::UpTo(more),
    };
    // A file that cannot be read fails before the first call to the cluster.
    let Input { events, len } = arguments.input.start()?;
    let config = WriterConfig::default().with_large_events(large);
    let writer = client.event_writer_with(&arguments.stream, Raw, config).await?;
    let progress = progress::bar(len);
    let started = Instant::now();
    let (acks, waiting) = mpsc::channel(65_536);
    let counting = tokio::spawn(count(waiting, progress.clone()));
    let handed_in = hand_in(&writer, events, acks).await;
    let counted = counting.await.map_err(Failure::other)??;
    let report = writer.close(CLOSE_DEADLINE).await;
    progress.finish_and_clear();
    show(&counted, started.elapsed(), output)?;
    // The failure of an event is the cause; that the input stopped is a consequence.
    if let Some(failure) = counted.failure.or(report.first_failure) {
        let failed = report.failed;
        let outcome = failure.outcome();
        return Err(Failure::from(failure)
            .with_hint(format!("{failed} events were not acknowledged: {outcome}")));
    }
    handed_in
}

/// Hands every event to the writer, and its ack to the counting task. Ends early if an event
/// failed, as the counting task has ended then.
async fn hand_in(
    writer: &EventWriter<Raw>,
    mut events: mpsc::Receiver<Result<Vec<KeyedEvent>>>,
    acks: mpsc::Sender<InFlight>,
) -> Result<()> {
    while let Some(batch) = events.recv().await {
        for KeyedEvent { key, payload } in batch? {
            let (started, bytes) = (Instant::now(), payload.len() as u64);
            let ack = writer.enqueue(key.as_deref(), payload).await?;
            if acks.send(InFlight { started, bytes, ack }).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// An event that the writer has accepted and not acknowledged yet.
struct InFlight {
    started: Instant,
    bytes: u64,
    ack: Ack,
}

struct Counted {
    events: u64,
    bytes: u64,
    /// In microseconds.
    latencies: Histogram<u64>,
    failure: Option<pravega_sdk::WriteError>,
}

/// Waits for the acks in order, up to the first failure.
async fn count(mut waiting: mpsc::Receiver<InFlight>, progress: ProgressBar) -> Result<Counted> {
    // One microsecond to ten minutes, to two digits.
    let latencies = Histogram::new_with_bounds(1, 600_000_000, 2).map_err(Failure::other)?;
    let mut counted = Counted { events: 0, bytes: 0, latencies, failure: None };
    while let Some(InFlight { started, bytes, ack }) = waiting.recv().await {
        if let Err(failure) = ack.await {
            counted.failure = Some(failure);
            break;
        }
        counted.events += 1;
        counted.bytes += bytes;
        counted
            .latencies
            .saturating_record(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        progress.inc(bytes);
        if counted.events.is_multiple_of(1000) {
            progress.set_message(format!("{} events", counted.events));
        }
    }
    Ok(counted)
}

fn show(counted: &Counted, took: Duration, output: &mut Output) -> Result<()> {
    let seconds = took.as_secs_f64().max(1e-6);
    let rate = (counted.events as f64 / seconds).round();
    let [p50, p99] = [50.0, 99.0]
        .map(|percentile| counted.latencies.value_at_percentile(percentile) as f64 / 1000.0);
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
            "wrote {events} events, {bytes}, in {seconds:.1} s: {rate:.0} per second, \
             p50 {p50:.1} ms, p99 {p99:.1} ms"
        ));
        return Ok(());
    }
    output.one(record)
}
