//! How much of the log is durable.

use pravega_sdk_server_core::record::Sequence;

/// How much of the log is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Durable {
    /// Every batch up to this one survives a crash.
    To(Sequence),
    /// There was no space for the batches after this one: they are lost, and more are taken later.
    Refused {
        /// The last durable batch.
        to: Sequence,
        /// Why they were refused.
        why: String,
    },
    /// Writing failed: later batches are lost, and no more are taken.
    Failed {
        /// The last durable batch.
        to: Sequence,
        /// Why writing failed.
        why: String,
    },
    /// The log was closed.
    Ended {
        /// The last durable batch.
        to: Sequence,
    },
}

impl Durable {
    /// The last durable batch.
    pub(crate) fn to(&self) -> Sequence {
        let (Self::To(to)
        | Self::Refused { to, .. }
        | Self::Failed { to, .. }
        | Self::Ended { to }) = self;
        *to
    }

    /// Returns true while batches become durable.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self, Self::To(_))
    }
}

/// A batch will never be durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDurable {
    /// There was no space for it.
    #[error("{0}")]
    Refused(String),
    /// Writing failed before the batch.
    #[error("{0}")]
    Failed(String),
    /// The server shuts down.
    #[error("the server shuts down")]
    Ended,
}

/// Ranges of batches that were numbered and refused.
#[derive(Debug, Default)]
pub(crate) struct Lost(Vec<(Sequence, Sequence)>);

/// The most ranges. Long before one is forgotten, all that waited for it know.
const MOST: usize = 1024;

impl Lost {
    /// Notes that the batches after one, up to another, are lost.
    pub(crate) fn add(&mut self, after: Sequence, to: Sequence) {
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((after, to));
    }

    /// Returns true if a batch is lost.
    pub(crate) fn has(&self, batch: Sequence) -> bool {
        self.0.iter().any(|(after, to)| *after < batch && batch <= *to)
    }
}
