//! Decisions of the controller about a transaction, even if its answers are lost.

use std::{fmt, sync::Arc, time::Duration};

use pravega_sdk_controller_client::{ControllerError, TransactionState};
use pravega_sdk_segment_client::{
    machine::{Random, delay},
    runtime::{random_bits, rng, runtime},
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{Backoff, ErrorKind, Outcome, ScopedStream, Timestamp, TransactionId};
use tokio::time::{Instant, sleep, timeout_at};

use super::shared::Shared;
use crate::error::TransactionError;

/// A request to end a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Commit { time: Option<Timestamp> },
    Abort,
}

/// A transaction that is committed: nothing can keep it out of the stream any more.
pub struct Commit {
    shared: Arc<Shared>,
    id: TransactionId,
}

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));

impl Shared {
    /// Commits or aborts a transaction. Either request may be repeated; if a reply is lost, the
    /// state of the transaction shows if the request arrived.
    pub(super) async fn decide(
        &self,
        id: TransactionId,
        decision: Decision,
    ) -> Result<(), TransactionError> {
        let deadline = Instant::now() + self.config.decision_timeout;
        let mut last = None;
        // An attempt without an answer may still arrive, also if a later one is refused.
        let mut outcome = Outcome::NotApplied;
        let deciding = async {
            let mut random = self.random_bits(id);
            let mut attempt = 0;
            loop {
                let Err(error) = self.ask(id, decision).await else { return Ok(()) };
                if self.config.writer.append.bugs.has(SeededBug::BelievesCommits) {
                    return Ok(());
                }
                let is_definite =
                    !error.kind().is_retryable() && error.outcome() == Outcome::NotApplied;
                if self.config.writer.append.bugs.has(SeededBug::BelievesLastAttempts) {
                    outcome = Outcome::NotApplied;
                }
                if error.outcome() != Outcome::NotApplied {
                    outcome = Outcome::Unknown;
                }
                let failure =
                    TransactionError::from_controller(error, decision.failed(), &self.stream)
                        .with_outcome(outcome);
                last = Some(failure.clone());
                match self.context.controller().transaction_state(&self.stream, id).await {
                    Ok(TransactionState::Open) if is_definite => return Err(failure),
                    Ok(TransactionState::Open) => {}
                    Ok(state) => return decision.judge(state, &self.stream),
                    // It ended so long ago that the controller has forgotten it: it is aborted.
                    Err(error)
                        if error.kind() == ErrorKind::NotFound && decision == Decision::Abort =>
                    {
                        return Ok(());
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound && is_definite => {
                        let gone = TransactionError::not_open(None, &self.stream);
                        return Err(gone.with_outcome(outcome));
                    }
                    Err(error) if !error.kind().is_retryable() => return Err(failure),
                    Err(_) => {}
                }
                attempt += 1;
                sleep(delay(&BACKOFF, attempt, &mut random)).await;
            }
        };
        let decided = timeout_at(deadline, deciding).await;
        decided.unwrap_or_else(|_| {
            let detail = format_args!("not decided within {:?}", self.config.decision_timeout);
            let error = TransactionError::new(ErrorKind::Timeout, Outcome::Unknown, detail)
                .with_stream(&self.stream);
            Err(error.with_source(last.map(|last| Arc::new(last) as _)))
        })
    }

    /// Random bits, which are repeatable if those of the writer are.
    fn random_bits(&self, id: TransactionId) -> Random {
        let seed = self.config.writer.append.seed.map(|seed| seed ^ id.0.as_u64_pair().1);
        random_bits(rng(seed))
    }

    async fn ask(&self, id: TransactionId, decision: Decision) -> Result<(), ControllerError> {
        match decision {
            Decision::Commit { time } => {
                let note = time.map(|time| (&self.writer_name, time));
                self.context.controller().commit_transaction(&self.stream, id, note).await
            }
            Decision::Abort => self.context.controller().abort_transaction(&self.stream, id).await,
        }
    }
}

impl Decision {
    /// What it means for the decision that the transaction ended like that.
    fn judge(self, state: TransactionState, stream: &ScopedStream) -> Result<(), TransactionError> {
        let is_committed =
            matches!(state, TransactionState::Committing | TransactionState::Committed);
        let wanted = matches!(self, Self::Commit { .. });
        if is_committed == wanted {
            Ok(())
        } else {
            Err(TransactionError::not_open(Some(state), stream))
        }
    }

    fn failed(self) -> &'static str {
        match self {
            Self::Commit { .. } => "it could not be committed",
            Self::Abort => "it could not be aborted",
        }
    }
}

impl Commit {
    pub(super) fn new(shared: Arc<Shared>, id: TransactionId) -> Self {
        Self { shared, id }
    }

    /// The transaction.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// Waits until readers see the transaction's events.
    ///
    /// # Errors
    ///
    /// [`TransactionError`], of kind [`Timeout`](ErrorKind::Timeout) if that takes longer than
    /// `deadline` from now. The transaction is still committed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for the transaction.
    pub async fn wait_until_visible(&self, deadline: Duration) -> Result<(), TransactionError> {
        runtime().map_err(|error| TransactionError::from(error).with_outcome(Outcome::Applied))?;
        let mut random = self.shared.random_bits(self.id);
        let waiting = async {
            let mut attempt = 0;
            loop {
                match self.shared.status(self.id).await {
                    Ok(TransactionState::Committed) => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.is_retryable() => {}
                    Err(error) => return Err(error),
                }
                attempt += 1;
                sleep(delay(&BACKOFF, attempt, &mut random)).await;
            }
        };
        tokio::time::timeout(deadline, waiting).await.unwrap_or_else(|_| {
            let detail = format_args!("committed, and not visible within {deadline:?}");
            Err(TransactionError::new(ErrorKind::Timeout, Outcome::Applied, detail)
                .with_stream(&self.shared.stream))
        })
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("id", &self.id).finish_non_exhaustive()
    }
}
