//! The error of all calls about tables.

use std::fmt;

use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_segment_client::{error::NoRuntime, request::AskError};
use pravega_sdk_types::{ErrorKind, Failure, Outcome, Wording, error_type};
use pravega_sdk_wire_protocol::WireCommand;

error_type! {
    /// A failed call about a table, or one whose effect is unknown. Keys and values never appear.
    ///
    /// | kind | meaning |
    /// |---|---|
    /// | [`ConditionFailed`](ErrorKind::ConditionFailed) | a key does not have the version that was given, or exists although it must not |
    /// | [`NotFound`](ErrorKind::NotFound) | there is no such table |
    /// | [`InvalidArgument`](ErrorKind::InvalidArgument) | a key, a value or a batch has a wrong length or is over a limit, the keys of a batch do not belong together, or a version is that of a key in another partition |
    /// | [`Unsupported`](ErrorKind::Unsupported) | tables of this kind do not have the call, such as a range of the keys of a hash table |
    /// | [`Corrupt`](ErrorKind::Corrupt) | a stored key has another length than those of the table |
    ///
    /// Any other kind is that of the request which failed. A change whose reply was lost has the
    /// outcome [`Unknown`](Outcome::Unknown), unless its conditions show what happened.
    pub struct TableError {}
    wording: Wording::new("using a table")
        .with_preposition("")
        .with_effects("the change was made", "it is not known whether the change was made");
    accessors: operation, segment, endpoint, attempts, hint;
}

impl TableError {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// An argument that is refused before anything is sent.
    pub(crate) fn invalid(detail: impl fmt::Display) -> Self {
        Failure::invalid(detail).into()
    }

    /// A reply that breaks the protocol.
    pub(crate) fn protocol(outcome: Outcome, detail: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Protocol, outcome, detail)
    }

    /// Names the call and the table.
    pub(crate) fn of(self, operation: &'static str, table: &dyn fmt::Display) -> Self {
        self.map(|failure| failure.with_operation(operation).with_target(table))
    }

    /// The error of a failed request to a segment store.
    pub(crate) fn from_ask(error: AskError) -> Self {
        let (kind, outcome, attempts) = (error.kind(), error.outcome(), error.attempts());
        let (kind, detail) = match (error.reply(), kind) {
            (Some(reply), _) if is_condition(reply) => (
                ErrorKind::ConditionFailed,
                "a key does not have the version that was given, or exists although it must not",
            ),
            (_, ErrorKind::NotFound) => (kind, "there is no such table"),
            (_, ErrorKind::NotEmpty) => (kind, "the table has entries"),
            (_, ErrorKind::Unsupported) => (kind, "tables of this kind do not have the call"),
            _ => (kind, "the request failed"),
        };
        let endpoint = match &error {
            AskError::Store(error) => error.endpoint().cloned(),
            _ => None,
        };
        let failure =
            Failure::new(kind, outcome, detail).with_endpoint(endpoint).with_attempts(attempts);
        match error {
            AskError::Controller(error) => failure.with_source(error),
            other => failure.with_source(other),
        }
        .into()
    }

    /// The error of a failed request that changes entries.
    pub(crate) fn from_change(error: AskError) -> Self {
        let is_moved = error.reply().is_some_and(is_end);
        let error = Self::from_ask(error);
        if !is_moved {
            return error;
        }
        let (outcome, endpoint) = (error.outcome(), error.endpoint().cloned());
        let detail = "another client has changed the table";
        let failure = Failure::new(ErrorKind::ConditionFailed, outcome, detail);
        failure.with_endpoint(endpoint).with_source(error).into()
    }

    /// The error of a failed request that changes nothing.
    pub(crate) fn from_read(error: AskError) -> Self {
        Self::from_ask(error).with_outcome(Outcome::NotApplied)
    }

    /// The error of a failed call of the controller that changes nothing.
    pub(crate) fn from_controller(error: ControllerError) -> Self {
        let detail = match error.kind() {
            ErrorKind::NotFound => "there is no such table",
            _ => "the controller failed",
        };
        let attempts = error.attempts();
        Self::from(Failure::caused_by(error, detail))
            .with_outcome(Outcome::NotApplied)
            .with_attempts(attempts)
    }

    /// Counts the attempts.
    pub(crate) fn with_attempts(self, attempts: u32) -> Self {
        self.map(|failure| failure.with_attempts(attempts))
    }

    /// Returns the same failure with another outcome.
    pub(crate) fn with_outcome(self, outcome: Outcome) -> Self {
        self.map(|failure| failure.with_outcome(outcome))
    }
}

/// Returns true if a reply refuses a change because of the version of a key.
pub(crate) fn is_condition(reply: &WireCommand) -> bool {
    matches!(reply, WireCommand::TableKeyBadVersion(_) | WireCommand::TableKeyDoesNotExist(_))
}

/// Returns true if a reply refuses a change because the table does not end at the given offset.
pub(crate) fn is_end(reply: &WireCommand) -> bool {
    matches!(reply, WireCommand::SegmentIsTruncated(_))
}

impl From<NoRuntime> for TableError {
    fn from(error: NoRuntime) -> Self {
        Self::new(ErrorKind::NoRuntime, Outcome::NotApplied, error)
    }
}
