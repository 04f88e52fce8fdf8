//! TLS of both kinds of connections of a client, those to controllers and those to segment stores.
//!
//! ```text
//! TlsConfig ──▶ TlsConnector ──▶ TLS stream
//!                 │   │   │
//!       material ─┘   │   └─ explain: the text of a failure
//!       (PEM files)   └─ verifier: the peer's certificate
//! ```
//!
//! [`TlsConfig`] names what is trusted, and the client's own certificate. [`TlsConnector`] reads
//! the files of a configuration before each handshake, so that certificates can be replaced while
//! the client runs, and keeps to the last good ones while a file is incomplete. [`TlsError`] says
//! what is wrong with the peer or with a file. [`PlainStream`] finds out that the peer of a
//! connection without TLS speaks TLS only.
//!
//! The features `tls-ring` and `tls-aws-lc` choose the provider of cryptography, ring or aws-lc-rs,
//! which is passed to the TLS library explicitly and never installed for the process. With both it
//! is aws-lc-rs. Without either the crate has the same items, and a connection with TLS is an
//! error.
//!
//! Deliberately absent: types of the TLS library in public signatures.

#[cfg(not(feature = "_rustls"))]
mod absent;
mod alert;
#[cfg_attr(not(feature = "_rustls"), allow(dead_code))]
mod config;
#[cfg(feature = "_rustls")]
mod connector;
#[cfg(feature = "_rustls")]
mod der;
mod error;
#[cfg(feature = "_rustls")]
mod explain;
mod fault;
#[cfg(feature = "_rustls")]
mod heard;
#[cfg(feature = "_rustls")]
mod material;
mod problem;
#[cfg(feature = "_rustls")]
mod provider;
mod sending;
#[cfg(feature = "_rustls")]
mod stream;
#[cfg(feature = "_rustls")]
mod verifier;

#[cfg(not(feature = "_rustls"))]
pub use absent::TlsConnector;
pub use alert::{PlainStream, is_alert};
pub use config::TlsConfig;
#[cfg(feature = "_rustls")]
pub use connector::TlsConnector;
pub use error::TlsError;
pub use fault::PeerFault;
pub use problem::TlsProblem;
#[cfg(feature = "_rustls")]
pub use stream::SecureStream;
