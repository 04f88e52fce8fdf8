//! The check of a token, whole.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    claims::{Claims, text_of},
    compact::Compact,
    key_set::KeySet,
    permissions::Authorization,
    refusal::{JwtRefusal, shown},
};
use crate::{
    access::{accounts::Accounts, admission::Admission, rules::Rules},
    record::Millis,
};

/// What a token must be like.
#[derive(Clone, PartialEq, Eq)]
pub struct Demands {
    /// The audience that it must have, such as `pravega-controller`.
    pub audience: String,
    /// The party that must have issued it; `None` for any that has the key.
    pub issuer: Option<String>,
    /// How far the clocks may be apart.
    pub skew: Duration,
    /// The claim that has the name of the user, such as `sub`.
    pub user_claim: String,
}

impl fmt::Debug for Demands {
    /// Does not show the issuer: it is an address, which may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { audience, issuer, skew, user_claim } = self;
        f.debug_struct("Demands")
            .field("audience", audience)
            .field("has_issuer", &issuer.is_some())
            .field("skew", skew)
            .field("user_claim", user_claim)
            .finish()
    }
}

/// What a token says that is right in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The name of the user, if it has one.
    user: Option<String>,
    /// What it grants by itself.
    permissions: Rules,
    /// Until when it is accepted.
    end: Millis,
}

impl Demands {
    /// Checks a token with the keys of a set.
    ///
    /// # Errors
    ///
    /// [`JwtRefusal`] with what is wrong, which is not for the client.
    pub fn check(&self, token: &str, keys: &KeySet, now: Millis) -> Result<Checked, JwtRefusal> {
        let token = Compact::parse(token)?;
        keys.check(&token)?;
        // From here on it is what the party with the key has said.
        let payload = token.payload()?;
        let claims = Claims::parse(&payload)?;
        let end = self.check_time(&claims, now)?;
        self.check_parties(&claims)?;
        let user = text_of(&payload, &self.user_claim)?.filter(|user| !user.is_empty());
        let permissions =
            claims.authorization.as_ref().map_or_else(Rules::default, Authorization::rules);
        Ok(Checked { user, permissions, end })
    }

    /// Returns until when a token is accepted.
    fn check_time(&self, claims: &Claims, now: Millis) -> Result<Millis, JwtRefusal> {
        let skew = i64::try_from(self.skew.as_millis()).unwrap_or(i64::MAX);
        let latest = now.after(skew);
        let expires = claims.exp.ok_or(JwtRefusal::Missing("exp"))?.0;
        let end = expires.after(skew);
        if end <= now {
            return Err(JwtRefusal::Expired(between(expires, now)));
        }
        if let Some(from) = claims.nbf.filter(|from| from.0 > latest) {
            return Err(JwtRefusal::NotYetValid(between(now, from.0)));
        }
        match claims.iat.filter(|issued| issued.0 > latest) {
            Some(issued) => Err(JwtRefusal::IssuedLater(between(now, issued.0))),
            None => Ok(end),
        }
    }

    fn check_parties(&self, claims: &Claims) -> Result<(), JwtRefusal> {
        if let Some(expected) = &self.issuer {
            let found = claims.iss.as_ref().ok_or(JwtRefusal::Missing("iss"))?;
            if found != expected {
                let found = shown(found);
                return Err(JwtRefusal::Issuer { found, expected: shown(expected) });
            }
        }
        let audience = claims.aud.as_ref().ok_or(JwtRefusal::Missing("aud"))?;
        if !audience.has(&self.audience) {
            let (found, expected) = (shown(&audience.text()), shown(&self.audience));
            return Err(JwtRefusal::Audience { found, expected });
        }
        // Keycloak signs ID tokens and others with the same key; its own adapters check this.
        match claims.typ.as_ref().filter(|typ| !typ.eq_ignore_ascii_case("Bearer")) {
            Some(other) => Err(JwtRefusal::Use(shown(other))),
            None => Ok(()),
        }
    }
}

/// The time from one moment to a later one.
fn between(earlier: Millis, later: Millis) -> Duration {
    Duration::from_millis(later.since(earlier).unsigned_abs())
}

impl Checked {
    /// The name of the user, if it has one.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// What the client may do: what the account of its user says, or `usual` if it has none, and
    /// for resources that this does not name, what the token grants. The server has the last word,
    /// so a rule of it takes away what a token grants.
    pub fn admission(&self, accounts: &Accounts, usual: &Arc<Rules>) -> Admission {
        let own = self.user().and_then(|user| accounts.rules_of(user)).unwrap_or(usual);
        let rules = if self.permissions.is_empty() {
            Arc::clone(own)
        } else {
            Arc::new(own.then(&self.permissions))
        };
        Admission::until(self.end, rules)
    }
}
