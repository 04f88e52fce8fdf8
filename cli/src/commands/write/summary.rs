//! What was written, how fast.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{
    failure::Result,
    output::{Format, Output, Record},
};

/// Everything that was written.
pub(super) struct Totals {
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) skipped: u64,
    pub(super) took: Duration,
}

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
    let rate = (events as f64 / seconds).round();
    let percentiles = latencies.map(|latencies| {
        [50.0, 99.0].map(|percentile| latencies.value_at_percentile(percentile) as f64 / 1000.0)
    });
    if output.format() == Format::Text {
        let mut text = format!(
            "wrote {events} events, {}, in {seconds:.1} s: {rate:.0} per second",
            indicatif::HumanBytes(bytes)
        );
        if let Some([p50, p99]) = percentiles {
            text.push_str(&format!(", p50 {p50:.1} ms, p99 {p99:.1} ms"));
        }
        if skipped > 0 {
            text.push_str(&format!("; skipped {skipped} invalid lines"));
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
