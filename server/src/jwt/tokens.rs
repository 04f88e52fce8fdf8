//! The check of a client's token.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use pravega_sdk_server_core::{
    access::{
        Accounts, Admission, Rules,
        jwt::{Checked, Demands, JwtRefusal},
    },
    record::Millis,
};
use tokio::time::Instant;

use super::{
    config::JwtAccounts,
    keys::{Keys, TooMany},
    told::Told,
};
use crate::{configured::Unusable, locks::lock};

/// The check of tokens.
pub(crate) struct Tokens {
    keys: Arc<Keys>,
    demands: Demands,
    /// The rules of users without an account.
    usual: Arc<Rules>,
    told: Mutex<Told>,
}

/// A token that is not accepted. The reason is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It is wrong.
    Wrong,
    /// Its key is not known, and the keys cannot be fetched.
    NoKeys,
    /// Too many others wait for their keys.
    Busy,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokens").field(&self.keys).finish()
    }
}

impl Tokens {
    /// The check that is configured. It blocks.
    pub(crate) fn open(accounts: &JwtAccounts) -> Result<Self, Unusable> {
        accounts.check()?;
        Ok(Self {
            keys: Arc::new(Keys::open(accounts)?),
            demands: accounts.demands.clone(),
            usual: Arc::new(accounts.rules.clone()),
            told: Mutex::default(),
        })
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// The token in the header of a call; `None` for a header of another scheme.
    pub(crate) fn in_header(header: &str) -> Option<&str> {
        let (scheme, token) = header.split_once(' ')?;
        // RFC 9110, 11.1: the scheme has no case.
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Checks a token. It waits only if the key of the token is unknown and keys are fetched.
    pub(crate) async fn check(
        &self,
        token: &str,
        now: impl Fn() -> Millis,
    ) -> Result<Checked, Denied> {
        match self.attempt(token, &now) {
            Some(Ok(checked)) => return Ok(checked),
            Some(Err(refusal)) if !refusal.may_have_a_newer_key() => {
                return Err(self.deny(&refusal));
            }
            Some(Err(_)) | None => {}
        }
        self.keys.newer().await.map_err(|TooMany| Denied::Busy)?;
        match self.attempt(token, &now) {
            Some(Ok(checked)) => Ok(checked),
            Some(Err(refusal)) => {
                let denied = self.deny(&refusal);
                let may_be_right = refusal.may_have_a_newer_key() && self.keys.may_be_old();
                Err(if may_be_right { Denied::NoKeys } else { denied })
            }
            None => Err(Denied::NoKeys),
        }
    }

    /// What the client of a token may do.
    pub(crate) fn admit(&self, checked: &Checked, accounts: &Accounts) -> Admission {
        checked.admission(accounts, &self.usual)
    }

    /// Checks a token with the keys that are known; `None` if none are.
    fn attempt(
        &self,
        token: &str,
        now: &impl Fn() -> Millis,
    ) -> Option<Result<Checked, JwtRefusal>> {
        let keys = self.keys.current()?;
        Some(self.demands.check(token, &keys, now()))
    }

    fn deny(&self, refusal: &JwtRefusal) -> Denied {
        tracing::debug!(%refusal, "a token is refused");
        if let Some(others) = lock(&self.told).is_news(Instant::now()) {
            tracing::warn!(%refusal, others, "a token is refused");
        }
        Denied::Wrong
    }
}
