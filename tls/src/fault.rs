//! What a connection finds out about its peer after it was established.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use crate::TlsError;

/// The reason why a peer ended a connection before it sent anything, if it has to do with TLS.
///
/// The peer checks the client's certificate after the client has finished the handshake, and one
/// that speaks TLS only refuses the first bytes of a client without it. The library above the
/// connection may report no more than its end; this has the reason.
#[derive(Debug, Clone, Default)]
pub struct PeerFault(Arc<Found>);

#[derive(Debug, Default)]
struct Found {
    reason: OnceLock<TlsError>,
    is_silent: AtomicBool,
}

impl PeerFault {
    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> Option<TlsError> {
        self.0.reason.get().cloned()
    }

    /// Returns true if the peer ended a connection without TLS before it sent a byte, as servers do
    /// that speak TLS only, and others, too: see [`TlsError::may_speak_only_tls`].
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.0.is_silent.load(Ordering::Acquire)
    }

    pub(crate) fn record(&self, error: &TlsError) {
        self.0.reason.set(error.clone()).ok();
    }

    pub(crate) fn record_silence(&self) {
        self.0.is_silent.store(true, Ordering::Release);
    }
}
