//! A handshaken connection to a segment store, shared by many requests.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use pravega_sdk_types::Endpoint;
use pravega_sdk_wire_protocol::{
    Command as _, Correlated as _, FlowId, Request, RequestId, VersionRange, WireCommand,
    commands::ReadSegment,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    config::StoreConfig,
    driver::{Command, Counters, Driver, Waiter},
    error::{ConnectionError, RequestError},
    handshake::handshake,
    io::StoreIo,
    stream::{Greeted, StoreStream},
};

/// A connection to a segment store on which many requests are under way at once.
///
/// Each request gets an id of its own, and its reply finds it by that id, in whatever command replies
/// come. A reply that nobody waits for is counted and ignored. When the connection ends, everybody
/// who waits is told the same cause, and so is everybody who comes later.
///
/// The connection lives until the last reference to it is dropped, or it ends by itself.
pub struct StoreConnection {
    endpoint: Endpoint,
    peer: VersionRange,
    // Bounded by the semaphores: an command is made only with room for its request, or to give such
    // room back.
    commands: mpsc::UnboundedSender<Command>,
    sequence: AtomicU32,
    room: Arc<Semaphore>,
    room_bytes: Arc<Semaphore>,
    request_timeout: Duration,
    counters: Arc<Counters>,
    ended: Arc<OnceLock<ConnectionError>>,
    _task: AbortOnDropHandle<()>,
}

/// What has happened on a connection.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionCounters {
    /// Commands sent, without keep-alives.
    pub sent: u64,
    /// Commands received.
    pub received: u64,
    /// Commands received that nobody waited for: replies that came too late, and greetings that
    /// were repeated.
    pub ignored: u64,
    /// Keep-alives sent because the store was silent.
    pub probes: u64,
    /// Requests that wait for their reply.
    pub outstanding: u64,
}

/// Requests of a connection belong to one flow: nothing but the requests' own numbers tells them
/// apart.
const FLOW: FlowId = FlowId(1);

impl StoreConnection {
    /// Exchanges versions over `io` and takes the connection into use, with a task on the caller's
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if the store does not answer in time, answers with something else, or
    /// speaks no version that this side speaks.
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

    /// Takes a handshaken connection into use, with a task on the caller's runtime.
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
        let driver = Driver::new(halves, received, endpoint.clone(), queue, Arc::clone(&counters));
        let told = Arc::clone(&ended);
        let task = tokio::spawn(driver.run(move |cause| drop(told.set(cause))));
        Self {
            endpoint,
            peer,
            commands,
            sequence: AtomicU32::new(0),
            room: Arc::new(Semaphore::new(config.max_in_flight)),
            room_bytes: Arc::new(Semaphore::new(config.max_in_flight_bytes)),
            request_timeout: config.request_timeout,
            counters,
            ended,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Sends `request` and waits for the reply that means success.
    ///
    /// Its request id is set here. With too much under way on the connection, it waits for room
    /// first.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: the store's refusal with its reply, the end of the connection, or the deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes the waiter away; the request may be carried out all the same. The
    /// connection stays good.
    pub async fn request<Q: Request>(&self, request: Q) -> Result<Q::Reply, RequestError> {
        self.request_within(request, self.request_timeout).await
    }

    /// As [`Self::request`], with a deadline of its own: a read at the tail may wait as long as it
    /// likes.
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
        let reply = self.ask(Q::NAME, id, size, request.into(), limit).await?;
        Q::Reply::try_from(reply)
            .map_err(|other| RequestError::refused(Q::NAME, other).at(&self.endpoint, Some(id)))
    }

    /// Sends any command that carries a request id, which must be unique on the connection, and
    /// waits for whatever reply has the same.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the connection ends or the deadline passes. A refusal of the store is a
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
        self.ask(command.name(), id, size, command, limit).await
    }

    /// Reads from a segment, and waits for whatever the store answers; its request id is set here.
    ///
    /// At the tail of a segment the answer comes with the next append, however long that takes. So
    /// reads are not counted among the requests that may be under way; whoever reads bounds them,
    /// by what it can take in.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the connection ends, or nothing comes for as long as `patience` says. A
    /// refusal of the store is a reply here.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::request`].
    pub async fn read(
        &self,
        mut read: ReadSegment,
        patience: Duration,
    ) -> Result<WireCommand, RequestError> {
        let id = self.next_id();
        read.set_request_id(id);
        let mut was_sent = false;
        let asking = self.wait_for(ReadSegment::NAME, id, read.into(), None, &mut was_sent);
        let answer = match timeout(patience, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(RequestError::timeout(ReadSegment::NAME, patience.as_secs_f64(), true)),
        };
        answer.map_err(|error| error.at(&self.endpoint, Some(id)))
    }

    /// Sends a command that has no reply of its own, such as the first part of an append.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if the connection has ended. Success says nothing about whether it
    /// arrived.
    pub fn send(&self, command: WireCommand) -> Result<(), ConnectionError> {
        self.commands.send(Command::Send(command)).map_err(|_| self.cause())
    }

    /// The segment store.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The versions of the protocol that the store announced.
    #[must_use]
    pub fn peer_versions(&self) -> VersionRange {
        self.peer
    }

    /// Returns true until the connection ends, with a cause or with the runtime of its task.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.ended.get().is_none() && !self.commands.is_closed()
    }

    /// Why the connection ended; `None` while it lives.
    #[must_use]
    pub fn end(&self) -> Option<ConnectionError> {
        self.ended.get().cloned()
    }

    /// What has happened on the connection.
    #[must_use]
    pub fn counters(&self) -> ConnectionCounters {
        let Counters { sent, received, ignored, probes, outstanding } = &*self.counters;
        ConnectionCounters {
            sent: sent.load(Ordering::Relaxed),
            received: received.load(Ordering::Relaxed),
            ignored: ignored.load(Ordering::Relaxed),
            probes: probes.load(Ordering::Relaxed),
            outstanding: outstanding.load(Ordering::Relaxed),
        }
    }

    /// The next id for a command that goes through [`Self::exchange`].
    #[must_use]
    pub fn next_id(&self) -> i64 {
        RequestId::new(FLOW, self.sequence.fetch_add(1, Ordering::Relaxed)).0
    }

    async fn ask(
        &self,
        name: &'static str,
        id: i64,
        size: usize,
        command: WireCommand,
        limit: Duration,
    ) -> Result<WireCommand, RequestError> {
        let mut was_sent = false;
        let answer =
            timeout(limit, self.ask_without_limit(name, id, size, command, &mut was_sent)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) => Err(RequestError::timeout(name, limit.as_secs_f64(), was_sent)),
        };
        answer.map_err(|error| error.at(&self.endpoint, Some(id)))
    }

    async fn ask_without_limit(
        &self,
        name: &'static str,
        id: i64,
        size: usize,
        command: WireCommand,
        was_sent: &mut bool,
    ) -> Result<WireCommand, RequestError> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let size = u32::try_from(size.max(1)).unwrap_or(u32::MAX);
        let room_bytes = Arc::clone(&self.room_bytes).acquire_many_owned(size).await;
        let (Ok(room), Ok(room_bytes)) = (room, room_bytes) else {
            return Err(RequestError::not_connected(name, self.cause()));
        };
        self.wait_for(name, id, command, Some((room, room_bytes)), was_sent).await
    }

    async fn wait_for(
        &self,
        name: &'static str,
        id: i64,
        command: WireCommand,
        room: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
        was_sent: &mut bool,
    ) -> Result<WireCommand, RequestError> {
        let not_connected = |_| RequestError::not_connected(name, self.cause());
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { name, reply, _room: room };
        self.commands
            .send(Command::Request { id, command, waiter })
            .map_err(|_| ())
            .map_err(not_connected)?;
        *was_sent = true;
        let leaving = Leaving { id, commands: Some(&self.commands) };
        let answer = answer.await;
        leaving.answered();
        match answer {
            Ok(answer) => answer,
            // The task went away without a word, as it does when its runtime is shut down.
            Err(_) => Err(RequestError::lost(name, self.cause())),
        }
    }

    fn cause(&self) -> ConnectionError {
        self.end().unwrap_or_else(|| {
            ConnectionError::new(
                pravega_sdk_types::ErrorKind::Closed,
                &self.endpoint,
                "its task has ended",
            )
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

/// Tells the task when the future of a request is dropped.
struct Leaving<'a> {
    id: i64,
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
            commands.send(Command::Forget(self.id)).ok();
        }
    }
}
