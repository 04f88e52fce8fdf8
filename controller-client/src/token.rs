//! Delegation tokens: credentials for segment stores, issued by the controller.

use std::{fmt, time::Duration};

use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use crate::jwt;

/// A credential for a segment store. Empty without authorization.
#[derive(Clone)]
pub struct DelegationToken(SecretString);

/// The times in a token, in seconds since 1970 by the controller's clock.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenClaims {
    /// When it was issued, if the token has that time.
    pub issued_at: Option<u64>,
    /// When it expires.
    pub expires_at: u64,
}

impl DelegationToken {
    /// Wraps a token as the controller sent it.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        // Its own capacity may be larger than the text, and a smaller copy would leave it behind.
        let token = Zeroizing::new(token.into());
        Self(SecretString::from(token.as_str()))
    }

    /// Returns the token, for requests. It is secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns true if there is no token, as without authorization.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// Returns the times in the token; `None` if it never expires, or is not a JWT.
    ///
    /// The signature is not checked; the segment store does that.
    #[must_use]
    pub fn claims(&self) -> Option<TokenClaims> {
        let claims: serde_json::Value =
            serde_json::from_slice(&jwt::payload(self.expose())?).ok()?;
        let seconds = |name| claims.get(name).and_then(serde_json::Value::as_u64);
        Some(TokenClaims { issued_at: seconds("iat"), expires_at: seconds("exp")? })
    }
}

impl TokenClaims {
    /// Returns how long the token is valid after its receipt, without the assumption that both
    /// clocks agree.
    ///
    /// The difference of the token's two times does not depend on the local clock; only a token
    /// without the time of its issue is compared with `now`, in seconds since 1970.
    #[must_use]
    pub fn lifetime(&self, now: u64) -> Duration {
        let start = self.issued_at.unwrap_or(now);
        Duration::from_secs(self.expires_at.saturating_sub(start))
    }
}

impl fmt::Debug for DelegationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "DelegationToken(none)"
        } else {
            "DelegationToken([REDACTED])"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_an_expiry_never_expires() {
        for text in ["", "abc", "a.b", "a.b.c", "a.eyJleHAiOiAidGV4dCJ9.c", "a.e30.c", "a.b.c.d"] {
            assert_eq!(DelegationToken::new(text).claims(), None, "{text:?}");
        }
        let claims = DelegationToken::new("h.eyJleHAiOiAxNTY5ODM3NDM0fQ.s").claims().unwrap();
        assert_eq!(claims, TokenClaims { issued_at: None, expires_at: 1_569_837_434 });
    }

    #[test]
    fn a_lifetime_does_not_depend_on_the_clock_if_the_token_has_both_times() {
        let claims = TokenClaims { issued_at: Some(1000), expires_at: 1600 };
        assert_eq!(claims.lifetime(0), Duration::from_secs(600));
        assert_eq!(claims.lifetime(u64::MAX), Duration::from_secs(600));
        let without = TokenClaims { issued_at: None, expires_at: 1600 };
        assert_eq!(without.lifetime(1590), Duration::from_secs(10));
        assert_eq!(without.lifetime(2000), Duration::ZERO);
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", DelegationToken::new("secret")), "DelegationToken([REDACTED])");
    }
}
