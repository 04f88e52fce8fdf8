//! The machine as a whole: scripts of events, with the effects that come out.

use super::*;

pub(super) const A: &str = "a:1";
pub(super) const B: &str = "b:1";
/// A backend that the resolver does not name.
pub(super) const C: &str = "c:1";

fn endpoint(name: &str) -> Endpoint {
    name.parse().unwrap()
}

pub(super) fn backends(names: &[&str]) -> Backends {
    names.iter().map(|name| endpoint(name)).collect()
}

pub(super) fn seconds(count: u64) -> Now {
    Duration::from_secs(count)
}

fn policy() -> Policy {
    Policy::default().with_spares(0)
}

pub(super) fn refused() -> ConnectFailure {
    ConnectFailure::refused("refused".into())
}

/// The claims of a script: `x` for any backend, `x@a:1` for one; `s` where they are shared.
pub(super) fn demand(text: &str) -> Demand {
    let (mode, backend) = text.split_once('@').map_or((text, None), |(mode, at)| (mode, Some(at)));
    let mode = if mode == "x" { Mode::Exclusive } else { Mode::Shared };
    Demand { mode, backend: backend.map(endpoint) }
}

/// Drives a machine and writes down each effect as a word.
struct Script {
    pool: PoolMachine,
    now: Now,
    next_claim: u64,
}

impl Script {
    fn new(policy: Policy, listed: &[&str]) -> Self {
        let mut pool = PoolMachine::new(policy);
        pool.handle_backends(seconds(0), &backends(listed));
        Self { pool, now: seconds(0), next_claim: 0 }
    }

    /// Carries out one step, and returns the effects.
    fn step(&mut self, step: &str) -> String {
        let words: Vec<&str> = step.split_whitespace().collect();
        let slot = || SlotId(words[1].parse().unwrap());
        let now = self.now;
        match words[0] {
            "claim" => {
                let claim = ClaimId(self.next_claim);
                self.next_claim += 1;
                self.pool.claim(now, claim, demand(words[1]));
            }
            "abandon" => self.pool.abandon(now, ClaimId(words[1].parse().unwrap())),
            "connected" => self.pool.handle_connected(now, slot()),
            "failed" => self.pool.handle_connect_failed(now, slot(), refused(), 1.0),
            "return" => self.pool.handle_returned(now, slot(), Returned::Usable),
            "spoil" => self.pool.handle_returned(now, slot(), Returned::Spoiled),
            "recycled" => self.pool.handle_recycled(now, slot(), true),
            "unrecycled" => self.pool.handle_recycled(now, slot(), false),
            "healthy" => self.pool.handle_checked(now, slot(), true),
            "unhealthy" => self.pool.handle_checked(now, slot(), false),
            "leave" => self.pool.handle_left(now, slot()),
            "retire" => self.pool.handle_retired(now, slot()),
            "list" => self.pool.handle_backends(now, &backends(&words[1..])),
            "at" => {
                self.now = Duration::from_millis(words[1].parse().unwrap());
                self.pool.handle_timeout(self.now);
            }
            "drain" => self.pool.drain(now),
            "close" => self.pool.close(now),
            other => panic!("no step {other}"),
        }
        let words: Vec<String> = self.pool.poll_effects().iter().map(word).collect();
        words.join(", ")
    }
}

fn word(effect: &Effect) -> String {
    match effect {
        Effect::Connect { slot, backend } => format!("connect {} {backend}", slot.0),
        Effect::Check { slot, .. } => format!("check {}", slot.0),
        Effect::Recycle { slot, .. } => format!("recycle {}", slot.0),
        Effect::Grant { claim, mode: Mode::Exclusive, slot, .. } => {
            format!("grant {} {}", claim.0, slot.0)
        }
        Effect::Grant { claim, slot, .. } => format!("share {} {}", claim.0, slot.0),
        Effect::Refuse { claim, error } => {
            let why = match error {
                ClaimError::Timeout { .. } => "timeout",
                ClaimError::Connect { .. } => "failure",
                ClaimError::TooManyWaiting { .. } => "full",
                ClaimError::Closed => "closed",
                other => panic!("the machine refused with {other}"),
            };
            format!("refuse {} {why}", claim.0)
        }
        Effect::Close { slot, .. } => format!("close {}", slot.0),
    }
}

/// Runs a script, `step -> effects` on each line, and returns the machine.
fn check(policy: Policy, listed: &[&str], lines: &str) -> PoolMachine {
    let mut script = Script::new(policy, listed);
    for line in lines.trim().lines().map(str::trim) {
        let (step, expected) = line.split_once("->").unwrap_or((line, ""));
        assert_eq!(script.step(step), expected.trim(), "after: {step}");
    }
    script.pool
}

#[test]
fn a_claim_is_granted_when_its_dial_succeeds_and_again_when_the_connection_comes_back() {
    let pool = check(
        policy(),
        &[A],
        "claim x     -> connect 0 a:1
         connected 0 -> grant 0 0
         claim x     -> connect 1 a:1
         return 0    -> recycle 0
         recycled 0  -> grant 1 0
         connected 1 -> close 1
         spoil 0     -> close 0",
    );
    assert_eq!(pool.snapshot(seconds(0), 0).counters.retired, 2);
}

#[test]
fn a_connection_that_cannot_be_recycled_is_replaced() {
    check(
        policy(),
        &[A],
        "claim x      -> connect 0 a:1
         connected 0  -> grant 0 0
         claim x      -> connect 1 a:1
         return 0     -> recycle 0
         unrecycled 0 -> close 0
         connected 1  -> grant 1 1",
    );
}

#[test]
fn shared_claims_share_one_dial_and_one_connection_up_to_the_limit() {
    check(
        policy().with_max_users(3).unwrap(),
        &[],
        "claim s@c:1 -> connect 0 c:1
         claim s@c:1 ->
         claim s@c:1 ->
         connected 0 -> share 0 0, share 1 0, share 2 0
         claim s@c:1 -> connect 1 c:1
         leave 0     -> share 3 0
         connected 1 -> close 1
         leave 0     ->
         leave 0     ->
         leave 0     -> close 0",
    );
}

#[test]
fn one_user_who_gives_up_does_not_end_the_dial_of_the_others() {
    check(
        policy(),
        &[],
        "claim s@c:1 -> connect 0 c:1
         claim s@c:1 ->
         abandon 0   ->
         connected 0 -> share 1 0",
    );
}

#[test]
fn a_retired_connection_is_gone_for_all_users_and_the_next_claim_dials() {
    check(
        policy(),
        &[],
        "claim s@c:1 -> connect 0 c:1
         connected 0 -> share 0 0
         claim s@c:1 -> share 1 0
         retire 0    -> close 0
         retire 0    ->
         claim s@c:1 -> connect 1 c:1
         leave 0     ->
         connected 1 -> share 2 1
         leave 0     ->
         unhealthy 1 -> close 1",
    );
}

#[test]
fn a_claimed_connection_is_not_retired_by_a_stranger() {
    check(
        policy(),
        &[],
        "claim x@c:1 -> connect 0 c:1
         connected 0 -> grant 0 0
         retire 0    ->
         return 0    -> close 0",
    );
}

#[test]
fn claims_for_one_backend_share_the_failure_of_the_dial_they_wait_for() {
    let pool = check(
        policy().with_backoff(Duration::ZERO, Duration::ZERO).unwrap(),
        &[],
        "claim s@c:1 -> connect 0 c:1
         claim s@c:1 ->
         claim x@c:1 -> connect 1 c:1
         failed 0    -> close 0, refuse 2 failure
         failed 1    -> close 1, refuse 0 failure, refuse 1 failure
         claim s@c:1 -> connect 2 c:1
         connected 2 -> share 3 2",
    );
    let counters = pool.snapshot(seconds(0), 0).counters;
    assert_eq!((counters.failed, counters.connect_failures), (3, 2));
}

#[test]
fn claims_for_one_backend_wait_for_the_end_of_its_backoff() {
    let backoff = Duration::from_millis(100);
    let pool = check(
        policy().with_backoff(backoff, backoff).unwrap(),
        &[],
        "claim x@c:1 -> connect 0 c:1
         failed 0    -> close 0, refuse 0 failure
         claim x@c:1 ->
         claim x@c:1 ->
         at 99       ->
         at 100      -> connect 1 c:1
         connected 1 -> grant 1 1, connect 2 c:1
         connected 2 -> grant 2 2",
    );
    assert_eq!(pool.snapshot(seconds(0), 0).sets[0].failures, 0);
}

#[test]
fn a_backend_without_slots_or_claims_is_forgotten_unless_it_is_listed() {
    let pool = check(
        policy(),
        &[A],
        "claim x@c:1 -> connect 0 c:1
         connected 0 -> grant 0 0
         spoil 0     -> close 0",
    );
    let sets = pool.snapshot(seconds(0), 0).sets;
    assert_eq!((sets.len(), sets[0].is_listed), (1, true));
}

#[test]
fn a_backend_that_is_not_listed_serves_no_claim_for_any_backend() {
    check(
        policy(),
        &[A],
        "claim s@c:1 -> connect 0 c:1
         connected 0 -> share 0 0
         claim s     -> connect 1 a:1
         connected 1 -> share 1 1",
    );
}

#[test]
fn a_backend_that_fails_backs_off_while_another_serves() {
    check(
        policy(),
        &[A, B],
        "claim x     -> connect 0 a:1
         failed 0    -> close 0, connect 1 b:1
         connected 1 -> grant 0 1",
    );
}

#[test]
fn after_a_failure_one_dial_at_a_time_finds_out_whether_the_backend_is_back() {
    let backoff = Duration::from_millis(100);
    check(
        policy().with_backoff(backoff, backoff).unwrap(),
        &[A],
        "claim x     -> connect 0 a:1
         claim x     -> connect 1 a:1
         failed 0    -> close 0
         failed 1    -> close 1
         at 100      -> connect 2 a:1
         connected 2 -> grant 0 2, connect 3 a:1",
    );
}

#[test]
fn a_claim_ends_at_its_deadline_with_what_the_pool_knows() {
    let mut pool = PoolMachine::new(policy().with_claim_timeout(seconds(3)));
    pool.handle_backends(seconds(0), &backends(&[A]));
    pool.claim(seconds(1), ClaimId(7), demand("x"));
    pool.poll_effects();
    pool.handle_connect_failed(seconds(1), SlotId(0), refused(), 1.0);
    pool.poll_effects();
    pool.handle_timeout(seconds(4));
    let error = pool.poll_effects().into_iter().find_map(|effect| match effect {
        Effect::Refuse { claim: ClaimId(7), error } => Some(error.to_string()),
        _ => None,
    });
    let error = error.unwrap();
    assert!(error.contains("1 backends") && error.contains("refused"), "{error}");
}

#[test]
fn a_claim_without_patience_takes_a_free_connection_or_none() {
    check(
        policy().with_claim_timeout(Duration::ZERO).with_spares(1),
        &[A],
        "at 0        -> connect 0 a:1
         claim x     -> connect 1 a:1, refuse 0 timeout
         connected 0 ->
         claim x     -> grant 1 0",
    );
}

#[test]
fn claims_beyond_the_limit_are_refused_and_abandoned_ones_make_room() {
    check(
        policy().with_max_waiting(2).unwrap(),
        &[],
        "claim x   ->
         claim s   ->
         claim x   -> refuse 2 full
         abandon 0 ->
         claim x   ->",
    );
}

#[test]
fn a_backend_that_leaves_is_drained_and_one_that_returns_serves_again() {
    let pool = check(
        Policy::default().with_spares(1),
        &[],
        "list a:1    -> connect 0 a:1
         connected 0 ->
         claim x     -> grant 0 0, connect 1 a:1
         connected 1 ->
         list        -> close 1
         return 0    -> close 0
         list a:1    -> connect 2 a:1",
    );
    assert_eq!(pool.snapshot(seconds(0), 0).sets.len(), 1);
}

#[test]
fn shared_connections_of_a_backend_that_leaves_go_on_and_are_shared_by_name() {
    check(
        policy(),
        &[A],
        "claim s     -> connect 0 a:1
         connected 0 -> share 0 0
         list b:1    ->
         claim s     -> connect 1 b:1
         claim s@a:1 -> share 2 0
         leave 0     ->
         leave 0     -> close 0",
    );
}

#[test]
fn a_dial_that_a_claim_waits_for_goes_on_when_its_backend_leaves() {
    check(
        policy(),
        &[A],
        "claim x@a:1 -> connect 0 a:1
         claim x     -> connect 1 a:1
         list b:1    -> connect 2 b:1
         connected 0 -> grant 0 0",
    );
}

#[test]
fn unused_connections_are_checked_when_due_and_bad_ones_are_closed() {
    let policy = policy().with_spares(1).with_health_check(seconds(30), seconds(3)).unwrap();
    let pool = check(
        policy,
        &[],
        "list a:1    -> connect 0 a:1
         connected 0 ->
         at 29999    ->
         at 30000    -> check 0
         healthy 0   ->
         at 59999    ->
         at 60000    -> check 0
         unhealthy 0 -> close 0, connect 1 a:1",
    );
    let counters = pool.snapshot(seconds(60), 0).counters;
    assert_eq!((counters.healthy, counters.unhealthy), (1, 1));
}

#[test]
fn shared_connections_are_checked_while_they_are_used() {
    let policy = policy().with_health_check(seconds(30), seconds(3)).unwrap();
    check(
        policy,
        &[],
        "claim s@c:1 -> connect 0 c:1
         connected 0 -> share 0 0
         at 30000    -> check 0
         healthy 0   ->
         at 60000    -> check 0
         unhealthy 0 -> close 0
         leave 0     ->",
    );
}

#[test]
fn a_shared_connection_without_users_is_kept_as_a_spare_and_shared_again() {
    check(
        policy().with_spares(1),
        &[],
        "list a:1    -> connect 0 a:1
         connected 0 ->
         claim s     -> share 0 0, connect 1 a:1
         connected 1 ->
         leave 0     ->
         claim s     -> share 1 0",
    );
}

#[test]
fn an_exclusive_claim_takes_the_place_of_an_unused_shared_connection() {
    check(
        policy().with_spares(1).with_max_slots(1).unwrap(),
        &[],
        "list a:1    -> connect 0 a:1
         connected 0 ->
         claim s     -> share 0 0
         claim x     ->
         leave 0     -> close 0, connect 1 a:1
         connected 1 -> grant 1 1",
    );
}

#[test]
fn a_claim_for_one_backend_takes_the_place_of_an_unused_connection_to_another() {
    check(
        policy().with_spares(1).with_max_slots(1).unwrap(),
        &[],
        "list a:1    -> connect 0 a:1
         connected 0 ->
         claim x@c:1 -> close 0, connect 1 c:1
         connected 1 -> grant 0 1",
    );
}

#[test]
fn younger_claims_do_not_pass_over_a_claim_for_one_backend_in_a_full_pool() {
    check(
        policy().with_max_slots(1).unwrap(),
        &[A],
        "claim x     -> connect 0 a:1
         connected 0 -> grant 0 0
         claim x@c:1 ->
         claim x     ->
         claim x@a:1 ->
         return 0    -> recycle 0
         recycled 0  -> close 0, connect 1 c:1
         connected 1 -> grant 1 1
         return 1    -> close 1, connect 2 a:1
         connected 2 -> grant 2 2
         claim x@c:1 ->
         claim x@b:1 ->
         spoil 2     -> close 2, connect 3 a:1
         connected 3 -> grant 3 3
         spoil 3     -> close 3, connect 4 c:1",
    );
}

#[test]
fn a_backend_that_joins_a_full_pool_gets_its_share() {
    let mut script = Script::new(policy().with_max_slots(4).unwrap(), &[A]);
    for slot in 0..4 {
        script.step("claim x");
        script.step(&format!("connected {slot}"));
    }
    script.step("list a:1 b:1");
    for _ in 0..4 {
        script.step("claim x");
    }
    for slot in 0..4 {
        script.pool.handle_returned(script.now, SlotId(slot), Returned::Usable);
        for effect in script.pool.poll_effects() {
            if let Effect::Connect { slot, .. } = effect {
                script.pool.handle_connected(script.now, slot);
            }
        }
    }
    let sets = script.pool.snapshot(seconds(1), 0).sets;
    let shares: Vec<usize> = sets.iter().map(|set| set.slots.len()).collect();
    assert_eq!(shares, [2, 2]);
}

#[test]
fn a_smaller_policy_closes_what_is_too_much() {
    let mut pool = check(
        policy().with_spares(2),
        &[],
        "list a:1    -> connect 0 a:1, connect 1 a:1
         connected 0 ->
         connected 1 ->",
    );
    pool.set_policy(seconds(1), policy());
    assert_eq!(pool.snapshot(seconds(1), 0).sets[0].slots.len(), 0);
}

#[test]
fn draining_retires_what_is_shared_and_closes_what_is_unused_and_the_pool_goes_on() {
    check(
        policy().with_spares(1),
        &[],
        "list a:1    -> connect 0 a:1
         connected 0 ->
         claim s     -> share 0 0, connect 1 a:1
         connected 1 ->
         claim x     -> grant 1 1, connect 2 a:1
         connected 2 ->
         drain       -> close 2, close 0, connect 3 a:1
         leave 0     ->
         claim s@a:1 -> connect 4 a:1
         connected 3 -> share 2 3",
    );
}

#[test]
fn closing_refuses_waiting_claims_and_every_later_one() {
    let pool = check(
        policy().with_max_slots(2).unwrap(),
        &[A],
        "claim x     -> connect 0 a:1
         connected 0 -> grant 0 0
         claim s     -> connect 1 a:1
         connected 1 -> share 1 1
         claim x     ->
         close       -> refuse 2 closed
         claim s     -> refuse 3 closed
         leave 1     -> close 1
         return 0    -> close 0",
    );
    assert_eq!((pool.claimed(), pool.poll_timeout()), (0, None));
}

#[test]
fn a_closed_pool_follows_its_resolver_no_longer_and_waits_for_its_users_only() {
    let policy = policy().with_spares(1).with_max_slots(3).unwrap();
    let pool = check(
        policy,
        &[A],
        "list a:1 b:1 -> connect 0 a:1
         connected 0  ->
         claim x@b:1  -> connect 1 b:1
         claim s@a:1  -> share 1 0, connect 2 a:1
         failed 2     -> close 2, connect 3 b:1
         connected 1  -> grant 0 1
         close        -> close 3
         list a:1 c:1 ->
         at 20000     ->
         list b:1     ->
         return 1     -> close 1
         list a:1     ->
         leave 0      -> close 0",
    );
    assert_eq!((pool.claimed(), pool.poll_timeout()), (0, None));
    assert!(pool.snapshot(seconds(60), 0).sets.iter().all(|set| set.slots.is_empty()));
}
