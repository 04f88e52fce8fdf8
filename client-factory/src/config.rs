//! Configuration of clients.

use std::{path::PathBuf, time::Duration};

use pravega_sdk_controller_client::{ControllerConfig, ControllerUri, Credentials};
use pravega_sdk_segment_client::StoreConfig;
use pravega_sdk_tls::{TlsConfig, TlsConnector};
use pravega_sdk_types::RetryPolicy;

#[cfg(feature = "identity")]
use crate::credentials::issuer_tls;
use crate::{FactoryError, Source, TlsMode, setting::Sourced};

/// The configuration of a client: set by a setter, in the query of the URL, or in the environment,
/// in that order of precedence.
///
/// | query of the URL | environment | default |
/// |---|---|---|
/// | the URL itself | `PRAVEGA_CONTROLLER_URI` | `tcp://localhost:9090` |
/// | – | `PRAVEGA_AUTH_METHOD` and `PRAVEGA_AUTH_TOKEN`, or those that Java's client reads, `pravega_client_auth_method` and `pravega_client_auth_token` | no credentials |
/// | – | `PRAVEGA_USER` and `PRAVEGA_PASSWORD` | no credentials |
/// | – | with the feature `identity`: `KEYCLOAK_SERVICE_ACCOUNT_FILE`, as Java's client of Keycloak reads it, or `pravega_client_auth_keycloak`: the file with the adapter configuration of a client of Keycloak | no credentials |
/// | `tls_to_controller`, `tls_to_segment_store` | `PRAVEGA_TLS_TO_CONTROLLER`, `PRAVEGA_TLS_TO_SEGMENT_STORE` | `auto`: the scheme decides |
/// | `trust_store` | `PRAVEGA_TRUST_STORE` | the system's certificates |
/// | `client_certificate`, `client_key` | `PRAVEGA_CLIENT_CERTIFICATE`, `PRAVEGA_CLIENT_KEY` | no certificate; the key in the certificate's file |
/// | `connect_timeout`, `handshake_timeout` | `PRAVEGA_CONNECT_TIMEOUT`, `PRAVEGA_HANDSHAKE_TIMEOUT` | 5 s each |
/// | `request_timeout` | `PRAVEGA_REQUEST_TIMEOUT` | 30 s |
/// | `call_timeout`, `attempt_timeout` | `PRAVEGA_CALL_TIMEOUT`, `PRAVEGA_ATTEMPT_TIMEOUT` | 60 s, 30 s |
/// | `retry_attempts`, `retry_initial_delay`, `retry_max_delay` | `PRAVEGA_RETRY_…` | 10, 1 ms, 20 s |
/// | `max_in_flight`, `max_in_flight_bytes` | `PRAVEGA_MAX_IN_FLIGHT`, `PRAVEGA_MAX_IN_FLIGHT_BYTES` | 4096, 32 MiB |
///
/// Credentials are never part of a URL, as URLs end up in logs.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use pravega_sdk_client_factory::ClientConfig;
///
/// let url = "tcp://localhost:9090?request_timeout=10s&max_in_flight=100";
/// let config = ClientConfig::from_url(url)?.with_connect_timeout(Duration::from_secs(2));
/// let mut settings = config.settings().into_iter();
/// let shown = settings.find(|setting| setting.name == "request_timeout").unwrap();
/// assert_eq!((shown.value.as_str(), shown.source.to_string().as_str()), ("10s", "url"));
/// # Ok::<(), pravega_sdk_client_factory::FactoryError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub(crate) uri: Sourced<ControllerUri>,
    pub(crate) credentials: Sourced<Credentials>,
    pub(crate) tls_to_controller: Sourced<TlsMode>,
    pub(crate) tls_to_segment_store: Sourced<TlsMode>,
    pub(crate) trust_store: Sourced<Option<PathBuf>>,
    pub(crate) client_certificate: Sourced<OptionalFile>,
    pub(crate) client_key: Sourced<OptionalFile>,
    pub(crate) checks_host_name: bool,
    pub(crate) controller_tls: Option<TlsConfig>,
    pub(crate) segment_store_tls: Option<TlsConfig>,
    pub(crate) connect_timeout: Sourced<Duration>,
    pub(crate) handshake_timeout: Sourced<Duration>,
    pub(crate) request_timeout: Sourced<Duration>,
    pub(crate) call_timeout: Sourced<Duration>,
    pub(crate) attempt_timeout: Sourced<Duration>,
    pub(crate) retry_attempts: Sourced<u32>,
    pub(crate) retry_initial_delay: Sourced<Duration>,
    pub(crate) retry_max_delay: Sourced<Duration>,
    pub(crate) max_in_flight: Sourced<usize>,
    pub(crate) max_in_flight_bytes: Sourced<usize>,
}

/// A file that need not be.
#[derive(Debug, Clone)]
pub(crate) struct OptionalFile(pub(crate) Option<PathBuf>);

/// As in Java's client: each wait between attempts is ten times the previous one.
const RETRY_MULTIPLIER: u32 = 10;

impl ClientConfig {
    pub(crate) fn defaults(uri: Sourced<ControllerUri>) -> Self {
        Self {
            uri,
            credentials: Sourced::default(Credentials::anonymous()),
            tls_to_controller: Sourced::default(TlsMode::Auto),
            tls_to_segment_store: Sourced::default(TlsMode::Auto),
            trust_store: Sourced::default(None),
            client_certificate: Sourced::default(OptionalFile(None)),
            client_key: Sourced::default(OptionalFile(None)),
            checks_host_name: true,
            controller_tls: None,
            segment_store_tls: None,
            connect_timeout: Sourced::default(Duration::from_secs(5)),
            handshake_timeout: Sourced::default(Duration::from_secs(5)),
            request_timeout: Sourced::default(Duration::from_secs(30)),
            call_timeout: Sourced::default(Duration::from_secs(60)),
            attempt_timeout: Sourced::default(Duration::from_secs(30)),
            retry_attempts: Sourced::default(10),
            retry_initial_delay: Sourced::default(Duration::from_millis(1)),
            retry_max_delay: Sourced::default(Duration::from_secs(20)),
            max_in_flight: Sourced::default(4096),
            max_in_flight_bytes: Sourced::default(32 * 1024 * 1024),
        }
    }

    /// Sets the credentials for the controllers.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials.set(credentials, Source::Setter);
        self
    }

    /// Sets credentials with tokens of a client of Keycloak. Connections to Keycloak trust the
    /// system's certificates and those of the trust store that is set so far, whatever the TLS
    /// settings of `keycloak` are: with others use
    /// [`Keycloak::credentials`](pravega_sdk_identity::Keycloak::credentials).
    ///
    /// # Errors
    ///
    /// [`FactoryError`] if the configuration, or the trust store, cannot be used.
    #[cfg(feature = "identity")]
    pub fn with_keycloak(
        self,
        keycloak: pravega_sdk_identity::Keycloak,
    ) -> Result<Self, FactoryError> {
        let tls = issuer_tls(self.trust_store.value.as_deref());
        let credentials = keycloak.with_tls(tls).credentials().map_err(FactoryError::identity)?;
        Ok(self.with_credentials(credentials))
    }

    /// As [`Self::with_keycloak`], of a client of an issuer of OpenID Connect.
    ///
    /// # Errors
    ///
    /// As [`Self::with_keycloak`].
    #[cfg(feature = "identity")]
    pub fn with_open_id(self, client: pravega_sdk_identity::OpenId) -> Result<Self, FactoryError> {
        let tls = issuer_tls(self.trust_store.value.as_deref());
        let credentials = client.with_tls(tls).credentials().map_err(FactoryError::identity)?;
        Ok(self.with_credentials(credentials))
    }

    /// Sets whether connections to controllers use TLS. Default: [`TlsMode::Auto`].
    #[must_use]
    pub fn with_tls_to_controller(mut self, mode: TlsMode) -> Self {
        self.tls_to_controller.set(mode, Source::Setter);
        self
    }

    /// Sets whether connections to segment stores use TLS. Default: [`TlsMode::Auto`].
    #[must_use]
    pub fn with_tls_to_segment_store(mut self, mode: TlsMode) -> Self {
        self.tls_to_segment_store.set(mode, Source::Setter);
        self
    }

    /// Sets the PEM file of the trusted certificates: certificates of authorities, or those of the
    /// servers.
    #[must_use]
    pub fn with_trust_store(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust_store.set(Some(path.into()), Source::Setter);
        self
    }

    /// Sets the PEM files of the client's certificate, with those between it and its authority, and
    /// of its private key, for servers that ask for one.
    #[must_use]
    pub fn with_client_certificate(
        mut self,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate.set(OptionalFile(Some(chain.into())), Source::Setter);
        self.client_key.set(OptionalFile(Some(key.into())), Source::Setter);
        self
    }

    /// Sets the TLS settings of connections to controllers, in place of the trust store and the
    /// client's certificate that both kinds of connections share. Whether there is TLS is up to
    /// [`Self::with_tls_to_controller`].
    #[must_use]
    pub fn with_controller_tls(mut self, tls: TlsConfig) -> Self {
        self.controller_tls = Some(tls);
        self
    }

    /// As [`Self::with_controller_tls`], for connections to segment stores.
    #[must_use]
    pub fn with_segment_store_tls(mut self, tls: TlsConfig) -> Self {
        self.segment_store_tls = Some(tls);
        self
    }

    /// Accepts a segment store's certificate for any host name. The owner of any trusted
    /// certificate can then impersonate every segment store. Needs a trust store; the host names of
    /// controllers are checked, and so are those of segment stores with settings of their own, by
    /// [`Self::with_segment_store_tls`].
    #[must_use]
    pub fn dangerously_without_host_name_check(mut self) -> Self {
        self.checks_host_name = false;
        self
    }

    /// Sets the timeout for establishing a connection. Default: 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets the timeout of the handshake with a segment store. Default: 5 s.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets the timeout of a request to a segment store. Default: 30 s.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets the timeout of a controller call with all its attempts. Default: 60 s.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets the timeout of one attempt of a controller call. Default: 30 s.
    #[must_use]
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets the number of attempts of a controller call, and the maximum waits between them:
    /// `initial` first, then ten times the previous wait, up to `max`. Default: 10 attempts, 1 ms,
    /// 20 s.
    #[must_use]
    pub fn with_retry(mut self, attempts: u32, initial: Duration, max: Duration) -> Self {
        self.retry_attempts.set(attempts, Source::Setter);
        self.retry_initial_delay.set(initial, Source::Setter);
        self.retry_max_delay.set(max, Source::Setter);
        self
    }

    /// Sets the retries as [`Self::with_retry`] does, unless a setter, the URL or the environment
    /// sets them: for programs with other defaults.
    #[must_use]
    pub fn with_default_retry(mut self, attempts: u32, initial: Duration, max: Duration) -> Self {
        self.retry_attempts.set(attempts, Source::Default);
        self.retry_initial_delay.set(initial, Source::Default);
        self.retry_max_delay.set(max, Source::Default);
        self
    }

    /// Sets the maximum number of requests, and of their bytes, in flight on one connection.
    /// Default: 4096 and 32 MiB.
    #[must_use]
    pub fn with_max_in_flight(mut self, requests: usize, bytes: usize) -> Self {
        self.max_in_flight.set(requests, Source::Setter);
        self.max_in_flight_bytes.set(bytes, Source::Setter);
        self
    }

    /// Returns the address of the controllers.
    #[must_use]
    pub fn uri(&self) -> &ControllerUri {
        &self.uri.value
    }

    /// Returns the credentials.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials.value
    }

    /// Returns true if connections to controllers use TLS.
    #[must_use]
    pub fn is_tls_to_controller(&self) -> bool {
        self.tls_to_controller.value.is_on(self.uri.value.scheme())
    }

    /// Returns the TLS settings of connections to controllers, also if those do not use TLS: for
    /// other services of the same servers.
    ///
    /// # Errors
    ///
    /// [`FactoryError`] if the trust store, or the client's certificate, cannot be used.
    pub fn controller_tls(&self) -> Result<TlsConfig, FactoryError> {
        self.checked(self.controller_tls.as_ref())
    }

    pub(crate) fn controller_config(&self) -> Result<ControllerConfig, FactoryError> {
        let tls = if self.is_tls_to_controller() { Some(self.controller_tls()?) } else { None };
        let retry = RetryPolicy::new(
            self.retry_initial_delay.value,
            RETRY_MULTIPLIER,
            self.retry_max_delay.value,
            self.retry_attempts.value,
        );
        let retry = retry.map_err(|error| FactoryError::config("retry_attempts", error))?;
        Ok(ControllerConfig::new(self.uri.value.clone())
            .with_credentials(self.credentials.value.clone())
            .with_tls(tls)
            .with_retry(retry)
            .with_connect_timeout(self.connect_timeout.value)
            .with_attempt_timeout(self.attempt_timeout.value)
            .with_call_timeout(self.call_timeout.value))
    }

    pub(crate) fn store_config(&self) -> Result<StoreConfig, FactoryError> {
        let is_tls = self.tls_to_segment_store.value.is_on(self.uri.value.scheme());
        let tls = if is_tls { Some(self.store_tls()?) } else { None };
        Ok(StoreConfig::default()
            .with_tls(tls)
            .with_connect_timeout(self.connect_timeout.value)
            .with_handshake_timeout(self.handshake_timeout.value)
            .with_request_timeout(self.request_timeout.value)
            .with_max_in_flight(self.max_in_flight.value)
            .with_max_in_flight_bytes(self.max_in_flight_bytes.value))
    }

    fn store_tls(&self) -> Result<TlsConfig, FactoryError> {
        match &self.segment_store_tls {
            None if !self.checks_host_name => {
                check(self.shared_tls()?.dangerously_without_host_name_check())
            }
            own => self.checked(own.as_ref()),
        }
    }

    /// Returns the TLS settings of one kind of connections, whose files can be used.
    fn checked(&self, own: Option<&TlsConfig>) -> Result<TlsConfig, FactoryError> {
        match own {
            Some(own) => check(own.clone()),
            None => check(self.shared_tls()?),
        }
    }

    /// Returns the TLS settings that have text forms, and that both kinds of connections share.
    fn shared_tls(&self) -> Result<TlsConfig, FactoryError> {
        let mut tls = TlsConfig::new();
        if let Some(path) = &self.trust_store.value {
            tls = tls.with_trust_file(path);
        }
        match (&self.client_certificate.value.0, &self.client_key.value.0) {
            (None, None) => Ok(tls),
            (Some(chain), Some(key)) => Ok(tls.with_client_certificate_files(chain, key)),
            (Some(both), None) => Ok(tls.with_client_certificate_files(both, both)),
            (None, Some(_)) => {
                let detail = "it is set, and client_certificate is not";
                Err(FactoryError::config("client_key", detail))
            }
        }
    }
}

fn check(tls: TlsConfig) -> Result<TlsConfig, FactoryError> {
    TlsConnector::new(&tls, None).check().map_err(FactoryError::tls)?;
    Ok(tls)
}
