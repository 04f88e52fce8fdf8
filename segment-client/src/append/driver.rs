//! The task of a writer: carries out what the machine decides, and decides nothing.
//!
//! One task drives all segments and their connections. Commands arrive on one channel; each turn
//! takes the commands that wait, passes replies to the machine, and lets the machine fill the send
//! buffers of the connections.

use std::{
    collections::BTreeMap,
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{AbortHandle, Abortable, FuturesUnordered},
};
use pravega_sdk_controller_client::{AccessOperation, ControllerError, DelegationToken};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, Offset, Outcome, ScopedSegment, SegmentId, SegmentOffset, Successor,
    Timestamp, WriterName,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::{
    ack::Ticket,
    capacity::Shared,
    config::TimeNotes,
    expiry::Expiries,
    segment::item::Write,
    stream::{
        connection::ConnectionId,
        flush::Waiter,
        machine::{Effect, WriterMachine},
    },
};
use crate::{
    connection::{ConnectionError, StreamClaim},
    context::SegmentContext,
    due::poll_until,
    error::WriteError,
    machine::{Location, LookupError, Now},
};

/// A command of a handle to the task.
pub(super) enum Command {
    Write {
        write: Write,
        /// When its caller began to wait for capacity; `None` if there was enough at once.
        waiting_since: Option<Instant>,
        ticket: Ticket,
    },
    /// Notifies a write that waits for capacity when its delivery timeout has passed.
    Expire {
        since: Instant,
        expire: oneshot::Sender<()>,
    },
    Flush(FlushWaiter),
    NoteTime {
        time: Timestamp,
        reply: oneshot::Sender<Result<(), WriteError>>,
    },
    /// No more writes; those in flight go on.
    Close,
    /// Writes in flight fail with this error.
    Abandon(WriteError),
}

pub(super) type FlushWaiter = oneshot::Sender<Option<WriteError>>;

impl Waiter for FlushWaiter {
    fn is_given_up(&self) -> bool {
        self.is_closed()
    }
}

/// The result of an effect.
enum Done {
    Located(SegmentId, Result<Location, LookupError>),
    Connected(ConnectionId, Result<StreamClaim, ConnectionError>),
    Successors(SegmentId, Result<Vec<Successor>, ControllerError>),
    Segments(SegmentId, Result<Vec<SegmentId>, ControllerError>),
    /// A note of the time ended.
    Noted,
}

impl Done {
    /// Returns the kind of the error, if it is one.
    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Located(_, Err(error)) => Some(error.kind),
            Self::Connected(_, Err(error)) => Some(error.kind()),
            Self::Successors(_, Err(error)) | Self::Segments(_, Err(error)) => Some(error.kind()),
            _ => None,
        }
    }
}

/// A runtime that ends has dropped the writer's task by then.
const END_PAUSE: Duration = Duration::from_millis(100);
/// The most commands taken in one turn. Bytes are sent after them, so this bounds how long they
/// wait.
const BATCH: usize = 1024;
/// As in Java's client.
const NOTE_TIME_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Driver {
    machine: WriterMachine<Ticket, FlushWaiter>,
    shared: Arc<Shared>,
    context: SegmentContext,
    commands: mpsc::UnboundedReceiver<Command>,
    batch: Vec<Command>,
    streams: BTreeMap<ConnectionId, StreamClaim>,
    connecting: BTreeMap<ConnectionId, AbortHandle>,
    work: FuturesUnordered<BoxFuture<'static, Option<Done>>>,
    timer: Pin<Box<Sleep>>,
    expiries: Expiries,
    started: Instant,
    writer_name: WriterName,
    next_note: Option<Pin<Box<Sleep>>>,
    has_noted: bool,
    /// Notes of the time in flight.
    noting: usize,
    is_closed: bool,
    patience: Patience,
}

/// What becomes of events whose servers cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// They wait for their delivery timeout.
    Waits,
    /// They fail: the program is about to end.
    GivesUp,
}

impl Driver {
    pub(super) fn new(
        machine: WriterMachine<Ticket, FlushWaiter>,
        shared: Arc<Shared>,
        context: SegmentContext,
        commands: mpsc::UnboundedReceiver<Command>,
        writer_name: WriterName,
        time_notes: TimeNotes,
    ) -> Self {
        let started = Instant::now();
        Self {
            machine,
            shared,
            context,
            commands,
            batch: Vec::new(),
            streams: BTreeMap::new(),
            connecting: BTreeMap::new(),
            work: FuturesUnordered::new(),
            timer: Box::pin(sleep_until(started)),
            expiries: Expiries::new(),
            started,
            writer_name,
            next_note: match time_notes {
                TimeNotes::ByHand => None,
                TimeNotes::Automatic => Some(Box::pin(sleep_until(started + NOTE_TIME_EVERY))),
            },
            has_noted: false,
            noting: 0,
            is_closed: false,
            patience: Patience::Waits,
        }
    }

    pub(super) fn context(&self) -> &SegmentContext {
        &self.context
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the number of writes that are not done.
    pub(super) fn outstanding(&self) -> usize {
        self.machine.outstanding()
    }

    /// Returns true if the events are those of a transaction.
    pub(super) fn is_transaction(&self) -> bool {
        self.machine.is_transaction()
    }

    /// Refuses every later command, and takes those that wait.
    pub(super) fn stop(&mut self) {
        self.shared.close();
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            let now = self.now();
            self.take(command, now);
        }
        self.is_closed = true;
    }

    /// Goes on with the events that are left, on the caller's runtime, after the end of its own.
    pub(super) fn resume(&mut self, context: SegmentContext) {
        self.context = context;
        self.streams.clear();
        self.connecting.clear();
        self.work = FuturesUnordered::new();
        self.timer = Box::pin(sleep_until(self.started));
        // The writes that wait for capacity are refused, whether their callers know it yet or not.
        self.expiries = Expiries::new();
        self.next_note = None;
        (self.has_noted, self.noting) = (false, 0);
        self.patience = Patience::GivesUp;
        self.machine.resume();
    }

    /// Fails all events that are left.
    pub(super) fn abandon(&mut self, error: WriteError) {
        self.machine.end(error);
        self.finish();
    }

    /// Runs until the handles are gone or closed, and all events are done.
    pub(super) async fn run(&mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        if self.has_noted {
            // Watermarks no longer wait for this writer. If this fails, their own timeout ends the
            // wait.
            let removed = self
                .context
                .controller()
                .remove_writer(&self.shared.stream, &self.writer_name)
                .await;
            removed.map_err(|error| tracing::debug!(%error, "the writer was not removed")).ok();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut is_busy = self.poll_commands(cx);
            is_busy |= self.poll_work(cx);
            is_busy |= self.poll_streams(cx);
            is_busy |= self.poll_timers(cx);
            self.finish();
            while let Some(effect) = self.machine.poll_effect() {
                is_busy = true;
                self.carry_out(effect);
            }
            is_busy |= self.send(cx);
            self.finish();
            if is_busy {
                continue;
            }
            if self.is_closed && self.machine.outstanding() == 0 && self.noting == 0 {
                return Poll::Ready(());
            }
            // After the last release of capacity, which calls the writes that wait for it.
            if !self.shared.is_closed() {
                self.expiries.poll_lapses(&self.shared, cx);
            }
            return Poll::Pending;
        }
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>) -> bool {
        let mut batch = std::mem::take(&mut self.batch);
        let taken = self.commands.poll_recv_many(cx, &mut batch, BATCH);
        let is_busy = match taken {
            Poll::Pending => false,
            Poll::Ready(0) => {
                self.warn_of_outstanding();
                self.is_closed = true;
                false
            }
            Poll::Ready(_) => {
                let now = self.now();
                batch.drain(..).for_each(|command| self.take(command, now));
                true
            }
        };
        self.batch = batch;
        is_busy
    }

    /// Warns if all handles were dropped without a close.
    fn warn_of_outstanding(&self) {
        let outstanding = self.machine.outstanding();
        if outstanding > 0 && !self.is_closed {
            let stream = &self.shared.stream;
            tracing::warn!(
                %stream,
                outstanding,
                "writer dropped before its events were acknowledged; they are still sent"
            );
        }
    }

    fn take(&mut self, command: Command, now: Now) {
        match command {
            Command::Write { write, waiting_since, ticket } => {
                let since = |since: Instant| since.saturating_duration_since(self.started);
                self.machine.write(write, waiting_since.map_or(now, since), ticket);
            }
            Command::Expire { since, expire } => {
                self.expiries.push(since + self.shared.delivery_timeout, expire);
            }
            Command::Flush(waiter) => self.machine.flush(waiter),
            Command::NoteTime { time, reply } => self.note_time(time, Some(reply)),
            Command::Close => self.is_closed = true,
            Command::Abandon(error) => {
                self.is_closed = true;
                self.machine.end(error);
            }
        }
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        while let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) {
            is_busy = true;
            let now = self.now();
            if let Some(error) = done.as_ref().and_then(|done| self.gives_up(done)) {
                self.machine.end(error);
                continue;
            }
            match done {
                None => {}
                Some(Done::Noted) => self.noting = self.noting.saturating_sub(1),
                Some(Done::Located(segment, found)) => {
                    self.machine.handle_located(segment, found, now);
                }
                Some(Done::Successors(segment, found)) => {
                    self.machine.handle_successors(segment, found.map_err(Into::into), now);
                }
                Some(Done::Segments(segment, found)) => {
                    self.machine.handle_segments(segment, found.map_err(Into::into), now);
                }
                Some(Done::Connected(id, connected)) => {
                    self.connecting.remove(&id);
                    match connected {
                        Ok(stream) => {
                            self.streams.insert(id, stream);
                            self.machine.handle_connected(id);
                        }
                        Err(error) => self.machine.handle_lost(id, error.into(), now),
                    }
                }
            }
        }
        is_busy
    }

    /// Returns the error of all events if a server cannot be reached and is not waited for.
    fn gives_up(&self, done: &Done) -> Option<WriteError> {
        let kind = done.kind().filter(|_| self.patience == Patience::GivesUp)?;
        let gives_up = matches!(kind, ErrorKind::Unreachable | ErrorKind::Timeout);
        let error = WriteError::new(kind, Outcome::Unknown, "a server cannot be reached");
        gives_up.then(|| error.with_stream(&self.shared.stream))
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        let now = self.now();
        let mut lost = Vec::new();
        for (id, stream) in &mut self.streams {
            loop {
                match stream.poll_command(cx, self.machine.is_waiting(*id)) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(command)) => {
                        is_busy = true;
                        self.machine.handle_command(*id, command, now);
                        if !self.machine.is_open(*id) {
                            // The machine dropped the connection, so later replies do not matter.
                            break;
                        }
                    }
                    Poll::Ready(Err(error)) => {
                        is_busy = true;
                        lost.push((*id, error));
                        break;
                    }
                }
            }
        }
        self.lose(lost, now);
        is_busy
    }

    fn lose(&mut self, lost: Vec<(ConnectionId, ConnectionError)>, now: Now) {
        for (id, error) in lost {
            self.streams.remove(&id);
            self.machine.handle_lost(id, error.into(), now);
        }
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        while let Some(until) = self.machine.timeout() {
            let until = self.started + until;
            if poll_until(&mut self.timer, until, cx).is_pending() {
                break;
            }
            is_busy = true;
            self.machine.handle_timeout(self.started.elapsed());
        }
        if self.shared.is_closed() {
            // No write waits for capacity any more, and the runtime of the timer may have ended.
            self.expiries.clear();
        } else {
            self.expiries.poll(cx);
        }
        if let Some(next) = &mut self.next_note
            && next.as_mut().poll(cx).is_ready()
        {
            next.as_mut().reset(Instant::now() + NOTE_TIME_EVERY);
            let since_1970 =
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let millis = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
            self.note_time(Timestamp::from_millis(millis), None);
            is_busy = true;
        }
        is_busy
    }

    /// Lets the machine fill each connection's buffer, and sends what it takes.
    fn send(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        let now = self.now();
        let mut lost = Vec::new();
        for (id, stream) in &mut self.streams {
            self.machine.transmit(*id, stream.to_send(), now);
            match stream.poll_send(cx) {
                // The buffer has space again, so there may be more to send.
                Poll::Ready(Ok(())) => is_busy |= self.machine.has_to_send(*id),
                Poll::Ready(Err(error)) => {
                    is_busy = true;
                    lost.push((*id, error));
                }
                Poll::Pending => {}
            }
        }
        self.lose(lost, now);
        is_busy
    }

    /// Completes the acks of events that are done, and releases their capacity.
    fn finish(&mut self) {
        if self.machine.has_completions() {
            let mut released = 0;
            for completion in self.machine.take_completions() {
                released += self.shared.cost_of(completion.bytes);
                self.shared.count(&completion.result);
                completion.ticket.complete(completion.result);
            }
            self.shared.release_completed(released);
        }
        while let Some((waiter, failed)) = self.machine.poll_flushed() {
            waiter.send(failed).ok();
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Locate(segment) => {
                let (context, name) = (self.context.clone(), self.segment(segment));
                let locating = async move {
                    let found = context.locate(&name, AccessOperation::Write).await;
                    Some(Done::Located(segment, found))
                };
                self.push(locating);
            }
            Effect::Forget(segment, endpoint) => {
                self.context.endpoints().wrong_host(&self.segment(segment), &endpoint);
            }
            Effect::TokenExpired(token) => {
                let token = DelegationToken::new(token.0.to_string());
                self.context.tokens().expired(&self.shared.stream, AccessOperation::Write, &token);
            }
            Effect::Connect(id, endpoint) => {
                self.streams.remove(&id);
                let context = self.context.clone();
                let connecting =
                    async move { Done::Connected(id, context.stream(&endpoint).await) };
                let (abort, registration) = AbortHandle::new_pair();
                self.connecting.insert(id, abort);
                self.push(Abortable::new(connecting, registration).map(Result::ok));
            }
            Effect::Close(id) => {
                self.streams.remove(&id);
                if let Some(connecting) = self.connecting.remove(&id) {
                    connecting.abort();
                }
            }
            Effect::FindSuccessors(segment) => {
                let (controller, name) =
                    (Arc::clone(self.context.controller()), self.segment(segment));
                let asking = async move {
                    Some(Done::Successors(segment, controller.successors(&name).await))
                };
                self.push(asking);
            }
            Effect::FindSegments(segment) => {
                let (controller, stream) =
                    (Arc::clone(self.context.controller()), self.shared.stream.clone());
                let asking = async move {
                    let found = controller.current_segments(&stream).await;
                    let ids = found.map(|found| found.iter().map(|segment| segment.id).collect());
                    Some(Done::Segments(segment, ids))
                };
                self.push(asking);
            }
        }
    }

    /// Adds the work of an effect.
    fn push(&mut self, work: impl Future<Output = Option<Done>> + Send + 'static) {
        let settling = async move {
            let done = work.await;
            let kind = done.as_ref().and_then(Done::kind);
            if matches!(kind, Some(ErrorKind::Closed | ErrorKind::NoRuntime)) {
                // A runtime that ends drops its tasks one after the other. What others left undone
                // must not fail the events: this task may be the next.
                sleep(END_PAUSE).await;
            }
            done
        };
        self.work.push(settling.boxed());
    }

    fn note_time(
        &mut self,
        time: Timestamp,
        reply: Option<oneshot::Sender<Result<(), WriteError>>>,
    ) {
        let stream = self.shared.stream.clone();
        let (controller, name) = (Arc::clone(self.context.controller()), self.writer_name.clone());
        let tails = self.machine.tail_offsets().into_iter();
        // For the controller a segment of unknown length counts as read to its end.
        let offset = |tail: Option<Offset>| tail.map_or(SegmentOffset::End, SegmentOffset::At);
        let tails: Vec<_> = tails.map(|(segment, tail)| (segment, offset(tail))).collect();
        self.has_noted = true;
        self.noting += 1;
        let noting = async move {
            let refused = |error| WriteError::invalid(error).with_stream(&stream);
            let noted = match BoundedCut::new(stream.clone(), tails)
                .map_err(|error| refused(error.to_string()))
            {
                Err(error) => Err(error),
                Ok(position) => {
                    controller.note_time(&name, &position, time).await.map_err(|error| {
                        let failure = WriteError::new(
                            error.kind(),
                            error.outcome(),
                            "the time was not noted",
                        );
                        failure.with_stream(&stream).with_source(Some(Arc::new(error)))
                    })
                }
            };
            match reply {
                Some(reply) => drop(reply.send(noted)),
                // The next note covers this one.
                None => {
                    if let Err(error) = noted {
                        tracing::debug!(%error, "the time was not noted");
                    }
                }
            }
            Some(Done::Noted)
        };
        self.work.push(noting.boxed());
    }

    fn segment(&self, id: SegmentId) -> ScopedSegment {
        ScopedSegment::new(&self.shared.stream, id)
    }

    fn now(&self) -> Now {
        self.started.elapsed()
    }
}
