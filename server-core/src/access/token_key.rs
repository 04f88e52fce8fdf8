//! The key that signs tokens, and which keys are too weak for that.

use std::{collections::BTreeSet, fmt};

use super::keyed::{Key, is_same};

/// The shortest key, in bytes: as long as the signatures that it makes.
const LEAST_LEN: usize = 32;
/// The least number of different bytes. A key of 32 random digits, even hexadecimal ones, has more.
const LEAST_DIFFERENT: usize = 8;

/// The key that signs tokens. Servers that have the same one accept the tokens of each other.
#[derive(Clone)]
pub struct TokenKey(pub(super) Key);

/// A reason why a key is too weak: tokens could be forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeakKey {
    /// It has no bytes.
    Empty,
    /// It is short.
    Short {
        /// The length of the key, in bytes.
        len: usize,
    },
    /// It repeats few bytes.
    Repetitive {
        /// How many bytes of it are different from each other.
        different: usize,
    },
}

impl fmt::Display for WeakKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the key is empty"),
            Self::Short { len } => {
                write!(f, "the key is too short: {len} bytes; {LEAST_LEN} are the least")
            }
            Self::Repetitive { different } => write!(
                f,
                "the key is too simple: {different} different bytes; {LEAST_DIFFERENT} are the \
                 least"
            ),
        }
    }
}

impl TokenKey {
    /// Takes a key of random bytes, or of random text.
    ///
    /// # Errors
    ///
    /// [`WeakKey`] if it is empty, short, or repeats few bytes.
    pub fn new(key: &[u8]) -> Result<Self, WeakKey> {
        let different = key.iter().collect::<BTreeSet<_>>().len();
        match key.len() {
            0 => Err(WeakKey::Empty),
            len if len < LEAST_LEN => Err(WeakKey::Short { len }),
            _ if different < LEAST_DIFFERENT => Err(WeakKey::Repetitive { different }),
            _ => Ok(Self(Key::new(key))),
        }
    }

    /// Returns true if two keys are the same, in a time that does not depend on where they differ.
    pub fn is_same(&self, other: &Self) -> bool {
        is_same(&self.0.sign(&[]), &other.0.sign(&[]))
    }
}

impl fmt::Debug for TokenKey {
    /// Does not show the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_a_short_and_a_simple_key_are_each_refused_with_the_reason() {
        let reason = |key: &[u8]| TokenKey::new(key).unwrap_err().to_string();
        assert_eq!(reason(b""), "the key is empty");
        assert_eq!(reason(b"secret"), "the key is too short: 6 bytes; 32 are the least");
        assert_eq!(reason(&[7; 31]), "the key is too short: 31 bytes; 32 are the least");
        let simple = "the key is too simple: 7 different bytes; 8 are the least";
        assert_eq!(reason(&b"abcdefg".repeat(10)), simple);
    }

    #[test]
    fn random_bytes_and_random_text_are_keys() {
        let bytes: Vec<u8> = (0..32).collect();
        for key in [&bytes[..], b"9f86d081884c7d659a2feaa0c55ad015", &bytes.repeat(40)] {
            assert_eq!(format!("{:?}", TokenKey::new(key).unwrap()), "TokenKey");
        }
    }
}
