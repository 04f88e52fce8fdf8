//! The answers of an issuer, and what is in them.

use std::time::Duration;

use pravega_sdk_controller_client::DelegationToken;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::secrets::Secrets;

/// The longest answer that is read.
pub(crate) const MAX_LEN: usize = 1 << 20;
/// A limit far above real tokens, which fit the header of a call.
const MAX_TOKEN_LEN: usize = 128 * 1024;
/// A longer life is cut, so that a mistake of the issuer does not last.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The life of a token of which nothing says how long it is valid.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(60);

/// A token, and how long it is valid after it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) token: SecretString,
    pub(crate) lifetime: Duration,
}

/// A page that names the endpoints of an issuer.
pub(crate) struct Discovered {
    pub(crate) issuer: Option<String>,
    pub(crate) token_endpoint: String,
}

/// Why an answer is none of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it is not JSON of the expected form, see line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("it has no {0}")]
    Missing(&'static str),
    #[error("its token has a character that is not allowed in a header")]
    Character,
    #[error("its token is {0} bytes long")]
    Length(usize),
    #[error("its token is of the type {0}, not Bearer")]
    Type(String),
    #[error("its token has expired already")]
    Expired,
    #[error("its expires_in is not a number")]
    ExpiresIn,
}

/// Why an issuer refuses a request, RFC 6749, 5.2.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Refusal {
    error: Option<Value>,
    error_description: Option<Value>,
}

#[derive(Deserialize)]
struct TokenFields {
    access_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct DiscoveryFields {
    issuer: Option<String>,
    token_endpoint: Option<String>,
}

/// Reads a page that names the endpoints.
pub(crate) fn discovered(body: &[u8]) -> Result<Discovered, Malformed> {
    let DiscoveryFields { issuer, token_endpoint } = read(body)?;
    let token_endpoint = token_endpoint.ok_or(Malformed::Missing("token_endpoint"))?;
    Ok(Discovered { issuer, token_endpoint })
}

/// Reads a token. `now` is the time since 1970, for tokens without any other life.
pub(crate) fn issued(body: &[u8], now: Duration) -> Result<Issued, Malformed> {
    let TokenFields { access_token, token_type, expires_in } = read(body)?;
    let token = access_token.ok_or(Malformed::Missing("access_token"))?;
    match token.expose_secret() {
        "" => return Err(Malformed::Missing("access_token")),
        text if text.len() > MAX_TOKEN_LEN => return Err(Malformed::Length(text.len())),
        text if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            return Err(Malformed::Character);
        }
        _ => {}
    }
    if let Some(other) = token_type.filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        // A field that has the value of another one must not show it.
        let mut secrets = Secrets::default();
        secrets.add(&token);
        return Err(Malformed::Type(secrets.hide(&other)));
    }
    let lifetime = match expires_in {
        Some(Value::Null) | None => lifetime_inside(&token, now),
        Some(stated) => seconds(&stated).ok_or(Malformed::ExpiresIn)?,
    };
    if lifetime.is_zero() {
        return Err(Malformed::Expired);
    }
    Ok(Issued { token, lifetime: lifetime.min(MAX_LIFETIME) })
}

/// Reads why the request is refused. Anything may be in the answer of a proxy.
pub(crate) fn refusal(body: &[u8]) -> Refusal {
    read(body).unwrap_or_default()
}

impl Refusal {
    /// Returns the code, which is one of RFC 6749 or of the issuer.
    pub(crate) fn code(&self) -> Option<&str> {
        self.error.as_ref()?.as_str()
    }

    /// Returns the text for persons.
    pub(crate) fn description(&self) -> Option<&str> {
        self.error_description.as_ref()?.as_str()
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    // The library's errors quote values, which may be secrets.
    serde_json::from_slice(body)
        .map_err(|error| Malformed::Json { line: error.line(), column: error.column() })
}

/// Reads a number of seconds, which some issuers send as text. What is negative is zero.
fn seconds(stated: &Value) -> Option<Duration> {
    let number = match stated {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if number.is_nan() {
        return None;
    }
    Some(Duration::try_from_secs_f64(number.max(0.0)).unwrap_or(MAX_LIFETIME))
}

/// Returns the life of a token by its own times.
fn lifetime_inside(token: &SecretString, now: Duration) -> Duration {
    let claims = DelegationToken::new(token.expose_secret()).claims();
    claims.map_or(UNKNOWN_LIFETIME, |claims| claims.lifetime(now.as_secs()))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn lifetime(body: &str) -> Result<Duration, Malformed> {
        issued(body.as_bytes(), NOW).map(|issued| issued.lifetime)
    }

    #[test]
    fn the_life_of_a_token_is_what_the_answer_says_within_a_day() {
        let day = 24 * 60 * 60;
        for (stated, expected) in [
            ("300", Ok(300)),
            ("\"300\"", Ok(300)),
            ("300.9", Ok(300)),
            ("9223372036854775807", Ok(day)),
            ("18446744073709551616", Ok(day)),
            ("1e300", Ok(day)),
            ("\"inf\"", Ok(day)),
            ("null", Ok(60)),
            ("0", Err(Malformed::Expired)),
            ("-1", Err(Malformed::Expired)),
            ("-9223372036854775808", Err(Malformed::Expired)),
            ("\"-inf\"", Err(Malformed::Expired)),
            ("\"NaN\"", Err(Malformed::ExpiresIn)),
            ("\"soon\"", Err(Malformed::ExpiresIn)),
            ("[]", Err(Malformed::ExpiresIn)),
        ] {
            let body = format!("{{\"access_token\":\"t\",\"expires_in\":{stated}}}");
            let found = lifetime(&body).map(|found| found.as_secs());
            assert_eq!(found, expected, "{stated}");
        }
    }

    #[test]
    fn without_a_stated_life_the_times_in_the_token_count_and_not_the_clock() {
        let token = |claims: &str| {
            let claims = URL_SAFE_NO_PAD.encode(claims);
            format!("{{\"access_token\":\"h.{claims}.s\"}}")
        };
        // The issuer's clock is far from this one.
        let found = lifetime(&token("{\"iat\":5,\"exp\":605}"));
        assert_eq!(found, Ok(Duration::from_secs(600)));
        let found = lifetime(&token("{\"exp\":1000030}"));
        assert_eq!(found, Ok(Duration::from_secs(30)));
        assert_eq!(lifetime(&token("{\"exp\":5}")), Err(Malformed::Expired));
        assert_eq!(lifetime("{\"access_token\":\"opaque\"}"), Ok(UNKNOWN_LIFETIME));
    }

    #[test]
    fn an_answer_without_a_usable_token_is_malformed_and_shows_no_value() {
        let long = format!("{{\"access_token\":\"{}\"}}", "x".repeat(MAX_TOKEN_LEN + 1));
        for (body, expected) in [
            ("", None),
            ("hunter2", None),
            ("[]", None),
            ("{\"access_token\":[\"hunter2\"]}", None),
            ("{\"access_token\":\"a\",\"access_token\":\"hunter2\"}", None),
            ("{}", Some(Malformed::Missing("access_token"))),
            ("{\"access_token\":\"\"}", Some(Malformed::Missing("access_token"))),
            ("{\"access_token\":\"hunter2\\r\\nx\"}", Some(Malformed::Character)),
            ("{\"access_token\":\"hunter2 x\"}", Some(Malformed::Character)),
            (&long, Some(Malformed::Length(MAX_TOKEN_LEN + 1))),
            (
                "{\"access_token\":\"t\",\"token_type\":\"DPoP\"}",
                Some(Malformed::Type("DPoP".to_owned())),
            ),
            (
                "{\"access_token\":\"hunter2\",\"token_type\":\"hunter2\"}",
                Some(Malformed::Type("[REDACTED]".to_owned())),
            ),
        ] {
            let error = lifetime(body).unwrap_err();
            match expected {
                Some(expected) => assert_eq!(error, expected, "{body}"),
                None => assert!(matches!(error, Malformed::Json { .. }), "{body}: {error}"),
            }
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(lifetime("{\"access_token\":\"t\",\"token_type\":\"bEARER\"}").is_ok());
        let deep = "[".repeat(100_000);
        assert!(matches!(lifetime(&deep), Err(Malformed::Json { .. })));
    }

    #[test]
    fn a_refusal_is_read_from_any_body() {
        let text = "{\"error\":\"invalid_client\",\"error_description\":\"no\"}";
        let found = refusal(text.as_bytes());
        assert_eq!((found.code(), found.description()), (Some("invalid_client"), Some("no")));
        for body in ["", "<html>", "[]", "{\"error\":1}", "{\"error\":null}"] {
            assert_eq!(refusal(body.as_bytes()).code(), None, "{body}");
        }
    }
}
