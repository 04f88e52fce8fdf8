//! Files with a secret, which only their owner may read.

use std::{fs, io::Read as _, path::Path};

/// A limit far above real secrets.
const MAX_LEN: u64 = 1 << 20;

/// Reads a secret of one line. Its text is in no error.
pub(crate) fn first_line(path: &Path) -> Result<String, String> {
    match read(path)?.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("the first line of {} is empty", path.display())),
    }
}

/// Reads a file with a secret.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |reason: &dyn std::fmt::Display| format!("{shown} cannot be read: {reason}");
    let file = fs::File::open(path).map_err(|error| unreadable(&error))?;
    check_mode(path, &file.metadata().map_err(|error| unreadable(&error))?)?;
    let mut text = String::new();
    file.take(MAX_LEN).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    Ok(text)
}

/// Refuses a file that other users can read. A pipe or a terminal is no file.
#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        let shown = path.display();
        return Err(format!(
            "other users can read the secret in {shown} (mode {mode:04o}): `chmod 600 {shown}`, or \
             give it through a pipe"
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &fs::Metadata) -> Result<(), String> {
    Ok(())
}
