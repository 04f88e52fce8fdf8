//! A cache of delegation tokens that renews them in time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use pravega_sdk_types::ScopedStream;

use crate::{
    AccessOperation, Controller, ControllerError, DelegationToken,
    single_flight::{Freshness, SingleFlightCache, WallClock},
};

/// Caches delegation tokens, and renews each before it expires.
///
/// A token is renewed in the background when a fifth of its lifetime is left, or 30 s if that is
/// less; callers that need a new one at once share one call. A token without an expiry, and the
/// empty token of a server without authorization, are kept forever. The token's times decide, not
/// the local clock, so a clock that is an hour off does not matter. A token also ages while the
/// machine is suspended.
#[derive(Debug)]
pub struct TokenCache {
    cache: SingleFlightCache<(ScopedStream, AccessOperation), CachedToken>,
}

#[derive(Debug, Clone)]
struct CachedToken {
    token: DelegationToken,
    /// Counted from receipt; `None` means that it never expires.
    lifetime: Option<Duration>,
}

impl PartialEq for CachedToken {
    fn eq(&self, other: &Self) -> bool {
        self.token.expose() == other.token.expose()
    }
}

/// Number of streams in use at once; more streams only cause more calls.
const CAPACITY: usize = 10_000;

impl TokenCache {
    /// Creates a cache that asks `controller` for missing tokens.
    #[must_use]
    pub fn new(controller: Arc<dyn Controller>) -> Self {
        Self::with_clock(controller, SystemTime::now)
    }

    /// As [`Self::new`], with `clock` in place of the machine's. Tokens age by it and by the clock
    /// of the runtime, whichever shows more: the latter may stand still while the machine is
    /// suspended, the former may be set back.
    #[must_use]
    pub fn with_clock(
        controller: Arc<dyn Controller>,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        let since_1970 = move || clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let clock: WallClock = Arc::new(since_1970);
        let wall = Arc::clone(&clock);
        let fetch = move |(stream, access): (ScopedStream, AccessOperation)| {
            let (controller, clock) = (Arc::clone(&controller), Arc::clone(&clock));
            async move {
                let token = controller.delegation_token(&stream, access).await?;
                let lifetime = token.claims().map(|claims| claims.lifetime(clock().as_secs()));
                Ok(CachedToken { token, lifetime })
            }
            .boxed()
        };
        Self { cache: SingleFlightCache::with_clock(CAPACITY, judge, Some(wall), fetch) }
    }

    /// Returns a token for the segments of `stream` that does not expire soon.
    ///
    /// # Errors
    ///
    /// The error of [`Controller::delegation_token`]; all callers that wait for the call get it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the call, whose result the next caller uses.
    pub async fn token(
        &self,
        stream: &ScopedStream,
        access: AccessOperation,
    ) -> Result<DelegationToken, ControllerError> {
        Ok(self.cache.get(&(stream.clone(), access)).await?.token)
    }

    /// Returns the token of [`Self::token`] if that needs no waiting. If not, the token is fetched
    /// in the background.
    #[must_use]
    pub fn cached(
        &self,
        stream: &ScopedStream,
        access: AccessOperation,
    ) -> Option<DelegationToken> {
        Some(self.cache.cached(&(stream.clone(), access))?.token)
    }

    /// Removes `token`, which a segment store refused as expired: the next call asks the
    /// controller, unless the token was replaced already.
    pub fn expired(&self, stream: &ScopedStream, access: AccessOperation, token: &DelegationToken) {
        let bad = CachedToken { token: token.clone(), lifetime: None };
        self.cache.invalidate(&(stream.clone(), access), &bad);
    }
}

fn judge(cached: &CachedToken, age: Duration) -> Freshness {
    match cached.lifetime {
        Some(lifetime) => Freshness::of_token(lifetime, age),
        None => Freshness::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_expires_and_one_without_expiry_never() {
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
