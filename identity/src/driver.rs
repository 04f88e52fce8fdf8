//! The tokens of one identity: who waits for which fetch, and the tasks that fetch.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, future::Shared};
use pravega_sdk_controller_client::{
    Authorization, CredentialError, CredentialProvider, Credentials,
};
use pravega_sdk_http::{HttpClient, Url};
use pravega_sdk_types::ErrorKind;
use secrecy::ExposeSecret as _;
use tokio::{runtime::Handle, sync::oneshot, time::Instant};

use crate::{
    IdentityError,
    answer::MAX_LEN,
    machine::{Demand, Exchange, Fetching, Life, Moment, Step, Token},
    plan::{Plan, Terms},
};

/// Creates credentials with the tokens of a plan.
pub(crate) fn credentials(plan: Plan, terms: Terms) -> Result<Credentials, IdentityError> {
    if terms.timeout.is_zero() {
        return Err(IdentityError::config("timeout", "it is 0"));
    }
    let http = HttpClient::new(&terms.tls, MAX_LEN);
    if plan.discovery.is_tls() {
        http.check().map_err(IdentityError::tls)?;
    } else if !plan.discovery.is_local() {
        let issuer = plan.discovery.authority();
        tracing::warn!(issuer, "the client's secret is sent to the issuer without encryption");
    }
    let life = Life::new(plan.least_left, terms.timeout);
    let tokens = Tokens {
        plan: Arc::new(plan),
        http,
        timeout: terms.timeout,
        begun: Instant::now(),
        state: Mutex::new(State { life, flight: None, endpoint: None }),
    };
    Ok(Credentials::provider(Arc::new(Provider(Arc::new(tokens)))))
}

/// The result of a fetch. It is canceled if the runtime of the fetch ends first.
type Flight = Shared<oneshot::Receiver<Result<Token, IdentityError>>>;

struct Tokens {
    plan: Arc<Plan>,
    http: HttpClient,
    timeout: Duration,
    /// The steady clock begins here.
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    life: Life,
    /// The fetch in progress.
    flight: Option<(u64, Flight)>,
    /// The endpoint for tokens, if the last fetch has found it.
    endpoint: Option<Url>,
}

/// What a caller gets at once.
enum Found {
    Token(Token),
    Flight(Fetching, Flight),
}

impl Tokens {
    async fn token(self: &Arc<Self>) -> Result<Token, IdentityError> {
        // A fetch that ends with its runtime, or stands still with it, is begun once more, on the
        // caller's.
        for _ in 0..2 {
            let (fetching, flight) = match self.find()? {
                Found::Token(token) => return Ok(token),
                Found::Flight(fetching, flight) => (fetching, flight),
            };
            match self.wait(fetching, flight).await {
                Some(fetched) => return fetched,
                None => self.lock().life.handle_lost(fetching.number),
            }
        }
        Err(no_runtime("the runtime was shut down while a token was fetched"))
    }

    /// Waits for a fetch; returns `None` if it is lost.
    async fn wait(
        &self,
        fetching: Fetching,
        flight: Flight,
    ) -> Option<Result<Token, IdentityError>> {
        let left = fetching.until.saturating_sub(self.now().steady);
        let ended = match Handle::try_current() {
            Ok(_) => tokio::time::timeout(left, flight).await.ok()?,
            // There is no timer.
            Err(_) => flight.await,
        };
        ended.ok()
    }

    fn find(self: &Arc<Self>) -> Result<Found, IdentityError> {
        let now = self.now();
        let mut state = self.lock();
        match state.life.handle_demand(now) {
            Demand::Use(token) => Ok(Found::Token(token)),
            Demand::Refresh(token, fetching) => {
                // Without a runtime the token is used until it expires.
                self.start(&mut state, fetching.number).ok();
                Ok(Found::Token(token))
            }
            Demand::Fetch(fetching) => {
                let flight = self.start(&mut state, fetching.number)?;
                Ok(Found::Flight(fetching, flight))
            }
            Demand::Wait(fetching) => match &state.flight {
                Some((current, flight)) if *current == fetching.number => {
                    Ok(Found::Flight(fetching, flight.clone()))
                }
                _ => {
                    state.life.handle_lost(fetching.number);
                    Err(no_runtime("a token was not fetched"))
                }
            },
            Demand::Fail(error) => Err(error),
        }
    }

    /// Starts a fetch in a task on the caller's runtime. It ends at its deadline.
    fn start(self: &Arc<Self>, state: &mut State, number: u64) -> Result<Flight, IdentityError> {
        let runtime = match Handle::try_current() {
            Ok(runtime) => runtime,
            Err(error) => {
                state.life.handle_lost(number);
                return Err(no_runtime(error));
            }
        };
        let now = self.now();
        let exchange =
            Exchange::new(Arc::clone(&self.plan), state.endpoint.clone(), self.timeout, now);
        let (sender, flight) = oneshot::channel();
        let tokens = Arc::clone(self);
        runtime.spawn(async move {
            let fetched = tokens.fetch(number, exchange).await;
            sender.send(fetched).ok();
        });
        let flight = flight.shared();
        state.flight = Some((number, flight.clone()));
        Ok(flight)
    }

    async fn fetch(&self, number: u64, mut exchange: Exchange) -> Result<Token, IdentityError> {
        let result = loop {
            match exchange.poll(self.now()) {
                Step::Send { request, until } => {
                    let limit = until.saturating_sub(self.now().steady);
                    let result = self.http.send(&request, limit).await;
                    exchange.handle(result, fastrand::f64(), self.now());
                }
                Step::Wait { until } => {
                    tokio::time::sleep(until.saturating_sub(self.now().steady)).await;
                }
                Step::End(result) => break result,
            }
        };
        let (now, pause) = (self.now(), exchange.pause());
        let mut state = self.lock();
        state.endpoint = exchange.into_endpoint();
        match result {
            Ok((issued, asked)) => {
                tracing::debug!(
                    client = %self.plan.client.id, lifetime = ?issued.lifetime, "a token was issued"
                );
                Ok(state.life.handle_issued(number, issued, asked))
            }
            Err(error) => {
                tracing::debug!(client = %self.plan.client.id, %error, "no token was issued");
                state.life.handle_failed(number, (error.clone(), pause), now);
                Err(error)
            }
        }
    }

    fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { steady: self.begun.elapsed(), wall }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held. If it did, the state would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_runtime(reason: impl fmt::Display) -> IdentityError {
    IdentityError::of(ErrorKind::NoRuntime, reason)
}

/// The door of the client of the controller.
struct Provider(Arc<Tokens>);

const METHOD: &str = "Bearer";

#[async_trait]
impl CredentialProvider for Provider {
    async fn authorization(&self) -> Result<Authorization, CredentialError> {
        let token = self.0.token().await?;
        Authorization::new(METHOD, token.expose_secret())
    }

    fn refused(&self, authorization: &Authorization) -> bool {
        let header = authorization.header_value();
        let token = header.expose_secret().strip_prefix(METHOD).map(str::trim_start);
        let now = self.0.now();
        token.is_some_and(|token| self.0.lock().life.handle_refused(token, now))
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { client, discovery, .. } = &*self.0.plan;
        write!(f, "tokens of client {} from {}", client.id, discovery.authority())
    }
}
