//! The error of calls about a reader group.

use std::{fmt, time::Duration};

use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_segment_client::{
    attributes::AttributeError,
    error::{NoRuntime, ReadError},
};
use pravega_sdk_table_synchronizer::StateError;
use pravega_sdk_types::{
    Classified, ErrorKind, Failure, Outcome, ScopedReaderGroup, ScopedStream, Wording, error_type,
};

use super::super::failure;

error_type! {
    /// A failed call about a reader group, or one whose effect is unknown.
    ///
    /// | kind | meaning |
    /// |---|---|
    /// | [`NotFound`](ErrorKind::NotFound) | there is no such group, or a stream that it reads does not exist |
    /// | [`AlreadyExists`](ErrorKind::AlreadyExists) | the group exists with another configuration, or its state is elsewhere |
    /// | [`Timeout`](ErrorKind::Timeout) | the time of the call is over; a checkpoint may [wait](Self::waiting_for) for readers |
    /// | [`ConditionFailed`](ErrorKind::ConditionFailed) | the checkpoint was cancelled, or the group was reset meanwhile |
    /// | [`LimitReached`](ErrorKind::LimitReached) | the group has as many outstanding checkpoints as it allows, or other clients were faster too often |
    /// | [`InvalidStreamCut`](ErrorKind::InvalidStreamCut) | a cut is not one of its stream, or has no segment for a part of the key space |
    /// | [`InvalidArgument`](ErrorKind::InvalidArgument) | an argument is refused |
    /// | [`Corrupt`](ErrorKind::Corrupt) | the entry of the group's state at the [offset](Self::offset) cannot be decoded |
    ///
    /// Any other kind is that of the request which failed.
    pub struct ReaderGroupError {
        waiting_for: Vec<String>,
    }
    wording: Wording::new("using a reader group")
        .with_preposition("")
        .with_effects("it took effect", "it is not known whether it took effect");
    accessors: operation, stream, segment, offset, endpoint, attempts, hint;
}

impl ReaderGroupError {
    pub(super) fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// The error of an argument, before anything is sent.
    pub(super) fn invalid(detail: impl fmt::Display) -> Self {
        Failure::invalid(detail).into()
    }

    /// The error of a group that does not exist.
    pub(super) fn missing() -> Self {
        failure::missing().into()
    }

    /// The error of a call whose time is over.
    pub(super) fn over(limit: Duration, outcome: Outcome) -> Self {
        let detail = format_args!("it was not done within {limit:?}");
        Self::new(ErrorKind::Timeout, outcome, detail)
    }

    /// The error of a call that failed for a reason of its own, as the error of a group says it.
    pub(super) fn caused_by(
        error: impl Classified + Send + Sync + 'static,
        detail: impl fmt::Display,
    ) -> Self {
        Failure::caused_by(error, detail).into()
    }

    /// The error of a call of the controller about the group.
    pub(super) fn from_controller(error: ControllerError, detail: &str) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::missing(),
            _ => Self::caused_by(error, detail),
        }
    }

    /// Returns the readers for which a checkpoint waits that was not complete in time; otherwise
    /// none. Each holds the checkpoint up until it reads on, or is taken
    /// [offline](super::ReaderGroup::reader_offline).
    #[must_use]
    pub fn waiting_for(&self) -> &[String] {
        &self.waiting_for
    }

    pub(super) fn with_waiting(mut self, readers: Vec<String>) -> Self {
        self.waiting_for = readers;
        self
    }

    pub(super) fn with_outcome(self, outcome: Outcome) -> Self {
        self.map(|failure| failure.with_outcome(outcome))
    }

    pub(super) fn with_stream(self, stream: &ScopedStream) -> Self {
        self.map(|failure| failure.with_stream(stream))
    }

    pub(super) fn with_hint(self, hint: &str) -> Self {
        self.map(|failure| failure.with_hint(hint))
    }

    /// Names the call and the group.
    pub(super) fn of(self, operation: &'static str, group: &ScopedReaderGroup) -> Self {
        self.map(|failure| failure.with_operation(operation).with_target(group))
    }
}

impl From<StateError> for ReaderGroupError {
    fn from(error: StateError) -> Self {
        failure::of_state(error).into()
    }
}

impl From<AttributeError> for ReaderGroupError {
    fn from(error: AttributeError) -> Self {
        failure::of_lease(error).into()
    }
}

impl From<ReadError> for ReaderGroupError {
    fn from(error: ReadError) -> Self {
        let stream = error.stream().cloned();
        let failure = Failure::caused_by(error, "a stream of the group cannot be used");
        match stream {
            Some(stream) => failure.with_stream(&stream).into(),
            None => failure.into(),
        }
    }
}

impl From<NoRuntime> for ReaderGroupError {
    fn from(error: NoRuntime) -> Self {
        Self::new(ErrorKind::NoRuntime, Outcome::NotApplied, error)
    }
}
