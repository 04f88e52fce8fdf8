//! Tells when the connection to a segment store is lost, and when there is one again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pravega_sdk::{
    connection_pool::{PoolSnapshot, SlotSnapshot, SlotState},
    segment_client::StorePool,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{output::tell, verbosity::Verbosity};

/// Time between two looks at the pool.
const EVERY: Duration = Duration::from_millis(500);
/// Time in which a pool answers, unless the process was stopped meanwhile.
const LIMIT: Duration = Duration::from_secs(5);

/// Looks at the connections of a client while its command runs, and tells what changes.
pub(crate) fn watch(pool: StorePool, verbosity: Verbosity) {
    tokio::spawn(async move {
        let mut connections = Connections::new(verbosity);
        loop {
            match timeout(LIMIT, pool.snapshot()).await {
                Ok(Ok(snapshot)) => {
                    for text in connections.observe(Instant::now(), &Seen::of(&snapshot)) {
                        tell(&text);
                    }
                }
                // The pool has ended.
                Ok(Err(_)) => break,
                Err(_) => {}
            }
            sleep(EVERY).await;
        }
    });
}

/// The connections at one moment.
#[derive(Debug, Default)]
struct Seen {
    /// The segment stores to which there are some.
    connected: BTreeSet<String>,
    /// Number of attempts to connect that have failed so far. A pool forgets a store to which there
    /// is no connection, so this is all that tells of them.
    failures: u64,
}

impl Seen {
    fn of(snapshot: &PoolSnapshot) -> Self {
        let is_up = |slot: &SlotSnapshot| slot.state != SlotState::Connecting;
        let up = snapshot.sets.iter().filter(|set| set.slots.iter().any(is_up));
        let connected = up.map(|set| set.backend.to_string()).collect();
        Self { connected, failures: snapshot.counters.connect_failures }
    }
}

/// What is known of a segment store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Up,
    /// The connection has ended, and no attempt for another one has failed since.
    Closed {
        since: Instant,
    },
    Lost {
        since: Instant,
    },
}

/// Time after which a connection that has ended was closed because no request needed it.
const UNUSED: Duration = Duration::from_secs(5);

/// The machine: what was seen goes in, what a person should know comes out.
#[derive(Debug)]
struct Connections {
    verbosity: Verbosity,
    stores: BTreeMap<String, Known>,
    failures: u64,
}

impl Connections {
    fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, stores: BTreeMap::new(), failures: 0 }
    }

    /// Returns a line for each change.
    fn observe(&mut self, now: Instant, seen: &Seen) -> Vec<String> {
        let has_failed = seen.failures > std::mem::replace(&mut self.failures, seen.failures);
        let mut lines = Vec::new();
        for store in &seen.connected {
            lines.extend(self.up(now, store));
        }
        for (store, known) in &mut self.stores {
            if seen.connected.contains(store) {
                continue;
            }
            *known = match *known {
                Known::Up if !has_failed => Known::Closed { since: now },
                Known::Up | Known::Closed { .. } if has_failed => {
                    lines.push(format!("the connection to {store} is lost; trying again"));
                    Known::Lost { since: now }
                }
                same => same,
            };
        }
        self.stores.retain(|_, known| match known {
            Known::Closed { since } => now.duration_since(*since) < UNUSED,
            Known::Up | Known::Lost { .. } => true,
        });
        lines
    }

    /// Records a connection to a store, and returns a line if that is news. A store that was not
    /// seen before may be another address of one that was lost.
    fn up(&mut self, now: Instant, store: &str) -> Option<String> {
        let lost = self.stores.values().filter_map(|known| match known {
            Known::Lost { since } => Some(*since),
            Known::Up | Known::Closed { .. } => None,
        });
        let first_lost = lost.min();
        let seconds = |since| now.duration_since(since).as_secs_f64();
        match self.stores.insert(store.to_owned(), Known::Up) {
            Some(Known::Lost { since }) => {
                Some(format!("connected to {store} again after {:.0} s", seconds(since)))
            }
            Some(Known::Up | Known::Closed { .. }) => None,
            None => match first_lost {
                Some(since) => Some(format!("connected to {store} after {:.0} s", seconds(since))),
                None => self.verbosity.is_verbose().then(|| format!("connected to {store}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(connected: &[&str], failures: u64) -> Seen {
        Seen { connected: connected.iter().map(ToString::to_string).collect(), failures }
    }

    #[test]
    fn a_lost_connection_and_one_that_is_back_are_told_once() {
        let (mut connections, start) = (Connections::new(Verbosity::Quiet), Instant::now());
        for (second, connected, failures, expected) in [
            (0, &[][..], 0, None),
            (1, &["h:1"], 0, None),
            // It has ended; the next attempt fails a moment later.
            (2, &[], 0, None),
            (4, &[], 1, Some("the connection to h:1 is lost; trying again")),
            (5, &[], 7, None),
            (6, &[], 7, None),
            (18, &["h:1"], 7, Some("connected to h:1 again after 14 s")),
            (19, &["h:1"], 7, None),
        ] {
            let at = start + Duration::from_secs(second);
            let lines = connections.observe(at, &seen(connected, failures));
            assert_eq!(lines, Vec::from_iter(expected), "{second} s");
        }
    }

    #[test]
    fn a_connection_that_no_request_needs_is_not_lost() {
        let (mut connections, start) = (Connections::new(Verbosity::Quiet), Instant::now());
        for (second, connected, failures) in
            [(0, &["h:1"][..], 0), (1, &[], 0), (7, &[], 0), (8, &[], 3), (9, &["h:1"], 3)]
        {
            let at = start + Duration::from_secs(second);
            let lines = connections.observe(at, &seen(connected, failures));
            assert!(lines.is_empty(), "{second} s: {lines:?}");
        }
    }

    #[test]
    fn a_store_with_another_address_ends_the_wait_for_the_one_that_was_lost() {
        let (mut connections, start) = (Connections::new(Verbosity::Quiet), Instant::now());
        assert!(connections.observe(start, &seen(&["h:1"], 0)).is_empty());
        assert_eq!(connections.observe(start, &seen(&[], 1)).len(), 1);
        let later = start + Duration::from_secs(7);
        let lines = connections.observe(later, &seen(&["h:2"], 1));
        assert_eq!(lines, ["connected to h:2 after 7 s"]);
    }

    #[test]
    fn of_two_stores_only_the_one_that_is_gone_is_lost() {
        let (mut connections, start) = (Connections::new(Verbosity::Quiet), Instant::now());
        connections.observe(start, &seen(&["h:1", "h:2"], 0));
        let lines = connections.observe(start, &seen(&["h:2"], 1));
        assert_eq!(lines, ["the connection to h:1 is lost; trying again"]);
    }

    #[test]
    fn a_first_connection_is_told_only_if_that_is_wanted() {
        for (verbosity, expected) in
            [(Verbosity::Quiet, None), (Verbosity::Verbose, Some("connected to h:1"))]
        {
            let mut connections = Connections::new(verbosity);
            let lines = connections.observe(Instant::now(), &seen(&["h:1"], 0));
            assert_eq!(lines, Vec::from_iter(expected));
        }
    }
}
