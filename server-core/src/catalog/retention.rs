//! Retention: truncation by time or by size, and by the progress of reader groups.

use std::collections::HashSet;

use pravega_sdk_proto::{RetentionPolicy, retention_policy::RetentionPolicyType};
use pravega_sdk_types::{Offset, SegmentId, SegmentOffset};

use super::{
    change::StreamPart,
    cut::Cut,
    history::SegmentRecord,
    names,
    plan::Plan,
    rounds::Place,
    state::Catalog,
    stream::{RetentionPoint, Stream},
    streams::{Within, place_within, plan_truncation},
};
use crate::{record::Millis, store::Step};

/// The most points that are kept. Beyond it, every second of the older half is dropped.
const MAX_RETENTION_POINTS: usize = 1000;
/// The most offsets of all points of a stream together.
const MAX_OFFSETS: usize = 100_000;

impl Catalog {
    /// Records the tail of each stream with a policy, and drops what the policy does not keep: for
    /// the next slice of all streams. Returns where the round goes on.
    pub(crate) fn retain(&mut self, after: &Place, step: &mut Step<'_>) -> Option<Place> {
        let work = |stream: &Stream| {
            let due = policy_of(stream).is_some() && !stream.is_sealed();
            due.then(|| stream.history.segment_count())
        };
        let (due, next) = self.next_in_round(after, work);
        for Place { scope, stream } in due {
            // While many of its segments change, it waits for the next round.
            if step.store.is_stream_settled(&scope, &stream) {
                self.retain_stream(&scope, &stream, step);
            }
        }
        next
    }

    /// Records the tail of a stream as a point, and truncates at the point that is due.
    fn retain_stream(&mut self, scope: &str, stream: &str, step: &mut Step<'_>) {
        let Some(point) = self.tail(scope, stream, step) else { return };
        let Some(found) = self.stream(scope, stream) else { return };
        let Some(policy) = policy_of(found) else { return };
        let newest = found.retention_points.last_key_value().map_or(0, |(key, _)| key + 1);
        let (now, bytes) = (step.at.now, point.bytes);
        let mut points: Vec<(u64, &RetentionPoint)> =
            found.retention_points.iter().map(|(key, point)| (*key, point)).collect();
        points.push((newest, &point));
        let all: Vec<&RetentionPoint> = points.iter().map(|(_, point)| *point).collect();
        let head = found.head();
        let cut = chosen(found, policy, &all, now, bytes)
            .filter(|cut| *cut != head && found.is_at_or_after(cut, &head));
        let mut kept = thinned(points);
        if let Some(cut) = &cut {
            kept.retain(|(_, point)| found.is_at_or_after(&point.cut, cut));
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

    /// The tail of a stream, and the number of bytes ever written to it.
    fn tail(&self, scope: &str, stream: &str, step: &Step<'_>) -> Option<RetentionPoint> {
        let cut = self.ends(scope, stream, step)?;
        let bytes = self.bytes_written(scope, stream, step)?;
        Some(RetentionPoint { at: step.at.now, bytes, cut })
    }

    /// The ends of the active segments of a stream.
    fn ends(&self, scope: &str, stream: &str, step: &Step<'_>) -> Option<Cut> {
        let found = self.stream(scope, stream)?;
        let end = |id: SegmentId| {
            let info = step.store.info(&names::segment(scope, stream, id)).ok()?;
            Some((id, SegmentOffset::At(Offset(info.len as i64))))
        };
        found.active().iter().map(|record| end(record.id)).collect()
    }

    /// The number of bytes ever written to a stream.
    fn bytes_written(&self, scope: &str, stream: &str, step: &Step<'_>) -> Option<i64> {
        let found = self.stream(scope, stream)?;
        let len = |record: SegmentRecord| match found.deleted_ends.get(&record.id) {
            Some(Offset(end)) => *end,
            None => step
                .store
                .info(&names::segment(scope, stream, record.id))
                .map_or(0, |info| info.len as i64),
        };
        Some(found.history.all().map(len).sum())
    }
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
    points: &[&RetentionPoint],
    now: Millis,
    bytes: i64,
) -> Option<Cut> {
    let keeps = |point: &RetentionPoint, amount: i64| match policy.retention_type() {
        RetentionPolicyType::Time => now.since(point.at) >= amount,
        _ => bytes.saturating_sub(point.bytes) >= amount,
    };
    // The newest point after which the policy's lower limit is left.
    let least = points.iter().rev().find(|point| keeps(point, policy.retention_param));
    let needed = stream
        .subscribers
        .values()
        .map(
            |subscriber| {
                if subscriber.cut.is_empty() { stream.head() } else { subscriber.cut.clone() }
            },
        )
        .reduce(|one, other| stream.earlier(&one, &other));
    let Some(needed) = needed else {
        return least.map(|point| point.cut.clone());
    };
    let least = least?;
    // Above the upper limit, the oldest point after which no more is left than allowed, even if
    // groups still need what is before it.
    let bounded = policy.retention_max > 0 && policy.retention_max < i64::MAX;
    let too_much =
        |point: &RetentionPoint| bounded && keeps(point, policy.retention_max.saturating_add(1));
    let most = points
        .iter()
        .any(|point| too_much(point))
        .then(|| points.iter().find(|point| !too_much(point)));
    let needed = match most.flatten() {
        Some(most) if !stream.is_at_or_after(&needed, &most.cut) => most.cut.clone(),
        _ => needed,
    };
    let too_far = !stream.is_at_or_after(&least.cut, &needed);
    Some(if too_far { least.cut.clone() } else { needed })
}
