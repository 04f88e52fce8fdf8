//! The checks that what clients were told agrees with what the streams hold and held.
//!
//! | check | holds |
//! |---|---|
//! | C1 | nothing is lost: an acknowledged event was stored, with its bytes |
//! | C2 | nothing is invented: an event that was stored or read was written, and did not definitely fail |
//! | C3 | nothing is doubled: each event has one position, those that are gone count too |
//! | C4 | order: by number for each writer and key, without a gap before an acknowledged event |
//! | C5 | an event in doubt is in the stream at most once, and not after a later one |
//! | C6 | a conditional event is where its condition says or nowhere, and fails only if that did not hold |
//! | C8 | order in time: what was acknowledged before another write of its key began is before it |
//! | C9 | a flush that succeeds has waited for every write before it |
//! | C10 | outcomes are the best that can be known: what was never sent is not in doubt |
//! | C11 | an event that a reader returned was stored where the reader says |
//! | C14 | every write ends within its bound |
//! | C15 | the limits on resources hold at every step |

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pravega_sdk_types::Outcome;

use crate::history::{Carried, Ended, EventId, Found, History, Position, Violation, Write};

/// The findings of the checks.
struct Findings(Vec<Violation>);

impl Findings {
    fn say(&mut self, check: &'static str, detail: String) {
        self.0.push(Violation { check, detail });
    }
}

/// Makes every check; a write may take as long as `bound`.
#[must_use]
pub fn check(history: &History, bound: Duration) -> Vec<Violation> {
    let mut findings = Findings(Vec::new());
    let mut by_id: BTreeMap<&EventId, Vec<&Found>> = BTreeMap::new();
    for found in &history.found {
        by_id.entry(&found.id).or_default().push(found);
    }
    for (id, write) in &history.writes {
        let copies = by_id.get(id).map_or(&[][..], Vec::as_slice);
        check_time(id, write, bound, &mut findings);
        check_copies(id, write, copies, &mut findings);
        if let Some(condition) = write.condition {
            check_condition(history, (id, write), condition, copies, &mut findings);
        }
    }
    check_origins(history, &by_id, &mut findings);
    check_numbers(history, &mut findings);
    check_gaps(history, &mut findings);
    check_order_in_time(history, &mut findings);
    check_flushes(history, &mut findings);
    if let Some(carried) = &history.carried {
        check_doubts(history, carried, &mut findings);
    }
    for (what, used, limit) in &history.resources {
        if used > limit {
            findings.say("C15", format!("{what}: {used} are in use, the limit is {limit}"));
        }
    }
    findings.0
}

fn check_time(id: &EventId, write: &Write, bound: Duration, findings: &mut Findings) {
    let bound = write.limit.unwrap_or(bound);
    match &write.ended {
        None => findings.say("C14", format!("{id} never ended")),
        Some((at, _)) if *at > write.begun + bound => {
            let took = *at - write.begun;
            findings.say("C14", format!("{id} took {took:?}, {bound:?} is the bound"));
        }
        Some(_) => {}
    }
}

fn check_copies(id: &EventId, write: &Write, copies: &[&Found], findings: &mut Findings) {
    match (&write.ended, copies) {
        (Some((_, Ended::Acknowledged(_))), []) => {
            findings.say("C1", format!("{id} was acknowledged and is lost"));
        }
        (Some((_, Ended::Acknowledged(Some(position)))), [found])
            if found.position != *position =>
        {
            let place = found.position;
            findings.say("C1", format!("{id} is at {place:?}, {position:?} was acknowledged"));
        }
        (_, [found, ..]) if write.has_failed_for_certain() => {
            let place = found.position;
            findings.say("C2", format!("{id} failed for certain and was stored at {place:?}"));
        }
        _ => {}
    }
    if copies.len() > 1 {
        let check = if write.is_acknowledged() { "C3" } else { "C5" };
        let places: Vec<Position> = copies.iter().map(|found| found.position).collect();
        findings.say(check, format!("{id} was stored {} times: {places:?}", copies.len()));
    }
    if copies.iter().any(|found| found.hash != write.hash) {
        findings.say("C1", format!("{id} has other bytes than were written"));
    }
}

fn check_condition(
    history: &History,
    (id, write): (&EventId, &Write),
    condition: Position,
    copies: &[&Found],
    findings: &mut Findings,
) {
    if let Some(found) = copies.iter().find(|found| found.position != condition) {
        let place = found.position;
        findings.say("C6", format!("{id} is at {place:?} on the condition {condition:?}"));
    }
    // The segment only grows, so a condition that holds in the end held all the time.
    let (segment, offset) = condition;
    if matches!(write.ended, Some((_, Ended::ConditionFailed)))
        && history.tails.get(&segment) == Some(&offset)
    {
        findings.say("C6", format!("{id} failed and its condition {condition:?} holds"));
    }
}

/// Everything that was stored or read comes from a write that may have been applied.
fn check_origins(
    history: &History,
    by_id: &BTreeMap<&EventId, Vec<&Found>>,
    findings: &mut Findings,
) {
    for found in &history.found {
        if !history.writes.contains_key(&found.id) {
            findings.say("C2", format!("{} was stored and never written", found.id));
        }
    }
    for (id, position) in &history.read {
        if history.writes.get(id).is_none_or(Write::has_failed_for_certain) {
            findings.say("C2", format!("{id} was read at {position:?} and failed for certain"));
        }
        let copies = by_id.get(id).map_or(&[][..], Vec::as_slice);
        if !copies.iter().any(|found| found.position == *position) {
            findings.say("C11", format!("{id} was read at {position:?} and was not stored there"));
        }
    }
}

/// The events of one writer and key are in the order of their numbers.
fn check_numbers(history: &History, findings: &mut Findings) {
    let mut last: BTreeMap<(u32, &str), &EventId> = BTreeMap::new();
    for found in &history.found {
        let id = &found.id;
        if let Some(before) = last.insert((id.writer, &id.key), id)
            && before.number > id.number
        {
            // If this one is not known to be stored, it was stored too late.
            let is_acknowledged = history.writes.get(id).is_some_and(Write::is_acknowledged);
            let check = if is_acknowledged { "C4" } else { "C5" };
            findings.say(check, format!("{id} is after event {}", before.number));
        }
    }
}

/// An event before an acknowledged one was stored, or has failed.
fn check_gaps(history: &History, findings: &mut Findings) {
    let present: BTreeSet<&EventId> = history.found.iter().map(|found| &found.id).collect();
    let mut numbers: BTreeMap<(u32, &str), Vec<(&EventId, &Write)>> = BTreeMap::new();
    for (id, write) in &history.writes {
        numbers.entry((id.writer, &id.key)).or_default().push((id, write));
    }
    for writes in numbers.values() {
        let Some((newest, _)) = writes.iter().rfind(|(_, write)| write.is_acknowledged()) else {
            continue;
        };
        let mut expected = 0;
        for (id, write) in writes.iter().take_while(|(id, _)| id.number <= newest.number) {
            if id.number != expected {
                findings.say("C4", format!("{id} was begun, number {expected} before it was not"));
            }
            expected = id.number + 1;
            if write.ended.is_none() && !present.contains(id) {
                let newest = newest.number;
                findings
                    .say("C4", format!("{id} is missing before {newest}, which was acknowledged"));
            }
        }
    }
}

/// What was acknowledged before another write of its key began is before it in the stream, also if
/// the two are of different writers, or in different segments.
fn check_order_in_time(history: &History, findings: &mut Findings) {
    // For each key, the write among those passed that began last.
    let mut youngest: BTreeMap<&str, (Duration, &EventId)> = BTreeMap::new();
    for found in &history.found {
        let Some(write) = history.writes.get(&found.id) else { continue };
        let id = &found.id;
        if let Some((begun, before)) = youngest.get(id.key.as_str())
            && let Some((ended, Ended::Acknowledged(_))) = &write.ended
            && ended < begun
        {
            findings
                .say("C8", format!("{id} is after {before}, which began when it was acknowledged"));
        }
        let entry = youngest.entry(&id.key).or_insert((write.begun, id));
        if entry.0 < write.begun {
            *entry = (write.begun, id);
        }
    }
}

/// A flush succeeds only after every write since the flush before it was acknowledged.
fn check_flushes(history: &History, findings: &mut Findings) {
    for flush in history.flushes.iter().filter(|flush| flush.succeeded) {
        let is_done = |id: &EventId| match history.writes.get(id).map(|write| &write.ended) {
            Some(Some((at, Ended::Acknowledged(_)))) => *at <= flush.ended,
            _ => false,
        };
        if let Some(id) = flush.ids.iter().find(|id| !is_done(id)) {
            findings.say("C9", format!("a flush succeeded before {id} was acknowledged"));
        }
    }
}

/// What no link carried is not stored, and its writer knows.
fn check_doubts(history: &History, carried: &Carried, findings: &mut Findings) {
    for (id, write) in &history.writes {
        let Some((ended, Ended::Failed(Outcome::Unknown))) = &write.ended else { continue };
        let is_excused = carried.link_ends.iter().any(|link| (write.begun..=*ended).contains(link));
        if !carried.events.contains(id) && !is_excused {
            findings.say("C10", format!("{id} is in doubt and was never sent"));
        }
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{Offset, SegmentId};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BOUND: Duration = Duration::from_secs(10);

    fn id(number: u64) -> EventId {
        EventId { writer: 1, key: "k".to_owned(), number }
    }

    fn at(offset: i64) -> Position {
        (SegmentId::from(0), Offset(offset))
    }

    fn found(number: u64, offset: i64) -> Found {
        Found { id: id(number), hash: number, position: at(offset) }
    }

    fn acknowledged(offset: i64) -> Ended {
        Ended::Acknowledged(Some(at(offset)))
    }

    /// Six events: acknowledged, acknowledged without a position, unknown and stored, unknown and
    /// not stored, failed, refused on a condition; a flush before the third, and a reader.
    fn correct() -> History {
        let mut history = History::default();
        let ends = [
            acknowledged(0),
            Ended::Acknowledged(None),
            Ended::Failed(Outcome::Unknown),
            Ended::Failed(Outcome::Unknown),
            Ended::Failed(Outcome::NotApplied),
        ];
        for (number, end) in (0..).zip(ends) {
            history.begin(id(number), number, SECOND);
            history.end(&id(number), end, SECOND * 2);
        }
        history.begin_at(id(5), 5, at(10), SECOND);
        history.end(&id(5), Ended::ConditionFailed, SECOND * 2);
        (0..3).for_each(|number| history.found(found(number, number as i64 * 10)));
        history.read(id(0), at(0));
        history.read(id(2), at(20));
        history.flushed(vec![id(0), id(1)], true, SECOND * 3);
        history.flushed(vec![id(2), id(3)], false, SECOND * 4);
        history.carried((0..4).map(id).collect(), vec![]);
        history.tail(SegmentId::from(0), Offset(30));
        history.resource("bytes", 10, 10);
        history
    }

    #[track_caller]
    fn rejects(spoil: impl FnOnce(&mut History), expected: &[&str]) {
        let mut history = correct();
        spoil(&mut history);
        let violations = check(&history, BOUND);
        let checks: BTreeSet<&str> = violations.iter().map(|violation| violation.check).collect();
        assert_eq!(checks, expected.iter().copied().collect(), "{violations:?}");
    }

    #[test]
    fn a_correct_history_is_accepted() {
        rejects(|_| (), &[]);
    }

    #[test]
    fn an_acknowledged_event_that_is_lost_or_changed_is_rejected() {
        rejects(|history| drop(history.found.remove(1)), &["C1"]);
        rejects(|history| history.found[1].hash = 99, &["C1"]);
        rejects(|history| history.end(&id(0), acknowledged(7), SECOND * 2), &["C1"]);
    }

    #[test]
    fn an_event_that_was_never_written_or_failed_for_certain_is_rejected() {
        rejects(|history| history.found.push(found(9, 90)), &["C2"]);
        rejects(|history| history.found.push(found(4, 90)), &["C2"]);
        // A reader saw it, and it is nowhere.
        rejects(|history| history.read(id(4), at(90)), &["C2", "C11"]);
    }

    #[test]
    fn a_doubled_event_is_rejected_wherever_its_copies_are() {
        rejects(|history| history.found.insert(2, found(1, 15)), &["C3"]);
        let elsewhere = Found { position: (SegmentId::from(1), Offset(0)), ..found(2, 0) };
        rejects(|history| history.found.push(elsewhere), &["C5"]);
    }

    #[test]
    fn events_that_are_swapped_or_have_a_gap_before_them_are_rejected() {
        rejects(
            |history| {
                history.read.clear();
                history.found[0] = found(1, 10);
                history.found[1] = found(0, 0);
            },
            &["C4"],
        );
        rejects(
            |history| {
                history.read.clear();
                history.flushes.clear();
                history.writes.remove(&id(0));
                history.found.remove(0);
            },
            &["C4"],
        );
        // An event that is not known to be stored, after a later one.
        rejects(
            |history| {
                history.flushes.clear();
                history.end(&id(0), Ended::Failed(Outcome::Unknown), SECOND);
                let first = history.found.remove(0);
                history.found.push(first);
            },
            &["C5"],
        );
    }

    #[test]
    fn a_conditional_event_at_another_place_or_refused_without_cause_is_rejected() {
        rejects(
            |history| {
                history.end(&id(5), Ended::Acknowledged(None), SECOND * 2);
                history.found(found(5, 30));
            },
            &["C6"],
        );
        rejects(|history| history.tail(SegmentId::from(0), Offset(10)), &["C6"]);
    }

    #[test]
    fn an_event_before_one_that_was_acknowledged_when_it_began_is_rejected() {
        // Another writer's event with the same key began later, and is in front.
        let other = EventId { writer: 2, ..id(0) };
        let late = move |history: &mut History, at: usize| {
            history.begin(other.clone(), 0, SECOND * 3);
            history.end(&other, acknowledged(40), SECOND * 4);
            history.found.insert(at, Found { id: other, ..found(0, 40) });
        };
        rejects(|history| late.clone()(history, 3), &[]);
        rejects(|history| late(history, 1), &["C8"]);
    }

    #[test]
    fn a_flush_that_succeeds_before_a_write_is_acknowledged_is_rejected() {
        rejects(|history| history.flushes[0].ended = SECOND, &["C9"]);
        rejects(|history| history.flushes[1].succeeded = true, &["C9"]);
    }

    #[test]
    fn a_doubt_about_an_event_that_was_never_sent_is_rejected() {
        rejects(|history| history.carried((0..3).map(id).collect(), vec![]), &["C10"]);
        // It was handed to a link that ended.
        rejects(|history| history.carried((0..3).map(id).collect(), vec![SECOND]), &[]);
    }

    #[test]
    fn an_event_that_a_reader_returned_from_another_place_is_rejected() {
        rejects(|history| history.read(id(1), at(11)), &["C11"]);
    }

    #[test]
    fn a_write_that_never_ended_or_too_late_is_rejected() {
        rejects(|history| history.writes.get_mut(&id(3)).unwrap().ended = None, &["C14"]);
        rejects(
            |history| history.end(&id(3), Ended::Failed(Outcome::Unknown), SECOND * 12),
            &["C14"],
        );
    }

    #[test]
    fn a_limit_that_was_exceeded_is_rejected() {
        rejects(|history| history.resource("bytes", 11, 10), &["C15"]);
    }

    #[test]
    fn odd_and_correct_histories_are_accepted() {
        // Failures before an acknowledged event leave no gap; keys and writers do not mix; an empty
        // history is right.
        let mut history = correct();
        history.begin(id(6), 6, SECOND);
        history.end(&id(6), acknowledged(100), SECOND * 2);
        history.found(found(6, 100));
        let other = EventId { writer: 2, ..id(0) };
        history.begin(other.clone(), 0, SECOND);
        history.end(&other, acknowledged(200), SECOND * 2);
        history.found(Found { id: other, ..found(0, 200) });
        assert_eq!(check(&history, BOUND), []);
        assert_eq!(check(&History::default(), BOUND), []);
    }

    #[test]
    fn digests_tell_histories_apart() {
        let mut other = correct();
        assert_eq!(correct().digest(), other.digest());
        other.found[0].position.1 = Offset(7);
        assert_ne!(correct().digest(), other.digest());
    }
}
