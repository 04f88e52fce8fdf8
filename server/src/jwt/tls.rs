//! The servers of keys that are trusted: by the certificates of the system, or of a file.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::configured::{Unusable, read};

/// What errors call the certificates of the system.
const SYSTEM: &str = "the certificates of the system";

/// Which servers are trusted.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// Those with a certificate of an authority that the system trusts.
    System,
    /// Those with a certificate of a PEM file, or of an authority in it.
    File(PathBuf),
}

impl Trust {
    /// Makes a handshake. The certificates are read for each, so that changes are followed.
    pub(super) async fn connect(
        &self,
        host: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| "no certificate can be for the host".to_owned())?;
        let trust = self.clone();
        // It reads files.
        let config = tokio::task::spawn_blocking(move || trust.config())
            .await
            .map_err(|_| "the task that reads the certificates ended".to_owned())?
            .map_err(|unusable| unusable.to_string())?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, socket);
        connecting.await.map_err(|error: io::Error| error.to_string())
    }

    /// Reads the certificates. It blocks.
    pub(super) fn config(&self) -> Result<ClientConfig, Unusable> {
        let roots = match self {
            Self::System => of_system()?,
            Self::File(path) => of_file(path)?,
        };
        // The provider is named, never the one of the process: with two linked, that would panic.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Unusable::new(Path::new(SYSTEM), error.to_string()))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn of_file(path: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
        let certificate = certificate
            .map_err(|error| Unusable::new(path, format!("it is no PEM file: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| Unusable::new(path, format!("a certificate of it: {error}")))?;
    }
    if roots.is_empty() {
        return Err(Unusable::new(path, "it holds no PEM certificate"));
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, Unusable> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(Unusable::new(Path::new(SYSTEM), format!("there is none that works. {why}")));
    }
    Ok(roots)
}
