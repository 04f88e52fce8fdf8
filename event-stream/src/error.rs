//! Why something about a transaction failed.

use std::{fmt, sync::Arc};

use pravega_sdk_controller_client::{ControllerError, TransactionState};
use pravega_sdk_segment_client::{
    error::{Failure, WriteError},
    error_surface,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};

/// Tells why something about a transaction failed.
#[derive(Clone)]
pub struct TransactionError {
    failure: Arc<Failure>,
    state: Option<TransactionState>,
}

error_surface!(TransactionError);

impl TransactionError {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// The transaction is in that state, so it takes nothing any more.
    pub(crate) fn not_open(state: Option<TransactionState>, stream: &ScopedStream) -> Self {
        let detail = match state {
            Some(TransactionState::Committing | TransactionState::Committed) => {
                "the transaction is committed"
            }
            Some(TransactionState::Aborting | TransactionState::Aborted) => {
                "the transaction is aborted"
            }
            Some(_) | None => "the transaction is not open any more",
        };
        let error = Self::new(ErrorKind::TransactionNotOpen, Outcome::NotApplied, detail);
        Self { state, ..error.with_stream(stream) }
    }

    pub(crate) fn from_controller(
        error: ControllerError,
        detail: &str,
        stream: &ScopedStream,
    ) -> Self {
        Self::new(error.kind(), error.outcome(), detail)
            .with_stream(stream)
            .with_source(Some(Arc::new(error)))
    }

    /// The same failure, of a call of which it is known better whether it took effect.
    #[must_use]
    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        Arc::make_mut(&mut self.failure).set_outcome(outcome);
        self
    }

    /// Returns true if the same call may succeed when it is made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    /// Whether the call took effect.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.failure.outcome()
    }

    /// The state of the transaction, if that is the reason and it is known.
    #[must_use]
    pub fn state(&self) -> Option<TransactionState> {
        self.state
    }
}

impl From<Failure> for TransactionError {
    fn from(failure: Failure) -> Self {
        Self { failure: Arc::new(failure), state: None }
    }
}

impl From<WriteError> for TransactionError {
    fn from(error: WriteError) -> Self {
        Self { failure: error.into_failure(), state: None }
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.describe(f, "transaction", "on ")?;
        match self.outcome() {
            Outcome::Unknown => f.write_str("; it is not known whether it took effect"),
            Outcome::Applied => f.write_str("; it took effect"),
            Outcome::NotApplied => Ok(()),
        }
    }
}
