//! Texts with secrets in them.

use secrecy::{SecretString, zeroize::Zeroizing};

/// A secret of several parts. It has its whole capacity from the start, so that no part of it is
/// left in memory that it has outgrown.
#[must_use]
pub fn joined(parts: &[&str]) -> SecretString {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(len));
    parts.iter().for_each(|part| text.push_str(part));
    SecretString::from(text.as_str())
}
