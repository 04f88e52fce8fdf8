//! The settings of connections to segment stores.

use std::time::Duration;

use pravega_sdk_tls::TlsConfig;

use crate::seeded_bugs::Bugs;
#[cfg(feature = "seeded-bugs")]
use crate::seeded_bugs::SeededBug;

/// Settings of connections to segment stores.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub(super) tls: Option<TlsConfig>,
    pub(super) connect_timeout: Duration,
    pub(super) handshake_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) max_in_flight: usize,
    pub(super) max_in_flight_bytes: usize,
    pub(super) bugs: Bugs,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            tls: None,
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            max_in_flight: 4096,
            max_in_flight_bytes: 32 * 1024 * 1024,
            bugs: Bugs::default(),
        }
    }
}

impl StoreConfig {
    /// Sets the TLS settings. Default: no TLS. Their files are read first by the first connection,
    /// which fails if they cannot be used.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<TlsConfig>) -> Self {
        self.tls = tls;
        self
    }

    /// Sets the maximum time to connect, TLS included. Default: 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the maximum time of the exchange of versions. Default: 5 s.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets the maximum time from a request to its reply. Default: 30 s. A request about a segment
    /// that is repeated, with the look-ups of the segment's store, ends after twice this time.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets the maximum number of requests in flight on one connection; more wait. Default: 4096,
    /// at least 1.
    #[must_use]
    pub fn with_max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests.clamp(1, 1 << 20);
        self
    }

    /// Sets the maximum number of bytes of requests in flight on one connection; more wait.
    /// Default: 32 MiB, at least 16 MiB, which is the largest request.
    #[must_use]
    pub fn with_max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.max_in_flight_bytes =
            bytes.clamp(pravega_sdk_wire_protocol::MAX_FRAME_LEN, u32::MAX as usize / 2);
        self
    }

    /// Switches a deliberate bug on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: SeededBug) -> Self {
        self.bugs = Bugs::new(bug);
        self
    }
}
