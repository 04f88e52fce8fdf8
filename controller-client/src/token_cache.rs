//! Delegation tokens, remembered and renewed in time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use pravega_sdk_types::ScopedStream;

use crate::{
    AccessOperation, Controller, ControllerError, DelegationToken,
    single_flight::{Freshness, SingleFlightCache},
};

/// Remembers delegation tokens, and renews each before it ends.
///
/// A token is renewed behind the scenes when a fifth of its life is left, or 30 s if that is less;
/// callers who need a new one at once share one call. A token without an end, and the empty one of
/// a server without authorization, are kept for good. The token's own times decide, not our clock,
/// so a clock that is an hour off does no harm.
#[derive(Debug)]
pub struct TokenCache {
    cache: SingleFlightCache<(ScopedStream, AccessOperation), CachedToken>,
}

#[derive(Debug, Clone)]
struct CachedToken {
    token: DelegationToken,
    /// From when it was received; none never ends.
    lifetime: Option<Duration>,
}

impl PartialEq for CachedToken {
    fn eq(&self, other: &Self) -> bool {
        self.token.expose() == other.token.expose()
    }
}

/// Streams in use at once; more of them only means more calls.
const CAPACITY: usize = 10_000;
const MAX_MARGIN: Duration = Duration::from_secs(30);
/// With this share of the margin left, a caller waits for the new token: the old one might end on
/// its way.
const LAST_SHARE: u32 = 6;

impl TokenCache {
    /// Asks `controller` for what it does not have.
    #[must_use]
    pub fn new(controller: Arc<dyn Controller>) -> Self {
        let fetch = move |(stream, access): (ScopedStream, AccessOperation)| {
            let controller = Arc::clone(&controller);
            async move {
                let token = controller.delegation_token(&stream, access).await?;
                let lifetime = token.claims().map(|claims| claims.lifetime(seconds_since_1970()));
                Ok(CachedToken { token, lifetime })
            }
            .boxed()
        };
        Self { cache: SingleFlightCache::new(CAPACITY, judge, fetch) }
    }

    /// A token for the segments of `stream` that is good for some time yet.
    ///
    /// # Errors
    ///
    /// That of [`Controller::delegation_token`]; every caller who waited gets it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the call to those who wait too; if nobody does, the next caller
    /// goes on with it.
    pub async fn token(
        &self,
        stream: &ScopedStream,
        access: AccessOperation,
    ) -> Result<DelegationToken, ControllerError> {
        Ok(self.cache.get(&(stream.clone(), access)).await?.token)
    }

    /// Notes that a segment store called `token` expired: the next call asks the controller, unless
    /// somebody did already.
    pub fn expired(&self, stream: &ScopedStream, access: AccessOperation, token: &DelegationToken) {
        let bad = CachedToken { token: token.clone(), lifetime: None };
        self.cache.invalidate(&(stream.clone(), access), &bad);
    }
}

fn judge(cached: &CachedToken, age: Duration) -> Freshness {
    let Some(lifetime) = cached.lifetime else {
        return Freshness::Fresh;
    };
    let margin = (lifetime / 5).min(MAX_MARGIN);
    let left = lifetime.saturating_sub(age);
    if left > margin {
        Freshness::Fresh
    } else if left > margin / LAST_SHARE {
        Freshness::Ageing
    } else {
        Freshness::Expired
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_ends_and_an_endless_one_never() {
        let token = |lifetime| CachedToken { token: DelegationToken::new("t"), lifetime };
        let long = token(Some(Duration::from_secs(600)));
        let judged = |token: &CachedToken, seconds| judge(token, Duration::from_secs(seconds));
        assert_eq!(judged(&long, 569), Freshness::Fresh);
        assert_eq!(judged(&long, 570), Freshness::Ageing);
        assert_eq!(judged(&long, 595), Freshness::Expired);
        assert_eq!(judged(&long, 10_000), Freshness::Expired);
        let short = token(Some(Duration::from_secs(10)));
        assert_eq!(judged(&short, 7), Freshness::Fresh);
        assert_eq!(judged(&short, 8), Freshness::Ageing);
        assert_eq!(judged(&token(None), u32::MAX.into()), Freshness::Fresh);
    }
}
