//! Scaling: splits and merges, by hand and by rate.
//!
//! By rate, a segment is split after its rate was above the target for some time, and two
//! neighbours are merged after both rates were below half of it for long. Rates are averages over
//! 2, 5, 10 and 20 minutes, with the thresholds of Java's server.

use std::collections::HashSet;

use bytestring::ByteString;
use pravega_sdk_proto::{
    ScaleRequest, ScaleResponse, StreamInfo, scale_response::ScaleStreamStatus,
    scale_status_response::ScaleStatus,
};
use pravega_sdk_types::{Epoch, KeyRange, ScopedSegment, SegmentId, SegmentNumber, check_cover};

use super::{
    error::CallResult,
    names,
    rates::{Heat, Rates},
    segments::{create_segments, min_segments, policy},
    state::Catalog,
    stream::{SegmentRecord, Stream},
};
use crate::store::{SegmentPolicy, Step};

impl Catalog {
    /// Replaces open segments by others that cover the same keys.
    pub fn scale(
        &mut self,
        request: &ScaleRequest,
        step: &mut Step<'_>,
    ) -> CallResult<ScaleResponse> {
        let info = request.stream_info.clone().unwrap_or_default();
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        let answer = |status: ScaleStreamStatus, segments, epoch| {
            let status = status.into();
            ScaleResponse { status, segments, epoch }
        };
        let refused = |status| Ok(answer(status, Vec::new(), 0));
        let Some(found) = self.stream(scope, stream) else {
            return refused(ScaleStreamStatus::Failure);
        };
        let epoch = found.active_epoch();
        let ranges: Option<Vec<KeyRange>> = request
            .new_key_ranges
            .iter()
            .map(|range| KeyRange::new(range.start, range.end).ok())
            .collect();
        let Some(ranges) = ranges.filter(|_| !found.sealed) else {
            return refused(ScaleStreamStatus::Failure);
        };
        let active = found.active();
        let asked: HashSet<i64> = request.sealed_segments.iter().copied().collect();
        let is_asked = |record: &&SegmentRecord| asked.contains(&record.id.into());
        let sealed: Vec<SegmentRecord> = active.iter().filter(is_asked).copied().collect();
        if sealed.len() != request.sealed_segments.len() {
            return refused(ScaleStreamStatus::PreconditionFailed);
        }
        if !covers_the_same(&sealed, &ranges) {
            return refused(ScaleStreamStatus::Failure);
        }
        if active.len() - sealed.len() + ranges.len() < min_segments(&found.config)? as usize {
            return refused(ScaleStreamStatus::PreconditionFailed);
        }
        step.reserve(ranges.len())?;
        let made = self.replace(scope, stream, &sealed, &ranges, step)?;
        let segments = made.into_iter().map(|record| record.message(scope, stream)).collect();
        Ok(answer(ScaleStreamStatus::Started, segments, epoch.0))
    }

    /// Replaces segments by others and seals them; returns the new ones.
    fn replace(
        &mut self,
        scope: &str,
        stream: &str,
        sealed: &[SegmentRecord],
        ranges: &[KeyRange],
        step: &mut Step<'_>,
    ) -> CallResult<Vec<SegmentRecord>> {
        let Some(found) = self.stream_mut(scope, stream) else {
            return Ok(Vec::new());
        };
        let epoch = Epoch(found.active_epoch().0 + 1);
        let first = found.next_number.0;
        let record = |(number, range): (i32, &KeyRange)| SegmentRecord {
            id: SegmentId::new(epoch, SegmentNumber(number)),
            low: range.low(),
            high: range.high(),
        };
        let made: Vec<SegmentRecord> = (first..).zip(ranges).map(record).collect();
        create_segments(scope, stream, &found.config, &made, step)?;
        let count = i32::try_from(made.len()).unwrap_or(i32::MAX);
        found.next_number = SegmentNumber(first.saturating_add(count));
        let ends: HashSet<SegmentId> = sealed.iter().map(|record| record.id).collect();
        let stay = found.active().iter().filter(|record| !ends.contains(&record.id)).copied();
        let segments = stay.chain(made.iter().copied()).collect();
        found.add_epoch(epoch, segments, step.at.now);
        for record in sealed {
            step.seal(&names::segment(scope, stream, record.id)).ok();
        }
        self.save_stream(step.journal, scope, stream);
        Ok(made)
    }

    /// Replaces all open segments by a number of equal ones.
    pub(super) fn rescale(
        &mut self,
        scope: &str,
        stream: &str,
        segments: u32,
        step: &mut Step<'_>,
    ) -> CallResult<()> {
        let active =
            self.stream(scope, stream).map(|found| found.active().to_vec()).unwrap_or_default();
        self.replace(scope, stream, &active, &KeyRange::equal(segments), step)?;
        Ok(())
    }

    /// Returns success once the stream has a newer epoch.
    pub fn check_scale(&self, info: &StreamInfo, epoch: i32) -> ScaleStatus {
        let epoch = Epoch(epoch);
        match self.stream(&info.scope, &info.stream).map(Stream::active_epoch) {
            Some(active) if epoch < active => ScaleStatus::Success,
            Some(active) if epoch == active => ScaleStatus::InProgress,
            _ => ScaleStatus::InvalidInput,
        }
    }

    /// Measures the rates of streams that scale by rate, and splits and merges segments.
    pub(crate) fn scale_by_rate(&mut self, window: i64, step: &mut Step<'_>) {
        let (mut hot, mut cold): (Vec<(ByteString, u32)>, Vec<ByteString>) =
            (Vec::new(), Vec::new());
        let (now, traffic) = (step.at.now, step.store.take_traffic());
        let scaling: HashSet<&ByteString> = traffic.iter().map(|(name, _)| name).collect();
        self.rates.retain(|segment, _| scaling.contains(segment));
        for (segment, traffic) in traffic {
            let policy = self.policy_of(&segment);
            let rates = self.rates.entry(segment.clone()).or_insert(Rates::new(now));
            let Some(policy) = policy else { continue };
            let amount = if policy.scale_type == 1 {
                traffic.bytes as f64 / 1024.0
            } else {
                traffic.events as f64
            };
            rates.measure(amount, now, window);
            match rates.heat(f64::from(policy.target_rate.max(1)), now, window) {
                Heat::Hot(times) => hot.push((segment, times)),
                Heat::Cold => cold.push(segment),
                Heat::Warm => {}
            }
        }
        for (segment, times) in hot {
            self.split(&segment, times, step);
        }
        self.merge_cold(&cold, step);
    }

    fn policy_of(&self, segment: &str) -> Option<SegmentPolicy> {
        let segment: ScopedSegment = segment.parse().ok()?;
        let found = self.stream(segment.scope().as_str(), segment.stream().as_str())?;
        Some(policy(&found.config))
    }

    fn split(&mut self, segment: &str, times: u32, step: &mut Step<'_>) {
        let Ok(segment) = segment.parse::<ScopedSegment>() else { return };
        let (scope, stream) = (segment.scope().to_string(), segment.stream().to_string());
        let Some(found) = self.stream(&scope, &stream) else { return };
        let id = segment.id();
        let Some(record) = found.active().iter().find(|record| record.id == id).copied() else {
            return;
        };
        let factor =
            found.config.scaling_policy.unwrap_or_default().scale_factor.max(2).unsigned_abs();
        let Ok(range) = KeyRange::new(record.low, record.high) else { return };
        // At the memory limit the split waits for the next measurement.
        if step.reserve(factor as usize).is_ok() {
            self.replace(&scope, &stream, &[record], &range.split(times.clamp(2, factor)), step)
                .ok();
        }
    }

    /// Merges neighbours that are both cold, down to the fewest segments of the stream.
    fn merge_cold(&mut self, cold: &[ByteString], step: &mut Step<'_>) {
        let all: HashSet<&ByteString> = cold.iter().collect();
        for segment in cold {
            let Ok(segment) = segment.parse::<ScopedSegment>() else { continue };
            let (scope, stream) = (segment.scope().to_string(), segment.stream().to_string());
            let Some(found) = self.stream(&scope, &stream) else { continue };
            let id = segment.id();
            let Some(at_index) = found.active().iter().position(|record| record.id == id) else {
                continue;
            };
            let (Some(one), Some(next)) =
                (found.active().get(at_index), found.active().get(at_index + 1))
            else {
                continue;
            };
            let least = min_segments(&found.config).unwrap_or(1) as usize;
            if !all.contains(&names::segment(&scope, &stream, next.id))
                || found.active().len() <= least
            {
                continue;
            }
            if let Ok(range) = KeyRange::new(one.low, next.high) {
                let pair = [*one, *next];
                self.replace(&scope, &stream, &pair, &[range], step).ok();
            }
        }
    }
}

/// Returns true if ranges cover exactly the keys of segments: each run of neighbours is covered by
/// a run of ranges.
fn covers_the_same(sealed: &[SegmentRecord], ranges: &[KeyRange]) -> bool {
    let old: Option<Vec<KeyRange>> =
        sealed.iter().map(|record| KeyRange::new(record.low, record.high).ok()).collect();
    let Some(old) = old else { return false };
    if old.is_empty() || ranges.is_empty() {
        return false;
    }
    runs(old).is_some_and(|old| Some(old) == runs(ranges.to_vec()))
}

/// The outer bounds of each run of ranges that meet; `None` if some overlap.
fn runs(mut ranges: Vec<KeyRange>) -> Option<Vec<(f64, f64)>> {
    ranges.sort_by(|a, b| a.low().total_cmp(&b.low()));
    let mut runs: Vec<Vec<KeyRange>> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| last.high() >= range.low()) => {
                run.push(range);
            }
            _ => runs.push(vec![range]),
        }
    }
    runs.iter().map(|run| check_cover(run).ok().map(|all| (all.low(), all.high()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_covers_each_run_of_neighbours_and_nothing_else() {
        let record = |id: i64, low, high| SegmentRecord { id: id.into(), low, high };
        let range = |low, high| KeyRange::new(low, high).unwrap();
        let sealed = [record(0, 0.0, 0.25), record(2, 0.5, 0.75)];
        assert!(covers_the_same(&sealed, &[range(0.0, 0.1), range(0.1, 0.25), range(0.5, 0.75)]));
        assert!(!covers_the_same(&sealed, &[range(0.0, 0.75)]));
        assert!(!covers_the_same(&sealed, &[range(0.0, 0.25)]));
        assert!(!covers_the_same(&sealed, &[range(0.0, 0.2), range(0.1, 0.25), range(0.5, 0.75)]));
        assert!(!covers_the_same(&[], &[range(0.0, 0.2)]));
    }
}
