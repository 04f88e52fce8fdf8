//! Authorities, certificates and servers, all made at run time.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod accept;
mod authority;

use std::{io, sync::Arc, time::Duration};

use pravega_sdk_tls::{PeerFault, TlsConfig, TlsConnector, TlsError};
use pravega_sdk_types::Endpoint;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use self::accept::accept;
pub(crate) use self::authority::{
    Authority, Certified, Clients, leaf, self_signed, server, server_of,
};

/// Serves TLS: greets with one byte, then answers each byte.
pub(crate) async fn serve(config: ServerConfig) -> Endpoint {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listen(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let Some(mut socket) = accept(&acceptor, socket).await else { return };
            socket.write_u8(1).await.ok();
            socket.flush().await.ok();
            while let Ok(byte) = socket.read_u8().await {
                socket.write_u8(byte).await.ok();
                socket.flush().await.ok();
            }
        }
    })
    .await
}

/// Serves TLS; a connection whose handshake fails is reset right after its alert.
pub(crate) async fn serve_and_reset(config: ServerConfig) -> Endpoint {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listen(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            if let Err((_, socket)) = acceptor.accept(socket).into_fallible().await {
                socket.set_zero_linger().unwrap();
            }
        }
    })
    .await
}

/// Connects, and writes until that fails, without a read.
pub(crate) async fn refused_as_it_writes(config: &TlsConfig, endpoint: &Endpoint) -> TlsError {
    let socket = TcpStream::connect(("127.0.0.1", endpoint.port())).await.unwrap();
    let (connector, fault) = (TlsConnector::new(config, None), PeerFault::default());
    let mut stream = connector.connect(socket, endpoint, fault.clone()).await.unwrap();
    loop {
        let written = async {
            stream.write_all(b"request").await?;
            stream.flush().await
        };
        if let Err(error) = written.await {
            let refusal = of_io(&error);
            assert_eq!(refusal.to_string(), fault.reason().unwrap().to_string());
            return refusal;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Answers every connection with these bytes after it has read something, and closes it.
pub(crate) async fn answer(bytes: &'static [u8]) -> Endpoint {
    listen(move |mut socket| async move {
        let mut received = [0; 1024];
        socket.read_u8().await.ok();
        socket.write_all(bytes).await.ok();
        socket.shutdown().await.ok();
        // Bytes that were not read would turn the end into a reset.
        while socket.read(&mut received).await.unwrap_or(0) > 0 {}
    })
    .await
}

/// The time without a byte after which a connection with a fate ends.
const IDLE: Duration = Duration::from_millis(500);

/// Changes what a server sends on a connection, from its first byte on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// The connection ends after so many bytes.
    CutAfter(usize),
    /// The byte after so many others is another one.
    Changed(usize),
}

/// A server whose every connection has this fate.
pub(crate) async fn with_fate(server: &Endpoint, fate: Fate) -> Endpoint {
    let port = server.port();
    listen(move |client| async move {
        let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut from_server, mut to_server) = server.into_split();
        let (mut from_client, mut to_client) = client.into_split();
        let forward = async { tokio::io::copy(&mut from_client, &mut to_server).await };
        let answer = async {
            let (mut sent, mut bytes) = (0, [0; 4096]);
            loop {
                // A length that was changed makes the client wait for bytes that never come.
                let read = timeout(IDLE, from_server.read(&mut bytes)).await;
                let len = read.map_or(0, |read| read.unwrap_or(0));
                let mut piece = &mut bytes[..len];
                match fate {
                    Fate::CutAfter(most) => piece = &mut piece[..len.min(most - sent)],
                    Fate::Changed(at) if (sent..sent + len).contains(&at) => {
                        piece[at - sent] ^= 0x55;
                    }
                    Fate::Changed(_) => {}
                }
                sent += piece.len();
                let written = to_client.write_all(piece).await;
                if piece.len() < len || len == 0 || written.is_err() {
                    break;
                }
                if matches!(fate, Fate::CutAfter(most) if most == sent) {
                    break;
                }
            }
            to_client.shutdown().await.ok();
        };
        // The client is read until it closes: bytes that were not read would turn the end into a
        // reset.
        tokio::join!(forward, answer).0.ok();
    })
    .await
}

async fn listen<F: Future<Output = ()> + Send + 'static>(
    mut serve: impl FnMut(TcpStream) -> F + Send + 'static,
) -> Endpoint {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    Endpoint::new("localhost", port).unwrap()
}

/// Connects, and waits for the greeting.
pub(crate) async fn connect(
    connector: &TlsConnector,
    endpoint: &Endpoint,
) -> Result<impl AsyncRead + tokio::io::AsyncWrite + Unpin, TlsError> {
    let socket = TcpStream::connect(("127.0.0.1", endpoint.port())).await.unwrap();
    let fault = PeerFault::default();
    let mut stream = connector.connect(socket, endpoint, fault.clone()).await?;
    match stream.read_u8().await {
        Ok(_) => Ok(stream),
        Err(error) => {
            let refusal = of_io(&error);
            assert_eq!(refusal.to_string(), fault.reason().unwrap().to_string());
            Err(refusal)
        }
    }
}

fn of_io(error: &io::Error) -> TlsError {
    error.get_ref().unwrap().downcast_ref::<TlsError>().unwrap().clone()
}

pub(crate) async fn refused(config: &TlsConfig, endpoint: &Endpoint) -> TlsError {
    match connect(&TlsConnector::new(config, None), endpoint).await {
        Err(error) => error,
        Ok(_) => panic!("connected"),
    }
}

pub(crate) async fn accepted(config: &TlsConfig, endpoint: &Endpoint) {
    connect(&TlsConnector::new(config, None), endpoint).await.unwrap();
}
