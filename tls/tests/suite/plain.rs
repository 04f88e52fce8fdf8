//! Connections without TLS: what they find out about a peer that speaks TLS only.
#![allow(clippy::unwrap_used)]

use pravega_sdk_tls::{PeerFault, PlainStream, TlsError, TlsProblem};
use pravega_sdk_types::ErrorKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    net::TcpStream,
};

use crate::{common::answer, texts::Table};

/// What is found out of a peer that answers the first bytes so, and closes the connection.
async fn found(bytes: &'static [u8]) -> (Option<TlsProblem>, bool) {
    let endpoint = answer(bytes).await;
    let socket = TcpStream::connect(("127.0.0.1", endpoint.port())).await.unwrap();
    let fault = PeerFault::default();
    let mut stream = PlainStream::new(socket, fault.clone());
    assert!(!fault.is_silent(), "before its end");
    stream.write_all(b"hello").await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.ok();
    (fault.reason().map(|reason| reason.problem()), fault.is_silent())
}

#[tokio::test]
async fn a_peer_that_closes_without_a_word_may_speak_tls_only_and_one_with_an_alert_does() {
    assert_eq!(found(b"").await, (None, true));
    let alert = found(&[21, 3, 3, 0, 2, 2, 70]).await;
    assert_eq!(alert, (Some(TlsProblem::ServerIsTlsOnly), false));
    assert_eq!(found(b"x").await, (None, false));
}

#[tokio::test]
async fn a_write_that_fails_finds_out_that_the_peer_has_said_nothing() {
    let (io, peer) = duplex(64);
    let fault = PeerFault::default();
    let mut stream = PlainStream::new(io, fault.clone());
    drop(peer);
    stream.write_all(b"hello").await.unwrap_err();
    assert!(fault.is_silent());
    assert!(fault.reason().is_none());
}

#[tokio::test]
async fn a_peer_that_has_answered_once_is_not_taken_for_another_when_it_ends() {
    let (io, mut peer) = duplex(64);
    let fault = PeerFault::default();
    let mut stream = PlainStream::new(io, fault.clone());
    peer.write_all(b"answer").await.unwrap();
    let mut received = [0; 6];
    // A read into no space is no end.
    assert_eq!(stream.read(&mut []).await.unwrap(), 0);
    assert!(!fault.is_silent());
    stream.read_exact(&mut received).await.unwrap();
    drop(peer);
    assert_eq!(stream.read(&mut received).await.unwrap(), 0);
    assert!(!fault.is_silent());
}

#[test]
fn what_is_certain_and_what_may_be_have_texts_and_kinds_of_their_own() {
    let mut table = Table::default();
    let certain = TlsError::speaks_only_tls();
    table.expect(&certain, "the server speaks TLS, and the client is set to speak without it");
    assert_eq!((certain.kind(), certain.is_retryable()), (ErrorKind::Tls, false));
    let cause = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let suspected = TlsError::may_speak_only_tls(Some(std::sync::Arc::new(cause)));
    table.expect(&suspected, "its port may speak TLS only");
    assert_eq!((suspected.kind(), suspected.is_retryable()), (ErrorKind::ConnectionLost, true));
    assert_eq!(suspected.problem(), TlsProblem::ServerMayBeTlsOnly);
    assert!(std::error::Error::source(&suspected).is_some());
}
