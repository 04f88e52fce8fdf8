//! TLS in a build without it.

use pravega_sdk_types::{Endpoint, ErrorKind};

use crate::{PeerFault, PlainStream, TlsConfig, TlsError, TlsProblem};

/// Refuses every connection with TLS, as this build has none.
#[derive(Debug)]
pub struct TlsConnector {}

impl TlsConnector {
    /// Creates a connector that refuses.
    #[must_use]
    pub fn new(_: &TlsConfig, _: Option<&'static [u8]>) -> Self {
        Self {}
    }

    /// Creates a connector that refuses.
    #[must_use]
    pub fn offering(_: &TlsConfig, _: &'static [u8]) -> Self {
        Self {}
    }

    /// Fails.
    ///
    /// # Errors
    ///
    /// Kind [`Unsupported`](ErrorKind::Unsupported).
    pub fn check(&self) -> Result<(), TlsError> {
        Err(absent())
    }

    /// Fails.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn connect<S>(
        &self,
        _: S,
        _: &Endpoint,
        _: PeerFault,
    ) -> Result<PlainStream<S>, TlsError> {
        Err(absent())
    }
}

fn absent() -> TlsError {
    let detail = "this program is built without TLS; build it with the feature tls-ring or \
                  tls-aws-lc of the SDK";
    TlsError::of(ErrorKind::Unsupported, detail).with_problem(TlsProblem::NotBuilt)
}
