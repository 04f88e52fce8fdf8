//! Errors from configuring or creating a client.

use std::{error::Error as _, fmt, iter::successors};

use pravega_sdk_connection_pool::ClaimError;
use pravega_sdk_controller_client::{ControllerError, CredentialError};
use pravega_sdk_tls::TlsError;
use pravega_sdk_types::{ErrorKind, Failure, Outcome, Printable, Wording, error_type};

error_type! {
    /// A configuration that is refused, or a client that cannot be created from it. Nothing was
    /// changed on a server.
    pub struct FactoryError {
        setting: Option<&'static str>,
    }
    wording: Wording::new("").with_preposition("");
    accessors: endpoint, attempts;
}

impl FactoryError {
    /// A value that a setting does not take.
    pub(crate) fn config(setting: &'static str, detail: impl fmt::Display) -> Self {
        let failure = Failure::new(ErrorKind::Config, Outcome::NotApplied, detail)
            .with_operation("setting")
            .with_target(&setting);
        Self { failure, setting: Some(setting) }
    }

    /// Names the variable of the environment that has the value.
    pub(crate) fn of_variable(self, variable: &str) -> Self {
        match self.setting {
            None => self,
            Some(setting) => {
                let target = format!("{setting} ({variable})");
                self.map(|failure| failure.with_target(&target))
            }
        }
    }

    /// TLS settings that cannot be used.
    pub(crate) fn tls(error: TlsError) -> Self {
        match error.setting() {
            Some(setting) => Self::config(setting, "it cannot be used").with_source(error),
            None => Failure::caused_by(error, "TLS cannot be set up").into(),
        }
    }

    /// Credentials of an issuer that cannot be used.
    #[cfg(feature = "identity")]
    pub(crate) fn identity(error: pravega_sdk_identity::IdentityError) -> Self {
        let detail = "those of the issuer cannot be used";
        Self::config("credentials", detail)
            .map(|failure| failure.with_kind(error.kind()))
            .with_source(error)
    }

    pub(crate) fn unknown_setting(name: &str, known: &str) -> Self {
        let name = Printable::with_limit(name, 60);
        let detail = format!("there is no setting \"{name}\"; known are {known}");
        Failure::new(ErrorKind::Config, Outcome::NotApplied, detail).into()
    }

    /// A first call that failed.
    pub(crate) fn unreachable(uri: &str, error: ControllerError) -> Self {
        let mut causes = successors(error.source(), |cause| (*cause).source());
        let detail = match error.kind() {
            // That of their provider, before any controller was asked.
            _ if causes.any(|cause| cause.is::<CredentialError>()) => "there are no credentials",
            ErrorKind::Unauthenticated => "the controller refuses the credentials",
            _ => "no controller answers",
        };
        Failure::caused_by(error, detail)
            .with_outcome(Outcome::NotApplied)
            .with_operation("connecting to")
            .with_target(&uri)
            .into()
    }

    #[must_use]
    pub(crate) fn with_source(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.map(|failure| failure.with_source(source))
    }

    /// Returns the setting that is wrong, if one is.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        self.setting
    }
}

impl From<ControllerError> for FactoryError {
    fn from(error: ControllerError) -> Self {
        Failure::caused_by(error, "cannot create a client").with_outcome(Outcome::NotApplied).into()
    }
}

impl From<ClaimError> for FactoryError {
    fn from(error: ClaimError) -> Self {
        Failure::caused_by(error, "no connection pool can be made")
            .with_outcome(Outcome::NotApplied)
            .into()
    }
}
