//! Shared handles that every engine needs: where segments are, with which tokens, over which
//! connections.

use std::{fmt, sync::Arc};

use pravega_sdk_controller_client::{Controller, EndpointCache, TokenCache};

use crate::connection::{RawClient, StorePool};

/// The shared handles that readers, writers and transactions need. Clones share everything.
#[derive(Debug, Clone)]
pub struct SegmentContext {
    controller: Arc<dyn Controller>,
    endpoints: Arc<EndpointCache>,
    tokens: Arc<TokenCache>,
    raw_client: RawClient,
    pool: StorePool,
    again: Option<Again>,
}

/// Creates the handles again, on the runtime of the caller; `None` if that fails.
#[derive(Clone)]
struct Again(Arc<dyn Fn() -> Option<SegmentContext> + Send + Sync>);

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").finish_non_exhaustive()
    }
}

impl SegmentContext {
    /// Puts the handles together.
    ///
    /// Readers share the connections of `raw_client`; writers claim their own from `pool`.
    #[must_use]
    pub fn new(
        controller: Arc<dyn Controller>,
        endpoints: Arc<EndpointCache>,
        tokens: Arc<TokenCache>,
        raw_client: RawClient,
        pool: StorePool,
    ) -> Self {
        Self { controller, endpoints, tokens, raw_client, pool, again: None }
    }

    /// Sets how the same handles are created on another runtime: a writer whose runtime ends stores
    /// its last events with them. Without this it cannot.
    #[must_use]
    pub fn with_again(mut self, again: impl Fn() -> Option<Self> + Send + Sync + 'static) -> Self {
        self.again = Some(Again(Arc::new(again)));
        self
    }

    /// Returns a function that creates the same handles on the runtime of its caller, if one is
    /// known.
    pub(crate) fn again(&self) -> Option<Box<dyn FnOnce() -> Option<Self> + Send>> {
        let Again(again) = self.again.clone()?;
        Some(Box::new(move || again()))
    }

    /// The controller.
    #[must_use]
    pub fn controller(&self) -> &Arc<dyn Controller> {
        &self.controller
    }

    /// The cache of which segment store serves which segment.
    #[must_use]
    pub fn endpoints(&self) -> &Arc<EndpointCache> {
        &self.endpoints
    }

    /// The cache of delegation tokens.
    #[must_use]
    pub fn tokens(&self) -> &Arc<TokenCache> {
        &self.tokens
    }

    /// The client for requests to segment stores, over one shared connection to each store.
    #[must_use]
    pub fn raw_client(&self) -> &RawClient {
        &self.raw_client
    }

    /// The pool of connections to segment stores.
    #[must_use]
    pub fn pool(&self) -> &StorePool {
        &self.pool
    }
}
