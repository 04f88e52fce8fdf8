//! `pravega txn`

use std::{sync::Arc, time::Duration};

use clap::Subcommand;
use pravega_sdk::{
    controller_client::{Controller, PingStatus, TransactionOutcome, TransactionState},
    types::{ScopedStream, TransactionId, WriterName},
};

use crate::{
    failure::{Failure, Result},
    output::{Output, Record},
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Begins a transaction and prints its id
    Begin {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// After how long without a ping the controller aborts it
        #[arg(long, value_parser = parse::duration, default_value = "30s")]
        lease: Duration,
    },
    /// Starts the lease of a transaction anew
    Ping {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Its id
        id: TransactionId,
        /// After how long without another ping the controller aborts it
        #[arg(long, value_parser = parse::duration, default_value = "30s")]
        lease: Duration,
    },
    /// Shows where a transaction stands
    Status {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Its id
        id: TransactionId,
    },
    /// Asks for a transaction to be committed
    Commit {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Its id
        id: TransactionId,
        /// The writer that notes a time
        #[arg(long, requires = "time")]
        writer: Option<WriterName>,
        /// The time that it notes
        #[arg(long, requires = "writer")]
        time: Option<i64>,
    },
    /// Asks for a transaction to be aborted
    Abort {
        /// SCOPE/STREAM
        stream: ScopedStream,
        /// Its id
        id: TransactionId,
    },
    /// Lists transactions that ended not long ago
    List {
        /// SCOPE/STREAM
        stream: ScopedStream,
    },
}

pub(crate) async fn run(command: Command, controller: &Arc<dyn Controller>, output: &mut Output) -> Result<()> {
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
                PingStatus::LeaseTooLarge => return Err(Failure::usage("the server does not take a lease that long")),
                PingStatus::MaxExecutionTimeExceeded => "max-execution-time-exceeded",
                PingStatus::Disconnected => "disconnected",
            };
            output.one(Record::new().with("transaction", id.to_string()).with("state", status))
        }
        Command::Status { stream, id } => {
            let state = match controller.transaction_state(&stream, id).await? {
                TransactionState::Open => "open",
                TransactionState::Committing => "committing",
                TransactionState::Committed => "committed",
                TransactionState::Aborting => "aborting",
                TransactionState::Aborted => "aborted",
            };
            output.one(Record::new().with("transaction", id.to_string()).with("state", state))
        }
        Command::Commit { stream, id, writer, time } => {
            controller.commit_transaction(&stream, id, writer.as_ref().zip(time)).await?;
            output.status(format_args!("commit of {id} accepted"));
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
                Record::new().with("transaction", transaction.id.to_string()).with("outcome", outcome)
            };
            output.list(completed.iter().map(record).collect())
        }
    }
}
