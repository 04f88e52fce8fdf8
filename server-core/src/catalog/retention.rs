//! Retention: truncation by time or by size, and by the progress of reader groups.
//!
//! A stream of many segments or groups is looked at in slices. What a group needs, and what was
//! written, only grows, so a point of what was found meanwhile keeps no less than it should.

use std::{collections::HashSet, ops::Bound};

use pravega_sdk_proto::{RetentionPolicy, retention_policy::RetentionPolicyType};
use pravega_sdk_types::{Epoch, Offset, SegmentId, SegmentOffset};

use super::{
    change::StreamPart,
    cut::Cut,
    names,
    plan::Plan,
    rounds::{Place, Round, SLICE},
    state::Catalog,
    stream::{RetentionPoint, Stream},
    streams::{Within, place_within, plan_truncation},
};
use crate::{record::Millis, store::Step};

/// The most points that are kept. Beyond it, every second of the older half is dropped.
const MAX_RETENTION_POINTS: usize = 1000;
/// The most offsets of all points of a stream together.
const MAX_OFFSETS: usize = 100_000;

/// The segments whose lengths are looked up in one slice.
const MEASURED: usize = SLICE / 4;
/// The steps of a subscriber, besides the offsets of its cut.
const SUBSCRIBER: usize = 10;

/// A round of the retention of all streams.
pub(crate) type RetentionRound = Round<Retaining>;

/// The retention of a stream, as far as it is decided.
#[derive(Debug)]
pub(crate) struct Retaining {
    place: Place,
    /// The stream as it was at first. A change of it ends the work: it is done in the next round.
    of: Option<Seen>,
    phase: Phase,
}

/// What the retention of a stream goes by until it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// The first segment. A stream that is created again has another.
    first: SegmentId,
    newest: Epoch,
    /// The number of groups that have joined. A new one needs everything.
    subscribed: u64,
}

/// What is found out about a stream, one after the other.
#[derive(Debug)]
enum Phase {
    /// The length of each segment.
    Measuring {
        /// The last segment that was measured.
        after: Option<SegmentId>,
        /// The number of bytes ever written to those segments.
        bytes: i64,
        /// The ends of the active ones of them.
        ends: Vec<(SegmentId, SegmentOffset)>,
    },
    /// What the reader groups still need.
    Asking {
        /// The tail, and the number of bytes ever written to the stream.
        tail: RetentionPoint,
        /// The last group that was asked.
        after: Option<String>,
        /// For each key the least offset that a group needs; `None` until there is a group.
        needed: Option<Cut>,
    },
}

impl Seen {
    fn of(stream: &Stream) -> Option<Self> {
        let first = stream.history.first()?;
        let (newest, subscribed) = (stream.history.active_epoch(), stream.subscribed);
        Some(Self { first, newest, subscribed })
    }
}

impl Retaining {
    fn of(place: Place) -> Self {
        let phase = Phase::Measuring { after: None, bytes: 0, ends: Vec::new() };
        Self { place, of: None, phase }
    }
}

impl Catalog {
    /// Records the tail of each stream with a policy, and drops what the policy does not keep: the
    /// next slice of a round. Returns the rest of the round.
    pub(crate) fn retain(
        &mut self,
        round: RetentionRound,
        step: &mut Step<'_>,
    ) -> Option<RetentionRound> {
        let work = |stream: &Stream| {
            let due = policy_of(stream).is_some() && !stream.is_sealed();
            due.then(|| steps_of(stream))
        };
        self.next_of_round(round, work, Retaining::of, Self::retain_slice, step)
    }

    /// Does the next slice of the retention of a stream. While many of its segments change, it
    /// waits for the next round.
    fn retain_slice(&mut self, retaining: Retaining, step: &mut Step<'_>) -> Option<Retaining> {
        let Retaining { place, of, phase } = retaining;
        let Place { scope, stream } = &place;
        let found = self.stream(scope, stream)?;
        let now = Some(Seen::of(found)?);
        let goes_on = of.is_none() || of == now;
        if !goes_on || found.is_sealed() || !step.store.is_stream_settled(scope, stream) {
            return None;
        }
        let phase = match phase {
            Phase::Measuring { after, bytes, ends } => {
                let measured = measure(&place, found, (after, bytes, ends), step)?;
                if steps_of(found) >= SLICE || matches!(measured, Phase::Measuring { .. }) {
                    return Some(Retaining { place, of: now, phase: measured });
                }
                measured
            }
            asking @ Phase::Asking { .. } => asking,
        };
        let Phase::Asking { tail, after, needed } = phase else { return None };
        let (after, needed) = needed_by_groups(found, after, needed);
        if after.is_some() {
            let phase = Phase::Asking { tail, after, needed };
            return Some(Retaining { place, of: now, phase });
        }
        self.retain_stream(scope, stream, tail, needed, step);
        None
    }

    /// Records the tail of a stream as a point, and truncates at the point that is due.
    fn retain_stream(
        &mut self,
        scope: &str,
        stream: &str,
        point: RetentionPoint,
        needed: Option<Cut>,
        step: &mut Step<'_>,
    ) {
        let Some(found) = self.stream(scope, stream) else { return };
        let Some(policy) = policy_of(found) else { return };
        let newest = found.retention_points.last_key_value().map_or(0, |(key, _)| key + 1);
        let (now, bytes) = (step.at.now, point.bytes);
        let mut points: Vec<(u64, &RetentionPoint)> =
            found.retention_points.iter().map(|(key, point)| (*key, point)).collect();
        points.push((newest, &point));
        let all = timed(points.iter().map(|(_, point)| *point), now);
        let head = found.head();
        let cut = chosen(found, policy, &all, needed, now, bytes)
            .filter(|cut| *cut != head && found.is_at_or_after(cut, &head));
        let mut kept = thinned(points);
        if let Some(cut) = &cut {
            // Each point is at or after those before it.
            let dropped = kept.partition_point(|(_, point)| !found.is_at_or_after(&point.cut, cut));
            kept.drain(..dropped);
        }
        let kept: HashSet<u64> = kept.into_iter().map(|(key, _)| key).collect();
        let mut truncation = Plan::new();
        for key in found.retention_points.keys().filter(|key| !kept.contains(key)) {
            truncation.stream(scope, stream, StreamPart::RetentionPoint(*key, None));
        }
        if let Some(cut) = cut
            && let Some(located) = found.locate(&cut)
        {
            let places: Vec<Within> =
                cut.iter().filter_map(|place| place_within(scope, stream, place, step)).collect();
            plan_truncation(&mut truncation, (scope, stream), found, &located, &places, step);
            truncation.stream(scope, stream, StreamPart::Head(cut));
        }
        let mut noted = Plan::new();
        if kept.contains(&newest) {
            noted.stream(scope, stream, StreamPart::RetentionPoint(newest, Some(point)));
        }
        // At the memory limit the stream is truncated, and no point is added.
        self.carry_out(truncation, step).ok();
        self.carry_out(noted, step).ok();
    }
}

/// The steps of the retention of a stream, or those of a slice.
fn steps_of(stream: &Stream) -> usize {
    let mut steps = stream.history.segment_count().saturating_mul(SLICE / MEASURED);
    for subscriber in stream.subscribers.values() {
        if steps >= SLICE {
            break;
        }
        steps += SUBSCRIBER + subscriber.cut.len();
    }
    steps
}

/// Measures the next segments of a stream; `None` if an active one does not exist.
fn measure(
    place: &Place,
    found: &Stream,
    measured: (Option<SegmentId>, i64, Vec<(SegmentId, SegmentOffset)>),
    step: &Step<'_>,
) -> Option<Phase> {
    let (mut after, mut bytes, mut ends) = measured;
    let mut left = found.history.all_after(after);
    for record in left.by_ref().take(MEASURED) {
        let len = match found.deleted_ends.get(&record.id) {
            Some(Offset(end)) => Some(*end),
            None => {
                let segment = names::segment(&place.scope, &place.stream, record.id);
                step.store.info(&segment).ok().map(|info| info.len as i64)
            }
        };
        bytes += len.unwrap_or(0);
        if found.history.is_active(record.id) {
            ends.push((record.id, SegmentOffset::At(Offset(len?))));
        }
        after = Some(record.id);
    }
    if left.next().is_some() {
        return Some(Phase::Measuring { after, bytes, ends });
    }
    let tail = RetentionPoint { at: step.at.now, bytes, cut: ends.into_iter().collect() };
    Some(Phase::Asking { tail, after: None, needed: None })
}

/// What the next groups need together with those before them, and the last of a slice of them;
/// `None` if there are no more.
fn needed_by_groups(
    stream: &Stream,
    after: Option<String>,
    mut needed: Option<Cut>,
) -> (Option<String>, Option<Cut>) {
    let head = stream.head();
    let mut steps = 0;
    let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    for (name, subscriber) in stream.subscribers.range::<str, _>((from, Bound::Unbounded)) {
        let cut = if subscriber.cut.is_empty() { &head } else { &subscriber.cut };
        steps += SUBSCRIBER + cut.len() + needed.as_ref().map_or(0, Cut::len);
        needed = Some(match needed {
            Some(needed) => stream.earlier(&needed, cut),
            None => cut.clone(),
        });
        if steps >= SLICE {
            return (Some(name.clone()), needed);
        }
    }
    (None, needed)
}

/// The points that are kept: of too many, every second one of the older half is dropped.
fn thinned(points: Vec<(u64, &RetentionPoint)>) -> Vec<(u64, &RetentionPoint)> {
    let offsets: usize = points.iter().map(|(_, point)| point.cut.len()).sum();
    if points.len() <= MAX_RETENTION_POINTS && offsets <= MAX_OFFSETS {
        return points;
    }
    let half = points.len() / 2;
    let kept = |index: usize| index >= half || index % 2 == 1;
    points.into_iter().enumerate().filter(|(index, _)| kept(*index)).map(|(_, one)| one).collect()
}

/// A point, and the time that it has for retention.
#[derive(Debug)]
struct Timed<'a> {
    at: Millis,
    point: &'a RetentionPoint,
}

/// Points with their times, which never go back. One that was noted while the clock was behind, or
/// is of a time that is still to come, is as old as the next one.
fn timed<'a>(points: impl Iterator<Item = &'a RetentionPoint>, now: Millis) -> Vec<Timed<'a>> {
    let mut latest = Millis(i64::MIN);
    let mut all: Vec<Timed<'_>> = points.map(|point| Timed { at: point.at, point }).collect();
    for timed in &mut all {
        if (latest..=now).contains(&timed.at) {
            latest = timed.at;
        } else {
            timed.at = Millis(i64::MAX);
        }
    }
    let mut next = now;
    for timed in all.iter_mut().rev() {
        next = next.min(timed.at);
        timed.at = next;
    }
    all
}

fn policy_of(stream: &Stream) -> Option<RetentionPolicy> {
    stream
        .config()
        .retention_policy
        .filter(|policy| policy.retention_type() != RetentionPolicyType::Unknown)
}

/// The cut to truncate at: as far as the groups have read, but at least as far as the upper limit
/// demands and at most as far as the lower one allows.
fn chosen(
    stream: &Stream,
    policy: RetentionPolicy,
    points: &[Timed<'_>],
    needed: Option<Cut>,
    now: Millis,
    bytes: i64,
) -> Option<Cut> {
    let keeps = |timed: &Timed<'_>, amount: i64| match policy.retention_type() {
        RetentionPolicyType::Time => now.since(timed.at) >= amount,
        _ => bytes.saturating_sub(timed.point.bytes) >= amount,
    };
    // The newest point after which the policy's lower limit is left.
    let least = points.iter().rev().find(|point| keeps(point, policy.retention_param));
    let Some(needed) = needed else {
        return least.map(|timed| timed.point.cut.clone());
    };
    let least = least?.point;
    // Above the upper limit, the oldest point after which no more is left than allowed, even if
    // groups still need what is before it.
    let bounded = policy.retention_max > 0 && policy.retention_max < i64::MAX;
    let too_much =
        |timed: &Timed<'_>| bounded && keeps(timed, policy.retention_max.saturating_add(1));
    let most = points
        .iter()
        .any(&too_much)
        .then(|| points.iter().find(|point| !too_much(point)).map(|timed| timed.point));
    let needed = match most.flatten() {
        Some(most) if !stream.is_at_or_after(&needed, &most.cut) => most.cut.clone(),
        _ => needed,
    };
    let too_far = !stream.is_at_or_after(&least.cut, &needed);
    Some(if too_far { least.cut.clone() } else { needed })
}
