//! Who the client is, and how it proves that.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_controller_client::secret::joined;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{form, secrets::Secrets};

/// How a client of OpenID Connect sends its secret.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: in the header `Authorization`, which every issuer supports.
    #[default]
    Basic,
    /// `client_secret_post`: in the body of the request.
    Post,
}

/// A client of an issuer.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) proof: Proof,
}

/// What proves who the client is.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// The secret in a header.
    Basic { secret: SecretString, encoding: Encoding },
    /// The secret in the body.
    Post { secret: SecretString },
    /// Nothing: a public client names itself.
    None,
}

/// How id and secret are written into a header of the method `Basic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Each as the value of a form, RFC 6749, 2.3.1.
    Form,
    /// As they are.
    Raw,
}

impl Client {
    /// Returns what is secret of a login, in whatever form it is sent.
    pub(crate) fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        match &self.proof {
            Proof::Basic { secret, .. } | Proof::Post { secret } => secrets.add(secret),
            Proof::None => {}
        }
        if let Some(pair) = self.pair() {
            secrets.add(&pair);
        }
        secrets
    }

    /// Returns true if the two encodings of id and secret differ, so that an issuer which expects
    /// the other one refuses the client.
    pub(crate) fn depends_on_encoding(&self) -> bool {
        let Proof::Basic { secret, .. } = &self.proof else { return false };
        [self.id.as_str(), secret.expose_secret()]
            .iter()
            .any(|text| form::encode(text).as_str() != *text)
    }

    /// Returns the header of a login, if there is one.
    pub(crate) fn authorization(&self) -> Option<SecretString> {
        self.pair().map(|pair| joined(&["Basic ", pair.expose_secret()]))
    }

    /// Returns id and secret as the method `Basic` has them, if it is used.
    fn pair(&self) -> Option<SecretString> {
        let Proof::Basic { secret, encoding } = &self.proof else { return None };
        let secret = secret.expose_secret();
        let pair = match encoding {
            Encoding::Form => {
                let (id, secret) = (form::encode(&self.id), form::encode(secret));
                joined(&[&id, ":", &secret])
            }
            Encoding::Raw => joined(&[&self.id, ":", secret]),
        };
        Some(SecretString::from(BASE64.encode(pair.expose_secret())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(secret: &str, encoding: Encoding) -> Client {
        let proof = Proof::Basic { secret: secret.into(), encoding };
        Client { id: "my client".to_owned(), proof }
    }

    fn decoded(client: &Client) -> String {
        let header = client.authorization().unwrap();
        let encoded = header.expose_secret().strip_prefix("Basic ").unwrap();
        String::from_utf8(BASE64.decode(encoded).unwrap()).unwrap()
    }

    #[test]
    fn id_and_secret_are_encoded_each_or_sent_as_they_are() {
        assert_eq!(decoded(&client("s3cr:t/+", Encoding::Form)), "my+client:s3cr%3At%2F%2B");
        assert_eq!(decoded(&client("s3cr:t/+", Encoding::Raw)), "my client:s3cr:t/+");
        assert!(client("x", Encoding::Raw).depends_on_encoding());
        let plain = Client { id: "c".to_owned(), ..client("aZ09-._", Encoding::Form) };
        assert!(!plain.depends_on_encoding());
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", client("hunter2", Encoding::Form));
        assert!(!shown.contains("hunter2") && shown.contains("REDACTED"), "{shown}");
    }
}
