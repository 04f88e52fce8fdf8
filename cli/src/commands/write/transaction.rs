//! `pravega write --transaction`: all events, or none.

use std::time::{Duration, Instant};

use pravega_sdk::{
    ClientFactory, Transaction, TransactionConfig, TransactionError,
    codec::Raw,
    types::{Outcome, ScopedStream},
};

use super::{
    super::{
        feed::{Fed, feed},
        input::{End, Opened},
    },
    summary::{Totals, show},
    time::Notes,
};
use crate::{
    context::Context,
    failure::{Failure, Result},
    signal::Signal,
    stop::Stop,
};

/// How long readers may take to see a committed transaction.
const VISIBLE_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn run(
    stream: &ScopedStream,
    opened: Opened,
    config: TransactionConfig,
    notes: Option<Notes>,
    client: &ClientFactory,
    context: &mut Context,
) -> Result<()> {
    let writer = client.transactional_writer_with(stream, Raw, config).await?;
    let mut transaction = writer.begin().await?;
    let (mut input, stop) = opened.start()?;
    let started = Instant::now();
    let fed = tokio::select! {
        biased;
        fed = feed(&mut transaction, &mut input) => Ok(fed),
        signal = stop.again() => Err(signal),
    };
    input.progress().finish_and_clear();
    let fed = match fed {
        Ok(fed) => whole(fed),
        Err(signal) => return Err(quit(signal)),
    };
    let Fed { events, bytes, done, .. } = match fed {
        Ok(fed) => fed,
        Err(failure) => return Err(abort(transaction, failure, &stop).await),
    };
    tokio::select! {
        biased;
        committed = commit(transaction) => committed?,
        signal = stop.again() => {
            let unknown = "it is not known whether the transaction is committed";
            return Err(Failure::stopped(signal, unknown));
        }
    }
    if let Some(notes) = notes {
        notes.once().await;
    }
    let totals = Totals { events, bytes, skipped: input.skipped(), took: started.elapsed() };
    show(&totals, None, done.number + 1, &mut context.output)
}

const NOTHING: &str = "nothing is written: the transaction was aborted";

/// Returns the failure of the command unless the whole input is in the transaction.
fn whole(fed: std::result::Result<Fed, TransactionError>) -> Result<Fed> {
    let fed = fed.map_err(|error| Failure::from(error).with_hint(NOTHING))?;
    match fed.end {
        End::Whole => Ok(fed),
        End::Stopped(signal) => Err(Failure::stopped(signal, NOTHING)),
        End::Bad(bad) => Err(bad.into_failure().with_hint(format!("{NOTHING}; correct it"))),
        End::Unreadable(failure) => Err(failure.with_hint(NOTHING)),
    }
}

/// Commits the transaction, and waits until readers see its events.
async fn commit(transaction: Transaction<Raw>) -> Result<()> {
    let (stream, id) = (transaction.stream().clone(), transaction.id());
    match transaction.commit().await {
        Ok(commit) => Ok(commit.wait_until_visible(VISIBLE_WITHIN).await?),
        Err(error) => {
            let hint = match error.outcome() {
                Outcome::NotApplied => NOTHING.to_owned(),
                _ => format!("whether it is committed: pravega txn status {stream} {id}"),
            };
            Err(Failure::from(error).with_hint(hint))
        }
    }
}

/// Aborts the transaction, and returns the failure that is the reason.
async fn abort(transaction: Transaction<Raw>, failure: Failure, stop: &Stop) -> Failure {
    tokio::select! {
        biased;
        // If it cannot be aborted, its lease ends it: no event of it is ever seen.
        aborted = transaction.abort() => drop(aborted),
        _ = stop.again() => {}
    }
    failure
}

fn quit(signal: Signal) -> Failure {
    Failure::stopped(signal, "nothing is written: the transaction ends with its lease")
}
