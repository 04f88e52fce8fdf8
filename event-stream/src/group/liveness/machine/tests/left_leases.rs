//! Leases that are left by readers that are gone, and what must not follow from them.

use std::time::Duration;

use super::super::{
    DiscardMachine, EndingMachine, LeaseEffect, LeaseTimes, LeaseValue, ObserverMachine,
    RemovalEffect, RemovalEnd, RemovalMachine,
};

/// A lease of 42 s: a reader is found dead after 25.2 s.
fn times() -> LeaseTimes {
    LeaseTimes::new(seconds(42.0))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn member(random: u64) -> LeaseValue {
    LeaseValue::claimed(times(), random).member()
}

fn swap(expected: LeaseValue, new: Option<LeaseValue>) -> LeaseEffect {
    LeaseEffect::Swap { expected: Some(expected), new }
}

/// An observer that watches b alone.
fn observer() -> ObserverMachine {
    let mut observer = ObserverMachine::new(Some("a".into()), times());
    observer.handle_readers(["a", "b"].map(Into::into), Duration::ZERO);
    observer
}

/// Answers all reads with a lease, up to a moment. Returns the first other effect.
fn answer(
    observer: &mut ObserverMachine,
    found: Option<LeaseValue>,
    until: f64,
) -> Option<(Duration, LeaseEffect)> {
    while let Some(now) = observer.poll_timeout().filter(|now| *now <= seconds(until)) {
        match observer.poll_effect(now)? {
            (reader, LeaseEffect::Read) => observer.handle_read(&reader, found, now),
            (_, other) => return Some((now, other)),
        }
    }
    None
}

#[test]
fn a_reader_without_a_lease_is_not_taken_out_for_one_of_its_name_that_was() {
    let (mut observer, out) = (observer(), member(1).taken_out());
    let (at, clear) = answer(&mut observer, Some(out), 200.0).unwrap();
    assert_eq!(clear, swap(out, None), "once its reader knows that it was taken out");
    assert!(at >= seconds(25.2), "{at:?}");
    observer.handle_swapped("b", true, at);
    assert_eq!(answer(&mut observer, None, 500.0), None);
}

#[test]
fn a_lease_is_removed_that_is_left_by_a_reader_which_another_client_has_taken_out() {
    let (mut observer, left) = (observer(), member(1));
    assert_eq!(answer(&mut observer, Some(left), 1.0), None);
    observer.handle_readers(["a".into()], seconds(2.0));
    let (at, mark) = answer(&mut observer, Some(left), 100.0).unwrap();
    assert_eq!(mark, swap(left, Some(left.dead())));
    observer.handle_swapped("b", true, at);
    let taken = Some(("b".into(), LeaseEffect::TakeOffline(left.dead())));
    assert_eq!(observer.poll_effect(at), taken);
    observer.handle_removal("b", RemovalEnd::NotInGroup, at);
    let clear = Some(("b".into(), swap(left.dead(), None)));
    assert_eq!(observer.poll_effect(at), clear);
    observer.handle_swapped("b", true, at);
    assert_eq!(observer.poll_timeout(), None, "nothing is watched");
}

#[test]
fn a_reader_that_is_gone_is_not_watched_once_it_has_no_lease() {
    let mut observer = observer();
    assert_eq!(answer(&mut observer, Some(member(1)), 1.0), None);
    observer.handle_readers(["a".into()], seconds(2.0));
    assert_eq!(answer(&mut observer, None, 100.0), None);
    assert_eq!(observer.poll_timeout(), None);
}

#[test]
fn a_mark_is_removed_although_its_reader_has_left_while_it_was_set() {
    let (mut observer, lease) = (observer(), member(1));
    let (at, _) = answer(&mut observer, Some(lease), 100.0).unwrap();
    observer.handle_readers(["a".into()], at);
    observer.handle_swapped("b", true, at);
    let taken = Some(("b".into(), LeaseEffect::TakeOffline(lease.dead())));
    assert_eq!(observer.poll_effect(at), taken);
    observer.handle_removal("b", RemovalEnd::NotInGroup, at);
    let clear = ("b".into(), swap(lease.dead(), None));
    assert_eq!(observer.poll_effect(at), Some(clear.clone()));
    // The reply is lost: it is removed again.
    observer.handle_failed("b", at);
    let again = observer.poll_timeout().unwrap();
    assert_eq!(observer.poll_effect(again), Some(clear));
    observer.handle_swapped("b", false, again);
    assert_eq!(observer.poll_timeout(), None);
}

#[test]
fn other_readers_are_watched_while_one_is_marked() {
    let mut observer = ObserverMachine::new(Some("a".into()), times());
    observer.handle_readers(["a", "b", "c"].map(Into::into), Duration::ZERO);
    let mark = Some(swap(member(1), Some(member(1).dead())));
    for _ in ["b", "c"] {
        let effect = answer(&mut observer, Some(member(1)), 100.0).map(|(_, effect)| effect);
        assert_eq!(effect, mark, "both, side by side");
    }
}

#[test]
fn a_client_without_a_reader_knows_when_each_reader_is_alive_or_gone() {
    let mut observer = ObserverMachine::new(None, times());
    observer.handle_readers(["alive", "java"].map(Into::into), Duration::ZERO);
    let now = Duration::ZERO;
    while let Some((reader, _)) = observer.poll_effect(now) {
        let found = (&*reader == "alive").then(|| member(1));
        observer.handle_read(&reader, found, now);
    }
    assert!(!observer.is_settled(), "its lease may be that of a dead one");
    let next = observer.poll_timeout().unwrap();
    assert_eq!(observer.poll_effect(next), Some(("alive".into(), LeaseEffect::Read)));
    observer.handle_read("alive", Some(member(1).renewed(1)), next);
    assert!(observer.is_settled());
}

#[test]
fn a_removal_that_fences_off_a_join_writes_although_the_reader_is_not_in_the_group() {
    let dead = member(1).dead();
    for is_in_group in [false, true] {
        let mut removal = RemovalMachine::fencing(dead);
        removal.handle_state(is_in_group);
        assert_eq!(removal.poll_effect(), RemovalEffect::Read);
        removal.handle_read(Some(dead));
        assert_eq!(removal.poll_effect(), RemovalEffect::Write);
        removal.handle_written(true);
        let end = if is_in_group { RemovalEnd::Removed } else { RemovalEnd::NotInGroup };
        assert_eq!(removal.poll_effect(), RemovalEffect::End(end));
    }
}

#[test]
fn the_lease_of_a_reader_that_could_not_join_is_marked_at_once_and_removed() {
    let (own, now) = (LeaseValue::claimed(times(), 1), Duration::ZERO);
    let mut ending = EndingMachine::new(own, times(), now);
    assert_eq!(ending.poll_effect(now), Some(LeaseEffect::Read));
    // A renewal was made that was not known.
    let stored = own.renewed(3);
    ending.handle_read(Some(stored), now);
    assert_eq!(ending.poll_effect(now), Some(swap(stored, Some(stored.dead()))));
    ending.handle_failed(now);
    let now = ending.poll_timeout().unwrap();
    assert_eq!(ending.poll_effect(now), Some(LeaseEffect::Read));
    ending.handle_read(Some(stored.dead()), now);
    assert_eq!(ending.poll_effect(now), Some(LeaseEffect::TakeOffline(stored.dead())));
    ending.handle_removal(RemovalEnd::NotInGroup, now);
    assert_eq!(ending.poll_effect(now), Some(swap(stored.dead(), None)));
    ending.handle_swapped(true, now);
    assert!(ending.is_over(now));
}

#[test]
fn the_lease_of_another_reader_of_the_name_is_not_ended() {
    for found in [None, Some(member(2)), Some(member(2).dead())] {
        let now = Duration::ZERO;
        let mut ending = EndingMachine::new(member(1), times(), now);
        assert_eq!(ending.poll_effect(now), Some(LeaseEffect::Read));
        ending.handle_read(found, now);
        assert!(ending.is_over(now), "{found:?}");
    }
    let ending = EndingMachine::new(member(1), times(), Duration::ZERO);
    assert!(!ending.is_over(seconds(167.0)) && ending.is_over(seconds(168.0)));
}

/// A client that has taken a reader out, whose lease was found before.
fn discard(found: Option<LeaseValue>, was_in_group: bool) -> DiscardMachine {
    let now = Duration::ZERO;
    let mut discard = DiscardMachine::new(times(), now);
    assert_eq!(discard.poll_effect(now), Some(LeaseEffect::Read));
    discard.handle_read(found, now);
    assert!(discard.may_remove() && discard.poll_effect(now).is_none());
    discard.handle_removed(was_in_group, now);
    discard
}

#[test]
fn the_lease_of_a_reader_that_is_taken_out_by_its_name_ends() {
    let claimed = LeaseValue::claimed(times(), 1);
    let out = |value: LeaseValue| Some(swap(value, Some(value.taken_out())));
    for (found, was_in_group, effect) in [
        (None, true, None),
        (Some(member(1)), true, out(member(1))),
        (Some(member(1)), false, out(member(1))),
        (Some(claimed), true, out(claimed)),
        (Some(claimed), false, None),
        (Some(member(1).dead()), true, Some(swap(member(1).dead(), None))),
        (Some(member(1).taken_out()), false, None),
    ] {
        let mut discard = discard(found, was_in_group);
        assert_eq!(discard.poll_effect(Duration::ZERO), effect, "{found:?}, {was_in_group}");
        assert_eq!(discard.is_over(), effect.is_none());
    }
}

#[test]
fn a_lease_whose_end_got_no_reply_is_ended_again_unless_it_is_that_of_another_reader() {
    let out = |value: LeaseValue| Some(swap(value, Some(value.taken_out())));
    for (found, effect) in [
        (Some(member(1)), out(member(1))),
        (Some(member(1).renewed(1)), out(member(1).renewed(1))),
        (Some(member(1).taken_out()), None),
        (Some(member(2)), None),
        (None, None),
    ] {
        let mut discard = discard(Some(member(1)), true);
        assert!(discard.poll_effect(Duration::ZERO).is_some());
        discard.handle_failed(Duration::ZERO);
        let now = discard.poll_timeout().unwrap();
        assert_eq!(discard.poll_effect(now), Some(LeaseEffect::Read));
        discard.handle_read(found, now);
        assert_eq!(discard.poll_effect(now), effect, "{found:?}");
    }
}
