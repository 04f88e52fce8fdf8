//! A connection with TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::{PeerFault, TlsError, explain::Peer, heard::Heard, sending::Sending};

/// A byte stream with TLS. An error before the peer has sent anything is part of the handshake: the
/// peer refuses the client's certificate after the client has finished.
#[derive(Debug)]
pub struct SecureStream<S> {
    io: TlsStream<Heard<S>>,
    peer: Peer,
    fault: PeerFault,
    has_received: bool,
    sending: Sending,
}

impl<S> SecureStream<S> {
    pub(crate) fn new(io: TlsStream<Heard<S>>, peer: Peer, fault: PeerFault) -> Self {
        Self { io, peer, fault, has_received: false, sending: Sending::Open }
    }

    fn explain(&self, error: io::Error) -> io::Error {
        let source = error.get_ref().and_then(|source| source.downcast_ref());
        match source.map(|library: &rustls::Error| TlsError::of_library(library, &self.peer)) {
            Some(explained) => {
                if !self.has_received {
                    self.fault.record(&explained);
                }
                io::Error::new(error.kind(), explained)
            }
            None => error,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SecureStream<S> {
    /// Writes, or flushes. After a failure it reads first what the peer has said before it closed
    /// the connection, such as why it refuses the client's certificate: a writer that fails does
    /// not read again. Bytes of the peer stay for a reader.
    fn poll_sent<T>(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(Pin<&mut TlsStream<Heard<S>>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !matches!(self.sending, Sending::Failed(_)) {
            let is_open = matches!(self.sending, Sending::Open);
            match send(Pin::new(&mut self.io), cx) {
                Poll::Ready(Err(error)) if is_open && !self.has_received => {
                    self.sending = Sending::Failed(error);
                }
                sent => return sent,
            }
        }
        let heard = ready!(Pin::new(&mut self.io).poll_fill_buf(cx).map(Result::err));
        let closed = || io::ErrorKind::BrokenPipe.into();
        let failed = self.sending.take_failure().unwrap_or_else(closed);
        let refusal = heard.map(|error| self.explain(error)).filter(|error| {
            error.get_ref().is_some_and(|source| source.downcast_ref::<TlsError>().is_some())
        });
        Poll::Ready(Err(refusal.unwrap_or(failed)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SecureStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match ready!(Pin::new(&mut self.io).poll_read(cx, buffer)) {
            Ok(()) => {
                self.has_received |= buffer.filled().len() > before;
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(self.explain(error))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SecureStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_sent(cx, |io, cx| io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_sent(cx, |io, cx| io.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sending = Sending::Ended;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
