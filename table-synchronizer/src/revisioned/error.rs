//! The error of calls about revisioned streams.

use std::fmt;

use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_segment_client::{
    error::{ReadError, WriteError, detail_of},
    request::AskError,
    segment_error,
};
use pravega_sdk_types::{ErrorKind, Failure, Offset, Outcome, Wording, error_type};

error_type! {
    /// A failed call about a revisioned stream, or one whose effect is unknown. Values never
    /// appear.
    ///
    /// | kind | meaning |
    /// |---|---|
    /// | [`ConditionFailed`](ErrorKind::ConditionFailed) | the stream has an entry after the given revision, or another mark than the given one |
    /// | [`Truncated`](ErrorKind::Truncated) | the entries that should be read are truncated |
    /// | [`Corrupt`](ErrorKind::Corrupt) | the bytes at the [offset](Self::offset) are not an entry |
    /// | [`InvalidArgument`](ErrorKind::InvalidArgument) | the stream has several segments, a revision is of another segment or after the end, or a value is too large |
    /// | [`Sealed`](ErrorKind::Sealed) | the stream takes no entries |
    ///
    /// Any other kind is that of the request which failed.
    pub struct RevisionedStreamError {}
    wording: Wording::new("using a revisioned stream")
        .with_preposition("")
        .with_effects("the change was made", "it is not known whether the change was made");
    accessors: operation, stream, segment, offset, endpoint, attempts, hint;
}

segment_error!(RevisionedStreamError);

impl RevisionedStreamError {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// The error of a failed call of the controller that changes nothing.
    pub(crate) fn from_controller(error: ControllerError) -> Self {
        let detail = detail_of(&error, "the stream's segment cannot be found").to_owned();
        Self::from(Failure::caused_by(error, detail)).with_outcome(Outcome::NotApplied)
    }

    /// The error of a failed request to the segment store.
    pub(crate) fn from_ask(error: AskError) -> Self {
        let detail = match error.kind() {
            ErrorKind::NotFound => "there is no such stream",
            ErrorKind::Sealed => "the stream is sealed",
            _ => "the request failed",
        };
        let endpoint = match &error {
            AskError::Store(error) => error.endpoint().cloned(),
            _ => None,
        };
        let failure = Failure::new(error.kind(), error.outcome(), detail).with_endpoint(endpoint);
        match error {
            AskError::Controller(error) => failure.with_source(error),
            other => failure.with_source(other),
        }
        .into()
    }

    /// Returns the same failure with another outcome.
    pub(crate) fn with_outcome(self, outcome: Outcome) -> Self {
        self.map(|failure| failure.with_outcome(outcome))
    }

    /// Says what an unmet condition of a write is here, where callers know no offsets.
    pub(crate) fn of_condition(self) -> Self {
        if self.kind() != ErrorKind::ConditionFailed {
            return self;
        }
        let (outcome, endpoint) = (self.outcome(), self.endpoint().cloned());
        let detail = "the given revision is not that of the last entry";
        Failure::new(ErrorKind::ConditionFailed, outcome, detail).with_endpoint(endpoint).into()
    }

    /// Names the call.
    pub(crate) fn of(self, operation: &'static str) -> Self {
        self.map(|failure| failure.with_operation(operation))
    }

    /// Names the offset of the entry.
    pub(crate) fn at(self, offset: Offset) -> Self {
        self.map(|failure| failure.with_offset(offset))
    }

    /// Takes out the core, for an error of another surface.
    pub(crate) fn into_failure(self) -> Failure {
        self.failure
    }
}

impl From<WriteError> for RevisionedStreamError {
    fn from(error: WriteError) -> Self {
        error.into_failure().into()
    }
}

impl From<ReadError> for RevisionedStreamError {
    /// The error of a read engine, which stays the cause.
    fn from(error: ReadError) -> Self {
        let detail = "the entries cannot be read";
        let failure = Failure::new(error.kind(), Outcome::NotApplied, detail)
            .with_endpoint(error.endpoint().cloned());
        failure.with_source(error).into()
    }
}
