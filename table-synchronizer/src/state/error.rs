//! The error of calls about a shared state.

use std::{error::Error, fmt};

use pravega_sdk_types::{ErrorKind, Failure, Offset, Outcome, Wording, error_type};

use crate::revisioned::RevisionedStreamError;

error_type! {
    /// A failed call about a shared state, or one whose effect is unknown. States and updates never
    /// appear.
    ///
    /// | kind | meaning |
    /// |---|---|
    /// | [`LimitReached`](ErrorKind::LimitReached) | other clients changed the state first, as often as is allowed |
    /// | [`Timeout`](ErrorKind::Timeout) | the time of the call is over |
    /// | [`NotFound`](ErrorKind::NotFound) | the stream was deleted, or has no initial state |
    /// | [`Truncated`](ErrorKind::Truncated) | the entries after the known state are truncated, and no later initial state is found |
    /// | [`Corrupt`](ErrorKind::Corrupt) | the entry at the [offset](Self::offset) cannot be decoded, or not be applied to the state |
    /// | [`InvalidArgument`](ErrorKind::InvalidArgument) | an initial state or an update cannot be encoded, or is too large |
    ///
    /// Any other kind is that of the request which failed.
    pub struct StateError {}
    wording: Wording::new("using a shared state")
        .with_preposition("")
        .with_effects("the change was made", "it is not known whether the change was made");
    accessors: operation, stream, segment, offset, endpoint, attempts, hint;
}

impl StateError {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// The error of an entry that cannot be decoded or applied.
    pub(crate) fn corrupt(
        start: Offset,
        detail: impl fmt::Display,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let failure = Failure::new(ErrorKind::Corrupt, Outcome::NotApplied, detail);
        failure.with_offset(start).with_source(source).into()
    }

    /// The error of a value of the caller that cannot be encoded.
    pub(crate) fn unencodable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure::invalid("it cannot be encoded").with_source(source).into()
    }

    /// The error of a stream without an initial state.
    pub(crate) fn uninitialized() -> Self {
        Failure::new(ErrorKind::NotFound, Outcome::NotApplied, "the stream has no initial state")
            .with_hint("call `initialize` first")
            .into()
    }

    /// Returns the same failure with another outcome.
    pub(crate) fn with_outcome(self, outcome: Outcome) -> Self {
        self.map(|failure| failure.with_outcome(outcome))
    }

    /// Names the call and the stream.
    pub(crate) fn of(
        self,
        operation: &'static str,
        stream: &pravega_sdk_types::ScopedStream,
    ) -> Self {
        self.map(|failure| failure.with_operation(operation).with_stream(stream))
    }
}

impl From<RevisionedStreamError> for StateError {
    fn from(error: RevisionedStreamError) -> Self {
        error.into_failure().into()
    }
}
