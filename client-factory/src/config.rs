//! Everything that can be set about a client.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use pravega_sdk_controller_client::{ControllerConfig, ControllerUri, Credentials, TlsTrust};
use pravega_sdk_segment_client::{StoreConfig, StoreTls};
use pravega_sdk_types::RetryPolicy;

use crate::{
    FactoryError, Setting, Source,
    settings::{KNOBS, Sourced},
};

/// Everything that can be set about a client: by a setter, in the query of the URL, or in the
/// environment, in that order of precedence.
///
/// | query of the URL | environment | default |
/// |---|---|---|
/// | the URL itself | `PRAVEGA_CONTROLLER_URI` | `tcp://localhost:9090` |
/// | – | `PRAVEGA_AUTH_METHOD` and `PRAVEGA_AUTH_TOKEN`, or those that Java's client reads, `pravega_client_auth_method` and `pravega_client_auth_token` | none |
/// | – | `PRAVEGA_USER` and `PRAVEGA_PASSWORD` | none |
/// | `tls_to_controller`, `tls_to_segment_store` | `PRAVEGA_TLS_TO_CONTROLLER`, `PRAVEGA_TLS_TO_SEGMENT_STORE` | `auto`: as the scheme says |
/// | `trust_store` | `PRAVEGA_TRUST_STORE` | what the machine trusts |
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
/// let config = ClientConfig::from_url("tcp://localhost:9090?request_timeout=10s&max_in_flight=100")?
///     .with_connect_timeout(Duration::from_secs(2));
/// let shown = config.settings().into_iter().find(|setting| setting.name == "request_timeout").unwrap();
/// assert_eq!((shown.value.as_str(), shown.source.to_string().as_str()), ("10s", "url"));
/// # Ok::<(), pravega_sdk_client_factory::FactoryError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub(crate) uri: Sourced<ControllerUri>,
    pub(crate) credentials: Sourced<Credentials>,
    pub(crate) tls_to_controller: Sourced<Option<bool>>,
    pub(crate) tls_to_segment_store: Sourced<Option<bool>>,
    pub(crate) trust_store: Sourced<Option<PathBuf>>,
    pub(crate) checks_host_name: bool,
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

/// Where a client connects if nobody says anything, as Java's does.
const DEFAULT_URL: &str = "tcp://localhost:9090";
/// As Java's client: each wait between attempts is ten times the one before.
const RETRY_MULTIPLIER: u32 = 10;

impl ClientConfig {
    /// Takes the URL and its query, and for what it does not say the environment, and then the
    /// defaults.
    ///
    /// # Errors
    ///
    /// [`FactoryError`] names the setting that is wrong.
    pub fn from_url(url: &str) -> Result<Self, FactoryError> {
        Self::read(Some(url), &|name| std::env::var(name).ok())
    }

    /// Takes the environment, and for what it does not say the defaults.
    ///
    /// # Errors
    ///
    /// [`FactoryError`] names the setting that is wrong.
    pub fn from_env() -> Result<Self, FactoryError> {
        Self::read(None, &|name| std::env::var(name).ok())
    }

    /// Reads the environment through `variable`, so that tests need not change that of the process.
    pub(crate) fn read(
        url: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, FactoryError> {
        let from_env = variable("PRAVEGA_CONTROLLER_URI");
        let (url, source) = match (url, &from_env) {
            (Some(url), _) => (url, Source::Url),
            (None, Some(url)) => (url.as_str(), Source::Environment),
            (None, None) => (DEFAULT_URL, Source::Default),
        };
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let uri = address.parse().map_err(|error| {
            FactoryError::config("url", "it is not the address of a cluster").with_source(error)
        })?;
        let mut config = Self::defaults(Sourced { value: uri, source });
        for knob in KNOBS {
            if let Some(text) = variable(knob.variable) {
                knob.apply(&mut config, &text, Source::Environment)?;
            }
        }
        if let Some(credentials) = credentials_from(variable)? {
            config.credentials.set(credentials, Source::Environment);
        }
        config.apply_query(query)?;
        Ok(config)
    }

    fn defaults(uri: Sourced<ControllerUri>) -> Self {
        Self {
            uri,
            credentials: Sourced::default(Credentials::anonymous()),
            tls_to_controller: Sourced::default(None),
            tls_to_segment_store: Sourced::default(None),
            trust_store: Sourced::default(None),
            checks_host_name: true,
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

    fn apply_query(&mut self, query: &str) -> Result<(), FactoryError> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(knob) = KNOBS.iter().find(|knob| knob.name == name) else {
                let known: Vec<&str> = KNOBS.iter().map(|knob| knob.name).collect();
                return Err(FactoryError::unknown_setting(name, &known.join(", ")));
            };
            let value = percent_decode_str(value).decode_utf8();
            let value =
                value.map_err(|_| FactoryError::config(knob.name, "its value is not UTF-8"))?;
            knob.apply(self, &value, Source::Url)?;
        }
        Ok(())
    }

    /// Sets who we say we are to controllers.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials.set(credentials, Source::Setter);
        self
    }

    /// Sets whether TLS is spoken to controllers and to segment stores, whatever the scheme says.
    #[must_use]
    pub fn with_tls(mut self, to_controller: Option<bool>, to_segment_store: Option<bool>) -> Self {
        self.tls_to_controller.set(to_controller, Source::Setter);
        self.tls_to_segment_store.set(to_segment_store, Source::Setter);
        self
    }

    /// Sets the PEM file of the certificates that are trusted: those that sign others, or the
    /// servers' own.
    #[must_use]
    pub fn with_trust_store(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust_store.set(Some(path.into()), Source::Setter);
        self
    }

    /// Takes a segment store's certificate whatever host it is for. Whoever holds a trusted
    /// certificate can stand in for every segment store then. Needs a trust store; controllers are
    /// always checked.
    #[must_use]
    pub fn dangerously_without_host_name_check(mut self) -> Self {
        self.checks_host_name = false;
        self
    }

    /// Sets how long a connection may take to come about. Default: 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets how long the exchange of versions with a segment store may take. Default: 5 s.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets how long a request to a segment store may take. Default: 30 s.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets how long a controller call may take with all its attempts. Default: 60 s.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets how long one attempt of a controller call may take. Default: 30 s.
    #[must_use]
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout.set(timeout, Source::Setter);
        self
    }

    /// Sets how often a controller call is tried, and how long at most it waits in between:
    /// `initial` first, then ten times as long each time, up to `max`. Default: 10 attempts, 1 ms,
    /// 20 s.
    #[must_use]
    pub fn with_retry(mut self, attempts: u32, initial: Duration, max: Duration) -> Self {
        self.retry_attempts.set(attempts, Source::Setter);
        self.retry_initial_delay.set(initial, Source::Setter);
        self.retry_max_delay.set(max, Source::Setter);
        self
    }

    /// Sets the retries as [`Self::with_retry`] does, where neither a setter nor the URL nor the
    /// environment says anything: for programs whose users wait less patiently than others, or
    /// more.
    #[must_use]
    pub fn with_default_retry(mut self, attempts: u32, initial: Duration, max: Duration) -> Self {
        self.retry_attempts.set(attempts, Source::Default);
        self.retry_initial_delay.set(initial, Source::Default);
        self.retry_max_delay.set(max, Source::Default);
        self
    }

    /// Sets how many requests, and how many bytes of them, may be under way on one connection.
    /// Default: 4096 and 32 MiB.
    #[must_use]
    pub fn with_max_in_flight(mut self, requests: usize, bytes: usize) -> Self {
        self.max_in_flight.set(requests, Source::Setter);
        self.max_in_flight_bytes.set(bytes, Source::Setter);
        self
    }

    /// Where the controllers are.
    #[must_use]
    pub fn uri(&self) -> &ControllerUri {
        &self.uri.value
    }

    /// Who we say we are.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials.value
    }

    /// Every setting, its value, and where that came from. Secrets are not shown.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = vec![
            Setting {
                name: "url",
                variable: "PRAVEGA_CONTROLLER_URI",
                value: self.uri.value.to_string(),
                source: self.uri.source,
                meaning: "where the controllers are",
            },
            Setting {
                name: "credentials",
                variable: "PRAVEGA_AUTH_METHOD",
                value: self.credentials.value.method().to_owned(),
                source: self.credentials.source,
                meaning: "who we say we are: the method only",
            },
        ];
        settings.extend(KNOBS.iter().map(|knob| knob.setting(self)));
        settings
    }

    pub(crate) fn controller_config(&self) -> Result<ControllerConfig, FactoryError> {
        let is_tls = self.tls_to_controller.value.unwrap_or(self.uri.value.scheme().is_tls());
        let trust = match &self.trust_store.value {
            Some(path) => TlsTrust::File(path.clone()),
            None => TlsTrust::Platform,
        };
        let retry = RetryPolicy::new(
            self.retry_initial_delay.value,
            RETRY_MULTIPLIER,
            self.retry_max_delay.value,
            self.retry_attempts.value,
        );
        let retry = retry.map_err(|error| FactoryError::config("retry_attempts", error))?;
        Ok(ControllerConfig::new(self.uri.value.clone())
            .with_credentials(self.credentials.value.clone())
            .with_tls(is_tls.then_some(trust))
            .with_retry(retry)
            .with_connect_timeout(self.connect_timeout.value)
            .with_attempt_timeout(self.attempt_timeout.value)
            .with_call_timeout(self.call_timeout.value))
    }

    pub(crate) fn store_config(&self) -> Result<StoreConfig, FactoryError> {
        let is_tls = self.tls_to_segment_store.value.unwrap_or(self.uri.value.scheme().is_tls());
        let tls = if is_tls { Some(self.store_tls()?) } else { None };
        Ok(StoreConfig::default()
            .with_tls(tls)
            .with_connect_timeout(self.connect_timeout.value)
            .with_handshake_timeout(self.handshake_timeout.value)
            .with_request_timeout(self.request_timeout.value)
            .with_max_in_flight(self.max_in_flight.value)
            .with_max_in_flight_bytes(self.max_in_flight_bytes.value))
    }

    fn store_tls(&self) -> Result<StoreTls, FactoryError> {
        let refused =
            |error| FactoryError::config("trust_store", "it cannot be used").with_source(error);
        match &self.trust_store.value {
            None if self.checks_host_name => StoreTls::platform().map_err(refused),
            None => Err(FactoryError::config(
                "trust_store",
                "without a host name check one must be given",
            )),
            Some(path) if self.checks_host_name => StoreTls::from_file(path).map_err(refused),
            Some(path) => {
                let shown = path.display().to_string();
                let pem = std::fs::read(path).map_err(|error| {
                    FactoryError::config("trust_store", "it cannot be read").with_source(error)
                })?;
                StoreTls::dangerously_without_host_name_check(&shown, &pem).map_err(refused)
            }
        }
    }
}

/// The credentials that the environment gives: ours, or those of Java's client.
fn credentials_from(
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Credentials>, FactoryError> {
    let pairs = [
        ("PRAVEGA_AUTH_METHOD", "PRAVEGA_AUTH_TOKEN"),
        ("pravega_client_auth_method", "pravega_client_auth_token"),
        ("PRAVEGA_USER", "PRAVEGA_PASSWORD"),
    ];
    for (first, second) in pairs {
        let credentials = match (variable(first), variable(second)) {
            (None, None) => continue,
            (Some(_), None) => {
                return Err(FactoryError::config(
                    "credentials",
                    format!("{first} is set, {second} is not"),
                ));
            }
            (None, Some(_)) => {
                return Err(FactoryError::config(
                    "credentials",
                    format!("{second} is set, {first} is not"),
                ));
            }
            (Some(user), Some(password)) if first == "PRAVEGA_USER" => {
                Credentials::basic(&user, &password)
            }
            (Some(method), Some(token)) => Credentials::custom(method, token),
        };
        return credentials.map(Some).map_err(|error| {
            FactoryError::config("credentials", "they cannot be sent").with_source(error)
        });
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: Option<&str>, variables: &[(&str, &str)]) -> Result<ClientConfig, FactoryError> {
        ClientConfig::read(url, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn shown(config: &ClientConfig, name: &str) -> (String, Source) {
        let setting = config.settings().into_iter().find(|setting| setting.name == name).unwrap();
        (setting.value, setting.source)
    }

    #[test]
    fn a_setter_beats_the_url_which_beats_the_environment_which_beats_the_default() {
        let variables =
            [("PRAVEGA_CONNECT_TIMEOUT", "7s"), ("PRAVEGA_CONTROLLER_URI", "tcp://env:1")];
        let config = read(None, &[]).unwrap();
        assert_eq!(shown(&config, "connect_timeout"), ("5s".to_owned(), Source::Default));
        assert_eq!(shown(&config, "url"), ("tcp://localhost:9090".to_owned(), Source::Default));
        let config = read(None, &variables).unwrap();
        assert_eq!(shown(&config, "connect_timeout"), ("7s".to_owned(), Source::Environment));
        assert_eq!(shown(&config, "url"), ("tcp://env:1".to_owned(), Source::Environment));
        let config = read(Some("tcp://url:1?connect_timeout=8s"), &variables).unwrap();
        assert_eq!(shown(&config, "connect_timeout"), ("8s".to_owned(), Source::Url));
        assert_eq!(shown(&config, "url"), ("tcp://url:1".to_owned(), Source::Url));
        let config = config.with_default_retry(3, Duration::ZERO, Duration::ZERO);
        assert_eq!(shown(&config, "retry_attempts"), ("3".to_owned(), Source::Default));
        let config = config.with_retry(4, Duration::ZERO, Duration::ZERO).with_default_retry(
            5,
            Duration::ZERO,
            Duration::ZERO,
        );
        assert_eq!(shown(&config, "retry_attempts"), ("4".to_owned(), Source::Setter));
        let config = config.with_connect_timeout(Duration::from_secs(9));
        assert_eq!(shown(&config, "connect_timeout"), ("9s".to_owned(), Source::Setter));
    }

    #[test]
    fn errors_name_the_setting_and_what_is_wrong_with_it() {
        let error = |url: &str| read(Some(url), &[]).unwrap_err();
        assert_eq!(error("tcp://h:1?connect_timeout=soon").setting(), Some("connect_timeout"));
        assert_eq!(error("tcp://h:1?max_in_flight=0").setting(), Some("max_in_flight"));
        assert_eq!(error("tcp://h:1?tls_to_controller=maybe").setting(), Some("tls_to_controller"));
        assert!(error("tcp://h:1?speed=9").to_string().contains("there is no setting \"speed\""));
        assert_eq!(error("http://h:1").setting(), Some("url"));
    }

    #[test]
    fn credentials_come_from_the_environment_and_half_of_them_is_named() {
        let config = read(None, &[("PRAVEGA_USER", "u"), ("PRAVEGA_PASSWORD", "hunter2")]).unwrap();
        assert_eq!(shown(&config, "credentials"), ("Basic".to_owned(), Source::Environment));
        assert!(!format!("{config:?}{:?}", config.settings()).contains("hunter2"));
        let java = [("pravega_client_auth_method", "Bearer"), ("pravega_client_auth_token", "t")];
        assert_eq!(shown(&read(None, &java).unwrap(), "credentials").0, "Bearer");
        let half = read(None, &[("PRAVEGA_USER", "u")]).unwrap_err();
        assert!(half.to_string().contains("PRAVEGA_PASSWORD is not"), "{half}");
    }

    #[test]
    fn a_trust_store_that_is_none_is_refused_before_anything_connects() {
        let config = read(Some("tls://h:1?trust_store=%2Fno%2Fsuch%2Ffile"), &[]).unwrap();
        assert_eq!(shown(&config, "trust_store").0, "/no/such/file");
        assert_eq!(config.store_config().unwrap_err().setting(), Some("trust_store"));
    }
}
