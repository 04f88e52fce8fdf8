//! The key that signs delegation tokens: given by the program, or read from a file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use pravega_sdk_server_core::access::{TokenKey, WeakKey};
use secrecy::ExposeSecret as _;

use crate::configured::Unusable;

/// Where the key comes from.
#[derive(Clone)]
pub(crate) enum Signing {
    /// From the program; what is wrong with it is reported when the server starts.
    Given(Result<Box<TokenKey>, WeakKey>),
    File(PathBuf),
}

impl fmt::Debug for Signing {
    /// Does not show the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Reads the key of a file: what is in it, without line breaks at the end. It blocks.
pub(crate) fn read_key(path: &Path) -> Result<TokenKey, Unusable> {
    let content =
        pravega_sdk_secret_file::read(path).map_err(|error| Unusable::secret(path, &error))?;
    let content = content.expose_secret();
    let breaks = content.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    let key = content.get(..content.len() - breaks).unwrap_or_default();
    TokenKey::new(key).map_err(|weak| Unusable::new(path, weak.to_string()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    use super::*;

    const KEY: &str = "9f86d081884c7d659a2feaa0c55ad015";

    #[test]
    fn each_file_that_is_no_key_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let shown = path.display();
        let reason = || read_key(&path).unwrap_err().to_string();
        assert_eq!(
            reason(),
            format!("{shown}: cannot read it: No such file or directory (os error 2)")
        );
        let write = |content: &[u8], mode: u32| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        };
        write(b"\r\n\n", 0o600);
        assert_eq!(reason(), format!("{shown}: the key is empty"));
        write(b"secret\n", 0o600);
        assert_eq!(reason(), format!("{shown}: the key is too short: 6 bytes; 32 are the least"));
        write(&vec![b'x'; (1 << 20) + 1], 0o600);
        assert_eq!(reason(), format!("{shown}: it has more than 1048576 bytes"));
        for mode in [0o644, 0o604, 0o620, 0o602] {
            write(KEY.as_bytes(), mode);
            let expected = format!(
                "{shown}: other users can read the secret in it, or change it (mode {mode:04o}): \
                 `chmod 600 {shown}`"
            );
            assert_eq!(reason(), expected);
            assert!(!reason().contains(KEY));
        }
    }

    #[test]
    fn a_key_is_the_same_with_and_without_a_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (content, mode) in [(KEY.to_owned(), 0o600), (format!("{KEY}\n"), 0o400)] {
            fs::remove_file(&path).ok();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let key = read_key(&path).unwrap();
            assert!(key.is_same(&TokenKey::new(KEY.as_bytes()).unwrap()));
        }
    }
}
