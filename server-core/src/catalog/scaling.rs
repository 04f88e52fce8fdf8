//! Scaling: splits and merges, by hand and by rate.
//!
//! By rate, a segment is split after its rate was above the target for some time, and two
//! neighbours are merged after both rates were below half of it for long. Rates are averages over
//! 2, 5, 10 and 20 minutes, with the thresholds of Java's server.

use std::{
    collections::{HashMap, HashSet},
    ops::Bound,
};

use bytestring::ByteString;
use pravega_sdk_proto::{
    ScaleRequest, ScaleResponse, StreamConfig, StreamInfo, scale_response::ScaleStreamStatus,
    scale_status_response::ScaleStatus,
};
use pravega_sdk_types::{Epoch, KeyRange, SegmentId, check_cover};

use super::{
    change::StreamPart,
    error::CallResult,
    history::{EpochRecord, SegmentRecord},
    names,
    plan::Plan,
    rates::{Heat, Rates},
    segments::{check_count, min_segments, new_segments, plan_sealing, plan_segments, policy},
    state::Catalog,
    stream::Stream,
};
use crate::store::{Step, Traffic};

/// The segments that are measured in one slice.
const MEASURED: usize = 1000;

/// The scope and the stream of a segment.
fn stream_of(segment: &str) -> Option<(String, String)> {
    let (stream, _) = segment.rsplit_once('/')?;
    let (scope, stream) = stream.split_once('/')?;
    Some((scope.to_owned(), stream.to_owned()))
}

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
        let epoch = found.history.active_epoch();
        let ranges: Option<Vec<KeyRange>> = request
            .new_key_ranges
            .iter()
            .map(|range| KeyRange::new(range.start, range.end).ok())
            .collect();
        let Some(ranges) = ranges.filter(|_| !found.is_sealed()) else {
            return refused(ScaleStreamStatus::Failure);
        };
        let active = found.active();
        if request.sealed_segments.len() > active.len() {
            return refused(ScaleStreamStatus::PreconditionFailed);
        }
        let asked: HashSet<i64> = request.sealed_segments.iter().copied().collect();
        let is_asked = |record: &&SegmentRecord| asked.contains(&record.id.into());
        let sealed: Vec<SegmentRecord> = active.iter().filter(is_asked).copied().collect();
        if sealed.len() != request.sealed_segments.len() {
            return refused(ScaleStreamStatus::PreconditionFailed);
        }
        let after = active.len() - sealed.len() + ranges.len();
        if ranges.len() > active.len() {
            check_count(after)?;
        }
        if !covers_the_same(&sealed, &ranges) {
            return refused(ScaleStreamStatus::Failure);
        }
        if after < min_segments(found.config())? as usize {
            return refused(ScaleStreamStatus::PreconditionFailed);
        }
        check_count(after)?;
        let mut plan = Plan::new();
        let scale = Scale { scope, stream, config: found.config() };
        let created = scale.plan(&mut plan, found, &sealed, &ranges, step)?;
        self.carry_out(plan, step)?;
        let segments = created.into_iter().map(|record| record.message(scope, stream)).collect();
        Ok(answer(ScaleStreamStatus::Started, segments, epoch.0))
    }

    /// Returns success once the stream has a newer epoch.
    pub fn check_scale(&self, info: &StreamInfo, epoch: i32) -> ScaleStatus {
        let epoch = Epoch(epoch);
        let found = self.stream(&info.scope, &info.stream);
        match found.map(|found| found.history.active_epoch()) {
            Some(active) if epoch < active => ScaleStatus::Success,
            Some(active) if epoch == active => ScaleStatus::InProgress,
            _ => ScaleStatus::InvalidInput,
        }
    }

    /// Measures the rates of segments whose streams scale by rate, in the order of their names, and
    /// splits and merges the segments of each stream after its last one: for the next slice of
    /// them. Returns where the round goes on.
    pub(crate) fn scale_by_rate(
        &mut self,
        after: &ByteString,
        window: i64,
        step: &mut Step<'_>,
    ) -> Option<ByteString> {
        let (now, mut previous) = (step.at.now, stream_of(after));
        let traffic = step.store.take_traffic(after, MEASURED);
        let last = traffic.last().filter(|_| traffic.len() == MEASURED);
        let last = last.map(|(name, _)| name.clone());
        self.forget_rates(after, last.as_ref(), &traffic);
        for (name, traffic) in traffic {
            let stream = stream_of(&name);
            if stream != previous {
                self.scale_hot_and_cold(previous.take(), window, step);
                previous.clone_from(&stream);
            }
            let Some((scope, stream)) = stream else { continue };
            let Some(found) = self.stream(&scope, &stream) else { continue };
            let amount = if policy(found.config()).scale_type == 1 {
                traffic.bytes as f64 / 1024.0
            } else {
                traffic.events as f64
            };
            let rates = self.rates.entry(name).or_insert(Rates::new(now));
            rates.measure(amount, now, window);
        }
        if last.is_none() {
            self.scale_hot_and_cold(previous, window, step);
        }
        last
    }

    /// Forgets the rates of segments that are not measured any more, up to a name or the end.
    fn forget_rates(
        &mut self,
        after: &ByteString,
        last: Option<&ByteString>,
        traffic: &[(ByteString, Traffic)],
    ) {
        let end = last.map_or(Bound::Unbounded, Bound::Included);
        let known =
            self.rates.range::<ByteString, _>((Bound::Excluded(after), end)).map(|(name, _)| name);
        let measured: HashSet<&ByteString> = traffic.iter().map(|(name, _)| name).collect();
        let is_left = |name: &&ByteString| !measured.contains(*name);
        let left: Vec<ByteString> = known.filter(is_left).take(MEASURED).cloned().collect();
        for name in left {
            self.rates.remove(&name);
        }
    }

    /// Splits and merges the segments of a stream by their rates.
    fn scale_hot_and_cold(
        &mut self,
        stream: Option<(String, String)>,
        window: i64,
        step: &mut Step<'_>,
    ) {
        let Some((scope, stream)) = stream else { return };
        let found = self.stream(&scope, &stream).filter(|found| !found.is_sealed());
        let Some(found) = found else { return };
        let target = f64::from(policy(found.config()).target_rate.max(1));
        let heat = |record: &SegmentRecord| {
            let rates = self.rates.get(&names::segment(&scope, &stream, record.id))?;
            let heat = rates.heat(target, step.at.now, window);
            (heat != Heat::Warm).then_some((record.id, heat))
        };
        let heat: HashMap<SegmentId, Heat> = found.active().iter().filter_map(heat).collect();
        if !heat.is_empty() {
            self.split_hot(&scope, &stream, &heat, step);
            self.merge_cold(&scope, &stream, &heat, step);
        }
    }

    /// Splits the hot segments of a stream.
    fn split_hot(
        &mut self,
        scope: &str,
        stream: &str,
        heat: &HashMap<SegmentId, Heat>,
        step: &mut Step<'_>,
    ) {
        let Some(found) = self.stream(scope, stream) else { return };
        let factor =
            found.config().scaling_policy.unwrap_or_default().scale_factor.max(2).unsigned_abs();
        let (mut sealed, mut ranges) = (Vec::new(), Vec::new());
        for record in found.active() {
            if let Some(Heat::Hot(times)) = heat.get(&record.id)
                && let Ok(range) = KeyRange::new(record.low, record.high)
            {
                sealed.push(*record);
                ranges.extend(range.split((*times).clamp(2, factor)));
            }
        }
        // At the memory limit the split waits for the next measurement.
        self.replace(scope, stream, &sealed, &ranges, step).ok();
    }

    /// Merges neighbours that are both cold, down to the fewest segments of the stream.
    fn merge_cold(
        &mut self,
        scope: &str,
        stream: &str,
        heat: &HashMap<SegmentId, Heat>,
        step: &mut Step<'_>,
    ) {
        let Some(found) = self.stream(scope, stream) else { return };
        let least = min_segments(found.config()).unwrap_or(1) as usize;
        let is_cold = |record: &SegmentRecord| heat.get(&record.id) == Some(&Heat::Cold);
        let (mut sealed, mut ranges) = (Vec::new(), Vec::new());
        let mut active = found.active().iter().peekable();
        while let Some(one) = active.next() {
            let is_above = found.active().len() - ranges.len() > least;
            let next = active.peek().filter(|next| is_above && is_cold(one) && is_cold(next));
            if let Some(next) = next
                && let Ok(range) = KeyRange::new(one.low, next.high)
            {
                sealed.extend([*one, **next]);
                ranges.push(range);
                active.next();
            }
        }
        self.replace(scope, stream, &sealed, &ranges, step).ok();
    }

    /// Replaces active segments of a stream by others.
    fn replace(
        &mut self,
        scope: &str,
        stream: &str,
        sealed: &[SegmentRecord],
        ranges: &[KeyRange],
        step: &mut Step<'_>,
    ) -> CallResult<()> {
        let Some(found) = self.stream(scope, stream).filter(|_| !sealed.is_empty()) else {
            return Ok(());
        };
        check_count(found.active().len() - sealed.len() + ranges.len())?;
        let mut plan = Plan::new();
        let scale = Scale { scope, stream, config: found.config() };
        scale.plan(&mut plan, found, sealed, ranges, step)?;
        self.carry_out(plan, step)
    }
}

/// A scale of a stream, with the configuration that it has afterwards.
pub(super) struct Scale<'a> {
    pub(super) scope: &'a str,
    pub(super) stream: &'a str,
    pub(super) config: &'a StreamConfig,
}

impl Scale<'_> {
    /// Plans that active segments of a stream are sealed and replaced by others; returns the
    /// others.
    pub(super) fn plan(
        &self,
        plan: &mut Plan,
        found: &Stream,
        sealed: &[SegmentRecord],
        ranges: &[KeyRange],
        step: &Step<'_>,
    ) -> CallResult<Vec<SegmentRecord>> {
        let Self { scope, stream, config } = *self;
        let epoch = found.history.next_epoch();
        let created = new_segments(epoch, found.history.next_number(), ranges)?;
        plan_segments(plan, scope, stream, config, &created, step);
        plan_sealing(plan, scope, stream, sealed, step);
        let record = EpochRecord {
            reference: epoch,
            at: found.history.next_begins(step.at.now),
            sealed: sealed.iter().map(|record| record.id).collect(),
            created: created.clone(),
        };
        plan.stream(scope, stream, StreamPart::Epoch(epoch, record));
        Ok(created)
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
