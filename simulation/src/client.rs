//! A client of a simulated cluster.

use std::sync::Arc;

use pravega_sdk_controller_client::{Controller, EndpointCache, TokenCache};
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_segment_client::{RawClient, StoreConfig, StoreDialer, StorePool};

use crate::SimNetwork;

/// The handles that writers and readers of a simulated cluster need.
#[must_use]
pub fn segment_context(controller: Arc<dyn Controller>, network: SimNetwork) -> SegmentContext {
    let dialer = StoreDialer::with_transport(StoreConfig::default(), Arc::new(network));
    let endpoints = Arc::new(EndpointCache::new(Arc::clone(&controller)));
    let tokens = Arc::new(TokenCache::new(Arc::clone(&controller)));
    let pool = StorePool::new(dialer);
    SegmentContext::new(controller, endpoints, tokens, RawClient::with_pool(pool.clone()), pool)
}
