//! Which certificate and key a server has.

use std::path::PathBuf;

/// What errors call a pair that is in no file.
pub(super) const MADE: &str = "the certificate of the server";

/// The certificate and the key of a server, and where they come from.
///
/// All ports use them: those of the controller, of the segment stores, and of REST. Versions 1.2
/// and 1.3 of TLS are spoken; clients need no certificate.
#[derive(Debug, Clone)]
pub struct ServerTls {
    pub(crate) source: Source,
    pub(crate) names: Vec<String>,
}

/// Where the certificate and the key come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// PEM files.
    Files { certificate: PathBuf, key: PathBuf },
    /// Made by the server, which keeps them in a folder.
    MadeIn(PathBuf),
    /// Made by the server at its start.
    Made,
}

impl ServerTls {
    /// Uses the PEM file of a certificate, with those that signed it after it, and the PEM file of
    /// its key.
    ///
    /// When one of the files has changed, the next handshake uses the new pair. If that cannot be
    /// used, such as before both are written, the server warns and goes on with the one before.
    #[must_use]
    pub fn with_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (certificate.into(), key.into());
        Self::of(Source::Files { certificate, key })
    }

    /// Makes a key and a certificate that is signed with it, and keeps both in memory. Clients
    /// trust [`EmbeddedServer::certificate`](crate::EmbeddedServer::certificate).
    #[must_use]
    pub fn made_in_memory() -> Self {
        Self::of(Source::Made)
    }

    /// Uses `server.crt` and `server.key` of a folder as [`with_files`](Self::with_files) does. If
    /// neither exists, both are made first: a key that only the owner of the process may read, and
    /// a certificate that is signed with it, which clients trust. The folder is created if it does
    /// not exist.
    #[must_use]
    pub fn made_in(folder: impl Into<PathBuf>) -> Self {
        Self::of(Source::MadeIn(folder.into()))
    }

    /// Adds a name or an address by which clients call the server, for a certificate that it makes;
    /// `localhost`, the addresses of this machine for itself, and the one that it listens on are in
    /// it by default.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    fn of(source: Source) -> Self {
        let names = ["localhost", "127.0.0.1", "::1"];
        Self { source, names: names.map(str::to_owned).to_vec() }
    }
}
