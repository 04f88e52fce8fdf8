//! Handshakes, each with the files as they are then.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pravega_sdk_types::{Endpoint, ErrorKind};
use rustls::{
    ClientConfig,
    client::{Resumption, WebPkiServerVerifier},
};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::{
    PeerFault, TlsConfig, TlsError, TlsProblem, explain::Peer, heard::Heard, material::Material,
    provider::provider, stream::SecureStream, verifier::Verifier,
};

/// Makes handshakes with the settings of a [`TlsConfig`].
///
/// The files are read first before the first handshake, or by [`Self::check`]. A handshake reads
/// them again and uses new ones if they are usable and read within a second, else the last good
/// ones.
pub struct TlsConnector {
    shared: Arc<Shared>,
}

struct Shared {
    config: TlsConfig,
    protocol: Protocol,
    last_good: Mutex<Option<Arc<Loaded>>>,
    /// One thread at a time reads the files for handshakes.
    reading: Arc<tokio::sync::Mutex<()>>,
}

/// The protocol over TLS.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    /// It is not negotiated.
    Given,
    /// The peer may choose it, or none.
    Offered(&'static [u8]),
    /// The peer must choose it.
    Required(&'static [u8]),
}

impl Protocol {
    fn name(self) -> Option<&'static [u8]> {
        match self {
            Self::Given => None,
            Self::Offered(name) | Self::Required(name) => Some(name),
        }
    }
}

/// How long a handshake waits for the files if there are last good ones: a file system may hang.
const PATIENCE: Duration = Duration::from_secs(1);

/// A configuration of the TLS library, and the files that it is made from.
struct Loaded {
    material: Material,
    library: Arc<ClientConfig>,
}

impl TlsConnector {
    /// Creates a connector; no file is read yet. A peer must choose `protocol` if it is given.
    #[must_use]
    pub fn new(config: &TlsConfig, protocol: Option<&'static [u8]>) -> Self {
        Self::with_protocol(config, protocol.map_or(Protocol::Given, Protocol::Required))
    }

    /// Creates a connector that offers a protocol; no file is read yet. A peer that does not
    /// negotiate protocols is accepted, one that speaks only others is not.
    #[must_use]
    pub fn offering(config: &TlsConfig, protocol: &'static [u8]) -> Self {
        Self::with_protocol(config, Protocol::Offered(protocol))
    }

    fn with_protocol(config: &TlsConfig, protocol: Protocol) -> Self {
        let (config, last_good, reading) = (config.clone(), Mutex::new(None), Arc::default());
        Self { shared: Arc::new(Shared { config, protocol, last_good, reading }) }
    }

    /// Reads the files now, so that a wrong one is found before the first connection. It blocks for
    /// as long as that takes.
    ///
    /// # Errors
    ///
    /// Kind [`Config`](ErrorKind::Config) for a file or a setting that cannot be used.
    pub fn check(&self) -> Result<(), TlsError> {
        if let Some(name) = &self.shared.config.server_name {
            server_name(name).map_err(|detail| TlsError::config("server_name", detail))?;
        }
        self.shared.load().map(drop)
    }

    /// Makes a handshake over `io` with the server at `endpoint`; the caller sets the deadline.
    /// `fault` gets the reason if the peer refuses the client after the handshake.
    ///
    /// # Errors
    ///
    /// Kind [`Tls`](ErrorKind::Tls) if one of the two refuses the other,
    /// [`ConnectionLost`](ErrorKind::ConnectionLost) if the connection ended,
    /// [`Config`](ErrorKind::Config) if the files cannot be used and never could.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: S,
        endpoint: &Endpoint,
        fault: PeerFault,
    ) -> Result<SecureStream<S>, TlsError> {
        let config = &self.shared.config;
        let host = config.server_name.as_deref().unwrap_or(endpoint.host_without_zone());
        let name = server_name(host).map_err(|detail| {
            TlsError::of(ErrorKind::Tls, detail).with_problem(TlsProblem::OtherName)
        })?;
        let library = self.load().await?;
        let peer = Peer {
            name: host.to_owned(),
            knows_client: config.identity.is_some(),
            protocol: self.shared.protocol.name(),
        };
        let connecting = tokio_rustls::TlsConnector::from(library).connect(name, Heard::new(io));
        let connecting = connecting.into_fallible();
        let stream = connecting.await.map_err(|(error, io)| failed(&error, &io, &peer))?;
        let (_, connection) = stream.get_ref();
        if let Protocol::Required(protocol) = self.shared.protocol
            && connection.alpn_protocol() != Some(protocol)
        {
            let detail = "TLS failed: the server does not choose HTTP/2, so it is no controller";
            let error = TlsError::of(ErrorKind::Tls, detail);
            return Err(error.with_problem(TlsProblem::OtherProtocol));
        }
        Ok(SecureStream::new(stream, peer, fault))
    }

    /// Reads the files on a thread that may block.
    async fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if !self.shared.config.has_files()
            && let Some(library) = self.shared.loaded()
        {
            return Ok(library);
        }
        let loading = async {
            // Handshakes are begun again and again: no more threads hang than one.
            let reading = Arc::clone(&self.shared.reading).lock_owned().await;
            let shared = Arc::clone(&self.shared);
            let load = move || {
                let _reading = reading;
                shared.load()
            };
            tokio::task::spawn_blocking(load).await.unwrap_or_else(|_| {
                let detail = "the runtime ended while the files of TLS were read";
                Err(TlsError::of(ErrorKind::Closed, detail))
            })
        };
        let Some(last_good) = self.shared.loaded() else { return loading.await };
        timeout(PATIENCE, loading).await.unwrap_or_else(|_| {
            tracing::warn!("the TLS files are not read in time, the last good ones are used");
            Ok(last_good)
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Loaded>>> {
        // A panic leaves the last good files in place.
        self.last_good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> Option<Arc<ClientConfig>> {
        self.lock().as_ref().map(|loaded| Arc::clone(&loaded.library))
    }

    fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        // Not locked while files are read.
        let previous = self.lock().clone();
        let previous = previous.as_deref();
        let read = Material::read(&self.config, previous.map(|loaded| &loaded.material));
        let loaded = match (read, previous) {
            (Ok(material), Some(loaded)) if material.is_same(&loaded.material) => {
                return Ok(Arc::clone(&loaded.library));
            }
            (Ok(material), _) => {
                self.library(&material).map(|library| Loaded { material, library })
            }
            (Err(error), _) => Err(error),
        };
        match (loaded, previous) {
            (Ok(loaded), _) => {
                let library = Arc::clone(&loaded.library);
                *self.lock() = Some(Arc::new(loaded));
                Ok(library)
            }
            (Err(error), Some(loaded)) => {
                tracing::warn!(%error, "new TLS files cannot be used, the last good ones are");
                Ok(Arc::clone(&loaded.library))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn library(&self, material: &Material) -> Result<Arc<ClientConfig>, TlsError> {
        let checks_host_name = self.config.checks_host_name;
        if !checks_host_name && (self.config.trust.is_empty() || self.config.trusts_system_too) {
            let detail = "without a host name check the trust store must be a file, and no other";
            return Err(TlsError::config("trust_store", detail));
        }
        let refused =
            |error: &dyn fmt::Display| TlsError::of(ErrorKind::Tls, format_args!("TLS: {error}"));
        let provider = provider();
        let roots = Arc::new(material.roots()?);
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| refused(&error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier {
                inner,
                roots,
                checks_host_name,
            }));
        let mut library = match material.identity()? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
                let detail = match error {
                    rustls::Error::InconsistentKeys(_) => {
                        "the client key is not that of the client certificate".to_owned()
                    }
                    error => format!("the client certificate cannot be used: {error}"),
                };
                TlsError::config("client_key", detail)
            })?,
        };
        // A session that is resumed would go on with the certificates of before.
        library.resumption = Resumption::disabled();
        library.alpn_protocols = self.protocol.name().map(<[u8]>::to_vec).into_iter().collect();
        Ok(Arc::new(library))
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("no certificate can be for the host name \"{host}\""))
}

fn failed<S>(error: &io::Error, io: &Heard<S>, peer: &Peer) -> TlsError {
    // A server that restarts ends a connection too, so a retry may succeed.
    let ended = |detail: fmt::Arguments<'_>| {
        TlsError::of(ErrorKind::ConnectionLost, detail).with_problem(TlsProblem::Ended)
    };
    match error.get_ref().and_then(|source| source.downcast_ref()) {
        Some(library) => TlsError::of_library(library, peer),
        None if io.has_received() => ended(format_args!(
            "the connection ended in the middle of the TLS handshake, which the server had begun \
             to answer: {error}"
        )),
        None => ended(format_args!(
            "the connection ended during the TLS handshake, the server may not speak TLS: {error}"
        )),
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsConnector").field(&self.shared.config).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_key() {
        let key = secrecy::SecretString::from("PRIVATE hunter2".to_owned());
        let config = TlsConfig::new().with_client_certificate_pem("CHAIN", &key);
        let shown = format!("{:?}", TlsConnector::new(&config, None));
        assert!(shown.starts_with("TlsConnector(TlsConfig {"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
