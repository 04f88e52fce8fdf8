//! Who holds a lease, as the holders believe, and the checks of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pravega_sdk_table_synchronizer::recipes::FencingToken;
use tokio::time::Instant;

use super::history::History;

/// A holder of the lease.
#[derive(Debug, Clone, Copy)]
struct Belief {
    token: FencingToken,
    until: Instant,
}

/// All holders of a lease.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The clock, and what was wrong.
    pub(crate) history: History,
    /// What each client believes that believes to hold the lease.
    beliefs: BTreeMap<u32, Belief>,
    /// The client that got each token.
    tokens: BTreeMap<FencingToken, u32>,
    /// The highest token that the resource has seen, which the lease protects.
    used: Option<FencingToken>,
}

/// All holders of a lease, for all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Log>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.lock().history.count(what);
    }

    pub(crate) fn say(&self, check: &'static str, detail: String) {
        self.lock().history.say(check, detail);
    }

    /// A client got the lease, or renewed it, and believes to hold it for a time.
    pub(crate) fn holds(&self, client: u32, token: FencingToken, left: Duration) {
        self.lock().holds(client, token, Instant::now(), left);
    }

    /// A client does not believe to hold the lease any more.
    pub(crate) fn gives_up(&self, client: u32) {
        self.lock().beliefs.remove(&client);
    }

    /// A client that believes to hold the lease uses the resource, which refuses lower tokens.
    pub(crate) fn uses(&self, client: u32, token: FencingToken) {
        self.lock().uses(client, token);
    }
}

impl Log {
    fn holds(&mut self, client: u32, token: FencingToken, now: Instant, left: Duration) {
        let first = *self.tokens.entry(token).or_insert(client);
        if first != client {
            let detail = format!("clients {first} and {client} have the token {token}");
            self.history.say("L2", detail);
        }
        if left.is_zero() {
            self.beliefs.remove(&client);
            return;
        }
        let highest = self.tokens.last_key_value().map(|(token, _)| *token);
        if highest > Some(token) {
            let detail = format!("client {client} holds the lease with {token}, after {highest:?}");
            self.history.say("L2", detail);
        }
        let other = self.beliefs.iter().find(|(id, other)| **id != client && other.until > now);
        if let Some((id, Belief { token: theirs, until })) = other {
            let detail = format!(
                "client {client} holds the lease with {token}, and client {id} with {theirs} for \
                 another {:?}",
                *until - now
            );
            self.history.say("L1", detail);
        }
        self.beliefs.insert(client, Belief { token, until: now + left });
    }

    fn uses(&mut self, client: u32, token: FencingToken) {
        if self.used > Some(token) {
            let detail = format!("client {client} holds the lease, and its {token} is refused");
            self.history.say("L2", detail);
        }
        self.used = self.used.max(Some(token));
        self.history.count("resource used");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The violations of holders: each a client, its token, when it reports it, and for how long it
    /// believes to hold the lease, in seconds.
    fn wrong(holders: &[(u32, u64, u64, u64)]) -> usize {
        let (mut log, begin) = (Log::default(), Instant::now());
        for (client, token, at, left) in holders.iter().copied() {
            let now = begin + Duration::from_secs(at);
            log.holds(client, FencingToken::new(token), now, Duration::from_secs(left));
        }
        log.history.violations.len()
    }

    #[test]
    fn two_holders_at_a_time_and_tokens_that_do_not_rise_are_found() {
        assert_eq!(wrong(&[(1, 1, 0, 10), (1, 1, 5, 10), (2, 2, 15, 10)]), 0);
        assert_eq!(wrong(&[(1, 1, 0, 10), (2, 2, 9, 10)]), 1, "the first one holds it");
        assert_eq!(wrong(&[(1, 1, 0, 10), (1, 1, 5, 0), (2, 2, 6, 10)]), 0, "it is lost");
        assert_eq!(wrong(&[(1, 1, 0, 10), (2, 1, 15, 10)]), 1, "the token is the same");
        assert_eq!(wrong(&[(1, 2, 0, 10), (2, 1, 15, 10)]), 1, "the token is lower");
        assert_eq!(wrong(&[(1, 2, 0, 10), (2, 1, 5, 0)]), 0, "it has ended before it was told");
    }

    #[test]
    fn a_resource_that_refuses_a_holder_is_found() {
        let mut log = Log::default();
        log.uses(1, FencingToken::new(1));
        log.uses(2, FencingToken::new(2));
        assert!(log.history.violations.is_empty());
        log.uses(1, FencingToken::new(1));
        assert_eq!(log.history.violations.len(), 1);
    }
}
