//! Files with a secret, which only their owner may read.

use std::path::Path;

use pravega_sdk_secret_file::SecretFileError;
use secrecy::{ExposeSecret as _, SecretString};

/// Reads a secret of one line. Its text is in no error.
pub(crate) fn first_line(path: &Path) -> Result<String, String> {
    match read(path)?.expose_secret().lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("the first line of {} is empty", path.display())),
    }
}

/// Reads a file with a secret.
pub(crate) fn read(path: &Path) -> Result<SecretString, String> {
    let shown = path.display();
    let bytes = pravega_sdk_secret_file::read(path).map_err(|error| match error {
        SecretFileError::Open { .. } => {
            format!("{shown} is not used: {error}, or give it through a pipe")
        }
        error => format!("{shown} cannot be read: {error}"),
    })?;
    match str::from_utf8(bytes.expose_secret()) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(format!("{shown} cannot be read: it is not UTF-8")),
    }
}
