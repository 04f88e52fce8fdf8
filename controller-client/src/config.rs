//! Configuration of the controller client.

use std::time::Duration;

use pravega_sdk_tls::TlsConfig;
use pravega_sdk_types::RetryPolicy;

#[cfg(feature = "seeded-bugs")]
use crate::machine::ControllerBug;
use crate::{ControllerUri, Credentials, machine::Bugs};

/// The configuration of a [`ControllerClient`](crate::ControllerClient).
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    pub(crate) uri: ControllerUri,
    pub(crate) credentials: Credentials,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) retry: RetryPolicy,
    pub(crate) connect_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) keep_alive_interval: Duration,
    pub(crate) bugs: Bugs,
}

impl ControllerConfig {
    /// Creates a configuration with all defaults. The scheme decides whether TLS is used, with the
    /// certificates that the system trusts.
    #[must_use]
    pub fn new(uri: ControllerUri) -> Self {
        Self {
            tls: uri.scheme().is_tls().then(TlsConfig::new),
            uri,
            credentials: Credentials::anonymous(),
            retry: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(60),
            keep_alive_interval: Duration::from_secs(6 * 60),
            bugs: Bugs::default(),
        }
    }

    /// Sets the credentials. Default: no credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Sets whether TLS is used, and its settings. Default: the scheme decides.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<TlsConfig>) -> Self {
        self.tls = tls;
        self
    }

    /// Sets when and how often a call is retried. Default: 10 attempts, 1 ms × 10 up to 20 s, full
    /// jitter.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the timeout for establishing a connection. Default: 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the timeout of one attempt of a call. Default: 30 s.
    #[must_use]
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets the timeout of a call with all its attempts. Default: 60 s. With zero every call fails
    /// without a request.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets how often an idle connection is checked. Default: 6 minutes; a controller closes
    /// connections that are checked more often than every 5.
    #[must_use]
    pub fn with_keep_alive_interval(mut self, interval: Duration) -> Self {
        self.keep_alive_interval = interval;
        self
    }

    /// Switches a bug on, for the tests that must catch it.
    #[cfg(feature = "seeded-bugs")]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: ControllerBug) -> Self {
        self.bugs = Bugs::new(bug);
        self
    }

    /// Returns the address of the controllers.
    #[must_use]
    pub fn uri(&self) -> &ControllerUri {
        &self.uri
    }
}
