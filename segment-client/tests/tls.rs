//! TLS to a segment store: which certificates are trusted or refused, and the error texts.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use bytes::BytesMut;
use pravega_sdk_segment_client::{
    ConnectionError, StoreConfig, StoreDialer, StoreTls, StoreTlsError,
};
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, VersionRange};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's configuration with a certificate for `name`.
    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap()
    }
}

/// A store that greets once over TLS, or without.
async fn store(tls: Option<ServerConfig>) -> Endpoint {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        match tls {
            Some(config) => {
                if let Ok(socket) = TlsAcceptor::from(Arc::new(config)).accept(socket).await {
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

async fn connect(endpoint: &Endpoint, tls: Option<StoreTls>) -> Result<(), ConnectionError> {
    StoreDialer::new(StoreConfig::default().with_tls(tls)).connect(endpoint).await.map(drop)
}

async fn refused(server: ServerConfig, trusted: &Authority) -> String {
    let endpoint = store(Some(server)).await;
    let tls = StoreTls::from_pem("test", trusted.pem().as_bytes()).unwrap();
    let error = connect(&endpoint, Some(tls)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let authority = Authority::new();
    let endpoint = store(Some(authority.server("localhost", |_| {}))).await;
    connect(&endpoint, Some(StoreTls::from_pem("test", authority.pem().as_bytes()).unwrap()))
        .await
        .unwrap();
}

#[tokio::test]
async fn bad_certificates_are_refused_with_the_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let reason = refused(authority.server("elsewhere", |_| {}), &authority).await;
    assert!(reason.contains("localhost") && reason.contains("elsewhere"), "{reason}");
    let reason = refused(other.server("localhost", |_| {}), &authority).await;
    assert!(reason.contains("UnknownIssuer") || reason.contains("BadSignature"), "{reason}");
    let expired = authority.server("localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let reason = refused(expired, &authority).await;
    assert!(reason.contains("expired"), "{reason}");
    let future = authority
        .server("localhost", |params| params.not_before = rcgen::date_time_ymd(3000, 1, 1));
    let reason = refused(future, &authority).await;
    assert!(reason.contains("not valid yet"), "{reason}");
    let for_clients = authority.server("localhost", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert!(!refused(for_clients, &authority).await.is_empty());
}

#[tokio::test]
async fn tls_to_a_plain_store_and_plain_to_a_tls_store_are_different_errors() {
    let authority = Authority::new();
    let tls = StoreTls::from_pem("test", authority.pem().as_bytes()).unwrap();
    let error = connect(&store(None).await, Some(tls)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::ConnectionLost), "{error:?}");
    assert!(error.to_string().contains("not speak TLS"), "{error}");
    let endpoint = store(Some(authority.server("localhost", |_| {}))).await;
    let error = connect(&endpoint, None).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::ConnectionLost), "{error:?}");
}

#[tokio::test]
async fn only_the_function_for_it_turns_the_host_name_check_off() {
    let authority = Authority::new();
    let endpoint = store(Some(authority.server("elsewhere", |_| {}))).await;
    let tls =
        StoreTls::dangerously_without_host_name_check("test", authority.pem().as_bytes()).unwrap();
    connect(&endpoint, Some(tls)).await.unwrap();
    let endpoint = store(Some(Authority::new().server("localhost", |_| {}))).await;
    let tls =
        StoreTls::dangerously_without_host_name_check("test", authority.pem().as_bytes()).unwrap();
    assert_eq!(connect(&endpoint, Some(tls)).await.unwrap_err().kind(), ErrorKind::Tls);
}

#[test]
fn unusable_trust_stores_are_refused_with_the_reason() {
    let folder = std::env::temp_dir();
    assert!(matches!(StoreTls::from_file(&folder), Err(StoreTlsError::Unreadable { .. })));
    assert!(matches!(
        StoreTls::from_file(&folder.join("no-such-file")),
        Err(StoreTlsError::Unreadable { .. })
    ));
    assert!(matches!(StoreTls::from_pem("empty", b""), Err(StoreTlsError::NoCertificate { .. })));
    assert!(matches!(
        StoreTls::from_pem("text", b"hello"),
        Err(StoreTlsError::NoCertificate { .. })
    ));
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        StoreTls::from_pem("broken", broken),
        Err(StoreTlsError::BadCertificate { .. })
    ));
}
