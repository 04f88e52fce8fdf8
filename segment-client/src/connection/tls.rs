//! TLS to segment stores.

use std::{fmt, path::Path, sync::Arc};

use pravega_sdk_types::{Endpoint, ErrorKind, classify};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::ConnectionError;

/// TLS configuration: versions 1.2 and 1.3, the host name checked, no client certificate.
#[derive(Clone)]
pub struct StoreTls {
    config: Arc<ClientConfig>,
    roots: usize,
}

/// A TLS configuration that cannot be used. Nothing was sent.
///
/// Its kind is [`Config`](ErrorKind::Config) for a trust store that cannot be used, and
/// [`Tls`](ErrorKind::Tls) for a configuration that the TLS library refuses.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreTlsError {
    /// The trust store cannot be read.
    #[error("trust store {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// The trust store holds no certificate.
    #[error("trust store {path} holds no PEM certificate")]
    NoCertificate {
        /// The file, or the name that the caller gave to the PEM text.
        path: String,
    },
    /// A certificate of the trust store cannot be used.
    #[error("a certificate of trust store {path} cannot be used: {reason}")]
    BadCertificate {
        /// The file, or the name that the caller gave to the PEM text.
        path: String,
        /// The reason.
        reason: String,
    },
    /// The TLS library rejects the configuration.
    #[error("TLS cannot be set up: {0}")]
    Library(String),
}

classify!(StoreTlsError, |error| match error {
    StoreTlsError::Unreadable { .. }
    | StoreTlsError::NoCertificate { .. }
    | StoreTlsError::BadCertificate { .. } => ErrorKind::Config,
    StoreTlsError::Library(_) => ErrorKind::Tls,
});

impl StoreTls {
    /// Trusts the certificates that the operating system trusts.
    ///
    /// # Errors
    ///
    /// [`StoreTlsError`] if the operating system trusts no certificate.
    pub fn platform() -> Result<Self, StoreTlsError> {
        let loaded = rustls_native_certs::load_native_certs();
        Self::trusting("of the machine", loaded.certs)
    }

    /// Trusts the certificates of a PEM file: those that sign others, or the server's own.
    ///
    /// # Errors
    ///
    /// [`StoreTlsError`] if the file cannot be read or holds no usable certificate.
    pub fn from_file(path: &Path) -> Result<Self, StoreTlsError> {
        let shown = path.display().to_string();
        let unreadable = |reason: String| StoreTlsError::Unreadable { path: shown.clone(), reason };
        if path.is_dir() {
            return Err(unreadable("it is a folder, not a PEM file".to_owned()));
        }
        let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        Self::from_pem(&shown, &pem)
    }

    /// Trusts the certificates of `pem`, which errors call `name`.
    ///
    /// # Errors
    ///
    /// [`StoreTlsError`] if it holds no usable certificate.
    pub fn from_pem(name: &str, pem: &[u8]) -> Result<Self, StoreTlsError> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|error| StoreTlsError::BadCertificate {
            path: name.to_owned(),
            reason: error.to_string(),
        })?;
        Self::trusting(name, certificates)
    }

    fn trusting(
        name: &str,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Result<Self, StoreTlsError> {
        let mut roots = RootCertStore::empty();
        let is_file = name != "of the machine";
        for certificate in certificates {
            match roots.add(certificate) {
                Err(error) if is_file => {
                    let reason = error.to_string();
                    return Err(StoreTlsError::BadCertificate { path: name.to_owned(), reason });
                }
                // One unusable certificate among the hundreds of a system does not matter.
                _ => {}
            }
        }
        if roots.is_empty() {
            return Err(StoreTlsError::NoCertificate { path: name.to_owned() });
        }
        let count = roots.len();
        // The provider is named, never the process-wide default: with two linked, that would panic.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreTlsError::Library(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), roots: count })
    }

    /// Accepts any certificate that is signed by one of the PEM text, for any host name. The holder
    /// of such a certificate can impersonate every segment store: use this for tests, and for
    /// certificates that cannot be replaced.
    ///
    /// # Errors
    ///
    /// [`StoreTlsError`] if the PEM text holds no usable certificate.
    pub fn dangerously_without_host_name_check(
        name: &str,
        pem: &[u8],
    ) -> Result<Self, StoreTlsError> {
        let checked = Self::from_pem(name, pem)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem).flatten() {
            roots.add(certificate).ok();
        }
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| StoreTlsError::Library(error.to_string()))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreTlsError::Library(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyHostName(verifier)))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), roots: checked.roots })
    }

    pub(super) async fn secure(
        &self,
        socket: TcpStream,
        endpoint: &Endpoint,
    ) -> Result<TlsStream<TcpStream>, ConnectionError> {
        let refused = |detail: String| ConnectionError::new(ErrorKind::Tls, endpoint, detail);
        let name = ServerName::try_from(endpoint.host_without_zone().to_owned());
        let name =
            name.map_err(|_| refused("no certificate can be for such a host name".to_owned()))?;
        let connected = TlsConnector::from(Arc::clone(&self.config)).connect(name, socket).await;
        connected.map_err(|error| {
            let library = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
            match library {
                Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
                    refused("TLS failed: the segment store does not speak TLS".to_owned())
                }
                Some(library) => refused(format!("TLS failed: {library}")),
                // A store that restarts fails the same way, so a retry may succeed.
                None => {
                    let detail = format!(
                        "it ended during the TLS handshake, the store may not speak TLS: {error}"
                    );
                    ConnectionError::new(ErrorKind::ConnectionLost, endpoint, detail)
                }
            }
        })
    }
}

impl fmt::Debug for StoreTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreTls({} trusted certificates)", self.roots)
    }
}

/// Checks everything but the host name.
#[derive(Debug)]
struct AnyHostName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHostName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
