//! Everything that can be set about the client of the controller.

use std::{path::PathBuf, time::Duration};

use pravega_sdk_types::RetryPolicy;

use crate::{ControllerUri, Credentials};

/// Everything that can be set about [`ControllerClient`](crate::ControllerClient).
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    pub(crate) uri: ControllerUri,
    pub(crate) credentials: Credentials,
    pub(crate) tls: Option<TlsTrust>,
    pub(crate) retry: RetryPolicy,
    pub(crate) connect_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) keep_alive_interval: Duration,
}

/// Which certificates a server may show.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TlsTrust {
    /// Those that the machine trusts.
    #[default]
    Platform,
    /// Those signed by a certificate of this PEM file, or that certificate itself.
    File(PathBuf),
}

impl ControllerConfig {
    /// Takes all defaults. TLS is on if the scheme says so, with the certificates that the machine
    /// trusts.
    #[must_use]
    pub fn new(uri: ControllerUri) -> Self {
        Self {
            tls: uri.scheme().is_tls().then_some(TlsTrust::Platform),
            uri,
            credentials: Credentials::anonymous(),
            retry: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(60),
            keep_alive_interval: Duration::from_secs(6 * 60),
        }
    }

    /// Sets who we say we are. Default: nobody.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Sets whether TLS is spoken, and which certificates are good. Default: as the scheme says.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<TlsTrust>) -> Self {
        self.tls = tls;
        self
    }

    /// Sets when a call is repeated. Default: 10 attempts, 1 ms × 10 up to 20 s, full jitter.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how long a connection may take to come about. Default: 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long one attempt of a call may take. Default: 30 s.
    #[must_use]
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets how long a call may take with all its attempts. Default: 60 s. Zero fails at once,
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

    /// Where the controllers are.
    #[must_use]
    pub fn uri(&self) -> &ControllerUri {
        &self.uri
    }
}
