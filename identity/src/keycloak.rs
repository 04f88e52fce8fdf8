//! A client of a realm of Keycloak.

use std::{fmt, path::Path, time::Duration};

use pravega_sdk_controller_client::Credentials;
use pravega_sdk_tls::TlsConfig;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    IdentityError,
    adapter::Adapter,
    client::{Client, Encoding, Proof},
    driver,
    plan::{Plan, Terms, base, present},
};

/// The client of Keycloak whose permissions count, as Pravega's servers are configured by default.
const AUDIENCE: &str = "pravega-controller";

/// A client of a realm of Keycloak, with a service account that has permissions on Pravega.
///
/// Its credentials log in with the client's secret, and exchange the token of the login for one
/// that lists the permissions on the audience (User-Managed Access). Java's clients of Keycloak
/// send the same requests.
///
/// # Examples
///
/// ```
/// use pravega_sdk_identity::Keycloak;
///
/// let keycloak = Keycloak::from_json(
///     r#"{
///         "realm": "pravega",
///         "auth-server-url": "http://localhost:8080",
///         "resource": "shop",
///         "credentials": { "secret": "hunter2" }
///     }"#,
/// )?;
/// assert!(!format!("{keycloak:?}").contains("hunter2"));
/// let credentials = keycloak.credentials()?;
/// assert_eq!(credentials.method(), "provider");
/// # Ok::<(), pravega_sdk_identity::IdentityError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Keycloak {
    adapter: Adapter,
    audience: String,
    terms: Terms,
}

impl Keycloak {
    /// Creates a client from the URL of Keycloak, the name of the realm, the id of the client and
    /// its secret. The URL is the one below which `realms` is; older versions have it at `/auth`.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] of the kind [`Config`](pravega_sdk_types::ErrorKind::Config) names the
    /// setting that is wrong.
    pub fn new(
        url: &str,
        realm: impl Into<String>,
        client_id: impl Into<String>,
        secret: impl Into<SecretString>,
    ) -> Result<Self, IdentityError> {
        let secret = secret.into();
        if secret.expose_secret().is_empty() {
            return Err(IdentityError::config("credentials.secret", "it is empty"));
        }
        let proof = Proof::Basic { secret, encoding: Encoding::Form };
        let client = Client { id: present("resource", client_id.into())?, proof };
        let (base, realm) = (base("auth-server-url", url)?, present("realm", realm.into())?);
        Ok(Self::with_adapter(Adapter { base, realm, client, least_left: Duration::ZERO }))
    }

    /// Creates a client from an adapter configuration, which Keycloak's console calls "Keycloak
    /// OIDC JSON": `realm`, `auth-server-url`, `resource`, `credentials.secret`. Of its other
    /// fields `public-client`, `bearer-only`, `ssl-required` and `token-minimum-time-to-live`
    /// count.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn from_json(json: &str) -> Result<Self, IdentityError> {
        Adapter::read(json).map(Self::with_adapter)
    }

    /// Creates a client from a file with an adapter configuration. It is read once, now.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], also for a file that cannot be read, or that other users of this machine
    /// can read or change; a group may read a file of the superuser. [`Self::from_json`] takes a
    /// text from anywhere.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        let within = |error: IdentityError| {
            let shown = path.display();
            error.within(format_args!("the adapter configuration {shown} cannot be used"))
        };
        let refused = |reason: &dyn fmt::Display| within(IdentityError::config("keycloak", reason));
        let bytes = pravega_sdk_secret_file::read(path).map_err(|error| refused(&error))?;
        let text =
            str::from_utf8(bytes.expose_secret()).map_err(|_| refused(&"it is not UTF-8"))?;
        Self::from_json(text).map_err(within)
    }

    fn with_adapter(adapter: Adapter) -> Self {
        Self { adapter, audience: AUDIENCE.to_owned(), terms: Terms::default() }
    }

    /// Sets the client of Keycloak on which permissions are asked for. Default:
    /// `pravega-controller`.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Sets what is trusted on connections to Keycloak. Default: the system's certificates.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.terms.tls = tls;
        self
    }

    /// Sets the time for fetching a token, with all requests and their repeats. Default: 9 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = timeout;
        self
    }

    /// Sends id and secret as they are, without the encoding of RFC 6749, section 2.3.1: as Java's
    /// client up to 0.9.0 does it, for a Keycloak that does not decode them. There is a difference
    /// only if one of them has characters other than letters, digits, `*`, `-`, `.` and `_`.
    #[must_use]
    pub fn with_unencoded_secret(mut self) -> Self {
        if let Proof::Basic { encoding, .. } = &mut self.adapter.client.proof {
            *encoding = Encoding::Raw;
        }
        self
    }

    /// Returns credentials with tokens of this client. Those of several calls share no token.
    ///
    /// No request is made yet. Files of TLS are read, which blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the setting that is wrong.
    pub fn credentials(self) -> Result<Credentials, IdentityError> {
        let Self { adapter, audience, terms } = self;
        let realm = adapter.base.join("realms").join_name(&adapter.realm);
        let plan = Plan {
            discovery: realm.join(".well-known/uma2-configuration"),
            issuer: None,
            client: adapter.client,
            scope: None,
            audience: None,
            permissions_on: Some(present("audience", audience)?),
            least_left: adapter.least_left,
        };
        driver::credentials(plan, terms)
    }
}

impl fmt::Display for Keycloak {
    /// Names the client, the realm and the server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Adapter { base, realm, client, .. } = &self.adapter;
        write!(f, "client {} of realm {realm} at {base}", client.id)
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::ErrorKind;

    use super::*;

    const WHOLE: &str = r#"{"realm":"r","auth-server-url":"http://127.0.0.1:8080/auth",
        "resource":"c","ssl-required":"external","confidential-port":0,"unknown":[1,{}],
        "credentials":{"secret":"hunter2"}}"#;

    #[test]
    fn an_adapter_configuration_is_read() {
        let keycloak = Keycloak::from_json(WHOLE).unwrap();
        assert_eq!(keycloak.to_string(), "client c of realm r at http://127.0.0.1:8080/auth");
        let built = Keycloak::new("http://127.0.0.1:8080/auth/", "r", "c", "hunter2").unwrap();
        assert_eq!(built.to_string(), keycloak.to_string());
        assert!(!format!("{keycloak:?} {built:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_secrets_are_not_shown() {
        let cases = [
            ("\"realm\":\"r\",", "", "realm"),
            ("\"realm\":\"r\"", "\"realm\":\"\"", "realm"),
            ("\"auth-server-url\"", "\"auth\"", "auth-server-url"),
            ("http://127.0.0.1:8080/auth", "127.0.0.1:8080", "auth-server-url"),
            ("http://127", "ftp://127", "auth-server-url"),
            ("http://127", "http://u:hunter2@127", "auth-server-url"),
            ("\"resource\":\"c\",", "", "resource"),
            ("\"secret\":\"hunter2\"", "\"jwt\":{}", "credentials.secret"),
            ("\"secret\":\"hunter2\"", "\"secret\":\"\"", "credentials.secret"),
            (",\n        \"credentials\":{\"secret\":\"hunter2\"}", "", "credentials.secret"),
            ("\"external\"", "\"all\"", "ssl-required"),
            ("\"external\"", "\"sometimes\"", "ssl-required"),
            ("\"unknown\"", "\"bearer-only\":true,\"unknown\"", "bearer-only"),
            ("\"unknown\"", "\"public-client\":\"hunter2\",\"unknown\"", "keycloak"),
            ("{\"secret\":\"hunter2\"}", "\"hunter2\"", "keycloak"),
            ("\"realm\":\"r\",", "hunter2", "keycloak"),
            (
                "\"unknown\"",
                "\"token-minimum-time-to-live\":-1,\"unknown\"",
                "token-minimum-time-to-live",
            ),
        ];
        for (from, to, setting) in cases {
            let json = WHOLE.replacen(from, to, 1);
            assert_ne!(json, WHOLE, "{from}");
            let error = Keycloak::from_json(&json).unwrap_err();
            assert_eq!(
                (error.kind(), error.setting()),
                (ErrorKind::Config, Some(setting)),
                "{json}"
            );
            assert!(!error.is_retryable());
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_public_client_needs_no_secret_and_an_empty_part_is_refused() {
        let json = WHOLE.replace("\"unknown\"", "\"public-client\":true,\"unknown\"");
        Keycloak::from_json(&json.replace("secret", "other")).unwrap();
        let setting = |refused: Result<Keycloak, IdentityError>| refused.unwrap_err().setting();
        assert_eq!(setting(Keycloak::new("http://h", "r", "c", "")), Some("credentials.secret"));
        assert_eq!(setting(Keycloak::new("http://h", "r", "", "s")), Some("resource"));
        assert_eq!(setting(Keycloak::new("http://h", "", "c", "s")), Some("realm"));
        assert_eq!(setting(Keycloak::new("h", "r", "c", "s")), Some("auth-server-url"));
        let empty = Keycloak::new("http://h", "r", "c", "s").unwrap().with_audience("");
        assert_eq!(empty.credentials().unwrap_err().setting(), Some("audience"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_other_users_can_read_is_refused_with_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keycloak.json");
        std::fs::write(&path, WHOLE).unwrap();
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        for mode in [0o600, 0o400] {
            set(mode).unwrap();
            Keycloak::from_file(&path).unwrap();
        }
        set(0o644).unwrap();
        let error = Keycloak::from_file(&path).unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("keycloak")));
        assert!(format!("{error:?}").contains("(mode 0644): `chmod 600"), "{error:?}");
        let error = Keycloak::from_file(folder.path()).unwrap_err();
        assert!(format!("{error:?}").contains("folder"), "{error:?}");
        let error = Keycloak::from_file("/no/such/file").unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
        set(0o600).unwrap();
        for content in [&b"{"[..], b"\xff"] {
            std::fs::write(&path, content).unwrap();
            let error = Keycloak::from_file(&path).unwrap_err();
            assert_eq!(error.setting(), Some("keycloak"));
        }
    }
}
