//! The variables with credentials.

use std::env;

/// Those of the SDK, and those that other clients of Pravega read.
const VARIABLES: &[&str] = &[
    "PRAVEGA_AUTH_METHOD",
    "PRAVEGA_AUTH_TOKEN",
    "pravega_client_auth_keycloak",
    "pravega_client_auth_loadDynamic",
    "pravega_client_auth_method",
    "pravega_client_auth_token",
    "PRAVEGA_USER",
    "PRAVEGA_PASSWORD",
    "KEYCLOAK_SERVICE_ACCOUNT_FILE",
];

/// The names of those that are set; `None` if none is.
pub(super) fn set() -> Option<String> {
    // One that is set to nothing is as one that is not set.
    let is_set = |name: &&&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let set = VARIABLES.iter().filter(is_set);
    let set: Vec<&str> = set.copied().collect();
    (!set.is_empty()).then(|| set.join(", "))
}
