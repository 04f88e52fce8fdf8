//! When each open transaction is pinged.
//!
//! The controller aborts a transaction that is not pinged during its lease. The interval of pings
//! is at most about a third of the lease, by Java's formula. A failed ping is repeated soon, and
//! does not affect other transactions.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_controller_client::{PingStatus, TransactionState};
use pravega_sdk_segment_client::machine::Now;
use pravega_sdk_types::{ErrorKind, TransactionId};

/// State of the pings of a writer's transactions.
#[derive(Debug)]
pub(super) struct PingMachine {
    interval: Duration,
    open: BTreeMap<TransactionId, Ping>,
}

#[derive(Debug)]
struct Ping {
    /// When the next one is due; `None` while one is in flight.
    due: Option<Now>,
    /// When the one in flight was sent.
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

    /// A transaction needs no more pings.
    pub(super) fn remove(&mut self, id: TransactionId) {
        self.open.remove(&id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When [`Self::take_due`] returns a transaction; `None` if every ping is in flight.
    pub(super) fn timeout(&self) -> Option<Now> {
        self.open.values().filter_map(|ping| ping.due).min()
    }

    /// A transaction that must be pinged now: answered by [`Self::handle`].
    pub(super) fn take_due(&mut self, now: Now) -> Option<TransactionId> {
        let (id, ping) =
            self.open.iter_mut().find(|(_, ping)| ping.due.is_some_and(|due| due <= now))?;
        ping.due = None;
        ping.sent = now;
        Some(*id)
    }

    /// A ping was answered, or failed; returns how the transaction ended, if it did.
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

    /// The state of the pings of one transaction.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum State {
        /// It is not known.
        Absent,
        /// Its next ping is due later.
        Scheduled,
        /// A ping was sent and is not answered.
        InFlight,
        /// A ping failed and is repeated earlier than the next one would be due.
        Retrying,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Event {
        Add,
        Remove,
        /// The time of the next ping comes.
        Due,
        Answer(Result<PingStatus, ErrorKind>),
    }

    /// What comes out of an event.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Output {
        Nothing,
        Ping,
        Ended(Ended),
    }

    const COMMITTED: Ended = Ended::Known(TransactionState::Committed);
    const ABORTED: Ended = Ended::Known(TransactionState::Aborted);

    /// A row: state, event, what comes out, the state after it. Every other pair that can happen
    /// yields nothing and changes nothing.
    const TABLE: &[(State, Event, Output, State)] = &[
        (State::Absent, Event::Add, Output::Nothing, State::Scheduled),
        (State::Scheduled, Event::Remove, Output::Nothing, State::Absent),
        (State::Scheduled, Event::Due, Output::Ping, State::InFlight),
        (State::InFlight, Event::Remove, Output::Nothing, State::Absent),
        (State::InFlight, answer(PingStatus::Open), Output::Nothing, State::Scheduled),
        (State::InFlight, answer(PingStatus::Committed), Output::Ended(COMMITTED), State::Absent),
        (State::InFlight, answer(PingStatus::Aborted), Output::Ended(ABORTED), State::Absent),
        (
            State::InFlight,
            answer(PingStatus::MaxExecutionTimeExceeded),
            Output::Ended(Ended::TooOld),
            State::Absent,
        ),
        (State::InFlight, answer(PingStatus::LeaseTooLarge), Output::Nothing, State::Retrying),
        (State::InFlight, answer(PingStatus::Disconnected), Output::Nothing, State::Retrying),
        (
            State::InFlight,
            Event::Answer(Err(ErrorKind::NotFound)),
            Output::Ended(Ended::Unknown),
            State::Absent,
        ),
        (
            State::InFlight,
            Event::Answer(Err(ErrorKind::Unavailable)),
            Output::Nothing,
            State::Retrying,
        ),
        (
            State::InFlight,
            Event::Answer(Err(ErrorKind::PermissionDenied)),
            Output::Nothing,
            State::Retrying,
        ),
        (State::Retrying, Event::Remove, Output::Nothing, State::Absent),
        (State::Retrying, Event::Due, Output::Ping, State::InFlight),
    ];

    const STATES: [State; 4] = [State::Absent, State::Scheduled, State::InFlight, State::Retrying];

    const fn answer(status: PingStatus) -> Event {
        Event::Answer(Ok(status))
    }

    /// A transaction is added once, and an answer belongs to a ping, whose transaction may have
    /// been removed meanwhile.
    fn can_happen(state: State, event: Event) -> bool {
        match event {
            Event::Add => state == State::Absent,
            Event::Answer(_) => matches!(state, State::InFlight | State::Absent),
            Event::Remove | Event::Due => true,
        }
    }

    fn in_state(state: State) -> PingMachine {
        let mut pings = PingMachine::new(LEASE);
        let way: &[Event] = match state {
            State::Absent => &[],
            State::Scheduled => &[Event::Add],
            State::InFlight => &[Event::Add, Event::Due],
            State::Retrying => {
                &[Event::Add, Event::Due, Event::Answer(Err(ErrorKind::Unavailable))]
            }
        };
        for event in way {
            apply(&mut pings, *event);
        }
        assert_eq!(state_of(&pings), state);
        pings
    }

    fn state_of(pings: &PingMachine) -> State {
        match pings.open.get(&id(1)) {
            None => State::Absent,
            Some(Ping { due: None, .. }) => State::InFlight,
            Some(Ping { failures: 0, .. }) => State::Scheduled,
            Some(_) => State::Retrying,
        }
    }

    fn apply(pings: &mut PingMachine, event: Event) -> Output {
        match event {
            Event::Add => pings.add(id(1), ms(0)),
            Event::Remove => pings.remove(id(1)),
            Event::Due => {
                let due = pings.timeout().unwrap_or(ms(20));
                return pings.take_due(due).map_or(Output::Nothing, |_| Output::Ping);
            }
            Event::Answer(answer) => {
                let ended = pings.handle(id(1), answer, ms(30));
                return ended.map_or(Output::Nothing, Output::Ended);
            }
        }
        Output::Nothing
    }

    fn check(state: State, event: Event, expected: Output, next: State) {
        let mut pings = in_state(state);
        assert_eq!(apply(&mut pings, event), expected, "{state:?}, {event:?}");
        assert_eq!(state_of(&pings), next, "{state:?}, {event:?}");
        assert_eq!(pings.is_empty(), next == State::Absent, "{state:?}, {event:?}");
        let has_timer = matches!(next, State::Scheduled | State::Retrying);
        assert_eq!(pings.timeout().is_some(), has_timer, "{state:?}, {event:?}");
    }

    #[test]
    fn each_event_in_each_state_of_a_transaction_does_what_the_table_says() {
        for (state, event, expected, next) in TABLE {
            assert!(can_happen(*state, *event), "{state:?}, {event:?}");
            check(*state, *event, *expected, *next);
        }
        let events = TABLE.iter().map(|(_, event, ..)| *event);
        for event in events {
            for state in STATES.into_iter().filter(|state| can_happen(*state, event)) {
                if !TABLE.iter().any(|(s, e, ..)| (*s, *e) == (state, event)) {
                    check(state, event, Output::Nothing, state);
                }
            }
        }
    }
}
