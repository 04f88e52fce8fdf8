//! A client of an issuer of OpenID Connect.

use std::{fmt, time::Duration};

use pravega_sdk_controller_client::Credentials;
use pravega_sdk_http::Url;
use pravega_sdk_tls::TlsConfig;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    ClientAuthentication, IdentityError,
    client::{Client, Encoding, Proof},
    driver,
    plan::{Plan, Terms, base, present},
};

/// A client of an issuer of OpenID Connect, which logs in with its secret: the grant
/// `client_credentials` of OAuth 2.0.
///
/// Its credentials find the endpoint for tokens on the page `.well-known/openid-configuration` of
/// the issuer, and send the token of the login to Pravega.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_identity::{ClientAuthentication, OpenId};
///
/// let issuer = OpenId::new("https://login.example.com/tenant", "shop", "hunter2")?
///     .with_audience("pravega")
///     .with_client_authentication(ClientAuthentication::Post);
/// assert!(!format!("{issuer:?}").contains("hunter2"));
/// let credentials = issuer.credentials()?;
/// # Ok::<(), pravega_sdk_identity::IdentityError>(())
/// ```
#[derive(Debug, Clone)]
pub struct OpenId {
    issuer: String,
    base: Url,
    client_id: String,
    secret: SecretString,
    authentication: ClientAuthentication,
    scope: Option<String>,
    audience: Option<String>,
    terms: Terms,
}

impl OpenId {
    /// Creates a client from the name of the issuer, which is a URL, the id of the client and its
    /// secret.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] of the kind [`Config`](pravega_sdk_types::ErrorKind::Config) names the
    /// setting that is wrong.
    pub fn new(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        secret: impl Into<SecretString>,
    ) -> Result<Self, IdentityError> {
        let (issuer, secret) = (issuer.into().trim().to_owned(), secret.into());
        if secret.expose_secret().is_empty() {
            return Err(IdentityError::config("client_secret", "it is empty"));
        }
        Ok(Self {
            base: base("issuer", &issuer)?,
            issuer,
            client_id: present("client_id", client_id.into())?,
            secret,
            authentication: ClientAuthentication::default(),
            scope: None,
            audience: None,
            terms: Terms::default(),
        })
    }

    /// Sets how the secret is sent. Default: [`ClientAuthentication::Basic`].
    #[must_use]
    pub fn with_client_authentication(mut self, authentication: ClientAuthentication) -> Self {
        self.authentication = authentication;
        self
    }

    /// Sets the scopes that are asked for, with spaces between them. Default: those that the issuer
    /// chooses.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sets the audience that is asked for, which some issuers need. Default: none is.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets what is trusted on connections to the issuer. Default: the system's certificates.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.terms.tls = tls;
        self
    }

    /// Sets the time for fetching a token, with all requests and their repeats. Default: 9 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = timeout;
        self
    }

    /// Returns credentials with tokens of this client. Those of several calls share no token.
    ///
    /// No request is made yet. Files of TLS are read, which blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the setting that is wrong.
    pub fn credentials(self) -> Result<Credentials, IdentityError> {
        let proof = match self.authentication {
            ClientAuthentication::Basic => {
                Proof::Basic { secret: self.secret, encoding: Encoding::Form }
            }
            ClientAuthentication::Post => Proof::Post { secret: self.secret },
        };
        let plan = Plan {
            discovery: self.base.join(".well-known/openid-configuration"),
            issuer: Some(self.issuer),
            client: Client { id: self.client_id, proof },
            scope: self.scope,
            audience: self.audience,
            permissions_on: None,
            least_left: Duration::ZERO,
        };
        driver::credentials(plan, self.terms)
    }
}

impl fmt::Display for OpenId {
    /// Names the client and the issuer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} of {}", self.client_id, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let setting = |issuer, id, secret| OpenId::new(issuer, id, secret).unwrap_err().setting();
        assert_eq!(setting("login.example.com", "c", "s"), Some("issuer"));
        assert_eq!(setting("https://h?x=1", "c", "s"), Some("issuer"));
        assert_eq!(setting("https://h", "", "s"), Some("client_id"));
        assert_eq!(setting("https://h", "c", ""), Some("client_secret"));
        let client = OpenId::new("https://h/t/", "c", "s").unwrap();
        assert_eq!(client.to_string(), "client c of https://h/t");
    }
}
