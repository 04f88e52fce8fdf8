//! The adapter configuration of a client of Keycloak, usually called `keycloak.json`.

use std::time::Duration;

use pravega_sdk_http::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    IdentityError,
    client::{Client, Encoding, Proof},
    plan::{base, present},
};

/// The fields that matter to a client. Others, such as those of servers, are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Fields {
    realm: Option<String>,
    auth_server_url: Option<String>,
    resource: Option<String>,
    credentials: Option<Secrets>,
    #[serde(default)]
    public_client: bool,
    #[serde(default)]
    bearer_only: bool,
    ssl_required: Option<String>,
    token_minimum_time_to_live: Option<i64>,
    // What follows would weaken or reroute connections, and is not done.
    #[serde(default)]
    disable_trust_manager: bool,
    #[serde(default)]
    allow_any_hostname: bool,
    truststore: Option<Value>,
    proxy_url: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Secrets {
    secret: Option<SecretString>,
}

/// What an adapter configuration says.
#[derive(Debug, Clone)]
pub(crate) struct Adapter {
    pub(crate) base: Url,
    pub(crate) realm: String,
    pub(crate) client: Client,
    pub(crate) least_left: Duration,
}

impl Adapter {
    /// Reads a configuration.
    pub(crate) fn read(json: &str) -> Result<Self, IdentityError> {
        // The library's errors quote values, which may be secrets.
        let fields: Fields = serde_json::from_str(json).map_err(|error| {
            let what =
                if error.is_data() { "has a field of the wrong type" } else { "is not JSON" };
            let (line, column) = (error.line(), error.column());
            let detail = format_args!("it {what}, at line {line}, column {column}");
            IdentityError::config("keycloak", detail)
        })?;
        fields.warn();
        if fields.bearer_only {
            let detail =
                "a client that only accepts tokens gets none; use one with a service account";
            return Err(IdentityError::config("bearer-only", detail));
        }
        let base = base("auth-server-url", &needed("auth-server-url", fields.auth_server_url)?)?;
        check_protection(fields.ssl_required.as_deref(), &base)?;
        let proof = match (fields.public_client, fields.credentials.and_then(|all| all.secret)) {
            (true, _) => Proof::None,
            (false, Some(secret)) if !secret.expose_secret().is_empty() => {
                Proof::Basic { secret, encoding: Encoding::Form }
            }
            (false, _) => return Err(missing("credentials.secret")),
        };
        let least_left = u64::try_from(fields.token_minimum_time_to_live.unwrap_or_default());
        let least_left = least_left
            .map_err(|_| IdentityError::config("token-minimum-time-to-live", "it is negative"))?;
        Ok(Self {
            base,
            realm: needed("realm", fields.realm)?,
            client: Client { id: needed("resource", fields.resource)?, proof },
            least_left: Duration::from_secs(least_left),
        })
    }
}

impl Fields {
    fn warn(&self) {
        let ignored = [
            ("disable-trust-manager", self.disable_trust_manager),
            ("allow-any-hostname", self.allow_any_hostname),
            ("truststore", self.truststore.is_some()),
            ("proxy-url", self.proxy_url.is_some()),
        ];
        for (setting, _) in ignored.iter().filter(|(_, is_set)| *is_set) {
            tracing::warn!(
                setting,
                "a setting of the adapter configuration of Keycloak is ignored"
            );
        }
    }
}

fn needed(setting: &'static str, value: Option<String>) -> Result<String, IdentityError> {
    present(setting, value.ok_or_else(|| missing(setting))?)
}

fn missing(setting: &'static str) -> IdentityError {
    IdentityError::config(setting, "the adapter configuration does not have it")
}

/// Obeys `ssl-required`, which servers and clients of Keycloak write in either case.
fn check_protection(required: Option<&str>, base: &Url) -> Result<(), IdentityError> {
    let setting = "ssl-required";
    match required.map(str::to_ascii_lowercase).as_deref() {
        Some("all") if !base.is_tls() => {
            Err(IdentityError::config(setting, "it is all, and auth-server-url begins with http:"))
        }
        // With `external` the server decides, as it knows where the client is.
        None | Some("all" | "external" | "none") => Ok(()),
        Some(_) => Err(IdentityError::config(setting, "it is not all, external or none")),
    }
}
