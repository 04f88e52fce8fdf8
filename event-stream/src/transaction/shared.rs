//! What a transactional writer and its transactions share, and the state of a transaction.

use std::time::Duration;

use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_segment_client::{context::SegmentContext, runtime::runtime};
use pravega_sdk_types::{ErrorKind, ScopedStream, TransactionId, WriterName};

use super::{config::TransactionConfig, pings::Commands};
use crate::error::TransactionError;

/// What a writer and its transactions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) context: SegmentContext,
    pub(super) stream: ScopedStream,
    pub(super) config: TransactionConfig,
    pub(super) writer_name: WriterName,
    pub(super) pings: Commands,
}

impl Shared {
    pub(super) async fn status(
        &self,
        id: TransactionId,
    ) -> Result<TransactionState, TransactionError> {
        let state = self.context.controller().transaction_state(&self.stream, id).await;
        state.map_err(|error| {
            TransactionError::from_query(
                error,
                "the state of the transaction cannot be read",
                &self.stream,
            )
        })
    }

    /// An event could not be written; if that is because the transaction ended, says how.
    pub(super) async fn explain(
        &self,
        id: TransactionId,
        error: TransactionError,
    ) -> TransactionError {
        if error.kind() != ErrorKind::TransactionNotOpen || runtime().is_err() {
            return error;
        }
        let state = tokio::time::timeout(EXPLAIN_LIMIT, self.status(id)).await;
        let state =
            state.ok().and_then(Result::ok).filter(|state| *state != TransactionState::Open);
        TransactionError::not_open(state, &self.stream)
    }
}

/// How long an error may be delayed to find its cause.
pub(super) const EXPLAIN_LIMIT: Duration = Duration::from_secs(5);
