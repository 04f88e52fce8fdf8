//! The life of the tokens of one identity: when a token is used, and when another is fetched.
//!
//! ```text
//!             Fetch                        Refresh            Fetch
//!  no token ─────────▶ fresh ───▶ ageing ─────────▶ expired ─────────▶ …
//!     ▲  │ failed: the same failure for a second
//!     └──┘
//! ```

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::moment::Moment;
use crate::{IdentityError, answer::Issued};

/// A token, of which all holders share one copy in memory.
pub(crate) type Token = Arc<SecretString>;

/// What a caller that needs a token gets.
#[derive(Debug)]
pub(crate) enum Demand {
    /// This token.
    Use(Token),
    /// This token, while the fetch of this number begins.
    Refresh(Token, u64),
    /// The result of the fetch of this number, which begins.
    Fetch(u64),
    /// The result of the fetch of this number, which is in progress.
    Wait(u64),
    /// The failure of the last fetch, which is very recent.
    Fail(IdentityError),
}

/// The tokens of one identity. One fetch at a time is in progress.
#[derive(Debug)]
pub(crate) struct Life {
    least_left: Duration,
    held: Option<Held>,
    in_flight: Option<u64>,
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
    at: Moment,
}

/// The pause after a failed fetch.
const PAUSE: Duration = Duration::from_secs(1);
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
    /// than half of it if that is shorter.
    pub(crate) fn new(least_left: Duration) -> Self {
        Self { least_left, held: None, in_flight: None, fetches: 0, failed: None }
    }

    /// A caller needs a token.
    pub(crate) fn handle_demand(&mut self, now: Moment) -> Demand {
        let recent = self.failed.as_ref().filter(|failed| is_recent(failed, now));
        let recent = recent.map(|failed| failed.error.clone());
        let held = self.held.as_ref().map(|held| (Arc::clone(&held.token), self.left(held, now)));
        match (held, self.in_flight, recent) {
            (Some((token, Left::Enough)), _, _)
            | (Some((token, Left::Little)), Some(_), _)
            | (Some((token, Left::Little)), None, Some(_)) => Demand::Use(token),
            (Some((token, Left::Little)), None, None) => Demand::Refresh(token, self.begin()),
            (_, Some(number), _) => Demand::Wait(number),
            (_, None, Some(error)) => Demand::Fail(error),
            (_, None, None) => Demand::Fetch(self.begin()),
        }
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

    /// A fetch has failed.
    pub(crate) fn handle_failed(&mut self, number: u64, error: IdentityError, now: Moment) {
        if self.ends(number) {
            self.failed = Some(Failed { error, at: now });
        }
    }

    /// A fetch has ended without a result, with its runtime.
    pub(crate) fn handle_lost(&mut self, number: u64) {
        self.ends(number);
    }

    fn begin(&mut self) -> u64 {
        self.fetches += 1;
        self.in_flight = Some(self.fetches);
        self.fetches
    }

    /// Ends the fetch of this number; returns false if it is not the one in progress.
    fn ends(&mut self, number: u64) -> bool {
        let is_current = self.in_flight == Some(number);
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

/// Only the steady clock counts: the other one may be set.
fn is_recent(failed: &Failed, now: Moment) -> bool {
    now.steady.saturating_sub(failed.at.steady) < PAUSE
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::ErrorKind;
    use secrecy::ExposeSecret as _;

    use super::*;

    const WALL: Duration = Duration::from_secs(1_700_000_000);

    /// A moment by clocks that agree.
    fn at(seconds: f64) -> Moment {
        let steady = Duration::from_secs_f64(seconds);
        Moment { steady, wall: WALL + steady }
    }

    fn issued(token: &str, lifetime: u64) -> Issued {
        Issued { token: token.into(), lifetime: Duration::from_secs(lifetime) }
    }

    fn down() -> IdentityError {
        IdentityError::of(ErrorKind::Unavailable, "down")
    }

    /// What a caller gets, in short.
    fn demand(life: &mut Life, now: Moment) -> String {
        match life.handle_demand(now) {
            Demand::Use(token) => format!("use {}", token.expose_secret()),
            Demand::Refresh(token, number) => format!("refresh {} {number}", token.expose_secret()),
            Demand::Fetch(number) => format!("fetch {number}"),
            Demand::Wait(number) => format!("wait {number}"),
            Demand::Fail(error) => format!("fail {}", error.kind()),
        }
    }

    fn with_token(lifetime: u64) -> Life {
        let mut life = Life::new(Duration::ZERO);
        assert_eq!(demand(&mut life, at(0.0)), "fetch 1");
        life.handle_issued(1, issued("a", lifetime), at(0.0));
        life
    }

    #[test]
    fn a_token_is_fetched_once_renewed_ahead_and_not_used_at_its_end() {
        let mut life = Life::new(Duration::ZERO);
        assert_eq!(demand(&mut life, at(0.0)), "fetch 1");
        assert_eq!(demand(&mut life, at(1.0)), "wait 1");
        life.handle_issued(1, issued("a", 300), at(0.5));
        assert_eq!(demand(&mut life, at(270.4)), "use a");
        assert_eq!(demand(&mut life, at(270.5)), "refresh a 2");
        assert_eq!(demand(&mut life, at(280.0)), "use a");
        assert_eq!(demand(&mut life, at(295.5)), "wait 2");
        life.handle_issued(2, issued("b", 300), at(295.0));
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
        let mut life = Life::new(Duration::ZERO);
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
        let mut life = Life::new(Duration::ZERO);
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
            let mut life = Life::new(Duration::from_secs(random(100)));
            let (mut now, mut running, mut ends) = (0.0, None, Vec::new());
            for _ in 0..60 {
                now += random(40_000) as f64 / 1000.0;
                match (life.handle_demand(at(now)), running) {
                    (Demand::Fetch(number), None) => running = Some((number, now)),
                    (Demand::Refresh(token, number), None) => {
                        running = Some((number, now));
                        assert_in_time(&ends, &token, now);
                    }
                    (Demand::Use(token), _) => assert_in_time(&ends, &token, now),
                    (Demand::Wait(number), Some((current, _))) => assert_eq!(number, current),
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
