//! Authorities, the certificates that they sign, and configurations of servers with them. Tests of
//! other crates include this file.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use pravega_sdk_tls::TlsConfig;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PublicKeyData,
};
use rustls::{
    ALL_VERSIONS, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// A certificate chain with its key.
pub(crate) struct Certified {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
    pem: String,
}

impl Certified {
    pub(crate) fn new(chain: Vec<CertificateDer<'static>>, key: KeyPair, pem: String) -> Self {
        Self { chain, key, pem }
    }

    pub(crate) fn chain_pem(&self) -> String {
        self.pem.clone()
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Changes the bytes of the certificate.
    pub(crate) fn tampered(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = self.chain[0].to_vec();
        change(&mut bytes);
        self.chain[0] = bytes.into();
        self
    }

    pub(crate) fn of_client(&self) -> TlsConfig {
        TlsConfig::new().with_client_certificate_pem(self.chain_pem(), &self.key_pem().into())
    }
}

pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let params = Self::params(change);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority of this name below this one.
    pub(crate) fn below(&self, name: &str, constraints: BasicConstraints) -> Self {
        self.below_with(|params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(constraints);
        })
    }

    /// An authority below this one.
    pub(crate) fn below_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let params = Self::params(change);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap())
    }

    fn params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        params
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn trusted(&self) -> TlsConfig {
        TlsConfig::new().with_trust_pem("test", self.pem())
    }

    /// A certificate for a server.
    pub(crate) fn server(&self, name: &str) -> Certified {
        self.sign(&[name], ExtendedKeyUsagePurpose::ServerAuth, |_| {})
    }

    /// A certificate for a client.
    pub(crate) fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Certified {
        self.sign(&["client"], ExtendedKeyUsagePurpose::ClientAuth, change)
    }

    pub(crate) fn sign(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certified {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(names, usage, change).signed_by(&key, &self.0).unwrap();
        Certified { chain: vec![certificate.der().clone()], key, pem: certificate.pem() }
    }

    /// A certificate for a server of another key, which the server does not have.
    pub(crate) fn of_key(&self, key: &impl PublicKeyData) -> Certified {
        let params = leaf(&["localhost"], ExtendedKeyUsagePurpose::ServerAuth, |_| {});
        let certificate = params.signed_by(key, &self.0).unwrap();
        let (chain, pem) = (vec![certificate.der().clone()], certificate.pem());
        Certified { chain, key: KeyPair::generate().unwrap(), pem }
    }
}

/// What a certificate says that is of no authority.
pub(crate) fn leaf(
    names: &[&str],
    usage: ExtendedKeyUsagePurpose,
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params.extended_key_usages = vec![usage];
    change(&mut params);
    params
}

/// A certificate for `localhost` that has signed itself.
pub(crate) fn self_signed() -> Certified {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "alone");
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Certified { chain: vec![certificate.der().clone()], key, pem: certificate.pem() }
}

/// Presents a chain whatever it is.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesServerCert for Presents {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn crypto() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A server's configuration. With `clients` it wants certificates that this authority has signed.
pub(crate) fn server(certified: &Certified, clients: Option<&Authority>) -> ServerConfig {
    server_of(certified, clients.map(|clients| (clients, None)), ALL_VERSIONS)
}

/// The authority of the clients of a server, and the list of those that it has revoked.
pub(crate) type Clients<'a> = (&'a Authority, Option<CertificateRevocationListDer<'static>>);

/// The configuration of a server with some versions of TLS.
pub(crate) fn server_of(
    certified: &Certified,
    clients: Option<Clients<'_>>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(crypto());
    let builder = builder.with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some((authority, revoked)) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), crypto());
            let verifier = verifier.with_crls(revoked).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::try_from(certified.key.serialize_der()).unwrap();
    let key = crypto().key_provider.load_private_key(key).unwrap();
    let presented = CertifiedKey::new(certified.chain.clone(), key);
    builder.with_cert_resolver(Arc::new(Presents(Arc::new(presented))))
}
