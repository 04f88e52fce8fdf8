//! A client of a simulated cluster.

use std::{sync::Arc, time::SystemTime};

use pravega_sdk_controller_client::{Controller, EndpointCache, TokenCache};
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_segment_client::{RawClient, StoreConfig, StoreDialer, StorePool};
use tokio::time::Instant;

use crate::SimNetwork;

/// The handles that writers and readers of a simulated cluster need.
#[must_use]
pub fn segment_context(controller: Arc<dyn Controller>, network: SimNetwork) -> SegmentContext {
    segment_context_with(controller, network, StoreConfig::default())
}

/// As [`segment_context`], with settings of the connections.
#[must_use]
pub fn segment_context_with(
    controller: Arc<dyn Controller>,
    network: SimNetwork,
    config: StoreConfig,
) -> SegmentContext {
    let dialer = StoreDialer::with_transport(config, Arc::new(network));
    let endpoints = Arc::new(EndpointCache::new(Arc::clone(&controller)));
    // The machine's clock is not part of a run.
    let begun = Instant::now();
    let clock = move || SystemTime::UNIX_EPOCH + begun.elapsed();
    let tokens = Arc::new(TokenCache::with_clock(Arc::clone(&controller), clock));
    let pool = StorePool::new(dialer);
    SegmentContext::new(controller, endpoints, tokens, RawClient::with_pool(pool.clone()), pool)
}
