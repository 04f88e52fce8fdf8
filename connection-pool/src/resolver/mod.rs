//! Which backends a service has.

#[cfg(feature = "dns")]
mod dns;
mod fixed;
mod polled;

use tokio::sync::watch;

use crate::Backends;

#[cfg(feature = "dns")]
pub use dns::{DnsError, DnsResolver};
pub use fixed::FixedResolver;
pub use polled::{BackendSource, PolledResolver, Resolved};

/// Knows which backends a service has, and says so when they change.
///
/// The pool moves with it: a new backend gets connections, one that leaves is drained.
pub trait Resolver: Send + Sync + 'static {
    /// The backends as they are, and every change of them. A resolver that cannot tell just now
    /// keeps what it said last.
    fn backends(&self) -> watch::Receiver<Backends>;
}
