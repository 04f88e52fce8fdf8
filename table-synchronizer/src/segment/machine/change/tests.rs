//! Every way in which a change may end, as events of the machine.

use super::*;

const KIND: ErrorKind = ErrorKind::ConnectionLost;
const LOST: Failed = Failed::Otherwise { kind: KIND, outcome: Outcome::Unknown };
const UNSENT: Failed = Failed::Otherwise { kind: KIND, outcome: Outcome::NotApplied };
const DOUBT: Effect = Effect::End(Verdict::Failed(Outcome::Unknown));

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

fn at(number: i64) -> Condition {
    Condition::At(version(number))
}

fn put(key: &'static str, condition: Condition) -> Item {
    Item::from(&Put::new(key, format!("new {key}")).when(condition))
}

fn entry(key: &'static str, value: &str, number: i64) -> Option<Entry> {
    let (key, value) = (key.into(), value.to_owned().into());
    Some(Entry { key, value, version: version(number) })
}

fn machine(items: &[Item], values: Values) -> ChangeMachine {
    let mut machine = ChangeMachine::new(items.to_vec(), values, Box::new(|| 0), Bugs::default());
    assert_eq!(machine.poll_effect(), Effect::Send(Duration::ZERO));
    machine
}

fn after(machine: &mut ChangeMachine, failed: Failed) -> Effect {
    machine.handle_failed(failed);
    machine.poll_effect()
}

/// The first attempt is in doubt, the second is refused on a condition.
fn doubted(items: &[Item], values: Values) -> ChangeMachine {
    let mut machine = machine(items, values);
    assert!(matches!(after(&mut machine, LOST), Effect::Send(_)));
    assert_eq!(after(&mut machine, Failed::Condition), Effect::Read);
    machine
}

/// As [`doubted`], and these entries are found whenever they are read.
fn judged(items: &[Item], values: Values, found: &[Option<Entry>]) -> Verdict {
    let mut machine = doubted(items, values);
    for _ in 0..2 {
        machine.handle_found(found);
        match machine.poll_effect() {
            Effect::End(verdict) => return verdict,
            Effect::Read => {}
            other @ Effect::Send(_) => panic!("{other:?}"),
        }
    }
    panic!("the keys are read at most twice");
}

#[test]
fn a_change_without_a_lost_reply_ends_with_its_reply() {
    let items = [put("a", Condition::Absent), put("b", Condition::Any)];
    let mut made = machine(&items, Values::MayRepeat);
    made.handle_made(vec![version(0), version(20)]);
    let expected = Verdict::Made(vec![version(0), version(20)]);
    assert_eq!(made.poll_effect(), Effect::End(expected));
    let mut refused = machine(&items, Values::Unique);
    assert_eq!(after(&mut refused, Failed::Condition), Effect::End(Verdict::Refused));
    let mut unsent = machine(&items, Values::Unique);
    let expected = Effect::End(Verdict::Failed(Outcome::NotApplied));
    assert_eq!(after(&mut unsent, UNSENT), expected);
    let mut wrong = machine(&items, Values::MayRepeat);
    wrong.handle_made(vec![version(0)]);
    assert_eq!(wrong.poll_effect(), Effect::End(Verdict::WrongReply));
}

#[test]
fn only_a_change_on_a_version_is_sent_again_after_a_lost_reply() {
    for (items, is_sent) in [
        (vec![put("a", at(5))], true),
        (vec![put("a", Condition::Absent), put("b", at(5)), put("c", Condition::Any)], true),
        (vec![put("a", Condition::Absent)], false),
        (vec![put("a", Condition::Any)], false),
        (vec![Item::from(&Removal::new("a").when(at(0)))], true),
        (vec![Item::from(&Removal::new("a"))], false),
    ] {
        let effect = after(&mut machine(&items, Values::MayRepeat), LOST);
        assert_eq!(matches!(effect, Effect::Send(_)), is_sent, "{items:?}: {effect:?}");
        assert!(is_sent || effect == DOUBT, "{items:?}: {effect:?}");
    }
}

#[test]
fn a_change_on_a_version_that_is_made_by_a_later_attempt_was_made_once() {
    let mut machine = machine(&[put("a", at(5))], Values::MayRepeat);
    assert!(matches!(after(&mut machine, LOST), Effect::Send(_)));
    machine.handle_made(vec![version(30)]);
    assert_eq!(machine.poll_effect(), Effect::End(Verdict::Made(vec![version(30)])));
}

#[test]
fn after_a_doubt_a_failure_that_changed_nothing_does_not_deny_the_earlier_attempt() {
    let mut machine = machine(&[put("a", at(5))], Values::MayRepeat);
    assert!(matches!(after(&mut machine, LOST), Effect::Send(_)));
    assert_eq!(after(&mut machine, UNSENT), DOUBT);
}

#[test]
fn the_attempts_are_limited_and_a_failure_that_a_repeat_does_not_help_is_the_last() {
    let mut lost = machine(&[put("a", at(5))], Values::MayRepeat);
    let attempts = 1 + (0..100).take_while(|_| after(&mut lost, LOST) != DOUBT).count();
    assert_eq!(attempts, ATTEMPTS as usize);
    let closed = Failed::Otherwise { kind: ErrorKind::Protocol, outcome: Outcome::Unknown };
    assert_eq!(after(&mut machine(&[put("a", at(5))], Values::MayRepeat), closed), DOUBT);
}

#[test]
fn a_value_that_is_found_shows_that_it_was_put_only_if_values_are_unique() {
    let found = [entry("a", "new a", 30)];
    let unknown = Verdict::Failed(Outcome::Unknown);
    assert_eq!(judged(&[put("a", at(5))], Values::MayRepeat, &found), unknown);
    let made = Verdict::Made(vec![version(30)]);
    assert_eq!(judged(&[put("a", at(5))], Values::Unique, &found), made);
    let items = [put("a", at(5)), put("b", at(6))];
    let overwritten = [entry("a", "new a", 30), entry("b", "other", 90)];
    assert_eq!(judged(&items, Values::Unique, &overwritten), Verdict::MadeAndChangedSince);
    assert_eq!(judged(&items, Values::Unique, &[None, None]), unknown, "put and removed, or not");
}

#[test]
fn a_key_that_kept_its_version_beside_one_that_did_not_shows_that_nothing_was_changed() {
    let items = [put("a", at(5)), put("b", at(6))];
    for other in [None, entry("b", "other", 90)] {
        let found = [entry("a", "old", 5), other];
        assert_eq!(judged(&items, Values::MayRepeat, &found), Verdict::Refused);
    }
    // The attempt in doubt could still take effect once `b` is removed.
    let items = [put("a", at(5)), put("b", Condition::Absent)];
    let found = [entry("a", "old", 5), entry("b", "other", 90)];
    let unknown = Verdict::Failed(Outcome::Unknown);
    assert_eq!(judged(&items, Values::MayRepeat, &found), unknown);
}

#[test]
fn a_change_that_is_made_while_its_keys_are_read_is_not_denied() {
    // `c` exists when the second attempt is refused, and is removed after `a` was read. Then the
    // first attempt takes effect, before `b` is read.
    let items = [put("a", at(5)), put("c", Condition::Absent), put("b", at(6))];
    let mut machine = doubted(&items, Values::MayRepeat);
    machine.handle_found(&[entry("a", "old", 5), None, entry("b", "new b", 80)]);
    assert_eq!(machine.poll_effect(), Effect::Read, "the order of the reads is not known");
    machine.handle_found(&[
        entry("a", "new a", 50),
        entry("c", "new c", 60),
        entry("b", "new b", 80),
    ]);
    assert_eq!(machine.poll_effect(), DOUBT);
}

#[test]
fn a_put_without_a_version_is_looked_for_if_values_are_unique() {
    for condition in [Condition::Any, Condition::Absent] {
        let mut put = machine(&[put("a", condition)], Values::Unique);
        assert_eq!(after(&mut put, LOST), Effect::Read);
        put.handle_found(&[entry("a", "new a", 0)]);
        assert_eq!(put.poll_effect(), Effect::End(Verdict::Made(vec![version(0)])));
    }
    let mut removal = machine(&[Item::from(&Removal::new("a"))], Values::Unique);
    assert_eq!(after(&mut removal, LOST), DOUBT, "that a key is absent shows nothing");
    let mut unreadable = machine(&[put("a", Condition::Absent)], Values::Unique);
    assert_eq!(after(&mut unreadable, LOST), Effect::Read);
    unreadable.handle_unreadable();
    assert_eq!(unreadable.poll_effect(), DOUBT);
}
