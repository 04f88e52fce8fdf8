//! The core of every public error: one record of what failed, where, how often and why.
//!
//! Each crate wraps it in error types of its own with [`error_type!`](crate::error_type), so that
//! `kind`, `outcome`, the accessors and the message are the same everywhere.

use std::{error::Error, fmt, sync::Arc};

use crate::{Classified, Endpoint, ErrorKind, Offset, Outcome, Printable, ScopedStream, SegmentId};

/// The cause of a failure, shared by the clones of an error.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// The longest target that a message shows, in bytes.
const MAX_TARGET_BYTES: usize = 300;

/// A failed operation: what kind of failure, what is known of its effect, and where it happened.
///
/// Text that is put in is escaped and cut as [`Printable`] does it. Clones are cheap: they share
/// one record. The cause is the [`source`](Error::source) and never part of the message, so a
/// printer that walks the chain of sources shows each fact once.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{Endpoint, ErrorKind, Failure, Outcome};
///
/// let failure = Failure::new(ErrorKind::Unavailable, Outcome::Unknown, "no answer")
///     .with_operation("createScope")
///     .with_target(&"shop")
///     .with_endpoint("localhost:9090".parse::<Endpoint>()?)
///     .with_attempts(3);
/// let shown = failure.to_string();
/// assert_eq!(shown, "createScope of shop at localhost:9090 (3 attempts): no answer");
/// # Ok::<(), pravega_sdk_types::EndpointError>(())
/// ```
#[derive(Clone)]
pub struct Failure(Arc<Record>);

#[derive(Clone)]
struct Record {
    kind: ErrorKind,
    outcome: Outcome,
    operation: Option<&'static str>,
    target: Option<String>,
    stream: Option<ScopedStream>,
    segment: Option<SegmentId>,
    offset: Option<Offset>,
    endpoint: Option<Endpoint>,
    attempts: u32,
    detail: String,
    hint: Option<String>,
    source: Option<Cause>,
}

/// How an error type words its message around the facts of a [`Failure`].
#[derive(Debug, Clone, Copy)]
pub struct Wording {
    operation: &'static str,
    preposition: &'static str,
    applied: &'static str,
    unknown: &'static str,
}

impl Failure {
    /// Creates a failure without a place.
    pub fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Self(Arc::new(Record {
            kind,
            outcome,
            operation: None,
            target: None,
            stream: None,
            segment: None,
            offset: None,
            endpoint: None,
            attempts: 0,
            detail: Printable::new(&detail.to_string()).to_string(),
            hint: None,
            source: None,
        }))
    }

    /// An argument that is refused before anything is sent.
    pub fn invalid(detail: impl fmt::Display) -> Self {
        Self::new(ErrorKind::InvalidArgument, Outcome::NotApplied, detail)
    }

    /// An error of another type, as the cause of a failure with the same kind and outcome.
    pub fn caused_by(
        error: impl Classified + Send + Sync + 'static,
        detail: impl fmt::Display,
    ) -> Self {
        Self::new(error.kind(), error.outcome(), detail)
            .with_shared_source(Arc::new(error) as Cause)
    }

    /// Sets the kind.
    #[must_use]
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        self.change(|record| record.kind = kind)
    }

    /// Sets what is known of the effect.
    #[must_use]
    pub fn with_outcome(self, outcome: Outcome) -> Self {
        self.change(|record| record.outcome = outcome)
    }

    /// Sets the name of the operation, in place of the one of the error type.
    #[must_use]
    pub fn with_operation(self, operation: &'static str) -> Self {
        self.change(|record| record.operation = Some(operation))
    }

    /// Sets what the operation acted on, where that is not the stream.
    #[must_use]
    pub fn with_target(self, target: &dyn fmt::Display) -> Self {
        let target = Printable::with_limit(&target.to_string(), MAX_TARGET_BYTES).to_string();
        self.change(|record| record.target = Some(target))
    }

    /// Sets the stream.
    #[must_use]
    pub fn with_stream(self, stream: &ScopedStream) -> Self {
        self.change(|record| record.stream = Some(stream.clone()))
    }

    /// Sets the segment.
    #[must_use]
    pub fn with_segment(self, segment: SegmentId) -> Self {
        self.change(|record| record.segment = Some(segment))
    }

    /// Sets the offset in the segment.
    #[must_use]
    pub fn with_offset(self, offset: Offset) -> Self {
        self.change(|record| record.offset = Some(offset))
    }

    /// Sets the server that was asked last, or removes it with `None`.
    #[must_use]
    pub fn with_endpoint(self, endpoint: impl Into<Option<Endpoint>>) -> Self {
        let endpoint = endpoint.into();
        self.change(|record| record.endpoint = endpoint)
    }

    /// Sets the number of attempts made.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        self.change(|record| record.attempts = attempts)
    }

    /// Sets what the user can do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl fmt::Display) -> Self {
        let hint = Printable::new(&hint.to_string()).to_string();
        self.change(|record| record.hint = Some(hint))
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.with_shared_source(Cause::from(source.into()))
    }

    /// Sets the cause, which other errors may share, or removes it with `None`.
    #[must_use]
    pub fn with_shared_source(self, source: impl Into<Option<Cause>>) -> Self {
        let source = source.into();
        self.change(|record| record.source = source)
    }

    fn change(mut self, change: impl FnOnce(&mut Record)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns what is known of the effect of the operation.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Returns true if the same operation may succeed when it is repeated later, unchanged.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Returns the name of the operation, if one was set.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// Returns the stream, if it is known.
    #[must_use]
    pub fn stream(&self) -> Option<&ScopedStream> {
        self.0.stream.as_ref()
    }

    /// Returns the segment, if it is known.
    #[must_use]
    pub fn segment(&self) -> Option<SegmentId> {
        self.0.segment
    }

    /// Returns the offset in the segment, if the failure has one.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.0.offset
    }

    /// Returns the server that was asked last, if one was.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.endpoint.as_ref()
    }

    /// Returns the number of attempts made, 0 if nothing was attempted.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Returns what went wrong, without the place.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns what the user can do about it, if there is advice.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Returns the cause, to be shared with another failure.
    #[must_use]
    pub fn shared_source(&self) -> Option<&Cause> {
        self.0.source.as_ref()
    }

    /// Writes the message in the words of an error type:
    /// `operation of target, segment s, offset o at endpoint (n attempts): detail; effect; hint`.
    ///
    /// # Errors
    ///
    /// [`fmt::Error`] of the formatter.
    pub fn describe(&self, f: &mut fmt::Formatter<'_>, wording: &Wording) -> fmt::Result {
        let record = &*self.0;
        let operation = record.operation.unwrap_or(wording.operation);
        if !operation.is_empty() {
            self.describe_place(f, operation, wording.preposition)?;
            f.write_str(": ")?;
        }
        f.write_str(&record.detail)?;
        let effect = match record.outcome {
            Outcome::NotApplied => "",
            Outcome::Applied => wording.applied,
            Outcome::Unknown => wording.unknown,
        };
        for part in [effect, record.hint.as_deref().unwrap_or_default()] {
            if !part.is_empty() {
                write!(f, "; {part}")?;
            }
        }
        Ok(())
    }

    fn describe_place(
        &self,
        f: &mut fmt::Formatter<'_>,
        operation: &str,
        preposition: &str,
    ) -> fmt::Result {
        let record = &*self.0;
        f.write_str(operation)?;
        let target: Option<&dyn fmt::Display> = match (&record.target, &record.stream) {
            (Some(target), _) => Some(target),
            (None, Some(stream)) => Some(stream),
            (None, None) => None,
        };
        if let Some(target) = target {
            let separator = if preposition.is_empty() { "" } else { " " };
            write!(f, "{separator}{preposition} {target}")?;
        }
        if let Some(segment) = record.segment {
            write!(f, ", segment {segment}")?;
        }
        if let Some(offset) = record.offset {
            write!(f, ", offset {offset}")?;
        }
        if let Some(endpoint) = &record.endpoint {
            write!(f, " at {endpoint}")?;
        }
        if record.attempts > 1 {
            write!(f, " ({} attempts)", record.attempts)?;
        }
        Ok(())
    }

    /// Writes the debug form of an error type: the kind, the effect, the message, the cause.
    ///
    /// # Errors
    ///
    /// [`fmt::Error`] of the formatter.
    pub fn debug(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        message: &dyn fmt::Display,
    ) -> fmt::Result {
        f.debug_struct(name)
            .field("kind", &self.0.kind)
            .field("outcome", &self.0.outcome)
            .field("message", &format_args!("{message}"))
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, &Wording::default())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug(f, "Failure", self)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl Classified for Failure {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn outcome(&self) -> Outcome {
        self.outcome()
    }
}

impl Wording {
    /// Creates the wording of an operation, such as "writing". A failure with an operation of its
    /// own replaces it; without any the message is the detail alone.
    #[must_use]
    pub const fn new(operation: &'static str) -> Self {
        Self { operation, preposition: "of", applied: "", unknown: "" }
    }

    /// Sets the word between the operation and its target, which may be empty. Default: `of`.
    #[must_use]
    pub const fn with_preposition(mut self, preposition: &'static str) -> Self {
        self.preposition = preposition;
        self
    }

    /// Sets what the message says if the operation took effect, and if that is unknown. Default:
    /// nothing.
    #[must_use]
    pub const fn with_effects(mut self, applied: &'static str, unknown: &'static str) -> Self {
        self.applied = applied;
        self.unknown = unknown;
        self
    }
}

impl Default for Wording {
    fn default() -> Self {
        Self::new("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Failure {
        Failure::new(ErrorKind::ConnectionLost, Outcome::Unknown, "the connection ended")
            .with_stream(&"shop/orders".parse().unwrap())
            .with_segment(SegmentId::from(3))
            .with_offset(Offset(12))
            .with_endpoint("store:12345".parse::<Endpoint>().unwrap())
            .with_attempts(4)
            .with_hint("ask the server")
            .with_source("reset by peer")
    }

    #[test]
    fn the_message_names_each_fact_once_and_leaves_the_cause_to_the_chain() {
        const WRITING: Wording = Wording::new("writing")
            .with_preposition("to")
            .with_effects("the event was stored", "the effect is unknown");
        struct Shown(Failure);
        impl fmt::Display for Shown {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.describe(f, &WRITING)
            }
        }
        let segment = whole().segment().unwrap();
        assert_eq!(
            Shown(whole()).to_string(),
            format!(
                "writing to shop/orders, segment {segment}, offset 12 at store:12345 \
                 (4 attempts): the connection ended; the effect is unknown; ask the server"
            )
        );
        assert_eq!(whole().source().unwrap().to_string(), "reset by peer");
        let stored = Shown(Failure::new(ErrorKind::Timeout, Outcome::Applied, "late"));
        assert_eq!(stored.to_string(), "writing: late; the event was stored");
    }

    #[test]
    fn one_attempt_is_not_counted_in_the_message() {
        let failure = Failure::invalid("bad").with_operation("scale").with_attempts(1);
        assert_eq!(failure.to_string(), "scale: bad");
        assert_eq!(failure.with_attempts(2).to_string(), "scale (2 attempts): bad");
    }

    #[test]
    fn changing_a_clone_leaves_the_original_unchanged() {
        let original = whole();
        let changed = original.clone().with_outcome(Outcome::NotApplied).with_endpoint(None);
        assert_eq!(original.outcome(), Outcome::Unknown);
        assert!(original.endpoint().is_some());
        assert_eq!(changed.outcome(), Outcome::NotApplied);
        assert!(changed.endpoint().is_none());
        let (first, second) = (original.shared_source(), changed.shared_source());
        assert!(Arc::ptr_eq(first.unwrap(), second.unwrap()), "the cause is shared");
    }

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        let failure = Failure::invalid("a\u{1b}[31m")
            .with_operation("x")
            .with_target(&"y".repeat(1 << 20))
            .with_hint("\u{1b}");
        let shown = format!("{failure} {failure:?}");
        assert!(!shown.contains('\u{1b}'));
        assert!(shown.len() < 10_000, "{} bytes", shown.len());
    }
}
