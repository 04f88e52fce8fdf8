//! Where a connection's bytes travel: TCP with or without TLS, or whatever a test puts in its
//! place.

use std::{fmt, future::Future, io, pin::Pin};

use pravega_sdk_types::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// A stream of bytes that is being opened.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'a>>;

/// Opens streams of bytes to endpoints, in place of TCP: a tunnel, or a simulated network.
///
/// TLS is not spoken over it; a transport that wants it brings it along.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream to `endpoint`. The caller puts a deadline on it and may drop it at any time.
    ///
    /// # Errors
    ///
    /// Any; the segment store counts as unreachable.
    fn open<'a>(&'a self, endpoint: &'a Endpoint) -> Opening<'a>;
}
