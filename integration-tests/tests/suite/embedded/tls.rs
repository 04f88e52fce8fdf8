//! TLS on the ports of an embedded server.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use pravega_sdk_client_factory::{
    ClientConfig, ClientFactory,
    tls::{TlsError, TlsProblem},
};
use pravega_sdk_integration_tests::harness::{self, FAR, tls_error};
use pravega_sdk_server::{EmbeddedServer, ServerTls};
use pravega_sdk_types::{Endpoint, ErrorKind, Scope};
use rustls::{RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::support::{numbers, stream, write};

/// The time that a client has for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

async fn start(tls: ServerTls) -> EmbeddedServer {
    harness::builder().with_tls(tls).with_rest_port(0).start().await.unwrap()
}

/// A client that trusts a certificate.
fn trusting(server: &EmbeddedServer, certificate: &Path) -> ClientFactory {
    let config = ClientConfig::from_url(&server.url()).unwrap().with_trust_store(certificate);
    ClientFactory::new(config).unwrap()
}

fn file_of(server: &EmbeddedServer) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), server.certificate().unwrap()).unwrap();
    file
}

/// Sends a request to REST, and returns the response.
async fn ask_rest(server: &EmbeddedServer, protocol: &[u8], request: &str) -> Option<String> {
    let pem = server.certificate().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let mut config =
        rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(("127.0.0.1", server.rest_port().unwrap())).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.ok()?;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    Some(response)
}

#[tokio::test]
async fn events_are_written_and_read_over_tls_alone() {
    let server = start(ServerTls::made_in_memory()).await;
    assert!(server.url().starts_with("tls://127.0.0.1:"));
    let certificate = file_of(&server);
    let factory = trusting(&server, certificate.path());
    let stream = stream(&factory, 4).await;
    write(&factory, &stream, 0..1000).await;
    assert_eq!(numbers(&factory, &stream).await, (0..1000).collect::<Vec<_>>());
    let get = "GET /v1/scopes HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let response = ask_rest(&server, b"http/1.1", get).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains(r#"{"scopeName":"scope"}"#), "{response}");
    assert_eq!(ask_rest(&server, b"h2", get).await, None, "REST speaks no HTTP/2");
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_let_go_at_once() {
    let server = start(ServerTls::made_in_memory()).await;
    let hello = [0xFF, 0xFF, 0xFF, 0x81, 0, 0, 0, 8, 0, 0, 0, 17, 0, 0, 0, 5];
    let first_words: [(u16, &[u8]); 3] = [
        (server.store_ports()[0], &hello),
        (server.port(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (server.rest_port().unwrap(), b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ];
    for (port, words) in first_words {
        let begun = Instant::now();
        let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        plain.write_all(words).await.unwrap();
        let mut answer = Vec::new();
        // Bytes that were not read may reset the connection.
        timeout(FAR, plain.read_to_end(&mut answer)).await.unwrap().ok();
        assert!(begun.elapsed() < HANDSHAKE, "port {port} waits for a handshake");
        // An alert of TLS, if any: nothing was answered.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    let url = server.url().replace("tls://", "tcp://");
    let once = (1, Duration::from_millis(1), Duration::from_millis(1));
    let config = ClientConfig::from_url(&url).unwrap().with_default_retry(once.0, once.1, once.2);
    let plain = ClientFactory::new(config).unwrap();
    let error = plain.controller().create_scope(&Scope::new("s").unwrap()).await.unwrap_err();
    check_hint(&error, error.kind(), ErrorKind::Unavailable);
    let store = Endpoint::new("127.0.0.1", server.store_ports()[0]).unwrap();
    let error = plain.raw_client().connection(&store).await.unwrap_err();
    check_hint(&error, error.kind(), ErrorKind::ConnectionLost);
}

/// Checks that an error says that the server speaks TLS. The alert that makes it certain is lost if
/// the server has closed the connection while the client was sending: then the kind is `closed`.
#[track_caller]
fn check_hint(error: &(dyn std::error::Error + 'static), kind: ErrorKind, closed: ErrorKind) {
    let (expected, text) = match tls_error(error).map(TlsError::problem) {
        Some(TlsProblem::ServerIsTlsOnly) => (ErrorKind::Tls, "the server speaks TLS"),
        Some(TlsProblem::ServerMayBeTlsOnly) => (closed, "its port may speak TLS only"),
        other => panic!("{other:?}: {error:?}"),
    };
    assert_eq!(kind, expected, "{error:?}");
    assert!(format!("{error:?}").contains(text), "{error:?}");
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_at_the_next_handshake() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    start(ServerTls::made_in(other.path())).await.shutdown().await;
    let server = start(ServerTls::made_in(one.path())).await;
    let scope = Scope::new("s").unwrap();
    // What the first client trusts, kept apart.
    let first = file_of(&server);
    let old = trusting(&server, first.path());
    old.controller().create_scope(&scope).await.unwrap();
    for name in ["server.crt", "server.key"] {
        fs::copy(other.path().join(name), one.path().join(name)).unwrap();
    }
    let new = trusting(&server, &other.path().join("server.crt"));
    assert!(new.controller().scope_exists(&scope).await.unwrap());
    // A connection that was there goes on; a new one is one to a server that is not trusted.
    assert!(old.controller().scope_exists(&scope).await.unwrap());
    let error =
        trusting(&server, first.path()).controller().scope_exists(&scope).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}
