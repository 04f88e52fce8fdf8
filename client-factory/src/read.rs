//! Reading a configuration from a URL and the environment, and showing it.

use percent_encoding::percent_decode_str;
use pravega_sdk_controller_client::ControllerUriError;
use pravega_sdk_types::EndpointError;

use crate::{
    ClientConfig, FactoryError, Setting, Source, credentials, setting::Sourced, settings::KNOBS,
};

/// The default of Java's client.
const DEFAULT_URL: &str = "tcp://localhost:9090";
const URL_VARIABLE: &str = "PRAVEGA_CONTROLLER_URI";

impl ClientConfig {
    /// Creates a configuration from the URL and its query; settings that are not in it come from
    /// the environment, then from the defaults.
    ///
    /// # Errors
    ///
    /// [`FactoryError`] names the setting that is wrong.
    pub fn from_url(url: &str) -> Result<Self, FactoryError> {
        Self::read(Some(url), &|name| std::env::var(name).ok())
    }

    /// Creates a configuration from the environment; missing settings have their defaults.
    ///
    /// # Errors
    ///
    /// [`FactoryError`] names the setting that is wrong.
    pub fn from_env() -> Result<Self, FactoryError> {
        Self::read(None, &|name| std::env::var(name).ok())
    }

    /// Reads the environment through `variable`, so that tests do not change that of the process.
    pub(crate) fn read(
        url: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, FactoryError> {
        // A variable that is set to nothing is as one that is not set.
        let filled = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let from_env = filled(URL_VARIABLE);
        let (url, source) = match (url, &from_env) {
            (Some(url), _) => (url, Source::Url),
            (None, Some(url)) => (url.as_str(), Source::Environment),
            (None, None) => (DEFAULT_URL, Source::Default),
        };
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let uri = address.parse().map_err(|error| {
            // A password with a question mark is no query: nothing of such a text is shown.
            let error = not_an_address(if url.contains('@') { user_info() } else { error });
            if source == Source::Environment { error.of_variable(URL_VARIABLE) } else { error }
        })?;
        let mut config = Self::defaults(Sourced { value: uri, source });
        for knob in KNOBS {
            if let Some(text) = filled(knob.variable) {
                knob.apply(&mut config, &text, Source::Environment)
                    .map_err(|error| error.of_variable(knob.variable))?;
            }
        }
        config.apply_query(query)?;
        // After the trust store, which those of an issuer may need.
        let trust_store = config.trust_store.value.as_deref();
        if let Some(credentials) = credentials::from_environment(&filled, trust_store)? {
            config.credentials.set(credentials, Source::Environment);
        }
        Ok(config)
    }

    /// Returns every setting, its value, and the source of the value. Secrets are not shown.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = vec![
            Setting {
                name: "url",
                variable: URL_VARIABLE,
                value: self.uri.value.to_string(),
                source: self.uri.source,
                meaning: "address of the controllers",
            },
            Setting {
                name: "credentials",
                variable: "PRAVEGA_AUTH_METHOD",
                value: self.credentials.value.method().to_owned(),
                source: self.credentials.source,
                meaning: "credentials for the controllers, shown as the method only",
            },
        ];
        settings.extend(KNOBS.iter().map(|knob| knob.setting(self)));
        settings
    }

    fn apply_query(&mut self, query: &str) -> Result<(), FactoryError> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(knob) = KNOBS.iter().find(|knob| knob.name == name) else {
                if name.contains('@') {
                    return Err(not_an_address(user_info()));
                }
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
}

fn not_an_address(reason: ControllerUriError) -> FactoryError {
    FactoryError::config("url", "it is not the address of a cluster").with_source(reason)
}

/// The error of an address with a user and password.
fn user_info() -> ControllerUriError {
    ControllerUriError::Endpoint { index: 1, source: EndpointError::UserInfo }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, time::Duration};

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
    fn a_wrong_value_is_told_with_the_variable_that_has_it() {
        let error = read(None, &[("PRAVEGA_REQUEST_TIMEOUT", "bad")]).unwrap_err();
        assert_eq!(error.setting(), Some("request_timeout"));
        let text = error.to_string();
        let expected =
            "setting request_timeout (PRAVEGA_REQUEST_TIMEOUT): \"bad\" is not a duration";
        assert!(text.starts_with(expected), "{text}");
        let error = read(None, &[("PRAVEGA_CONTROLLER_URI", "http://h:1")]).unwrap_err();
        assert!(error.to_string().starts_with("setting url (PRAVEGA_CONTROLLER_URI): "), "{error}");
        let error = read(Some("http://h:1"), &[]).unwrap_err();
        assert!(error.to_string().starts_with("setting url: "), "{error}");
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_is_as_one_that_is_not_set() {
        for value in ["", " "] {
            let variables = [("PRAVEGA_CONTROLLER_URI", value), ("PRAVEGA_REQUEST_TIMEOUT", value)];
            let config = read(None, &variables).unwrap();
            for name in ["url", "request_timeout"] {
                assert_eq!(shown(&config, name).1, Source::Default, "{name} {value:?}");
            }
        }
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
    fn no_part_of_a_password_in_the_url_is_shown() {
        for url in [
            "tcp://user:hunter2@h:1",
            "tcp://user:hunter2/@h:1",
            "tcp://user:hunter2?@h:1",
            "tcp://user:1?hunter2@h:1",
            "tcp://user:hunter2?connect_timeout=2s@h:1",
        ] {
            let error = read(Some(url), &[]).unwrap_err();
            assert_eq!(error.setting(), Some("url"), "{url}");
            let source = Error::source(&error).unwrap();
            let shown = format!("{error} {error:?} {source} {source:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("give credentials separately"), "{shown}");
        }
    }

    #[test]
    fn a_missing_trust_store_is_refused_before_the_first_connection() {
        let config = read(Some("tls://h:1?trust_store=%2Fno%2Fsuch%2Ffile"), &[]).unwrap();
        assert_eq!(shown(&config, "trust_store").0, "/no/such/file");
        assert_eq!(config.store_config().unwrap_err().setting(), Some("trust_store"));
        assert_eq!(config.controller_config().unwrap_err().setting(), Some("trust_store"));
    }

    #[test]
    fn a_client_key_needs_a_certificate_which_may_hold_it() {
        let wrong = |query: &str| {
            let config = read(Some(&format!("tls://h:1?{query}")), &[]).unwrap();
            config.controller_config().unwrap_err()
        };
        let error = wrong("client_key=/no/key");
        assert_eq!(error.setting(), Some("client_key"));
        assert!(error.to_string().contains("client_certificate is not"), "{error}");
        let variables = [("PRAVEGA_CLIENT_CERTIFICATE", "/no/certificate")];
        let config = read(Some("tls://h:1"), &variables).unwrap();
        let shown = shown(&config, "client_certificate");
        assert_eq!(shown, ("/no/certificate".to_owned(), Source::Environment));
        assert_eq!(config.controller_config().unwrap_err().setting(), Some("client_certificate"));
    }

    #[test]
    fn both_kinds_of_connections_can_have_their_own_tls() {
        let url = "tls://h:1?trust_store=/no/such/file&tls_to_segment_store=off";
        let config = read(Some(url), &[]).unwrap();
        assert_eq!(config.controller_config().unwrap_err().setting(), Some("trust_store"));
        config.store_config().unwrap();
        let own = pravega_sdk_tls::TlsConfig::new().with_trust_file("/no/other/file");
        let config = config.with_tls_to_segment_store(crate::TlsMode::On);
        let error = config.with_segment_store_tls(own).store_config().unwrap_err();
        let source = Error::source(&error).unwrap().to_string();
        assert!(source.contains("/no/other/file"), "{source}");
    }
}
