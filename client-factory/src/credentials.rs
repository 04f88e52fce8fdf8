//! Credentials in the environment: those of the SDK, and those that other clients of Pravega read.

use std::path::Path;

use pravega_sdk_controller_client::{CredentialError, Credentials};

use crate::FactoryError;

/// The variables of a client of Pravega, read through a function.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

const METHOD: &str = "pravega_client_auth_method";
/// The method of the tokens of an issuer.
const BEARER: &str = "Bearer";
/// The adapter configuration, as Java's client of Keycloak finds it.
const KEYCLOAK_FILE: &str = "KEYCLOAK_SERVICE_ACCOUNT_FILE";

/// Reads the credentials in the environment. An issuer is trusted by the system's certificates, and
/// by those of `trust_store`.
pub(crate) fn from_environment(
    variable: Variables<'_>,
    trust_store: Option<&Path>,
) -> Result<Option<Credentials>, FactoryError> {
    if let Some((method, token)) = pair(variable, "PRAVEGA_AUTH_METHOD", "PRAVEGA_AUTH_TOKEN")? {
        return known(Credentials::custom(method, token)).map(Some);
    }
    if let Some(file) = keycloak_file(variable)? {
        return keycloak(&file, trust_store).map(Some);
    }
    if let Some((method, token)) = pair(variable, METHOD, "pravega_client_auth_token")? {
        return known(Credentials::custom(method, token)).map(Some);
    }
    if let Some((user, password)) = pair(variable, "PRAVEGA_USER", "PRAVEGA_PASSWORD")? {
        return known(Credentials::basic(&user, &password)).map(Some);
    }
    // Without the feature it may be for another program.
    match variable(KEYCLOAK_FILE) {
        Some(file) if cfg!(feature = "identity") => keycloak(&file, trust_store).map(Some),
        _ => Ok(None),
    }
}

/// Returns the adapter configuration of Keycloak that other clients of Pravega would use: the
/// earlier client in Rust has a variable for it, and Java's loads the client of Keycloak that is on
/// its class path.
fn keycloak_file(variable: Variables<'_>) -> Result<Option<String>, FactoryError> {
    const OURS: &str = "pravega_client_auth_keycloak";
    const LOADED: &str = "pravega_client_auth_loadDynamic";
    let method = variable(METHOD);
    let is_bearer = method.as_deref().is_none_or(|method| method == BEARER);
    if let Some(file) = variable(OURS) {
        if is_bearer {
            return Ok(Some(file));
        }
        let detail = format!("{OURS} is set, and {METHOD} is not {BEARER}");
        return Err(FactoryError::config("credentials", detail));
    }
    let is_loaded = variable(LOADED).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if !is_loaded || method.is_none() {
        return Ok(None);
    }
    if !is_bearer {
        let detail = format!("{LOADED} is true, which works with the method {BEARER} only");
        return Err(FactoryError::config("credentials", detail));
    }
    let missing = || {
        let detail = format!("{LOADED} is true, and {KEYCLOAK_FILE} is not set");
        FactoryError::config("credentials", detail)
    };
    variable(KEYCLOAK_FILE).map(Some).ok_or_else(missing)
}

/// Reads two variables, of which both or none must be set.
fn pair(
    variable: Variables<'_>,
    first: &str,
    second: &str,
) -> Result<Option<(String, String)>, FactoryError> {
    let half = |set: &str, unset: &str| {
        FactoryError::config("credentials", format!("{set} is set, {unset} is not"))
    };
    match (variable(first), variable(second)) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(half(first, second)),
        (None, Some(_)) => Err(half(second, first)),
        (Some(one), Some(two)) => Ok(Some((one, two))),
    }
}

fn known(credentials: Result<Credentials, CredentialError>) -> Result<Credentials, FactoryError> {
    credentials.map_err(|error| {
        FactoryError::config("credentials", "they cannot be sent").with_source(error)
    })
}

#[cfg(feature = "identity")]
fn keycloak(file: &str, trust_store: Option<&Path>) -> Result<Credentials, FactoryError> {
    use pravega_sdk_identity::Keycloak;
    Keycloak::from_file(file)
        .and_then(|keycloak| keycloak.with_tls(issuer_tls(trust_store)).credentials())
        .map_err(FactoryError::identity)
}

#[cfg(not(feature = "identity"))]
fn keycloak(_: &str, _: Option<&Path>) -> Result<Credentials, FactoryError> {
    let detail = "they are those of Keycloak, and this program is built without them; build it \
                  with the feature identity of the SDK";
    Err(FactoryError::config("credentials", detail))
}

/// Returns what is trusted on connections to an issuer.
#[cfg(feature = "identity")]
pub(crate) fn issuer_tls(trust_store: Option<&Path>) -> pravega_sdk_tls::TlsConfig {
    let tls = pravega_sdk_tls::TlsConfig::new();
    match trust_store {
        Some(path) => tls.with_trust_file(path).with_system_trust(),
        None => tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientConfig, Source};

    fn read(variables: &[(&str, &str)]) -> Result<ClientConfig, FactoryError> {
        ClientConfig::read(None, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn shown(config: &ClientConfig) -> (String, Source) {
        let mut settings = config.settings().into_iter();
        let setting = settings.find(|setting| setting.name == "credentials").unwrap();
        (setting.value, setting.source)
    }

    #[test]
    fn credentials_come_from_the_environment_and_a_missing_half_is_named() {
        let config = read(&[("PRAVEGA_USER", "u"), ("PRAVEGA_PASSWORD", "hunter2")]).unwrap();
        assert_eq!(shown(&config), ("Basic".to_owned(), Source::Environment));
        assert!(!format!("{config:?}{:?}", config.settings()).contains("hunter2"));
        let java = [(METHOD, "Bearer"), ("pravega_client_auth_token", "t")];
        assert_eq!(shown(&read(&java).unwrap()).0, "Bearer");
        let half = read(&[("PRAVEGA_USER", "u")]).unwrap_err();
        assert!(half.to_string().contains("PRAVEGA_PASSWORD is not"), "{half}");
    }

    #[test]
    fn a_set_up_for_keycloak_that_lacks_a_part_is_refused_and_the_part_is_named() {
        for (variables, expected) in [
            (
                &[(METHOD, "Bearer"), ("pravega_client_auth_loadDynamic", "true")][..],
                "KEYCLOAK_SERVICE_ACCOUNT_FILE is not set",
            ),
            (
                &[(METHOD, "nautilus"), ("pravega_client_auth_loadDynamic", "true")],
                "works with the method Bearer only",
            ),
            (
                &[(METHOD, "Basic"), ("pravega_client_auth_keycloak", "/f")],
                "pravega_client_auth_method is not Bearer",
            ),
        ] {
            let error = read(variables).unwrap_err();
            assert_eq!(error.setting(), Some("credentials"));
            assert!(error.to_string().contains(expected), "{error}");
        }
        // Java takes a token as it is, unless the value is true.
        let fixed = [
            (METHOD, "Bearer"),
            ("pravega_client_auth_token", "t"),
            ("pravega_client_auth_loadDynamic", "false"),
        ];
        assert_eq!(shown(&read(&fixed).unwrap()).0, "Bearer");
    }

    #[cfg(not(feature = "identity"))]
    #[test]
    fn without_the_feature_the_error_names_it() {
        let error = read(&[("pravega_client_auth_keycloak", "/f")]).unwrap_err();
        assert!(error.to_string().contains("feature identity"), "{error}");
        let config = read(&[(KEYCLOAK_FILE, "/f")]).unwrap();
        assert_eq!(shown(&config).0, "none", "it may be for another program");
    }

    #[cfg(feature = "identity")]
    #[test]
    fn keycloak_is_found_as_other_clients_find_it() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let json = r#"{"realm":"r","auth-server-url":"http://localhost:1","resource":"c",
            "credentials":{"secret":"hunter2"}}"#;
        std::io::Write::write_all(&mut file, json.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        for variables in [
            &[(KEYCLOAK_FILE, path)][..],
            &[("pravega_client_auth_keycloak", path)],
            &[(METHOD, "Bearer"), ("pravega_client_auth_keycloak", path)],
            &[
                (METHOD, "Bearer"),
                ("pravega_client_auth_loadDynamic", "true"),
                (KEYCLOAK_FILE, path),
            ],
        ] {
            let config = read(variables).unwrap();
            assert_eq!(shown(&config), ("provider".to_owned(), Source::Environment));
            assert!(!format!("{config:?}").contains("hunter2"));
        }
        // What is given directly wins.
        let both = [("PRAVEGA_USER", "u"), ("PRAVEGA_PASSWORD", "p"), (KEYCLOAK_FILE, path)];
        assert_eq!(shown(&read(&both).unwrap()).0, "Basic");
        let error = read(&[(KEYCLOAK_FILE, "/no/such/file")]).unwrap_err();
        assert_eq!(error.setting(), Some("credentials"));
        let shown = format!("{error:?}");
        assert!(shown.contains("/no/such/file"), "{shown}");
    }
}
