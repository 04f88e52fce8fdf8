//! Where the keys come from that sign tokens, and what a token must be like.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use pravega_sdk_server_core::access::{
    Account, Rules,
    jwt::{Demands, RefreshIntervals},
};

use crate::configured::Unusable;

/// How far clocks may be apart by default, and at most.
const SKEW: Duration = Duration::from_secs(30);
const MOST_SKEW: Duration = Duration::from_secs(600);
/// The intervals between fetches by default, and the least and the greatest.
const USUAL: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(10);
const LEAST_INTERVAL: Duration = Duration::from_millis(10);
const MOST_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// The claim that has the name of a user by default.
const USER: &str = "sub";

/// Accounts of clients that send a JWT, which another party has signed, as `Bearer` token:
/// Keycloak, or any that publishes its keys as a JWK set.
///
/// A token is accepted if one of the keys has signed it, with an algorithm that the key is for:
/// `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384` or `EdDSA` with Ed25519.
/// It must have the audience, the issuer if one is expected, and a time of expiry (`exp`); `nbf`
/// and `iat` count if it has them. It may have 8 KiB, like the headers of a call.
///
/// What its client may do:
///
/// 1. What the account of its user says, by the [rules](crate::ServerBuilder::with_limited_account)
///    of [`with_user`](Self::with_user) or of the
///    [file of accounts](crate::ServerBuilder::with_accounts_file), where `NAME:*:RULES` is an
///    account without a password. A user without an account has the rules of
///    [`with_rules`](Self::with_rules).
/// 2. For resources that these rules do not name, what the permissions of the token grant: its
///    claim `authorization`, which Keycloak's authorization services issue. The name of a resource
///    is that of a rule, and its scopes `READ` and `READ_UPDATE`.
///
/// Delegation tokens that such a client receives last no longer than its own token is accepted.
///
/// A client learns of a token that is refused only that it is; the reason is logged.
///
/// # Examples
///
/// ```
/// use pravega_sdk_server::{EmbeddedServer, JwtAccounts};
///
/// let realm = JwtAccounts::of_realm("https://id.example.com/realms/shop", "pravega-controller")
///     .with_user("5d8f6b1e-ann", "prn::/scope:shop/*,READ_UPDATE");
/// let builder = EmbeddedServer::builder().with_jwt_accounts(realm);
/// ```
#[derive(Clone)]
pub struct JwtAccounts {
    pub(super) source: Source,
    pub(super) demands: Demands,
    pub(super) rules: Rules,
    pub(crate) users: Vec<Account>,
    pub(super) trust_store: Option<PathBuf>,
    pub(super) intervals: RefreshIntervals,
}

/// Where the keys come from.
#[derive(Clone)]
pub(super) enum Source {
    /// A JWK set.
    Text(String),
    /// A file with one.
    File(PathBuf),
    /// The address of one.
    Keys(String),
    /// The address of a realm.
    Realm(String),
}

impl fmt::Debug for JwtAccounts {
    /// Shows neither a set, which may be a private one by mistake, nor an address, which may have a
    /// password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("JwtAccounts");
        match &self.source {
            Source::Text(_) => shown.field("keys", &"given"),
            Source::File(path) => shown.field("keys", path),
            Source::Keys(_) | Source::Realm(_) => shown.field("keys", &"published"),
        };
        shown.field("demands", &self.demands).finish_non_exhaustive()
    }
}

impl JwtAccounts {
    /// Accepts tokens that a key of a JWK set has signed.
    #[must_use]
    pub fn with_key_set(json: &str, audience: &str) -> Self {
        Self::of(Source::Text(json.to_owned()), audience)
    }

    /// Accepts tokens that a key of a file with a JWK set has signed. A changed file is read within
    /// about a second; if it cannot be used, the keys before are used on.
    #[must_use]
    pub fn with_key_set_file(path: impl Into<PathBuf>, audience: &str) -> Self {
        Self::of(Source::File(path.into()), audience)
    }

    /// Accepts tokens that a key has signed which is published as a JWK set at a URL, such as
    /// `https://HOST/realms/REALM/protocol/openid-connect/certs`, with any issuer unless
    /// [`with_issuer`](Self::with_issuer) names it.
    ///
    /// The server starts also if the keys cannot be fetched; until they can, calls with a token
    /// fail as unavailable. They are fetched again every five minutes, and if a token names a key
    /// that is not among them, at most every ten seconds. A fetch may take ten seconds and have 256
    /// KiB; if one fails, the keys before are used on. Redirections are not followed.
    #[must_use]
    pub fn with_key_set_url(url: &str, audience: &str) -> Self {
        Self::of(Source::Keys(url.to_owned()), audience)
    }

    /// Accepts tokens of a realm, such as `https://HOST/realms/REALM` of Keycloak, or of any issuer
    /// that has a configuration of OpenID Connect at its URL. Its keys are fetched as those of
    /// [`with_key_set_url`](Self::with_key_set_url). The issuer of the tokens is the URL, as it is
    /// written here, unless [`with_issuer`](Self::with_issuer) names another.
    #[must_use]
    pub fn of_realm(url: &str, audience: &str) -> Self {
        let mut realm = Self::of(Source::Realm(url.to_owned()), audience);
        realm.demands.issuer = Some(url.to_owned());
        realm
    }

    /// Sets the issuer that tokens must have. For a realm this is needed if the server calls it by
    /// another name than its users.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Self {
        self.demands.issuer = Some(issuer.to_owned());
        self
    }

    /// Sets how far the clock of the issuer may be ahead of this one's, or behind it: 30 seconds by
    /// default, and 10 minutes at most.
    #[must_use]
    pub fn with_clock_skew(mut self, skew: Duration) -> Self {
        self.demands.skew = skew.min(MOST_SKEW);
        self
    }

    /// Sets the claim that has the name of a user, `sub` by default. Keycloak has a name for people
    /// in `preferred_username`, which users may change themselves if the realm lets them.
    #[must_use]
    pub fn with_user_claim(mut self, claim: &str) -> Self {
        self.demands.user_claim = claim.to_owned();
        self
    }

    /// Adds an account without a password for a user, with its
    /// [rules](crate::ServerBuilder::with_limited_account).
    #[must_use]
    pub fn with_user(mut self, user: &str, rules: &str) -> Self {
        self.users.push(Account::without_password(user).with_rules(read(rules)));
        self
    }

    /// Sets the [rules](crate::ServerBuilder::with_limited_account) of users without an account;
    /// they allow nothing by default.
    #[must_use]
    pub fn with_rules(mut self, rules: &str) -> Self {
        self.rules = read(rules);
        self
    }

    /// Trusts a server of keys by the certificates of a PEM file, in place of those of the system.
    /// Either are read for each fetch.
    #[must_use]
    pub fn with_trust_store(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust_store = Some(path.into());
        self
    }

    /// Sets the interval between fetches of keys, 5 minutes by default, and at most a day. A key
    /// that is withdrawn is accepted until the next one.
    #[must_use]
    pub fn with_refresh_interval(mut self, interval: Duration) -> Self {
        self.intervals.usual = interval.clamp(LEAST_INTERVAL, MOST_INTERVAL);
        self
    }

    /// Sets the shortest interval between fetches, 10 seconds by default, and at most a day: how
    /// often tokens with unknown keys may begin one. A token of a new key is refused until the
    /// first fetch after that.
    #[must_use]
    pub fn with_shortest_refresh_interval(mut self, interval: Duration) -> Self {
        self.intervals.shortest = interval.clamp(LEAST_INTERVAL, MOST_INTERVAL);
        self
    }

    fn of(source: Source, audience: &str) -> Self {
        Self {
            source,
            demands: Demands {
                audience: audience.to_owned(),
                issuer: None,
                skew: SKEW,
                user_claim: USER.to_owned(),
            },
            rules: Rules::default(),
            users: Vec::new(),
            trust_store: None,
            intervals: RefreshIntervals { usual: USUAL, shortest: SHORTEST },
        }
    }

    /// Fails if a part is missing.
    pub(super) fn check(&self) -> Result<(), Unusable> {
        let Demands { audience, issuer, user_claim, .. } = &self.demands;
        // What is wrong with the URL of a realm is said of that.
        let is_url =
            |issuer: &&String| matches!(&self.source, Source::Realm(url) if url == *issuer);
        let parts = [
            ("the audience", Some(audience)),
            ("the issuer", issuer.as_ref().filter(|issuer| !is_url(issuer))),
            ("the claim of the user", Some(user_claim)),
        ];
        match parts.iter().find(|(_, value)| value.is_some_and(|value| value.is_empty())) {
            Some((name, _)) => Err(Unusable::new(Path::new(name), "it is empty")),
            None => Ok(()),
        }
    }
}

fn read(rules: &str) -> Rules {
    let (rules, skipped) = Rules::parse(rules);
    for rule in skipped {
        tracing::warn!(rule, "a rule of an account cannot be read, and allows nothing");
    }
    rules
}
