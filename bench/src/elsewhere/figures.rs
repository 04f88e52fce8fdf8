//! What was measured of a system in a case.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The figures of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) events: u64,
    pub(super) seconds: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) max_us: f64,
    /// The events and the p99 of each second.
    pub(super) each: Vec<Second>,
    /// The check of what was acknowledged; `None` if nothing keeps it.
    pub(super) checked: Option<Checked>,
    /// The peak of the server's resident memory, in MiB; `None` without a server.
    pub(super) peak_mib: Option<u64>,
}

/// A second of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Second {
    pub(super) events: u64,
    pub(super) p99_us: f64,
}

/// What was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) acknowledged: u64,
    pub(super) read: u64,
    /// Events that were missing, doubled, changed or out of order.
    pub(super) faults: u64,
}

impl Checked {
    /// Parses a line of a client.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line)?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64).context("no number");
        let (acknowledged, read) = (number("acknowledged")?, number("read")?);
        Ok(Self { acknowledged, read, faults: number("faults")? })
    }

    /// Returns true if each acknowledged event was read once, in order.
    pub(super) fn is_whole(self) -> bool {
        self.faults == 0 && self.read == self.acknowledged
    }
}

impl Figures {
    /// Parses a line of a client.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line)?;
        let number =
            |name: &str| value.get(name).and_then(Value::as_f64).context("a figure is missing");
        let each = value.get("each").and_then(Value::as_array).context("no seconds")?;
        let each = each.iter().map(|second| {
            let events = second.get(0).and_then(Value::as_u64).context("no events")?;
            let p99_us = second.get(1).and_then(Value::as_f64).context("no p99")?;
            Ok(Second { events, p99_us })
        });
        Ok(Self {
            events: value.get("events").and_then(Value::as_u64).context("no events")?,
            seconds: number("seconds")?,
            p50_us: number("p50_us")?,
            p99_us: number("p99_us")?,
            max_us: number("max_us")?,
            each: each.collect::<Result<_>>()?,
            checked: None,
            peak_mib: None,
        })
    }

    pub(super) fn events_per_s(&self) -> f64 {
        if self.seconds > 0.0 { self.events as f64 / self.seconds } else { 0.0 }
    }

    /// The whole seconds in which events were handed in: the last one is cut.
    pub(super) fn whole_seconds(&self, wanted: f64) -> &[Second] {
        let whole = (self.seconds.min(wanted) as usize).min(self.each.len());
        self.each.get(..whole).unwrap_or_default()
    }

    /// The number of seconds in which nothing was acknowledged.
    pub(super) fn silent_seconds(&self, wanted: f64) -> usize {
        self.whole_seconds(wanted).iter().filter(|second| second.events == 0).count()
    }

    pub(super) fn json(&self) -> Value {
        let each: Vec<Value> =
            self.each.iter().map(|second| json!([second.events, second.p99_us])).collect();
        let checked = self.checked.map(|checked| {
            json!({
                "acknowledged": checked.acknowledged,
                "read": checked.read,
                "faults": checked.faults,
            })
        });
        json!({
            "events": self.events,
            "seconds": self.seconds,
            "events_per_s": self.events_per_s(),
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "max_us": self.max_us,
            "server_peak_mib": self.peak_mib,
            "read_back": checked,
            "each": each,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::elsewhere::{numbered::Check, timeline::Timeline};

    #[test]
    fn what_a_client_prints_is_what_is_read() {
        let began = Instant::now();
        let mut timeline = Timeline::new(began);
        timeline.acknowledged(began);
        timeline.read(7);
        let figures = Figures::parse(&timeline.report(Duration::from_secs(2))).unwrap();
        assert_eq!((figures.events, figures.seconds, figures.each.len()), (8, 2.0, 1));
        assert_eq!(figures.events_per_s(), 4.0);
        let checked = Checked::parse(&Check::new(1, 100).report(3)).unwrap();
        assert_eq!(checked, Checked { acknowledged: 3, read: 0, faults: 0 });
        assert!(!checked.is_whole());
    }

    #[test]
    fn a_second_without_an_acknowledgement_is_silent_but_not_the_last_which_is_cut() {
        let second = |events| Second { events, p99_us: 0.0 };
        let each = vec![second(5), second(0), second(5), second(0)];
        let figures = Figures { seconds: 3.2, each, ..Figures::default() };
        assert_eq!(figures.silent_seconds(60.0), 1);
        assert_eq!(figures.silent_seconds(1.0), 0);
    }
}
