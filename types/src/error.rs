//! The error vocabulary of all crates of the SDK.
//!
//! Each error type of the SDK answers three questions by method, so that no caller has to match
//! text: what happened ([`ErrorKind`]), whether a repeat may succeed (`is_retryable`), and whether
//! the call took effect ([`Outcome`]).

use std::fmt;

/// The kind of a failure.
///
/// Kinds are stable: a new release may add kinds and never changes the meaning of one.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An argument was refused before anything was sent.
    InvalidArgument,
    /// A name breaks the rules of its kind.
    InvalidName,
    /// A stream cut could not be read, or does not belong to the stream.
    InvalidStreamCut,
    /// The configuration is invalid.
    Config,
    /// The call was made outside a tokio runtime.
    NoRuntime,
    /// The handle was closed, or its owner was dropped.
    Closed,
    /// The deadline passed.
    Timeout,
    /// No connection could be established.
    Unreachable,
    /// The connection ended before the reply.
    ConnectionLost,
    /// The peer broke the protocol.
    Protocol,
    /// The peer speaks no version of the protocol that this SDK speaks.
    IncompatibleServer,
    /// TLS could not be set up.
    Tls,
    /// Credentials are missing or were refused.
    Unauthenticated,
    /// The credentials are valid and do not allow this.
    PermissionDenied,
    /// A delegation token has expired.
    TokenExpired,
    /// The named item does not exist.
    NotFound,
    /// The item exists already.
    AlreadyExists,
    /// The scope or table is not empty.
    NotEmpty,
    /// The stream must be sealed first.
    NotSealed,
    /// The stream or segment is sealed.
    Sealed,
    /// Another segment store has the segment now.
    WrongHost,
    /// The requested data was truncated.
    Truncated,
    /// The data of a segment is not in the form that writers of events use, or the segment store
    /// reports that it is damaged on its disk.
    Corrupt,
    /// The transaction was committed or aborted before, perhaps by its lease.
    TransactionNotOpen,
    /// The reader is not in its group any more: another client took it out, or the group began
    /// again.
    ReaderOffline,
    /// A condition of the request (an offset, a version, a value) did not hold.
    ConditionFailed,
    /// The peer does not support this.
    Unsupported,
    /// A limit of the client was reached; a later attempt may succeed.
    LimitReached,
    /// The server has no space for what the call adds. Free some, or raise its limit.
    OutOfSpace,
    /// The peer answers and cannot serve the request now.
    Unavailable,
    /// The server failed and gave no reason.
    ServerFailure,
}

impl ErrorKind {
    /// Returns true if the same call may succeed when it is repeated later, unchanged.
    ///
    /// This is about success only; see [`Outcome`] for whether a repeat may apply the call twice.
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
            | Self::ReaderOffline
            | Self::ConditionFailed
            | Self::Unsupported
            | Self::OutOfSpace => false,
        }
    }

    /// Returns the name of the kind, as logs and the command line show it.
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
            Self::ReaderOffline => "reader-offline",
            Self::ConditionFailed => "condition-failed",
            Self::Unsupported => "unsupported",
            Self::LimitReached => "limit-reached",
            Self::OutOfSpace => "out-of-space",
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

/// The effect of a failed call.
///
/// A request whose reply was lost may or may not have been carried out. A caller that treats it as
/// a plain failure repeats or loses work, so this is a case of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server did not carry the request out, and will not.
    NotApplied,
    /// The server carried the request out, although the call failed.
    Applied,
    /// The effect is unknown; ask the server before repeating a call that is not safe to repeat.
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

/// An error that has a kind and an outcome.
///
/// Generic code (a retry loop, a log line, the command line's exit code) uses this instead of a
/// list of error types.
pub trait Classified: std::error::Error {
    /// Returns the kind of failure.
    fn kind(&self) -> ErrorKind;

    /// Returns what is known of the effect of the call.
    fn outcome(&self) -> Outcome;

    /// Returns true if the same call may succeed when it is repeated later.
    fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }
}
