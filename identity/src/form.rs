//! Bodies of requests: `application/x-www-form-urlencoded`.

use form_urlencoded::byte_serialize;
use secrecy::{SecretString, zeroize::Zeroizing};

/// Encodes a text. The result has its whole capacity from the start, so that no part of a secret is
/// left in memory that it has outgrown.
pub(crate) fn encode(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    encoded.extend(byte_serialize(text.as_bytes()));
    encoded
}

/// Encodes a form. Its fields are secret.
pub(crate) fn form(fields: &[(&str, &str)]) -> SecretString {
    let capacity: usize =
        fields.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut body = Zeroizing::new(String::with_capacity(capacity));
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        body.extend(byte_serialize(name.as_bytes()));
        body.push('=');
        body.extend(byte_serialize(value.as_bytes()));
    }
    SecretString::from(body.as_str())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_form_is_encoded_as_java_does_it() {
        let body = form(&[("grant_type", "urn:ietf:x"), ("b", "ü &=+%*~"), ("empty", "")]);
        assert_eq!(
            body.expose_secret(),
            "grant_type=urn%3Aietf%3Ax&b=%C3%BC+%26%3D%2B%25*%7E&empty="
        );
        assert_eq!(encode("s3cr:t/+").as_str(), "s3cr%3At%2F%2B");
    }
}
