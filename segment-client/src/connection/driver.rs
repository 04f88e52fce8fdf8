//! The task of one connection: it moves bytes and leaves decisions to the machines.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, WireCommand, commands::KeepAlive};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    time::{Duration, Instant, sleep_until},
};

use super::{
    error::{ConnectionError, RequestError},
    machine::{
        keep_alive::{Action, KeepAliveTimer},
        requests::{Incoming, Request, Requests, Unanswered},
    },
};

/// Commands from the handle to the task.
pub(super) enum Command {
    Request(Request<Waiter>),
    /// A command without a reply of its own, and the bytes that it takes.
    Send(WireCommand, usize),
    /// The waiter for the reply was dropped.
    Forget(i64),
}

/// Receiver of a reply.
pub(super) struct Waiter {
    pub(super) name: &'static str,
    pub(super) limit: Duration,
    pub(super) reply: oneshot::Sender<Result<WireCommand, RequestError>>,
    pub(super) fate: Arc<Fate>,
}

impl Waiter {
    fn answer(self, answer: Result<WireCommand, RequestError>) {
        self.reply.send(answer).ok();
    }
}

/// Decides once if a request is sent or abandoned. The task sends it, its caller abandons it, and
/// neither does what the other has decided against.
#[derive(Debug, Default)]
pub(super) struct Fate(AtomicU8);

const UNDECIDED: u8 = 0;
const SENT: u8 = 1;
const ABANDONED: u8 = 2;

impl Fate {
    /// Returns true if the request may be sent, and has not been abandoned.
    pub(super) fn send(&self) -> bool {
        self.decide(SENT)
    }

    /// Returns true if the request is not sent, and never will be.
    pub(super) fn abandon(&self) -> bool {
        self.decide(ABANDONED)
    }

    fn decide(&self, fate: u8) -> bool {
        let decided = self.0.compare_exchange(UNDECIDED, fate, Ordering::AcqRel, Ordering::Acquire);
        decided.is_ok() || decided == Err(fate)
    }
}

/// Counters that the task writes and handles read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) ignored: AtomicU64,
    pub(super) probes: AtomicU64,
    pub(super) outstanding: AtomicU64,
    /// Commands without a reply that wait to be sent, and their bytes.
    pub(super) unsent: AtomicUsize,
    pub(super) unsent_bytes: AtomicUsize,
}

/// Maximum number of commands taken from the queue at once.
const BATCH: usize = 256;
/// With more than this many bytes to send, no further requests are sent: their queue holds them.
const SEND_HIGH_WATER: usize = 1 << 20;

pub(super) struct Driver<R, W> {
    reader: R,
    writer: W,
    endpoint: Endpoint,
    commands: mpsc::UnboundedReceiver<Command>,
    requests: Requests<Waiter>,
    /// Commands without a reply, before they are in the buffer.
    unsent: VecDeque<(WireCommand, usize)>,
    received: BytesMut,
    to_send: SendBuffer,
    keep_alive: KeepAliveTimer,
    started: Instant,
    counters: Arc<Counters>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Driver<R, W> {
    pub(super) fn new(
        (reader, writer): (R, W),
        received: BytesMut,
        endpoint: Endpoint,
        commands: mpsc::UnboundedReceiver<Command>,
        requests: Requests<Waiter>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            reader,
            writer,
            endpoint,
            commands,
            requests,
            unsent: VecDeque::new(),
            received,
            to_send: SendBuffer::new(),
            keep_alive: KeepAliveTimer::default(),
            started: Instant::now(),
            counters,
        }
    }

    /// The moment from which the machines count.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Runs until the connection ends, then fails all waiters with the cause.
    pub(super) async fn run(mut self, ended: impl FnOnce(ConnectionError)) {
        let cause = self.drive().await;
        tracing::debug!(
            endpoint = %self.endpoint,
            %cause,
            waiters = self.requests.outstanding(),
            "connection ended"
        );
        // From now on new requests fail with the same cause.
        ended(cause.clone());
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.handle_command(command);
        }
        for Unanswered { waiter, was_sent } in self.requests.drain() {
            let fail = if was_sent { RequestError::lost } else { RequestError::not_connected };
            let error = fail(waiter.name, cause.clone());
            waiter.answer(Err(error));
        }
    }

    async fn drive(&mut self) -> ConnectionError {
        let mut batch = Vec::new();
        loop {
            self.end_late_requests();
            self.send_requests();
            let is_outstanding = self.requests.outstanding() > 0;
            let now = self.started.elapsed();
            let keep_alive = match self.keep_alive.poll(now, is_outstanding) {
                Action::Wait(until) => until,
                Action::Probe => {
                    self.probe();
                    continue;
                }
                Action::GiveUp(silence) => return self.silent(silence),
            };
            let wake = self.requests.poll_timeout().map_or(keep_alive, |at| at.min(keep_alive));
            let wake = self.started + wake;
            self.received.reserve(Decoder::default().room_needed(&self.received));
            let may_write = self.to_send.has_remaining();
            // Sending comes first. The limits of requests in flight bound it, so replies are read
            // soon after.
            tokio::select! {
                biased;
                taken = self.commands.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return self.ended(ErrorKind::Closed, "it is no longer used");
                    }
                    for command in batch.drain(..) {
                        self.handle_command(command);
                    }
                }
                written = self.writer.write_buf(&mut self.to_send), if may_write => match written {
                    Ok(0) => return self.lost("it accepts no more bytes"),
                    Ok(_) => {}
                    Err(error) => return self.lost(&error),
                },
                read = self.reader.read_buf(&mut self.received) => {
                    let outcome = match read {
                        Ok(0) => Err(self.lost("the segment store closed it")),
                        Ok(_) => {
                            self.keep_alive.handle_bytes(self.started.elapsed());
                            self.take_frames()
                        }
                        Err(error) => Err(self.lost(&error)),
                    };
                    if let Err(cause) = outcome {
                        return cause;
                    }
                }
                () = sleep_until(wake) => {}
            }
            let outstanding = self.requests.outstanding() as u64;
            self.counters.outstanding.store(outstanding, Ordering::Relaxed);
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Request(request) => {
                let name = request.waiter.name;
                if let Some(waiter) = self.requests.push(request) {
                    // The handle assigns ids; this one wrapped around after 2^28 requests while the
                    // first is still in flight, or it is one of the caller's.
                    waiter.answer(Err(RequestError::id_in_use(name)));
                }
            }
            Command::Send(command, len) => self.unsent.push_back((command, len)),
            Command::Forget(id) => drop(self.requests.remove(id)),
        }
    }

    /// Sends what the limits admit.
    fn send_requests(&mut self) {
        while self.to_send.remaining() < SEND_HIGH_WATER
            && let Some((command, len)) = self.unsent.pop_front()
        {
            self.counters.unsent.fetch_sub(1, Ordering::Relaxed);
            self.counters.unsent_bytes.fetch_sub(len, Ordering::Relaxed);
            // Its handle has encoded it before.
            if command.encode(&mut self.to_send).is_ok() {
                self.counters.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        while self.to_send.remaining() < SEND_HIGH_WATER
            && let Some((id, command)) = self.requests.poll_send()
        {
            if !self.requests.waiter(id).is_some_and(|waiter| waiter.fate.send()) {
                self.requests.remove(id);
            } else if let Err(error) = command.encode(&mut self.to_send) {
                if let Some(waiter) = self.requests.remove(id) {
                    let error = RequestError::encode(waiter.name, error);
                    waiter.answer(Err(error));
                }
            } else {
                self.counters.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Ends the requests whose deadline is over. Their callers may not be polled, and must not keep
    /// their share of the limits.
    fn end_late_requests(&mut self) {
        for Unanswered { waiter, was_sent } in self.requests.handle_timeout(self.started.elapsed())
        {
            let error = RequestError::timeout(waiter.name, waiter.limit, was_sent);
            waiter.answer(Err(error));
        }
    }

    fn take_frames(&mut self) -> Result<(), ConnectionError> {
        let decoder = Decoder::default();
        loop {
            let command = match decoder.decode(&mut self.received) {
                Ok(Some(command)) => command,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.ended(ErrorKind::Protocol, error)),
            };
            self.counters.received.fetch_add(1, Ordering::Relaxed);
            let name = command.name();
            match self.requests.handle(command) {
                Incoming::Reply(waiter, reply) => waiter.answer(Ok(reply)),
                Incoming::Shared(waiters, reply) => {
                    waiters.into_iter().for_each(|waiter| waiter.answer(Ok(reply.clone())));
                }
                Incoming::Ignored => {
                    self.counters.ignored.store(self.requests.unknown(), Ordering::Relaxed);
                }
                Incoming::Violation => {
                    let detail = format!("the segment store sent {name}, which only clients send");
                    return Err(self.ended(ErrorKind::Protocol, detail));
                }
            }
        }
    }

    fn probe(&mut self) {
        self.counters.probes.fetch_add(1, Ordering::Relaxed);
        // An empty frame always fits.
        self.to_send.push(&KeepAlive {}).ok();
    }

    fn silent(&self, silence: Duration) -> ConnectionError {
        let detail = format!("the segment store was silent for {:.0} s", silence.as_secs_f64());
        self.ended(ErrorKind::ConnectionLost, detail)
    }

    fn ended(&self, kind: ErrorKind, reason: impl std::fmt::Display) -> ConnectionError {
        ConnectionError::new(kind, &self.endpoint, reason)
    }

    fn lost(&self, reason: impl std::fmt::Display) -> ConnectionError {
        self.ended(ErrorKind::ConnectionLost, reason)
    }
}
