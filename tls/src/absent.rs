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
    /// Kind [`Config`](ErrorKind::Config).
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
    TlsError::of(ErrorKind::Config, detail).with_problem(TlsProblem::NotBuilt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn names_the_features(error: &TlsError) {
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Config, false), "{error:?}");
        assert_eq!(error.problem(), TlsProblem::NotBuilt);
        let text = error.to_string();
        assert!(text.contains("tls-ring") && text.contains("tls-aws-lc"), "{text}");
    }

    #[tokio::test]
    async fn every_use_of_tls_is_refused_with_the_features_that_build_it() {
        let config = TlsConfig::new();
        let endpoint = Endpoint::new("localhost", 1).unwrap();
        for connector in
            [TlsConnector::new(&config, None), TlsConnector::offering(&config, b"http/1.1")]
        {
            names_the_features(&connector.check().unwrap_err());
            let (io, _peer) = tokio::io::duplex(64);
            let error = connector.connect(io, &endpoint, PeerFault::default()).await.unwrap_err();
            names_the_features(&error);
        }
    }
}
