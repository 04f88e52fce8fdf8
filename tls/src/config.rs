//! What a client trusts, and its own certificate.

use std::{fmt, path::PathBuf, sync::Arc};

use secrecy::{SecretSlice, SecretString};

/// The TLS settings of a connection: versions 1.2 and 1.3, and the host name checked.
///
/// Files are PEM. They are read before each handshake, so a replaced file is used by the next
/// connection, and connections that exist go on. While a file cannot be used, perhaps because it
/// is being written, the last good ones are used.
///
/// Whether a certificate was revoked is not checked: authorities that can lose a key should issue
/// certificates for days.
///
/// # Examples
///
/// ```
/// use pravega_sdk_tls::TlsConfig;
///
/// let tls = TlsConfig::new()
///     .with_trust_file("/etc/pravega/authority.pem")
///     .with_client_certificate_files("/etc/pravega/client.pem", "/etc/pravega/client.key");
/// assert!(format!("{tls:?}").contains("client.pem"));
/// ```
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub(crate) trust: Vec<Pem>,
    pub(crate) trusts_system_too: bool,
    pub(crate) identity: Option<Identity>,
    pub(crate) server_name: Option<String>,
    pub(crate) checks_host_name: bool,
}

/// The client's own certificate.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) chain: Pem,
    pub(crate) key: Pem,
}

/// PEM text, and where it is from.
#[derive(Clone)]
pub(crate) enum Pem {
    File(PathBuf),
    /// Text, and its name in errors.
    Text(String, Arc<SecretSlice<u8>>),
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            trust: Vec::new(),
            trusts_system_too: false,
            identity: None,
            server_name: None,
            checks_host_name: true,
        }
    }
}

impl TlsConfig {
    /// Creates settings that trust the certificates that the system trusts, without a certificate
    /// of the client.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates of this file, and those signed by one of them, in place of those
    /// that the system trusts. May be called several times.
    #[must_use]
    pub fn with_trust_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust.push(Pem::File(path.into()));
        self
    }

    /// As [`Self::with_trust_file`], with the text itself, which errors call `name`.
    #[must_use]
    pub fn with_trust_pem(mut self, name: impl Into<String>, pem: impl Into<Vec<u8>>) -> Self {
        self.trust.push(Pem::text(name.into(), pem.into()));
        self
    }

    /// Trusts the certificates that the system trusts, and those of the files too.
    #[must_use]
    pub fn with_system_trust(mut self) -> Self {
        self.trusts_system_too = true;
        self
    }

    /// Presents the certificate of one file, with those between it and the authority after it, and
    /// its private key in another, or the same.
    #[must_use]
    pub fn with_client_certificate_files(
        mut self,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        let (chain, key) = (Pem::File(chain.into()), Pem::File(key.into()));
        self.identity = Some(Identity { chain, key });
        self
    }

    /// As [`Self::with_client_certificate_files`], with the texts themselves.
    #[must_use]
    pub fn with_client_certificate_pem(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: &SecretString,
    ) -> Self {
        use secrecy::ExposeSecret as _;
        let key = key.expose_secret().as_bytes().to_vec();
        self.identity = Some(Identity {
            chain: Pem::text("given as text".to_owned(), chain.into()),
            key: Pem::text("given as text".to_owned(), key),
        });
        self
    }

    /// Expects the peer's certificate to be for this name, and asks for that name, in place of the
    /// host of the address: for connections through a forwarded port.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts a trusted certificate for any host name. The owner of any trusted certificate can
    /// then impersonate every server: use this for tests, and for certificates that cannot be
    /// replaced. Needs a trust file or text, as authorities that the system trusts sign for
    /// everyone.
    #[must_use]
    pub fn dangerously_without_host_name_check(mut self) -> Self {
        self.checks_host_name = false;
        self
    }
}

#[cfg(feature = "_rustls")]
impl TlsConfig {
    /// Returns true if a part of the settings is in files, which may change.
    pub(crate) fn has_files(&self) -> bool {
        let identity = self.identity.iter().flat_map(|identity| [&identity.chain, &identity.key]);
        self.trust.iter().chain(identity).any(|pem| matches!(pem, Pem::File(_)))
    }
}

impl Pem {
    fn text(name: String, pem: Vec<u8>) -> Self {
        Self::Text(name, Arc::new(pem.into()))
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Text(name, _) => f.write_str(name),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let key = SecretString::from("PRIVATE hunter2".to_owned());
        let config = TlsConfig::new().with_client_certificate_pem("CHAIN", &key);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
