//! Shared handles that every engine needs: where segments are, with which tokens, over which
//! connections.

use std::sync::Arc;

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
        Self { controller, endpoints, tokens, raw_client, pool }
    }

    /// Sets another client for requests.
    #[must_use]
    pub fn with_raw_client(mut self, raw_client: RawClient) -> Self {
        self.raw_client = raw_client;
        self
    }

    /// Sets another pool for writers.
    #[must_use]
    pub fn with_pool(mut self, pool: StorePool) -> Self {
        self.pool = pool;
        self
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
