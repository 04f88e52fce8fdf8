//! The provider of cryptography. It is passed explicitly, never installed for the process: a
//! program may have several.
//!
//! With the features of both, aws-lc-rs is used: ring is a default, which any package of a program
//! may enable, and aws-lc-rs a choice.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
#[cfg(feature = "tls-aws-lc")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(not(feature = "tls-aws-lc"))]
use rustls::crypto::ring as chosen;

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_lc_rs_is_used_if_it_is_chosen_and_ring_otherwise() {
        let expected = if cfg!(feature = "tls-aws-lc") { "AwsLcRs" } else { "Ring" };
        assert_eq!(format!("{:?}", provider().key_provider), expected);
    }
}
