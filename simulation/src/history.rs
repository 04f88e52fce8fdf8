//! The history of what clients did and saw, and the checks that the final streams agree with it.
//!
//! | check | holds |
//! |---|---|
//! | C1 | nothing is lost: an acknowledged event is in the stream, with its bytes |
//! | C2 | nothing is invented: an event in the stream was written, and did not definitely fail |
//! | C3 | nothing is doubled: each event has one position |
//! | C4 | order: by number for each writer and key, without a gap before an acknowledged event |
//! | C5 | an event in doubt is in the stream at most once, and not after a later one |
//! | C14 | every write ends within its bound |
//! | C15 | the limits on resources hold at every step |

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use pravega_sdk_types::{Offset, Outcome, SegmentId};

/// Identifies an event by its writer, its routing key, and its number among the events of both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The writer.
    pub writer: u32,
    /// The routing key.
    pub key: String,
    /// The number of the event, from 0, for that writer and key.
    pub number: u64,
}

/// The end of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was acknowledged, with its position if the client was told.
    Acknowledged(Option<(SegmentId, Offset)>),
    /// It failed, with an outcome.
    Failed(Outcome),
}

#[derive(Debug, Clone)]
struct Write {
    hash: u64,
    begun: Duration,
    ended: Option<(Duration, Ended)>,
}

/// An event of the final stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The event.
    pub id: EventId,
    /// The hash of its bytes.
    pub hash: u64,
    /// Its segment, and its offset there.
    pub position: (SegmentId, Offset),
}

/// Everything that clients did and saw.
#[derive(Debug, Clone, Default)]
pub struct History {
    writes: BTreeMap<EventId, Write>,
    found: Vec<Found>,
    resources: Vec<(&'static str, u64, u64)>,
}

/// A finding of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The check, as the table names it.
    pub check: &'static str,
    /// The details.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.detail)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of writer {} with key {:?}", self.number, self.writer, self.key)
    }
}

impl History {
    /// Notes the beginning of a write.
    pub fn begin(&mut self, id: EventId, hash: u64, now: Duration) {
        self.writes.insert(id, Write { hash, begun: now, ended: None });
    }

    /// Notes the end of a write.
    pub fn end(&mut self, id: &EventId, ended: Ended, now: Duration) {
        if let Some(write) = self.writes.get_mut(id) {
            write.ended = Some((now, ended));
        }
    }

    /// Notes an event of the final stream. The order of the calls is that of the stream.
    pub fn found(&mut self, found: Found) {
        self.found.push(found);
    }

    /// Notes the present use of a resource, and its limit.
    pub fn resource(&mut self, what: &'static str, used: u64, limit: u64) {
        self.resources.push((what, used, limit));
    }

    /// The number of acknowledged writes.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let is_acknowledged =
            |write: &&Write| matches!(write.ended, Some((_, Ended::Acknowledged(_))));
        self.writes.values().filter(is_acknowledged).count()
    }

    /// A number that differs between histories that differ, in times and positions too.
    #[must_use]
    pub fn digest(&self) -> u64 {
        use std::hash::{Hash as _, Hasher as _};
        let mut hasher = std::hash::DefaultHasher::new();
        format!("{self:?}").hash(&mut hasher);
        hasher.finish()
    }

    /// Makes every check; a write may take as long as `bound`.
    #[must_use]
    pub fn check(&self, bound: Duration) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut say = |check, detail: String| violations.push(Violation { check, detail });
        let mut by_id: BTreeMap<&EventId, Vec<&Found>> = BTreeMap::new();
        for found in &self.found {
            by_id.entry(&found.id).or_default().push(found);
        }
        for (id, write) in &self.writes {
            let copies = by_id.get(id).map_or(&[][..], Vec::as_slice);
            match &write.ended {
                None => say("C14", format!("{id} never ended")),
                Some((at, _)) if *at > write.begun + bound => {
                    say(
                        "C14",
                        format!("{id} took {:?}, {bound:?} is the bound", *at - write.begun),
                    );
                }
                Some(_) => {}
            }
            match (&write.ended, copies) {
                (Some((_, Ended::Acknowledged(_))), []) => {
                    say("C1", format!("{id} was acknowledged and is lost"))
                }
                (Some((_, Ended::Acknowledged(Some(position)))), [found])
                    if found.position != *position =>
                {
                    say(
                        "C1",
                        format!("{id} is at {:?}, {position:?} was acknowledged", found.position),
                    );
                }
                (Some((_, Ended::Failed(Outcome::NotApplied))), [_, ..]) => {
                    say("C2", format!("{id} failed for certain and is in the stream"));
                }
                _ => {}
            }
            if copies.len() > 1 {
                let check = if matches!(write.ended, Some((_, Ended::Acknowledged(_)))) {
                    "C3"
                } else {
                    "C5"
                };
                say(check, format!("{id} is in the stream {} times", copies.len()));
            }
            if copies.iter().any(|found| found.hash != write.hash) {
                say("C1", format!("{id} has other bytes than were written"));
            }
        }
        for found in &self.found {
            if !self.writes.contains_key(&found.id) {
                say("C2", format!("{} is in the stream and was never written", found.id));
            }
        }
        self.check_order(&mut say);
        for (what, used, limit) in &self.resources {
            if used > limit {
                say("C15", format!("{what}: {used} are in use, the limit is {limit}"));
            }
        }
        violations
    }

    fn check_order(&self, say: &mut impl FnMut(&'static str, String)) {
        let is_acknowledged = |id: &EventId| {
            matches!(
                self.writes.get(id).map(|write| &write.ended),
                Some(Some((_, Ended::Acknowledged(_))))
            )
        };
        let mut last: BTreeMap<(u32, &str), &EventId> = BTreeMap::new();
        for found in &self.found {
            let id = &found.id;
            if let Some(before) = last.insert((id.writer, &id.key), id)
                && before.number > id.number
            {
                // If this one is not known to be stored, it was stored too late.
                let check = if is_acknowledged(id) { "C4" } else { "C5" };
                say(check, format!("{id} is after event {}", before.number));
            }
        }
        // A gap: an event before an acknowledged one neither failed nor is in the stream.
        let present: BTreeSet<&EventId> = self.found.iter().map(|found| &found.id).collect();
        let mut numbers: BTreeMap<(u32, &str), Vec<&EventId>> = BTreeMap::new();
        for id in self.writes.keys() {
            numbers.entry((id.writer, &id.key)).or_default().push(id);
        }
        for ids in numbers.values() {
            let Some(newest) = ids.iter().rfind(|id| is_acknowledged(id)) else { continue };
            let mut expected = 0;
            for id in ids.iter().take_while(|id| id.number <= newest.number) {
                if id.number != expected {
                    say("C4", format!("{id} was begun, number {expected} before it was not"));
                }
                expected = id.number + 1;
                let is_pending = self.writes.get(*id).is_some_and(|write| write.ended.is_none());
                if is_pending && !present.contains(*id) {
                    say(
                        "C4",
                        format!("{id} is missing before {}, which was acknowledged", newest.number),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BOUND: Duration = Duration::from_secs(10);

    fn id(number: u64) -> EventId {
        EventId { writer: 1, key: "k".to_owned(), number }
    }

    fn found(number: u64, offset: i64) -> Found {
        Found { id: id(number), hash: number, position: (SegmentId::from(0), Offset(offset)) }
    }

    fn acknowledged(offset: i64) -> Ended {
        Ended::Acknowledged(Some((SegmentId::from(0), Offset(offset))))
    }

    /// Five events: acknowledged, acknowledged without a position, unknown and stored, unknown and
    /// not stored, failed.
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
        (0..3).for_each(|number| history.found(found(number, number as i64 * 10)));
        history.resource("bytes", 10, 10);
        history
    }

    #[track_caller]
    fn check(spoil: impl FnOnce(&mut History), expected: &[&str]) {
        let mut history = correct();
        spoil(&mut history);
        let violations = history.check(BOUND);
        let checks: BTreeSet<&str> = violations.iter().map(|violation| violation.check).collect();
        assert_eq!(checks, expected.iter().copied().collect(), "{violations:?}");
    }

    #[test]
    fn a_correct_history_is_accepted_and_eleven_broken_ones_are_rejected_each_by_its_check() {
        check(|_| (), &[]);
        // 1: an acknowledged event is lost.
        check(|history| drop(history.found.remove(1)), &["C1"]);
        // 2: its bytes changed.
        check(|history| history.found[0].hash = 99, &["C1"]);
        // 3: its position is not the one that the client was told.
        check(|history| history.found[0].position.1 = Offset(7), &["C1"]);
        // 4: an event that was not written.
        check(|history| history.found.push(found(9, 90)), &["C2"]);
        // 5: an event that failed for certain.
        check(|history| history.found.push(found(4, 90)), &["C2"]);
        // 6: an acknowledged event twice.
        check(|history| history.found.insert(2, found(1, 15)), &["C3"]);
        // 7: two acknowledged events swapped.
        check(
            |history| {
                history.found[0] = found(1, 10);
                history.found[1] = found(0, 0);
            },
            &["C4"],
        );
        // 8: the first event was never begun, yet later ones were acknowledged.
        check(
            |history| {
                history.writes.remove(&id(0));
                history.found.remove(0);
            },
            &["C4"],
        );
        // 9: an event that is not known to be stored is there twice, or after a later one.
        check(|history| history.found.push(found(2, 30)), &["C5"]);
        check(
            |history| {
                history.end(&id(0), Ended::Failed(Outcome::Unknown), SECOND);
                let first = history.found.remove(0);
                history.found.push(first);
            },
            &["C5"],
        );
        // 10: a write never ended, or too late.
        check(|history| history.writes.get_mut(&id(3)).unwrap().ended = None, &["C14"]);
        check(
            |history| history.end(&id(3), Ended::Failed(Outcome::Unknown), SECOND * 12),
            &["C14"],
        );
        // 11: a limit was exceeded.
        check(|history| history.resource("bytes", 11, 10), &["C15"]);
    }

    #[test]
    fn odd_and_correct_histories_are_accepted() {
        // Failures before an acknowledged event leave no gap; keys and writers do not mix; an empty
        // history is right.
        let mut history = correct();
        history.begin(id(5), 5, SECOND);
        history.end(&id(5), acknowledged(100), SECOND * 2);
        history.found(found(5, 100));
        let other = EventId { writer: 2, ..id(0) };
        history.begin(other.clone(), 0, SECOND);
        history.end(&other, acknowledged(200), SECOND * 2);
        history.found(Found { id: other, ..found(0, 200) });
        assert_eq!(history.check(BOUND), []);
        assert_eq!(History::default().check(BOUND), []);
    }

    #[test]
    fn digests_tell_histories_apart() {
        let mut other = correct();
        assert_eq!(correct().digest(), other.digest());
        other.found[0].position.1 = Offset(7);
        assert_ne!(correct().digest(), other.digest());
    }
}
