//! The life of the tokens of one identity: when a token is used, and when another is fetched.
//!
//! ```text
//!             Fetch                        Refresh            Fetch
//!  no token ─────────▶ fresh ───▶ ageing ─────────▶ expired ─────────▶ …
//!     ▲  │ failed: the same failure for a second, or for as long as the issuer asks
//!     └──┘
//! ```
//!
//! A token that is refused is as one that has expired.

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use super::moment::Moment;
use crate::{IdentityError, answer::Issued};

/// A token, of which all holders share one copy in memory.
pub(crate) type Token = Arc<SecretString>;

/// What a caller that needs a token gets.
#[derive(Debug)]
pub(crate) enum Demand {
    /// This token.
    Use(Token),
    /// This token, while a fetch begins.
    Refresh(Token, Fetching),
    /// The result of a fetch, which begins.
    Fetch(Fetching),
    /// The result of a fetch, which is in progress.
    Wait(Fetching),
    /// The failure of the last fetch, which is very recent.
    Fail(IdentityError),
}

/// A fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fetching {
    pub(crate) number: u64,
    /// When it is lost if it has not ended, by the steady clock: its task is not run any more.
    pub(crate) until: Duration,
}

/// The tokens of one identity. One fetch at a time is in progress.
#[derive(Debug)]
pub(crate) struct Life {
    least_left: Duration,
    /// How long a fetch may take.
    limit: Duration,
    held: Option<Held>,
    in_flight: Option<Fetching>,
    fetches: u64,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Held {
    token: Token,
    lifetime: Duration,
    /// When it was asked for.
    asked: Moment,
}

#[derive(Debug)]
struct Failed {
    error: IdentityError,
    /// Until then nothing is fetched, by the steady clock: the other one may be set.
    until: Duration,
}

/// The pause after a failed fetch, and the longest one that the issuer may ask for.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A token that is refused is not replaced by another so soon after it was asked for.
const REFUSALS: Duration = Duration::from_secs(1);
/// How much later than its deadline a fetch may end.
const GRACE: Duration = Duration::from_secs(1);
/// The longest part of a life at whose beginning a token is renewed in the background.
const MAX_MARGIN: Duration = Duration::from_secs(30);
/// With this share of the margin left, callers wait for the new token: the old one might expire on
/// the way.
const LAST_SHARE: u32 = 6;

/// The life that a token has left when it is renewed, and when it is no longer used.
#[derive(Debug, PartialEq, Eq)]
struct Margins {
    renewed: Duration,
    unused: Duration,
}

impl Life {
    /// No token yet. One with less than `least_left` of its life is not used, nor one with less
    /// than half of it if that is shorter. A fetch may take `limit`.
    pub(crate) fn new(least_left: Duration, limit: Duration) -> Self {
        Self { least_left, limit, held: None, in_flight: None, fetches: 0, failed: None }
    }

    /// A caller needs a token.
    pub(crate) fn handle_demand(&mut self, now: Moment) -> Demand {
        // A runtime may stand still for as long as it is not driven, and its tasks with it.
        self.in_flight = self.in_flight.filter(|fetching| now.steady < fetching.until);
        let recent = self.failed.as_ref().filter(|failed| now.steady < failed.until);
        let recent = recent.map(|failed| failed.error.clone());
        let held = self.held.as_ref().map(|held| (Arc::clone(&held.token), self.left(held, now)));
        match (held, self.in_flight, recent) {
            (Some((token, Left::Enough)), _, _)
            | (Some((token, Left::Little)), Some(_), _)
            | (Some((token, Left::Little)), None, Some(_)) => Demand::Use(token),
            (Some((token, Left::Little)), None, None) => Demand::Refresh(token, self.begin(now)),
            (_, Some(fetching), _) => Demand::Wait(fetching),
            (_, None, Some(error)) => Demand::Fail(error),
            (_, None, None) => Demand::Fetch(self.begin(now)),
        }
    }

    /// The controller has refused a token. Returns true if another one may be had now: it was
    /// replaced meanwhile, or it is not used any longer.
    pub(crate) fn handle_refused(&mut self, token: &str, now: Moment) -> bool {
        let held = self.held.as_ref().filter(|held| held.token.expose_secret() == token);
        let is_new = |held: &Held| now.steady.saturating_sub(held.asked.steady) < REFUSALS;
        if held.is_some_and(is_new) {
            return false;
        }
        if held.is_some() {
            self.held = None;
        }
        true
    }

    /// A fetch has a token, which was asked for at `asked`. One that is no longer waited for is
    /// ignored.
    pub(crate) fn handle_issued(&mut self, number: u64, issued: Issued, asked: Moment) -> Token {
        let token = Arc::new(issued.token);
        if self.ends(number) {
            self.failed = None;
            self.held = Some(Held { token: Arc::clone(&token), lifetime: issued.lifetime, asked });
        }
        token
    }

    /// A fetch has failed, and the issuer asks for a pause.
    pub(crate) fn handle_failed(
        &mut self,
        number: u64,
        (error, pause): (IdentityError, Duration),
        now: Moment,
    ) {
        if self.ends(number) {
            let until = now.steady.saturating_add(pause.clamp(PAUSE, LONGEST_PAUSE));
            self.failed = Some(Failed { error, until });
        }
    }

    /// A fetch has ended without a result, with its runtime, or is not waited for any longer.
    pub(crate) fn handle_lost(&mut self, number: u64) {
        self.ends(number);
    }

    fn begin(&mut self, now: Moment) -> Fetching {
        self.fetches += 1;
        let until = now.steady.saturating_add(self.limit).saturating_add(GRACE);
        let fetching = Fetching { number: self.fetches, until };
        self.in_flight = Some(fetching);
        fetching
    }

    /// Ends the fetch of this number; returns false if it is not the one in progress.
    fn ends(&mut self, number: u64) -> bool {
        let is_current = self.in_flight.is_some_and(|fetching| fetching.number == number);
        if is_current {
            self.in_flight = None;
        }
        is_current
    }

    fn left(&self, held: &Held, now: Moment) -> Left {
        let margins = margins(held.lifetime, self.least_left);
        match held.lifetime.saturating_sub(now.since(held.asked)) {
            left if left > margins.renewed => Left::Enough,
            left if left > margins.unused => Left::Little,
            _ => Left::Nothing,
        }
    }
}

/// How much of its life a token has left.
#[derive(Debug, Clone, Copy)]
enum Left {
    Enough,
    Little,
    Nothing,
}

fn margins(lifetime: Duration, least_left: Duration) -> Margins {
    let margin = (lifetime / 5).min(MAX_MARGIN);
    let last = margin / LAST_SHARE;
    let unused = last.max(least_left.min(lifetime / 2));
    Margins { renewed: unused + (margin - last), unused }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::ErrorKind;

    use super::*;

    const WALL: Duration = Duration::from_secs(1_700_000_000);
    /// How long a fetch may take.
    const LIMIT: Duration = Duration::from_secs(9);

    /// A moment by clocks that agree.
    fn at(seconds: f64) -> Moment {
        let steady = Duration::from_secs_f64(seconds);
        Moment { steady, wall: WALL + steady }
    }

    fn issued(token: &str, lifetime: u64) -> Issued {
        Issued { token: token.into(), lifetime: Duration::from_secs(lifetime) }
    }

    fn down() -> (IdentityError, Duration) {
        (IdentityError::of(ErrorKind::Unavailable, "down"), Duration::ZERO)
    }

    fn life() -> Life {
        Life::new(Duration::ZERO, LIMIT)
    }

    /// What a caller gets, in short.
    fn demand(life: &mut Life, now: Moment) -> String {
        match life.handle_demand(now) {
            Demand::Use(token) => format!("use {}", token.expose_secret()),
            Demand::Refresh(token, fetching) => {
                format!("refresh {} {}", token.expose_secret(), fetching.number)
            }
            Demand::Fetch(fetching) => format!("fetch {}", fetching.number),
            Demand::Wait(fetching) => format!("wait {}", fetching.number),
            Demand::Fail(error) => format!("fail {}", error.kind()),
        }
    }

    fn with_token(lifetime: u64) -> Life {
        let mut life = life();
        assert_eq!(demand(&mut life, at(0.0)), "fetch 1");
        life.handle_issued(1, issued("a", lifetime), at(0.0));
        life
    }

    #[test]
    fn a_token_is_fetched_once_renewed_ahead_and_not_used_at_its_end() {
        let mut life = life();
        assert_eq!(demand(&mut life, at(0.0)), "fetch 1");
        assert_eq!(demand(&mut life, at(1.0)), "wait 1");
        life.handle_issued(1, issued("a", 300), at(0.5));
        assert_eq!(demand(&mut life, at(270.4)), "use a");
        assert_eq!(demand(&mut life, at(270.5)), "refresh a 2");
        assert_eq!(demand(&mut life, at(280.0)), "use a");
        life.handle_failed(2, down(), at(280.0));
        assert_eq!(demand(&mut life, at(290.0)), "refresh a 3");
        assert_eq!(demand(&mut life, at(295.5)), "wait 3");
        life.handle_issued(3, issued("b", 300), at(295.0));
        assert_eq!(demand(&mut life, at(296.0)), "use b");
    }

    #[test]
    fn a_failed_renewal_keeps_the_token_and_is_repeated_after_a_second() {
        let mut life = with_token(300);
        assert_eq!(demand(&mut life, at(275.0)), "refresh a 2");
        life.handle_failed(2, down(), at(276.0));
        assert_eq!(demand(&mut life, at(276.9)), "use a");
        assert_eq!(demand(&mut life, at(277.0)), "refresh a 3");
        life.handle_failed(3, down(), at(299.5));
        assert_eq!(demand(&mut life, at(300.0)), "fail unavailable");
        assert_eq!(demand(&mut life, at(300.5)), "fetch 4");
    }

    #[test]
    fn a_failure_is_the_answer_for_a_second_and_no_longer_even_if_the_clock_is_set() {
        let mut life = life();
        assert_eq!(demand(&mut life, at(0.0)), "fetch 1");
        life.handle_failed(1, down(), at(2.0));
        for wall in [Duration::ZERO, WALL, 2 * WALL] {
            let now = Moment { wall, ..at(2.9) };
            assert_eq!(demand(&mut life, now), "fail unavailable");
        }
        assert_eq!(demand(&mut life, at(3.0)), "fetch 2");
        life.handle_issued(2, issued("a", 300), at(3.0));
        assert_eq!(demand(&mut life, at(3.1)), "use a");
    }

    #[test]
    fn a_clock_that_is_set_costs_one_fetch_at_most_and_never_keeps_an_old_token() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        // By an hour and by ten years, back and forward.
        for jump in [hours(1), hours(10 * 365 * 24)] {
            let mut life = with_token(300);
            let back = |seconds| Moment { wall: at(seconds).wall - jump, ..at(seconds) };
            assert_eq!(demand(&mut life, back(10.0)), "use a");
            assert_eq!(demand(&mut life, back(296.0)), "fetch 2", "it ages by the steady clock");

            let mut life = with_token(300);
            let forward = |seconds| Moment { wall: at(seconds).wall + jump, ..at(seconds) };
            assert_eq!(demand(&mut life, forward(10.0)), "fetch 2");
            life.handle_issued(2, issued("b", 300), forward(10.0));
            for seconds in 11..200 {
                assert_eq!(demand(&mut life, forward(f64::from(seconds))), "use b");
            }
        }
    }

    #[test]
    fn a_token_ages_while_the_machine_is_suspended() {
        let mut life = with_token(300);
        let awake =
            Moment { steady: Duration::from_secs(1), wall: WALL + Duration::from_secs(400) };
        assert_eq!(demand(&mut life, awake), "fetch 2");
    }

    #[test]
    fn a_fetch_that_is_lost_is_begun_again_and_its_late_result_is_not_kept() {
        let mut life = life();
        assert_eq!(demand(&mut life, at(0.0)), "fetch 1");
        life.handle_lost(1);
        assert_eq!(demand(&mut life, at(0.1)), "fetch 2");
        life.handle_lost(1);
        assert_eq!(demand(&mut life, at(0.1)), "wait 2", "an earlier loss changes nothing");
        assert_eq!(life.handle_issued(1, issued("old", 300), at(0.2)).expose_secret(), "old");
        life.handle_failed(1, down(), at(0.2));
        assert_eq!(demand(&mut life, at(0.3)), "wait 2");
        life.handle_issued(2, issued("new", 300), at(0.3));
        assert_eq!(demand(&mut life, at(0.4)), "use new");
    }

    #[test]
    fn a_fetch_whose_task_is_not_run_is_begun_again_after_its_deadline() {
        let mut life = life();
        assert_eq!(demand(&mut life, at(0.0)), "fetch 1");
        assert_eq!(demand(&mut life, at(9.9)), "wait 1");
        assert_eq!(demand(&mut life, at(10.0)), "fetch 2");
        // It is run again.
        life.handle_failed(1, down(), at(10.1));
        assert_eq!(demand(&mut life, at(10.2)), "wait 2");
        life.handle_issued(2, issued("a", 300), at(10.0));
        assert_eq!(demand(&mut life, at(10.3)), "use a");
        let mut endless = Life::new(Duration::ZERO, Duration::MAX);
        assert_eq!(demand(&mut endless, at(5.0)), "fetch 1");
        assert_eq!(demand(&mut endless, at(1e9)), "wait 1");
    }

    #[test]
    fn the_issuer_is_left_alone_for_as_long_as_it_asks_and_no_longer_than_half_a_minute() {
        for (asked, pause) in [(0, 1.0), (1, 1.0), (7, 7.0), (30, 30.0), (u64::MAX, 30.0)] {
            let mut life = life();
            assert_eq!(demand(&mut life, at(0.0)), "fetch 1");
            life.handle_failed(1, (down().0, Duration::from_secs(asked)), at(2.0));
            assert_eq!(demand(&mut life, at(2.0 + pause - 0.001)), "fail unavailable", "{asked}");
            assert_eq!(demand(&mut life, at(2.0 + pause)), "fetch 2", "{asked}");
        }
    }

    #[test]
    fn a_token_that_is_refused_is_replaced_once_and_not_again_within_a_second() {
        let mut life = with_token(300);
        assert!(!life.handle_refused("a", at(0.9)), "the next one would be refused too");
        assert_eq!(demand(&mut life, at(0.9)), "use a");
        assert!(life.handle_refused("a", at(1.0)));
        assert_eq!(demand(&mut life, at(1.0)), "fetch 2");
        assert!(life.handle_refused("a", at(1.1)), "of another call: it waits for the same fetch");
        assert_eq!(demand(&mut life, at(1.1)), "wait 2");
        life.handle_issued(2, issued("b", 300), at(1.0));
        assert!(life.handle_refused("a", at(1.2)), "it was replaced meanwhile");
        assert_eq!(demand(&mut life, at(1.2)), "use b");
        assert!(!life.handle_refused("b", at(1.2)));
        assert_eq!(demand(&mut life, at(1.2)), "use b");
    }

    #[test]
    fn the_life_that_must_be_left_is_obeyed_as_far_as_tokens_live_long_enough() {
        let seconds = Duration::from_secs_f64;
        for (lifetime, least, unused, renewed) in [
            (300.0, 0.0, 5.0, 30.0),
            (300.0, 60.0, 60.0, 85.0),
            (60.0, 0.0, 2.0, 12.0),
            (70.0, 60.0, 35.0, 46.666_666_667),
            (1.0, 0.0, 1.0 / 30.0, 0.2),
            (86_400.0, 0.0, 5.0, 30.0),
        ] {
            let found = margins(seconds(lifetime), seconds(least));
            let is_near = |one: Duration, other: f64| (one.as_secs_f64() - other).abs() < 1e-6;
            assert!(is_near(found.unused, unused), "{lifetime} {least}: {found:?}");
            assert!(is_near(found.renewed, renewed), "{lifetime} {least}: {found:?}");
            assert!(found.renewed < seconds(lifetime));
        }
    }

    #[test]
    fn no_order_of_events_makes_two_fetches_at_once_or_uses_a_token_after_its_life() {
        for seed in 0..2000_u64 {
            let mut bits = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut random = |below: u64| {
                bits ^= bits << 13;
                bits ^= bits >> 7;
                bits ^= bits << 17;
                bits % below
            };
            // No fetch takes so long that it is lost.
            let limit = Duration::from_secs(1_000_000);
            let mut life = Life::new(Duration::from_secs(random(100)), limit);
            let (mut now, mut running, mut ends) = (0.0, None, Vec::new());
            for _ in 0..60 {
                now += random(40_000) as f64 / 1000.0;
                match (life.handle_demand(at(now)), running) {
                    (Demand::Fetch(fetching), None) => running = Some((fetching.number, now)),
                    (Demand::Refresh(token, fetching), None) => {
                        running = Some((fetching.number, now));
                        assert_in_time(&ends, &token, now);
                    }
                    (Demand::Use(token), _) => assert_in_time(&ends, &token, now),
                    (Demand::Wait(Fetching { number, .. }), Some((current, _))) => {
                        assert_eq!(number, current);
                    }
                    (Demand::Fail(_), None) => {}
                    (other, running) => panic!("seed {seed}: {other:?} while {running:?}"),
                }
                if let Some((number, begun)) = running.filter(|_| random(2) == 0) {
                    running = None;
                    match random(3) {
                        0 => life.handle_lost(number),
                        1 => life.handle_failed(number, down(), at(now)),
                        _ => {
                            let lifetime = random(120) + 1;
                            ends.push((number.to_string(), begun + lifetime as f64));
                            life.handle_issued(
                                number,
                                issued(&number.to_string(), lifetime),
                                at(begun),
                            );
                        }
                    }
                }
            }
        }
    }

    fn assert_in_time(ends: &[(String, f64)], token: &Token, now: f64) {
        let found = ends.iter().find(|(name, _)| name == token.expose_secret()).unwrap();
        assert!(now < found.1, "{found:?} is used at {now}");
    }
}
