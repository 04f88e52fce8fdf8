//! Whether a connection is encrypted.

use pravega_sdk_controller_client::Scheme;

/// Whether TLS is spoken to a kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsMode {
    /// TLS is spoken if the scheme of the URL has it: `tls` or `pravegas`.
    #[default]
    Auto,
    /// TLS is spoken, whatever the scheme.
    On,
    /// TLS is not spoken, whatever the scheme.
    Off,
}

impl TlsMode {
    /// Returns true if TLS is spoken under a URL with this scheme.
    #[must_use]
    pub fn is_on(self, scheme: Scheme) -> bool {
        match self {
            Self::Auto => scheme.is_tls(),
            Self::On => true,
            Self::Off => false,
        }
    }
}
