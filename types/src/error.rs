//! The error vocabulary every crate of the SDK speaks.
//!
//! Each error type of the SDK answers three questions by method, so that nobody has to match text:
//! what happened ([`ErrorKind`]), is the same call worth repeating (`is_retryable`), and did it
//! take effect ([`Outcome`]).

use std::fmt;

/// Says what kind of thing went wrong.
///
/// Kinds are stable: a new release may add some and never changes the meaning of one.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An argument was refused before anything was sent.
    InvalidArgument,
    /// A name breaks the rules of its kind.
    InvalidName,
    /// A stream cut could not be read, or does not belong to the stream.
    InvalidStreamCut,
    /// The configuration cannot work.
    Config,
    /// The call was made outside a tokio runtime.
    NoRuntime,
    /// The handle was closed, or its owner is gone.
    Closed,
    /// The deadline passed.
    Timeout,
    /// No connection could be made.
    Unreachable,
    /// The connection ended before the answer came.
    ConnectionLost,
    /// The peer sent something the protocol does not allow.
    Protocol,
    /// The peer speaks no version of the protocol that this SDK speaks.
    IncompatibleServer,
    /// TLS could not be set up.
    Tls,
    /// Credentials are missing or were refused.
    Unauthenticated,
    /// The credentials are good and do not allow this.
    PermissionDenied,
    /// A delegation token has expired.
    TokenExpired,
    /// The thing named does not exist.
    NotFound,
    /// The thing exists already.
    AlreadyExists,
    /// The scope or table still holds something.
    NotEmpty,
    /// The stream must be sealed first.
    NotSealed,
    /// The stream or segment is sealed.
    Sealed,
    /// The segment lives on another segment store by now.
    WrongHost,
    /// The data asked for was truncated away.
    Truncated,
    /// What stands in a segment is not what a writer of events puts there.
    Corrupt,
    /// The transaction was committed or aborted before, perhaps by its lease.
    TransactionNotOpen,
    /// A condition sent along (an offset, a version, a value) did not hold.
    ConditionFailed,
    /// The peer cannot do this.
    Unsupported,
    /// A limit of the client was reached; waiting helps.
    LimitReached,
    /// The peer is there and cannot serve now.
    Unavailable,
    /// The server failed and does not say why.
    ServerFailure,
}

impl ErrorKind {
    /// Says whether the same call may succeed when it is made again later, unchanged.
    ///
    /// This speaks of success only. Whether a repeat can do harm is what [`Outcome`] tells.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Timeout
            | Self::Unreachable
            | Self::ConnectionLost
            | Self::TokenExpired
            | Self::WrongHost
            | Self::LimitReached
            | Self::Unavailable
            | Self::ServerFailure => true,
            Self::InvalidArgument
            | Self::InvalidName
            | Self::InvalidStreamCut
            | Self::Config
            | Self::NoRuntime
            | Self::Closed
            | Self::Protocol
            | Self::IncompatibleServer
            | Self::Tls
            | Self::Unauthenticated
            | Self::PermissionDenied
            | Self::NotFound
            | Self::AlreadyExists
            | Self::NotEmpty
            | Self::NotSealed
            | Self::Sealed
            | Self::Truncated
            | Self::Corrupt
            | Self::TransactionNotOpen
            | Self::ConditionFailed
            | Self::Unsupported => false,
        }
    }

    /// Names the kind the way logs and the command line print it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::InvalidName => "invalid-name",
            Self::InvalidStreamCut => "invalid-stream-cut",
            Self::Config => "config",
            Self::NoRuntime => "no-runtime",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::ConnectionLost => "connection-lost",
            Self::Protocol => "protocol",
            Self::IncompatibleServer => "incompatible-server",
            Self::Tls => "tls",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission-denied",
            Self::TokenExpired => "token-expired",
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::NotEmpty => "not-empty",
            Self::NotSealed => "not-sealed",
            Self::Sealed => "sealed",
            Self::WrongHost => "wrong-host",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
            Self::TransactionNotOpen => "transaction-not-open",
            Self::ConditionFailed => "condition-failed",
            Self::Unsupported => "unsupported",
            Self::LimitReached => "limit-reached",
            Self::Unavailable => "unavailable",
            Self::ServerFailure => "server-failure",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Says whether a call that failed took effect.
///
/// Three answers, not two: a request whose reply was lost may or may not have been carried out, and
/// a caller who takes that for a plain failure doubles or loses work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server did not carry the request out, and will not.
    NotApplied,
    /// The server carried the request out, although the call failed.
    Applied,
    /// Nobody can tell from here; ask the server before repeating anything that is not safe to
    /// repeat.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotApplied => "not applied",
            Self::Applied => "applied",
            Self::Unknown => "unknown whether applied",
        })
    }
}

/// An error that answers the three questions of this module.
///
/// Generic code (a retry loop, a log line, the command line's exit code) takes this instead of a
/// list of error types.
pub trait Classified: std::error::Error {
    /// Says what kind of thing went wrong.
    fn kind(&self) -> ErrorKind;

    /// Says whether the call took effect.
    fn outcome(&self) -> Outcome;

    /// Says whether the same call may succeed when it is made again later.
    fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }
}
