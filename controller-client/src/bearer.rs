//! Bearer tokens from a function of the program.

use std::{
    error::Error,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use pravega_sdk_types::{ErrorKind, Failure, Outcome};

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
    /// call of the controller. Callers that need a new token at once share one call of it. Its
    /// errors are those of the calls, with the kind
    /// [`Unauthenticated`](ErrorKind::Unauthenticated).
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
        let fetch = move |()| {
            let token = function();
            async move {
                let token = token.await.map_err(|error| {
                    let detail = "the function for bearer tokens failed";
                    let failure =
                        Failure::new(ErrorKind::Unauthenticated, Outcome::NotApplied, detail);
                    ControllerError::from(failure.with_source(error))
                })?;
                Ok(Bearer::received(DelegationToken::new(token)))
            }
            .boxed()
        };
        let wall = Arc::new(since_1970);
        let cache = SingleFlightCache::with_clock(1, judge, Some(wall), fetch);
        Self::provider(Arc::new(BearerFunction { cache }))
    }
}

struct BearerFunction {
    cache: SingleFlightCache<(), Bearer>,
}

#[derive(Debug, Clone)]
struct Bearer {
    token: DelegationToken,
    /// Counted from receipt; `None` means that it is not known.
    lifetime: Option<Duration>,
}

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
        Self { token, lifetime }
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
        Authorization::new("Bearer", bearer.token.expose())
    }
}

impl fmt::Debug for BearerFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bearer tokens from a function")
    }
}
