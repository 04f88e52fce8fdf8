//! How clients come in: over a plain socket, or over one with TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

use crate::ports::Seat;

/// The connection of a client.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

/// The entry of a port.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    /// Clients come in as they are.
    Plain,
    /// Clients come in after a handshake.
    #[cfg(feature = "tls")]
    Tls(crate::tls::Handshakes),
}

impl Door {
    /// The connection of a client that has come in; `None` if it does not, or has to leave.
    pub(crate) async fn enter(&self, socket: TcpStream, seat: &Seat) -> Option<Transport> {
        #[cfg(not(feature = "tls"))]
        let _ = seat;
        socket.set_nodelay(true).ok();
        match self {
            Self::Plain => Some(Transport::Plain(socket)),
            #[cfg(feature = "tls")]
            Self::Tls(handshakes) => handshakes.make(socket, seat).await.map(Transport::Tls),
        }
    }
}

/// Calls a method of the socket or of the stream on it.
macro_rules! either {
    ($transport:ident, $inner:ident => $call:expr) => {
        match $transport.get_mut() {
            Transport::Plain($inner) => $call,
            #[cfg(feature = "tls")]
            Transport::Tls($inner) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(inner) => inner.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(inner) => inner.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
