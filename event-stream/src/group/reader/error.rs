//! The error of reading as a member of a group.

use std::{fmt, time::Duration};

use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_segment_client::{
    attributes::AttributeError,
    error::{NoRuntime, ReadError},
};
use pravega_sdk_table_synchronizer::StateError;
use pravega_sdk_types::{
    ErrorKind, Failure, Outcome, ScopedReaderGroup, ScopedStream, Wording, error_type,
};

use super::super::{failure, machine::LossReason};

error_type! {
    /// A failed call of a reader of a group, or something that the reader met.
    ///
    /// | kind | meaning | the reader |
    /// |---|---|---|
    /// | [`Truncated`](ErrorKind::Truncated) | events were truncated before they were read | goes on after them |
    /// | [`Corrupt`](ErrorKind::Corrupt) | the codec refuses an event, or bytes are not an event | goes on, unless it should [stop](crate::CorruptEvents) there |
    /// | the same | the segment store reports damaged bytes | goes on with the other segments, and with its attempts |
    /// | [`Unavailable`](ErrorKind::Unavailable) | a segment, or the state of the group, could not be reached for the stall timeout | goes on with its attempts |
    /// | [`ReaderOffline`](ErrorKind::ReaderOffline) | another client took the reader out of its group, also because its [lease](super::GroupReaderConfig::with_lease) ran out, or the group began again | has ended |
    /// | [`AlreadyExists`](ErrorKind::AlreadyExists) | a reader of the same id is in the group | is not opened |
    /// | [`NotFound`](ErrorKind::NotFound) | the group or a stream was deleted | has ended |
    /// | [`Closed`](ErrorKind::Closed) | the runtime on which it was opened has ended | has ended |
    ///
    /// Any other kind is that of the request which failed. After an error that ends the reader, its
    /// stream ends.
    pub struct GroupReaderError {}
    wording: Wording::new("reading in a group")
        .with_preposition("")
        .with_effects("it took effect", "it is not known whether it took effect");
    accessors: operation, stream, segment, offset, endpoint, attempts, hint;
}

impl GroupReaderError {
    pub(super) fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// The error of a group without a state.
    pub(super) fn without_state() -> Self {
        failure::without_state().into()
    }

    pub(super) fn invalid(detail: impl fmt::Display) -> Self {
        Failure::invalid(detail).into()
    }

    /// The error of a call whose time is over.
    pub(super) fn over(limit: Duration, outcome: Outcome) -> Self {
        let detail = format_args!("it was not done within {limit:?}");
        Self::new(ErrorKind::Timeout, outcome, detail)
    }

    /// The error of a reader that is not in its group.
    pub(super) fn lost(reason: LossReason, reader: &str) -> Self {
        let offline = |detail: fmt::Arguments<'_>| {
            Self::new(ErrorKind::ReaderOffline, Outcome::NotApplied, detail)
        };
        match reason {
            LossReason::AlreadyInGroup => {
                let detail = format_args!("a reader {reader} is in the group already");
                let error = Self::new(ErrorKind::AlreadyExists, Outcome::NotApplied, detail);
                error.with_hint("if it is dead, take it offline first")
            }
            LossReason::Removed => offline(format_args!(
                "another client took the reader {reader} out of the group, or the group began again"
            )),
            LossReason::Replaced => offline(format_args!(
                "another reader has joined the group under the name of {reader}"
            )),
            LossReason::FoundDead => offline(format_args!(
                "the lease of the reader {reader} ran out, and another client has found it dead"
            )),
            LossReason::Left => {
                let detail = format_args!("the reader {reader} has left the group");
                Self::new(ErrorKind::Closed, Outcome::NotApplied, detail)
            }
        }
    }

    /// The error of a call of the controller.
    pub(super) fn from_controller(
        error: ControllerError,
        detail: &str,
        stream: &ScopedStream,
    ) -> Self {
        ReadError::from_controller(error, detail, stream).into()
    }

    pub(super) fn with_hint(self, hint: &str) -> Self {
        self.map(|failure| failure.with_hint(hint))
    }

    pub(super) fn with_kind(self, kind: ErrorKind) -> Self {
        self.map(|failure| failure.with_kind(kind))
    }

    pub(super) fn with_outcome(self, outcome: Outcome) -> Self {
        self.map(|failure| failure.with_outcome(outcome))
    }

    /// Names the call and the group.
    pub(super) fn of(self, operation: &'static str, group: &ScopedReaderGroup) -> Self {
        self.map(|failure| failure.with_operation(operation).with_target(group))
    }
}

impl From<StateError> for GroupReaderError {
    fn from(error: StateError) -> Self {
        failure::of_state(error).into()
    }
}

impl From<AttributeError> for GroupReaderError {
    fn from(error: AttributeError) -> Self {
        failure::of_lease(error).into()
    }
}

impl From<ReadError> for GroupReaderError {
    fn from(error: ReadError) -> Self {
        error.into_failure().into()
    }
}

impl From<NoRuntime> for GroupReaderError {
    fn from(error: NoRuntime) -> Self {
        Self::new(ErrorKind::NoRuntime, Outcome::NotApplied, error)
    }
}
