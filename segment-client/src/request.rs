//! One request about a segment, with re-location and retries.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pravega_sdk_controller_client::{AccessOperation, ControllerError};
use pravega_sdk_types::{Backoff, ErrorKind, Outcome, ScopedSegment, classify};
use pravega_sdk_wire_protocol::{
    Request, WireCommand,
    commands::{GetStreamSegmentInfo, ReadSegment, StreamSegmentInfo},
};

use crate::{
    connection::RequestError,
    context::SegmentContext,
    error::ReadError,
    machine::{Location, LookupError, Token, delay},
    runtime::{random_bits, rng},
};

/// The number of attempts of a request.
const ATTEMPTS: u32 = 10;
/// The longest read: half of what the server returns at once.
const MAX_READ: i32 = 1 << 20;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5));

impl SegmentContext {
    /// Finds the store of a segment, and a token for that access to it.
    ///
    /// # Errors
    ///
    /// [`LookupError`] if the controller fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn locate(
        &self,
        segment: &ScopedSegment,
        access: AccessOperation,
    ) -> Result<Location, LookupError> {
        let endpoint = self.endpoints().endpoint(segment).await?;
        let token = self.tokens().token(&segment.scoped_stream(), access).await?;
        Ok(Location { endpoint, token: Token(token.expose().into()) })
    }

    /// Sends a request to the store of a segment, and again if another store has it or the token
    /// expired. The request must be harmless when it is repeated.
    ///
    /// # Errors
    ///
    /// [`AskError`] once the attempts are used up, or for a failure that retries do not help.
    ///
    /// # Cancel safety
    ///
    /// The request may take effect after the future is dropped.
    pub async fn ask<Q: Request>(
        &self,
        segment: &ScopedSegment,
        request: impl Fn(&str) -> Q,
    ) -> Result<Q::Reply, AskError> {
        let stream = segment.scoped_stream();
        let mut random = random_bits(rng(None));
        let mut attempt = 1;
        loop {
            let endpoint =
                self.endpoints().endpoint(segment).await.map_err(AskError::Controller)?;
            let token = self
                .tokens()
                .token(&stream, AccessOperation::Read)
                .await
                .map_err(AskError::Controller)?;
            match self.raw_client().request(&endpoint, request(token.expose())).await {
                Ok(reply) => return Ok(reply),
                Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                    match error.kind() {
                        ErrorKind::TokenExpired => {
                            self.tokens().expired(&stream, AccessOperation::Read, &token);
                        }
                        _ => self.endpoints().wrong_host(segment, &endpoint),
                    }
                    tokio::time::sleep(delay(&BACKOFF, attempt, &mut random)).await;
                    attempt += 1;
                }
                Err(error) => return Err(AskError::Store(error)),
            }
        }
    }

    /// Asks for the length of a segment, its head, and if it is sealed.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn inspect(&self, segment: &ScopedSegment) -> Result<StreamSegmentInfo, AskError> {
        let asked = self.ask(segment, |token| GetStreamSegmentInfo {
            request_id: 0,
            segment_name: segment.to_string().into(),
            delegation_token: token.into(),
        });
        asked.await
    }

    /// Reads some of the bytes of a segment between two offsets. The second must not be after the
    /// end of the segment.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn read_some(
        &self,
        segment: &ScopedSegment,
        from: i64,
        to: i64,
    ) -> Result<Bytes, AskError> {
        let asked = self.ask(segment, |token| ReadSegment {
            segment: segment.to_string().into(),
            offset: from,
            suggested_length: i32::try_from(to - from).unwrap_or(MAX_READ).clamp(1, MAX_READ),
            delegation_token: token.into(),
            request_id: 0,
        });
        let reply = asked.await?;
        let mut data = reply.data;
        data.truncate(usize::try_from(to - from).unwrap_or(0));
        if data.is_empty() || reply.offset != from {
            return Err(AskError::WrongBytes);
        }
        Ok(data)
    }
}

/// A failed request about a segment.
///
/// The variants are public, so that a surface can build its own error from the parts.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The segment's store, or a token for it, was not found.
    #[error(transparent)]
    Controller(ControllerError),
    /// The store refused the request, or did not answer.
    #[error(transparent)]
    Store(RequestError),
    /// The store answered with bytes of another offset, or without bytes.
    #[error("the segment store answered with bytes of another offset, or with no bytes")]
    WrongBytes,
}

classify!(
    AskError,
    |error| match error {
        AskError::Controller(error) => error.kind(),
        AskError::Store(error) => error.kind(),
        AskError::WrongBytes => ErrorKind::Protocol,
    },
    |error| match error {
        AskError::Controller(error) => error.outcome(),
        AskError::Store(error) => error.outcome(),
        // Only reads return bytes, and a read has no effect.
        AskError::WrongBytes => Outcome::NotApplied,
    },
);

impl AskError {
    /// Returns the reply of the store, if it refused the request.
    #[must_use]
    pub fn reply(&self) -> Option<&WireCommand> {
        match self {
            Self::Controller(_) | Self::WrongBytes => None,
            Self::Store(error) => error.reply(),
        }
    }

    /// Turns it into an error of reading.
    #[must_use]
    pub fn into_read(self, segment: &ScopedSegment, detail: &str) -> ReadError {
        let stream = segment.scoped_stream();
        match self {
            Self::Controller(error) => ReadError::from_controller(error, detail, &stream)
                .with_segment(segment.id(), None, 0),
            Self::WrongBytes => {
                let detail = format_args!(
                    "{detail}: the segment store answered with bytes of another offset, or with no \
                     bytes"
                );
                ReadError::new(ErrorKind::Protocol, detail).with_stream(&stream).with_segment(
                    segment.id(),
                    None,
                    0,
                )
            }
            Self::Store(error) => {
                let endpoint = error.endpoint().cloned();
                let failure = ReadError::new(error.kind(), detail)
                    .with_stream(&stream)
                    .with_segment(segment.id(), endpoint, 0);
                failure.with_source(Some(Arc::new(error)))
            }
        }
    }
}
