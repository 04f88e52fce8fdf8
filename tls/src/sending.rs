//! What a stream knows of its writes.

use std::{io, mem};

/// The state of the writes of a stream.
#[derive(Debug)]
pub(crate) enum Sending {
    /// No write has failed.
    Open,
    /// A write has failed, and what the peer has said is read: it may be the reason.
    Failed(io::Error),
    /// The stream was shut down. A write that fails after that says nothing of the peer, which may
    /// be silent for as long as it wants.
    Ended,
}

impl Sending {
    /// Takes the failure of a write for which the reason is looked for.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        match mem::replace(self, Self::Open) {
            Self::Failed(error) => Some(error),
            other => {
                *self = other;
                None
            }
        }
    }
}
