//! What a server answers.

use std::{fmt, time::Duration};

use secrecy::zeroize::Zeroizing;

/// An answer, whatever its status is.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    body: Zeroizing<Vec<u8>>,
    retry_after: Option<Duration>,
    location: Option<String>,
}

impl Answer {
    /// Creates an answer.
    #[must_use]
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body: Zeroizing::new(body), retry_after: None, location: None }
    }

    /// Sets how long the client should wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Sets the target of a redirect.
    #[must_use]
    pub fn with_location(mut self, target: Option<String>) -> Self {
        self.location = target;
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the body, whose memory is overwritten after use.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns how long the server asks the client to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the target of a redirect, which was not followed. It is text of the server.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }
}

impl fmt::Debug for Answer {
    /// Shows the status, and the length of the body, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("len", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_body() {
        let answer = Answer::new(200, b"hunter2".to_vec());
        assert_eq!(format!("{answer:?}"), "Answer { status: 200, len: 7, .. }");
    }
}
