//! TLS to a segment store: what is trusted, what is refused, and the error texts. The crate `tls`
//! tests the cases one by one.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../tls/tests/common/accept.rs"]
mod accept;
#[path = "../../tls/tests/common/authority.rs"]
mod authority;

use std::sync::Arc;

use bytes::BytesMut;
use pravega_sdk_segment_client::{ConnectionError, StoreConfig, StoreDialer};
use pravega_sdk_tls::{TlsConfig, TlsError, TlsProblem};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, VersionRange};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use self::{
    accept::accept,
    authority::{Authority, server},
};

/// A server's configuration with a certificate of an authority for `name`.
fn with_certificate(
    authority: &Authority,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> ServerConfig {
    server(&authority.sign(&[name], ExtendedKeyUsagePurpose::ServerAuth, change), None)
}

/// A store that greets once over TLS, or without.
async fn store(tls: Option<ServerConfig>) -> Endpoint {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        match tls {
            Some(config) => {
                let acceptor = TlsAcceptor::from(Arc::new(config));
                if let Some(socket) = accept(&acceptor, socket).await {
                    greet(socket).await;
                }
            }
            None => greet(socket).await,
        }
    });
    Endpoint::new("localhost", port).unwrap()
}

async fn greet(mut io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut received = BytesMut::new();
    loop {
        match Decoder::default().decode(&mut received) {
            Ok(None) => {}
            Ok(Some(_)) => break,
            // As the Java server: closes without a reply.
            Err(_) => return,
        }
        if io.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let mut hello = SendBuffer::new();
    hello.push(&VersionRange::SUPPORTED.hello()).unwrap();
    io.write_all(&hello.to_vec()).await.unwrap();
    io.read_buf(&mut received).await.ok();
}

async fn connect(endpoint: &Endpoint, tls: Option<TlsConfig>) -> Result<(), ConnectionError> {
    StoreDialer::new(StoreConfig::default().with_tls(tls)).connect(endpoint).await.map(drop)
}

async fn refused(server: ServerConfig, trusted: &Authority) -> String {
    let endpoint = store(Some(server)).await;
    let error = connect(&endpoint, Some(trusted.trusted())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let authority = Authority::new();
    let endpoint = store(Some(with_certificate(&authority, "localhost", |_| {}))).await;
    connect(&endpoint, Some(authority.trusted())).await.unwrap();
}

#[tokio::test]
async fn bad_certificates_are_refused_with_the_reason() {
    let authority = Authority::new();
    let reason = refused(with_certificate(&authority, "elsewhere", |_| {}), &authority).await;
    assert!(reason.contains("is for elsewhere; the host is localhost"), "{reason}");
    let expired = with_certificate(&authority, "localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let reason = refused(expired, &authority).await;
    assert!(reason.contains("expired at 2002-01-01"), "{reason}");
}

#[tokio::test]
async fn a_store_that_asks_for_a_certificate_refuses_a_client_without_one() {
    let authority = Authority::new();
    let reason =
        refused(server(&authority.server("localhost"), Some(&authority)), &authority).await;
    assert!(reason.contains("requires a certificate of the client"), "{reason}");
}

#[tokio::test]
async fn tls_to_a_plain_store_and_plain_to_a_tls_store_are_different_errors() {
    let authority = Authority::new();
    let error = connect(&store(None).await, Some(authority.trusted())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::ConnectionLost), "{error:?}");
    assert!(error.to_string().contains("not speak TLS"), "{error}");
    let endpoint = store(Some(with_certificate(&authority, "localhost", |_| {}))).await;
    let error = connect(&endpoint, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    assert!(error.to_string().contains("the server speaks TLS"), "{error}");
}

/// Closes every connection after its first bytes, without a word: as the Java server does if it
/// speaks TLS only. With TLS, it does so after the handshake.
async fn silent(tls: Option<ServerConfig>) -> Endpoint {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            match &acceptor {
                Some(acceptor) => {
                    let mut socket = accept(acceptor, socket).await.unwrap();
                    socket.read_u8().await.ok();
                }
                None => {
                    socket.read_u8().await.ok();
                }
            }
        }
    });
    Endpoint::new("localhost", port).unwrap()
}

/// What an error says of TLS.
fn problem(error: &ConnectionError) -> Option<TlsProblem> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<TlsError>().map(TlsError::problem)
}

#[tokio::test]
async fn a_store_that_closes_without_a_word_may_speak_tls_only_or_have_ended() {
    let endpoint = silent(None).await;
    let error = connect(&endpoint, None).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::ConnectionLost, true));
    assert_eq!(problem(&error), Some(TlsProblem::ServerMayBeTlsOnly), "{error:?}");
    assert!(format!("{error:?}").contains("its port may speak TLS only"), "{error:?}");
    // With TLS on, an end after the handshake says nothing of it.
    let authority = Authority::new();
    let endpoint = silent(Some(with_certificate(&authority, "localhost", |_| {}))).await;
    let error = connect(&endpoint, Some(authority.trusted())).await.unwrap_err();
    assert_eq!((error.kind(), problem(&error)), (ErrorKind::ConnectionLost, None), "{error:?}");
}

#[tokio::test]
async fn a_store_that_asks_for_a_certificate_lets_in_a_client_with_one() {
    let authority = Authority::new();
    let config = server(&authority.server("localhost"), Some(&authority));
    let endpoint = store(Some(config)).await;
    let client = authority.client(|_| {}).of_client().with_trust_pem("test", authority.pem());
    connect(&endpoint, Some(client)).await.unwrap();
}

#[tokio::test]
async fn unusable_files_are_an_error_of_the_first_connection() {
    let endpoint = store(None).await;
    let missing = TlsConfig::new().with_trust_file("/no/such/file");
    let error = connect(&endpoint, Some(missing)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("/no/such/file cannot be read"), "{error}");
}
