//! The provider of cryptography. It is passed explicitly, never installed for the process: a
//! program may have several.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
