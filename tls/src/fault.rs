//! What a connection finds out about its peer after it was established.

use std::sync::{Arc, OnceLock};

use crate::TlsError;

/// The reason why a peer ended a connection before it sent anything, if it has to do with TLS.
///
/// The peer checks the client's certificate after the client has finished the handshake, and one
/// that speaks TLS only refuses the first bytes of a client without it. The library above the
/// connection may report no more than its end; this has the reason.
#[derive(Debug, Clone, Default)]
pub struct PeerFault(Arc<OnceLock<TlsError>>);

impl PeerFault {
    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> Option<TlsError> {
        self.0.get().cloned()
    }

    pub(crate) fn record(&self, error: &TlsError) {
        self.0.set(error.clone()).ok();
    }
}
