//! The times that writers note, the watermarks that are made of them, and the windows of readers.

use std::collections::{BTreeMap, BTreeSet};

use pravega_sdk_controller_client::SegmentWithRange;
use pravega_sdk_types::{
    Offset, SegmentId, Timestamp, Watermark, WatermarkSegment, serial::SerialError,
};

use super::log::{Complete, Log, Returned, Shared};

/// The times of all events that were not truncated.
pub(super) type EventTimes = BTreeMap<(SegmentId, Offset), i64>;

/// The clocks of two writers. The times of the events of each rise.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    first: i64,
    second: i64,
}

impl Clocks {
    /// Returns the time of the next event, which is of one of the writers.
    pub(super) fn next(&mut self, random: &mut fastrand::Rng) -> i64 {
        let clock = if random.bool() { &mut self.first } else { &mut self.second };
        *clock += random.i64(1..20);
        *clock
    }

    /// Makes a watermark: each writer has noted the time of its last event, and all events are
    /// before these ends of the active segments.
    pub(super) fn watermark(
        &self,
        active: &[SegmentWithRange],
        tail: &BTreeMap<SegmentId, Offset>,
    ) -> Result<Vec<u8>, SerialError> {
        let place = |segment: &SegmentWithRange| {
            let end = tail.get(&segment.id)?;
            Some(WatermarkSegment::new(segment.id, segment.range, (*end).into()))
        };
        let places: Vec<WatermarkSegment> = active.iter().filter_map(place).collect();
        let lower = Timestamp::from_millis(self.first.min(self.second));
        let upper = Timestamp::from_millis(self.first.max(self.second));
        Watermark::encode(lower, upper, &places)
    }
}

/// Returns the text of an event.
pub(super) fn text(number: u64, time: i64, len: usize) -> String {
    format!("{number}:{time}:{}", "x".repeat(len))
}

/// Returns the time of an event.
pub(super) fn time_of(event: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(event).ok()?;
    text.split(':').nth(1)?.parse().ok()
}

/// R15: after a reader was told that all up to a time is read, no reader returns an event of such a
/// time for the first time.
pub(super) fn check_windows(log: &Log, times: &EventTimes, shared: &Shared) {
    let mut told = log.complete.iter().peekable();
    let mut latest: Option<&Complete> = None;
    let mut returned = BTreeSet::new();
    for (number, item) in log.items.iter().enumerate() {
        while let Some(next) = told.next_if(|next| next.items <= number) {
            latest = latest.filter(|latest| latest.time > next.time).or(Some(next));
        }
        let Returned::Event { segment, offset } = item.returned else { continue };
        let (Some(time), Some(complete)) = (times.get(&(segment, offset)), latest) else {
            returned.insert((segment, offset));
            continue;
        };
        if returned.insert((segment, offset)) && *time <= complete.time {
            let Complete { reader, time: told, .. } = complete;
            let detail = format!("{item:?} of the time {time}, after {reader} was told of {told}");
            shared.say("R15", detail);
        }
    }
}
