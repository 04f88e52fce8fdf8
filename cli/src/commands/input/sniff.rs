//! Recognizes input that is unlikely to consist of lines.

/// The first bytes of formats in which `\n` ends no line.
const FORMATS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
];
/// Bytes in which a NUL is searched, as grep does.
const SEARCHED: usize = 8192;

/// Returns a warning about the input that begins with `chunk`, if it is no text.
pub(super) fn warning(chunk: &[u8]) -> Option<String> {
    let known = FORMATS.iter().find(|(magic, _)| chunk.starts_with(magic));
    let what = match known {
        Some((_, name)) => format!("{name} data"),
        None if chunk.iter().take(SEARCHED).any(|byte| *byte == 0) => "binary data".to_owned(),
        None => return None,
    };
    Some(format!(
        "warning: the input looks like {what}, and each \\n in it ends an event; decode it first, \
         or use --length-prefixed or --raw-lines"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_and_binary_input_gets_a_warning_and_text_does_not() {
        for (chunk, name) in [
            (&b"\x1f\x8b\x08"[..], "gzip data"),
            (b"PK\x03\x04", "zip data"),
            (b"\xff\xfea\0", "UTF-16 data"),
            (b"abc\0", "binary data"),
        ] {
            let warning = warning(chunk).unwrap();
            assert!(warning.contains(name), "{warning}");
        }
        for chunk in [&b""[..], b"text\n", b"\xff\x00"[..1].as_ref(), "öäü".as_bytes()] {
            assert_eq!(warning(chunk), None);
        }
    }
}
