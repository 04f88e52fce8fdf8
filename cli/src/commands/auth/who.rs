//! What a header with credentials says of its user. Signatures are not checked: that is up to the
//! server.

use std::time::{Duration, SystemTime};

use pravega_sdk::controller_client::jwt;
use secrecy::zeroize::Zeroizing;
use serde_json::Value;

/// What can be read of credentials; never a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) method: String,
    pub(super) user: Option<String>,
    /// In seconds since 1970.
    pub(super) expires_at: Option<u64>,
}

impl Who {
    /// Reads `METHOD TOKEN`: the user of `Basic`, or the claims of a token that is a JWT.
    pub(super) fn read(header: &str) -> Self {
        let (method, token) = header.split_once(' ').unwrap_or((header, ""));
        let mut who = Self { method: method.to_owned(), ..Self::default() };
        if method == "Basic" {
            // The password is in it, too.
            let bytes = Zeroizing::new(jwt::decode_base64(token).unwrap_or_default());
            let user = str::from_utf8(&bytes).ok().and_then(|text| text.split_once(':'));
            who.user = user.map(|(user, _)| user.to_owned());
        } else if let Some(claims) = claims(token) {
            let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
            who.user = text("preferred_username").or_else(|| text("sub"));
            who.expires_at = claims.get("exp").and_then(seconds);
        }
        who
    }

    /// When the token expires, as text, if it does.
    pub(super) fn expiry(&self) -> Option<String> {
        // The last second of the year 9999, after which the text form ends.
        const LAST: u64 = 253_402_300_799;
        let at = self.expires_at.filter(|at| *at <= LAST)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        Some(humantime::format_rfc3339_seconds(time).to_string())
    }

    /// How long the token lives after `now`, in seconds since 1970.
    pub(super) fn life(&self, now: u64) -> Option<String> {
        let at = self.expires_at?;
        Some(match at.checked_sub(now) {
            Some(left) if left > 0 => {
                humantime::format_duration(Duration::from_secs(left)).to_string()
            }
            _ => "expired".to_owned(),
        })
    }
}

/// A time of a token may have a fraction, RFC 7519 §2.
fn seconds(value: &Value) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    let whole = |seconds: f64| (0.0..1e18).contains(&seconds).then_some(seconds as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

/// The claims of a JWT; `None` if it is something else.
fn claims(token: &str) -> Option<Value> {
    serde_json::from_slice(&jwt::payload(token)?).ok()
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine as _,
        prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
    };

    use super::*;

    fn token(claims: &str) -> Who {
        Who::read(&format!("Bearer e30.{}.canary", BASE64_URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn the_user_of_a_password_is_read_and_the_password_is_not() {
        let header = format!("Basic {}", BASE64_STANDARD.encode("ann:canary:more"));
        let who = Who::read(&header);
        assert_eq!((who.method.as_str(), who.user.as_deref()), ("Basic", Some("ann")));
        assert_eq!((who.expiry(), who.life(0)), (None, None));
        assert!(!format!("{who:?}").contains("canary"));
    }

    #[test]
    fn user_and_expiry_of_a_jwt_are_read() {
        let who = token(r#"{"sub":"4711","preferred_username":"ann","exp":1569837434}"#);
        assert_eq!((who.method.as_str(), who.user.as_deref()), ("Bearer", Some("ann")));
        assert_eq!(who.expiry().as_deref(), Some("2019-09-30T09:57:14Z"));
        assert_eq!(who.life(1_569_837_434 - 250).as_deref(), Some("4m 10s"));
        for now in [1_569_837_434, 1_569_837_435, u64::MAX] {
            assert_eq!(who.life(now).as_deref(), Some("expired"));
        }
        let who = token(r#"{"sub":"4711","exp":1569837434.5}"#);
        assert_eq!((who.user.as_deref(), who.expires_at), (Some("4711"), Some(1_569_837_434)));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        for header in ["", "Bearer", "Bearer canary", "Bearer a.b.c", "Basic canary", "x y z"] {
            let who = Who::read(header);
            assert_eq!((who.user, who.expires_at), (None, None), "{header}");
        }
        for claims in ["[]", "7", "{", r#"{"exp":"soon"}"#, r#"{"exp":-1}"#, r#"{"exp":1e300}"#] {
            assert_eq!(token(claims).expires_at, None, "{claims}");
        }
        let far = token(r#"{"exp":18446744073709551615}"#);
        assert_eq!(far.expiry(), None);
        assert!(far.life(0).is_some());
    }
}
