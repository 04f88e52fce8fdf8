//! The certificate and the key in use. Their files are read again after they have changed.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustls::{
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::time::timeout;

use super::{
    config::{MADE, ServerTls, Source},
    own,
};
use crate::{
    configured::{Contents, Followed, Unusable},
    limits::FILES,
    locks::lock,
};

/// A pair that can be used.
#[derive(Clone)]
struct Loaded {
    key: Arc<CertifiedKey>,
    /// The PEM text of the certificates.
    text: Arc<str>,
}

impl Loaded {
    fn parse(
        [certificate_path, key_path]: [&Path; 2],
        [certificate, key]: [&[u8]; 2],
        provider: &CryptoProvider,
    ) -> Result<Self, Unusable> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| {
            Unusable::new(certificate_path, format!("it is no PEM file: {error}"))
        })?;
        if chain.is_empty() {
            return Err(Unusable::new(certificate_path, "it holds no PEM certificate"));
        }
        // What the library says of a key may show parts of it.
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| Unusable::new(key_path, "it holds no PEM key that can be used"))?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let path = certificate_path.display();
                Unusable::new(key_path, format!("it is not the key of the certificate {path}"))
            }
            error => Unusable::new(certificate_path, format!("it cannot be used: {error}")),
        })?;
        // Not the text of the file, which may have the key as well.
        let text = key.cert.iter().map(|certificate| pem(certificate)).collect::<String>().into();
        Ok(Self { key: Arc::new(key), text })
    }
}

/// The PEM text of a certificate: RFC 7468, lines of 64 characters.
fn pem(certificate: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    // 48 bytes are 64 characters.
    for line in certificate.chunks(48) {
        BASE64.encode_string(line, &mut text);
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// The certificate and the key of a server.
pub(crate) struct Certificates {
    provider: Arc<CryptoProvider>,
    /// The files of the certificate and of the key, if there are any.
    files: Option<Followed<2>>,
    current: Mutex<Loaded>,
    /// One thread at a time sees whether the files have changed.
    checking: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for Certificates {
    /// Shows where they come from; not the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.as_ref().map(Followed::paths);
        f.debug_struct("Certificates").field("files", &files).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads the files, or makes a pair. It blocks.
    pub(crate) fn open(tls: &ServerTls) -> Result<Self, Unusable> {
        // The provider is named, never the one of the process: with two linked, that would panic.
        let provider = Arc::new(ring::default_provider());
        let files = match &tls.source {
            Source::Files { certificate, key } => Some((certificate.clone(), key.clone())),
            Source::MadeIn(folder) => Some(own::in_folder(folder, &tls.names)?),
            Source::Made => None,
        };
        let (files, loaded) = match files {
            Some((certificate, key)) => {
                let (files, pair) = Followed::open([certificate, key])?;
                let loaded = parse(&files, &pair, &provider)?;
                (Some(files), loaded)
            }
            None => {
                let own::Pair { certificate, key } = own::Pair::make(&tls.names)?;
                let pair = [certificate.as_bytes(), key.as_bytes()];
                (None, Loaded::parse([Path::new(MADE); 2], pair, &provider)?)
            }
        };
        Ok(Self { provider, files, current: Mutex::new(loaded), checking: Arc::default() })
    }

    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    /// The PEM text of the certificates that clients are shown.
    pub(crate) fn text(&self) -> String {
        lock(&self.current).text.to_string()
    }

    /// Reads the files again if they have changed. If that takes long, the pair before is used.
    pub(super) async fn refresh(self: &Arc<Self>) {
        if self.files.is_none() {
            return;
        }
        let refreshing = async {
            // One at a time: clients decide how many handshakes there are, and files block a
            // thread.
            let checking = Arc::clone(&self.checking).lock_owned().await;
            let checked = Arc::clone(self);
            let check = move || {
                // The next one waits for the thread, also if no handshake waits for its result.
                let _checking = checking;
                checked.check();
            };
            tokio::task::spawn_blocking(check).await.ok();
        };
        if timeout(FILES, refreshing).await.is_err() {
            tracing::debug!("the files of the certificate cannot be read in time");
        }
    }

    fn check(&self) {
        let Some(files) = &self.files else { return };
        let Some(news) = files.news().transpose() else { return };
        match news.and_then(|pair| parse(files, &pair, &self.provider)) {
            Ok(loaded) => {
                let [certificate, _] = files.paths();
                tracing::info!(certificate = %certificate.display(), "a new certificate");
                *lock(&self.current) = loaded;
            }
            Err(unusable) => {
                tracing::warn!(%unusable, "the certificate before is used on");
            }
        }
    }
}

/// What is in the files of a certificate and its key.
fn parse(
    files: &Followed<2>,
    pair: &Contents<2>,
    provider: &CryptoProvider,
) -> Result<Loaded, Unusable> {
    let paths = files.paths().each_ref().map(PathBuf::as_path);
    Loaded::parse(paths, pair.each_ref().map(|content| content.as_slice()), provider)
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&lock(&self.current).key))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::configured::MOST;

    fn in_folder(folder: &Path) -> Result<Certificates, Unusable> {
        Certificates::open(&ServerTls::made_in(folder))
    }

    #[test]
    fn a_made_key_is_only_for_its_owner_and_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let first = in_folder(&folder).unwrap().text();
        let mode = |name| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("server.key"), 0o600);
        assert_eq!(in_folder(&folder).unwrap().text(), first);
        fs::remove_file(folder.join("server.key")).unwrap();
        let unusable = in_folder(&folder).unwrap_err();
        assert_eq!(unusable.path, folder.join("server.key"));
        assert!(!folder.join("server.key").exists(), "a key was made for another certificate");
    }

    #[test]
    fn a_pair_that_cannot_be_used_is_named_with_the_reason() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        in_folder(one.path()).unwrap();
        in_folder(other.path()).unwrap();
        let (certificate, key) = (one.path().join("server.crt"), other.path().join("server.key"));
        let tls = ServerTls::with_files(&certificate, &key);
        let reason = || Certificates::open(&tls).unwrap_err().to_string();
        let expected = format!(
            "{}: it is not the key of the certificate {}",
            key.display(),
            certificate.display()
        );
        assert_eq!(reason(), expected);
        fs::write(&key, "secret").unwrap();
        assert_eq!(reason(), format!("{}: it holds no PEM key that can be used", key.display()));
        fs::write(&certificate, "").unwrap();
        assert_eq!(reason(), format!("{}: it holds no PEM certificate", certificate.display()));
        fs::write(&certificate, vec![b'x'; MOST as usize + 1]).unwrap();
        let too_long = format!("{}: it has more than 1048576 bytes", certificate.display());
        assert_eq!(reason(), too_long);
    }

    #[test]
    fn a_changed_pair_is_used_once_both_files_are_there() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (in_folder(one.path()).unwrap(), in_folder(other.path()).unwrap());
        let replace = |name| fs::copy(other.path().join(name), one.path().join(name)).unwrap();
        replace("server.crt");
        first.check();
        assert_ne!(first.text(), second.text(), "a certificate without its key is used");
        replace("server.key");
        first.check();
        assert_eq!(first.text(), second.text());
        fs::remove_file(one.path().join("server.crt")).unwrap();
        first.check();
        assert_eq!(first.text(), second.text(), "a pair that is gone is used on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_does_not_wait_for_files_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Arc::new(in_folder(folder.path()).unwrap());
        // A thread that reads them hangs.
        let _checking = Arc::clone(&certificates.checking).lock_owned().await;
        let refreshed = timeout(2 * FILES, certificates.refresh()).await;
        assert!(refreshed.is_ok());
    }

    #[test]
    fn debug_output_shows_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let shown = format!("{:?}", in_folder(folder.path()).unwrap());
        assert!(shown.starts_with("Certificates { files: Some([\""), "{shown}");
        assert!(!shown.contains("current"), "{shown}");
    }
}
