//! The transport below a connection, in place of TCP and TLS.

use std::{fmt, future::Future, io, pin::Pin};

use pravega_sdk_types::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// The future of a byte stream that is being opened.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'a>>;

/// Opens byte streams to endpoints, in place of TCP: a tunnel, or a simulated network.
///
/// The client does not speak TLS over it; a transport that needs TLS speaks it itself.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream to `endpoint`. The caller sets a deadline and may drop the future at any
    /// time.
    ///
    /// # Errors
    ///
    /// Any error means that the segment store is unreachable.
    fn open<'a>(&'a self, endpoint: &'a Endpoint) -> Opening<'a>;
}
