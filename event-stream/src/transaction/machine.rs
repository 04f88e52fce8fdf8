//! When each open transaction is pinged.
//!
//! A transaction is aborted by the controller when it is not pinged for as long as its lease. It is
//! pinged about every third of that at the latest, by Java's formula; a ping that fails is repeated
//! soon, and harms no other transaction.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_controller_client::{PingStatus, TransactionState};
use pravega_sdk_segment_client::machine::Now;
use pravega_sdk_types::{ErrorKind, TransactionId};

/// What is known about the pings of a writer's transactions.
#[derive(Debug)]
pub(super) struct PingMachine {
    interval: Duration,
    open: BTreeMap<TransactionId, Ping>,
}

#[derive(Debug)]
struct Ping {
    /// When the next one is due; none while one is under way.
    due: Option<Now>,
    /// When the one under way was sent.
    sent: Now,
    failures: u32,
}

/// A failed ping is repeated after this part of the interval, and no sooner than after
/// [`MIN_RETRY`].
const RETRY_PART: u32 = 10;
const MIN_RETRY: Duration = Duration::from_millis(100);
/// As Java's client: the first ping shows early that the controller knows the transaction.
const FIRST: Duration = Duration::from_millis(10);

impl PingMachine {
    pub(super) fn new(lease: Duration) -> Self {
        Self { interval: interval(lease), open: BTreeMap::new() }
    }

    /// A transaction was begun or taken over.
    pub(super) fn add(&mut self, id: TransactionId, now: Now) {
        self.open.insert(id, Ping { due: Some(now + FIRST), sent: now, failures: 0 });
    }

    /// A transaction needs no pings any more.
    pub(super) fn remove(&mut self, id: TransactionId) {
        self.open.remove(&id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When [`Self::take_due`] has something to tell; none if every ping is under way.
    pub(super) fn timeout(&self) -> Option<Now> {
        self.open.values().filter_map(|ping| ping.due).min()
    }

    /// A transaction that is to be pinged now: answered by [`Self::handle`].
    pub(super) fn take_due(&mut self, now: Now) -> Option<TransactionId> {
        let (id, ping) =
            self.open.iter_mut().find(|(_, ping)| ping.due.is_some_and(|due| due <= now))?;
        ping.due = None;
        ping.sent = now;
        Some(*id)
    }

    /// A ping was answered, or failed; tells how the transaction ended, if it did.
    pub(super) fn handle(
        &mut self,
        id: TransactionId,
        answer: Result<PingStatus, ErrorKind>,
        now: Now,
    ) -> Option<Ended> {
        let ping = self.open.get_mut(&id)?;
        let ended = match answer {
            Ok(PingStatus::Open) => {
                ping.failures = 0;
                // From when it was sent: the controller may have taken it as early as that.
                ping.due = Some((ping.sent + self.interval).max(now));
                return None;
            }
            Ok(PingStatus::Committed) => Ended::Known(TransactionState::Committed),
            Ok(PingStatus::Aborted) => Ended::Known(TransactionState::Aborted),
            Ok(PingStatus::MaxExecutionTimeExceeded) => Ended::TooOld,
            Err(ErrorKind::NotFound) => Ended::Unknown,
            // A lease that is too large, or a controller without its store: the current lease goes
            // on, and the next ping may reach another server.
            Ok(_) | Err(_) => {
                ping.failures = ping.failures.saturating_add(1);
                ping.due = Some(now + (self.interval / RETRY_PART).max(MIN_RETRY));
                return None;
            }
        };
        self.open.remove(&id);
        Some(ended)
    }

    /// How many pings of a transaction failed in a row.
    pub(super) fn failures(&self, id: TransactionId) -> u32 {
        self.open.get(&id).map_or(0, |ping| ping.failures)
    }
}

/// How a transaction ended, as its pings show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Known(TransactionState),
    /// It lived as long as the server allows.
    TooOld,
    /// The controller does not know it.
    Unknown,
}

/// The time between two pings: the lease over the root of its seconds, which for all leases that
/// servers take is less than a third of them.
pub(super) fn interval(lease: Duration) -> Duration {
    let lease_ms = lease.as_secs_f64() * 1000.0;
    Duration::from_millis((lease_ms / (lease_ms / 1000.0).sqrt().max(1.0)).round() as u64)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn id(number: u128) -> TransactionId {
        TransactionId(Uuid::from_u128(number))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn intervals_are_those_of_java_and_below_a_third_of_the_lease() {
        for (lease, expected) in
            [(10_000, 3162), (30_000, 5477), (60_000, 7746), (90_000, 9487), (599_999, 24_495)]
        {
            assert_eq!(interval(ms(lease)), ms(expected));
            assert!(expected * 3 < lease);
        }
    }

    #[test]
    fn each_transaction_is_pinged_by_its_own_schedule_from_when_the_last_ping_was_sent() {
        let mut pings = PingMachine::new(LEASE);
        pings.add(id(1), ms(0));
        pings.add(id(2), ms(500));
        assert_eq!(pings.timeout(), Some(ms(10)));
        assert_eq!(pings.take_due(ms(10)), Some(id(1)));
        assert_eq!(pings.take_due(ms(10)), None);
        // An answer that takes long does not move the next ping.
        assert_eq!(pings.handle(id(1), Ok(PingStatus::Open), ms(3000)), None);
        assert_eq!(pings.take_due(ms(510)), Some(id(2)));
        assert_eq!(pings.timeout(), Some(ms(10 + 5477)));
    }

    #[test]
    fn a_failed_ping_is_repeated_well_within_the_lease_and_others_do_not_notice() {
        let mut pings = PingMachine::new(LEASE);
        pings.add(id(1), ms(0));
        pings.add(id(2), ms(0));
        let mut now = ms(10);
        assert_eq!(pings.take_due(now), Some(id(1)));
        assert_eq!(pings.take_due(now), Some(id(2)));
        pings.handle(id(2), Ok(PingStatus::Open), now);
        for failures in 1..20 {
            pings.handle(id(1), Err(ErrorKind::Unavailable), now);
            assert_eq!(pings.failures(id(1)), failures);
            now = pings.timeout().unwrap();
            if pings.take_due(now) == Some(id(2)) {
                pings.handle(id(2), Ok(PingStatus::Open), now);
                now = pings.timeout().unwrap();
                assert_eq!(pings.take_due(now), Some(id(1)));
            }
        }
        assert!(now < LEASE, "nineteen attempts within one lease");
        assert_eq!(pings.handle(id(1), Ok(PingStatus::Open), now), None);
        assert_eq!(pings.failures(id(1)), 0);
    }

    #[test]
    fn pings_end_with_the_transaction() {
        for (answer, ended) in [
            (Ok(PingStatus::Committed), Ended::Known(TransactionState::Committed)),
            (Ok(PingStatus::Aborted), Ended::Known(TransactionState::Aborted)),
            (Ok(PingStatus::MaxExecutionTimeExceeded), Ended::TooOld),
            (Err(ErrorKind::NotFound), Ended::Unknown),
        ] {
            let mut pings = PingMachine::new(LEASE);
            pings.add(id(1), ms(0));
            pings.take_due(ms(10));
            assert_eq!(pings.handle(id(1), answer, ms(20)), Some(ended));
            assert!(pings.is_empty());
            assert_eq!(pings.timeout(), None);
        }
    }
}
