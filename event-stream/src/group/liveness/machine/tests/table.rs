//! Single steps of the machines.

use std::time::Duration;

use pravega_sdk_types::Outcome;

use super::super::{
    ClaimEnd, ClaimMachine, HolderMachine, LeaseEffect, LeaseEnd, LeaseStatus, LeaseTimes,
    LeaseValue, ObserverMachine, RemovalEffect, RemovalEnd, RemovalMachine,
};

/// A lease of 42 s: it is renewed every 14 s, trusted for 24 s, and found dead after 25.2 s.
fn times() -> LeaseTimes {
    LeaseTimes::new(seconds(42.0))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn value(random: u64) -> LeaseValue {
    LeaseValue::claimed(times(), random)
}

fn swap(expected: LeaseValue, new: LeaseValue) -> Option<LeaseEffect> {
    Some(LeaseEffect::Swap { expected: Some(expected), new: Some(new) })
}

fn holder() -> HolderMachine {
    HolderMachine::new(value(1), times(), Duration::ZERO)
}

#[test]
fn a_lease_counts_from_the_begin_of_its_renewal() {
    let mut holder = holder();
    assert_eq!(holder.poll_effect(seconds(13.9)), None);
    assert_eq!(holder.poll_effect(seconds(14.0)), swap(value(1), value(1).renewed(1)));
    holder.handle_swapped(true, seconds(20.0));
    assert_eq!(holder.status(seconds(20.0)), LeaseStatus::Held(seconds(38.0)));
    assert_eq!(holder.poll_timeout(), Some(seconds(28.0)));
}

#[test]
fn a_renewal_without_a_reply_is_looked_for_and_counts_from_its_begin() {
    let mut holder = holder();
    assert!(holder.poll_effect(seconds(14.0)).is_some());
    holder.handle_swap_failed(Outcome::Unknown, seconds(19.0));
    assert_eq!(holder.poll_effect(seconds(20.0)), Some(LeaseEffect::Read));
    holder.handle_read(Some(value(1).renewed(1)), seconds(21.0));
    assert_eq!(holder.status(seconds(21.0)), LeaseStatus::Held(seconds(38.0)));
}

#[test]
fn a_renewal_that_was_not_made_is_made_again_with_another_value() {
    let mut holder = holder();
    assert!(holder.poll_effect(seconds(14.0)).is_some());
    holder.handle_swap_failed(Outcome::Unknown, seconds(19.0));
    assert!(holder.poll_effect(seconds(20.0)).is_some());
    holder.handle_read(Some(value(1)), seconds(21.0));
    assert_eq!(holder.poll_effect(seconds(21.0)), swap(value(1), value(1).renewed(2)));
    // The first was made late.
    holder.handle_swapped(false, seconds(22.0));
    assert_eq!(holder.poll_effect(seconds(22.0)), Some(LeaseEffect::Read));
    holder.handle_read(Some(value(1).renewed(1)), seconds(22.0));
    assert_eq!(holder.status(seconds(22.0)), LeaseStatus::Held(seconds(38.0)));
}

#[test]
fn after_a_lease_has_run_out_the_state_is_read_before_the_next_event() {
    let mut holder = holder();
    assert_eq!(holder.status(seconds(23.9)), LeaseStatus::Held(seconds(24.0)));
    assert_eq!(holder.status(seconds(24.0)), LeaseStatus::RunOut);
    assert!(holder.poll_effect(seconds(30.0)).is_some());
    holder.handle_swapped(true, seconds(31.0));
    assert_eq!(holder.status(seconds(31.0)), LeaseStatus::StateUnread);
    holder.handle_state_read(seconds(30.9));
    assert_eq!(holder.status(seconds(31.0)), LeaseStatus::StateUnread, "it was read before");
    holder.handle_state_read(seconds(31.1));
    assert_eq!(holder.status(seconds(31.2)), LeaseStatus::Held(seconds(54.0)));
}

#[test]
fn a_reader_that_was_marked_or_replaced_ends() {
    for (found, end) in [
        (Some(value(1).dead()), LeaseEnd::FoundDead),
        (None, LeaseEnd::FoundDead),
        (Some(value(2)), LeaseEnd::Replaced),
        (Some(value(2).dead()), LeaseEnd::Replaced),
    ] {
        let mut holder = holder();
        assert!(holder.poll_effect(seconds(14.0)).is_some());
        holder.handle_swapped(false, seconds(14.1));
        assert_eq!(holder.poll_effect(seconds(14.1)), Some(LeaseEffect::Read));
        holder.handle_read(found, seconds(14.2));
        assert_eq!(holder.status(seconds(14.2)), LeaseStatus::Ended(end));
        assert_eq!((holder.poll_effect(seconds(99.0)), holder.poll_timeout()), (None, None));
    }
}

#[test]
fn a_lease_is_given_back_with_the_value_that_it_has() {
    let mut holder = holder();
    holder.handle_joined(seconds(1.0));
    assert!(holder.poll_effect(seconds(1.0)).is_some(), "its value says so at once");
    holder.release(seconds(14.1));
    assert_eq!(holder.status(seconds(14.1)), LeaseStatus::Ended(LeaseEnd::Released));
    assert_eq!(holder.poll_effect(seconds(14.1)), None, "the renewal is in flight");
    holder.handle_swapped(true, seconds(14.2));
    let stored = value(1).renewed(1).member();
    let effect = LeaseEffect::Swap { expected: Some(stored), new: None };
    assert_eq!(holder.poll_effect(seconds(14.2)), Some(effect));
    holder.handle_swapped(true, seconds(14.3));
    assert_eq!((holder.poll_timeout(), holder.is_over()), (None, true));
}

/// A holder that gives its lease back, and gets no reply.
fn releasing() -> HolderMachine {
    let mut holder = holder();
    holder.release(seconds(1.0));
    let effect = LeaseEffect::Swap { expected: Some(value(1)), new: None };
    assert_eq!(holder.poll_effect(seconds(1.0)), Some(effect));
    holder.handle_swap_failed(Outcome::Unknown, seconds(2.0));
    assert_eq!(holder.status(seconds(2.0)), LeaseStatus::Ended(LeaseEnd::Released));
    assert_eq!(holder.poll_effect(seconds(3.0)), Some(LeaseEffect::Read));
    holder
}

#[test]
fn a_lease_that_is_given_back_without_a_reply_is_removed_again_until_it_is_gone() {
    // A renewal that was sent before is made late.
    for (found, is_left) in [
        (Some(value(1)), true),
        (Some(value(1).renewed(1)), true),
        (Some(value(1).taken_out()), true),
        (Some(value(1).dead()), false),
        (Some(value(2)), false),
        (None, false),
    ] {
        let mut holder = releasing();
        holder.handle_read(found, seconds(3.0));
        let effect = LeaseEffect::Swap { expected: found, new: None };
        assert_eq!(holder.poll_effect(seconds(3.0)), is_left.then_some(effect), "{found:?}");
        assert_eq!(holder.is_over(), !is_left);
    }
    let mut holder = holder();
    holder.release(seconds(1.0));
    assert!(holder.poll_effect(seconds(1.0)).is_some());
    holder.handle_swapped(false, seconds(2.0));
    assert_eq!(holder.poll_effect(seconds(2.0)), Some(LeaseEffect::Read), "it has another value");
}

#[test]
fn a_lease_that_cannot_be_removed_is_left_after_its_length() {
    let mut holder = releasing();
    let mut at = 3.0;
    while !holder.is_over() {
        holder.handle_read_failed(seconds(at));
        at += 1.0;
        assert_eq!(holder.poll_effect(seconds(at)).is_none(), holder.is_over());
    }
    assert!((42.0..45.0).contains(&at), "{at}");
    let mut deleted = releasing();
    deleted.give_up();
    assert!(deleted.is_over());
}

#[test]
fn a_reader_that_was_taken_out_removes_its_lease_when_it_knows() {
    let mut holder = holder();
    assert!(holder.poll_effect(seconds(14.0)).is_some());
    holder.handle_swapped(false, seconds(14.1));
    assert_eq!(holder.poll_effect(seconds(14.1)), Some(LeaseEffect::Read));
    holder.handle_read(Some(value(1).taken_out()), seconds(14.2));
    assert_eq!(holder.status(seconds(14.2)), LeaseStatus::Ended(LeaseEnd::TakenOut));
    assert_eq!((holder.poll_effect(seconds(14.2)), holder.is_over()), (None, false));
    holder.release(seconds(14.3));
    let effect = LeaseEffect::Swap { expected: Some(value(1).taken_out()), new: None };
    assert_eq!(holder.poll_effect(seconds(14.3)), Some(effect));
}

#[test]
fn a_lease_that_is_left_to_run_out_is_not_renewed_until_its_reader_leaves() {
    let mut holder = holder();
    holder.suspend();
    assert_eq!((holder.poll_effect(seconds(14.0)), holder.poll_timeout()), (None, None));
    assert_eq!(holder.status(seconds(24.0)), LeaseStatus::RunOut);
    holder.resume(seconds(25.0));
    assert_eq!(holder.poll_effect(seconds(25.0)), swap(value(1), value(1).renewed(1)));
    holder.suspend();
    holder.release(seconds(25.1));
    holder.handle_swapped(true, seconds(25.2));
    assert!(holder.poll_effect(seconds(25.2)).is_some(), "it is given back nevertheless");
}

/// What a claim does when it has found a lease, with the reader in the group or not.
fn claim(found: Option<LeaseValue>, is_in_group: bool) -> (ClaimMachine, Option<LeaseEffect>) {
    find(ClaimMachine::new(times(), 9, Duration::ZERO), found, is_in_group)
}

/// What this claim does when it has found a lease, with the reader in the group or not.
fn find(
    mut claim: ClaimMachine,
    found: Option<LeaseValue>,
    is_in_group: bool,
) -> (ClaimMachine, Option<LeaseEffect>) {
    let now = Duration::ZERO;
    assert_eq!(claim.poll_effect(now), Some(LeaseEffect::Read));
    claim.handle_read(found, now);
    assert_eq!(claim.poll_effect(now), Some(LeaseEffect::FindReader));
    claim.handle_state(is_in_group, now);
    let effect = claim.poll_effect(now);
    (claim, effect)
}

#[test]
fn a_free_name_is_claimed_at_once() {
    for found in [None, Some(value(1).dead())] {
        let (mut claim, effect) = claim(found, false);
        let expected = LeaseEffect::Swap { expected: found, new: Some(value(9)) };
        assert_eq!(effect, Some(expected));
        claim.handle_swapped(true, seconds(1.0));
        let Some(ClaimEnd::Held(holder)) = claim.end() else { panic!() };
        assert_eq!(holder.status(seconds(1.0)), LeaseStatus::Held(seconds(24.0)));
    }
}

#[test]
fn the_name_of_a_reader_without_a_lease_is_in_use() {
    for left in [None, Some(value(1).taken_out())] {
        let (claim, effect) = claim(left, true);
        assert!(effect.is_none() && matches!(claim.end(), Some(ClaimEnd::InUse)));
    }
}

#[test]
fn the_name_of_a_reader_that_was_taken_out_is_claimed_when_it_trusts_its_lease_no_longer() {
    let out = value(1).member().taken_out();
    // It is taken out before the claim, or while the claim waits.
    for first in [out, value(1).member()] {
        let (mut claim, effect) = claim(Some(first), false);
        assert_eq!(effect, None, "it may not know yet");
        let mut now = Duration::ZERO;
        let effect = loop {
            now = now.max(claim.poll_timeout().unwrap());
            match claim.poll_effect(now).unwrap() {
                LeaseEffect::Read => claim.handle_read(Some(out), now),
                other => break other,
            }
        };
        assert_eq!(effect, LeaseEffect::Swap { expected: Some(out), new: Some(value(9)) });
        assert!(now >= seconds(25.2), "{now:?}");
        claim.handle_swapped(true, now);
        assert!(matches!(claim.end(), Some(ClaimEnd::Held(_))));
    }
}

/// What a claim without a lease does when it has found one, with the reader in the group or not.
fn free(found: Option<LeaseValue>, is_in_group: bool) -> (ClaimMachine, Option<LeaseEffect>) {
    find(ClaimMachine::freeing(times(), Duration::ZERO), found, is_in_group)
}

#[test]
fn a_reader_that_joins_without_a_lease_removes_the_one_that_is_left() {
    let (claim, effect) = free(None, false);
    assert!(effect.is_none() && matches!(claim.end(), Some(ClaimEnd::Free)));
    let (claim, effect) = free(None, true);
    assert!(effect.is_none() && matches!(claim.end(), Some(ClaimEnd::InUse)));
    let dead = Some(value(1).dead());
    let clear = Some(LeaseEffect::Swap { expected: dead, new: None });
    let (mut claim, effect) = free(dead, false);
    assert_eq!(effect, clear);
    // The reply is lost, and then the lease is gone.
    claim.handle_swap_failed(Outcome::Unknown, seconds(1.0));
    assert_eq!((claim.end().is_none(), claim.is_in_doubt()), (true, false));
    assert_eq!(claim.poll_effect(seconds(2.0)), Some(LeaseEffect::Read));
    claim.handle_read(None, seconds(2.0));
    assert_eq!(claim.poll_effect(seconds(2.0)), Some(LeaseEffect::FindReader));
    claim.handle_state(false, seconds(2.0));
    assert!(matches!(claim.end(), Some(ClaimEnd::Free)));
    let (mut claim, _) = free(dead, false);
    claim.handle_swapped(true, seconds(1.0));
    assert!(matches!(claim.end(), Some(ClaimEnd::Free)));
}

#[test]
fn a_reader_that_joins_without_a_lease_waits_for_one_of_its_name_that_may_be_alive() {
    for is_in_group in [false, true] {
        let found = value(1).member();
        let (mut claim, effect) = free(Some(found), is_in_group);
        assert_eq!((effect, claim.is_waiting()), (None, true));
        assert_eq!(claim.poll_effect(seconds(14.0)), Some(LeaseEffect::Read));
        claim.handle_read(Some(found.renewed(1)), seconds(14.1));
        assert!(matches!(claim.end(), Some(ClaimEnd::InUse)));
    }
}

#[test]
fn the_name_of_a_reader_is_in_use_as_soon_as_it_renews_its_lease() {
    let member = value(1).member();
    for (found, is_in_group) in
        [(value(1), false), (value(1), true), (member, false), (member, true)]
    {
        let (mut claim, effect) = claim(Some(found), is_in_group);
        assert_eq!(effect, None, "it waits");
        assert_eq!(claim.poll_timeout(), Some(seconds(14.0)));
        assert_eq!(claim.poll_effect(seconds(14.0)), Some(LeaseEffect::Read));
        claim.handle_read(Some(found.renewed(1)), seconds(14.1));
        assert!(matches!(claim.end(), Some(ClaimEnd::InUse)));
    }
}

#[test]
fn the_name_of_a_reader_that_was_taken_out_is_claimed_once_it_has_given_its_lease_back() {
    let (mut claim, effect) = claim(Some(value(1).member()), false);
    assert_eq!(effect, None, "it may not know yet");
    assert_eq!(claim.poll_effect(seconds(14.0)), Some(LeaseEffect::Read));
    claim.handle_read(None, seconds(14.1));
    assert_eq!(claim.poll_effect(seconds(14.1)), Some(LeaseEffect::Read));
    claim.handle_read(None, seconds(14.2));
    assert_eq!(claim.poll_effect(seconds(14.2)), Some(LeaseEffect::FindReader));
    claim.handle_state(false, seconds(14.3));
    let swap = LeaseEffect::Swap { expected: None, new: Some(value(9)) };
    assert_eq!(claim.poll_effect(seconds(14.3)), Some(swap));
}

#[test]
fn the_name_of_a_dead_reader_is_claimed_after_it_was_taken_out() {
    let found = value(1).member();
    let (mut claim, _) = claim(Some(found), true);
    let mut now = Duration::ZERO;
    while let Some(next) = claim.poll_timeout() {
        now = now.max(next);
        match claim.poll_effect(now).unwrap() {
            LeaseEffect::Read if now < seconds(26.0) => claim.handle_read(Some(found), now),
            LeaseEffect::Swap { expected, new } => {
                assert_eq!((expected, new), (Some(found), Some(found.dead())));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(now >= seconds(25.2), "it was found dead after {now:?}");
    claim.handle_swapped(true, now);
    assert_eq!(claim.poll_effect(now), Some(LeaseEffect::Read));
    claim.handle_read(Some(found.dead()), now);
    assert_eq!(claim.poll_effect(now), Some(LeaseEffect::FindReader));
    claim.handle_state(true, now);
    assert_eq!(claim.poll_effect(now), Some(LeaseEffect::TakeOffline(found.dead())));
    claim.handle_removal(RemovalEnd::Removed, now);
    assert_eq!(claim.poll_effect(now), Some(LeaseEffect::Read));
}

#[test]
fn a_claim_whose_reply_was_lost_is_found() {
    let (mut claim, _) = claim(None, false);
    claim.handle_swap_failed(Outcome::Unknown, seconds(5.0));
    assert_eq!(claim.poll_effect(seconds(6.0)), Some(LeaseEffect::Read));
    claim.handle_read(Some(value(9)), seconds(6.0));
    let Some(ClaimEnd::Held(holder)) = claim.end() else { panic!() };
    assert_eq!(holder.status(seconds(6.0)), LeaseStatus::Held(seconds(24.0)));
}

fn observer() -> ObserverMachine {
    let mut observer = ObserverMachine::new(Some("b".into()), times());
    observer.handle_readers(["a", "b", "c", "d"].map(Into::into), Duration::ZERO);
    observer
}

fn read(observer: &mut ObserverMachine, reader: &str, found: Option<LeaseValue>, at: f64) {
    let at = seconds(at);
    assert_eq!(observer.poll_effect(at), Some((reader.into(), LeaseEffect::Read)));
    observer.handle_read(reader, found, at);
}

#[test]
fn an_observer_passes_over_readers_without_a_lease() {
    let mut observer = observer();
    read(&mut observer, "c", None, 0.0);
    read(&mut observer, "d", None, 0.0);
    read(&mut observer, "a", Some(value(1)), 0.0);
    assert_eq!(observer.poll_effect(seconds(13.9)), None);
    read(&mut observer, "a", Some(value(1).renewed(1)), 14.0);
}

#[test]
fn a_reader_whose_lease_does_not_change_is_marked_taken_out_and_cleared() {
    let (mut observer, lease) = (observer(), value(1));
    read(&mut observer, "c", Some(lease), 0.0);
    read(&mut observer, "c", Some(lease), 14.0);
    read(&mut observer, "c", Some(lease), 21.0);
    // It is suspected, so the others are read too.
    read(&mut observer, "d", Some(value(3)), 21.0);
    read(&mut observer, "a", Some(value(2)), 21.0);
    assert_eq!(observer.poll_effect(seconds(25.1)), None);
    read(&mut observer, "c", Some(lease), 25.2);
    let now = seconds(25.3);
    let mark = LeaseEffect::Swap { expected: Some(lease), new: Some(lease.dead()) };
    assert_eq!(observer.poll_effect(now), Some(("c".into(), mark)));
    observer.handle_swapped("c", true, now);
    let taken = Some(("c".into(), LeaseEffect::TakeOffline(lease.dead())));
    assert_eq!(observer.poll_effect(now), taken);
    observer.handle_removal("c", RemovalEnd::Removed, now);
    observer.handle_readers(["a", "b", "d"].map(Into::into), now);
    let clear = LeaseEffect::Swap { expected: Some(lease.dead()), new: None };
    assert_eq!(observer.poll_effect(now), Some(("c".into(), clear)));
    observer.handle_swapped("c", true, now);
    // Only the neighbour is watched again.
    observer.handle_readers(["a", "b", "d"].map(Into::into), now);
    read(&mut observer, "d", Some(value(3).renewed(1)), 35.0);
    assert_eq!(observer.poll_effect(seconds(48.9)), None);
}

#[test]
fn a_reader_has_time_to_renew_its_lease_after_an_answer_was_late() {
    let (mut observer, lease) = (observer(), value(1));
    read(&mut observer, "c", Some(lease), 0.0);
    assert!(observer.poll_effect(seconds(14.0)).is_some());
    observer.handle_read("c", Some(lease), seconds(60.0));
    let mut at = 60.0;
    while let Some((reader, effect)) = observer.poll_effect(seconds(at)) {
        assert_eq!(effect, LeaseEffect::Read);
        observer.handle_read(&reader, Some(value(5)), seconds(at));
    }
    at += 7.1;
    assert!(observer.poll_effect(seconds(at)).is_some(), "after a sixth of the lease");
}

#[test]
fn what_another_observer_has_marked_is_taken_out() {
    let mut observer = observer();
    read(&mut observer, "c", Some(value(1).dead()), 0.0);
    let taken = Some(("c".into(), LeaseEffect::TakeOffline(value(1).dead())));
    assert_eq!(observer.poll_effect(Duration::ZERO), taken);
    observer.handle_removal("c", RemovalEnd::Changed, Duration::ZERO);
    read(&mut observer, "c", Some(value(2)), 0.0);
}

#[test]
fn a_reader_is_taken_out_of_the_state_in_which_it_was_marked() {
    let dead = value(1).dead();
    for (found, end) in [
        (Some(dead), None),
        (Some(value(2)), Some(RemovalEnd::Changed)),
        (None, Some(RemovalEnd::Changed)),
    ] {
        let mut removal = RemovalMachine::new(dead);
        removal.handle_state(true);
        removal.handle_read(Some(dead));
        assert_eq!(removal.poll_effect(), RemovalEffect::Write);
        // The state is another one: all is done again.
        removal.handle_written(false);
        assert_eq!(removal.poll_effect(), RemovalEffect::Fetch);
        removal.handle_state(true);
        assert_eq!(removal.poll_effect(), RemovalEffect::Read);
        removal.handle_read(found);
        let next = end.map_or(RemovalEffect::Write, RemovalEffect::End);
        assert_eq!(removal.poll_effect(), next);
    }
}

#[test]
fn a_removal_ends_if_the_reader_is_gone_or_the_state_never_rests() {
    let dead = value(1).dead();
    let mut removal = RemovalMachine::new(dead);
    removal.handle_state(false);
    assert_eq!(removal.poll_effect(), RemovalEffect::End(RemovalEnd::NotInGroup));
    let mut removal = RemovalMachine::new(dead);
    for _ in 0..100 {
        match removal.poll_effect() {
            RemovalEffect::Fetch => removal.handle_state(true),
            RemovalEffect::Read => removal.handle_read(Some(dead)),
            RemovalEffect::Write => removal.handle_written(false),
            RemovalEffect::End(_) => break,
        }
    }
    let mut count = 0;
    while removal.poll_effect() != RemovalEffect::End(RemovalEnd::Failed) {
        count += 1;
        assert!(count < 1000);
        match removal.poll_effect() {
            RemovalEffect::Fetch => removal.handle_state(true),
            RemovalEffect::Read => removal.handle_read(Some(dead)),
            _ => removal.handle_written(false),
        }
    }
}
