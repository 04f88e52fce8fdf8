//! Files with secrets.

use std::{fs::File, io::Read as _, path::Path};

use secrecy::{SecretString, zeroize::Zeroizing};

/// A limit far above real configurations.
const MAX_LEN: u64 = 1 << 20;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    #[error("it is a folder")]
    Folder,
    #[error("it is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("every user can read the secret in it (mode {0:04o}); change that with chmod 600")]
    Open(u32),
}

/// Reads a file with a secret, which other users must not be able to read. A pipe is no file.
pub(crate) fn read(path: &Path) -> Result<SecretString, FileError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(FileError::Folder);
    }
    check_mode(&metadata)?;
    // With its whole capacity from the start, no part of the secret is left behind by its growth.
    let capacity = metadata.len().min(MAX_LEN) + 1;
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(capacity).unwrap_or(0)));
    file.take(MAX_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LEN {
        return Err(FileError::TooLong);
    }
    Ok(SecretString::from(text.as_str()))
}

/// A group may read the file: containers give secrets to their user by a group.
#[cfg(unix)]
fn check_mode(metadata: &std::fs::Metadata) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;
    match metadata.permissions().mode() & 0o777 {
        mode if metadata.is_file() && mode & 0o007 != 0 => Err(FileError::Open(mode)),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_mode(_: &std::fs::Metadata) -> Result<(), FileError> {
    Ok(())
}
