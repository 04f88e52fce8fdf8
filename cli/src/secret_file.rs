//! Files with a secret, which only their owner may read.

use std::path::Path;

use pravega_sdk_secret_file::SecretFileError;
use secrecy::{ExposeSecret as _, SecretString};

/// Reads a secret of one line. Its text is in no error.
pub(crate) fn first_line(path: &Path) -> Result<SecretString, String> {
    match read(path)?.expose_secret().lines().next() {
        Some(line) if !line.is_empty() => Ok(line.into()),
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

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Canary;

    #[test]
    fn no_copy_of_a_line_is_left_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (canary, path) = (Canary::new(), folder.path().join("secret"));
        canary.write(&path);
        let line = first_line(&path).unwrap();
        assert!(canary.is(line.expose_secret()));
        assert_eq!(canary.copies(), 1, "the file is dropped, the line is not");
        drop(line);
        assert_eq!(canary.copies(), 0);
    }
}
