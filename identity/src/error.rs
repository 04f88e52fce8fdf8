//! Errors from getting a token.

use std::fmt;

use pravega_sdk_controller_client::CredentialError;
use pravega_sdk_tls::TlsError;
use pravega_sdk_types::{ErrorKind, Failure, Outcome, Wording, error_type};

error_type! {
    /// A configuration that is refused, or a token that cannot be had. Nothing was changed at the
    /// issuer.
    ///
    /// | kind | meaning |
    /// |---|---|
    /// | [`Config`](ErrorKind::Config) | a setting is wrong or missing ([`setting`](Self::setting)), or the issuer refuses the scope or the audience |
    /// | [`Unauthenticated`](ErrorKind::Unauthenticated) | the issuer refuses the client or its secret |
    /// | [`PermissionDenied`](ErrorKind::PermissionDenied) | the client has no permission on the audience |
    /// | [`NotFound`](ErrorKind::NotFound) | there is no realm, or no issuer, at that address |
    /// | [`Unavailable`](ErrorKind::Unavailable), [`LimitReached`](ErrorKind::LimitReached) | the issuer cannot serve the client now |
    /// | [`Unreachable`](ErrorKind::Unreachable), [`ConnectionLost`](ErrorKind::ConnectionLost), [`Timeout`](ErrorKind::Timeout) | the issuer does not answer |
    /// | [`Tls`](ErrorKind::Tls) | one of the two refuses the other's certificate |
    /// | [`Protocol`](ErrorKind::Protocol), [`Unsupported`](ErrorKind::Unsupported) | the answer is not one of an issuer, or of a kind that is not known |
    ///
    /// Text of the issuer is escaped and cut. Secrets and tokens never appear.
    pub struct IdentityError {
        setting: Option<&'static str>,
    }
    wording: Wording::new("").with_preposition("");
    accessors: endpoint, attempts, hint;
}

impl IdentityError {
    /// A value that a setting does not take.
    pub(crate) fn config(setting: &'static str, detail: impl fmt::Display) -> Self {
        let failure = Failure::new(ErrorKind::Config, Outcome::NotApplied, detail)
            .with_operation("setting")
            .with_target(&setting);
        Self { failure, setting: Some(setting) }
    }

    /// TLS settings that cannot be used.
    pub(crate) fn tls(error: TlsError) -> Self {
        match error.setting() {
            Some(_) => {
                Self::config("tls", "it cannot be used").map(|failure| failure.with_source(error))
            }
            None => Failure::caused_by(error, "TLS cannot be set up").into(),
        }
    }

    /// A failure of a kind.
    pub(crate) fn of(kind: ErrorKind, detail: impl fmt::Display) -> Self {
        Failure::new(kind, Outcome::NotApplied, detail).into()
    }

    /// Makes this the cause of a failure with the same kind and setting.
    #[must_use]
    pub(crate) fn within(self, detail: impl fmt::Display) -> Self {
        let setting = self.setting;
        Self { setting, failure: Failure::caused_by(self, detail) }
    }

    /// Returns the setting that is wrong or missing, if one is: its name in the adapter
    /// configuration of Keycloak, such as `auth-server-url` or `credentials.secret`, or `keycloak`
    /// for the whole of it; `issuer`, `client_id` or `client_secret` of OpenID Connect; `audience`,
    /// `tls` or `timeout` of both.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        self.setting
    }
}

impl From<IdentityError> for CredentialError {
    /// Keeps the kind, so that a call which has no token fails with the reason for that.
    fn from(error: IdentityError) -> Self {
        Failure::caused_by(error, "there is no token of the issuer").into()
    }
}
