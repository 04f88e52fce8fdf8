//! Files with a secret in the clear: a password, a token, the secret of a client, a key that signs.
//!
//! One rule for all of them, on systems with the permissions of Unix, which is that of PostgreSQL
//! for its keys: a file is refused if another user than its owner can read or change it. A file of
//! the superuser may be readable for a group, as containers and service managers give secrets to a
//! process in this way.
//!
//! | owner | mode | |
//! |---|---|---|
//! | any | `0600`, `0400` | used |
//! | the superuser | `0640`, `0440` | used |
//! | another | `0640`, `0440` | refused |
//! | any | `0644`, `0660`, `0604` | refused |
//!
//! The rule is for the file that is read, where links lead, and for regular files: a pipe, a
//! terminal or what a shell gives as `<(…)` is used as it is.
//!
//! Deliberately absent: files of digests, such as those of accounts, and of certificates with their
//! keys, which other programs share.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use pravega_sdk_types::{ErrorKind, classify};
use secrecy::{SecretSlice, zeroize::Zeroizing};

/// The longest file, in bytes: far above real secrets.
const MAX_LEN: u64 = 1 << 20;

/// Why a file is not used. It shows nothing of the content.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It is a folder.
    #[error("it is a folder")]
    Folder,
    /// It is too long.
    #[error("it has more than {MAX_LEN} bytes")]
    TooLong,
    /// Other users have access to it.
    #[error(
        "other users can read the secret in it, or change it (mode {mode:04o}): `chmod 600 {}`",
        .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

classify!(SecretFileError, |_| ErrorKind::Config);

/// Reads a file with a secret. It blocks; a pipe does so until its writer has closed it.
///
/// # Errors
///
/// [`SecretFileError`] for a file that cannot be read, is longer than 1 MiB, or is one that other
/// users have access to.
pub fn read(path: impl AsRef<Path>) -> Result<SecretSlice<u8>, SecretFileError> {
    let path = path.as_ref();
    let file = File::open(path)?;
    // Of the file that is open: the path may be that of another one by now.
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(SecretFileError::Folder);
    }
    check_access(path, &metadata)?;
    // With its whole capacity from the start, no part of the secret in a regular file is left
    // behind by its growth.
    let capacity = usize::try_from(metadata.len().min(MAX_LEN) + 1).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(SecretFileError::TooLong);
    }
    Ok(bytes.to_vec().into())
}

#[cfg(unix)]
fn check_access(path: &Path, metadata: &Metadata) -> Result<(), SecretFileError> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = metadata.mode() & 0o777;
    if metadata.is_file() && is_open(metadata.uid(), mode) {
        return Err(SecretFileError::Open { path: path.to_owned(), mode });
    }
    Ok(())
}

/// The permissions of other systems are not known.
#[cfg(not(unix))]
fn check_access(_: &Path, _: &Metadata) -> Result<(), SecretFileError> {
    Ok(())
}

/// Returns true if others than its owner have access to a file; a group may read one of the
/// superuser.
#[cfg(unix)]
fn is_open(owner: u32, mode: u32) -> bool {
    const SUPERUSER: u32 = 0;
    let refused = if owner == SUPERUSER { 0o037 } else { 0o077 };
    mode & refused != 0
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
        thread,
    };

    use secrecy::ExposeSecret as _;

    use super::*;

    struct Scratch(tempfile::TempDir);

    impl Scratch {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, content: &[u8], mode: u32) -> PathBuf {
            let path = self.path("secret");
            fs::remove_file(&path).ok();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    fn content(path: &Path) -> Vec<u8> {
        read(path).unwrap().expose_secret().to_vec()
    }

    #[test]
    fn only_its_owner_has_access_but_a_group_may_read_a_file_of_the_superuser() {
        for (mode, of_superuser, of_another) in [
            (0o600, false, false),
            (0o400, false, false),
            (0o700, false, false),
            (0o000, false, false),
            (0o640, false, true),
            (0o440, false, true),
            (0o660, true, true),
            (0o620, true, true),
            (0o610, true, true),
            (0o750, true, true),
            (0o644, true, true),
            (0o604, true, true),
            (0o602, true, true),
            (0o601, true, true),
            (0o777, true, true),
        ] {
            let found = (is_open(0, mode), is_open(1000, mode));
            assert_eq!(found, (of_superuser, of_another), "{mode:04o}");
        }
    }

    #[test]
    fn a_file_for_its_owner_alone_is_read_and_one_for_others_is_refused_with_its_mode() {
        let scratch = Scratch::new();
        for mode in [0o600, 0o400] {
            assert_eq!(content(&scratch.write(b"hunter2\n", mode)), b"hunter2\n");
        }
        assert_eq!(content(&scratch.write(b"", 0o600)), b"");
        for mode in [0o644, 0o604, 0o660, 0o666] {
            let path = scratch.write(b"hunter2", mode);
            let error = read(&path).unwrap_err();
            let expected = format!(
                "other users can read the secret in it, or change it (mode {mode:04o}): \
                 `chmod 600 {}`",
                path.display()
            );
            assert_eq!((error.to_string(), error.kind()), (expected, ErrorKind::Config));
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn the_permissions_that_count_are_those_of_the_file_where_a_link_leads() {
        let scratch = Scratch::new();
        let link = scratch.path("link");
        symlink(scratch.write(b"x", 0o600), &link).unwrap();
        assert_eq!(content(&link), b"x");
        scratch.write(b"x", 0o644);
        assert!(matches!(read(&link), Err(SecretFileError::Open { mode: 0o644, .. })));
    }

    #[test]
    fn a_pipe_is_read_whatever_its_permissions_are() {
        let scratch = Scratch::new();
        let path = scratch.path("pipe");
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o666));
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
        let writer = {
            let path = path.clone();
            thread::spawn(move || fs::write(path, "hunter2").unwrap())
        };
        assert_eq!(content(&path), b"hunter2");
        writer.join().unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        let scratch = Scratch::new();
        let reason = |path: &Path| read(path).unwrap_err().to_string();
        assert_eq!(reason(&scratch.path("none")), "No such file or directory (os error 2)");
        assert_eq!(reason(scratch.0.path()), "it is a folder");
        let longest = scratch.write(&vec![b'x'; MAX_LEN as usize], 0o600);
        assert_eq!(content(&longest).len() as u64, MAX_LEN);
        let long = scratch.write(&vec![b'x'; MAX_LEN as usize + 1], 0o600);
        assert_eq!(reason(&long), "it has more than 1048576 bytes");
        // An endless one, which is no regular file.
        assert_eq!(reason(Path::new("/dev/zero")), "it has more than 1048576 bytes");
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let scratch = Scratch::new();
        let shown = format!("{:?}", read(scratch.write(b"hunter2", 0o600)).unwrap());
        assert!(shown.contains("REDACTED"), "{shown}");
    }
}
