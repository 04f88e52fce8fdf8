//! The byte stream of one connection: a TCP socket, or any other stream in a box.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::transport::ByteStream;

/// A bare socket has a variant of its own, because it splits without a lock.
pub(super) enum StoreIo {
    Tcp(TcpStream),
    Other(Box<dyn ByteStream>),
}

/// Calls a method of the inner stream.
macro_rules! inner {
    ($self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            StoreIo::Tcp(socket) => {
                let $io = Pin::new(socket);
                $call
            }
            StoreIo::Other(other) => {
                let $io = Pin::new(other);
                $call
            }
        }
    };
}

impl AsyncRead for StoreIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        inner!(self, io => io.poll_read(cx, buffer))
    }
}

impl AsyncWrite for StoreIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        inner!(self, io => io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inner!(self, io => io.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_write_vectored(),
            Self::Other(other) => other.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, io => io.poll_shutdown(cx))
    }
}
