//! The errors of transactions and of events that are not enqueued.

use std::{fmt, sync::Arc};

use pravega_sdk_controller_client::{ControllerError, TransactionState};
use pravega_sdk_segment_client::{error::WriteError, segment_error};
use pravega_sdk_types::{ErrorKind, Failure, Outcome, ScopedStream, Wording, classify, error_type};

use crate::writer::TryEnqueueError;

error_type! {
    /// A failed call about a transaction.
    pub struct TransactionError {
        state: Option<TransactionState>,
    }
    wording: Wording::new("transaction")
        .with_preposition("on")
        .with_effects("it took effect", "it is not known whether it took effect");
    accessors: stream, segment, endpoint, attempts, hint;
}

segment_error!(TransactionError);

impl TransactionError {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// Creates the error of a call that needs an open transaction.
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

    /// Creates the error of a call of the controller that changes nothing.
    pub(crate) fn from_query(error: ControllerError, detail: &str, stream: &ScopedStream) -> Self {
        Self::from_controller(error, detail, stream).with_outcome(Outcome::NotApplied)
    }

    /// Sets the outcome of the call.
    #[must_use]
    pub(crate) fn with_outcome(self, outcome: Outcome) -> Self {
        self.map(|failure| failure.with_outcome(outcome))
    }

    /// Returns the state of the transaction, if that is the reason and it is known.
    #[must_use]
    pub fn state(&self) -> Option<TransactionState> {
        self.state
    }
}

impl From<WriteError> for TransactionError {
    fn from(error: WriteError) -> Self {
        error.into_failure().into()
    }
}

classify!(
    TryEnqueueError,
    |error| match error {
        TryEnqueueError::Full(_) => ErrorKind::LimitReached,
        TryEnqueueError::Refused(error) => error.kind(),
    },
    |error| match error {
        TryEnqueueError::Full(_) => Outcome::NotApplied,
        TryEnqueueError::Refused(error) => error.outcome(),
    },
);
