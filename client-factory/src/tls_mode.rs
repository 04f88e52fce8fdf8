//! Whether a connection is encrypted.

use pravega_sdk_controller_client::Scheme;

/// Use of TLS for a kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsMode {
    /// TLS if the scheme of the URL has it: `tls` or `pravegas`.
    #[default]
    Auto,
    /// TLS, independent of the scheme.
    On,
    /// No TLS, independent of the scheme.
    Off,
}

impl TlsMode {
    /// Returns true if connections use TLS under a URL with this scheme.
    #[must_use]
    pub fn is_on(self, scheme: Scheme) -> bool {
        match self {
            Self::Auto => scheme.is_tls(),
            Self::On => true,
            Self::Off => false,
        }
    }
}
