//! Carries out what the read machine decides: a set of futures that whoever reads polls. There is
//! no task.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use pravega_sdk_controller_client::{AccessOperation, DelegationToken};
use pravega_sdk_segment_client::RequestError;
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::machine::{Effect, LaneId, Patience, ReadMachine};
use crate::{
    machine::{Location, LookupError, Now},
    parts::StreamParts,
};

/// What came of something that was done outside.
pub(crate) enum Done<T> {
    Located(LaneId, Result<Location, LookupError>),
    Read(LaneId, u64, Result<WireCommand, LookupError>),
    Inspected(LaneId, Result<WireCommand, LookupError>),
    /// Something that the owner asked for.
    Other(T),
    /// It is not wanted any more.
    Abandoned,
}

/// Polls what is under way for a reader. `T` is what the reader asks for besides reads.
pub(crate) struct ReadDriver<T> {
    parts: StreamParts,
    work: FuturesUnordered<BoxFuture<'static, Done<T>>>,
    /// Cancelled when a segment is not read any more.
    lanes: HashMap<LaneId, CancellationToken>,
    timer: Pin<Box<Sleep>>,
    started: Instant,
}

/// How long an answer may take that the store has the bytes for.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A tail read is repeated after this long. The real server answers one by itself after about two
/// minutes, when it forgets a segment that nobody uses.
const TAIL_PATIENCE: Duration = Duration::from_secs(180);

impl<T: Send + 'static> ReadDriver<T> {
    pub(crate) fn new(parts: StreamParts) -> Self {
        let started = Instant::now();
        Self {
            parts,
            work: FuturesUnordered::new(),
            lanes: HashMap::new(),
            timer: Box::pin(sleep_until(started)),
            started,
        }
    }

    pub(crate) fn parts(&self) -> &StreamParts {
        &self.parts
    }

    pub(crate) fn now(&self) -> Now {
        self.started.elapsed()
    }

    /// Does something besides reading.
    pub(crate) fn spawn(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.work.push(work.map(Done::Other).boxed());
    }

    /// Carries out what the machine wants; answers whether there was anything.
    pub(crate) fn carry_out(&mut self, machine: &mut ReadMachine) -> bool {
        let mut is_busy = false;
        while let Some(effect) = machine.poll_effect() {
            is_busy = true;
            match effect {
                Effect::Locate(lane, segment) => {
                    let parts = self.parts.clone();
                    self.push(
                        lane,
                        async move { Done::Located(lane, parts.locate(&segment).await) },
                    );
                }
                Effect::Forget(segment, endpoint) => {
                    self.parts.endpoints.wrong_host(&segment, &endpoint)
                }
                Effect::TokenExpired(segment, token) => {
                    let token = DelegationToken::new(token.0.to_string());
                    self.parts.tokens.expired(
                        &segment.scoped_stream(),
                        AccessOperation::Read,
                        &token,
                    );
                }
                Effect::Read { lane, read, endpoint, request, patience } => {
                    let client = self.parts.raw_client.clone();
                    let patience = match patience {
                        Patience::Request => READ_TIMEOUT,
                        Patience::Tail => TAIL_PATIENCE,
                    };
                    self.push(lane, async move {
                        Done::Read(
                            lane,
                            read,
                            client
                                .read(&endpoint, request, patience)
                                .await
                                .map_err(LookupError::from),
                        )
                    });
                }
                Effect::Inspect { lane, endpoint, request } => {
                    let client = self.parts.raw_client.clone();
                    self.push(lane, async move {
                        let answer =
                            client.request(&endpoint, request).await.map(WireCommand::from);
                        Done::Inspected(lane, answer.or_else(refusal))
                    });
                }
                Effect::Abandon(lane) => {
                    if let Some(wanted) = self.lanes.remove(&lane) {
                        wanted.cancel();
                    }
                }
            }
        }
        is_busy
    }

    /// Takes in what has come; answers with what the owner asked for besides reads, and whether
    /// there was anything.
    pub(crate) fn poll_work(
        &mut self,
        machine: &mut ReadMachine,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        let mut is_busy = false;
        while let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) {
            is_busy = true;
            let now = self.now();
            match done {
                Done::Located(lane, found) => machine.handle_located(lane, found, now),
                Done::Read(lane, read, answer) => machine.handle_read(lane, read, answer, now),
                Done::Inspected(lane, answer) => machine.handle_inspected(lane, answer, now),
                Done::Other(other) => return Poll::Ready(Some(other)),
                Done::Abandoned => {}
            }
        }
        if is_busy { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Ready when `until` has come.
    pub(crate) fn poll_timer(&mut self, until: Option<Now>, cx: &mut Context<'_>) -> Poll<Now> {
        let Some(until) = until else { return Poll::Pending };
        let at = self.started + until;
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        self.timer.as_mut().poll(cx).map(|()| self.now())
    }

    fn push(&mut self, lane: LaneId, work: impl Future<Output = Done<T>> + Send + 'static) {
        let wanted = self.lanes.entry(lane).or_default().clone();
        self.work.push(
            async move { wanted.run_until_cancelled(work).await.unwrap_or(Done::Abandoned) }
                .boxed(),
        );
    }
}

/// A refusal is an answer too.
fn refusal(error: RequestError) -> Result<WireCommand, LookupError> {
    match error.reply() {
        Some(reply) => Ok(reply.clone()),
        None => Err(LookupError { kind: error.kind(), cause: Arc::new(error) }),
    }
}
