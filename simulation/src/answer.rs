//! The errors of the simulated controller's calls, as the client makes them of the codes and
//! statuses that the real controller returns.

use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_proto::txn_status::Status;
use pravega_sdk_server_core::catalog::CallError;
use pravega_sdk_types::{ErrorKind, Outcome};

pub(crate) fn failed(error: CallError) -> ControllerError {
    let (kind, outcome, detail) = match error {
        CallError::NotFound(detail) => (ErrorKind::NotFound, Outcome::NotApplied, detail),
        CallError::ResourceExhausted(detail) => {
            (ErrorKind::LimitReached, Outcome::NotApplied, detail)
        }
        CallError::Unavailable(detail) => (ErrorKind::Unavailable, Outcome::Unknown, detail),
        CallError::Internal(detail) | CallError::Unknown(detail) => {
            (ErrorKind::ServerFailure, Outcome::Unknown, detail)
        }
    };
    ControllerError::new(kind, outcome, detail)
}

pub(crate) fn unavailable(detail: &str) -> ControllerError {
    ControllerError::new(ErrorKind::Unavailable, Outcome::Unknown, detail)
}

pub(crate) fn refused(kind: ErrorKind, detail: &str) -> ControllerError {
    ControllerError::new(kind, Outcome::NotApplied, detail)
}

pub(crate) fn unsupported() -> ControllerError {
    refused(ErrorKind::Unsupported, "the simulated controller does not have this call")
}

/// The answer to a commit or an abort.
pub(crate) fn decided(status: Status) -> Result<(), ControllerError> {
    match status {
        Status::Success => Ok(()),
        Status::Failure => Err(refused(ErrorKind::ConditionFailed, "the transaction is not open")),
        Status::StreamNotFound | Status::TransactionNotFound => {
            Err(refused(ErrorKind::NotFound, "the transaction is not found"))
        }
    }
}
