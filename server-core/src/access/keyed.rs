//! HMAC and PBKDF2 of SHA-256, and a comparison that does not tell where secrets differ.

use std::hint::black_box;

use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};

/// The length of a digest.
pub(super) const DIGEST: usize = 32;
/// The length of a block of SHA-256.
const BLOCK: usize = 64;

/// A key, with which messages are signed.
#[derive(Clone)]
pub(super) struct Key {
    inner: Sha256,
    outer: Sha256,
}

impl Key {
    /// RFC 2104: a key that is longer than a block counts by its digest.
    pub(super) fn new(key: &[u8]) -> Self {
        let digest: Zeroizing<[u8; DIGEST]>;
        let key = if key.len() > BLOCK {
            digest = Zeroizing::new(Sha256::digest(key).into());
            &digest[..]
        } else {
            key
        };
        let padded = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            Sha256::new().chain_update(&block[..])
        };
        Self { inner: padded(0x36), outer: padded(0x5C) }
    }

    /// The signature of a message that is in parts.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; DIGEST] {
        let mut inner = self.inner.clone();
        parts.iter().for_each(|part| inner.update(part));
        self.outer.clone().chain_update(inner.finalize()).finalize().into()
    }
}

/// RFC 8018, 5.2: as many bytes as asked for, derived from a password.
pub(super) fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32, len: usize) -> Vec<u8> {
    let key = Key::new(password);
    let mut derived = Vec::with_capacity(len.next_multiple_of(DIGEST));
    for number in 1_u32.. {
        if derived.len() >= len {
            break;
        }
        let mut last = key.sign(&[salt, &number.to_be_bytes()]);
        let mut block = last;
        for _ in 1..iterations {
            last = key.sign(&[&last]);
            block.iter_mut().zip(last).for_each(|(byte, next)| *byte ^= next);
        }
        derived.extend_from_slice(&block);
    }
    derived.truncate(len);
    derived
}

/// Compares secrets in a time that does not depend on where they differ.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |differences, (one, other)| {
        // The compiler must not end the loop at the first difference.
        black_box(differences | (one ^ other))
    });
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        let sign = |key: &[u8], message: &[u8]| hex(&Key::new(key).sign(&[message]));
        assert_eq!(
            sign(&[0x0B; 20], b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            sign(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            sign(&[0xAA; 131], long),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn derived_bytes_are_those_of_rfc_7914() {
        assert_eq!(
            hex(&pbkdf2(b"passwd", b"salt", 1, 64)),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
        );
    }

    #[test]
    fn secrets_are_the_same_only_if_every_bit_is() {
        let secret = Key::new(b"key").sign(&[b"secret"]);
        assert!(is_same(&secret, &Key::new(b"key").sign(&[b"sec", b"ret"])));
        for bit in 0..256 {
            let mut other = secret;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_same(&secret, &other), "bit {bit}");
        }
        assert!(!is_same(&secret, &secret[1..]));
        assert!(!is_same(&secret, &[]));
    }
}
