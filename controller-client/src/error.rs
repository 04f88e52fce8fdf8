//! The error of calls to the controller.

use std::fmt;

use pravega_sdk_types::{Endpoint, ErrorKind, Failure, Outcome, Wording, error_type};

error_type! {
    /// A failed call of the controller.
    ///
    /// The message names the call, its target, the controller, the number of attempts and the
    /// reason; text from the server is escaped and cut. Credentials and tokens never appear.
    /// Clones are cheap: all waiters of one call get the same error.
    pub struct ControllerError {}
    wording: Wording::new("");
    accessors: operation, endpoint, attempts, hint;
}

impl ControllerError {
    /// Creates an error for another implementation of [`Controller`](crate::Controller), such as a
    /// test double.
    pub fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// An argument that is refused before anything is sent.
    pub(crate) fn invalid(detail: impl fmt::Display) -> Self {
        Failure::invalid(detail).into()
    }

    /// An answer that breaks the protocol. The call itself may have been applied.
    pub(crate) fn protocol(detail: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Protocol, Outcome::Unknown, detail)
    }

    /// Names the call and its target.
    #[must_use]
    pub(crate) fn with_operation(self, name: &'static str, target: &dyn fmt::Display) -> Self {
        self.map(|failure| failure.with_operation(name).with_target(target))
    }

    /// Names the controller that was asked last, and counts the attempts.
    #[must_use]
    pub(crate) fn with_attempts(self, endpoint: Option<Endpoint>, attempts: u32) -> Self {
        self.map(|failure| failure.with_endpoint(endpoint).with_attempts(attempts))
    }
}
