//! A connection without TLS whose peer may speak TLS only.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{PeerFault, TlsError, sending::Sending};

/// Returns true if the first bytes of a peer are a TLS alert: it speaks TLS only.
///
/// An alert begins with its type, 21, and a version, 3.x. No frame of gRPC or of a segment store
/// begins so.
#[must_use]
pub fn is_alert(received: &[u8]) -> bool {
    matches!(received, [21, 3, ..])
}

/// A byte stream without TLS that recognizes the alert of a peer that speaks TLS only.
#[derive(Debug)]
pub struct PlainStream<S> {
    io: S,
    fault: PeerFault,
    has_received: bool,
    sending: Sending,
    /// What the peer had said when a write failed, for the next reads.
    unread: Vec<u8>,
}

impl<S> PlainStream<S> {
    /// Watches `io`; `fault` gets the reason if the peer speaks TLS only, and learns if the peer
    /// ends the connection before it has sent a byte.
    #[must_use]
    pub fn new(io: S, fault: PeerFault) -> Self {
        let (sending, unread) = (Sending::Open, Vec::new());
        Self { io, fault, has_received: false, sending, unread }
    }

    fn inspect(&mut self, received: &[u8]) -> io::Result<()> {
        if self.has_received || received.is_empty() {
            return Ok(());
        }
        self.has_received = true;
        if !is_alert(received) {
            return Ok(());
        }
        let error = TlsError::speaks_only_tls();
        self.fault.record(&error);
        Err(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Handles the end of what the peer sends.
    fn handle_end(&self) {
        if !self.has_received {
            self.fault.record_silence();
        }
    }
}

impl<S: AsyncRead + Unpin> PlainStream<S> {
    /// Handles the end of a write. After a failed one it reads first what the peer has said before
    /// it closed the connection, as a writer that fails does not read again.
    fn poll_written(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let is_open = matches!(self.sending, Sending::Open);
        match written {
            Poll::Ready(Err(error)) if is_open && !self.has_received => {
                self.sending = Sending::Failed(error);
            }
            written => return written,
        }
        self.poll_failed(cx)
    }

    /// Reads what the peer has said, then returns why a write failed.
    fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; 16];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
        let closed = || io::ErrorKind::BrokenPipe.into();
        let failed = self.sending.take_failure().unwrap_or_else(closed);
        if read.is_ok() {
            self.inspect(buffer.filled())?;
            self.unread.extend_from_slice(buffer.filled());
        }
        self.handle_end();
        Poll::Ready(Err(failed))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PlainStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let len = self.unread.len().min(buffer.remaining());
            let later = self.unread.split_off(len);
            buffer.put_slice(&mem::replace(&mut self.unread, later));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        // A read into no space says nothing of the peer.
        let has_space = buffer.remaining() > 0;
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer));
        let received = buffer.filled().get(before..).unwrap_or_default();
        if read.is_err() || received.is_empty() && has_space {
            self.handle_end();
        }
        read?;
        let inspected = self.inspect(received);
        if inspected.is_err() {
            // A read that fails has read nothing.
            buffer.set_filled(before);
        }
        Poll::Ready(inspected)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PlainStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.sending, Sending::Failed(_)) {
            return self.poll_failed(cx);
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.poll_written(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.sending, Sending::Failed(_)) {
            return self.poll_failed(cx);
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.poll_written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sending = Sending::Ended;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
