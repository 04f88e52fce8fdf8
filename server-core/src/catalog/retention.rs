//! Retention: what is dropped by time, by size, and by what reader groups still need.

use pravega_sdk_proto::{RetentionPolicy, retention_policy::RetentionPolicyType};

use super::{
    names,
    stream::{Cut, Recorded, Stream},
};
use crate::{ids::Moment, machine::Machine};

/// How many places are remembered; the older half thins out then.
const MAX_RECORDED: usize = 1000;

impl Machine {
    /// Notes where each stream with a policy ends, and drops what its policy does not keep.
    pub fn retain(&mut self, at: Moment) {
        let with_policy = |(scope, found): (&String, &super::Scope)| {
            let streams = found
                .streams
                .iter()
                .filter(|(_, stream)| policy_of(stream).is_some() && !stream.sealed);
            streams.map(|(stream, _)| (scope.clone(), stream.clone())).collect::<Vec<_>>()
        };
        let due: Vec<(String, String)> = self.catalog.scopes.iter().flat_map(with_policy).collect();
        for (scope, stream) in due {
            if let Some(cut) = self.what_to_cut(&scope, &stream, at) {
                self.cut_off(&scope, &stream, cut, at);
            } else {
                self.catalog.keep_stream(&mut self.store, &scope, &stream);
            }
        }
    }

    fn what_to_cut(&mut self, scope: &str, stream: &str, at: Moment) -> Option<Cut> {
        let ends = self.ends(scope, stream)?;
        let bytes = self.bytes_ever(scope, stream)?;
        let found = self.catalog.stream_mut(scope, stream)?;
        let policy = policy_of(found)?;
        found.recorded.push(Recorded { at: at.now.0, bytes, cut: ends });
        let places = found.recorded.clone();
        if found.recorded.len() > MAX_RECORDED {
            let mut index = 0;
            found.recorded.retain(|_| {
                index += 1;
                index > MAX_RECORDED / 2 || index % 2 == 0
            });
        }
        let cut = chosen(found, policy, &places, at.now.0, bytes)?;
        let moves = cut != found.head() && found.is_at_or_behind(&cut, &found.head());
        if moves {
            let kept = found
                .recorded
                .iter()
                .filter(|place| found.is_at_or_behind(&place.cut, &cut))
                .cloned()
                .collect();
            found.recorded = kept;
        }
        moves.then_some(cut)
    }

    /// Where the active segments of a stream end.
    fn ends(&self, scope: &str, stream: &str) -> Option<Cut> {
        let found = self.catalog.stream(scope, stream)?;
        let end = |id: i64| {
            self.store
                .info(&names::segment(scope, stream, id))
                .ok()
                .map(|info| (id, info.len as i64))
        };
        found.active().iter().map(|part| end(part.id)).collect()
    }

    /// How many bytes were ever written to a stream.
    fn bytes_ever(&self, scope: &str, stream: &str) -> Option<i64> {
        let found = self.catalog.stream(scope, stream)?;
        let len = |id: i64| {
            self.store.info(&names::segment(scope, stream, id)).map_or(0, |info| info.len as i64)
        };
        Some(
            found
                .every_part()
                .map(|part| found.gone.get(&part.id).copied().unwrap_or_else(|| len(part.id)))
                .sum(),
        )
    }
}

fn policy_of(stream: &Stream) -> Option<RetentionPolicy> {
    stream
        .config
        .retention_policy
        .filter(|policy| policy.retention_type() != RetentionPolicyType::Unknown)
}

/// The place to truncate at: as far as the groups are, but no less than the limit above asks for
/// and no more than the limit below allows.
fn chosen(
    stream: &Stream,
    policy: RetentionPolicy,
    places: &[Recorded],
    now: i64,
    bytes: i64,
) -> Option<Cut> {
    let keeps = |place: &&Recorded, amount: i64| match policy.retention_type() {
        RetentionPolicyType::Time => now.saturating_sub(place.at) >= amount,
        _ => bytes.saturating_sub(place.bytes) >= amount,
    };
    // The newest place behind which the least is left that must be kept.
    let least = places.iter().rev().find(|place| keeps(place, policy.retention_param));
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
        return least.map(|place| place.cut.clone());
    };
    let least = least?;
    // More is there than may be: then the oldest place behind which no more is left, whatever the
    // groups need.
    let bounded = policy.retention_max > 0 && policy.retention_max < i64::MAX;
    let too_much =
        |place: &&Recorded| bounded && keeps(place, policy.retention_max.saturating_add(1));
    let most = places
        .iter()
        .any(|place| too_much(&place))
        .then(|| places.iter().find(|place| !too_much(place)));
    let needed = match most.flatten() {
        Some(most) if !stream.is_at_or_behind(&needed, &most.cut) => most.cut.clone(),
        _ => needed,
    };
    let too_far = !stream.is_at_or_behind(&least.cut, &needed);
    Some(if too_far { least.cut.clone() } else { needed })
}
