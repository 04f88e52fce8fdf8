//! The keys in use. Those of a file are read again after it has changed; those that are published
//! are fetched by a task of their own, so that no call waits for them whose key is known.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex},
};

use pravega_sdk_http::{Url, UrlError};
use pravega_sdk_server_core::access::jwt::{Answer, Fetched, KeySet, Refresh, SkippedKey};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    config::{JwtAccounts, Source},
    realm::{FETCH, Realm, Trust},
};
use crate::{
    configured::{Followed, Unusable},
    locks::lock,
};

/// What errors call a set that is in no file, and an address that is none.
const GIVEN: &str = "the key set";
const ADDRESS: &str = "the URL of the keys";
/// The most calls that wait for a fetch: fewer than REST has connections. Others fail at once, and
/// may be made again.
const WAITING: usize = 8;

/// The keys that sign tokens.
pub(crate) struct Keys {
    origin: Origin,
    /// `None` until the first ones are fetched.
    current: Mutex<Option<Arc<KeySet>>>,
}

/// Where they come from.
enum Origin {
    Given,
    File(Followed<1>),
    Published(Box<Published>),
}

/// Keys that are fetched.
struct Published {
    realm: Realm,
    refresh: Mutex<Refresh>,
    begun: Instant,
    /// A fetch may be due.
    wake: Notify,
    /// The number of fetches that have ended.
    rounds: watch::Sender<u64>,
    /// The calls that wait for one.
    waiting: Semaphore,
}

/// Too many calls wait for a fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match &self.origin {
            Origin::Given => GIVEN.to_owned(),
            Origin::File(file) => {
                let [path] = file.paths();
                path.display().to_string()
            }
            Origin::Published(published) => published.realm.url().to_string(),
        };
        f.debug_tuple("Keys").field(&shown).finish()
    }
}

impl Keys {
    /// The keys of a configuration. It blocks; what is published is fetched later.
    pub(super) fn open(accounts: &JwtAccounts) -> Result<Self, Unusable> {
        let trust = match &accounts.trust_store {
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        let published = |realm: Result<Realm, UrlError>| -> Result<Origin, Unusable> {
            // Not the address itself, which may have a password by mistake.
            let realm = realm.map_err(|why| Unusable::new(Path::new(ADDRESS), why.to_string()))?;
            check(&realm, &trust)?;
            let refresh = Mutex::new(Refresh::new(accounts.intervals));
            Ok(Origin::Published(Box::new(Published {
                realm,
                refresh,
                begun: Instant::now(),
                wake: Notify::new(),
                rounds: watch::Sender::new(0),
                waiting: Semaphore::new(WAITING),
            })))
        };
        let (origin, current) = match &accounts.source {
            Source::Text(json) => (Origin::Given, Some(first(Path::new(GIVEN), json.as_bytes())?)),
            Source::File(path) => {
                let (file, [text]) = Followed::open([path.clone()])?;
                (Origin::File(file), Some(first(path, &text)?))
            }
            Source::Keys(url) => {
                let realm = Url::parse(url).map(|url| Realm::of_keys(url, trust.clone()));
                (published(realm)?, None)
            }
            Source::Realm(url) => {
                let issuer = accounts.demands.issuer.clone().unwrap_or_default();
                let realm =
                    Url::parse_base(url).map(|url| Realm::discovered(&url, issuer, trust.clone()));
                (published(realm)?, None)
            }
        };
        Ok(Self { origin, current: Mutex::new(current) })
    }

    /// The keys; `None` if none have been fetched yet.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        lock(&self.current).clone()
    }

    /// Returns true if the keys are in a file.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.origin, Origin::File(_))
    }

    /// Reads the file again if it has changed. If it cannot be used, the keys stay as they are. It
    /// blocks.
    pub(crate) fn refresh(&self) {
        let Origin::File(file) = &self.origin else { return };
        let [path] = file.paths();
        let Some(news) = file.news().transpose() else { return };
        match news.and_then(|[text]| parse(path, &text)) {
            Ok((keys, skipped)) => self.take(keys, &skipped, &path.display().to_string()),
            Err(unusable) => tracing::warn!(%unusable, "the keys before are used on"),
        }
    }

    fn take(&self, keys: KeySet, skipped: &[SkippedKey], from: &str) {
        tell_skipped(skipped, from);
        if keys.is_empty() {
            tracing::warn!(from, "there is no key any more: every token is refused");
        } else {
            tracing::info!(from, keys = keys.len(), "new keys");
        }
        *lock(&self.current) = Some(Arc::new(keys));
    }

    /// Waits for newer keys, if they can be fetched now.
    pub(super) async fn newer(&self) -> Result<(), TooMany> {
        let Origin::Published(published) = &self.origin else { return Ok(()) };
        // Before the question: a fetch that ends in between is one that is waited for.
        let mut rounds = published.rounds.subscribe();
        if lock(&published.refresh).handle_unknown_key(published.now()) == Answer::Refuse {
            return Ok(());
        }
        published.wake.notify_one();
        let _waits = published.waiting.try_acquire().map_err(|_| TooMany)?;
        // The end of the fetch is bounded; of a server that ends, it never comes.
        timeout(2 * FETCH, rounds.changed()).await.ok();
        Ok(())
    }

    /// Returns true if newer keys could not be fetched: an unknown one may be right.
    pub(super) fn may_be_old(&self) -> bool {
        match &self.origin {
            Origin::Given | Origin::File { .. } => false,
            Origin::Published(published) => lock(&published.refresh).lacks_keys(),
        }
    }

    /// Fetches keys whenever that is due, until the server stops.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let Origin::Published(published) = &self.origin else { return };
        loop {
            let (begins, due) = {
                let mut refresh = lock(&published.refresh);
                (refresh.poll_fetch(published.now()), refresh.poll_timeout())
            };
            if begins {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.fetch(published) => {}
                }
                continue;
            }
            let wait = due.unwrap_or(FETCH).saturating_sub(published.now());
            tokio::select! {
                () = stop.cancelled() => return,
                () = published.wake.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    async fn fetch(&self, published: &Published) {
        let from = published.realm.url().to_string();
        let fetched = published.realm.fetch().await;
        let had_failed = lock(&published.refresh).lacks_keys();
        let outcome = match fetched {
            Ok((keys, skipped)) => {
                let is_news = had_failed || self.current().is_none_or(|old| *old != keys);
                if is_news {
                    self.take(keys, &skipped, &from);
                } else {
                    tracing::debug!(from, "the keys are the same");
                }
                Fetched::Keys
            }
            Err(failure) => {
                let then = match self.current() {
                    Some(_) => "the keys before are used on",
                    None => "no token can be checked until they are",
                };
                tracing::warn!(%failure, "the keys of tokens cannot be fetched; {then}");
                Fetched::Nothing
            }
        };
        lock(&published.refresh).handle_fetched(outcome, published.now());
        published.rounds.send_modify(|rounds| *rounds = rounds.wrapping_add(1));
    }
}

impl Published {
    fn now(&self) -> std::time::Duration {
        self.begun.elapsed()
    }
}

/// Refuses what no fetch can succeed with.
fn check(realm: &Realm, trust: &Trust) -> Result<(), Unusable> {
    trust.check()?;
    let url = realm.url();
    if !url.is_tls() && !url.is_local() {
        tracing::warn!(%url, "without TLS, keys can be exchanged on their way");
    }
    Ok(())
}

fn parse(path: &Path, text: &[u8]) -> Result<(KeySet, Vec<SkippedKey>), Unusable> {
    KeySet::parse(text).map_err(|problem| Unusable::new(path, problem.to_string()))
}

/// The keys with which a server starts.
fn first(path: &Path, text: &[u8]) -> Result<Arc<KeySet>, Unusable> {
    let (keys, skipped) = parse(path, text)?;
    if keys.is_empty() {
        let why = skipped.first().map(|key| format!("; key {}: {}", key.number, key.why));
        let why = why.unwrap_or_default();
        return Err(Unusable::new(path, format!("it has no key that checks tokens{why}")));
    }
    tell_skipped(&skipped, &path.display().to_string());
    Ok(Arc::new(keys))
}

fn tell_skipped(skipped: &[SkippedKey], from: &str) {
    for SkippedKey { number, why } in skipped {
        tracing::info!(from, number, why, "a key of the set is not used");
    }
}
