//! A cache of the segment stores that serve segments.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use pravega_sdk_types::{Endpoint, ScopedSegment};

use crate::{
    Controller, ControllerError,
    single_flight::{Freshness, SingleFlightCache},
};

/// Caches which segment store serves which segment.
///
/// An entry is valid for 20 s; up to 5 minutes it is used while a new one is fetched in the
/// background. Callers that wait for the same segment share one call. The limits are those of
/// Java's client.
#[derive(Debug)]
pub struct EndpointCache {
    cache: SingleFlightCache<ScopedSegment, Endpoint>,
}

const CAPACITY: usize = 1000;
const FRESH_FOR: Duration = Duration::from_secs(20);
const USABLE_FOR: Duration = Duration::from_secs(5 * 60);

impl EndpointCache {
    /// Creates a cache that asks `controller` for missing entries.
    #[must_use]
    pub fn new(controller: Arc<dyn Controller>) -> Self {
        let fetch = move |segment: ScopedSegment| {
            let controller = Arc::clone(&controller);
            async move { controller.segment_endpoint(&segment).await }.boxed()
        };
        Self { cache: SingleFlightCache::new(CAPACITY, judge, fetch) }
    }

    /// Returns the segment store that serves `segment`.
    ///
    /// # Errors
    ///
    /// The error of [`Controller::segment_endpoint`]; all callers that wait for the call get it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the call, whose result the next caller uses.
    pub async fn endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint, ControllerError> {
        self.cache.get(segment).await
    }

    /// Returns the segment stores of all cached segments.
    #[must_use]
    pub fn known(&self) -> BTreeSet<Endpoint> {
        self.cache.values().into_iter().collect()
    }

    /// Removes `endpoint` as the store of `segment`: the next call asks the controller, unless the
    /// entry was replaced already.
    pub fn wrong_host(&self, segment: &ScopedSegment, endpoint: &Endpoint) {
        self.cache.invalidate(segment, endpoint);
    }

    /// Removes `endpoint` as the store of every segment, as no connection to it could be made: the
    /// next call for each of them asks the controller.
    pub fn unreachable(&self, endpoint: &Endpoint) {
        self.cache.invalidate_everywhere(endpoint);
    }
}

fn judge(_: &Endpoint, age: Duration) -> Freshness {
    if age < FRESH_FOR {
        Freshness::Fresh
    } else if age < USABLE_FOR {
        Freshness::Ageing
    } else {
        Freshness::Expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_age_as_in_the_java_client() {
        let endpoint: Endpoint = "store:1".parse().unwrap();
        let judged = |seconds| judge(&endpoint, Duration::from_secs(seconds));
        assert_eq!((judged(0), judged(19)), (Freshness::Fresh, Freshness::Fresh));
        assert_eq!((judged(20), judged(299)), (Freshness::Ageing, Freshness::Ageing));
        assert_eq!(judged(300), Freshness::Expired);
    }
}
