//! Java's *modified* UTF-8, in which Pravega writes every string.
//!
//! It differs from UTF-8 in two ways: U+0000 is the two bytes `c0 80`, and a character above U+FFFF
//! is its two UTF-16 surrogates, three bytes each. A single zero byte is read as U+0000 too;
//! four-byte sequences are refused, as Java does.
//!
//! Java strings may hold a surrogate without its partner, which no Rust string can. Such text is
//! refused with
//! [`Problem::LoneSurrogate`]: names and tokens never contain one, and a replacement character
//! would make two different names equal.

use std::borrow::Cow;

use crate::{ErrorKind, classify};

/// Bytes that are not modified UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub struct InvalidModifiedUtf8 {
    /// The byte at which the bad sequence starts.
    pub at: usize,
    /// The reason.
    pub problem: Problem,
}

classify!(InvalidModifiedUtf8, |_| ErrorKind::InvalidArgument);

/// The reason why a sequence is invalid.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A byte that cannot start a sequence.
    #[error("invalid lead byte")]
    LeadByte,
    /// A byte that cannot continue a sequence, or the end inside one.
    #[error("sequence cut short")]
    Truncated,
    /// A surrogate without its partner.
    #[error("lone surrogate")]
    LoneSurrogate,
}

/// Returns the length of `text` in modified UTF-8, in bytes.
#[must_use]
pub fn encoded_len(text: &str) -> usize {
    text.len() + text.bytes().map(extra_bytes).sum::<usize>()
}

/// A NUL takes one byte more than in UTF-8; a character above U+FFFF (lead byte 0xF0 and up) two
/// more.
fn extra_bytes(byte: u8) -> usize {
    match byte {
        0 => 1,
        0xF0.. => 2,
        _ => 0,
    }
}

/// Passes `text` in modified UTF-8 to `put`, in several slices.
pub fn encode(text: &str, mut put: impl FnMut(&[u8])) {
    if text.bytes().all(|byte| extra_bytes(byte) == 0) {
        return put(text.as_bytes());
    }
    for character in text.chars() {
        match character {
            '\0' => put(&[0xC0, 0x80]),
            c if u32::from(c) > 0xFFFF => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    put(&three_bytes(*unit));
                }
            }
            c => put(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn three_bytes(unit: u16) -> [u8; 3] {
    [0xE0 | (unit >> 12) as u8, 0x80 | ((unit >> 6) & 0x3F) as u8, 0x80 | (unit & 0x3F) as u8]
}

/// Decodes modified UTF-8. Borrows if the bytes are plain UTF-8 too, as nearly all are.
///
/// # Errors
///
/// [`InvalidModifiedUtf8`] names the first bad sequence.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, InvalidModifiedUtf8> {
    match str::from_utf8(bytes) {
        Ok(text) if text.bytes().all(|byte| byte < 0xF0) => Ok(Cow::Borrowed(text)),
        _ => decode_slowly(bytes).map(Cow::Owned),
    }
}

fn decode_slowly(bytes: &[u8]) -> Result<String, InvalidModifiedUtf8> {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = Units { bytes, at: 0 };
    while let Some((at, unit)) = rest.next_unit()? {
        let lone = InvalidModifiedUtf8 { at, problem: Problem::LoneSurrogate };
        let character = match unit {
            0xD800..=0xDBFF => match rest.next_unit()? {
                Some((_, low @ 0xDC00..=0xDFFF)) => {
                    0x1_0000 + ((u32::from(unit) - 0xD800) << 10) + (u32::from(low) - 0xDC00)
                }
                _ => return Err(lone),
            },
            unit => u32::from(unit),
        };
        text.push(char::from_u32(character).ok_or(lone)?);
    }
    Ok(text)
}

/// Reads UTF-16 code units from a byte slice.
struct Units<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Units<'_> {
    fn next_unit(&mut self) -> Result<Option<(usize, u16)>, InvalidModifiedUtf8> {
        let at = self.at;
        let fail = |problem| Err(InvalidModifiedUtf8 { at, problem });
        let tail = |byte: Option<&u8>| match byte {
            Some(b) if b & 0xC0 == 0x80 => Some(u16::from(b & 0x3F)),
            _ => None,
        };
        let rest = self.bytes.get(at..).unwrap_or_default();
        let Some(first) = rest.first() else {
            return Ok(None);
        };
        let (unit, len) = match first {
            0x00..=0x7F => (u16::from(*first), 1),
            0xC0..=0xDF => match tail(rest.get(1)) {
                Some(second) => ((u16::from(first & 0x1F) << 6) | second, 2),
                None => return fail(Problem::Truncated),
            },
            0xE0..=0xEF => match (tail(rest.get(1)), tail(rest.get(2))) {
                (Some(second), Some(third)) => {
                    ((u16::from(first & 0x0F) << 12) | (second << 6) | third, 3)
                }
                _ => return fail(Problem::Truncated),
            },
            _ => return fail(Problem::LeadByte),
        };
        self.at += len;
        Ok(Some((at, unit)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode(text, |piece| out.extend_from_slice(piece));
        out
    }

    #[test]
    fn nul_and_supplementary_characters_take_their_java_form() {
        assert_eq!(encoded("a\0b"), [b'a', 0xC0, 0x80, b'b']);
        assert_eq!(encoded("🚀"), [0xED, 0xA0, 0xBD, 0xED, 0xBA, 0x80]);
        assert_eq!(decode(&[b'a', 0, b'b']).unwrap(), "a\0b");
    }

    #[test]
    fn bad_sequences_are_named_with_their_place() {
        let problem = |bytes: &[u8]| decode(bytes).map_err(|e| (e.at, e.problem)).unwrap_err();
        assert_eq!(problem(&[b'a', 0x80]), (1, Problem::LeadByte));
        assert_eq!(problem("🚀".as_bytes()), (0, Problem::LeadByte));
        assert_eq!(problem(&[0xC3]), (0, Problem::Truncated));
        assert_eq!(problem(&[0xE2, 0x82]), (0, Problem::Truncated));
        assert_eq!(problem(&[0xED, 0xA0, 0xBD]), (0, Problem::LoneSurrogate));
        assert_eq!(problem(&[b'x', 0xED, 0xBA, 0x80]), (1, Problem::LoneSurrogate));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            let bytes = encoded(&text);
            prop_assert_eq!(bytes.len(), encoded_len(&text));
            prop_assert_eq!(decode(&bytes).unwrap(), text);
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = decode(&bytes);
        }
    }
}
