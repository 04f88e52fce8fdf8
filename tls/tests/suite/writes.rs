//! Writes that fail, with TLS and without: what they leave to a reader, and that they end.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use pravega_sdk_tls::{PeerFault, PlainStream, TlsConnector};
use pravega_sdk_types::Endpoint;
use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
    },
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::common::{Authority, server};

const FAR: Duration = Duration::from_secs(60);

/// What the peer has sent before anything is read.
const SAID: &[u8] = b"more of it than is read at once";

/// A connection whose writes fail once a test wants it, or after its end.
struct Severed {
    io: DuplexStream,
    is_severed: Arc<AtomicBool>,
}

impl Severed {
    fn pair() -> (Self, Arc<AtomicBool>, DuplexStream) {
        let ((io, peer), is_severed) = (duplex(1 << 16), Arc::new(AtomicBool::new(false)));
        (Self { io, is_severed: Arc::clone(&is_severed) }, is_severed, peer)
    }
}

impl AsyncRead for Severed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Severed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_severed.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_severed.store(true, Ordering::SeqCst);
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

/// A client and a server after their handshake.
async fn secured(
    io: Severed,
    peer: DuplexStream,
) -> (impl AsyncRead + AsyncWrite + Unpin, TlsStream<DuplexStream>) {
    let authority = Authority::new();
    let config = server(&authority.server("localhost"), None);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let connector = TlsConnector::new(&authority.trusted(), None);
    let endpoint = Endpoint::new("localhost", 1).unwrap();
    let connecting = connector.connect(io, &endpoint, PeerFault::default());
    let (client, server) = tokio::join!(connecting, acceptor.accept(peer));
    (client.unwrap(), server.unwrap())
}

/// Writes until that fails, each time for as long as it takes.
async fn fails(client: &mut (impl AsyncWrite + Unpin)) {
    let writing = async {
        loop {
            let written = async {
                client.write_all(b"request").await?;
                client.flush().await
            };
            if written.await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(FAR, writing).await.is_ok(), "the write does not end");
}

/// Checks that a reader gets what the peer has said, in pieces of whatever length.
async fn check_read(client: &mut (impl AsyncRead + Unpin)) {
    let mut received = vec![0; SAID.len()];
    assert_eq!(client.read(&mut []).await.unwrap(), 0);
    for piece in received.chunks_mut(7) {
        timeout(FAR, client.read_exact(piece)).await.unwrap().unwrap();
    }
    assert_eq!(received, SAID);
}

#[tokio::test]
async fn a_write_that_fails_takes_nothing_from_a_reader() {
    let (io, is_severed, mut peer) = Severed::pair();
    let mut client = PlainStream::new(io, PeerFault::default());
    peer.write_all(SAID).await.unwrap();
    is_severed.store(true, Ordering::SeqCst);
    fails(&mut client).await;
    check_read(&mut client).await;

    let (io, is_severed, peer) = Severed::pair();
    let (mut client, mut server) = secured(io, peer).await;
    server.write_all(SAID).await.unwrap();
    server.flush().await.unwrap();
    is_severed.store(true, Ordering::SeqCst);
    fails(&mut client).await;
    check_read(&mut client).await;
}

#[tokio::test]
async fn a_write_after_the_own_end_fails_though_the_peer_is_silent() {
    let (io, _, _silent) = Severed::pair();
    let mut client = PlainStream::new(io, PeerFault::default());
    client.shutdown().await.unwrap();
    fails(&mut client).await;

    let (io, _, peer) = Severed::pair();
    let (mut client, _silent) = secured(io, peer).await;
    client.shutdown().await.unwrap();
    fails(&mut client).await;
}
