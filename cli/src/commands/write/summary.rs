//! What was written, how fast.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{
    failure::Result,
    output::{Format, Output, Record, counted},
};

/// Everything that was written.
pub(super) struct Totals {
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) skipped: u64,
    pub(super) took: Duration,
}

/// With fewer events there is no rate to tell.
const MEASURED: u64 = 100;

/// Prints the totals, as a status line or as data. `latencies` are in microseconds; `next` is the
/// number of the first line or event of the input that is not written.
pub(super) fn show(
    totals: &Totals,
    latencies: Option<&Histogram<u64>>,
    next: u64,
    output: &mut Output,
) -> Result<()> {
    let Totals { events, bytes, skipped, took } = *totals;
    let seconds = took.as_secs_f64().max(1e-6);
    let per_second = |count: u64| (count as f64 / seconds).round();
    let rate = per_second(events);
    let percentiles = latencies.map(|latencies| {
        [50.0, 99.0].map(|percentile| latencies.value_at_percentile(percentile) as f64 / 1000.0)
    });
    if output.format() == Format::Text {
        let size = indicatif::HumanBytes(bytes);
        let mut text = format!("wrote {}, {size}, in {seconds:.1} s", counted(events, "event"));
        // A rate of a few events says nothing.
        if events >= MEASURED {
            let (events, bytes) = (rate as u64, per_second(bytes) as u64);
            let bytes = indicatif::HumanBytes(bytes);
            text.push_str(&format!(": {} and {bytes} per second", counted(events, "event")));
            if let Some([p50, p99]) = percentiles {
                text.push_str(&format!(", p50 {p50:.1} ms, p99 {p99:.1} ms"));
            }
        }
        if skipped > 0 {
            text.push_str(&format!("; skipped {}", counted(skipped, "invalid line")));
        }
        output.status(text);
        return Ok(());
    }
    let mut record = Record::new()
        .with("events", events)
        .with("bytes", bytes)
        .with("skipped", skipped)
        .with("next", next)
        .with("seconds", (seconds * 1000.0).round() / 1000.0)
        .with("events_per_s", rate);
    if let Some([p50, p99]) = percentiles {
        record = record.with("p50_ms", p50).with("p99_ms", p99);
    }
    output.one(record)
}
