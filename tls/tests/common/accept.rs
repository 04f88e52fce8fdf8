//! Accepts TLS in a way that a client that is refused learns why.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Accepts TLS; a handshake that fails is answered with its alert.
///
/// With TLS 1.3 the client has finished its handshake, and may have sent a request, before the
/// server has seen its certificate. If the server closes the socket while bytes of the client
/// are unread, the system sends a reset, which overtakes the alert. So the client is read until
/// it closes.
pub(crate) async fn accept(
    acceptor: &TlsAcceptor,
    socket: TcpStream,
) -> Option<TlsStream<TcpStream>> {
    match acceptor.accept(socket).into_fallible().await {
        Ok(stream) => Some(stream),
        Err((_, mut socket)) => {
            socket.shutdown().await.ok();
            let mut received = [0; 1024];
            while socket.read(&mut received).await.unwrap_or(0) > 0 {}
            None
        }
    }
}
