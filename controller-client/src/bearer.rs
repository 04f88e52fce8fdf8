//! Bearer tokens from a function of the program.

use std::{
    error::Error,
    fmt,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use pravega_sdk_types::{ErrorKind, Failure, Outcome};
use tokio::time::Instant;

use crate::{
    Authorization, ControllerError, CredentialError, CredentialProvider, Credentials,
    DelegationToken,
    single_flight::{Freshness, SingleFlightCache},
};

impl Credentials {
    /// Creates credentials from an asynchronous function that returns a token, sent as `Bearer`.
    ///
    /// A token with a time of expiry, a JWT, is kept and renewed in the background when a fifth of
    /// its life is left, or 30 s if that is less; for any other the function is called before every
    /// call of the controller. Callers that need a new token at once share one call of it, unless
    /// that has not ended after a minute. Its errors are those of the calls, with the kind
    /// [`Unauthenticated`](ErrorKind::Unauthenticated).
    ///
    /// A token that the controller refuses, such as after a change of the issuer's keys, is not
    /// kept, and the call is made once more with the next one. The function is called for that once
    /// a second at most.
    ///
    /// # Examples
    ///
    /// ```
    /// use pravega_sdk_controller_client::Credentials;
    ///
    /// let credentials = Credentials::bearer_from(|| async {
    ///     std::fs::read_to_string("/run/secrets/token").map(|token| token.trim().to_owned())
    /// });
    /// assert_eq!(format!("{credentials:?}"), "Credentials(bearer tokens from a function)");
    /// ```
    #[must_use]
    pub fn bearer_from<F, T, E>(function: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let function = Arc::new(function);
        let fetch = move |()| {
            let function = Arc::clone(&function);
            async move {
                // It is called by the task of the fetch: not while the cache is locked.
                let called = AssertUnwindSafe(async { function().await }).catch_unwind().await;
                let failed =
                    |detail| Failure::new(ErrorKind::Unauthenticated, Outcome::NotApplied, detail);
                let token = match called {
                    Ok(Ok(token)) => token,
                    Ok(Err(error)) => {
                        let failure = failed("the function for bearer tokens failed");
                        return Err(ControllerError::from(failure.with_source(error)));
                    }
                    Err(_) => {
                        let failure = failed("the function for bearer tokens panicked");
                        return Err(ControllerError::from(failure));
                    }
                };
                Ok(Bearer::received(DelegationToken::new(token)))
            }
            .boxed()
        };
        let wall = Arc::new(since_1970);
        let cache = SingleFlightCache::with_clock(1, judge, Some(wall), fetch);
        Self::provider(Arc::new(BearerFunction { cache }))
    }
}

const METHOD: &str = "Bearer";

struct BearerFunction {
    cache: SingleFlightCache<(), Bearer>,
}

#[derive(Debug, Clone)]
struct Bearer {
    token: DelegationToken,
    received: Instant,
    /// Counted from receipt; `None` means that it is not known.
    lifetime: Option<Duration>,
}

/// The function is not called again so soon for a token that is refused.
const REFUSALS: Duration = Duration::from_secs(1);

impl PartialEq for Bearer {
    fn eq(&self, other: &Self) -> bool {
        self.token.expose() == other.token.expose()
    }
}

impl Bearer {
    /// Unlike one of a controller, a token may have been issued long before.
    fn received(token: DelegationToken) -> Self {
        let now = since_1970().as_secs();
        let left = |expires_at: u64| Duration::from_secs(expires_at.saturating_sub(now));
        let claims = token.claims();
        let lifetime = claims.map(|claims| claims.lifetime(now).min(left(claims.expires_at)));
        Self { token, received: Instant::now(), lifetime }
    }
}

fn judge(bearer: &Bearer, age: Duration) -> Freshness {
    match bearer.lifetime {
        Some(lifetime) => Freshness::of_token(lifetime, age),
        None => Freshness::Expired,
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[async_trait]
impl CredentialProvider for BearerFunction {
    async fn authorization(&self) -> Result<Authorization, CredentialError> {
        let bearer = self.cache.get(&()).await.map_err(CredentialError::provider)?;
        Authorization::new(METHOD, bearer.token.expose())
    }

    fn refused(&self, authorization: &Authorization) -> bool {
        let is_it = |bearer: &Bearer| authorization.has(METHOD, bearer.token.expose());
        let Some(kept) = self.cache.values().into_iter().find(is_it) else {
            // It was replaced meanwhile.
            return true;
        };
        if kept.received.elapsed() < REFUSALS {
            return false;
        }
        self.cache.invalidate(&(), &kept);
        true
    }
}

impl fmt::Debug for BearerFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bearer tokens from a function")
    }
}
