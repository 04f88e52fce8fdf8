//! The controller as a source of backends.

use std::{sync::Arc, time::Duration};

use pravega_sdk_connection_pool::{BackendSource, BoxError, resolver::Resolved};
use pravega_sdk_controller_client::EndpointCache;
use pravega_sdk_types::ScopedSegment;

/// Lets a connection pool follow a segment from store to store: its backend is whichever store
/// serves the segment now.
#[derive(Debug, Clone)]
pub struct SegmentBackends {
    endpoints: Arc<EndpointCache>,
    segment: ScopedSegment,
}

/// A segment rarely moves; when it does, the store says so, and the cache is told.
const TIME_TO_LIVE: Duration = Duration::from_secs(20);

impl SegmentBackends {
    /// Follows `segment`.
    #[must_use]
    pub fn new(endpoints: Arc<EndpointCache>, segment: ScopedSegment) -> Self {
        Self { endpoints, segment }
    }
}

impl BackendSource for SegmentBackends {
    async fn backends(&self) -> Result<Resolved, BoxError> {
        let endpoint = self.endpoints.endpoint(&self.segment).await?;
        Ok(Resolved { backends: vec![endpoint], time_to_live: TIME_TO_LIVE })
    }
}
