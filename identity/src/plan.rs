//! What a fetch of a token asks for, and of whom.

use std::time::Duration;

use pravega_sdk_http::{Url, UrlError};
use pravega_sdk_tls::TlsConfig;

use crate::{IdentityError, client::Client};

/// The requests of a fetch.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The page that names the endpoint for tokens.
    pub(crate) discovery: Url,
    /// The name that the issuer must have on that page; `None` means any.
    pub(crate) issuer: Option<String>,
    pub(crate) client: Client,
    /// The fields of the login besides its grant and its client.
    pub(crate) scope: Option<String>,
    pub(crate) audience: Option<String>,
    /// The audience on which permissions are asked for after the login; the token that has them is
    /// then the result.
    pub(crate) permissions_on: Option<String>,
    /// The life that a token must have left when it is used, at the expense of more fetches.
    pub(crate) least_left: Duration,
}

/// How an issuer is connected to, and how long a fetch may take.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) tls: TlsConfig,
    pub(crate) timeout: Duration,
}

/// Less than the first call of a client may take, 10 s, so that it fails with the reason.
const TIMEOUT: Duration = Duration::from_secs(9);

impl Default for Terms {
    fn default() -> Self {
        Self { tls: TlsConfig::new(), timeout: TIMEOUT }
    }
}

/// Reads the address of an issuer from a setting.
pub(crate) fn base(setting: &'static str, text: &str) -> Result<Url, IdentityError> {
    let wrong = |error: UrlError| IdentityError::config(setting, error);
    Url::parse_base(text.trim()).map_err(wrong)
}

/// Refuses a setting without a value.
pub(crate) fn present(setting: &'static str, text: String) -> Result<String, IdentityError> {
    if text.is_empty() {
        return Err(IdentityError::config(setting, "it is empty"));
    }
    Ok(text)
}
