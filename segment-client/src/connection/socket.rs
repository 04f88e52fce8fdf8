//! The socket of a connection that many requests share.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_wire_protocol::SendBuffer;
use tokio::{
    io::AsyncWrite as _,
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::{io::StoreIo, transport::ByteStream};

/// Maximum number of slices in one write.
const SLICES: usize = 64;

/// The task's end of the socket.
pub(super) enum Socket {
    /// Callers write to a bare socket too.
    Tcp {
        reading: OwnedReadHalf,
        writing: DirectWriter,
    },
    Other {
        io: Box<dyn ByteStream>,
        has_to_flush: bool,
    },
}

/// Writes to the socket from any thread, without waiting.
#[derive(Debug, Clone)]
pub(super) struct DirectWriter(Arc<OwnedWriteHalf>);

impl DirectWriter {
    /// Writes what the socket takes at once, and removes it from `frames`.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if it takes nothing, or that of the socket.
    pub(super) fn try_write(&self, frames: &mut SendBuffer) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = frames.chunks_vectored(&mut slices);
        let written = match slices.get(..count) {
            Some([one]) => self.0.try_write(one)?,
            Some(many) => self.0.try_write_vectored(many)?,
            None => 0,
        };
        frames.advance(written);
        Ok(written)
    }

    fn poll_write(&self, cx: &mut Context<'_>, frames: &mut SendBuffer) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(frames) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            ready!((*self.0).as_ref().poll_write_ready(cx))?;
        }
    }
}

impl Socket {
    pub(super) fn new(io: StoreIo) -> Self {
        match io {
            StoreIo::Tcp(socket) => {
                let (reading, writing) = socket.into_split();
                Self::Tcp { reading, writing: DirectWriter(Arc::new(writing)) }
            }
            StoreIo::Other(io) => Self::Other { io, has_to_flush: false },
        }
    }

    /// The writer for callers; `None` if the bytes go through a layer above the socket.
    pub(super) fn direct_writer(&self) -> Option<DirectWriter> {
        match self {
            Self::Tcp { writing, .. } => Some(writing.clone()),
            Self::Other { .. } => None,
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp { reading, .. } => poll_read_buf(Pin::new(reading), cx, received),
            Self::Other { io, .. } => poll_read_buf(Pin::new(io), cx, received),
        }
    }

    /// Writes all frames; ready when they have left.
    pub(super) fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut SendBuffer,
    ) -> Poll<io::Result<()>> {
        while frames.has_remaining() {
            let written = match self {
                Self::Tcp { writing, .. } => ready!(writing.poll_write(cx, frames))?,
                Self::Other { io, has_to_flush } => {
                    *has_to_flush = true;
                    ready!(poll_write_buf(Pin::new(io), cx, frames))?
                }
            };
            if written == 0 {
                let reason = "it accepts no more bytes";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::WriteZero, reason)));
            }
        }
        if let Self::Other { io, has_to_flush: has_to_flush @ true } = self {
            ready!(Pin::new(io).poll_flush(cx))?;
            *has_to_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}
