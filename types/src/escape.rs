//! Escaping of text from outside, for logs and errors.

use std::fmt;

/// Shows text from a peer or a user: control characters escaped, cut at a limit.
///
/// A server's message may hold terminal escapes, line breaks, or a megabyte of stack trace. Errors
/// and logs of the SDK show such text only through this type.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::Printable;
///
/// assert_eq!(Printable::new("a\u{1b}[31m\nb").to_string(), r"a\u{1b}[31m\nb");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a> {
    text: &'a str,
    max_bytes: usize,
}

impl<'a> Printable<'a> {
    /// The default limit, in bytes: 1 KiB, escapes included.
    pub const DEFAULT_MAX_BYTES: usize = 1024;

    /// Wraps `text`, cut after [`Self::DEFAULT_MAX_BYTES`].
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self::with_limit(text, Self::DEFAULT_MAX_BYTES)
    }

    /// Wraps `text`, cut before its shown form exceeds `max_bytes` bytes.
    #[must_use]
    pub fn with_limit(text: &'a str, max_bytes: usize) -> Self {
        Self { text, max_bytes }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.max_bytes;
        for character in self.text.chars() {
            let mut plain = [0; 4];
            let escaped;
            let piece = match character {
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                c if is_deceptive(c) => {
                    escaped = format!("\\u{{{:x}}}", u32::from(c));
                    escaped.as_str()
                }
                c => c.encode_utf8(&mut plain),
            };
            let Some(rest) = left.checked_sub(piece.len()) else {
                return write!(f, "… ({} bytes in all)", self.text.len());
            };
            left = rest;
            f.write_str(piece)?;
        }
        Ok(())
    }
}

/// Returns true for characters that move the cursor, hide text or change its direction.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_escaped() {
        assert_eq!(Printable::new("a\0b\u{202e}c\u{7f}").to_string(), r"a\u{0}b\u{202e}c\u{7f}");
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(Printable::with_limit("ééé", 3).to_string(), "é… (6 bytes in all)");
        assert_eq!(Printable::with_limit("\u{1}\u{1}", 7).to_string(), "\\u{1}… (2 bytes in all)");
        let megabyte = "\u{1b}".repeat(1 << 20);
        assert!(Printable::new(&megabyte).to_string().len() < 1100);
    }
}
