//! `pravega txn`

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Subcommand;
use pravega_sdk::{
    ClientFactory, TransactionConfig, TransactionError,
    codec::Raw,
    controller_client::{
        Controller, ControllerError, PingStatus, TransactionOutcome, TransactionState,
    },
    types::{ErrorKind, ScopedStream, Timestamp, TransactionId, WriterName},
};

use super::{
    feed::feed,
    input::{End, InputArguments},
};
use crate::{
    context::Context,
    failure::{Failure, Result},
    interrupt::unless_stopped,
    output::{Output, Record, counted},
    parse,
};

/// A person who types the id of a transaction takes a while. Servers take no longer leases unless
/// configured otherwise.
const LEASE: &str = "10m";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Begin a transaction and print its id
    Begin {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Time without a ping after which the controller aborts it; servers take 10s to 10m unless
        /// configured otherwise
        #[arg(
            long,
            value_name = "DURATION",
            value_parser = parse::some_time,
            default_value = LEASE
        )]
        lease: Duration,
    },
    /// Renew a transaction's lease
    Ping {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        #[arg(value_parser = parse::transaction_id)]
        id: TransactionId,
        /// Time without another ping after which the controller aborts it
        #[arg(
            long,
            value_name = "DURATION",
            value_parser = parse::some_time,
            default_value = LEASE
        )]
        lease: Duration,
    },
    /// Write events to an open transaction, one per line of a file or stdin, and leave it open
    Write {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        #[arg(value_parser = parse::transaction_id)]
        id: TransactionId,
        #[command(flatten)]
        input: InputArguments,
        /// Time without a ping after which the controller aborts it; pings are sent while events
        /// are written
        #[arg(
            long,
            value_name = "DURATION",
            value_parser = parse::some_time,
            default_value = LEASE
        )]
        lease: Duration,
    },
    /// Show the state of a transaction
    #[command(visible_alias = "info")]
    Status {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        #[arg(value_parser = parse::transaction_id)]
        id: TransactionId,
    },
    /// Commit a transaction
    Commit {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        #[arg(value_parser = parse::transaction_id)]
        id: TransactionId,
        /// Wait at most this long until readers see its events
        #[arg(long, value_parser = parse::some_time, value_name = "DURATION")]
        wait: Option<Duration>,
        /// Writer id to record with the commit, for watermarks
        #[arg(long, requires = "time")]
        writer: Option<WriterName>,
        /// Event time to record with the commit, for watermarks: milliseconds since 1970, or
        /// 2020-09-13T12:26:40Z
        #[arg(long, requires = "writer", value_parser = parse::timestamp)]
        time: Option<Timestamp>,
    },
    /// Abort a transaction
    Abort {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        #[arg(value_parser = parse::transaction_id)]
        id: TransactionId,
    },
    /// List recently finished transactions
    #[command(visible_alias = "ls")]
    List {
        /// SCOPE/STREAM
        stream: ScopedStream,
    },
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let (limits, output) = (context.limits, &mut context.output);
    let controller = client.controller();
    match command {
        Command::Begin { stream, lease } => {
            let transaction = controller.create_transaction(&stream, lease).await;
            let transaction = transaction.map_err(|error| refused(error, lease))?;
            output.list(vec![Record::new().with("transaction", transaction.id.to_string())])
        }
        Command::Ping { stream, id, lease } => {
            let status = match controller.ping_transaction(&stream, id, lease).await? {
                PingStatus::Open => "open",
                PingStatus::Committed => "committed",
                PingStatus::Aborted => "aborted",
                PingStatus::LeaseTooLarge => {
                    return Err(Failure::usage("the server refuses a lease that long")
                        .with_hint("most take 10s to 10m: --lease 10m"));
                }
                PingStatus::MaxExecutionTimeExceeded => "max-execution-time-exceeded",
                PingStatus::Disconnected => "disconnected",
                _ => "unknown",
            };
            output.one(Record::new().with("transaction", id.to_string()).with("state", status))
        }
        Command::Write { stream, id, input, lease } => {
            let config = limits.transaction().with_lease(lease);
            let config =
                config.with_writer(limits.writer().with_large_events(input.large_events()));
            write(&stream, id, input, config, &client, output).await
        }
        Command::Status { stream, id } => {
            let state = name(controller.transaction_state(&stream, id).await?);
            output.one(Record::new().with("transaction", id.to_string()).with("state", state))
        }
        Command::Commit { stream, id, wait, writer, time } => {
            controller.commit_transaction(&stream, id, writer.as_ref().zip(time)).await?;
            let Some(limit) = wait else {
                output.status(format_args!("commit of {id} accepted; readers see it soon"));
                return Ok(());
            };
            let begun = Instant::now();
            let waiting = wait_until_committed(controller, &stream, id, limit);
            let next = format!("its state: pravega txn status {stream} {id}");
            unless_stopped(waiting, "the commit was accepted, and goes on", &next).await?;
            let millis = begun.elapsed().as_millis();
            output.status(format_args!("committed {id}; visible to readers after {millis} ms"));
            Ok(())
        }
        Command::Abort { stream, id } => {
            controller.abort_transaction(&stream, id).await?;
            output.status(format_args!("abort of {id} accepted"));
            Ok(())
        }
        Command::List { stream } => {
            let completed = controller.completed_transactions(&stream).await?;
            let record = |transaction: &pravega_sdk::controller_client::CompletedTransaction| {
                let outcome = match transaction.outcome {
                    TransactionOutcome::Committed => "committed",
                    TransactionOutcome::Aborted => "aborted",
                };
                Record::new()
                    .with("transaction", transaction.id.to_string())
                    .with("outcome", outcome)
            };
            output.list(completed.iter().map(record).collect())
        }
    }
}

/// The failure to begin a transaction. The server does not tell a lease that is too long from a
/// failure of its own.
fn refused(error: ControllerError, lease: Duration) -> Failure {
    let is_long = lease > Duration::from_secs(600) && error.kind() == ErrorKind::ServerFailure;
    let failure = Failure::from(error);
    if is_long {
        return Failure::usage(failure).with_hint("most servers take 10s to 10m: --lease 10m");
    }
    failure
}

fn name(state: TransactionState) -> &'static str {
    match state {
        TransactionState::Open => "open",
        TransactionState::Committing => "committing",
        TransactionState::Committed => "committed",
        TransactionState::Aborting => "aborting",
        TransactionState::Aborted => "aborted",
        _ => "unknown",
    }
}

async fn write(
    stream: &ScopedStream,
    id: TransactionId,
    input: InputArguments,
    config: TransactionConfig,
    client: &ClientFactory,
    output: &mut Output,
) -> Result<()> {
    // A file that cannot be read fails before the first call to the cluster.
    let opened = input.open()?;
    let writer = client.transactional_writer_with(stream, Raw, config).await?;
    let mut transaction = writer.resume(id).await?;
    let (mut input, stop) = opened.start()?;
    let writing = async {
        let fed = feed(&mut transaction, &mut input).await?;
        // However the input ended, the events before are written and the transaction stays open, so
        // that another run goes on.
        transaction.leave_open().await?;
        Ok::<_, TransactionError>(fed)
    };
    let fed = tokio::select! {
        biased;
        fed = writing => Ok(fed),
        signal = stop.again() => Err(signal),
    };
    input.progress().finish_and_clear();
    let fed = fed.map_err(|signal| {
        Failure::stopped(signal, "it is not known which events are in the transaction")
    })??;
    let skipped = match input.skipped() {
        0 => String::new(),
        skipped => format!("; skipped {}", counted(skipped, "invalid line")),
    };
    output.status(format_args!(
        "wrote {}, {}, to the transaction{skipped}",
        counted(fed.events, "event"),
        indicatif::HumanBytes(fed.bytes)
    ));
    let places = input.places();
    let done = places.up_to(fed.done, "in the transaction, which stays open");
    let rest = format!("the rest: {}", places.rest(fed.done));
    match fed.end {
        End::Whole => Ok(()),
        End::Stopped(signal) => Err(Failure::stopped(signal, done).with_hint(rest)),
        End::Bad(bad) => {
            let hint = format!("{done}; correct {}, then {rest}", places.name(bad.at));
            Err(bad.into_failure().with_hint(hint))
        }
        End::Unreadable(failure) => Err(failure.with_hint(format!("{done}; {rest}"))),
    }
}

async fn wait_until_committed(
    controller: &Arc<dyn Controller>,
    stream: &ScopedStream,
    id: TransactionId,
    limit: Duration,
) -> Result<()> {
    let waiting = async {
        while controller.transaction_state(stream, id).await? != TransactionState::Committed {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    };
    let too_late = || {
        Failure::of_kind(
            ErrorKind::Timeout,
            format!("committed, but not visible to readers within {limit:?}"),
        )
    };
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| Err(too_late()))
}
