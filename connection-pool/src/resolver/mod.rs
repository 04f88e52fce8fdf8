//! Resolvers: sources of the list of a service's backends.

#[cfg(feature = "dns")]
mod dns;
mod fixed;
mod polled;

pub use crate::backend::Resolver;
#[cfg(feature = "dns")]
pub use dns::{DnsError, DnsResolver};
pub use fixed::FixedResolver;
pub use polled::{BackendSource, PolledResolver, Resolved};
