//! TLS to an issuer: what is trusted, and what is refused.

use std::{sync::Arc, time::Duration};

use pravega_sdk_identity::Keycloak;
use pravega_sdk_tls::TlsConfig;
use pravega_sdk_types::ErrorKind;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring};
use tokio_rustls::TlsAcceptor;

use crate::issuer::{Issuer, SECRET, sent, shown};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Starts an issuer with a certificate for `name`.
    fn issuer(&self, name: &str) -> Issuer {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Issuer::start_with(Some(acceptor), Arc::new(|_| None))
    }

    fn trusted(&self) -> TlsConfig {
        TlsConfig::new().with_trust_pem("test", self.0.pem())
    }
}

async fn refused(client: Keycloak) -> String {
    let client = client.with_timeout(Duration::from_secs(20));
    let error = sent(&client.credentials().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    let text = shown(&error);
    assert!(!text.contains(SECRET) && !text.contains("attempts)"), "{text}");
    text
}

#[tokio::test]
async fn an_issuer_with_a_trusted_certificate_is_asked_and_others_are_not() {
    let (authority, other) = (Authority::new(), Authority::new());
    let issuer = authority.issuer("localhost");
    let trusting = issuer.keycloak().with_tls(authority.trusted()).credentials().unwrap();
    assert_eq!(sent(&trusting).await.unwrap(), "permitted-2");

    let asked = issuer.seen().len();
    refused(issuer.keycloak().with_tls(other.trusted())).await;
    let stranger = authority.issuer("another.example.com");
    let text = refused(stranger.keycloak().with_tls(authority.trusted())).await;
    assert!(text.contains("another.example.com"), "{text}");
    assert_eq!((issuer.seen().len(), stranger.seen().len()), (asked, 0), "no secret was sent");
}

#[tokio::test]
async fn tls_at_one_end_only_is_named() {
    let authority = Authority::new();
    let secure = authority.issuer("localhost");
    let plain = secure.url().replace("https", "http");
    let client = Keycloak::new(&plain, "r 1", "client", SECRET).unwrap();
    let text = refused(client).await;
    assert!(text.contains("the server speaks TLS"), "{text}");

    let open = Issuer::usual();
    let url = open.url().replace("http", "https");
    let client = Keycloak::new(&url, "r 1", "client", SECRET).unwrap();
    refused(client.with_tls(authority.trusted())).await;
}

#[test]
fn a_trust_store_that_cannot_be_used_is_refused_before_any_request() {
    let client = Keycloak::new("https://localhost:1", "r", "c", "s").unwrap();
    let tls = TlsConfig::new().with_trust_file("/no/such/file");
    let error = client.clone().with_tls(tls).credentials().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("tls")));
    let error = client.with_timeout(Duration::ZERO).credentials().unwrap_err();
    assert_eq!(error.setting(), Some("timeout"));
}
