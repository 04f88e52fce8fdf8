//! Carries out what the read machine decides: a set of futures that the reader polls. No task does
//! work; the futures' timers belong to the runtime on which the driver was made.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytestring::ByteString;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use pravega_sdk_controller_client::{AccessOperation, DelegationToken};
use pravega_sdk_types::{ErrorKind, ScopedStream};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::machine::{Answer, Driven, Effect, ReadKind, ReaderId};
use crate::{
    connection::RequestError,
    context::SegmentContext,
    due::poll_until,
    error::{NoRuntime, ReadError},
    machine::{Location, LookupError, Now, Token},
    runtime::{HomeRuntime, home},
    seeded_bugs::{Bugs, SeededBug},
};

/// The result of an effect.
enum Done<T> {
    Located(ReaderId, Result<Location, LookupError>),
    Read(ReaderId, u64, Result<WireCommand, LookupError>),
    Inspected(ReaderId, u64, Result<WireCommand, LookupError>),
    /// The result of a future of the owner.
    Other(T),
    /// The segment is no longer read.
    Abandoned,
}

/// Carries out the effects of a read machine, without a task: its owner polls it. `T` is the result
/// of what the owner does besides reading.
pub struct ReadDriver<T> {
    context: SegmentContext,
    work: FuturesUnordered<BoxFuture<'static, Done<T>>>,
    /// Cancelled when a segment is no longer read.
    readers: HashMap<ReaderId, CancellationToken>,
    /// The streams of the segments, for which tokens are.
    streams: HashMap<ReaderId, ScopedStream>,
    timer: Pin<Box<Sleep>>,
    started: Instant,
    /// All timers and tasks of the work belong to it, on any thread.
    home: HomeRuntime,
    bugs: Bugs,
}

/// The longest wait for the answer to a read of known bytes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A tail read is repeated after this long. The real server answers one by itself after about two
/// minutes, when it forgets an unused segment.
const TAIL_TIMEOUT: Duration = Duration::from_secs(180);

impl<T: Send + 'static> ReadDriver<T> {
    /// Makes a driver with nothing to do. It works until the end of the runtime on which it is
    /// made, from any thread.
    ///
    /// # Errors
    ///
    /// [`NoRuntime`] outside a tokio runtime.
    pub fn new(context: SegmentContext, bugs: Bugs) -> Result<Self, NoRuntime> {
        let home = home()?;
        let started = Instant::now();
        Ok(Self {
            context,
            work: FuturesUnordered::new(),
            readers: HashMap::new(),
            streams: HashMap::new(),
            timer: Box::pin(sleep_until(started)),
            started,
            home,
            bugs,
        })
    }

    /// Returns the error of every later read if the driver's runtime has ended. Check it before
    /// [`Self::poll_work`] and [`Self::poll_timeouts`], which do nothing then.
    #[must_use]
    pub fn ended(&self) -> Option<ReadError> {
        let detail = "the runtime on which the reader was opened has ended";
        self.has_ended().then(|| ReadError::new(ErrorKind::Closed, detail))
    }

    fn has_ended(&self) -> bool {
        self.home.has_ended() && !self.bugs.has(SeededBug::OutlivesRuntime)
    }

    /// The shared handles.
    #[must_use]
    pub fn context(&self) -> &SegmentContext {
        &self.context
    }

    /// The time since the driver was made, as its machines take it.
    #[must_use]
    pub fn now(&self) -> Now {
        self.started.elapsed()
    }

    /// Runs a future besides the reads; [`Self::poll_work`] returns its result.
    pub fn spawn(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.work.push(work.map(Done::Other).boxed());
    }

    /// Carries out the machine's effects. Returns true if there were any.
    pub fn carry_out(&mut self, machine: &mut impl Driven) -> bool {
        let mut is_busy = false;
        // This is called for each event, so the clock is read only if there may be work.
        if !machine.has_reads() {
            return false;
        }
        let now = self.now();
        while let Some(effect) = machine.poll_read(now) {
            is_busy = true;
            match effect {
                Effect::Locate(reader, segment) => {
                    self.streams.insert(reader, segment.scoped_stream());
                    let context = self.context.clone();
                    self.push(reader, async move {
                        Done::Located(reader, context.locate(&segment, AccessOperation::Read).await)
                    });
                }
                Effect::Forget(segment, endpoint) => {
                    self.context.endpoints().wrong_host(&segment, &endpoint);
                }
                Effect::TokenExpired(segment, token) => {
                    let token = DelegationToken::new(token.0.to_string());
                    self.context.tokens().expired(
                        &segment.scoped_stream(),
                        AccessOperation::Read,
                        &token,
                    );
                }
                Effect::Read { reader, read, endpoint, mut request, kind } => {
                    self.renew(machine, reader, &mut request.delegation_token, now);
                    let context = self.context.clone();
                    let limit = match kind {
                        ReadKind::Known => READ_TIMEOUT,
                        ReadKind::Tail => TAIL_TIMEOUT,
                    };
                    self.push(reader, async move {
                        Done::Read(
                            reader,
                            read,
                            context
                                .read(&endpoint, request, limit)
                                .await
                                .map_err(LookupError::from),
                        )
                    });
                }
                Effect::Inspect { reader, question, endpoint, mut request } => {
                    self.renew(machine, reader, &mut request.delegation_token, now);
                    let context = self.context.clone();
                    self.push(reader, async move {
                        let answer =
                            context.request(&endpoint, request).await.map(WireCommand::from);
                        Done::Inspected(reader, question, answer.or_else(refusal))
                    });
                }
                Effect::Abandon(reader) => {
                    self.streams.remove(&reader);
                    if let Some(wanted) = self.readers.remove(&reader) {
                        wanted.cancel();
                    }
                }
            }
        }
        is_busy
    }

    /// Puts a newer token in place of one that expires soon, if there is one. If not, the store may
    /// refuse the request, and the machine asks for another.
    fn renew(&self, machine: &mut impl Driven, reader: ReaderId, token: &mut ByteString, now: Now) {
        // A server without accounts needs none.
        let Some(stream) = self.streams.get(&reader).filter(|_| !token.is_empty()) else { return };
        let _inside = self.home.enter();
        let cached = self.context.tokens().cached(stream, AccessOperation::Read);
        if let Some(newer) = cached.filter(|cached| cached.expose() != &**token) {
            *token = newer.expose().into();
            machine.handle_answer(Answer::Renewed(reader, Token(token.clone())), now);
        }
    }

    /// Hands the results of effects to the machine. Ready with the result of the owner's own
    /// future, or with `None` if there were others.
    pub fn poll_work(
        &mut self,
        machine: &mut impl Driven,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        if self.has_ended() {
            // The owner has not noticed yet.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let _inside = self.home.enter();
        let started = self.started;
        let mut is_busy = false;
        while let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) {
            is_busy = true;
            let now = started.elapsed();
            match done {
                Done::Located(reader, found) => {
                    machine.handle_answer(Answer::Located(reader, found), now);
                }
                Done::Read(reader, read, answer) => {
                    machine.handle_answer(Answer::Read(reader, read, answer), now);
                }
                Done::Inspected(reader, question, answer) => {
                    machine.handle_answer(Answer::Inspected(reader, question, answer), now);
                }
                Done::Other(other) => return Poll::Ready(Some(other)),
                Done::Abandoned => {}
            }
        }
        if is_busy { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Lets the machine do what is due. Returns true if anything was.
    pub fn poll_timeouts(&mut self, machine: &mut impl Driven, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        while let Poll::Ready(now) = self.poll_timer(machine.timeout(), cx) {
            machine.handle_timeout(now);
            is_busy = true;
        }
        is_busy
    }

    /// Returns ready at `until`.
    fn poll_timer(&mut self, until: Option<Now>, cx: &mut Context<'_>) -> Poll<Now> {
        let Some(until) = until else { return Poll::Pending };
        if self.has_ended() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let at = self.started + until;
        poll_until(&mut self.timer, at, cx).map(|()| self.now())
    }

    /// Polls another future of the owner on the driver's runtime, where its timers stay.
    ///
    /// # Errors
    ///
    /// As [`Self::ended`].
    pub fn poll_at_home<F: Future + Unpin>(
        &self,
        work: &mut F,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, ReadError>> {
        if let Some(ended) = self.ended() {
            return Poll::Ready(Err(ended));
        }
        let _inside = self.home.enter();
        Pin::new(work).poll(cx).map(Ok)
    }

    fn push(&mut self, reader: ReaderId, work: impl Future<Output = Done<T>> + Send + 'static) {
        let wanted = self.readers.entry(reader).or_default().clone();
        self.work.push(
            async move { wanted.run_until_cancelled(work).await.unwrap_or(Done::Abandoned) }
                .boxed(),
        );
    }
}

impl ReadDriver<Infallible> {
    /// Hands the results of effects to the machine of an owner without futures of its own. Returns
    /// true if there were any.
    pub fn poll_reads(&mut self, machine: &mut impl Driven, cx: &mut Context<'_>) -> bool {
        self.poll_work(machine, cx).is_ready()
    }
}

impl<T> fmt::Debug for ReadDriver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDriver").field("readers", &self.readers.len()).finish_non_exhaustive()
    }
}

/// Turns a refusal into an answer.
fn refusal(error: RequestError) -> Result<WireCommand, LookupError> {
    match error.reply() {
        Some(reply) => Ok(reply.clone()),
        None => Err(LookupError { kind: error.kind(), cause: Arc::new(error) }),
    }
}
