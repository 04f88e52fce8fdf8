//! Compares when readers died with when they were taken out of the group.

use std::time::Duration;

use pravega_sdk_event_stream::group::GroupUpdate;

use super::log::{Ending, Lived, Log, Shared, Step};

/// The times that bound how long a dead reader stays in the group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) lease: Duration,
    /// The time within which a reader knows of another that has joined.
    pub(super) notice: Duration,
    /// The time that the requests of a removal may take.
    pub(super) requests: Duration,
}

impl Times {
    /// The longest time from a death, or the end of a trouble after it, to the removal: the one
    /// that is watched is found within the lease, and others that died with it within one and a
    /// half. After a trouble a request may time out, and each reader has a sixth of the lease to
    /// renew it.
    fn bound(self) -> Duration {
        self.lease * 3 / 2 + self.lease / 8 + self.lease / 6 + self.requests
    }
}

/// Every dead reader that lives are due to notice is taken out in time, and none that is alive.
/// Returns the number of deaths that were checked.
pub(super) fn check_deaths(steps: &[Step], log: &Log, times: Times, shared: &Shared) -> u64 {
    let mut checked = 0;
    for life in log.lives.iter().filter(|life| life.has_lease) {
        let Some(ended) = life.ended else { continue };
        match life.ending {
            Ending::Died if log.by_hand.contains(&life.reader) => {}
            Ending::Died => {
                let removed = removal(steps, life);
                let latest = latest(steps, log, life, (ended, removed), times);
                let Some(latest) = latest else { continue };
                checked += 1;
                if removed.is_none_or(|removed| removed > latest) {
                    let detail = format!("{life:?} is in the group after {latest:?}: {removed:?}");
                    shared.say("R5", detail);
                }
            }
            Ending::Told if !log.by_hand.contains(&life.reader) => {
                let since = ended.saturating_sub(times.lease * 2 + times.notice);
                if !has_trouble(log, since, ended) {
                    shared.say("C14", format!("{life:?} was alive"));
                }
            }
            Ending::Told | Ending::Alive => {}
        }
    }
    checked
}

/// When a reader was taken out, or has left.
fn removal(steps: &[Step], life: &Lived) -> Option<Duration> {
    let is_it = |step: &&Step| match &step.update {
        GroupUpdate::RemoveReader { reader, .. } => {
            *reader == life.reader && step.at >= life.joined
        }
        _ => false,
    };
    steps.iter().find(is_it).map(|step| step.at)
}

fn has_trouble(log: &Log, from: Duration, to: Duration) -> bool {
    log.troubles.iter().any(|(begun, ended)| *begun < to && *ended > from)
}

/// The latest time at which a dead reader is in the group, if a reader lives that notices it: the
/// bound counts from the last trouble, and from the last death, in the time before it.
fn latest(
    steps: &[Step],
    log: &Log,
    dead: &Lived,
    (ended, removed): (Duration, Option<Duration>),
    times: Times,
) -> Option<Duration> {
    let witnesses = log.lives.iter().filter(|other| {
        other.has_lease
            && other.reader != dead.reader
            && !log.by_hand.contains(&other.reader)
            && other.ended.is_none_or(|at| at > ended)
    });
    let deaths: Vec<Duration> = log
        .lives
        .iter()
        .filter(|other| other.ending == Ending::Died && other.reader != dead.reader)
        .filter_map(|other| other.ended)
        .collect();
    let latest = witnesses.filter_map(|witness| {
        let mut base = ended.max(dead.joined.max(witness.joined) + times.notice);
        loop {
            let until = base + times.bound();
            // A program that is not asking may have the reader that would watch this one.
            let mut troubles = log.troubles.iter().chain(&log.pauses);
            let trouble = troubles.find(|(begun, ended)| *begun < until && *ended > base);
            // The one that watches it may die as well.
            let death = deaths.iter().find(|at| **at > base && **at < until);
            match trouble.map(|(_, ended)| ended).or(death) {
                Some(ended) => base = *ended,
                None => break,
            }
        }
        let until = base + times.bound();
        let last = removed.map_or(until, |removed| removed.min(until));
        let lives = witness.ended.is_none_or(|at| at > last)
            && removal(steps, witness).is_none_or(|at| at > last);
        lives.then_some(until)
    });
    latest.min()
}
