//! Beginning a transaction at the controller, and why it was refused.

use std::sync::Arc;

use pravega_sdk_controller_client::{
    ControllerError, CreatedTransaction, PingStatus, SHORTEST_LEASE,
};
use pravega_sdk_segment_client::seeded_bugs::SeededBug;
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::time::timeout;

use super::shared::{EXPLAIN_LIMIT, Shared};
use crate::error::TransactionError;

const DETAIL: &str = "the transaction could not be begun";

impl Shared {
    /// Begins a transaction at the controller.
    pub(super) async fn create(&self) -> Result<CreatedTransaction, TransactionError> {
        let controller = self.context.controller();
        match controller.create_transaction(&self.stream, self.config.lease).await {
            Ok(created) => Ok(created),
            Err(error) if error.kind() == ErrorKind::ServerFailure && self.asks_why() => {
                let asking = self.ask_why_refused(&error);
                timeout(EXPLAIN_LIMIT, asking).await.unwrap_or_else(|_| Err(self.not_begun(error)))
            }
            Err(error) => Err(self.not_begun(error)),
        }
    }

    fn asks_why(&self) -> bool {
        !self.config.writer.append.bugs.has(SeededBug::PassesFailuresOn)
    }

    fn not_begun(&self, error: ControllerError) -> TransactionError {
        TransactionError::from_controller(error, DETAIL, &self.stream)
    }

    fn refused(&self, kind: ErrorKind, detail: impl std::fmt::Display) -> TransactionError {
        TransactionError::new(kind, Outcome::NotApplied, detail).with_stream(&self.stream)
    }

    /// Finds the reason of a refusal that the controller gives none for, as it does for a sealed
    /// stream and for a lease that is too long. The failure may have been another: then this begins
    /// the transaction.
    async fn ask_why_refused(
        &self,
        error: &ControllerError,
    ) -> Result<CreatedTransaction, TransactionError> {
        let controller = self.context.controller();
        match controller.current_segments(&self.stream).await {
            // A stream is sealed after its transactions have ended.
            Ok(segments) if segments.is_empty() => {
                return Err(self.refused(ErrorKind::Sealed, "the stream is sealed"));
            }
            Ok(_) => {}
            Err(gone) if gone.kind() == ErrorKind::NotFound => return Err(self.not_begun(gone)),
            Err(_) => return Err(self.not_begun(error.clone())),
        }
        let lease = self.config.lease;
        if lease <= SHORTEST_LEASE {
            return Err(self.not_begun(error.clone()));
        }
        // Only a ping has an answer of its own for a lease that is too long.
        let created = controller.create_transaction(&self.stream, SHORTEST_LEASE).await;
        let created = created.map_err(|_| self.not_begun(error.clone()))?;
        let pinged = controller.ping_transaction(&self.stream, created.id, lease).await;
        if matches!(pinged, Ok(PingStatus::Open)) {
            return Ok(created);
        }
        // Otherwise its lease, which is the shortest, ends it.
        controller.abort_transaction(&self.stream, created.id).await.ok();
        Err(match pinged {
            Ok(PingStatus::LeaseTooLarge) => {
                let detail = format_args!("the server takes no lease of {lease:?}, it is too long");
                self.refused(ErrorKind::InvalidArgument, detail)
                    .with_source(Some(Arc::new(error.clone()) as _))
            }
            Ok(_) | Err(_) => self.not_begun(error.clone()),
        })
    }
}
