//! `pravega write`

mod acks;
mod silence;
mod summary;
mod time;
mod transaction;
mod window;

use std::time::{Duration, Instant};

use pravega_sdk::{
    Ack, ClientFactory, EventWriter, WriteError,
    codec::Raw,
    controller_client::Creation,
    types::{ErrorKind, ScopedStream, StreamConfiguration},
};
use tokio::sync::mpsc;

use self::{
    acks::{Counted, count},
    summary::{Totals, show},
    time::Notes,
    window::{Event, InFlight},
};
use super::input::{End, Input, InputArguments, InputEvent, Next};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Output, counted},
    stop::Stop,
};

pub(crate) const AFTER_HELP: &str = "\
Events with the same routing key stay in order; events without one go to any segment. \
An event counts as written once it is durable. Ctrl-C takes no more input, writes what was read, \
and prints with which line to go on.

Examples:
  pravega write shop/orders 'three apples' 'a pear'
  pravega write shop/orders --file orders.txt
  pravega write shop/new --create < orders.txt
  tail -f log | pravega write shop/log --key-separator ' ' --keep-key
  pravega write shop/orders --file orders.jsonl --key-field customer --transaction";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/STREAM
    stream: ScopedStream,

    /// Events, in place of the lines of a file or of stdin
    #[arg(value_name = "EVENT")]
    events: Vec<String>,

    /// Create scope and stream, with one segment, if they do not exist
    #[arg(long)]
    create: bool,

    #[command(flatten)]
    input: InputArguments,

    /// Write all events in one transaction: readers see all of them, or none if anything fails
    #[arg(long)]
    transaction: bool,

    /// Note the time for watermarks while writing and at the end, so that `pravega read --ago`
    /// finds it
    #[arg(long)]
    note_time: bool,
}

/// No event waits longer than its delivery timeout; closing takes a little more.
const CLOSING: Duration = Duration::from_secs(5);
/// How long the events in flight may take after one of them failed.
const FAILED_DEADLINE: Duration = Duration::from_secs(5);

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let large = arguments.input.large_events();
    // A file that cannot be read fails before the first call to the cluster.
    let opened = arguments.input.with_given(arguments.events)?.open()?;
    if arguments.create {
        create(&arguments.stream, &client, &context.output).await?;
    }
    let notes = arguments.note_time.then(|| Notes::new(&client, &arguments.stream));
    let limits = context.limits;
    let config = limits.writer().with_large_events(large);
    if arguments.transaction {
        let config = limits.transaction().with_writer(config);
        return transaction::run(&arguments.stream, opened, config, notes, &client, context).await;
    }
    let writer = client.event_writer_with(&arguments.stream, Raw, config).await?;
    let (mut input, stop) = opened.start()?;
    let started = Instant::now();
    let noting = notes.clone().map(|notes| tokio::spawn(notes.every_few_seconds()));
    let written = write(&writer, &mut input, &stop, limits.delivery() + CLOSING).await;
    if let Some(noting) = noting {
        noting.abort();
    }
    input.progress().finish_and_clear();
    let written = written?;
    if let Some(notes) = notes {
        notes.once().await;
    }
    let Counted { events, bytes, .. } = written.counted;
    let totals = Totals { events, bytes, skipped: input.skipped(), took: started.elapsed() };
    let next = written.counted.done.number + 1;
    show(&totals, Some(&written.counted.latencies), next, &mut context.output)?;
    written.outcome(&input)
}

/// Creates a stream and its scope, if they do not exist. The scope comes second: an account that
/// may create streams in it may not be one that may create scopes.
async fn create(stream: &ScopedStream, client: &ClientFactory, output: &Output) -> Result<()> {
    let (controller, configuration) = (client.controller(), StreamConfiguration::default());
    let creation = match controller.create_stream(stream, &configuration).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if controller.create_scope(stream.scope()).await? == Creation::Created {
                output.status(format_args!("created scope {}", stream.scope()));
            }
            controller.create_stream(stream, &configuration).await?
        }
        created => created?,
    };
    if creation == Creation::Created {
        output.status(format_args!("created stream {stream}"));
    }
    Ok(())
}

/// How writing ended.
struct Written {
    counted: Counted,
    /// The end of the input, or `None` if an event failed before it.
    end: Result<Option<End>>,
    /// The number of events that were not acknowledged.
    failed: u64,
    failure: Option<WriteError>,
}

async fn write(
    writer: &EventWriter<Raw>,
    input: &mut Input,
    stop: &Stop,
    closing: Duration,
) -> Result<Written> {
    let (acks, waiting) = mpsc::channel(65_536);
    let counting = tokio::spawn(count(waiting, input.progress().clone(), stop.clone()));
    let end = hand_in(writer, input, acks).await;
    let mut counted = counting.await.map_err(Failure::other)??;
    let deadline = if counted.failure.is_some() { FAILED_DEADLINE } else { closing };
    let report = tokio::select! {
        biased;
        report = writer.close(deadline) => report,
        _ = stop.again() => writer.close(Duration::ZERO).await,
    };
    let failure = counted.failure.take().or(report.first_failure);
    if failure.is_none() && counted.quit.is_none() && matches!(end, Ok(Some(_))) {
        // Everything that was handed out is written, and lines after it may be skipped.
        counted.done = input.last();
    }
    Ok(Written { counted, end, failed: report.failed, failure })
}

/// Hands every event to the writer, and its ack to the counting task. Returns the end of the input,
/// or `None` as soon as the counting task has ended, because an event failed.
async fn hand_in(
    writer: &EventWriter<Raw>,
    input: &mut Input,
    acks: mpsc::Sender<InFlight<Ack>>,
) -> Result<Option<End>> {
    let failed = acks.closed();
    tokio::pin!(failed);
    loop {
        let events = tokio::select! {
            biased;
            () = &mut failed => return Ok(None),
            next = input.next() => match next {
                Next::Events(events) => events,
                Next::End(end) => return Ok(Some(end)),
            },
        };
        for InputEvent { at, key, payload } in events {
            // First the capacity for its ack, so that every event that is written is counted.
            let Ok(capacity) = acks.reserve().await else { return Ok(None) };
            let (started, bytes) = (Instant::now(), payload.len() as u64);
            let ack = tokio::select! {
                biased;
                ack = writer.enqueue(key.as_deref(), payload) => ack?,
                () = &mut failed => return Ok(None),
            };
            capacity.send(InFlight { event: Event { at, started, bytes }, ack });
        }
    }
}

impl Written {
    /// The result of the command. A failure has the place in the input at which another run goes
    /// on.
    fn outcome(self, input: &Input) -> Result<()> {
        let places = input.places();
        let done = input.written_up_to(self.counted.done);
        let rest = format!("the rest: {}", places.rest(self.counted.done));
        let failed = self.failed;
        if let Some(signal) = self.counted.quit {
            let more = counted(failed, "more event");
            let unknown = format!("{more} may be written, too; {rest}");
            return Err(Failure::stopped(signal, done).with_hint(unknown));
        }
        // The failure of an event is the cause; that the input stopped is a consequence.
        if let Some(failure) = self.failure {
            let outcome = failure.outcome();
            let failed = counted(failed, "event");
            let hint = format!("{done}; not acknowledged: {failed}, {outcome}; {rest}");
            return Err(Failure::from(failure).with_hint(hint));
        }
        match self.end {
            Ok(None | Some(End::Whole)) => Ok(()),
            Ok(Some(End::Stopped(signal))) => Err(Failure::stopped(signal, done).with_hint(rest)),
            Ok(Some(End::Bad(bad))) => {
                let hint = format!("{done}; correct {}, then {rest}", places.name(bad.at));
                Err(bad.into_failure().with_hint(hint))
            }
            Ok(Some(End::Unreadable(failure))) | Err(failure) => {
                Err(failure.with_hint(format!("{done}; {rest}")))
            }
        }
    }
}
