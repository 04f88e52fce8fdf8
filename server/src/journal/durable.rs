//! How much of the journal is durable.

use pravega_sdk_server_core::record::Sequence;

/// How much of the journal is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Durable {
    /// Every batch up to this one survives a crash.
    To(Sequence),
    /// Writing failed: later batches are lost, and no more are taken.
    Failed {
        /// The last durable batch.
        to: Sequence,
        /// Why writing failed.
        why: String,
    },
}

/// A batch will never be durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDurable {
    /// Writing failed before the batch.
    #[error("{0}")]
    Failed(String),
    /// The server shuts down.
    #[error("the server shuts down")]
    Ended,
}
