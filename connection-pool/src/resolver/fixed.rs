//! Backends that never change by themselves.

use pravega_sdk_types::Endpoint;
use tokio::sync::watch;

use crate::backend::{Backends, Resolver};

/// A list of backends. It can be replaced by hand.
#[derive(Debug)]
pub struct FixedResolver {
    backends: watch::Sender<Backends>,
}

impl FixedResolver {
    /// Names these backends.
    #[must_use]
    pub fn new(backends: impl IntoIterator<Item = Endpoint>) -> Self {
        Self { backends: watch::Sender::new(backends.into_iter().collect()) }
    }

    /// Names others from now on.
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
