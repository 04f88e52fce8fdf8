//! Which peers are accepted and which refused, each with its own text.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use pravega_sdk_tls::{TlsConfig, TlsConnector, TlsProblem};
use pravega_sdk_types::{Endpoint, ErrorKind};
use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    NameConstraints, date_time_ymd,
};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::mpsc;

use crate::{
    common::{
        Authority, Certified, accepted, answer, connect, refused, refused_as_it_writes,
        self_signed, serve, serve_and_reset, server,
    },
    texts::{Table, about_the_same},
};

async fn presenting(certified: Certified) -> Endpoint {
    serve(server(&certified, None)).await
}

#[tokio::test]
async fn every_bad_certificate_of_a_server_has_its_own_text() {
    let (authority, mut table) = (Authority::new(), Table::default());
    let trusted = authority.trusted();
    let usage = ExtendedKeyUsagePurpose::ServerAuth;

    let elsewhere = presenting(authority.server("elsewhere")).await;
    let error = refused(&trusted, &elsewhere).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    table.expect(&error, "is for elsewhere; the host is localhost");

    let here = presenting(authority.server("localhost")).await;
    let by_address = Endpoint::new("127.0.0.1", here.port()).unwrap();
    table.expect(&refused(&trusted, &by_address).await, "is for localhost; the host is 127.0.0.1");

    let nameless = presenting(authority.sign(&[], usage.clone(), |_| {})).await;
    table.expect(&refused(&trusted, &nameless).await, "is for no host name; the host is localhost");

    let expired = authority.sign(&["localhost"], usage.clone(), |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let error = refused(&trusted, &presenting(expired).await).await;
    table.expect(&error, "expired at 2002-01-01T00:00:00Z; the time here is 20");

    let future = authority.sign(&["localhost"], usage.clone(), |params| {
        params.not_before = date_time_ymd(3000, 1, 1);
    });
    let error = refused(&trusted, &presenting(future).await).await;
    table.expect(&error, "is not valid before 3000-01-01T00:00:00Z; the time here is 20");

    let other = Authority::with(|params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "other authority");
    });
    let error = refused(&trusted, &presenting(other.server("localhost")).await).await;
    table.expect(&error, "issued by an authority that is not trusted");

    let error = refused(&trusted, &presenting(self_signed()).await).await;
    table.expect(&error, "is self-signed and not in the trust store");

    let client = authority.sign(&["localhost"], ExtendedKeyUsagePurpose::ClientAuth, |_| {});
    let error = refused(&trusted, &presenting(client).await).await;
    table.expect(&error, "is not for servers: its extended key usage lacks serverAuth");

    let of_authority = authority.sign(&["localhost"], usage, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let error = refused(&trusted, &presenting(of_authority).await).await;
    table.expect(&error, "is that of an authority, not of a server");
}

#[tokio::test]
async fn every_invalid_chain_of_a_server_has_its_own_text() {
    let (authority, mut table) = (Authority::new(), Table::default());
    let trusted = authority.trusted();
    let usage = ExtendedKeyUsagePurpose::ServerAuth;

    // The last bytes are those of the signature.
    let unsigned = authority.server("localhost").tampered(|der| *der.last_mut().unwrap() ^= 1);
    let error = refused(&trusted, &presenting(unsigned).await).await;
    // A signature that is damaged and one of another key cannot be told apart.
    table.expect(&error, "that of \"authority\" in the trust store is another one");

    let limited = Authority::with(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("inside.test".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let error = refused(&limited.trusted(), &presenting(limited.server("localhost")).await).await;
    table.expect(&error, "has a name that its authority may not sign");

    let middle = authority.below("in the middle", BasicConstraints::Unconstrained);
    let missing = presenting(middle.server("localhost")).await;
    let error = refused(&trusted, &missing).await;
    let about = "not trusted: \"in the middle\"; if that one is below a trusted authority, the \
                 server must send its certificate too";
    table.expect(&error, about);

    let short = authority.below("short", BasicConstraints::Constrained(0));
    let below = short.below("below", BasicConstraints::Unconstrained);
    let mut long = below.server("localhost");
    long.chain.extend([below.0.der().clone(), short.0.der().clone()]);
    let error = refused(&trusted, &presenting(long).await).await;
    table.expect(&error, "has more authorities above it than these allow");

    let unknown = authority.sign(&["localhost"], usage, |params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions = vec![extension];
    });
    let error = refused(&trusted, &presenting(unknown).await).await;
    table.expect(&error, "has a critical extension that is not known");

    // ecdsa-with-SHA256 becomes ecdsa-with-SHA224.
    let weak = authority.server("localhost").tampered(|der| {
        let (strong, mut at) = ([0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], 0);
        while let Some(next) = der[at..].windows(8).position(|window| window == strong) {
            at += next + 8;
            der[at - 1] = 1;
        }
    });
    let error = refused(&trusted, &presenting(weak).await).await;
    table.expect(&error, "has a signature algorithm or a key that is too weak");

    let garbage = authority.server("localhost").tampered(|der| der.truncate(20));
    let error = refused(&trusted, &presenting(garbage).await).await;
    table.expect(&error, "is not readable");

    let mut empty = authority.server("localhost");
    empty.chain.clear();
    table.expect(&refused(&trusted, &presenting(empty).await).await, "presents no certificate");
}

#[tokio::test]
async fn every_peer_that_does_not_speak_our_tls_has_its_own_text() {
    let (authority, mut table) = (Authority::new(), Table::default());
    let trusted = authority.trusted();

    let error = refused(&trusted, &answer(b"HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    table.expect(&error, "the server does not speak TLS");

    let error = refused(&trusted, &answer(b"").await).await;
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::ConnectionLost, true));
    table.expect(&error, "ended during the TLS handshake, the server may not speak TLS");

    // An alert: fatal, protocol_version.
    let error = refused(&trusted, &answer(&[21, 3, 1, 0, 2, 2, 70]).await).await;
    table.expect(&error, "speaks neither TLS 1.2 nor TLS 1.3");

    // An alert: fatal, handshake_failure.
    let error = refused(&trusted, &answer(&[21, 3, 3, 0, 2, 2, 40]).await).await;
    table.expect(&error, "accepts none of the client's cipher suites");

    let h2 = TlsConnector::new(&trusted, Some(b"h2"));
    let plain = server(&authority.server("localhost"), None);
    let error = connect(&h2, &serve(plain).await).await.err().unwrap();
    table.expect(&error, "the server does not choose HTTP/2");
    let mut old = server(&authority.server("localhost"), None);
    old.alpn_protocols = vec![b"http/1.1".to_vec()];
    let error = connect(&h2, &serve(old).await).await.err().unwrap();
    table.expect(&error, "the server does not speak HTTP/2");

    let spaced = trusted.with_server_name("not a name");
    let here = presenting(authority.server("localhost")).await;
    table.expect(&refused(&spaced, &here).await, "no certificate can be for the host name");
    let error = TlsConnector::new(&spaced, None).check().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("server_name")));
}

#[tokio::test]
async fn a_server_of_tls_1_1_is_refused_by_its_version() {
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let error = refused(&Authority::new().trusted(), &answer(hello.leak()).await).await;
    about_the_same(&error, "speaks neither TLS 1.2 nor TLS 1.3");
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_refuses_clients_each_with_its_own_text() {
    let (authority, mut table) = (Authority::new(), Table::default());
    let endpoint = serve(server(&authority.server("localhost"), Some(&authority))).await;
    let with = |client: &Certified| client.of_client().with_trust_pem("test", authority.pem());
    accepted(&with(&authority.client(|_| {})), &endpoint).await;

    let error = refused(&authority.trusted(), &endpoint).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    table.expect(&error, "requires a certificate of the client, and none is set");

    let other = Authority::with(|params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "other authority");
    });
    let error = refused(&with(&other.client(|_| {})), &endpoint).await;
    table.expect(&error, "refuses the client's certificate: its authority is not trusted there");

    let expired = authority.client(|params| params.not_after = date_time_ymd(2002, 1, 1));
    let error = refused(&with(&expired), &endpoint).await;
    table.expect(&error, "refuses the client's certificate: it has expired, or is not valid yet");
}

#[tokio::test]
async fn a_client_whose_write_fails_says_why_the_server_refuses_its_certificate() {
    let (authority, mut table) = (Authority::new(), Table::default());
    let config = server(&authority.server("localhost"), Some(&authority));
    let endpoint = serve_and_reset(config).await;
    let error = refused_as_it_writes(&authority.trusted(), &endpoint).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    table.expect(&error, "requires a certificate of the client, and none is set");
    let expired = authority.client(|params| params.not_after = date_time_ymd(2002, 1, 1));
    let client = expired.of_client().with_trust_pem("test", authority.pem());
    let error = refused_as_it_writes(&client, &endpoint).await;
    table.expect(&error, "refuses the client's certificate: it has expired, or is not valid yet");
}

#[tokio::test]
async fn trusted_servers_are_accepted_by_name_by_address_and_by_another_name() {
    let authority = Authority::new();
    let trusted = authority.trusted();
    let by_name = presenting(authority.server("localhost")).await;
    accepted(&trusted, &by_name).await;

    let by_address = presenting(authority.server("127.0.0.1")).await;
    let address = Endpoint::new("127.0.0.1", by_address.port()).unwrap();
    accepted(&trusted, &address).await;

    let forwarded = presenting(authority.server("store.cluster.test")).await;
    accepted(&trusted.clone().with_server_name("store.cluster.test"), &forwarded).await;

    let below = authority.below("below", BasicConstraints::Unconstrained);
    let mut chain = below.server("localhost");
    chain.chain.push(below.0.der().clone());
    accepted(&trusted, &presenting(chain).await).await;

    let alone = self_signed();
    let own = TlsConfig::new().with_trust_pem("the server's own", alone.chain_pem());
    accepted(&own, &presenting(alone).await).await;

    let others = Authority::new();
    let both = trusted.with_trust_pem("others", others.pem());
    accepted(&both, &presenting(others.server("localhost")).await).await;
    accepted(&both, &by_name).await;
}

/// Reports the names that clients ask for.
#[derive(Debug)]
struct Asked {
    names: mpsc::UnboundedSender<Option<String>>,
    inner: Arc<dyn ResolvesServerCert>,
}

impl ResolvesServerCert for Asked {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.names.send(hello.server_name().map(str::to_owned)).unwrap();
        self.inner.resolve(hello)
    }
}

#[tokio::test]
async fn a_server_is_asked_for_the_name_that_its_certificate_is_checked_for() {
    let authority = Authority::new();
    let names = ["localhost", "127.0.0.1", "store.cluster.test"];
    let mut config =
        server(&authority.sign(&names, ExtendedKeyUsagePurpose::ServerAuth, |_| {}), None);
    let (names, mut asked) = mpsc::unbounded_channel();
    config.cert_resolver = Arc::new(Asked { names, inner: Arc::clone(&config.cert_resolver) });
    let by_name = serve(config).await;
    let by_address = Endpoint::new("127.0.0.1", by_name.port()).unwrap();
    let trusted = authority.trusted();
    let forwarded = trusted.clone().with_server_name("store.cluster.test");
    let wrong = trusted.clone().with_server_name("elsewhere.test");

    accepted(&trusted, &by_name).await;
    assert_eq!(asked.recv().await.unwrap().as_deref(), Some("localhost"));
    // RFC 6066, 3: an address is no name that can be asked for.
    accepted(&trusted, &by_address).await;
    assert_eq!(asked.recv().await.unwrap(), None);
    for endpoint in [&by_name, &by_address] {
        accepted(&forwarded, endpoint).await;
        assert_eq!(asked.recv().await.unwrap().as_deref(), Some("store.cluster.test"));
    }
    refused(&wrong, &by_name).await;
    assert_eq!(asked.recv().await.unwrap().as_deref(), Some("elsewhere.test"));
}

#[tokio::test]
async fn only_the_function_for_it_turns_the_host_name_check_off() {
    let authority = Authority::new();
    let elsewhere = presenting(authority.server("elsewhere")).await;
    let unchecked = authority.trusted().dangerously_without_host_name_check();
    accepted(&unchecked, &elsewhere).await;
    let unknown = presenting(self_signed()).await;
    assert_eq!(refused(&unchecked, &unknown).await.kind(), ErrorKind::Tls);

    // Authorities of the system sign for everyone.
    for config in [TlsConfig::new(), authority.trusted().with_system_trust()] {
        let unchecked = config.dangerously_without_host_name_check();
        let error = TlsConnector::new(&unchecked, None).check().unwrap_err();
        assert_eq!(error.setting(), Some("trust_store"), "{error}");
    }
}

#[tokio::test]
async fn a_protocol_that_is_offered_is_chosen_or_none_is_and_others_are_refused() {
    let authority = Authority::new();
    let offering = TlsConnector::offering(&authority.trusted(), b"http/1.1");
    let speaking = |protocols: &[&[u8]]| {
        let mut config = server(&authority.server("localhost"), None);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        serve(config)
    };
    let (http, h2): (&[u8], &[u8]) = (b"http/1.1", b"h2");
    for protocols in [&[][..], &[http], &[h2, http]] {
        connect(&offering, &speaking(protocols).await).await.unwrap();
    }
    let error = connect(&offering, &speaking(&[h2]).await).await.err().unwrap();
    about_the_same(&error, "TLS failed: the server does not speak HTTP/1.1");
    assert_eq!(error.problem(), TlsProblem::OtherProtocol);
}

#[tokio::test]
async fn no_provider_of_cryptography_is_installed_for_the_process() {
    let authority = Authority::new();
    accepted(&authority.trusted(), &presenting(authority.server("localhost")).await).await;
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
