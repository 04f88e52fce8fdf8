//! Why an event was not written.

use std::{error::Error, fmt, sync::Arc};

use pravega_sdk_types::{Classified, Endpoint, ErrorKind, Outcome, Printable, ScopedStream, SegmentId};

pub(crate) type Cause = Arc<dyn Error + Send + Sync>;

/// Tells why an event was not written, or why it is not known whether it was.
///
/// Clones are cheap: everybody who waited for the same thing is told the same. Payloads and routing keys never appear.
#[derive(Clone)]
pub struct WriteError(Arc<Failure>);

#[derive(Clone)]
struct Failure {
    kind: ErrorKind,
    outcome: Outcome,
    detail: String,
    stream: Option<ScopedStream>,
    segment: Option<SegmentId>,
    endpoint: Option<Endpoint>,
    attempts: u32,
    source: Option<Cause>,
}

impl WriteError {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        let detail = Printable::new(&detail.to_string()).to_string();
        Self(Arc::new(Failure {
            kind,
            outcome,
            detail,
            stream: None,
            segment: None,
            endpoint: None,
            attempts: 0,
            source: None,
        }))
    }

    /// An argument that is refused before anything is sent.
    pub(crate) fn invalid(detail: impl fmt::Display) -> Self {
        Self::new(ErrorKind::InvalidArgument, Outcome::NotApplied, detail)
    }

    pub(crate) fn closed(stream: &ScopedStream) -> Self {
        Self::new(ErrorKind::Closed, Outcome::NotApplied, "the writer is closed").of(stream)
    }

    #[must_use]
    pub(crate) fn of(self, stream: &ScopedStream) -> Self {
        self.change(|failure| failure.stream = Some(stream.clone()))
    }

    #[must_use]
    pub(crate) fn at(self, segment: SegmentId, endpoint: Option<Endpoint>, attempts: u32) -> Self {
        self.change(|failure| {
            failure.segment = Some(segment);
            failure.endpoint = endpoint;
            failure.attempts = attempts;
        })
    }

    #[must_use]
    pub(crate) fn because(self, source: Option<Cause>) -> Self {
        self.change(|failure| failure.source = source)
    }

    /// The same failure, of an event of which it is known better whether it was stored.
    #[must_use]
    pub(crate) fn with_outcome(&self, outcome: Outcome) -> Self {
        self.clone().change(|failure| failure.outcome = outcome)
    }

    fn change(mut self, change: impl FnOnce(&mut Failure)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Says what kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Says whether the same write may succeed when it is made again. With an unknown outcome that may double the event.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Says whether the event was stored.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The stream, once the event got that far.
    #[must_use]
    pub fn stream(&self) -> Option<&ScopedStream> {
        self.0.stream.as_ref()
    }

    /// The segment, if one was chosen.
    #[must_use]
    pub fn segment(&self) -> Option<SegmentId> {
        self.0.segment
    }

    /// The segment store that was tried last, if one was.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.endpoint.as_ref()
    }

    /// How often something was tried since the segment last took an event.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = &*self.0;
        f.write_str("writing")?;
        if let Some(stream) = &failure.stream {
            write!(f, " to {stream}")?;
        }
        if let Some(segment) = failure.segment {
            write!(f, ", segment {segment}")?;
        }
        if let Some(endpoint) = &failure.endpoint {
            write!(f, " at {endpoint}")?;
        }
        if failure.attempts > 0 {
            write!(f, " ({} attempts)", failure.attempts)?;
        }
        write!(f, ": {}", failure.detail)?;
        match failure.outcome {
            Outcome::Unknown => f.write_str("; it is not known whether the event was stored"),
            Outcome::Applied => f.write_str("; the event was stored"),
            Outcome::NotApplied => Ok(()),
        }
    }
}

impl fmt::Debug for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteError({:?}, {:?}, {self})", self.0.kind, self.0.outcome)
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl Classified for WriteError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn outcome(&self) -> Outcome {
        self.outcome()
    }
}
