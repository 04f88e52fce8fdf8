//! What errors need of a certificate beyond its verdict: names, the length of a key, and dates.
//!
//! Certificates come from the peer. A part that is not readable has no name and no length; every
//! step of a walk consumes bytes, so it ends.

use pravega_sdk_types::Printable;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OID: u8 = 6;
/// UTF-8, printable, Teletex and ASCII strings.
const STRINGS: [u8; 4] = [0x0C, 0x13, 0x14, 0x16];

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
/// The keys of PKCS #1, for any padding and for PSS alone.
const RSA: [&[u8]; 2] = [
    &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1],
    &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 10],
];

/// The longest name that is shown, in bytes.
const NAME_LEN: usize = 128;

/// An element, and the bytes after it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let digits = usize::from(first & 0x7F);
        // Without digits the length would be that of what follows, which DER does not have.
        if !(1..=4).contains(&digits) {
            return None;
        }
        let (digits, after) = rest.split_at_checked(digits)?;
        len = digits.iter().fold(0, |len, digit| (len << 8) | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(len)?;
    Some(Element { tag, content, rest })
}

fn element_of(tag: u8, bytes: &[u8]) -> Option<Element<'_>> {
    element(bytes).filter(|element| element.tag == tag)
}

/// Returns the common name, or else the organization, of a name without its outer tag, as text that
/// can be shown.
pub(crate) fn name(mut parts: &[u8]) -> Option<String> {
    let mut found = None;
    while let Some(set) = element(parts) {
        parts = set.rest;
        let Some((oid, value)) = attribute(set.content) else { continue };
        if oid == COMMON_NAME || (oid == ORGANIZATION && found.is_none()) {
            found = Some(Printable::with_limit(value, NAME_LEN).to_string());
        }
        if oid == COMMON_NAME {
            break;
        }
    }
    found
}

/// Returns the type and the text of the first attribute of a set.
fn attribute(set: &[u8]) -> Option<(&[u8], &str)> {
    let pair = element_of(SEQUENCE, set)?;
    let oid = element_of(OID, pair.content)?;
    let value = element(oid.rest).filter(|value| STRINGS.contains(&value.tag))?;
    Some((oid.content, std::str::from_utf8(value.content).ok()?))
}

/// Returns the length of an RSA key in bits, of a key with its algorithm; `None` for other keys.
pub(crate) fn rsa_bits(key: &[u8]) -> Option<usize> {
    let key = element_of(SEQUENCE, key)?;
    let algorithm = element_of(SEQUENCE, key.content)?;
    let oid = element_of(OID, algorithm.content)?;
    if !RSA.contains(&oid.content) {
        return None;
    }
    // The first byte is the number of unused bits, which is 0.
    let (_, numbers) = element_of(BIT_STRING, algorithm.rest)?.content.split_first()?;
    let modulus = element_of(INTEGER, element_of(SEQUENCE, numbers)?.content)?.content;
    let leading = modulus.iter().position(|byte| *byte != 0)?;
    let modulus = modulus.get(leading..)?;
    let unused = modulus.first()?.leading_zeros() as usize;
    Some(modulus.len() * 8 - unused)
}

/// Returns true if a certificate has a date, in seconds since 1970, as one of its own.
pub(crate) fn has_date(certificate: &[u8], seconds: u64) -> bool {
    let time = std::time::Duration::from_secs(seconds.min(MAX_SECONDS));
    let shown = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + time).to_string();
    let digits: Vec<u8> = shown.bytes().filter(u8::is_ascii_digit).chain([b'Z']).collect();
    // Years of two digits, until 2049, are the end of those of four.
    let Some(digits) = digits.get(2..) else { return false };
    certificate.windows(digits.len()).any(|window| window == digits)
}

/// The end of the year 9999.
const MAX_SECONDS: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORITY: &[u8] = &[
        0x31, 12, 0x30, 10, 6, 3, 0x55, 4, 10, 0x0C, 3, b'o', b'r', b'g', 0x31, 11, 0x30, 9, 6, 3,
        0x55, 4, 3, 0x13, 2, b'c', b'a',
    ];

    fn rsa(modulus: &[u8]) -> Vec<u8> {
        let wrapped = |tag: u8, content: &[u8]| {
            let len = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82], &len[..], content].concat()
        };
        let numbers = [wrapped(INTEGER, modulus), vec![INTEGER, 1, 3]].concat();
        let bits = [vec![0], wrapped(SEQUENCE, &numbers)].concat();
        let oid = [&[OID, 9], RSA[0], &[5, 0]].concat();
        wrapped(SEQUENCE, &[wrapped(SEQUENCE, &oid), wrapped(BIT_STRING, &bits)].concat())
    }

    #[test]
    fn the_common_name_is_the_name_and_else_the_organization() {
        assert_eq!(name(AUTHORITY).as_deref(), Some("ca"));
        assert_eq!(name(&AUTHORITY[..14]).as_deref(), Some("org"));
        assert_eq!(name(&AUTHORITY[14..]).as_deref(), Some("ca"));
        assert_eq!(name(&[]), None);
        let escape = [0x31, 10, 0x30, 8, 6, 3, 0x55, 4, 3, 0x0C, 1, 0x1B];
        assert_eq!(name(&escape).as_deref(), Some("\\u{1b}"));
    }

    #[test]
    fn the_length_of_an_rsa_key_is_that_of_its_modulus() {
        assert_eq!(rsa_bits(&rsa(&[[0].as_slice(), &[0xFF; 128]].concat())), Some(1024));
        assert_eq!(rsa_bits(&rsa(&[0x7F; 256])), Some(2047));
        assert_eq!(rsa_bits(&rsa(&[0; 256])), None);
        assert_eq!(rsa_bits(AUTHORITY), None);
    }

    #[test]
    fn bytes_that_are_cut_or_changed_anywhere_have_no_panic() {
        for whole in [AUTHORITY.to_vec(), rsa(&[0xFF; 128])] {
            for at in 0..whole.len() {
                let (cut, mut changed) = (&whole[..at], whole.clone());
                for byte in [0, 0x7F, 0x80, 0x81, 0x84, 0x85, 0xFF] {
                    changed[at] = byte;
                    name(&changed);
                    rsa_bits(&changed);
                }
                name(cut);
                assert_eq!(rsa_bits(cut), None);
            }
        }
    }

    #[test]
    fn a_date_is_found_in_both_of_its_forms() {
        assert!(has_date(b"\x17\x0d020101000000Z", 1_009_843_200));
        assert!(has_date(b"\x18\x0f20020101000000Z", 1_009_843_200));
        assert!(!has_date(b"\x17\x0d020101000001Z", 1_009_843_200));
        assert!(!has_date(b"", u64::MAX));
    }
}
