//! `pravega txn`

use std::{sync::Arc, time::Duration};

use clap::Subcommand;
use pravega_sdk::{
    ClientFactory, LargeEvents, TransactionConfig, WriterConfig,
    codec::Raw,
    controller_client::{Controller, PingStatus, TransactionOutcome, TransactionState},
    types::{ErrorKind, ScopedStream, Timestamp, TransactionId, WriterName},
    wire_protocol::event::MAX_EVENT_LEN,
};

use super::input::{InputArguments, KeyedEvent};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Output, Record},
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Begin a transaction and print its id
    Begin {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Time without a ping after which the controller aborts it
        #[arg(long, value_parser = parse::duration, default_value = "30s")]
        lease: Duration,
    },
    /// Renew a transaction's lease
    Ping {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        id: TransactionId,
        /// Time without another ping after which the controller aborts it
        #[arg(long, value_parser = parse::duration, default_value = "30s")]
        lease: Duration,
    },
    /// Write events to an open transaction, one per line of a file or stdin, and leave it open
    Write {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        id: TransactionId,
        #[command(flatten)]
        input: InputArguments,
        /// Time without a ping after which the controller aborts it; pings are sent while events
        /// are written
        #[arg(long, value_parser = parse::duration, default_value = "30s")]
        lease: Duration,
    },
    /// Show the state of a transaction
    Status {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        id: TransactionId,
    },
    /// Commit a transaction
    Commit {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        id: TransactionId,
        /// Wait at most this long until readers see its events
        #[arg(long, value_parser = parse::duration, value_name = "DURATION")]
        wait: Option<Duration>,
        /// Writer id to record with the commit, for watermarks
        #[arg(long, requires = "time")]
        writer: Option<WriterName>,
        /// Event time in ms since 1970 to record with the commit, for watermarks
        #[arg(long, requires = "writer")]
        time: Option<i64>,
    },
    /// Abort a transaction
    Abort {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Transaction id
        id: TransactionId,
    },
    /// List recently finished transactions
    List {
        /// SCOPE/STREAM
        stream: ScopedStream,
    },
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let output = &mut context.output;
    let controller = client.controller();
    match command {
        Command::Begin { stream, lease } => {
            let transaction = controller.create_transaction(&stream, lease).await?;
            output.list(vec![Record::new().with("transaction", transaction.id.to_string())])
        }
        Command::Ping { stream, id, lease } => {
            let status = match controller.ping_transaction(&stream, id, lease).await? {
                PingStatus::Open => "open",
                PingStatus::Committed => "committed",
                PingStatus::Aborted => "aborted",
                PingStatus::LeaseTooLarge => {
                    return Err(Failure::usage("the server refuses a lease that long"));
                }
                PingStatus::MaxExecutionTimeExceeded => "max-execution-time-exceeded",
                PingStatus::Disconnected => "disconnected",
                _ => "unknown",
            };
            output.one(Record::new().with("transaction", id.to_string()).with("state", status))
        }
        Command::Write { stream, id, input, lease } => {
            write(&stream, id, input, lease, &client, output).await
        }
        Command::Status { stream, id } => {
            let state = name(controller.transaction_state(&stream, id).await?);
            output.one(Record::new().with("transaction", id.to_string()).with("state", state))
        }
        Command::Commit { stream, id, wait, writer, time } => {
            controller
                .commit_transaction(
                    &stream,
                    id,
                    writer.as_ref().zip(time.map(Timestamp::from_millis)),
                )
                .await?;
            output.status(format_args!("commit of {id} accepted"));
            match wait {
                None => Ok(()),
                Some(limit) => wait_until_committed(controller, &stream, id, limit).await,
            }
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
    lease: Duration,
    client: &ClientFactory,
    output: &mut Output,
) -> Result<()> {
    let large = match input.max_event_bytes() {
        ..=MAX_EVENT_LEN => LargeEvents::Refuse,
        more => LargeEvents::UpTo(more),
    };
    // A file that cannot be read fails before the first call to the cluster.
    let mut events = input.start()?.events;
    let config = TransactionConfig::default().with_lease(lease);
    let config = config.with_writer(WriterConfig::default().with_large_events(large));
    let mut transaction =
        client.transactional_writer_with(stream, Raw, config).await?.resume(id).await?;
    let (mut count, mut bytes) = (0_u64, 0_u64);
    let mut invalid = None;
    while let Some(batch) = events.recv().await {
        match batch {
            Ok(batch) => {
                for KeyedEvent { key, payload } in batch {
                    count += 1;
                    bytes += payload.len() as u64;
                    transaction.write(key.as_deref(), payload).await?;
                }
            }
            Err(failure) => invalid = Some(failure),
        }
    }
    // After invalid input, the events before it are written and the transaction stays open, so that
    // the input can be corrected.
    transaction.leave_open().await?;
    output.status(format_args!(
        "wrote {count} events, {}, to the transaction",
        indicatif::HumanBytes(bytes)
    ));
    invalid.map_or(Ok(()), Err)
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
