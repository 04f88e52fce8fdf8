//! Shared handles that every engine needs: where segments are, with which tokens, over which
//! connections.

use std::sync::Arc;

use pravega_sdk_controller_client::{Controller, EndpointCache, TokenCache};

use crate::connection::{RawClient, StoreDialer};

/// The shared handles that readers, writers and transactions need. Clones share everything.
#[derive(Debug, Clone)]
pub struct SegmentContext {
    controller: Arc<dyn Controller>,
    endpoints: Arc<EndpointCache>,
    tokens: Arc<TokenCache>,
    raw_client: RawClient,
    dialer: StoreDialer,
}

impl SegmentContext {
    /// Puts the handles together.
    ///
    /// Readers share the connections of `raw_client`, writers make their own with `dialer`.
    #[must_use]
    pub fn new(
        controller: Arc<dyn Controller>,
        endpoints: Arc<EndpointCache>,
        tokens: Arc<TokenCache>,
        raw_client: RawClient,
        dialer: StoreDialer,
    ) -> Self {
        Self { controller, endpoints, tokens, raw_client, dialer }
    }

    /// Sets another client for requests.
    #[must_use]
    pub fn with_raw_client(mut self, raw_client: RawClient) -> Self {
        self.raw_client = raw_client;
        self
    }

    /// Sets another dialer for writers.
    #[must_use]
    pub fn with_dialer(mut self, dialer: StoreDialer) -> Self {
        self.dialer = dialer;
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

    /// The dialer of connections that a writer has to itself.
    #[must_use]
    pub fn dialer(&self) -> &StoreDialer {
        &self.dialer
    }
}
