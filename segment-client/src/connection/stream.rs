//! A connection after the handshake that its owner drives.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{
    CommandKind, Decoder, SendBuffer, VersionRange, WireCommand, commands::KeepAlive,
};
use tokio::{
    io::AsyncWrite as _,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::{
    error::ConnectionError,
    io::StoreIo,
    machine::keep_alive::{Action, KeepAliveTimer},
};
use crate::due::poll_until;

/// A connection to a segment store, after the handshake, without a task: its owner polls it.
///
/// [`StoreConnection`](crate::StoreConnection) matches replies to requests; this returns each
/// command as it arrives, as pipelined appends need it. It sends keep-alives to a silent store, and
/// ends if the store does not answer.
pub struct StoreStream {
    io: StoreIo,
    endpoint: Endpoint,
    peer: VersionRange,
    received: BytesMut,
    to_send: SendBuffer,
    has_to_flush: bool,
    keep_alive: KeepAliveTimer,
    started: Instant,
    timer: Pin<Box<Sleep>>,
}

/// Result of a handshake.
pub(super) struct Greeted {
    /// Bytes that came after the greeting.
    pub(super) received: BytesMut,
    pub(super) endpoint: Endpoint,
    /// The versions that the store announced.
    pub(super) peer: VersionRange,
}

impl StoreStream {
    pub(super) fn new(
        io: StoreIo,
        received: BytesMut,
        endpoint: Endpoint,
        peer: VersionRange,
    ) -> Self {
        let started = Instant::now();
        Self {
            io,
            endpoint,
            peer,
            received,
            to_send: SendBuffer::new(),
            has_to_flush: false,
            keep_alive: KeepAliveTimer::default(),
            started,
            timer: Box::pin(sleep_until(started)),
        }
    }

    /// Splits an unused connection into its parts.
    pub(super) fn into_parts(self) -> (StoreIo, Greeted) {
        let greeted = Greeted { received: self.received, endpoint: self.endpoint, peer: self.peer };
        (self.io, greeted)
    }

    /// The segment store.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the send buffer: push frames, then call [`Self::poll_send`].
    pub fn to_send(&mut self) -> &mut SendBuffer {
        &mut self.to_send
    }

    /// Sends the content of the send buffer; ready when it is empty.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if the connection has ended.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while self.to_send.has_remaining() {
            match ready!(poll_write_buf(Pin::new(&mut self.io), cx, &mut self.to_send)) {
                Ok(0) => return Poll::Ready(Err(self.lost(&"it accepts no more bytes"))),
                Ok(_) => self.has_to_flush = true,
                Err(error) => return Poll::Ready(Err(self.lost(&error))),
            }
        }
        if self.has_to_flush {
            let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
            flushed.map_err(|error| self.lost(&error))?;
            self.has_to_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Returns the next command of the store. If `is_outstanding`, a reply is due, and a silent
    /// store counts as lost earlier.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if the connection ends, or the peer sends anything but a command of a
    /// segment store.
    pub fn poll_command(
        &mut self,
        cx: &mut Context<'_>,
        is_outstanding: bool,
    ) -> Poll<Result<WireCommand, ConnectionError>> {
        let decoder = Decoder::default();
        loop {
            match decoder.decode(&mut self.received) {
                Ok(Some(command)) => match command.kind() {
                    CommandKind::Reply | CommandKind::Failure => return Poll::Ready(Ok(command)),
                    // Our keep-alive, sent back, or a repeated greeting.
                    CommandKind::Both => continue,
                    CommandKind::Request | CommandKind::Inside => {
                        let name = command.name();
                        let detail =
                            format_args!("the segment store sent {name}, which only clients send");
                        return Poll::Ready(Err(ConnectionError::new(
                            ErrorKind::Protocol,
                            &self.endpoint,
                            detail,
                        )));
                    }
                },
                Ok(None) => {}
                Err(error) => {
                    return Poll::Ready(Err(ConnectionError::new(
                        ErrorKind::Protocol,
                        &self.endpoint,
                        error,
                    )));
                }
            }
            self.received.reserve(decoder.room_needed(&self.received));
            match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.received) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.lost(&"the segment store closed it")));
                }
                Poll::Ready(Ok(_)) => self.keep_alive.handle_bytes(self.started.elapsed()),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.lost(&error))),
                Poll::Pending => return self.poll_silence(cx, is_outstanding).map(Err),
            }
        }
    }

    /// Completes when the store has been silent for too long.
    fn poll_silence(
        &mut self,
        cx: &mut Context<'_>,
        is_outstanding: bool,
    ) -> Poll<ConnectionError> {
        loop {
            match self.keep_alive.poll(self.started.elapsed(), is_outstanding) {
                Action::Wait(until) => {
                    let until = self.started + until;
                    ready!(poll_until(&mut self.timer, until, cx));
                }
                Action::Probe => {
                    // An empty frame always fits.
                    self.to_send.push(&KeepAlive {}).ok();
                    if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                        return Poll::Ready(error);
                    }
                }
                Action::GiveUp(silence) => {
                    let seconds = silence.as_secs_f64();
                    let detail = format_args!("the segment store was silent for {seconds:.0} s");
                    return Poll::Ready(ConnectionError::new(
                        ErrorKind::ConnectionLost,
                        &self.endpoint,
                        detail,
                    ));
                }
            }
        }
    }

    fn lost(&self, reason: &dyn fmt::Display) -> ConnectionError {
        ConnectionError::new(ErrorKind::ConnectionLost, &self.endpoint, reason)
    }
}

impl fmt::Debug for StoreStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreStream").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
