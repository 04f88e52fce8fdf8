//! Why a call of the controller fails.

use crate::store::Refusal;

/// A call failed, with a reason that gRPC has a code for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The stream, scope, table or epoch does not exist.
    NotFound(String),
    /// The call cannot be done.
    Internal(String),
    /// An argument is out of range.
    Unknown(String),
    /// The memory limit is reached.
    ResourceExhausted(String),
    /// Nothing can be changed any more.
    Unavailable(String),
}

impl CallError {
    /// What the Java controller answers where it gives no reason.
    pub(super) fn unspecified() -> Self {
        Self::Internal("Internal exception occurred".to_owned())
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.message();
        match refusal {
            Refusal::Full { .. } => Self::ResourceExhausted(message),
            Refusal::Ended(_) => Self::Unavailable(message),
            _ => Self::Internal(message),
        }
    }
}

/// The result of a call of the controller.
pub type CallResult<T> = Result<T, CallError>;

pub(super) fn no_stream(scope: &str, stream: &str) -> CallError {
    CallError::NotFound(format!("there is no stream {scope}/{stream}"))
}
