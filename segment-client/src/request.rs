//! One request about a segment, with re-location and retries.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_controller_client::{AccessOperation, ControllerError, DelegationToken};
use pravega_sdk_types::{
    Backoff, Endpoint, ErrorKind, Outcome, ScopedSegment, ScopedStream, classify,
};
use pravega_sdk_wire_protocol::{
    Request, WireCommand,
    commands::{GetStreamSegmentInfo, ReadSegment, StreamSegmentInfo},
};
use tokio::time::{Instant, error::Elapsed, sleep, timeout};

use crate::{
    connection::{ConnectionError, RequestError, StreamClaim},
    context::SegmentContext,
    error::ReadError,
    machine::{Location, LookupError, Random, Token, delay},
    runtime::{random_bits, rng, runtime},
    seeded_bugs::SeededBug,
};

/// The number of attempts of a request.
const ATTEMPTS: u32 = 10;
/// The longest read: half of what the server returns at once.
const MAX_READ: i32 = 1 << 20;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5));

/// How a request about a segment is authorized, repeated and limited.
///
/// The default is that of [`SegmentContext::ask`].
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The stream for whose segments the token is, and the access that it allows.
    token: Option<(ScopedStream, AccessOperation)>,
    repeats: Repeats,
    limit: Option<Duration>,
}

/// When a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeats {
    /// After every failure that a repeat may help: the request is harmless when it is repeated.
    #[default]
    Always,
    /// Until an attempt may have taken effect.
    UntilInDoubt,
}

impl Terms {
    /// The terms of a request that changes a segment: its token allows that, where that of the
    /// default allows reading only.
    #[must_use]
    pub fn of_change(segment: &ScopedSegment) -> Self {
        Self::default().with_token(segment.scoped_stream(), AccessOperation::Write)
    }

    /// Sets the stream for whose segments the token is, and the access that it allows. Default:
    /// reading the stream of the segment.
    #[must_use]
    pub fn with_token(mut self, subject: ScopedStream, access: AccessOperation) -> Self {
        self.token = Some((subject, access));
        self
    }

    /// Sets when the request is sent again. Default: [`Repeats::Always`].
    #[must_use]
    pub fn with_repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = repeats;
        self
    }

    /// Sets the time for all attempts together. Default: [`SegmentContext::ask_limit`].
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}

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
    /// expired. The request must be harmless when it is repeated, and change nothing, as its token
    /// allows reading only; one that changes the segment has the terms
    /// [`of_change`](Terms::of_change).
    ///
    /// The deadline is twice the configured limit of a request, so that one which is not answered
    /// leaves time for another. It covers all attempts, with the look-ups before them.
    ///
    /// # Errors
    ///
    /// [`AskError`] once the attempts or the time are used up, or for a failure that retries do not
    /// help. Its outcome covers all attempts. Outside a tokio runtime the kind is
    /// [`NoRuntime`](ErrorKind::NoRuntime).
    ///
    /// # Cancel safety
    ///
    /// The request may take effect after the future is dropped.
    pub async fn ask<Q: Request>(
        &self,
        segment: &ScopedSegment,
        request: impl Fn(&str) -> Q,
    ) -> Result<Q::Reply, AskError> {
        self.ask_on(segment, &Terms::default(), request).await
    }

    /// Returns the time that [`ask`](Self::ask) takes at most: twice the configured limit of a
    /// request.
    #[must_use]
    pub fn ask_limit(&self) -> Duration {
        self.raw_client().request_timeout().saturating_mul(2)
    }

    /// As [`ask`](Self::ask), on terms of its own.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask). With [`Repeats::UntilInDoubt`] the first failure whose outcome is
    /// [unknown](Outcome::Unknown) is returned.
    ///
    /// # Cancel safety
    ///
    /// As [`ask`](Self::ask).
    pub async fn ask_on<Q: Request>(
        &self,
        segment: &ScopedSegment,
        terms: &Terms,
        request: impl Fn(&str) -> Q,
    ) -> Result<Q::Reply, AskError> {
        runtime().map_err(|error| {
            let failure = ControllerError::new(error.kind(), Outcome::NotApplied, error);
            AskError::Controller(failure)
        })?;
        let request_timeout = self.raw_client().request_timeout();
        let bugs = self.raw_client().bugs();
        let has_deadline = !bugs.has(SeededBug::AsksWithoutDeadline);
        let limit = terms.limit.unwrap_or_else(|| self.ask_limit());
        let limit = if has_deadline { limit } else { Duration::MAX };
        let (subject, access) =
            terms.token.clone().unwrap_or_else(|| (segment.scoped_stream(), AccessOperation::Read));
        let started = Instant::now();
        let left = || limit.saturating_sub(started.elapsed());
        let mut random: Option<Random> = None;
        // The last failure that may have taken effect.
        let mut unknown: Option<RequestError> = None;
        let mut attempt = 1;
        loop {
            let (endpoint, token) =
                match within(left, self.find_store(segment, &subject, access)).await {
                    Ok(Ok(found)) => found,
                    Ok(Err(error)) => {
                        return Err(unknown.map_or(AskError::Controller(error), |unknown| {
                            AskError::Store(unknown.with_attempts(attempt - 1))
                        }));
                    }
                    Err(_) => {
                        let error =
                            unknown.unwrap_or_else(|| RequestError::not_located(Q::NAME, limit));
                        return Err(AskError::Store(error.with_attempts(attempt - 1)));
                    }
                };
            let (request, limit) = (request(token.expose()), request_timeout.min(left()));
            let error = match self.raw_client().request_within(&endpoint, request, limit).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let random = random.get_or_insert_with(|| random_bits(rng(None)));
            let pause = delay(&BACKOFF, attempt, random);
            let in_doubt =
                terms.repeats == Repeats::UntilInDoubt && error.outcome() != Outcome::NotApplied;
            let look_again = || {
                self.note_failure(&endpoint, &error);
                self.endpoints().wrong_host(segment, &endpoint);
            };
            if in_doubt {
                // The caller may send it again, to where the segment is then.
                look_again();
            }
            if in_doubt || !error.is_retryable() || attempt >= ATTEMPTS || pause >= left() {
                let error = if unknown.is_some() { error.after_unknown() } else { error };
                return Err(AskError::Store(error.with_attempts(attempt)));
            }
            if error.kind() == ErrorKind::TokenExpired {
                self.tokens().expired(&subject, access, &token);
            } else {
                look_again();
            }
            if error.outcome() != Outcome::NotApplied && !bugs.has(SeededBug::ForgetsAttempts) {
                unknown = Some(error);
            }
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn find_store(
        &self,
        segment: &ScopedSegment,
        subject: &ScopedStream,
        access: AccessOperation,
    ) -> Result<(Endpoint, DelegationToken), ControllerError> {
        let endpoint = self.endpoints().endpoint(segment).await?;
        Ok((endpoint, self.tokens().token(subject, access).await?))
    }

    /// Sends a request to the store at `endpoint`, once.
    pub(crate) async fn request<Q: Request>(
        &self,
        endpoint: &Endpoint,
        request: Q,
    ) -> Result<Q::Reply, RequestError> {
        let answer = self.raw_client().request(endpoint, request).await;
        answer.inspect_err(|error| self.note_failure(endpoint, error))
    }

    /// Reads from the store at `endpoint`, once.
    pub(crate) async fn read(
        &self,
        endpoint: &Endpoint,
        read: ReadSegment,
        limit: Duration,
    ) -> Result<WireCommand, RequestError> {
        let answer = self.raw_client().read(endpoint, read, limit).await;
        answer.inspect_err(|error| self.note_failure(endpoint, error))
    }

    /// Waits for a connection to the store at `endpoint` that no other user shares.
    pub(crate) async fn stream(&self, endpoint: &Endpoint) -> Result<StreamClaim, ConnectionError> {
        let claimed = self.pool().stream(endpoint).await;
        claimed.inspect_err(|error| self.note_unreachable(endpoint, error.is_unreachable()))
    }

    fn note_failure(&self, endpoint: &Endpoint, error: &RequestError) {
        self.note_unreachable(endpoint, error.is_unreachable());
    }

    /// A store that cannot be reached is away for all segments that are believed to be there:
    /// otherwise each of them would find that out by itself.
    fn note_unreachable(&self, endpoint: &Endpoint, is_unreachable: bool) {
        if is_unreachable && !self.raw_client().bugs().has(SeededBug::BelievesDeadStores) {
            self.endpoints().unreachable(endpoint);
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

/// Waits for a look-up up to a limit. One that is in the cache needs no timer.
async fn within<F: Future>(limit: impl Fn() -> Duration, looking: F) -> Result<F::Output, Elapsed> {
    let mut looking = pin!(looking);
    match poll_fn(|cx| Poll::Ready(looking.as_mut().poll(cx))).await {
        Poll::Ready(found) => Ok(found),
        Poll::Pending => timeout(limit(), looking).await,
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
        // A look-up changes nothing, and after an attempt that may have, its error is returned.
        AskError::Controller(_) => Outcome::NotApplied,
        AskError::Store(error) => error.outcome(),
        // Only reads return bytes, and a read has no effect.
        AskError::WrongBytes => Outcome::NotApplied,
    },
);

impl AskError {
    /// Returns the number of attempts of the request, or of the call of the controller that failed;
    /// 0 if nothing was attempted.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Controller(error) => error.attempts(),
            Self::Store(error) => error.attempts(),
            Self::WrongBytes => 1,
        }
    }

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
        let (stream, attempts) = (segment.scoped_stream(), self.attempts());
        match self {
            Self::Controller(error) => ReadError::from_controller(error, detail, &stream)
                .with_segment(segment.id(), None, attempts),
            Self::WrongBytes => {
                let detail = format_args!(
                    "{detail}: the segment store answered with bytes of another offset, or with no \
                     bytes"
                );
                ReadError::new(ErrorKind::Protocol, detail).with_stream(&stream).with_segment(
                    segment.id(),
                    None,
                    attempts,
                )
            }
            Self::Store(error) => {
                let endpoint = error.endpoint().cloned();
                let failure = ReadError::new(error.kind(), detail)
                    .with_stream(&stream)
                    .with_segment(segment.id(), endpoint, attempts);
                failure.with_source(Some(Arc::new(error)))
            }
        }
    }
}
