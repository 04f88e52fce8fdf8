//! Scaling: splits and merges, by hand and by rate.
//!
//! By rate, a segment is split that takes more than its target for some time, and two neighbours
//! are merged that take less than half of it for long. Rates are averages over 2, 5, 10 and 20
//! minutes, with the thresholds of Java's server.

use std::collections::HashSet;

use bytestring::ByteString;
use pravega_sdk_proto::{
    ScaleRequest, ScaleResponse, StreamInfo, scale_response::ScaleStreamStatus,
    scale_status_response::ScaleStatus,
};
use pravega_sdk_types::{KeyRange, ScopedSegment, check_cover};

use super::{
    Answer, names,
    stream::{Part, Stream},
    streams::{make_segments, min_segments, policy},
};
use crate::{ids::Moment, machine::Machine};

/// How often things are done that the clock asks for, in milliseconds; tests make it faster.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub watermarks: i64,
    pub retention: i64,
    /// How often rates are measured.
    pub rates: i64,
    /// What Java's server calls two minutes.
    pub rate_window: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { watermarks: 10_000, retention: 30 * 60_000, rates: 5_000, rate_window: 120_000 }
    }
}

/// The rates of a segment, as averages over 1, 2.5, 5 and 10 windows, and since when they are
/// measured.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    averages: [f64; 4],
    since: i64,
    measured: i64,
}

/// How many windows each average runs over.
const WINDOWS: [f64; 4] = [1.0, 2.5, 5.0, 10.0];

/// What to do about a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heat {
    /// It takes so many times its target.
    Hot(u32),
    Warm,
    Cold,
}

impl Rates {
    fn new(now: i64) -> Self {
        Self { averages: [0.0; 4], since: now, measured: now }
    }

    /// Takes in what came since the last time.
    fn measure(&mut self, amount: f64, now: i64, window: i64) {
        let elapsed = (now - self.measured).max(1) as f64;
        let rate = amount * 1000.0 / elapsed;
        for (average, windows) in self.averages.iter_mut().zip(WINDOWS) {
            let weight = 1.0 - (-elapsed / (windows * window as f64)).exp();
            *average += (rate - *average) * weight;
        }
        self.measured = now;
    }

    fn heat(&self, target: f64, now: i64, window: i64) -> Heat {
        let [two, five, ten, twenty] = self.averages;
        let age = (now - self.since) as f64 / window as f64;
        let hot = |rate: f64| Heat::Hot((rate / target).clamp(2.0, 1000.0) as u32);
        if two > 5.0 * target && age >= WINDOWS[0] {
            hot(two)
        } else if five > 2.0 * target && age >= WINDOWS[1] {
            hot(five)
        } else if ten > target && age >= WINDOWS[2] {
            hot(ten)
        } else if twenty < target / 2.0 && ten < target / 2.0 && age >= WINDOWS[3] {
            Heat::Cold
        } else {
            Heat::Warm
        }
    }
}

impl Machine {
    pub fn scale(&mut self, request: &ScaleRequest, at: Moment) -> Answer<ScaleResponse> {
        let info = request.stream_info.clone().unwrap_or_default();
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        let answer = |status: ScaleStreamStatus, segments, epoch| {
            let status = status.into();
            ScaleResponse { status, segments, epoch }
        };
        let refused = |status| Ok(answer(status, Vec::new(), 0));
        let Some(found) = self.catalog.stream(scope, stream) else {
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
        let active: Vec<Part> = found.active().to_vec();
        let sealed: Vec<Part> = active
            .iter()
            .filter(|part| request.sealed_segments.contains(&part.id))
            .copied()
            .collect();
        if sealed.len() != request.sealed_segments.len() {
            return refused(ScaleStreamStatus::PreconditionFailed);
        }
        if !covers_the_same(&sealed, &ranges) {
            return refused(ScaleStreamStatus::Failure);
        }
        if active.len() - sealed.len() + ranges.len() < min_segments(&found.config)? as usize {
            return refused(ScaleStreamStatus::PreconditionFailed);
        }
        self.store.reserve(ranges.len())?;
        let made = self.replace(scope, stream, &sealed, &ranges, at)?;
        let segments = made.into_iter().map(|part| part.message(scope, stream)).collect();
        Ok(answer(ScaleStreamStatus::Started, segments, epoch))
    }

    /// Seals segments and puts others in their place; gives the new ones.
    fn replace(
        &mut self,
        scope: &str,
        stream: &str,
        sealed: &[Part],
        ranges: &[KeyRange],
        at: Moment,
    ) -> Answer<Vec<Part>> {
        let Some(found) = self.catalog.stream_mut(scope, stream) else {
            return Ok(Vec::new());
        };
        let epoch = found.active_epoch() + 1;
        let number = found.next_number;
        let part = |(number, range): (i32, &KeyRange)| Part {
            id: names::segment_id(epoch, number),
            low: range.low(),
            high: range.high(),
        };
        let made: Vec<Part> = (number..).zip(ranges).map(part).collect();
        make_segments(&mut self.store, scope, stream, &found.config, &made, at)?;
        found.next_number = number.saturating_add(i32::try_from(made.len()).unwrap_or(i32::MAX));
        let stay = found.active().iter().filter(|part| !sealed.contains(part)).copied();
        let segments = stay.chain(made.iter().copied()).collect();
        found.add_epoch(epoch, segments, at.now.0);
        for part in sealed {
            self.store.seal(&names::segment(scope, stream, part.id), at.now).ok();
        }
        self.catalog.keep_stream(&mut self.store, scope, stream);
        Ok(made)
    }

    /// Puts a number of equal segments in the place of all.
    pub(super) fn rescale(
        &mut self,
        scope: &str,
        stream: &str,
        segments: u32,
        at: Moment,
    ) -> Answer<()> {
        let active = self
            .catalog
            .stream(scope, stream)
            .map(|found| found.active().to_vec())
            .unwrap_or_default();
        self.replace(scope, stream, &active, &KeyRange::equal(segments), at)?;
        Ok(())
    }

    pub fn check_scale(&self, info: &StreamInfo, epoch: i32) -> ScaleStatus {
        match self.catalog.stream(&info.scope, &info.stream).map(Stream::active_epoch) {
            Some(active) if epoch < active => ScaleStatus::Success,
            Some(active) if epoch == active => ScaleStatus::InProgress,
            _ => ScaleStatus::InvalidInput,
        }
    }

    /// Measures what streams that scale by rate take, and splits and merges.
    pub fn scale_by_rate(&mut self, at: Moment) {
        let window = self.pace.rate_window;
        let (mut hot, mut cold): (Vec<(ByteString, u32)>, Vec<ByteString>) =
            (Vec::new(), Vec::new());
        let traffic = self.store.take_traffic();
        let scaling: HashSet<&ByteString> = traffic.iter().map(|(name, _)| name).collect();
        self.rates.retain(|segment, _| scaling.contains(segment));
        for (segment, traffic) in traffic {
            let Some(((scale_type, target), rates)) = self
                .policy_of(&segment)
                .zip(Some(self.rates.entry(segment.clone()).or_insert(Rates::new(at.now.0))))
            else {
                continue;
            };
            let amount =
                if scale_type == 1 { traffic.bytes as f64 / 1024.0 } else { traffic.events as f64 };
            rates.measure(amount, at.now.0, window);
            match rates.heat(f64::from(target.max(1)), at.now.0, window) {
                Heat::Hot(times) => hot.push((segment, times)),
                Heat::Cold => cold.push(segment),
                Heat::Warm => {}
            }
        }
        for (segment, times) in hot {
            self.split(&segment, times, at);
        }
        self.merge_cold(&cold, at);
    }

    fn policy_of(&self, segment: &str) -> Option<(i8, i32)> {
        let segment: ScopedSegment = segment.parse().ok()?;
        let found = self.catalog.stream(segment.scope().as_str(), segment.stream().as_str())?;
        Some(policy(&found.config))
    }

    fn split(&mut self, segment: &str, times: u32, at: Moment) {
        let Ok(segment) = segment.parse::<ScopedSegment>() else { return };
        let (scope, stream) = (segment.scope().to_string(), segment.stream().to_string());
        let Some(found) = self.catalog.stream(&scope, &stream) else { return };
        let id = i64::from(segment.id());
        let Some(part) = found.active().iter().find(|part| part.id == id).copied() else { return };
        let factor =
            found.config.scaling_policy.unwrap_or_default().scale_factor.max(2).unsigned_abs();
        let Ok(range) = KeyRange::new(part.low, part.high) else { return };
        // Without room there is no split; the next measurement tries again.
        if self.store.reserve(factor as usize).is_ok() {
            self.replace(&scope, &stream, &[part], &range.split(times.clamp(2, factor)), at).ok();
        }
    }

    /// Merges neighbours that are both cold, as far as the stream keeps the segments that it must
    /// have.
    fn merge_cold(&mut self, cold: &[ByteString], at: Moment) {
        for segment in cold {
            let Ok(segment) = segment.parse::<ScopedSegment>() else { continue };
            let (scope, stream) = (segment.scope().to_string(), segment.stream().to_string());
            let Some(found) = self.catalog.stream(&scope, &stream) else { continue };
            let id = i64::from(segment.id());
            let Some(at_index) = found.active().iter().position(|part| part.id == id) else {
                continue;
            };
            let (Some(one), Some(next)) =
                (found.active().get(at_index), found.active().get(at_index + 1))
            else {
                continue;
            };
            let least = min_segments(&found.config).unwrap_or(1) as usize;
            if !cold.contains(&names::segment(&scope, &stream, next.id))
                || found.active().len() <= least
            {
                continue;
            }
            if let Ok(range) = KeyRange::new(one.low, next.high) {
                let pair = [*one, *next];
                self.replace(&scope, &stream, &pair, &[range], at).ok();
            }
        }
    }
}

/// Says whether ranges take the place of segments exactly: each run of neighbours is covered by a
/// run of ranges.
fn covers_the_same(sealed: &[Part], ranges: &[KeyRange]) -> bool {
    let old: Option<Vec<KeyRange>> =
        sealed.iter().map(|part| KeyRange::new(part.low, part.high).ok()).collect();
    let Some(old) = old else { return false };
    if old.is_empty() || ranges.is_empty() {
        return false;
    }
    runs(old).is_some_and(|old| Some(old) == runs(ranges.to_vec()))
}

/// The outer bounds of each run of ranges that meet; none if some overlap.
fn runs(mut ranges: Vec<KeyRange>) -> Option<Vec<(f64, f64)>> {
    ranges.sort_by(|a, b| a.low().total_cmp(&b.low()));
    let mut runs: Vec<Vec<KeyRange>> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| last.high() >= range.low()) => {
                run.push(range)
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
        let part = |id, low, high| Part { id, low, high };
        let range = |low, high| KeyRange::new(low, high).unwrap();
        let sealed = [part(0, 0.0, 0.25), part(2, 0.5, 0.75)];
        assert!(covers_the_same(&sealed, &[range(0.0, 0.1), range(0.1, 0.25), range(0.5, 0.75)]));
        assert!(!covers_the_same(&sealed, &[range(0.0, 0.75)]));
        assert!(!covers_the_same(&sealed, &[range(0.0, 0.25)]));
        assert!(!covers_the_same(&sealed, &[range(0.0, 0.2), range(0.1, 0.25), range(0.5, 0.75)]));
        assert!(!covers_the_same(&[], &[range(0.0, 0.2)]));
    }

    #[test]
    fn a_segment_is_hot_by_how_much_and_how_long_and_cold_after_long() {
        let window = 120_000;
        let heat = |rate: f64, minutes: i64| {
            let mut rates = Rates::new(0);
            for step in 1..=minutes * 12 {
                rates.measure(rate * 5.0, step * 5_000, window);
            }
            rates.heat(100.0, minutes * 60_000, window)
        };
        assert_eq!(heat(1_000.0, 1), Heat::Warm, "too young");
        assert!(matches!(heat(1_000.0, 3), Heat::Hot(_)));
        assert_eq!(heat(150.0, 5), Heat::Warm);
        assert_eq!(heat(150.0, 30), Heat::Hot(2));
        assert_eq!(heat(80.0, 60), Heat::Warm);
        assert_eq!(heat(10.0, 10), Heat::Warm);
        assert_eq!(heat(10.0, 60), Heat::Cold);
    }
}
