//! What happened while one part of the cluster was in trouble, and the times that are promised:
//! what is healthy goes on, what is in trouble ends, and readers report it.
//!
//! | check | holds |
//! |---|---|
//! | P1 | a write to a healthy segment is acknowledged at once |
//! | P2 | a reader returns an event of a healthy segment soon after it is stored |
//! | P3 | a request about a healthy segment is answered at once |
//! | P4 | a request about any segment ends by its deadline |
//! | P5 | a reader reports that a segment cannot be read, or what follows it cannot be found |
//! | P6 | a store that cannot be connected to is found dead once for all of its segments |
//! | P7 | a reader does not report segments that can be read |
//! | P8 | what was in trouble is served at once again when the trouble is over |
//!
//! That every write ends by its delivery timeout is C14, and that a request that failed for certain
//! is not applied is C2.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pravega_sdk_types::{Outcome, SegmentId};

use crate::history::{Position, Violation};

/// The time since a scenario began.
pub(crate) type Time = Duration;

/// How long what is promised may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A write to a healthy segment, or a request about one.
    pub(crate) healthy: Duration,
    /// From the acknowledgement of an event in a healthy segment until a reader returns it.
    pub(crate) read: Duration,
    /// A request about any segment, with all attempts and look-ups.
    pub(crate) request: Duration,
    /// From the beginning of the trouble until a reader reports it.
    pub(crate) stall: Duration,
    /// Requests about all segments of a dead store, one after the other.
    pub(crate) round: Duration,
}

/// The times from which a segment is healthy again for each kind of work; `None` if it is not
/// before the trouble ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Health {
    pub(crate) writes: Option<Time>,
    pub(crate) reads: Option<Time>,
    pub(crate) requests: Option<Time>,
}

impl Health {
    /// Healthy from a time on.
    pub(crate) fn from(time: Time) -> Self {
        Self { writes: Some(time), reads: Some(time), requests: Some(time) }
    }
}

/// A write.
#[derive(Debug, Clone)]
pub(crate) struct Wrote {
    pub(crate) segment: SegmentId,
    pub(crate) begun: Time,
    /// When it was acknowledged, and its place.
    pub(crate) acknowledged: Option<(Time, Position)>,
}

/// A request about a segment.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) segment: SegmentId,
    pub(crate) begun: Time,
    /// When it ended, and true if it was answered.
    pub(crate) ended: Option<(Time, bool)>,
}

/// What a reader returned, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    /// When it was opened.
    pub(crate) opened: Option<Time>,
    pub(crate) returned: BTreeMap<Position, Time>,
    /// When it reported that nothing can be read.
    pub(crate) reports: Vec<Time>,
    /// True if it has a segment that it cannot read.
    pub(crate) must_report: bool,
}

/// A request that changes a segment.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    pub(crate) begun: Time,
    pub(crate) ended: Option<(Time, Result<(), Outcome>)>,
    /// True if it was applied.
    pub(crate) is_applied: bool,
}

/// Everything that was seen during a trouble.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    pub(crate) began: Time,
    /// When the trouble ended.
    pub(crate) ended: Time,
    /// From when on everything is healthy again.
    pub(crate) healed: Option<Time>,
    pub(crate) limits: Limits,
    pub(crate) health: BTreeMap<SegmentId, Health>,
    pub(crate) writes: Vec<Wrote>,
    pub(crate) readers: Vec<Watched>,
    pub(crate) requests: Vec<Asked>,
    /// How long requests about all segments of a dead store took.
    pub(crate) round: Option<Duration>,
    pub(crate) seal: Option<Changed>,
    pub(crate) violations: Vec<Violation>,
}

/// Notes that tasks share.
#[derive(Debug, Clone)]
pub(crate) struct SharedNotes(Arc<Mutex<Notes>>);

impl SharedNotes {
    pub(crate) fn new(notes: Notes) -> Self {
        Self(Arc::new(Mutex::new(notes)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn health(&self, segment: SegmentId) -> Health {
        self.health.get(&segment).copied().unwrap_or_default()
    }

    /// Makes every check.
    pub(crate) fn check(&self) -> Vec<Violation> {
        let mut violations = self.violations.clone();
        let mut say = |check, detail: String| violations.push(Violation { check, detail });
        self.check_writes(&mut say);
        for (number, reader) in self.readers.iter().enumerate() {
            self.check_reader(number, reader, &mut say);
        }
        self.check_requests(&mut say);
        if let Some(took) = self.round.filter(|took| *took > self.limits.round) {
            say("P6", format!("all segments of a dead store were found after {took:?}"));
        }
        if let Some(seal) = &self.seal {
            self.check_seal(seal, &mut say);
        }
        violations
    }

    fn check_writes(&self, say: &mut impl FnMut(&'static str, String)) {
        let limit = self.limits.healthy;
        for write in &self.writes {
            let in_time = |(at, _): &(Time, Position)| *at <= write.begun + limit;
            if write.acknowledged.as_ref().is_some_and(in_time) {
                continue;
            }
            if self.is_healthy(self.health(write.segment).writes, write.begun) {
                say("P1", format!("{write:?}: its segment is healthy, {limit:?} is the bound"));
            }
            if self.is_healed(write.begun) {
                say("P8", format!("{write:?}: the trouble is over, {limit:?} is the bound"));
            }
        }
    }

    /// Returns true if what began then is about a segment that is healthy, and had its time before
    /// the trouble ended.
    fn is_healthy(&self, from: Option<Time>, begun: Time) -> bool {
        from.is_some_and(|from| begun >= from) && begun + self.limits.healthy <= self.ended
    }

    fn is_healed(&self, begun: Time) -> bool {
        self.healed.is_some_and(|healed| begun >= healed)
    }

    fn check_reader(
        &self,
        number: usize,
        reader: &Watched,
        say: &mut impl FnMut(&'static str, String),
    ) {
        let Some(opened) = reader.opened else { return };
        for write in &self.writes {
            let Some((at, place)) = write.acknowledged else { continue };
            let returned = reader.returned.get(&place);
            let is_late = |until: &Time| returned.is_none_or(|at| *at > *until);
            let until = |from: Time| at.max(from).max(opened) + self.limits.read;
            let healthy = self.health(write.segment).reads.map(until);
            let detail = |until: Time| {
                format!("reader {number} returned {write:?} at {returned:?}, not {until:?}")
            };
            if let Some(until) = healthy.filter(|it| *it <= self.ended).filter(is_late) {
                say("P2", detail(until));
            }
            if let Some(until) = self.healed.map(until).filter(is_late) {
                say("P8", detail(until));
            }
        }
        let until = self.began.max(opened) + self.limits.stall;
        let has_reported = reader.reports.iter().any(|at| (self.began..=until).contains(at));
        let (began, reports) = (self.began, &reader.reports);
        if reader.must_report && until <= self.ended && !has_reported {
            say(
                "P5",
                format!("reader {number} reported at {reports:?}, trouble began at {began:?}"),
            );
        }
        let is_readable = |health: &Health| health.reads.is_some_and(|from| from <= began);
        let is_false = |at: &Time| *at <= self.ended && self.health.values().all(is_readable);
        if let Some(at) = reports.iter().find(|at| is_false(at)) {
            say("P7", format!("reader {number} reported at {at:?}, and everything can be read"));
        }
    }

    fn check_requests(&self, say: &mut impl FnMut(&'static str, String)) {
        for request in &self.requests {
            let until = request.begun + self.limits.request;
            if request.ended.is_none_or(|(at, _)| at > until) {
                say("P4", format!("{request:?}: {:?} is the bound", self.limits.request));
            }
            let until = request.begun + self.limits.healthy;
            if request.ended.is_some_and(|(at, succeeded)| at <= until && succeeded) {
                continue;
            }
            if self.is_healthy(self.health(request.segment).requests, request.begun) {
                say("P3", format!("{request:?}: its segment is healthy"));
            }
            if self.is_healed(request.begun) {
                say("P8", format!("{request:?}: the trouble is over"));
            }
        }
    }

    fn check_seal(&self, seal: &Changed, say: &mut impl FnMut(&'static str, String)) {
        match &seal.ended {
            Some((at, _)) if *at > seal.begun + self.limits.request => {
                say("P4", format!("{seal:?}: {:?} is the bound", self.limits.request));
            }
            None => say("P4", format!("{seal:?}: it does not end")),
            Some((_, Err(Outcome::NotApplied))) if seal.is_applied => {
                say("C2", format!("{seal:?}: it failed for certain, and was applied"));
            }
            Some((_, Ok(()))) if !seal.is_applied => {
                say("C1", format!("{seal:?}: it succeeded, and was not applied"));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pravega_sdk_types::Offset;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn segment(number: i64) -> SegmentId {
        SegmentId::from(number)
    }

    /// Segment 0 is healthy, segment 1 is not. All that is promised comes in time.
    fn kept() -> Notes {
        let place = (segment(0), Offset(0));
        let wrote = |id, acknowledged| Wrote { segment: id, begun: SECOND * 11, acknowledged };
        let asked = |id, ended| Asked { segment: id, begun: SECOND * 11, ended };
        Notes {
            began: SECOND * 10,
            ended: SECOND * 100,
            healed: Some(SECOND * 104),
            limits: Limits {
                healthy: SECOND,
                read: SECOND * 5,
                request: SECOND * 20,
                stall: SECOND * 60,
                round: SECOND * 3,
            },
            health: [
                (segment(0), Health::from(SECOND * 10)),
                (segment(1), Health { reads: None, ..Health::default() }),
            ]
            .into(),
            writes: vec![wrote(segment(0), Some((SECOND * 12, place))), wrote(segment(1), None)],
            readers: vec![Watched {
                opened: Some(SECOND * 9),
                returned: [(place, SECOND * 17)].into(),
                reports: vec![SECOND * 70],
                must_report: true,
            }],
            requests: vec![
                asked(segment(0), Some((SECOND * 12, true))),
                asked(segment(1), Some((SECOND * 31, false))),
            ],
            round: Some(SECOND * 3),
            seal: Some(Changed {
                begun: SECOND * 11,
                ended: Some((SECOND * 31, Err(Outcome::Unknown))),
                is_applied: true,
            }),
            violations: Vec::new(),
        }
    }

    #[track_caller]
    fn rejects(spoil: impl FnOnce(&mut Notes), expected: &[&str]) {
        let mut notes = kept();
        spoil(&mut notes);
        let violations = notes.check();
        let checks: BTreeSet<&str> = violations.iter().map(|violation| violation.check).collect();
        assert_eq!(checks, expected.iter().copied().collect(), "{violations:?}");
    }

    #[test]
    fn what_comes_in_time_is_accepted() {
        rejects(|_| (), &[]);
    }

    #[test]
    fn a_write_to_a_healthy_segment_that_is_late_or_fails_is_rejected() {
        let place = (segment(0), Offset(0));
        let late = Some((SECOND * 12 + Duration::from_millis(1), place));
        rejects(|notes| notes.writes[0].acknowledged = late, &["P1"]);
        rejects(|notes| notes.writes[0].acknowledged = None, &["P1"]);
        // It had no time.
        rejects(
            |notes| {
                notes.writes[0].begun = notes.ended;
                notes.writes[0].acknowledged = None;
            },
            &[],
        );
        // A segment that another store has only now is healthy from then on.
        rejects(
            |notes| {
                notes.writes[0].acknowledged = None;
                notes.health.insert(segment(0), Health::from(SECOND * 14));
            },
            &[],
        );
    }

    #[test]
    fn an_event_of_a_healthy_segment_that_is_returned_late_is_rejected() {
        let place = (segment(0), Offset(0));
        rejects(|notes| notes.readers[0].returned.clear(), &["P2", "P8"]);
        rejects(
            |notes| {
                notes.readers[0].returned.insert(place, SECOND * 18);
            },
            &["P2"],
        );
        rejects(
            |notes| {
                notes.readers[0].returned.insert(place, SECOND * 18);
                notes.readers[0].opened = Some(SECOND * 13);
            },
            &[],
        );
    }

    #[test]
    fn a_request_that_is_late_or_refused_without_cause_is_rejected() {
        rejects(|notes| notes.requests[0].ended = Some((SECOND * 12, false)), &["P3"]);
        rejects(|notes| notes.requests[0].ended = Some((SECOND * 13, true)), &["P3"]);
        rejects(|notes| notes.requests[1].ended = Some((SECOND * 32, true)), &["P4"]);
        rejects(|notes| notes.requests[1].ended = None, &["P4"]);
    }

    #[test]
    fn a_reader_that_does_not_report_in_time_is_rejected() {
        rejects(|notes| notes.readers[0].reports.clear(), &["P5"]);
        rejects(|notes| notes.readers[0].reports = vec![SECOND * 9, SECOND * 71], &["P5"]);
        rejects(
            |notes| {
                notes.readers[0].reports.clear();
                notes.readers[0].must_report = false;
            },
            &[],
        );
    }

    #[test]
    fn a_report_that_healthy_segments_cannot_be_read_is_rejected() {
        let all_healthy = |notes: &mut Notes| {
            notes.health.insert(segment(1), Health { writes: None, ..Health::from(SECOND * 10) });
            notes.readers[0].must_report = false;
            notes.requests.pop();
        };
        rejects(all_healthy, &["P7"]);
        rejects(
            |notes| {
                all_healthy(notes);
                notes.readers[0].reports.clear();
            },
            &[],
        );
    }

    #[test]
    fn what_was_in_trouble_and_is_not_served_after_it_is_rejected() {
        let place = (segment(1), Offset(0));
        let wrote = |acknowledged| Wrote { segment: segment(1), begun: SECOND * 104, acknowledged };
        let with = |acknowledged, returned: Option<Time>| {
            move |notes: &mut Notes| {
                notes.writes.push(wrote(acknowledged));
                notes.readers[0].returned.extend(returned.map(|at| (place, at)));
            }
        };
        rejects(with(Some((SECOND * 105, place)), Some(SECOND * 110)), &[]);
        rejects(with(Some((SECOND * 106, place)), Some(SECOND * 110)), &["P8"]);
        rejects(with(None, None), &["P8"]);
        rejects(with(Some((SECOND * 105, place)), Some(SECOND * 111)), &["P8"]);
        rejects(with(Some((SECOND * 105, place)), None), &["P8"]);
        rejects(
            |notes| {
                let ended = Some((SECOND * 105, false));
                notes.requests.push(Asked { segment: segment(1), begun: SECOND * 104, ended });
            },
            &["P8"],
        );
        // An event that was stored during the trouble is returned after it.
        rejects(
            |notes| {
                notes.writes[1].acknowledged = Some((SECOND * 12, place));
                notes.readers[0].returned.insert(place, SECOND * 110);
            },
            &["P8"],
        );
    }

    #[test]
    fn a_dead_store_that_is_found_dead_again_and_again_is_rejected() {
        rejects(|notes| notes.round = Some(SECOND * 4), &["P6"]);
    }

    #[test]
    fn a_change_that_is_late_or_has_the_wrong_outcome_is_rejected() {
        let ended = |result| Some((SECOND * 31, result));
        let with = |ended, is_applied| {
            move |notes: &mut Notes| {
                notes.seal = Some(Changed { begun: SECOND * 11, ended, is_applied });
            }
        };
        rejects(with(ended(Err(Outcome::NotApplied)), true), &["C2"]);
        rejects(with(ended(Err(Outcome::NotApplied)), false), &[]);
        rejects(with(ended(Ok(())), false), &["C1"]);
        rejects(with(None, false), &["P4"]);
        rejects(with(Some((SECOND * 32, Err(Outcome::Unknown))), false), &["P4"]);
    }
}
