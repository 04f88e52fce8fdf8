//! Bytes of streams and servers on a terminal.

use std::fmt::Write as _;

use pravega_sdk::types::Printable;

/// Returns bytes as text that cannot control a terminal: lines and tabs stay, other control
/// characters and those that hide text or change its direction are escaped, as are bytes that are
/// not UTF-8.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for piece in chunk.valid().split_inclusive(['\n', '\t']) {
            let text = piece.strip_suffix(['\n', '\t']).unwrap_or(piece);
            write!(shown, "{}", Printable::with_limit(text, usize::MAX)).ok();
            shown.extend(piece.get(text.len()..));
        }
        for byte in chunk.invalid() {
            write!(shown, "\\x{byte:02x}").ok();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_lines_and_tabs_stay_and_control_characters_are_escaped() {
        for (bytes, shown) in [
            (&b"one\ttwo\n\n"[..], "one\ttwo\n\n"),
            ("grün ✓".as_bytes(), "grün ✓"),
            (b"\x1b[2J\x07\r", r"\u{1b}[2J\u{7}\r"),
            // CSI in one character, a deletion, the end of a direction.
            ("\u{9b}31m\u{7f}\u{202e}".as_bytes(), r"\u{9b}31m\u{7f}\u{202e}"),
            (b"\x9b31m\xff\n", "\\x9b31m\\xff\n"),
            (b"", ""),
        ] {
            assert_eq!(escape(bytes), shown);
        }
    }

    #[test]
    fn no_byte_reaches_a_terminal_as_a_control_character() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let shown = escape(&[first, second]);
                let is_plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
                assert!(shown.chars().all(is_plain), "{first:#x} {second:#x}: {shown:?}");
            }
        }
    }
}
