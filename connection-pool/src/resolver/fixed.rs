//! A list of backends that changes only by a call.

use pravega_sdk_types::Endpoint;
use tokio::sync::watch;

use crate::backend::{Backends, Resolver};

/// A fixed list of backends, which a call may replace.
#[derive(Debug)]
pub struct FixedResolver {
    backends: watch::Sender<Backends>,
}

impl FixedResolver {
    /// Creates a resolver that names `backends`.
    #[must_use]
    pub fn new(backends: impl IntoIterator<Item = Endpoint>) -> Self {
        Self { backends: watch::Sender::new(backends.into_iter().collect()) }
    }

    /// Replaces the list.
    pub fn set(&self, backends: impl IntoIterator<Item = Endpoint>) {
        self.backends.send_replace(backends.into_iter().collect());
    }
}

impl Resolver for FixedResolver {
    fn backends(&self) -> watch::Receiver<Backends> {
        self.backends.subscribe()
    }
}

impl<R: Resolver> Resolver for std::sync::Arc<R> {
    fn backends(&self) -> watch::Receiver<Backends> {
        (**self).backends()
    }
}
