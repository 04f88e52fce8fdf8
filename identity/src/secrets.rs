//! Texts of an issuer, which may repeat what the client has sent.

use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use crate::form;

/// What is not shown of a text of the issuer.
#[derive(Default)]
pub(crate) struct Secrets(Vec<Zeroizing<String>>);

impl Secrets {
    /// Adds a secret: as it is, and as the value of a form.
    pub(crate) fn add(&mut self, secret: &SecretString) {
        let encoded = form::encode(secret.expose_secret());
        // A form of a URL has no `+` for a space. The capacity is enough from the start.
        let mut of_url = Zeroizing::new(String::with_capacity(3 * encoded.len()));
        for (at, part) in encoded.split('+').enumerate() {
            of_url.push_str(if at > 0 { "%20" } else { "" });
            of_url.push_str(part);
        }
        self.0.extend([Zeroizing::new(secret.expose_secret().to_owned()), encoded, of_url]);
    }

    /// Removes the secrets from a text.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut secrets: Vec<&str> = self
            .0
            .iter()
            .map(|secret| secret.as_str())
            .filter(|secret| !secret.is_empty())
            .collect();
        // One may be a part of another.
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        let text = secrets.iter().fold(Zeroizing::new(text.to_owned()), |text, secret| {
            Zeroizing::new(text.replace(secret, "[REDACTED]"))
        });
        text.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_each_of_its_forms_and_with_one_that_is_a_part_of_it() {
        let mut secrets = Secrets::default();
        for secret in ["", "a b/c", "xx a b/c"] {
            secrets.add(&secret.into());
        }
        for form in ["a b/c", "a+b%2Fc", "a%20b%2Fc", "xx a b/c", "xx+a+b%2Fc"] {
            assert_eq!(secrets.hide(&format!("<{form}>, {form}")), "<[REDACTED]>, [REDACTED]");
        }
        assert_eq!(secrets.hide("a b"), "a b");
    }
}
