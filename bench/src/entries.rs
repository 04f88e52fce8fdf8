//! Keys and values of the tables that are measured.

use bytes::Bytes;

/// The length of each key.
pub(crate) const KEY_LEN: usize = 12;

/// Returns the key of an entry.
pub(crate) fn key(number: u64) -> String {
    format!("key-{number:08}")
}

/// Returns a text as `pravega-client` stores it in its tables: CBOR.
pub(crate) fn cbor_text(text: &str) -> Bytes {
    const SHORT_TEXT: u8 = 0x60;
    const TEXT_WITH_U32: u8 = 0x7A;
    let mut stored = match u8::try_from(text.len()) {
        Ok(len) if len < 24 => vec![SHORT_TEXT + len],
        _ => {
            let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
            [&[TEXT_WITH_U32][..], &len.to_be_bytes()].concat()
        }
    };
    stored.extend_from_slice(text.as_bytes());
    stored.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_length_and_texts_are_stored_as_cbor() {
        assert_eq!(key(0).len(), KEY_LEN);
        assert_eq!(key(99_999).len(), KEY_LEN);
        assert_eq!(cbor_text("abc"), &b"\x63abc"[..]);
        let long = "x".repeat(100);
        assert_eq!(cbor_text(&long), [b"\x7A\0\0\0\x64", long.as_bytes()].concat());
    }
}
