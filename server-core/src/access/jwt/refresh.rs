//! When the keys of a party that publishes them are fetched.
//!
//! ```text
//!            due, or a token with an unknown key
//!   idle ────────────────────────────────────────▶ in flight
//!    ▲                                                 │
//!    └─────────────────────────────────────────────────┘
//!       fetched: due again after the usual interval
//!       failed:  after the shortest one, then after twice as long each time, up to the usual one
//! ```
//!
//! A client decides which key its token names, so unknown ones begin a fetch at most once in the
//! shortest interval, however many there are. There is one fetch at a time. Times are those since
//! any beginning, of a clock that does not jump.

use std::time::Duration;

/// The intervals between fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshIntervals {
    /// The usual one: keys that are withdrawn are used no longer than this.
    pub usual: Duration,
    /// The shortest one, from the beginning of a fetch to that of the next.
    pub shortest: Duration,
}

/// The decision when keys are fetched.
#[derive(Debug)]
pub struct Refresh {
    intervals: RefreshIntervals,
    state: State,
    /// The beginning of the last fetch; `None` before the first.
    begun: Option<Duration>,
    /// The failures since the last success.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next fetch begins then.
    Idle {
        due: Duration,
    },
    InFlight,
}

/// What becomes of a token whose key is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It waits for a fetch, which is in flight or begins now.
    Wait,
    /// It is refused: keys were fetched, or could not be fetched, a short while ago.
    Refuse,
}

impl Refresh {
    /// The first fetch is due at once.
    pub fn new(intervals: RefreshIntervals) -> Self {
        let RefreshIntervals { usual, shortest } = intervals;
        let intervals = RefreshIntervals { usual: usual.max(shortest), shortest };
        Self { intervals, state: State::Idle { due: Duration::ZERO }, begun: None, failures: 0 }
    }

    /// Handles a token whose key is unknown. A fetch may be due after it.
    pub fn handle_unknown_key(&mut self, now: Duration) -> Answer {
        let State::Idle { due } = &mut self.state else { return Answer::Wait };
        if let Some(begun) = self.begun
            && now < begun.saturating_add(self.intervals.shortest)
        {
            return Answer::Refuse;
        }
        *due = now.min(*due);
        Answer::Wait
    }

    /// Handles the end of a fetch.
    pub fn handle_fetched(&mut self, outcome: Fetched, now: Duration) {
        let RefreshIntervals { usual, shortest } = self.intervals;
        let begun = self.begun.unwrap_or(now);
        let interval = match outcome {
            Fetched::Keys => {
                self.failures = 0;
                usual
            }
            Fetched::Nothing => {
                let times = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
                self.failures = self.failures.saturating_add(1);
                shortest.saturating_mul(times).min(usual)
            }
        };
        self.state = State::Idle { due: begun.saturating_add(interval) };
    }

    /// Returns true if a fetch begins now, which then is in flight.
    pub fn poll_fetch(&mut self, now: Duration) -> bool {
        let is_due = matches!(self.state, State::Idle { due } if due <= now);
        if is_due {
            self.state = State::InFlight;
            self.begun = Some(now);
        }
        is_due
    }

    /// When the next fetch is due; `None` while one is in flight.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.state {
            State::Idle { due } => Some(due),
            State::InFlight => None,
        }
    }

    /// Returns true if the last fetch has failed, or none has ended.
    pub fn lacks_keys(&self) -> bool {
        self.failures > 0 || self.begun.is_none()
    }
}

/// The outcome of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// There are keys.
    Keys,
    /// It has failed.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(300);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn refresh() -> Refresh {
        Refresh::new(RefreshIntervals { usual: USUAL, shortest: seconds(10) })
    }

    /// One that has keys since second 0.
    fn fetched() -> Refresh {
        let mut refresh = refresh();
        assert!(refresh.poll_fetch(seconds(0)));
        refresh.handle_fetched(Fetched::Keys, seconds(1));
        refresh
    }

    #[test]
    fn the_first_fetch_begins_at_once_and_the_next_after_the_usual_interval() {
        let mut refresh = refresh();
        assert!(refresh.lacks_keys());
        assert_eq!(refresh.poll_timeout(), Some(seconds(0)));
        assert!(refresh.poll_fetch(seconds(0)));
        assert_eq!(refresh.poll_timeout(), None);
        assert!(!refresh.poll_fetch(seconds(1000)), "one fetch at a time");
        refresh.handle_fetched(Fetched::Keys, seconds(3));
        assert!(!refresh.lacks_keys());
        assert_eq!(refresh.poll_timeout(), Some(USUAL));
        assert!(!refresh.poll_fetch(seconds(299)));
        assert!(refresh.poll_fetch(USUAL));
    }

    #[test]
    fn unknown_keys_begin_one_fetch_in_the_shortest_interval_however_many_there_are() {
        let mut refresh = fetched();
        let mut fetches = 0;
        for tenth in 10..1000 {
            let now = Duration::from_millis(tenth * 100);
            let answer = refresh.handle_unknown_key(now);
            let begins = refresh.poll_fetch(now);
            assert_eq!(begins, answer == Answer::Wait, "{now:?}");
            if begins {
                fetches += 1;
                refresh.handle_fetched(Fetched::Keys, now);
            }
        }
        assert_eq!(fetches, 9, "in 99 seconds, the first 10 after the first fetch");
    }

    #[test]
    fn a_token_with_an_unknown_key_waits_for_the_fetch_that_is_in_flight() {
        let mut refresh = fetched();
        assert_eq!(refresh.handle_unknown_key(seconds(9)), Answer::Refuse);
        assert_eq!(refresh.handle_unknown_key(seconds(10)), Answer::Wait);
        assert!(refresh.poll_fetch(seconds(10)));
        assert_eq!(refresh.handle_unknown_key(seconds(11)), Answer::Wait);
        assert!(!refresh.poll_fetch(seconds(11)));
        refresh.handle_fetched(Fetched::Keys, seconds(12));
        assert_eq!(refresh.handle_unknown_key(seconds(13)), Answer::Refuse);
    }

    #[test]
    fn failures_are_tried_again_later_and_later_and_unknown_keys_do_not_wait_as_long() {
        let mut refresh = fetched();
        let mut now = USUAL;
        for after in [10, 20, 40, 80, 160, 300, 300] {
            assert!(refresh.poll_fetch(now));
            refresh.handle_fetched(Fetched::Nothing, now + seconds(5));
            assert!(refresh.lacks_keys());
            assert_eq!(refresh.poll_timeout(), Some(now + seconds(after)));
            now += seconds(after);
        }
        assert!(refresh.poll_fetch(now));
        refresh.handle_fetched(Fetched::Nothing, now + seconds(5));
        assert_eq!(refresh.handle_unknown_key(now + seconds(9)), Answer::Refuse);
        assert_eq!(refresh.handle_unknown_key(now + seconds(10)), Answer::Wait);
        assert!(refresh.poll_fetch(now + seconds(10)));
        refresh.handle_fetched(Fetched::Keys, now + seconds(11));
        assert!(!refresh.lacks_keys());
        assert_eq!(refresh.poll_timeout(), Some(now + seconds(10) + USUAL));
    }

    #[test]
    fn a_hundred_failures_overflow_nothing() {
        let mut refresh = Refresh::new(RefreshIntervals { usual: USUAL, shortest: Duration::MAX });
        for _ in 0..100 {
            let now = refresh.poll_timeout().unwrap();
            assert!(refresh.poll_fetch(now));
            refresh.handle_fetched(Fetched::Nothing, now);
        }
    }
}
