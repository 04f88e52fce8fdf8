//! A connection to a segment store after the handshake, shared by many requests.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
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
    sync::oneshot,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    config::StoreConfig,
    driver::Driver,
    error::{ConnectionError, RequestError},
    handshake::handshake,
    io::StoreIo,
    machine::requests::{Limits, Request as Asked, Requests},
    shared::{Counters, Shared, Waiter},
    socket::Socket,
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
    peer: VersionRange,
    shared: Arc<Shared>,
    sequence: AtomicU32,
    request_timeout: Duration,
    bugs: Bugs,
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
        Ok(Self::start_io(StoreIo::Other(Box::new(io)), greeted, config))
    }

    /// Starts the task of a connection on the caller's runtime, after the handshake.
    pub(super) fn start(stream: StoreStream, config: &StoreConfig) -> Self {
        let (io, greeted) = stream.into_parts();
        Self::start_io(io, greeted, config)
    }

    fn start_io(io: StoreIo, greeted: Greeted, config: &StoreConfig) -> Self {
        let Greeted { received, endpoint, peer } = greeted;
        let limits = Limits { requests: config.max_in_flight, bytes: config.max_in_flight_bytes };
        let requests = Requests::new(limits, config.bugs);
        let socket = Socket::new(io);
        let shared = Arc::new(Shared::new(endpoint, requests, limits, socket.direct_writer()));
        let task = tokio::spawn(Driver::new(socket, received, Arc::clone(&shared)).run());
        Self {
            peer,
            shared,
            sequence: AtomicU32::new(0),
            request_timeout: config.request_timeout,
            bugs: config.bugs,
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
        Q::Reply::try_from(reply).map_err(|other| {
            RequestError::refused(Q::NAME, other).at(&self.shared.endpoint, Some(id))
        })
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
            return Err(RequestError::no_request_id(command.name()).at(&self.shared.endpoint, None));
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
            Err(ConnectionError::new(kind, &self.shared.endpoint, detail))
        };
        let mut encoded = SendBuffer::new();
        if let Err(error) = command.encode(&mut encoded) {
            return refused(ErrorKind::InvalidArgument, &error);
        }
        if self.shared.is_closed() {
            return Err(self.shared.cause());
        }
        if !self.shared.push_unanswered(command, encoded.remaining()) {
            if self.shared.is_closed() {
                return Err(self.shared.cause());
            }
            let detail = "too many commands without a reply wait to be sent";
            return refused(ErrorKind::LimitReached, &detail);
        }
        Ok(())
    }

    /// Returns the endpoint of the segment store.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// Returns the versions of the protocol that the store announced.
    #[must_use]
    pub fn peer_versions(&self) -> VersionRange {
        self.peer
    }

    /// Returns true until the connection ends, with a cause or with the runtime of its task.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.shared.is_closed()
    }

    /// Returns why the connection ended, or `None` while it is open.
    #[must_use]
    pub fn end(&self) -> Option<ConnectionError> {
        self.shared.end().cloned()
    }

    /// Returns the counters of the connection.
    #[must_use]
    pub fn counters(&self) -> ConnectionCounters {
        let Counters { sent, received, ignored, probes, outstanding, .. } = &self.shared.counters;
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
        if limit.is_zero() {
            let late = RequestError::timeout(name, limit, false);
            return Err(late.at(&self.shared.endpoint, Some(id)));
        }
        let (reply, answer) = oneshot::channel();
        let request = Asked {
            id,
            command,
            waiter: Waiter { name, limit, reply },
            cost: size.map(|size| size.max(1)),
            // A time beyond the end of the clock never comes.
            deadline: self.shared.started.elapsed().checked_add(limit),
        };
        let answer = if self.shared.push(request) {
            let mut leaving = Leaving { id, shared: &self.shared, is_over: false };
            match within(limit, answer).await {
                Some(Ok(answer)) => {
                    leaving.is_over = !self.bugs.has(SeededBug::UnpolledKeepsCapacity);
                    answer
                }
                Some(Err(_)) => Err(RequestError::lost(name, self.shared.cause())),
                None => {
                    leaving.is_over = true;
                    Err(RequestError::timeout(name, limit, self.shared.forget(id)))
                }
            }
        } else {
            Err(RequestError::not_connected(name, self.shared.cause()))
        };
        answer.map_err(|error| error.at(&self.shared.endpoint, Some(id)))
    }
}

impl fmt::Debug for StoreConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConnection")
            .field("endpoint", &self.shared.endpoint)
            .field("counters", &self.counters())
            .field("ended", &self.shared.end())
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

/// Removes a request when its future is dropped.
struct Leaving<'a> {
    id: i64,
    shared: &'a Shared,
    is_over: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.forget(self.id);
        }
    }
}
