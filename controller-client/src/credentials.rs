//! Credentials for the controller.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_types::{ErrorKind, Failure, Outcome, Wording, error_type};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use crate::secret::joined;

/// Credentials for the controller: no credentials, a user and password, a token, or those of a
/// provider.
///
/// They are sent with every call as `authorization: METHOD TOKEN`. `Debug` shows the method only.
///
/// # Examples
///
/// ```
/// use pravega_sdk_controller_client::Credentials;
///
/// let credentials = Credentials::basic("admin", "1111_aaaa")?;
/// assert_eq!(format!("{credentials:?}"), "Credentials(Basic, [REDACTED])");
/// # Ok::<(), pravega_sdk_controller_client::CredentialError>(())
/// ```
#[derive(Clone, Default)]
pub struct Credentials(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Anonymous,
    Fixed(Authorization),
    Provider(Arc<dyn CredentialProvider>),
}

/// The value of the `authorization` header.
#[derive(Clone)]
pub struct Authorization {
    method: String,
    token: SecretString,
}

error_type! {
    /// An error from credentials that are invalid, or from their provider. Secrets never appear.
    pub struct CredentialError {}
    wording: Wording::new("");
    accessors: ;
}

impl CredentialError {
    /// Creates the failure of a [`CredentialProvider`].
    pub fn provider(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "the credential provider failed";
        Failure::new(ErrorKind::Unauthenticated, Outcome::NotApplied, detail)
            .with_source(reason)
            .into()
    }

    fn empty(part: &str) -> Self {
        Failure::invalid(format_args!("the {part} is empty")).into()
    }

    fn character(part: &str) -> Self {
        Failure::invalid(format_args!("the {part} has a character that is not allowed in a header"))
            .into()
    }
}

/// A source of credentials that may change, such as tokens that are renewed.
///
/// It is called before every call of the controller, so it should cache credentials until they
/// expire.
#[async_trait]
pub trait CredentialProvider: Send + Sync + fmt::Debug {
    /// Returns the credentials to send now.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if there are no credentials; the call then fails with its kind, which is
    /// [`Unauthenticated`](ErrorKind::Unauthenticated) for one of [`CredentialError::provider`],
    /// and is not repeated: a provider repeats by itself what may succeed later.
    async fn authorization(&self) -> Result<Authorization, CredentialError>;

    /// Notes that the controller refused credentials that were sent. Returns true if the provider
    /// may have others now: if these differ, the call is made once more with them.
    ///
    /// The default is a provider that keeps nothing, and returns false.
    fn refused(&self, authorization: &Authorization) -> bool {
        let _ = authorization;
        false
    }
}

impl Credentials {
    /// Creates credentials that send nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Creates credentials from a user and a password, sent as `Basic`. Both may be any text, which
    /// may be empty. A colon in the password is a part of it; servers take the first one for the
    /// end of the user's name, which cannot have any.
    ///
    /// # Errors
    ///
    /// No errors at present; the signature allows for rules of a server.
    pub fn basic(user: &str, password: &str) -> Result<Self, CredentialError> {
        let token = BASE64.encode(joined(&[user, ":", password]).expose_secret());
        Authorization::new("Basic", token).map(|fixed| Self(Kind::Fixed(fixed)))
    }

    /// Creates credentials from a token, sent as `Bearer`.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if the token is empty, or has a character that is not allowed in a
    /// header.
    pub fn bearer(token: impl Into<String>) -> Result<Self, CredentialError> {
        Authorization::new("Bearer", token).map(|fixed| Self(Kind::Fixed(fixed)))
    }

    /// Creates credentials from a method of a plug-in of the server, and its token.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if one of them is empty, or has a character that is not allowed in a
    /// header.
    pub fn custom(
        method: impl Into<String>,
        token: impl Into<String>,
    ) -> Result<Self, CredentialError> {
        Authorization::new(method, token).map(|fixed| Self(Kind::Fixed(fixed)))
    }

    /// Creates credentials from a source that may change them.
    #[must_use]
    pub fn provider(provider: Arc<dyn CredentialProvider>) -> Self {
        Self(Kind::Provider(provider))
    }

    /// Returns true if calls are sent without credentials.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.0, Kind::Anonymous)
    }

    /// Returns the method, for display.
    #[must_use]
    pub fn method(&self) -> &str {
        match &self.0 {
            Kind::Anonymous => "none",
            Kind::Fixed(fixed) => &fixed.method,
            Kind::Provider(_) => "provider",
        }
    }

    /// Returns the header to send now; `None` means no header.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] of the provider.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the provider's future; nothing else is in progress.
    pub async fn authorization(&self) -> Result<Option<Authorization>, CredentialError> {
        match &self.0 {
            Kind::Anonymous => Ok(None),
            Kind::Fixed(fixed) => Ok(Some(fixed.clone())),
            Kind::Provider(provider) => provider.authorization().await.map(Some),
        }
    }

    /// Notes that the controller refused credentials. Returns true if there may be others now.
    pub(crate) fn refused(&self, authorization: &Authorization) -> bool {
        match &self.0 {
            Kind::Anonymous | Kind::Fixed(_) => false,
            Kind::Provider(provider) => provider.refused(authorization),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Anonymous => f.write_str("Credentials(anonymous)"),
            Kind::Fixed(fixed) => write!(f, "Credentials({}, [REDACTED])", fixed.method),
            Kind::Provider(provider) => write!(f, "Credentials({provider:?})"),
        }
    }
}

impl Authorization {
    /// Creates a header.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if a part is empty, or has a character that is not allowed in a header.
    pub fn new(
        method: impl Into<String>,
        token: impl Into<String>,
    ) -> Result<Self, CredentialError> {
        let (method, token) = (method.into(), Zeroizing::new(token.into()));
        for (part, text) in [("method", &method), ("token", &*token)] {
            if text.is_empty() {
                return Err(CredentialError::empty(part));
            }
            // The server splits at the first white space, so neither part may contain any.
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(CredentialError::character(part));
            }
        }
        Ok(Self { method, token: SecretString::from(token.as_str()) })
    }

    /// Returns true if it has a method and a token.
    pub(crate) fn has(&self, method: &str, token: &str) -> bool {
        self.method == method && self.token.expose_secret() == token
    }

    /// Returns the header's value: the method, one space, the token. It is secret.
    #[must_use]
    pub fn header_value(&self) -> SecretString {
        joined(&[&self.method, " ", self.token.expose_secret()])
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorization({}, [REDACTED])", self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn any_user_and_password_can_be_sent() {
        let header = |user, password| async move {
            let credentials = Credentials::basic(user, password).unwrap();
            credentials
                .authorization()
                .await
                .unwrap()
                .unwrap()
                .header_value()
                .expose_secret()
                .to_owned()
        };
        assert_eq!(header("user1", "pass:word").await, "Basic dXNlcjE6cGFzczp3b3Jk");
        assert_eq!(header("", "").await, "Basic Og==");
        assert_eq!(header("ü", "é").await, "Basic w7w6w6k=");
    }

    #[test]
    fn tokens_that_would_break_the_header_are_refused_and_not_shown() {
        for token in ["a\r\nb", "a b", "ü", ""] {
            let error = Credentials::bearer(token).unwrap_err();
            assert!(token.is_empty() || !format!("{error} {error:?}").contains(token));
        }
    }
}
