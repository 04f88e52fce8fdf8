//! Why there is no answer.

use std::{io, time::Duration};

use pravega_sdk_tls::TlsError;
use pravega_sdk_types::{ErrorKind, classify};

/// A request without an answer. It shows nothing of the request.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// There was no whole answer within this time.
    #[error("no answer within {:.1} s", .0.as_secs_f64())]
    Late(Duration),
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Unreachable(#[source] io::Error),
    /// The handshake of TLS failed.
    #[error("{0}")]
    Insecure(#[source] TlsError),
    /// The connection ended before the end of the answer.
    #[error("the connection ended before the whole answer was received: {0}")]
    Lost(String),
    /// The body of the answer is longer than this, in bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer is not HTTP, or its head is too long.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
    /// The request has a character that cannot be sent.
    #[error("the request has a character that cannot be sent")]
    NotSent,
}

classify!(Unanswered, |unanswered| match unanswered {
    Self::Late(_) => ErrorKind::Timeout,
    Self::Unreachable(_) => ErrorKind::Unreachable,
    // A server that restarts ends a connection during the handshake, too.
    Self::Insecure(error) if error.kind() == ErrorKind::ConnectionLost => ErrorKind::Unreachable,
    Self::Insecure(error) => error.kind(),
    Self::Lost(_) => ErrorKind::ConnectionLost,
    Self::TooLong(_) | Self::NotHttp(_) => ErrorKind::Protocol,
    Self::NotSent => ErrorKind::Config,
});
