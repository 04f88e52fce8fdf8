//! How a secret may look in text.
//!
//! Text is compared without white space, so that a form is found though a line of it is wrapped, as
//! base64 is in PEM, or spread, as bytes are in `{:#?}` and in a dump.

use std::{collections::BTreeMap, fmt::Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

/// The shortest form that is searched: a shorter one would be found in other text.
const LEAST_LEN: usize = 8;

/// What a percent encoding makes of a byte.
struct Percent {
    is_kept: fn(u8) -> bool,
    digits: fn(u8) -> String,
    space: &'static str,
}

/// The forms of a secret, without white space, each with its name.
///
/// # Panics
///
/// If the secret is too short.
pub(super) fn of(secret: &[u8]) -> BTreeMap<Vec<u8>, String> {
    let mut forms = BTreeMap::new();
    let mut add = |name: String, form: Vec<u8>| {
        let form = squeezed(&form);
        assert!(form.len() >= LEAST_LEN, "a canary is too short to be found as {name}");
        forms.entry(form).or_insert(name);
    };
    add("raw".to_owned(), secret.to_vec());
    add("escaped bytes".to_owned(), secret.escape_ascii().to_string().into_bytes());
    if let Ok(text) = std::str::from_utf8(secret) {
        for (name, form) in [
            ("escaped", format!("{text:?}")),
            ("escaped in full", format!("\"{}\"", text.escape_default())),
            ("JSON", serde_json::Value::from(text).to_string()),
        ] {
            let without_quotes = &form[1..form.len() - 1];
            add(name.to_owned(), without_quotes.as_bytes().to_vec());
        }
    }
    for alignment in 0..3 {
        let (standard, url_safe) = base64(secret, alignment);
        add(format!("base64 at {alignment}"), standard);
        add(format!("base64 for URLs at {alignment}"), url_safe);
    }
    for separator in ["", ":", "-", ",", ",0x", "\\x"] {
        let lower = joined(secret, separator, |byte| format!("{byte:02x}"));
        add(format!("hex with {separator:?}"), lower);
        let upper = joined(secret, separator, |byte| format!("{byte:02X}"));
        add(format!("HEX with {separator:?}"), upper);
    }
    add("list".to_owned(), joined(secret, ",", |byte| byte.to_string()));
    add("list of signed".to_owned(), joined(secret, ",", |byte| byte.cast_signed().to_string()));
    let upper: fn(u8) -> String = |byte| format!("%{byte:02X}");
    let lower: fn(u8) -> String = |byte| format!("%{byte:02x}");
    for (digits, case) in [(upper, "upper"), (lower, "lower")] {
        let part = Percent { is_kept: is_unreserved, digits, space: "%20" };
        add(format!("percent-encoded, {case} case"), percent(secret, &part));
        let form = Percent { space: "+", ..part };
        add(format!("field of a form, {case} case"), percent(secret, &form));
        let whole = Percent { is_kept: |_| false, digits, space: "%20" };
        add(format!("percent-encoded in full, {case} case"), percent(secret, &whole));
    }
    forms
}

/// Text without white space.
pub(super) fn squeezed(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// The characters that depend on the secret alone, if 0, 1 or 2 bytes are before it in the group of
/// three in which it begins. In the plain alphabet, and in that of URLs.
fn base64(secret: &[u8], alignment: usize) -> (Vec<u8>, Vec<u8>) {
    let padded = [&vec![0; alignment], secret].concat();
    let encoded = BASE64_STANDARD_NO_PAD.encode(&padded).into_bytes();
    // A character is six bits.
    let (start, end) = ((alignment * 8).div_ceil(6), padded.len() * 8 / 6);
    let inner = encoded[start..end].to_vec();
    let url_safe = inner
        .iter()
        .map(|character| match character {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect();
    (inner, url_safe)
}

fn joined(secret: &[u8], separator: &str, form: impl Fn(u8) -> String) -> Vec<u8> {
    secret.iter().map(|byte| form(*byte)).collect::<Vec<_>>().join(separator).into_bytes()
}

/// The characters that need no encoding (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn percent(secret: &[u8], how: &Percent) -> Vec<u8> {
    let mut text = String::new();
    for byte in secret {
        match byte {
            b' ' => text.push_str(how.space),
            byte if (how.is_kept)(*byte) => text.push(char::from(*byte)),
            byte => write!(text, "{}", (how.digits)(*byte)).unwrap(),
        }
    }
    text.into_bytes()
}
