//! A connection to a segment store after the handshake, shared by many requests.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{
    Command as _, Correlated as _, FlowId, Request, RequestId, SendBuffer, VersionRange,
    WireCommand, commands::ReadSegment,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    config::StoreConfig,
    driver::{Command, Counters, Driver, Fate, Waiter},
    error::{ConnectionError, RequestError},
    handshake::handshake,
    io::StoreIo,
    machine::requests::{Limits, Request as Asked, Requests},
    stream::{Greeted, StoreStream},
};
use crate::seeded_bugs::{Bugs, SeededBug};

/// A connection to a segment store that multiplexes many requests.
///
/// Each request gets an id of its own, which matches its reply to it; replies may arrive in any
/// order. A reply without a waiter is counted and ignored. When the connection ends, all waiting
/// requests and all later ones fail with the same cause.
///
/// The connection closes when the last reference to it is dropped, unless it ends before.
pub struct StoreConnection {
    endpoint: Endpoint,
    peer: VersionRange,
    // Bounded by the futures of callers, each of which sends one request and one notice that it has
    // left, and by the limits of what has no reply. A queue with a limit would have futures wait
    // for capacity, and one that is not polled would keep its share. The task takes commands
    // whether it can send or not.
    commands: mpsc::UnboundedSender<Command>,
    started: Instant,
    sequence: AtomicU32,
    request_timeout: Duration,
    limits: Limits,
    bugs: Bugs,
    counters: Arc<Counters>,
    ended: Arc<OnceLock<ConnectionError>>,
    _task: AbortOnDropHandle<()>,
}

/// Counters of a connection.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionCounters {
    /// Commands sent, without keep-alives.
    pub sent: u64,
    /// Commands received.
    pub received: u64,
    /// Commands received without a waiter: replies that came too late, and repeated greetings.
    pub ignored: u64,
    /// Keep-alives sent because the store was silent.
    pub probes: u64,
    /// Requests that wait for their reply.
    pub outstanding: u64,
}

/// All requests of a connection belong to one flow; their own numbers distinguish them.
///
/// It makes every id negative. A store that refuses the token of a read replies with an offset in
/// place of the id, and no offset is negative.
const FLOW: FlowId = FlowId(-1);

impl StoreConnection {
    /// Exchanges versions over `io` and starts the task of the connection on the caller's runtime.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if the store does not answer in time, answers with anything but a
    /// greeting, or supports no version that the client supports.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops `io`.
    pub async fn open<S>(
        mut io: S,
        endpoint: &Endpoint,
        config: &StoreConfig,
    ) -> Result<Self, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut received = BytesMut::new();
        let peer = handshake(&mut io, &mut received, endpoint, config.handshake_timeout).await?;
        let greeted = Greeted { received, endpoint: endpoint.clone(), peer };
        Ok(Self::start_halves(tokio::io::split(io), greeted, config))
    }

    /// Starts the task of a connection on the caller's runtime, after the handshake.
    pub(super) fn start(stream: StoreStream, config: &StoreConfig) -> Self {
        let (io, greeted) = stream.into_parts();
        match io {
            StoreIo::Tcp(socket) => Self::start_halves(socket.into_split(), greeted, config),
            StoreIo::Other(other) => Self::start_halves(tokio::io::split(other), greeted, config),
        }
    }

    fn start_halves<R, W>(halves: (R, W), greeted: Greeted, config: &StoreConfig) -> Self
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let Greeted { received, endpoint, peer } = greeted;
        let (commands, queue) = mpsc::unbounded_channel();
        let counters = Arc::new(Counters::default());
        let ended = Arc::new(OnceLock::new());
        let limits = Limits { requests: config.max_in_flight, bytes: config.max_in_flight_bytes };
        let requests = Requests::new(limits, config.bugs);
        let driver =
            Driver::new(halves, received, endpoint.clone(), queue, requests, Arc::clone(&counters));
        let started = driver.started();
        let cause_of_end = Arc::clone(&ended);
        let task = tokio::spawn(driver.run(move |cause| drop(cause_of_end.set(cause))));
        Self {
            endpoint,
            peer,
            commands,
            started,
            sequence: AtomicU32::new(0),
            request_timeout: config.request_timeout,
            limits,
            bugs: config.bugs,
            counters,
            ended,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Sends `request` and waits for the reply that means success.
    ///
    /// This sets the request id. If too many requests or bytes are in flight on the connection, the
    /// request waits until others end. Once it is polled it goes on by itself: one that is not
    /// polled any more holds up no other.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: a refusal by the store with its reply, the end of the connection, or the
    /// deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future removes the waiter; the store may still execute the request. The
    /// connection stays usable.
    pub async fn request<Q: Request>(&self, request: Q) -> Result<Q::Reply, RequestError> {
        self.request_within(request, self.request_timeout).await
    }

    /// As [`Self::request`], with a deadline of its own: a read at the tail may wait for a long
    /// time.
    ///
    /// # Errors
    ///
    /// As [`Self::request`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::request`].
    pub async fn request_within<Q: Request>(
        &self,
        mut request: Q,
        limit: Duration,
    ) -> Result<Q::Reply, RequestError> {
        let id = self.next_id();
        request.set_request_id(id);
        let size = request.size_hint();
        let reply = self.ask(Q::NAME, id, Some(size), request.into(), limit).await?;
        Q::Reply::try_from(reply)
            .map_err(|other| RequestError::refused(Q::NAME, other).at(&self.endpoint, Some(id)))
    }

    /// Sends any command that carries a request id, which must be unique on the connection, and
    /// waits for any reply with the same id.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the connection ends or the deadline passes. A refusal by the store is a
    /// reply here.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::request`].
    pub async fn exchange(&self, command: WireCommand) -> Result<WireCommand, RequestError> {
        self.exchange_within(command, self.request_timeout).await
    }

    /// As [`Self::exchange`], with a deadline of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::exchange`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::request`].
    pub async fn exchange_within(
        &self,
        command: WireCommand,
        limit: Duration,
    ) -> Result<WireCommand, RequestError> {
        let Some(id) = command.request_id() else {
            return Err(RequestError::no_request_id(command.name()).at(&self.endpoint, None));
        };
        let size = command.payload_len().unwrap_or(0);
        self.ask(command.name(), id, Some(size), command, limit).await
    }

    /// Reads from a segment and waits for any reply of the store. This sets the request id.
    ///
    /// At the tail of a segment the reply arrives with the next append, however long that takes. So
    /// reads do not count towards the limits of requests in flight: the caller limits them, by the
    /// memory that it has for replies.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the connection ends, or no reply arrives within `limit`. A refusal by
    /// the store is a reply here.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::request`].
    pub async fn read(
        &self,
        mut read: ReadSegment,
        limit: Duration,
    ) -> Result<WireCommand, RequestError> {
        let id = self.next_id();
        read.set_request_id(id);
        self.ask(ReadSegment::NAME, id, None, read.into(), limit).await
    }

    /// Sends a command that has no reply of its own, such as the first part of an append.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if the connection has ended, of kind
    /// [`LimitReached`](ErrorKind::LimitReached) if as many commands or bytes wait to be sent as
    /// may be in flight, and [`InvalidArgument`](ErrorKind::InvalidArgument) for a command that is
    /// too long. Success does not mean that the store received the command.
    pub fn send(&self, command: WireCommand) -> Result<(), ConnectionError> {
        let refused = |kind, detail: &dyn fmt::Display| {
            Err(ConnectionError::new(kind, &self.endpoint, detail))
        };
        let mut encoded = SendBuffer::new();
        if let Err(error) = command.encode(&mut encoded) {
            return refused(ErrorKind::InvalidArgument, &error);
        }
        let len = encoded.remaining();
        let Counters { unsent, unsent_bytes, .. } = &*self.counters;
        let commands = unsent.fetch_add(1, Ordering::Relaxed);
        let bytes = unsent_bytes.fetch_add(len, Ordering::Relaxed);
        if commands >= self.limits.requests || bytes.saturating_add(len) > self.limits.bytes {
            unsent.fetch_sub(1, Ordering::Relaxed);
            unsent_bytes.fetch_sub(len, Ordering::Relaxed);
            let detail = "too many commands without a reply wait to be sent";
            return refused(ErrorKind::LimitReached, &detail);
        }
        self.commands.send(Command::Send(command, len)).map_err(|_| self.cause())
    }

    /// Returns the endpoint of the segment store.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the versions of the protocol that the store announced.
    #[must_use]
    pub fn peer_versions(&self) -> VersionRange {
        self.peer
    }

    /// Returns true until the connection ends, with a cause or with the runtime of its task.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.ended.get().is_none() && !self.commands.is_closed()
    }

    /// Returns why the connection ended, or `None` while it is open.
    #[must_use]
    pub fn end(&self) -> Option<ConnectionError> {
        self.ended.get().cloned()
    }

    /// Returns the counters of the connection.
    #[must_use]
    pub fn counters(&self) -> ConnectionCounters {
        let Counters { sent, received, ignored, probes, outstanding, .. } = &*self.counters;
        ConnectionCounters {
            sent: sent.load(Ordering::Relaxed),
            received: received.load(Ordering::Relaxed),
            ignored: ignored.load(Ordering::Relaxed),
            probes: probes.load(Ordering::Relaxed),
            outstanding: outstanding.load(Ordering::Relaxed),
        }
    }

    /// Returns the next id for a command that goes through [`Self::exchange`].
    #[must_use]
    pub fn next_id(&self) -> i64 {
        RequestId::new(FLOW, self.sequence.fetch_add(1, Ordering::Relaxed)).0
    }

    /// Sends a command and waits for its reply. `size` counts towards the limits of requests in
    /// flight; `None` means that the command does not.
    async fn ask(
        &self,
        name: &'static str,
        id: i64,
        size: Option<usize>,
        command: WireCommand,
        limit: Duration,
    ) -> Result<WireCommand, RequestError> {
        let (reply, answer) = oneshot::channel();
        let fate = Arc::new(Fate::default());
        let request = Asked {
            id,
            command,
            waiter: Waiter { name, limit, reply, fate: Arc::clone(&fate) },
            cost: size.map(|size| size.max(1)),
            // A time beyond the end of the clock never comes.
            deadline: self.started.elapsed().checked_add(limit),
        };
        let answer = if self.commands.send(Command::Request(request)).is_err() {
            Err(RequestError::not_connected(name, self.cause()))
        } else {
            let leaving = Leaving { id, fate: &fate, commands: Some(&self.commands) };
            match within(limit, answer).await {
                Some(Ok(answer)) => {
                    if !self.bugs.has(SeededBug::UnpolledKeepsCapacity) {
                        leaving.answered();
                    }
                    answer
                }
                // The task ended without a reply, as it does when its runtime is shut down.
                Some(Err(_)) if fate.abandon() => {
                    Err(RequestError::not_connected(name, self.cause()))
                }
                Some(Err(_)) => Err(RequestError::lost(name, self.cause())),
                None => Err(RequestError::timeout(name, limit, !fate.abandon())),
            }
        };
        answer.map_err(|error| error.at(&self.endpoint, Some(id)))
    }

    fn cause(&self) -> ConnectionError {
        self.end().unwrap_or_else(|| {
            ConnectionError::new(ErrorKind::Closed, &self.endpoint, "its task has ended")
        })
    }
}

impl fmt::Debug for StoreConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConnection")
            .field("endpoint", &self.endpoint)
            .field("counters", &self.counters())
            .field("ended", &self.ended.get())
            .finish_non_exhaustive()
    }
}

/// Waits up to `limit`, or without a limit outside a runtime. The task of the connection has the
/// same deadline; the caller's own is for a task whose runtime is not driven.
async fn within<F: Future>(limit: Duration, answer: F) -> Option<F::Output> {
    if Handle::try_current().is_err() {
        return Some(answer.await);
    }
    timeout(limit, answer).await.ok()
}

/// Abandons a request and tells the task when its future is dropped.
struct Leaving<'a> {
    id: i64,
    fate: &'a Fate,
    commands: Option<&'a mpsc::UnboundedSender<Command>>,
}

impl Leaving<'_> {
    fn answered(mut self) {
        self.commands = None;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(commands) = self.commands {
            self.fate.abandon();
            commands.send(Command::Forget(self.id)).ok();
        }
    }
}
