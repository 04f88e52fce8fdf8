//! Retention: truncation by time or by size, and by the progress of reader groups.

use pravega_sdk_proto::{RetentionPolicy, retention_policy::RetentionPolicyType};
use pravega_sdk_types::{Offset, SegmentId, SegmentOffset};

use super::{
    cut::Cut,
    names,
    state::{Catalog, Scope},
    stream::{RetentionPoint, SegmentRecord, Stream},
};
use crate::{record::Millis, store::Step};

/// The most points that are kept. Beyond it, every second of the older half is dropped.
const MAX_RETENTION_POINTS: usize = 1000;

impl Catalog {
    /// Records the tail of each stream with a policy, and drops what the policy does not keep.
    pub(crate) fn retain(&mut self, step: &mut Step<'_>) {
        let with_policy = |(scope, found): (&String, &Scope)| {
            let streams = found
                .streams
                .iter()
                .filter(|(_, stream)| policy_of(stream).is_some() && !stream.sealed);
            streams.map(|(stream, _)| (scope.clone(), stream.clone())).collect::<Vec<_>>()
        };
        let due: Vec<(String, String)> = self.scopes.iter().flat_map(with_policy).collect();
        for (scope, stream) in due {
            if let Some(cut) = self.truncation_cut(&scope, &stream, step) {
                self.truncate_to(&scope, &stream, cut, step);
            } else {
                self.save_stream(step.journal, &scope, &stream);
            }
        }
    }

    fn truncation_cut(&mut self, scope: &str, stream: &str, step: &mut Step<'_>) -> Option<Cut> {
        let ends = self.ends(scope, stream, step)?;
        let bytes = self.bytes_written(scope, stream, step)?;
        let found = self.stream_mut(scope, stream)?;
        let policy = policy_of(found)?;
        found.retention_points.push(RetentionPoint { at: step.at.now, bytes, cut: ends });
        let points = found.retention_points.clone();
        if found.retention_points.len() > MAX_RETENTION_POINTS {
            let mut index = 0;
            found.retention_points.retain(|_| {
                index += 1;
                index > MAX_RETENTION_POINTS / 2 || index % 2 == 0
            });
        }
        let cut = chosen(found, policy, &points, step.at.now, bytes)?;
        let moves = cut != found.head() && found.is_at_or_after(&cut, &found.head());
        if moves {
            let kept = found
                .retention_points
                .iter()
                .filter(|point| found.is_at_or_after(&point.cut, &cut))
                .cloned()
                .collect();
            found.retention_points = kept;
        }
        moves.then_some(cut)
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
        Some(found.all_segments().map(len).sum())
    }
}

fn policy_of(stream: &Stream) -> Option<RetentionPolicy> {
    stream
        .config
        .retention_policy
        .filter(|policy| policy.retention_type() != RetentionPolicyType::Unknown)
}

/// The cut to truncate at: as far as the groups have read, but at least as far as the upper limit
/// demands and at most as far as the lower one allows.
fn chosen(
    stream: &Stream,
    policy: RetentionPolicy,
    points: &[RetentionPoint],
    now: Millis,
    bytes: i64,
) -> Option<Cut> {
    let keeps = |point: &&RetentionPoint, amount: i64| match policy.retention_type() {
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
        |point: &&RetentionPoint| bounded && keeps(point, policy.retention_max.saturating_add(1));
    let most = points
        .iter()
        .any(|point| too_much(&point))
        .then(|| points.iter().find(|point| !too_much(point)));
    let needed = match most.flatten() {
        Some(most) if !stream.is_at_or_after(&needed, &most.cut) => most.cut.clone(),
        _ => needed,
    };
    let too_far = !stream.is_at_or_after(&least.cut, &needed);
    Some(if too_far { least.cut.clone() } else { needed })
}
