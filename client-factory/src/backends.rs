//! The controller as a resolver of a connection pool.

use std::{sync::Arc, time::Duration};

use pravega_sdk_connection_pool::{BackendSource, BoxError, resolver::Resolved};
use pravega_sdk_controller_client::EndpointCache;
use pravega_sdk_types::ScopedSegment;

/// Names segment stores to a connection pool, as the controller places segments on them.
#[derive(Debug, Clone)]
pub struct SegmentBackends {
    endpoints: Arc<EndpointCache>,
    /// `None` means every segment that the client uses.
    segment: Option<ScopedSegment>,
}

/// Segments rarely move. When one moves, the old store reports it, and the cache entry is removed.
const TIME_TO_LIVE: Duration = Duration::from_secs(20);

impl SegmentBackends {
    /// Creates a resolver that follows `segment`: the only backend is the store that serves it now.
    #[must_use]
    pub fn new(endpoints: Arc<EndpointCache>, segment: ScopedSegment) -> Self {
        Self { endpoints, segment: Some(segment) }
    }

    /// Creates a resolver of the stores of all segments that `endpoints` caches: those that its
    /// client uses.
    #[must_use]
    pub fn of_all(endpoints: Arc<EndpointCache>) -> Self {
        Self { endpoints, segment: None }
    }
}

impl BackendSource for SegmentBackends {
    async fn backends(&self) -> Result<Resolved, BoxError> {
        let backends = match &self.segment {
            Some(segment) => vec![self.endpoints.endpoint(segment).await?],
            None => self.endpoints.known().into_iter().collect(),
        };
        Ok(Resolved { backends, time_to_live: TIME_TO_LIVE })
    }
}
