//! What the callers of a connection and its task share: the requests, and the frames to send.
//!
//! A caller queues its request and encodes it, if the limits admit it. It also writes it to the
//! socket if few others are in flight, and the task is not woken. If they are many, the task writes
//! what several of them have encoded: one write for all, and one wake.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
};

use bytes::Buf as _;
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{SendBuffer, WireCommand, commands::KeepAlive};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use super::{
    error::{ConnectionError, RequestError},
    machine::{
        keep_alive::{Action, KeepAliveTimer, Now},
        requests::{Incoming, Limits, Pushed, Request, Requests, Unanswered},
    },
    socket::DirectWriter,
};

/// With more than this many bytes to send, no further requests are sent: their queue holds them.
const SEND_HIGH_WATER: usize = 1 << 20;
/// A caller writes no more bytes itself, as others wait for the lock meanwhile.
const DIRECT_BYTES: usize = 16 << 10;

/// Receiver of a reply.
pub(super) struct Waiter {
    pub(super) name: &'static str,
    pub(super) limit: Duration,
    pub(super) reply: oneshot::Sender<Result<WireCommand, RequestError>>,
}

impl Waiter {
    pub(super) fn answer(self, answer: Result<WireCommand, RequestError>) {
        self.reply.send(answer).ok();
    }
}

/// A waiter, and what it gets.
pub(super) type Answer = (Waiter, Result<WireCommand, RequestError>);

/// Counters that handles read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) ignored: AtomicU64,
    pub(super) probes: AtomicU64,
    pub(super) outstanding: AtomicU64,
}

/// What the callers of a connection and its task share.
pub(super) struct Shared {
    pub(super) endpoint: Endpoint,
    pub(super) started: Instant,
    pub(super) counters: Counters,
    core: Mutex<Core>,
    is_closed: AtomicBool,
    /// Why the connection ended, unless its task ended without a reason.
    ended: OnceLock<ConnectionError>,
}

struct Core {
    requests: Requests<Waiter>,
    limits: Limits,
    /// Commands without a reply, with their lengths, before they are in the buffer.
    unsent: VecDeque<(WireCommand, usize)>,
    unsent_bytes: usize,
    to_send: SendBuffer,
    /// Number of bytes that the task has taken and not written yet.
    taken: usize,
    /// `None` if only the task can write.
    writer: Option<DirectWriter>,
    /// Wakes the task; `None` while it runs.
    task: Option<Waker>,
    /// Callers need the task, which runs: it must not sleep before it has looked again.
    is_called: bool,
    /// When the task wakes by itself.
    wakes_at: Now,
    keep_alive: KeepAliveTimer,
    /// Number of requests in the buffer.
    queued: usize,
    /// Several requests were answered, or sent, at once: it is likely that more come at once.
    is_crowded: bool,
}

/// What the task does next.
pub(super) enum Step {
    /// Lets callers that are ready to run add their requests to those in the buffer.
    Gather,
    /// Writes what it has taken, and wakes at that time.
    Wait(Now),
    /// Ends the connection: the store was silent for this long.
    GiveUp(Duration),
}

impl Core {
    /// Moves to the buffer what the limits admit.
    fn fill(&mut self, counters: &Counters) {
        while self.may_fill()
            && let Some((command, len)) = self.unsent.pop_front()
        {
            self.unsent_bytes -= len;
            // Its handle has encoded it before.
            if command.encode(&mut self.to_send).is_ok() {
                counters.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        while self.may_fill()
            && let Some((id, command)) = self.requests.poll_send()
        {
            self.encode(id, &command, counters);
        }
        counters.outstanding.store(self.requests.outstanding() as u64, Ordering::Relaxed);
    }

    /// Encodes a request that is sent, or ends it.
    fn encode(&mut self, id: i64, command: &WireCommand, counters: &Counters) {
        if let Err(error) = command.encode(&mut self.to_send) {
            if let Some(Unanswered { waiter, .. }) = self.requests.remove(id) {
                let error = RequestError::encode(waiter.name, error);
                waiter.answer(Err(error));
            }
        } else {
            self.queued += 1;
            counters.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn may_fill(&self) -> bool {
        self.to_send.remaining() + self.taken < SEND_HIGH_WATER
    }

    /// Writes the frames of a caller, if the task has none to write before them. Returns true if
    /// nothing is left to the task. An error is too: it ends the connection.
    fn write_directly(&mut self) -> bool {
        if let Some(writer) = &self.writer
            && self.taken == 0
            && (1..=DIRECT_BYTES).contains(&self.to_send.remaining())
        {
            writer.try_write(&mut self.to_send).ok();
        }
        let is_written = !self.to_send.has_remaining();
        if is_written {
            self.queued = 0;
        }
        is_written
    }

    /// Returns what wakes the task, if it sleeps; otherwise it looks again before it does.
    fn call(&mut self) -> Option<Waker> {
        self.is_called = true;
        self.task.take()
    }

    /// Gives the task the frames to write, unless it has some.
    fn take(&mut self, frames: &mut SendBuffer) {
        self.taken = frames.remaining();
        if self.taken == 0 && self.to_send.has_remaining() {
            mem::swap(&mut self.to_send, frames);
            self.taken = frames.remaining();
            self.is_crowded = mem::take(&mut self.queued) > 1;
        }
    }
}

impl Shared {
    pub(super) fn new(
        endpoint: Endpoint,
        requests: Requests<Waiter>,
        limits: Limits,
        writer: Option<DirectWriter>,
    ) -> Self {
        let core = Core {
            requests,
            limits,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            to_send: SendBuffer::new(),
            taken: 0,
            writer,
            task: None,
            is_called: false,
            wakes_at: Now::ZERO,
            keep_alive: KeepAliveTimer::default(),
            queued: 0,
            is_crowded: false,
        };
        Self {
            endpoint,
            started: Instant::now(),
            counters: Counters::default(),
            core: Mutex::new(core),
            is_closed: AtomicBool::new(false),
            ended: OnceLock::new(),
        }
    }

    /// The lock is held for a few instructions and one write, none of which panics.
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ------------------------------------------------------------------------------------- callers

    /// Takes a request, and sends it if that is possible at once; returns false if the connection
    /// has ended.
    pub(super) fn push(&self, request: Request<Waiter>) -> bool {
        let (id, name, deadline) = (request.id, request.waiter.name, request.deadline);
        let mut core = self.core();
        if self.is_closed() {
            return false;
        }
        let is_alone = !core.is_crowded && !core.to_send.has_remaining();
        let may_send = core.unsent.is_empty() && core.may_fill();
        match core.requests.push(request, may_send) {
            Pushed::Sent(command) => {
                core.encode(id, &command, &self.counters);
                let outstanding = core.requests.outstanding() as u64;
                self.counters.outstanding.store(outstanding, Ordering::Relaxed);
            }
            // Those before it may hold it up, or not.
            Pushed::Queued => core.fill(&self.counters),
            Pushed::Refused(waiter) => {
                drop(core);
                // The handle assigns ids; this one wrapped around after 2^28 requests while the
                // first is still in flight, or it is one of the caller's.
                waiter.answer(Err(RequestError::id_in_use(name)));
                return true;
            }
        }
        let is_sent = is_alone && core.write_directly();
        // The wait for a silent store depends on whether a reply is due.
        let is_due = core.keep_alive.has_probed() || deadline.is_some_and(|at| at < core.wakes_at);
        let task = if is_sent && !is_due { None } else { core.call() };
        drop(core);
        if let Some(task) = task {
            task.wake();
        }
        true
    }

    /// Takes a command without a reply, of an encoded length; returns false if too many wait, or
    /// if the connection has ended.
    pub(super) fn push_unanswered(&self, command: WireCommand, len: usize) -> bool {
        let mut core = self.core();
        let bytes = core.unsent_bytes.saturating_add(len);
        if self.is_closed()
            || core.unsent.len() >= core.limits.requests
            || bytes > core.limits.bytes
        {
            return false;
        }
        core.unsent.push_back((command, len));
        core.unsent_bytes = bytes;
        let task = core.call();
        drop(core);
        if let Some(task) = task {
            task.wake();
        }
        true
    }

    /// The caller of a request leaves. Returns true if the request was sent, or its reply is on the
    /// way to the caller.
    pub(super) fn forget(&self, id: i64) -> bool {
        let mut core = self.core();
        let removed = core.requests.remove(id);
        // Its share of the limits is free for others.
        let task = core.call();
        drop(core);
        if let Some(task) = task {
            task.wake();
        }
        removed.is_none_or(|removed| removed.was_sent)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) -> Option<&ConnectionError> {
        self.ended.get()
    }

    /// Why there is no connection.
    pub(super) fn cause(&self) -> ConnectionError {
        self.end().cloned().unwrap_or_else(|| {
            ConnectionError::new(ErrorKind::Closed, &self.endpoint, "its task has ended")
        })
    }

    // ---------------------------------------------------------------------------------------- task

    /// Decides about the next step of the task, whose timer is set to `armed`. Gives it the frames
    /// to write, unless it has some. The requests whose deadline is over end: their callers may not
    /// be polled, and must not keep their share of the limits.
    pub(super) fn step(
        &self,
        (now, armed): (Now, Now),
        has_gathered: bool,
        frames: &mut SendBuffer,
        answers: &mut Vec<Answer>,
    ) -> Step {
        let mut core = self.core();
        let core = &mut *core;
        (core.task, core.is_called) = (None, false);
        let late = core.requests.handle_timeout(now).into_iter();
        answers.extend(late.map(|Unanswered { waiter, was_sent }| {
            let error = RequestError::timeout(waiter.name, waiter.limit, was_sent);
            (waiter, Err(error))
        }));
        // What was written leaves room for what waits.
        core.taken = frames.remaining();
        core.fill(&self.counters);
        let wait = loop {
            match core.keep_alive.poll(now, core.requests.outstanding() > 0) {
                Action::Wait(until) => break until,
                Action::Probe => {
                    self.counters.probes.fetch_add(1, Ordering::Relaxed);
                    // An empty frame always fits.
                    core.to_send.push(&KeepAlive {}).ok();
                }
                Action::GiveUp(silence) => return Step::GiveUp(silence),
            }
        };
        if core.is_crowded && !has_gathered && !frames.has_remaining() && core.queued > 0 {
            return Step::Gather;
        }
        core.take(frames);
        let wait = core.requests.poll_timeout().map_or(wait, |at| at.min(wait));
        // The timer is not set to a later time before it is due.
        let wait = if armed > now { wait.min(armed) } else { wait };
        core.wakes_at = wait;
        Step::Wait(wait)
    }

    /// The task sleeps until it is woken; returns false if callers have needed it since its last
    /// step.
    pub(super) fn sleep(&self, waker: &Waker) -> bool {
        let mut core = self.core();
        if !core.is_called {
            core.task = Some(waker.clone());
        }
        !core.is_called
    }

    /// Bytes arrived, with these commands. Adds what their waiters get to `answers`.
    ///
    /// # Errors
    ///
    /// The name of a command that only clients send.
    pub(super) fn handle(
        &self,
        now: Now,
        commands: &mut Vec<WireCommand>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), &'static str> {
        self.counters.received.fetch_add(commands.len() as u64, Ordering::Relaxed);
        let mut core = self.core();
        let core = &mut *core;
        core.keep_alive.handle_bytes(now);
        for command in commands.drain(..) {
            let name = command.name();
            match core.requests.handle(command) {
                Incoming::Reply(waiter, reply) => answers.push((waiter, Ok(reply))),
                Incoming::Shared(waiters, reply) => {
                    answers.extend(waiters.into_iter().map(|waiter| (waiter, Ok(reply.clone()))));
                }
                Incoming::Ignored => {
                    self.counters.ignored.store(core.requests.unknown(), Ordering::Relaxed);
                }
                Incoming::Violation => return Err(name),
            }
        }
        core.is_crowded |= answers.len() > 1;
        let outstanding = core.requests.outstanding() as u64;
        self.counters.outstanding.store(outstanding, Ordering::Relaxed);
        Ok(())
    }

    /// The task ended, with a cause or with its runtime: all requests end with it, and all later
    /// ones.
    pub(super) fn close(&self, cause: Option<ConnectionError>) {
        if let Some(cause) = cause {
            self.ended.set(cause).ok();
        }
        let mut core = self.core();
        self.is_closed.store(true, Ordering::Release);
        core.writer = None;
        core.task = None;
        let unanswered = core.requests.drain();
        // What is not sent never will be.
        let unsent = (mem::take(&mut core.unsent), mem::take(&mut core.to_send));
        core.unsent_bytes = 0;
        drop(core);
        drop(unsent);
        if unanswered.is_empty() {
            return;
        }
        let cause = self.cause();
        for Unanswered { waiter, was_sent } in unanswered {
            let fail = if was_sent { RequestError::lost } else { RequestError::not_connected };
            let error = fail(waiter.name, cause.clone());
            waiter.answer(Err(error));
        }
    }
}

/// Closes the connection when its task ends in any way.
pub(super) struct CloseOnDrop(pub(super) Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(None);
    }
}

#[cfg(test)]
mod tests;
