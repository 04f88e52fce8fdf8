//! Reading the bytes of segments: what readers of events and readers of bytes stand on.

pub(crate) mod driver;
pub(crate) mod machine;

use std::sync::Arc;

use bytes::Bytes;
use pravega_sdk_controller_client::{AccessOperation, ControllerError};
use pravega_sdk_segment_client::RequestError;
use pravega_sdk_types::{ErrorKind, ScopedSegment};
use pravega_sdk_wire_protocol::{
    Request, WireCommand,
    commands::{GetStreamSegmentInfo, ReadSegment, StreamSegmentInfo},
};

use crate::{
    error::ReadError,
    machine::{Backoff, Location, LookupError, Token},
    parts::StreamParts,
    surroundings::{chance, random},
};

/// How often a request about a segment is made before it is given up.
const ATTEMPTS: u32 = 10;
/// As the server gives at once, at half its limit.
const MAX_READ: i32 = 1 << 20;
const BACKOFF: Backoff = Backoff {
    initial: std::time::Duration::from_millis(20),
    max: std::time::Duration::from_secs(5),
};

impl StreamParts {
    pub(crate) async fn locate(&self, segment: &ScopedSegment) -> Result<Location, LookupError> {
        let endpoint = self.endpoints.endpoint(segment).await?;
        let token = self.tokens.token(&segment.scoped_stream(), AccessOperation::Read).await?;
        Ok(Location { endpoint, token: Token(token.expose().into()) })
    }

    /// Asks the store that has the segment; if that was another one, or is gone, a few times more.
    /// What is asked must be harmless when it is done twice.
    pub(crate) async fn ask<Q: Request>(
        &self,
        segment: &ScopedSegment,
        request: impl Fn(&str) -> Q,
    ) -> Result<Q::Reply, AskError> {
        let stream = segment.scoped_stream();
        let mut random = random(chance(None));
        let mut attempt = 1;
        loop {
            let endpoint = self.endpoints.endpoint(segment).await.map_err(AskError::Controller)?;
            let token = self
                .tokens
                .token(&stream, AccessOperation::Read)
                .await
                .map_err(AskError::Controller)?;
            match self.raw_client.request(&endpoint, request(token.expose())).await {
                Ok(reply) => return Ok(reply),
                Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                    match error.kind() {
                        ErrorKind::TokenExpired => {
                            self.tokens.expired(&stream, AccessOperation::Read, &token)
                        }
                        _ => self.endpoints.wrong_host(segment, &endpoint),
                    }
                    tokio::time::sleep(BACKOFF.delay(attempt, &mut random)).await;
                    attempt += 1;
                }
                Err(error) => return Err(AskError::Store(error)),
            }
        }
    }

    /// How long a segment is, where it begins, and whether it is sealed.
    pub(crate) async fn inspect(
        &self,
        segment: &ScopedSegment,
    ) -> Result<StreamSegmentInfo, AskError> {
        let asked = self.ask(segment, |token| GetStreamSegmentInfo {
            request_id: 0,
            segment_name: segment.to_string().into(),
            delegation_token: token.into(),
        });
        asked.await
    }

    /// Some of the bytes of a segment between two offsets, of which the second must not be behind
    /// its end.
    pub(crate) async fn read_some(
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
            return Err(AskError::Nonsense);
        }
        Ok(data)
    }
}

/// Why a segment could not be asked.
#[derive(Debug)]
pub(crate) enum AskError {
    Controller(ControllerError),
    Store(RequestError),
    /// A store answered with bytes of another place, or none.
    Nonsense,
}

impl AskError {
    pub(crate) fn reply(&self) -> Option<&WireCommand> {
        match self {
            Self::Controller(_) | Self::Nonsense => None,
            Self::Store(error) => error.reply(),
        }
    }

    pub(crate) fn into_read(self, segment: &ScopedSegment, detail: &str) -> ReadError {
        let stream = segment.scoped_stream();
        match self {
            Self::Controller(error) => {
                ReadError::from_controller(error, detail, &stream).at(segment.id(), None, 0)
            }
            Self::Nonsense => {
                let detail = format_args!(
                    "{detail}: the segment store answered with bytes of another place, or none"
                );
                ReadError::not(ErrorKind::Protocol, detail).of(&stream).at(segment.id(), None, 0)
            }
            Self::Store(error) => {
                let endpoint = error.endpoint().cloned();
                let failure =
                    ReadError::not(error.kind(), detail).of(&stream).at(segment.id(), endpoint, 0);
                failure.because(Some(Arc::new(error)))
            }
        }
    }
}
