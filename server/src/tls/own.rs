//! A key and a certificate that the server makes for itself.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use secrecy::zeroize::Zeroizing;

use super::config::MADE;
use crate::configured::Unusable;

const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

/// A certificate and its key, as PEM text.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
}

impl Pair {
    /// Makes a key, and a certificate for some names that is signed with it.
    pub(super) fn make(names: &[String]) -> Result<Self, Unusable> {
        let failed = |error: rcgen::Error| {
            Unusable::new(Path::new(MADE), format!("it cannot be made: {error}"))
        };
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "pravega");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2125, 1, 1);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { certificate: certificate.pem(), key: Zeroizing::new(key.serialize_pem()) })
    }
}

/// The certificate and the key in a folder, which are made if neither exists.
pub(super) fn in_folder(folder: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), Unusable> {
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    if certificate.exists() || key.exists() {
        return Ok((certificate, key));
    }
    let pair = Pair::make(names)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Unusable::io(folder, "cannot create the folder", &error))?;
    // The key first: a certificate without one would be taken for one that another key belongs to.
    let files = [(&key, &*pair.key, 0o600), (&certificate, &pair.certificate, 0o644)];
    for (path, text, mode) in files {
        write(path, text, mode).map_err(|error| Unusable::io(path, "cannot write it", &error))?;
    }
    Ok((certificate, key))
}

/// Writes a file that did not exist.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
