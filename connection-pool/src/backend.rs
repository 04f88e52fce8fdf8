//! The backends of a service, and the trait that names them.

use std::{collections::BTreeSet, sync::Arc};

use pravega_sdk_types::Endpoint;
use tokio::sync::watch;

/// Names the backends of a service, and every change of them.
///
/// The pool follows: it connects to a backend that joins, and closes the connections to one that
/// leaves as they become unused.
pub trait Resolver: Send + Sync + 'static {
    /// The list of backends, and every change of it. A resolver that cannot refresh its list keeps
    /// the last one.
    fn backends(&self) -> watch::Receiver<Backends>;
}

/// The backends of a service at some moment. Clones are cheap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backends(Arc<BTreeSet<Endpoint>>);

impl Backends {
    /// Maximum number of backends. A longer list, as a name server may send, is cut.
    pub const MAX: usize = 10_000;

    /// The backends in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Endpoint> + '_ {
        self.0.iter()
    }

    /// Returns true if `backend` is in the list.
    #[must_use]
    pub fn contains(&self, backend: &Endpoint) -> bool {
        self.0.contains(backend)
    }

    /// Returns true if the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Endpoint> for Backends {
    /// Keeps each backend once, and at most [`Self::MAX`].
    fn from_iter<I: IntoIterator<Item = Endpoint>>(backends: I) -> Self {
        Self(Arc::new(backends.into_iter().take(Self::MAX).collect()))
    }
}
