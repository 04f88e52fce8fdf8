//! Certificates that are too weak, too many, or do not fit what is trusted; handshakes that are cut
//! or changed. Each is refused with its own text.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use pravega_sdk_tls::TlsConfig;
use pravega_sdk_types::{Endpoint, ErrorKind};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, PKCS_RSA_SHA256, PublicKeyData,
    RevokedCertParams, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use rustls::version::{TLS12, TLS13};

use crate::{
    common::{
        Authority, Certified, Fate, accepted, leaf, refused, self_signed, serve, server, server_of,
        with_fate,
    },
    texts::{Table, about_the_same},
};

/// An RSA key without a private one: a number of this length as its modulus, and signatures that
/// are none.
struct Rsa(Vec<u8>);

impl Rsa {
    fn of(bits: usize) -> Self {
        let wrapped = |tag: u8, content: &[u8]| {
            let len = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82], &len[..], content].concat()
        };
        let modulus = wrapped(2, &[&[0], &vec![0xC5; bits / 8][..]].concat());
        Self(wrapped(0x30, &[&modulus[..], &[2, 3, 1, 0, 1]].concat()))
    }
}

impl PublicKeyData for Rsa {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for Rsa {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![7; 256])
    }
}

/// An authority with such a key, and what trusts it; `leaf` is signed by it.
fn of_rsa(bits: usize) -> (TlsConfig, Certified) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("rsa {bits}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, Rsa::of(bits)).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = leaf(&["localhost"], ExtendedKeyUsagePurpose::ServerAuth, |_| {});
    let certificate = params.signed_by(&key, &authority).unwrap();
    let chain = vec![certificate.der().clone()];
    let trusted = TlsConfig::new().with_trust_pem("test", authority.pem());
    (trusted, Certified::new(chain, key, certificate.pem()))
}

async fn presenting(certified: Certified) -> Endpoint {
    serve(server(&certified, None)).await
}

/// Connects to a server, which is refused, and returns the text.
async fn text(trusted: &TlsConfig, certified: Certified) -> String {
    let error = refused(trusted, &presenting(certified).await).await;
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Tls, false), "{error}");
    error.to_string()
}

#[track_caller]
fn each_its_own(cases: &[(String, &'static str)]) {
    let mut table = Table::default();
    for (text, about) in cases {
        table.expect(text, about);
    }
}

#[tokio::test]
async fn weak_keys_and_weak_signatures_are_named() {
    let authority = Authority::new();
    let (short, below_short) = of_rsa(1024);
    let (long, below_long) = of_rsa(2048);
    let (_, sha1) = of_rsa(2048);
    let (other, md5) = of_rsa(3072);
    // sha256WithRSAEncryption becomes sha1WithRSAEncryption, or md5WithRSAEncryption.
    let with_digest = |certified: Certified, digest: u8| {
        certified.tampered(|der| {
            let (rsa, mut at) = ([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 0x0B], 0);
            while let Some(next) = der[at..].windows(9).position(|window| window == rsa) {
                at += next + 9;
                der[at - 1] = digest;
            }
        })
    };
    each_its_own(&[
        (
            text(&authority.trusted(), authority.of_key(&Rsa::of(1024))).await,
            "RSA key of 1024 bits; 2048 are the least",
        ),
        (
            text(&authority.trusted(), authority.of_key(&Rsa::of(2040))).await,
            "RSA key of 2040 bits",
        ),
        (text(&long, with_digest(sha1, 5)).await, "is signed with SHA-1 or MD5"),
        (text(&long, below_long).await, "that of \"rsa 2048\" in the trust store is another one"),
    ]);
    let of_short = text(&short, below_short).await;
    about_the_same(of_short, "RSA key of 1024 bits; 2048 are the least");
    about_the_same(text(&other, with_digest(md5, 4)).await, "is signed with SHA-1 or MD5");
    // A key of the right length is none of these: the server does not have it, and cannot sign.
    let unsigned = text(&authority.trusted(), authority.of_key(&Rsa::of(2048))).await;
    assert!(!unsigned.contains("RSA key of"), "{unsigned}");
}

#[tokio::test]
async fn what_is_wrong_above_a_certificate_is_not_said_of_it() {
    let authority = Authority::new();
    let below = |change: fn(&mut CertificateParams)| {
        let middle = authority.below_with(|params| {
            params.distinguished_name.push(DnType::CommonName, "in the middle");
            change(params);
        });
        let mut certified = middle.server("localhost");
        certified.chain.push(middle.0.der().clone());
        certified
    };
    let expired = below(|params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let future = below(|params| params.not_before = date_time_ymd(3000, 1, 1));
    let middle = authority.below("in the middle", BasicConstraints::Unconstrained);
    let unknown = Authority::with(|params| {
        params.distinguished_name.push(DnType::CommonName, "unknown");
    });
    let below_unknown = unknown.below("below unknown", BasicConstraints::Unconstrained);
    let mut with_chain = below_unknown.server("localhost");
    with_chain.chain.extend([below_unknown.0.der().clone(), unknown.0.der().clone()]);
    let trusted = authority.trusted();
    let (made_again, alone) = (Authority::new(), self_signed());
    let alone = TlsConfig::new().with_trust_pem("before", alone.chain_pem());
    each_its_own(&[
        (text(&trusted, expired).await, "is below one that expired at 2002-01-01T00:00:00Z"),
        (
            text(&trusted, future).await,
            "is below one that is not valid before 3000-01-01T00:00:00Z",
        ),
        (
            text(&trusted, middle.server("localhost")).await,
            "not trusted: \"in the middle\"; if that one is below a trusted authority, the server \
             must send its certificate too",
        ),
        (text(&trusted, unknown.server("localhost")).await, "not trusted: \"unknown\"; if"),
        (
            text(&trusted, with_chain).await,
            "is issued by an authority that is not trusted: \"unknown\"",
        ),
        (
            text(&trusted, made_again.server("localhost")).await,
            "that of \"authority\" in the trust store is another one",
        ),
        (text(&alone, self_signed()).await, "that of \"alone\" in the trust store is another one"),
    ]);
}

#[tokio::test]
async fn chains_that_are_too_long_are_refused_without_much_work() {
    let authority = Authority::new();
    let mut deep = vec![authority.below("0", BasicConstraints::Unconstrained)];
    for depth in 1..8 {
        let next = deep[depth - 1].below(&depth.to_string(), BasicConstraints::Unconstrained);
        deep.push(next);
    }
    let mut long = deep[7].server("localhost");
    long.chain.extend(deep.iter().rev().map(|authority| authority.0.der().clone()));

    let many: Vec<Authority> =
        (0..120).map(|_| authority.below("one of many", BasicConstraints::Unconstrained)).collect();
    let hidden = authority.below("one of many", BasicConstraints::Unconstrained);
    let mut wide = hidden.server("localhost");
    wide.chain.extend(many.iter().map(|authority| authority.0.der().clone()));

    let mut huge = authority.server("localhost");
    let filler = huge.chain[0].clone();
    huge.chain.extend(std::iter::repeat_n(filler, 1000));
    let trusted = authority.trusted();
    each_its_own(&[
        (text(&trusted, long).await, "more authorities above it than the seven that are followed"),
        (text(&trusted, wide).await, "comes with too many others to check them all"),
        (text(&trusted, huge).await, "with those above it, is longer than 64 KiB"),
    ]);
}

#[tokio::test]
async fn addresses_and_wildcards_are_names_of_a_certificate() {
    let authority = Authority::new();
    let trusted = authority.trusted();
    let six = presenting(authority.server("::1")).await;
    let endpoint = Endpoint::new("::1", six.port()).unwrap();
    accepted(&trusted, &endpoint).await;
    let four = presenting(authority.server("127.0.0.1")).await;
    let error = refused(&trusted, &Endpoint::new("::1", four.port()).unwrap()).await;
    assert!(error.to_string().contains("is for 127.0.0.1; the host is ::1"), "{error}");
    let wild = presenting(authority.server("*.cluster.test")).await;
    accepted(&trusted.clone().with_server_name("store.cluster.test"), &wild).await;
    for name in ["cluster.test", "a.store.cluster.test"] {
        let error = refused(&trusted.clone().with_server_name(name), &wild).await;
        assert!(error.to_string().contains(&format!("the host is {name}")), "{error}");
    }
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let config = server_of(&authority.server("localhost"), None, &[version]);
        accepted(&authority.trusted(), &serve(config).await).await;
    }
}

#[tokio::test]
async fn a_client_is_told_why_its_certificate_is_refused() {
    let authority = Authority::new();
    let with = |client: &Certified| client.of_client().with_trust_pem("test", authority.pem());
    let serial = SerialNumber::from(4711);
    let revoked = CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 1, 1),
        next_update: date_time_ymd(2125, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: serial.clone(),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let revoked = revoked.signed_by(&authority.0).unwrap().der().clone();
    for version in [&TLS12, &TLS13] {
        let clients = Some((&authority, Some(revoked.clone())));
        let config = server_of(&authority.server("localhost"), clients, &[version]);
        let endpoint = serve(config).await;
        accepted(&with(&authority.client(|_| {})), &endpoint).await;
        let text = async |client: Certified| refused(&with(&client), &endpoint).await.to_string();
        each_its_own(&[
            (
                text(authority.client(|params| params.serial_number = Some(serial.clone()))).await,
                "refuses the client's certificate: it is revoked",
            ),
            (
                text(authority.server("localhost")).await,
                "refuses the client's certificate: it is not for clients",
            ),
            (
                text(authority.client(|params| params.not_before = date_time_ymd(3000, 1, 1)))
                    .await,
                "refuses the client's certificate: it has expired, or is not valid yet",
            ),
            (
                refused(&authority.trusted(), &endpoint).await.to_string(),
                "requires a certificate of the client, and none is set",
            ),
        ]);
    }
}

#[tokio::test]
async fn a_handshake_that_is_cut_anywhere_says_that_it_had_begun() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let config = server_of(&authority.server("localhost"), None, &[version]);
        let endpoint = serve(config).await;
        for len in [1, 4, 5, 6, 50, 100, 130, 300, 500] {
            let cut = with_fate(&endpoint, Fate::CutAfter(len)).await;
            let error = refused(&authority.trusted(), &cut).await;
            assert_eq!(error.kind(), ErrorKind::ConnectionLost, "after {len} bytes: {error}");
            assert!(error.is_retryable());
            assert!(
                error.to_string().contains("ended in the middle of the TLS handshake"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_handshake_with_a_changed_byte_is_refused() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let config = server_of(&authority.server("localhost"), None, &[version]);
        let endpoint = serve(config).await;
        for at in (0..600).step_by(23) {
            let changed = with_fate(&endpoint, Fate::Changed(at)).await;
            let error = refused(&authority.trusted(), &changed).await;
            let kind = error.kind();
            assert!(matches!(kind, ErrorKind::Tls | ErrorKind::ConnectionLost), "{at}: {error}");
        }
    }
}
