//! The task of one connection: it moves bytes and leaves decisions to the machines.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, WireCommand, commands::KeepAlive};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Duration, Instant, sleep_until},
};

use super::{
    error::{ConnectionError, RequestError},
    machine::{
        keep_alive::{Action, KeepAliveTimer},
        waiters::{Incoming, Waiters},
    },
};

/// Commands from the handle to the task.
pub(super) enum Command {
    Request {
        id: i64,
        command: WireCommand,
        waiter: Waiter,
    },
    /// Sent without a reply of its own.
    Send(WireCommand),
    /// The waiter for the reply was dropped.
    Forget(i64),
}

/// Receiver of a reply. Dropping it returns the permits of the request.
pub(super) struct Waiter {
    pub(super) name: &'static str,
    pub(super) reply: oneshot::Sender<Result<WireCommand, RequestError>>,
    /// `None` for reads, which their caller limits.
    pub(super) _permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

/// Counters that the task writes and handles read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) ignored: AtomicU64,
    pub(super) probes: AtomicU64,
    pub(super) outstanding: AtomicU64,
}

/// Maximum number of commands taken from the queue at once.
const BATCH: usize = 256;
/// With more than this many bytes to send, no further commands are taken: the queue and its limits
/// hold them.
const SEND_HIGH_WATER: usize = 1 << 20;

pub(super) struct Driver<R, W> {
    reader: R,
    writer: W,
    endpoint: Endpoint,
    commands: mpsc::UnboundedReceiver<Command>,
    waiters: Waiters<Waiter>,
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
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            reader,
            writer,
            endpoint,
            commands,
            waiters: Waiters::default(),
            received,
            to_send: SendBuffer::new(),
            keep_alive: KeepAliveTimer::default(),
            started: Instant::now(),
            counters,
        }
    }

    /// Runs until the connection ends, then fails all waiters with the cause.
    pub(super) async fn run(mut self, ended: impl FnOnce(ConnectionError)) {
        let cause = self.drive().await;
        tracing::debug!(
            endpoint = %self.endpoint,
            %cause,
            waiters = self.waiters.len(),
            "connection ended"
        );
        // From now on new requests fail with the same cause.
        ended(cause.clone());
        self.commands.close();
        for waiter in self.waiters.drain() {
            waiter.reply.send(Err(RequestError::lost(waiter.name, cause.clone()))).ok();
        }
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Request { waiter, .. } = command {
                waiter
                    .reply
                    .send(Err(RequestError::not_connected(waiter.name, cause.clone())))
                    .ok();
            }
        }
    }

    async fn drive(&mut self) -> ConnectionError {
        let mut batch = Vec::new();
        // Frames that arrived together with the greeting.
        if let Err(cause) = self.take_frames() {
            return cause;
        }
        loop {
            let wake = match self.keep_alive.poll(self.started.elapsed(), !self.waiters.is_empty())
            {
                Action::Wait(until) => self.started + until,
                Action::Probe => {
                    self.probe();
                    continue;
                }
                Action::GiveUp(silence) => return self.silent(silence),
            };
            self.received.reserve(Decoder::default().room_needed(&self.received));
            let may_take_commands = self.to_send.remaining() < SEND_HIGH_WATER;
            let may_write = self.to_send.has_remaining();
            // Sending comes first. The limits of requests in flight bound it, so replies are read
            // soon after.
            tokio::select! {
                biased;
                taken = self.commands.recv_many(&mut batch, BATCH), if may_take_commands => {
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
            self.counters.outstanding.store(self.waiters.len() as u64, Ordering::Relaxed);
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Request { waiter, .. } if waiter.reply.is_closed() => {}
            Command::Request { id, command, waiter } => {
                let name = waiter.name;
                if let Some(waiter) = self.waiters.insert(id, &command, waiter) {
                    // The handle assigns ids; this one wrapped around after 2^28 requests while the
                    // first is still in flight.
                    waiter.reply.send(Err(RequestError::timeout(name, 0.0, false))).ok();
                    return;
                }
                if let Err(error) = command.encode(&mut self.to_send) {
                    if let Some(waiter) = self.waiters.remove(id) {
                        waiter.reply.send(Err(RequestError::encode(name, error))).ok();
                    }
                    return;
                }
                self.counters.sent.fetch_add(1, Ordering::Relaxed);
            }
            Command::Send(command) => {
                if command.encode(&mut self.to_send).is_ok() {
                    self.counters.sent.fetch_add(1, Ordering::Relaxed);
                }
            }
            Command::Forget(id) => drop(self.waiters.remove(id)),
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
            match self.waiters.handle(command) {
                Incoming::Reply(waiter, reply) => drop(waiter.reply.send(Ok(reply))),
                Incoming::Ignored => {
                    self.counters.ignored.store(self.waiters.unknown(), Ordering::Relaxed);
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
