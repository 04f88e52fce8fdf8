//! Stories of the machines, each also with the fault that it is about, which must fail it.

use std::{net::SocketAddr, time::Duration};

use pravega_sdk_types::{Endpoint, Jitter, Outcome, RetryPolicy};

use super::{
    addresses::STAGGER,
    bugs::ControllerBug,
    nodes::{Discover, LinkUse},
    *,
};

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30));

type Told = Result<(), String>;

/// Runs a story, which must hold, and with the bug must not.
#[track_caller]
fn story(bug: ControllerBug, run: impl Fn(Bugs) -> Told) {
    run(Bugs::default()).unwrap();
    #[cfg(feature = "seeded-bugs")]
    assert!(run(Bugs::new(bug)).is_err(), "the story holds with {bug:?}");
    #[cfg(not(feature = "seeded-bugs"))]
    let _ = bug;
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Told {
    if holds { Ok(()) } else { Err(what()) }
}

fn endpoint(number: usize) -> Endpoint {
    Endpoint::new(&format!("c{number}"), 9090).unwrap()
}

fn endpoints(count: usize) -> Vec<Endpoint> {
    (0..count).map(endpoint).collect()
}

fn nodes(count: usize, bugs: Bugs) -> NodesMachine {
    NodesMachine::new(endpoints(count), true, bugs)
}

fn call(repeat: Repeat, limits: (Duration, Duration), bugs: Bugs) -> CallMachine {
    let retry = RetryPolicy::new(SECOND, 2, 4 * SECOND, 4).unwrap().with_jitter(Jitter::None);
    let limits = Limits { call: limits.0, attempt: limits.1, retry };
    CallMachine::new((repeat, Route::Any), &limits, || 0.5, Now::ZERO, bugs)
}

/// The next attempt of a call, after the discovery: its controller, and when it ends.
fn next_attempt(call: &mut CallMachine, nodes: &mut NodesMachine, now: Now) -> Option<(Via, Now)> {
    for _ in 0..3 {
        match call.poll(nodes, now) {
            Step::Discover { .. } => {}
            Step::Attempt { via, until } => return Some((via, until)),
            Step::Wait { .. } | Step::End => return None,
        }
    }
    None
}

fn order(nodes: &mut NodesMachine, now: Now) -> Vec<String> {
    nodes.in_order(now).iter().map(|via| via.endpoint().host().to_owned()).collect()
}

const UNREACHED: (Verdict, Outcome) = (Verdict::Unreached, Outcome::NotApplied);
const LOST: (Verdict, Outcome) = (Verdict::Lost, Outcome::Unknown);

#[test]
fn every_part_of_an_attempt_ends_at_its_deadline() {
    story(ControllerBug::TimesAnswersOnly, |bugs| {
        let mut attempt = AttemptMachine::new(SECOND, bugs);
        let part = attempt.poll();
        let expected = Part::Credentials { until: Some(SECOND) };
        check(part == expected, || format!("{part:?}"))?;
        attempt.handle_credentials();
        assert_eq!(attempt.poll(), Part::Connection { until: SECOND });
        attempt.handle_connected(true);
        assert_eq!(attempt.poll(), Part::Answer { until: SECOND });
        Ok(())
    });
}

#[test]
fn nothing_that_a_call_waits_for_ends_after_its_deadline() {
    story(ControllerBug::TimesAnswersOnly, |bugs| {
        for limit in [0, 1, 20, 59, 100].map(Duration::from_secs) {
            let mut nodes = nodes(3, bugs);
            let mut call = call(Repeat::Harmless, (limit, LIMITS.1), bugs);
            let mut now = Now::ZERO;
            loop {
                let until = match call.poll(&mut nodes, now) {
                    Step::Discover { until: None } => return Err("no deadline".to_owned()),
                    Step::Discover { until: Some(until) } | Step::Wait { until } => until,
                    Step::Attempt { via, until } => {
                        now = until;
                        call.handle_failed(via.endpoint(), LOST, &mut nodes, now);
                        until
                    }
                    Step::End => break,
                };
                check(until <= limit, || format!("{until:?} of {limit:?}"))?;
                now = until;
            }
            assert!(now <= limit);
        }
        Ok(())
    });
}

#[test]
fn the_first_call_waits_for_a_discovery_for_half_of_its_time() {
    story(ControllerBug::AwaitsDiscovery, |bugs| {
        let mut nodes = nodes(2, bugs);
        let mut call = call(Repeat::Harmless, LIMITS, bugs);
        let step = call.poll(&mut nodes, Now::ZERO);
        check(step == Step::Discover { until: Some(30 * SECOND) }, || format!("{step:?}"))?;
        let (via, until) = next_attempt(&mut call, &mut nodes, 30 * SECOND).unwrap();
        assert_eq!((via.endpoint().host(), until), ("c0", 60 * SECOND));
        Ok(())
    });
}

#[test]
fn a_call_goes_through_all_controllers_before_it_waits() {
    let bugs = Bugs::default();
    let mut nodes = nodes(3, bugs);
    let mut call = call(Repeat::Harmless, LIMITS, bugs);
    let mut now = Now::ZERO;
    for round in 0..4 {
        let mut tried = Vec::new();
        while let Some((via, _)) = next_attempt(&mut call, &mut nodes, now) {
            tried.push(via.endpoint().clone());
            call.handle_failed(via.endpoint(), UNREACHED, &mut nodes, now);
        }
        tried.sort();
        assert_eq!(tried, endpoints(3), "round {round}");
        match call.poll(&mut nodes, now) {
            Step::Wait { until } => now = until,
            step => assert_eq!((step, round), (Step::End, 3)),
        }
    }
    assert_eq!((call.attempts(), call.outcome()), (12, Outcome::NotApplied));
    assert_eq!(now, 7 * SECOND, "1, 2 and 4 s");
}

#[test]
fn a_call_with_a_double_effect_is_repeated_only_if_it_was_not_sent() {
    story(ControllerBug::RepeatsAll, |bugs| {
        for (failed, goes_on) in [(UNREACHED, true), (LOST, false)] {
            let mut nodes = nodes(2, bugs);
            let mut call = call(Repeat::Harmful, LIMITS, bugs);
            let (via, _) = next_attempt(&mut call, &mut nodes, Now::ZERO).unwrap();
            call.handle_failed(via.endpoint(), failed, &mut nodes, Now::ZERO);
            let next = next_attempt(&mut call, &mut nodes, Now::ZERO);
            check(next.is_some() == goes_on, || format!("{failed:?}: {next:?}"))?;
        }
        Ok(())
    });
}

#[test]
fn after_an_attempt_that_may_have_taken_effect_the_outcome_stays_unknown() {
    story(ControllerBug::ForgetsOutcomes, |bugs| {
        let mut nodes = nodes(2, bugs);
        let mut call = call(Repeat::Harmless, LIMITS, bugs);
        for failed in [LOST, UNREACHED] {
            let (via, _) = next_attempt(&mut call, &mut nodes, Now::ZERO).unwrap();
            call.handle_failed(via.endpoint(), failed, &mut nodes, Now::ZERO);
        }
        check(call.outcome() == Outcome::Unknown, || format!("{:?}", call.outcome()))
    });
}

#[test]
fn a_call_to_one_instance_is_one_attempt_over_its_connection() {
    let bugs = Bugs::default();
    let mut nodes = nodes(2, bugs);
    let LinkUse::Dial(link) = nodes.link(&endpoint(1)) else { panic!("there is no connection") };
    let retry = RetryPolicy::default();
    let limits = Limits { call: LIMITS.0, attempt: LIMITS.1, retry };
    let route = Route::Only(endpoint(1), link);
    let wanted = (Repeat::Harmless, route);
    let mut call = CallMachine::new(wanted, &limits, || 0.5, Now::ZERO, bugs);
    let via = Via::Only(endpoint(1), link);
    let step = call.poll(&mut nodes, Now::ZERO);
    assert_eq!(step, Step::Attempt { via, until: LIMITS.1 });
    call.handle_failed(&endpoint(1), UNREACHED, &mut nodes, Now::ZERO);
    assert_eq!(call.poll(&mut nodes, Now::ZERO), Step::End);
}

#[test]
fn a_controller_that_has_failed_is_last_for_ten_seconds_or_until_it_answers() {
    story(ControllerBug::ForgetsFailures, |bugs| {
        let mut nodes = nodes(3, bugs);
        for _ in 0..3 {
            nodes.handle_failed(&endpoint(1), SECOND);
            let found = order(&mut nodes, 10 * SECOND);
            check(found[2] == "c1", || format!("{found:?}"))?;
        }
        let later = [0, 1, 2].map(|_| order(&mut nodes, 11 * SECOND)[0].clone());
        assert!(later.contains(&"c1".to_owned()), "{later:?}");
        nodes.handle_failed(&endpoint(1), 20 * SECOND);
        nodes.handle_answered(&endpoint(1));
        let now = [0, 1, 2].map(|_| order(&mut nodes, 20 * SECOND)[0].clone());
        assert!(now.contains(&"c1".to_owned()), "{now:?}");
        Ok(())
    });
}

#[test]
fn the_controllers_of_the_address_are_the_last_resort_where_a_list_names_others() {
    story(ControllerBug::BelievesDiscovery, |bugs| {
        let mut nodes = nodes(1, bugs);
        assert_eq!(nodes.discover(Now::ZERO), Discover::AndWait);
        nodes.handle_discovered(Some(vec![endpoint(7), endpoint(8)]), Now::ZERO);
        let found = order(&mut nodes, Now::ZERO);
        check(found == ["c7", "c8", "c0"], || format!("{found:?}"))?;
        for dead in [7, 8] {
            nodes.handle_failed(&endpoint(dead), Now::ZERO);
        }
        assert_eq!(order(&mut nodes, Now::ZERO)[0], "c0");
        Ok(())
    });
}

#[test]
fn controllers_are_discovered_every_two_minutes_and_ten_seconds_after_a_failure() {
    let mut nodes = nodes(1, Bugs::default());
    let mut at = |seconds: u32, list: Option<Vec<Endpoint>>| {
        let discover = nodes.discover(SECOND * seconds);
        if discover != Discover::NotNow {
            assert_eq!(nodes.discover(SECOND * seconds), Discover::NotNow, "it is in progress");
            nodes.handle_discovered(list, SECOND * seconds);
        }
        discover
    };
    assert_eq!(at(0, None), Discover::AndWait);
    assert_eq!(at(9, None), Discover::NotNow);
    assert_eq!(at(10, Some(Vec::new())), Discover::Meanwhile);
    assert_eq!(at(19, None), Discover::NotNow);
    assert_eq!(at(20, Some(endpoints(3))), Discover::Meanwhile);
    assert_eq!(at(139, None), Discover::NotNow);
    assert_eq!(at(140, None), Discover::Meanwhile);
    assert_eq!(nodes.listed(), endpoints(3), "the last list stays in use");
    let mut fixed = NodesMachine::new(endpoints(1), false, Bugs::default());
    assert_eq!(fixed.discover(1000 * SECOND), Discover::NotNow);
}

#[test]
fn a_list_is_bounded_and_has_each_controller_once() {
    let mut nodes = nodes(1, Bugs::default());
    let list: Vec<Endpoint> = (0..3000).map(|number| endpoint(number % 1500)).collect();
    nodes.handle_discovered(Some(list), Now::ZERO);
    assert_eq!(nodes.listed().len(), MAX_DISCOVERED);
}

#[test]
fn all_attempts_share_a_connection_until_it_ends() {
    let mut nodes = nodes(2, Bugs::default());
    let LinkUse::Dial(first) = nodes.link(&endpoint(0)) else { panic!("there is none") };
    assert_eq!(nodes.link(&endpoint(0)), LinkUse::Share(first));
    nodes.handle_ended(&endpoint(0), first);
    let LinkUse::Dial(second) = nodes.link(&endpoint(0)) else { panic!("there is none") };
    // An attempt that used the first one finds out late.
    nodes.handle_ended(&endpoint(0), first);
    assert_eq!(nodes.link(&endpoint(0)), LinkUse::Share(second));
    assert!(matches!(nodes.link(&endpoint(1)), LinkUse::Dial(_)));
}

#[test]
fn connections_to_controllers_that_are_no_longer_listed_end() {
    let mut nodes = nodes(1, Bugs::default());
    nodes.handle_discovered(Some(vec![endpoint(5)]), Now::ZERO);
    let LinkUse::Dial(link) = nodes.link(&endpoint(5)) else { panic!("there is none") };
    let LinkUse::Dial(own) = nodes.link(&endpoint(0)) else { panic!("there is none") };
    assert_eq!(nodes.handle_discovered(Some(vec![endpoint(6)]), Now::ZERO), [link]);
    assert_eq!(nodes.link(&endpoint(0)), LinkUse::Share(own), "it is in the address");
}

#[test]
fn a_failed_connect_counts_for_all_attempts_that_wait_for_it() {
    story(ControllerBug::DialsAlone, |bugs| {
        let mut waiting = AttemptMachine::new(SECOND, bugs);
        waiting.handle_credentials();
        check(!waiting.handle_unconnected(false), || "it connects by itself".to_owned())
    });
}

#[test]
fn an_attempt_connects_once_more_if_the_connection_had_ended() {
    for (is_new, sent, goes_on) in [
        (false, Sent::Nothing, true),
        (true, Sent::Nothing, false),
        (false, Sent::Request, false),
        (false, Sent::Unanswered, false),
    ] {
        let mut attempt = AttemptMachine::new(SECOND, Bugs::default());
        attempt.handle_credentials();
        attempt.handle_connected(is_new);
        assert_eq!(attempt.handle_failed(sent), goes_on, "{is_new}, {sent:?}");
        if goes_on {
            assert_eq!(attempt.poll(), Part::Connection { until: SECOND });
            attempt.handle_connected(false);
            assert!(!attempt.handle_failed(sent), "once");
        }
    }
}

#[test]
fn an_attempt_whose_credentials_are_refused_asks_for_others_once() {
    let mut attempt = AttemptMachine::new(SECOND, Bugs::default());
    attempt.handle_credentials();
    attempt.handle_connected(true);
    assert!(attempt.handle_refused());
    assert_eq!(attempt.poll(), Part::Credentials { until: Some(SECOND) });
    attempt.handle_credentials();
    assert_eq!(attempt.poll(), Part::Connection { until: SECOND });
    attempt.handle_connected(false);
    assert!(!attempt.handle_refused(), "once");
}

#[test]
fn a_connection_over_which_there_was_no_answer_is_not_used_again() {
    story(ControllerBug::KeepsSilentLinks, |bugs| {
        let attempt = AttemptMachine::new(SECOND, bugs);
        assert!(attempt.ends_link(Sent::Nothing) && !attempt.ends_link(Sent::Request));
        check(attempt.ends_link(Sent::Unanswered), || "it is".to_owned())
    });
}

fn addresses(count: u8) -> Vec<SocketAddr> {
    (0..count).map(|number| SocketAddr::from(([10, 0, 0, number], 1))).collect()
}

#[test]
fn the_deadline_of_a_connection_covers_the_look_up() {
    story(ControllerBug::TimesConnectsOnly, |bugs| {
        let mut dial = Addresses::new(Some(SECOND), Now::ZERO, bugs);
        let step = dial.poll(Now::ZERO);
        check(step == Dial::LookUp { until: Some(SECOND) }, || format!("{step:?}"))?;
        assert_eq!(dial.poll(SECOND), Dial::Late);
        let mut dial = Addresses::new(Some(SECOND), Now::ZERO, bugs);
        dial.handle_found(addresses(1), SECOND / 2);
        assert_eq!(dial.poll(SECOND / 2), Dial::Address(addresses(1)[0]));
        assert_eq!(dial.poll(SECOND / 2), Dial::Wait { until: Some(SECOND) });
        assert_eq!(dial.poll(SECOND), Dial::Late);
        Ok(())
    });
}

#[test]
fn addresses_are_dialled_one_beside_the_other() {
    story(ControllerBug::DialsOneByOne, |bugs| {
        let all = addresses(3);
        let mut dial = Addresses::new(Some(SECOND), Now::ZERO, bugs);
        dial.handle_found(all.clone(), Now::ZERO);
        assert_eq!(dial.poll(Now::ZERO), Dial::Address(all[0]));
        let step = dial.poll(Now::ZERO);
        check(step == Dial::Wait { until: Some(STAGGER) }, || format!("{step:?}"))?;
        assert_eq!(dial.poll(STAGGER), Dial::Address(all[1]));
        // One that refuses makes way for the next at once.
        dial.handle_failed(STAGGER);
        assert_eq!(dial.poll(STAGGER), Dial::Address(all[2]));
        assert_eq!(dial.poll(STAGGER), Dial::Wait { until: Some(SECOND) });
        dial.handle_failed(STAGGER);
        dial.handle_failed(STAGGER);
        assert_eq!(dial.poll(STAGGER), Dial::Failed);
        Ok(())
    });
}

#[test]
fn a_name_without_addresses_fails_and_one_with_very_many_is_cut() {
    let mut dial = Addresses::new(None, Now::ZERO, Bugs::default());
    dial.handle_found(Vec::new(), Now::ZERO);
    assert_eq!(dial.poll(Now::ZERO), Dial::Failed);
    let mut dial = Addresses::new(None, Now::ZERO, Bugs::default());
    dial.handle_found(addresses(200), Now::ZERO);
    let mut dialled = 0;
    while let Dial::Address(_) = dial.poll(Now::ZERO) {
        dialled += 1;
        dial.handle_failed(Now::ZERO);
    }
    assert_eq!(dialled, 16);
}

/// Failures in any order: a call ends, by its deadline, and after no more rounds than its policy
/// has.
#[test]
fn every_call_ends_in_any_order_of_failures() {
    let verdicts =
        [Verdict::Final, Verdict::Unreached, Verdict::NotSent, Verdict::Lost, Verdict::Later];
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = random.usize(0..4);
        let mut nodes = nodes(count, Bugs::default());
        let limits = (SECOND * random.u32(0..100), SECOND * random.u32(0..40));
        let repeat = if random.bool() { Repeat::Harmless } else { Repeat::Harmful };
        let mut call = call(repeat, limits, Bugs::default());
        let (mut now, mut sent) = (Now::ZERO, 0);
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 200, "SEED={seed}");
            match call.poll(&mut nodes, now) {
                Step::Discover { until } => now = now.max(until.unwrap() / 2),
                Step::Wait { until } => now = until,
                Step::End => break,
                Step::Attempt { via, until } => {
                    let verdict = verdicts[random.usize(0..verdicts.len())];
                    let is_sent = matches!(verdict, Verdict::Lost | Verdict::Later);
                    sent += u32::from(is_sent);
                    let outcome = if is_sent { Outcome::Unknown } else { Outcome::NotApplied };
                    now += (until - now).mul_f64(random.f64());
                    call.handle_failed(via.endpoint(), (verdict, outcome), &mut nodes, now);
                }
            }
            assert!(now <= limits.0, "SEED={seed}");
        }
        assert!(call.attempts() <= 4 * count as u32, "SEED={seed}");
        assert!(repeat == Repeat::Harmless || sent <= 1, "SEED={seed}");
        let outcome = if sent > 0 { Outcome::Unknown } else { Outcome::NotApplied };
        assert_eq!(call.outcome(), outcome, "SEED={seed}");
    }
}
