//! Delegation tokens: what the controller issues so that a segment store lets us in.

use std::{fmt, time::Duration};

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret as _, SecretString};

/// A credential for a segment store. Empty where authorization is off.
#[derive(Clone)]
pub struct DelegationToken(SecretString);

/// What a token says about its own life, in seconds since 1970 by the controller's clock.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenClaims {
    /// When it was issued, if it says so.
    pub issued_at: Option<u64>,
    /// When it ends.
    pub expires_at: u64,
}

impl DelegationToken {
    /// Takes a token as the controller sent it.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into().into())
    }

    /// The token, to be put into a request. It is secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Says whether there is no token, which is how it is where authorization is off.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// What the token says about its own life; none for a token that never ends, or is not a JWT.
    ///
    /// The signature is not looked at: that is the segment store's business.
    #[must_use]
    pub fn claims(&self) -> Option<TokenClaims> {
        let mut parts = self.expose().split('.');
        let (Some(_), Some(body), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let body = decode_base64(body)?;
        let claims: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let seconds = |name| claims.get(name).and_then(serde_json::Value::as_u64);
        Some(TokenClaims { issued_at: seconds("iat"), expires_at: seconds("exp")? })
    }
}

impl TokenClaims {
    /// How long the token is good for from when it was received, without trusting that both clocks
    /// agree.
    ///
    /// The difference of the token's own two times is right whatever our clock says; only a token
    /// that does not tell when it was issued is held against `now`, in seconds since 1970.
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

/// Java decodes the plain alphabet; tokens of others come in the one for URLs. Padding may be there
/// or not.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    [URL_SAFE, STANDARD]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_token_with_an_end_never_ends() {
        for text in ["", "abc", "a.b", "a.b.c", "a.eyJleHAiOiAidGV4dCJ9.c", "a.e30.c", "a.b.c.d"] {
            assert_eq!(DelegationToken::new(text).claims(), None, "{text:?}");
        }
        let claims = DelegationToken::new("h.eyJleHAiOiAxNTY5ODM3NDM0fQ.s").claims().unwrap();
        assert_eq!(claims, TokenClaims { issued_at: None, expires_at: 1_569_837_434 });
    }

    #[test]
    fn a_lifetime_does_not_depend_on_our_clock_where_the_token_tells_both_times() {
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
