//! Which segment store serves which segment, remembered.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use pravega_sdk_types::{Endpoint, ScopedSegment};

use crate::{
    Controller, ControllerError,
    single_flight::{Freshness, SingleFlightCache},
};

/// Remembers which segment store serves which segment.
///
/// An answer is good for 20 s; for 5 minutes it is used while a new one is fetched behind. Callers
/// who wait for the same segment share one call. The limits are those of Java's client.
#[derive(Debug)]
pub struct EndpointCache {
    cache: SingleFlightCache<ScopedSegment, Endpoint>,
}

const CAPACITY: usize = 1000;
const FRESH_FOR: Duration = Duration::from_secs(20);
const USABLE_FOR: Duration = Duration::from_secs(5 * 60);

impl EndpointCache {
    /// Asks `controller` for what it does not know.
    #[must_use]
    pub fn new(controller: Arc<dyn Controller>) -> Self {
        let fetch = move |segment: ScopedSegment| {
            let controller = Arc::clone(&controller);
            async move { controller.segment_endpoint(&segment).await }.boxed()
        };
        Self { cache: SingleFlightCache::new(CAPACITY, judge, fetch) }
    }

    /// The segment store that serves `segment`.
    ///
    /// # Errors
    ///
    /// That of [`Controller::segment_endpoint`]; every caller who waited gets it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the call to those who wait too; if nobody does, the next caller
    /// goes on with it.
    pub async fn endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint, ControllerError> {
        self.cache.get(segment).await
    }

    /// The segment stores that serve the segments remembered.
    #[must_use]
    pub fn known(&self) -> BTreeSet<Endpoint> {
        self.cache.values().into_iter().collect()
    }

    /// Notes that `endpoint` does not serve `segment`: the next call asks the controller, unless
    /// somebody did already.
    pub fn wrong_host(&self, segment: &ScopedSegment, endpoint: &Endpoint) {
        self.cache.invalidate(segment, endpoint);
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
    fn ages_are_judged_as_by_the_java_client() {
        let endpoint: Endpoint = "store:1".parse().unwrap();
        let judged = |seconds| judge(&endpoint, Duration::from_secs(seconds));
        assert_eq!((judged(0), judged(19)), (Freshness::Fresh, Freshness::Fresh));
        assert_eq!((judged(20), judged(299)), (Freshness::Ageing, Freshness::Ageing));
        assert_eq!(judged(300), Freshness::Expired);
    }
}
