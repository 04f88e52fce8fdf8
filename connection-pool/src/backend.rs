//! The servers of a service.

use std::{collections::BTreeSet, sync::Arc};

use pravega_sdk_types::Endpoint;

/// The backends of a service at some moment. Clones are cheap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backends(Arc<BTreeSet<Endpoint>>);

impl Backends {
    /// More backends than any service has; what comes from a name server is cut here.
    pub const MAX: usize = 10_000;

    /// The backends in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Endpoint> + '_ {
        self.0.iter()
    }

    /// Says whether `backend` is one of them.
    #[must_use]
    pub fn contains(&self, backend: &Endpoint) -> bool {
        self.0.contains(backend)
    }

    /// Says whether there are none.
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
