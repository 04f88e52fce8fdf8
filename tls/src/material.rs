//! The PEM files of a configuration, and what is in them.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use rustls::RootCertStore;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::{TlsConfig, TlsError, config::Pem};

/// A limit far above real files.
const MAX_FILE_LEN: u64 = 16 * 1024 * 1024;

const TRUST_STORE: &str = "trust_store";
const CERTIFICATE: &str = "client_certificate";
const KEY: &str = "client_key";

/// The contents of all files of a configuration, at one time.
pub(crate) struct Material {
    trust: Vec<Content>,
    identity: Option<(Content, Content)>,
    /// The authorities that the system trusts, if they count. They are read once.
    system: Option<Arc<Vec<CertificateDer<'static>>>>,
}

/// The content of a file, and what errors call it.
struct Content {
    setting: &'static str,
    name: String,
    pem: Arc<SecretSlice<u8>>,
}

/// A certificate chain with its key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Material {
    /// Reads the files; `previous` has the system's authorities, if they were read before.
    pub(crate) fn read(config: &TlsConfig, previous: Option<&Self>) -> Result<Self, TlsError> {
        let trust = config.trust.iter().map(|pem| Content::read(TRUST_STORE, pem));
        let identity = config.identity.as_ref().map(|identity| {
            let chain = Content::read(CERTIFICATE, &identity.chain)?;
            Ok::<_, TlsError>((chain, Content::read(KEY, &identity.key)?))
        });
        let trusts_system = config.trust.is_empty() || config.trusts_system_too;
        let known = previous.and_then(|previous| previous.system.clone());
        let system = trusts_system.then(|| known.unwrap_or_else(system_authorities));
        Ok(Self {
            trust: trust.collect::<Result<_, _>>()?,
            identity: identity.transpose()?,
            system,
        })
    }

    /// Returns true if the files have the same contents.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.trust.len() == other.trust.len()
            && self.trust.iter().zip(&other.trust).all(|(one, two)| one.id() == two.id())
            && self.identity_ids() == other.identity_ids()
    }

    fn identity_ids(&self) -> Option<[&[u8]; 2]> {
        self.identity.as_ref().map(|(chain, key)| [chain.id(), key.id()])
    }

    /// Returns the trusted certificates.
    pub(crate) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for content in &self.trust {
            for certificate in content.certificates()? {
                roots.add(certificate).map_err(|error| {
                    let name = &content.name;
                    let detail =
                        format_args!("a certificate of trust store {name} is bad: {error}");
                    TlsError::config(TRUST_STORE, detail)
                })?;
            }
        }
        if let Some(system) = &self.system {
            // One unusable certificate among the hundreds of a system does not matter.
            roots.add_parsable_certificates(system.iter().cloned());
        }
        if roots.is_empty() {
            let detail = "the system trusts no certificate: name a trust store";
            return Err(TlsError::config(TRUST_STORE, detail));
        }
        Ok(roots)
    }

    /// Returns the client's certificate and key, if it has one.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, TlsError> {
        let Some((chain, key)) = &self.identity else { return Ok(None) };
        Ok(Some((chain.certificates()?, key.key()?)))
    }
}

impl Content {
    fn read(setting: &'static str, pem: &Pem) -> Result<Self, TlsError> {
        let name = pem.to_string();
        let pem = match pem {
            Pem::Text(_, text) => Arc::clone(text),
            Pem::File(path) => Arc::new(read_file(path).map_err(|reason| {
                let what = shown(setting);
                TlsError::config(setting, format_args!("{what} {name} cannot be read: {reason}"))
            })?),
        };
        Ok(Self { setting, name, pem })
    }

    fn id(&self) -> &[u8] {
        self.pem.expose_secret()
    }

    /// Returns the certificates; at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let (what, name) = (shown(self.setting), &self.name);
        let found = CertificateDer::pem_slice_iter(self.pem.expose_secret());
        let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| {
            let detail = format_args!("{what} {name} is not PEM: {error}");
            TlsError::config(self.setting, detail)
        })?;
        if found.is_empty() {
            let detail = match self.pem.expose_secret() {
                [] => format!("{what} {name} is empty"),
                _ => format!("{what} {name} holds no PEM certificate"),
            };
            return Err(TlsError::config(self.setting, detail));
        }
        Ok(found)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let name = &self.name;
        // The library's errors may quote the text.
        PrivateKeyDer::from_pem_slice(self.pem.expose_secret()).map_err(|error| {
            let detail = match error {
                pem::Error::NoItemsFound => format!("client key {name} holds no PEM private key"),
                _ => format!("client key {name} is not PEM"),
            };
            TlsError::config(KEY, detail)
        })
    }
}

fn shown(setting: &'static str) -> &'static str {
    match setting {
        CERTIFICATE => "client certificate",
        KEY => "client key",
        _ => "trust store",
    }
}

fn read_file(path: &Path) -> Result<SecretSlice<u8>, String> {
    if path.is_dir() {
        return Err("it is a folder, not a PEM file".to_owned());
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(MAX_FILE_LEN + 1).read_to_end(&mut content);
    read.map_err(|error| error.to_string())?;
    if content.len() as u64 > MAX_FILE_LEN {
        return Err(format!("it is longer than {MAX_FILE_LEN} bytes"));
    }
    Ok(content.into())
}

fn system_authorities() -> Arc<Vec<CertificateDer<'static>>> {
    Arc::new(rustls_native_certs::load_native_certs().certs)
}
