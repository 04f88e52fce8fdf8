//! Why a call of the controller failed.

use std::fmt;

use pravega_sdk_types::{Classified, Endpoint, ErrorKind, Outcome, Printable};

/// Tells why a call of the controller failed.
///
/// The message says what was asked, of whom, how often, and what came back; text from the server is
/// escaped and cut. Credentials and tokens never appear.
pub struct ControllerError(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    operation: &'static str,
    target: String,
    endpoint: Option<Endpoint>,
    attempts: u32,
    detail: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ControllerError {
    /// An error of a [`Controller`](crate::Controller) of one's own, as tests have it.
    pub fn new(kind: ErrorKind, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome,
            operation: "",
            target: String::new(),
            endpoint: None,
            attempts: 0,
            detail: detail.into(),
            source: None,
        }))
    }

    /// An argument that is refused before anything is sent.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, Outcome::NotApplied, detail)
    }

    /// An answer that the protocol does not allow. Whatever was asked has happened.
    pub(crate) fn protocol(detail: impl fmt::Display) -> Self {
        let detail = Printable::new(&detail.to_string()).to_string();
        Self::new(ErrorKind::Protocol, Outcome::Unknown, detail)
    }

    #[must_use]
    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    #[must_use]
    pub(crate) fn during(mut self, operation: &'static str, target: &dyn fmt::Display) -> Self {
        self.0.operation = operation;
        self.0.target = Printable::with_limit(&target.to_string(), 300).to_string();
        self
    }

    #[must_use]
    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.0.detail.push_str("; ");
        self.0.detail.push_str(hint);
        self
    }

    #[must_use]
    pub(crate) fn after(mut self, endpoint: Option<Endpoint>, attempts: u32) -> Self {
        self.0.endpoint = endpoint;
        self.0.attempts = attempts;
        self
    }

    /// Says what kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Says whether the same call may succeed when it is made again later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Says whether the call took effect.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The call, by its name in the controller's service.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The controller that was asked last, if one was.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.endpoint.as_ref()
    }

    /// How often the controller was asked.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// A copy that several waiters of one call can be told; the source stays with the first.
    pub(crate) fn duplicate(&self) -> Self {
        let Inner { kind, outcome, operation, target, endpoint, attempts, detail, source } =
            &*self.0;
        let detail = match source {
            Some(source) => format!("{detail}: {source}"),
            None => detail.clone(),
        };
        Self(Box::new(Inner {
            kind: *kind,
            outcome: *outcome,
            operation,
            target: target.clone(),
            endpoint: endpoint.clone(),
            attempts: *attempts,
            detail,
            source: None,
        }))
    }
}

impl fmt::Display for ControllerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { operation, target, endpoint, attempts, detail, .. } = &*self.0;
        if !operation.is_empty() {
            write!(f, "{operation}")?;
            if !target.is_empty() {
                write!(f, " of {target}")?;
            }
            if let Some(endpoint) = endpoint {
                write!(f, " at {endpoint}")?;
            }
            if *attempts > 1 {
                write!(f, " ({attempts} attempts)")?;
            }
            write!(f, ": ")?;
        }
        f.write_str(detail)
    }
}

impl fmt::Debug for ControllerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerError")
            .field("kind", &self.0.kind)
            .field("outcome", &self.0.outcome)
            .field("message", &self.to_string())
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for ControllerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl Classified for ControllerError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn outcome(&self) -> Outcome {
        self.outcome()
    }
}
