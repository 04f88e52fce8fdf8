//! Errors of calls to the controller.

use crate::store::Refusal;

/// A call failed, with a reason that gRPC has a code for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The stream, scope, table or epoch does not exist.
    NotFound(String),
    /// The server refuses the call.
    Internal(String),
    /// An argument is out of range.
    Unknown(String),
    /// An argument is too long or too large.
    Invalid(String),
    /// The memory limit is reached, or the disk is full.
    ResourceExhausted(String),
    /// The journal has failed, so no change is possible.
    Unavailable(String),
}

impl CallError {
    /// The error of the Java controller without a reason.
    pub(super) fn unspecified() -> Self {
        Self::Internal("Internal exception occurred".to_owned())
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.message();
        match refusal {
            Refusal::Full { .. } | Refusal::DiskFull(_) => Self::ResourceExhausted(message),
            Refusal::Ended(_) => Self::Unavailable(message),
            _ => Self::Internal(message),
        }
    }
}

/// The result of a call of the controller.
pub type CallResult<T> = Result<T, CallError>;

pub(super) fn no_stream(scope: &str, stream: &str) -> CallError {
    CallError::NotFound(format!("stream {scope}/{stream} is not found"))
}
