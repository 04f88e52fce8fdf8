//! Why there is no client.

use std::fmt;

use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_types::{Classified, ErrorKind, Outcome};

/// Tells why a configuration is refused, or no client could be made of it. Nothing was sent
/// anywhere.
#[derive(Debug)]
pub struct FactoryError {
    kind: ErrorKind,
    setting: Option<&'static str>,
    detail: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl FactoryError {
    pub(crate) fn config(setting: &'static str, detail: impl fmt::Display) -> Self {
        let detail = pravega_sdk_types::Printable::new(&detail.to_string()).to_string();
        Self { kind: ErrorKind::Config, setting: Some(setting), detail, source: None }
    }

    pub(crate) fn unknown_setting(name: &str, known: &str) -> Self {
        let name = pravega_sdk_types::Printable::with_limit(name, 60);
        let detail = format!("there is no setting \"{name}\"; known are {known}");
        Self { kind: ErrorKind::Config, setting: None, detail, source: None }
    }

    #[must_use]
    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Says whether the same call may succeed when it is made again later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// Says whether the call took effect: it never did.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome::NotApplied
    }

    /// The setting that is wrong, if one is.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        self.setting
    }
}

impl From<ControllerError> for FactoryError {
    fn from(error: ControllerError) -> Self {
        Self {
            kind: error.kind(),
            setting: None,
            detail: "no client can be made".to_owned(),
            source: Some(error.into()),
        }
    }
}

impl fmt::Display for FactoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(setting) = self.setting {
            write!(f, "setting {setting}: ")?;
        }
        f.write_str(&self.detail)
    }
}

impl std::error::Error for FactoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Classified for FactoryError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn outcome(&self) -> Outcome {
        self.outcome()
    }
}
