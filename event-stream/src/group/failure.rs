//! The failures of the state of a group, as the errors of readers and handles say them.

use std::sync::Arc;

use pravega_sdk_segment_client::{attributes::AttributeError, machine::Cause};
use pravega_sdk_table_synchronizer::StateError;
use pravega_sdk_types::{ErrorKind, Failure, Outcome};

/// The detail of the error of a group that does not exist.
const MISSING: &str = "there is no such reader group";

/// Returns the failure of a group that does not exist.
pub(super) fn missing() -> Failure {
    Failure::new(ErrorKind::NotFound, Outcome::NotApplied, MISSING)
}

/// Returns the failure of a group without a state.
pub(super) fn without_state() -> Failure {
    let detail = format_args!("{MISSING}, or it has no state yet");
    Failure::new(ErrorKind::NotFound, Outcome::NotApplied, detail)
        .with_hint("create the group first")
}

/// Returns the failure of a call about the state. The state of a group that is being deleted is
/// sealed first.
pub(super) fn of_state(error: StateError) -> Failure {
    let (kind, outcome, offset) = (kind_of(error.kind()), error.outcome(), error.offset());
    let detail = match kind {
        ErrorKind::NotFound => MISSING,
        ErrorKind::Corrupt => "an entry of the group's state is damaged",
        _ => "the group's state cannot be used",
    };
    let failure = Failure::new(kind, outcome, detail).with_shared_source(Arc::new(error) as Cause);
    match offset {
        Some(offset) => failure.with_offset(offset),
        None => failure,
    }
}

/// Returns the failure of a request about the lease of a reader.
pub(super) fn of_lease(error: AttributeError) -> Failure {
    let (kind, outcome) = (kind_of(error.kind()), error.outcome());
    let detail = match kind {
        ErrorKind::NotFound => MISSING,
        _ => "the lease of a reader cannot be used",
    };
    Failure::new(kind, outcome, detail).with_shared_source(Arc::new(error) as Cause)
}

fn kind_of(kind: ErrorKind) -> ErrorKind {
    if kind == ErrorKind::Sealed { ErrorKind::NotFound } else { kind }
}
