//! What this project must reach beside the others, in one run.

use std::collections::BTreeMap;

use super::{
    case::{ALONE, COLD, Case, DRAWN, FLOOD, RATE},
    figures::Figures,
    systems::System,
};

/// The least rate of events of 100 bytes, each synced.
const LEAST_FLOOD: f64 = 1_200_000.0;
/// The ratio to Kafka's rate of events of 1 KiB.
const TIMES_KAFKA: f64 = 1.2;
const MOST_P99_US: f64 = 200_000.0;
/// What a server may add to an append and its sync.
const ADDED_US: f64 = 60.0;
/// The share of the disk's sequential rate.
const SHARE_OF_DISK: f64 = 0.7;

/// A target, and whether it is reached.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) text: String,
    /// `None` if what it is compared with was not measured.
    pub(super) reached: Option<bool>,
}

fn at_least(what: &str, found: f64, wanted: Option<f64>) -> Target {
    Target {
        text: wanted
            .map_or(format!("{what}: not measured"), |wanted| format!("{what}: ≥ {wanted:.0}")),
        reached: wanted.map(|wanted| found >= wanted),
    }
}

fn at_most(what: &str, found: f64, wanted: Option<f64>) -> Target {
    Target {
        text: wanted
            .map_or(format!("{what}: not measured"), |wanted| format!("{what}: ≤ {wanted:.0}")),
        reached: wanted.map(|wanted| found <= wanted),
    }
}

/// Returns the targets of a case. A run of `seconds` has written.
pub(super) fn targets(
    case: &Case,
    all: &BTreeMap<System, Figures>,
    seconds: f64,
    disk_rate: Option<f64>,
) -> Vec<Target> {
    let Some(own) = all.get(&System::Own) else { return Vec::new() };
    let of = |system: System, figure: fn(&Figures) -> f64| all.get(&system).map(figure);
    let mut targets = match case.name {
        FLOOD => vec![
            at_least("events/s", own.events_per_s(), Some(LEAST_FLOOD)),
            at_least(
                "events/s of Kafka",
                own.events_per_s(),
                of(System::Kafka, Figures::events_per_s),
            ),
        ],
        DRAWN => vec![
            at_least(
                "events/s, 1.2 times Kafka's",
                own.events_per_s(),
                of(System::Kafka, Figures::events_per_s).map(|rate| rate * TIMES_KAFKA),
            ),
            at_most("p99 µs", own.p99_us, Some(MOST_P99_US)),
            at_most(
                "seconds without acknowledgements",
                own.silent_seconds(seconds) as f64,
                Some(0.0),
            ),
        ],
        ALONE => vec![at_most(
            "p50 µs, the disk's and 60",
            own.p50_us,
            of(System::Disk, |disk| disk.p50_us).map(|disk| disk + ADDED_US),
        )],
        RATE => vec![at_most("p99 µs of Redis", own.p99_us, of(System::Redis, |it| it.p99_us))],
        COLD => vec![at_least(
            "MB/s, 0.7 of the disk's",
            own.events_per_s() * case.size as f64 / 1e6,
            disk_rate.map(|rate| rate * SHARE_OF_DISK / 1e6),
        )],
        _ => Vec::new(),
    };
    if let Some(checked) = own.checked {
        targets.push(Target {
            text: "all that was acknowledged is read once, in order".to_owned(),
            reached: Some(checked.is_whole()),
        });
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elsewhere::{
        case::CASES,
        figures::{Checked, Second},
    };

    fn of(name: &str, all: &[(System, Figures)]) -> Vec<Option<bool>> {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let all = all.iter().cloned().collect();
        let targets = targets(case, &all, 60.0, Some(1e9));
        targets.into_iter().map(|target| target.reached).collect()
    }

    fn rate(events: u64) -> Figures {
        Figures { events, seconds: 1.0, ..Figures::default() }
    }

    #[test]
    fn each_target_is_reached_at_its_bound_and_missed_beside_it() {
        let (yes, no) = (Some(true), Some(false));
        let kafka = (System::Kafka, rate(1_300_000));
        assert_eq!(of(FLOOD, &[(System::Own, rate(1_300_000)), kafka.clone()]), [yes, yes]);
        assert_eq!(of(FLOOD, &[(System::Own, rate(1_200_000)), kafka.clone()]), [yes, no]);
        assert_eq!(of(FLOOD, &[(System::Own, rate(1_199_999))]), [no, None]);
        let silent = Figures {
            p99_us: 200_001.0,
            each: vec![Second::default()],
            seconds: 2.0,
            events: 3_120_000,
            ..Figures::default()
        };
        assert_eq!(of(DRAWN, &[(System::Own, silent), kafka]), [yes, no, no]);
        let p50 = |p50_us| Figures { p50_us, ..Figures::default() };
        let disk = (System::Disk, p50(200.0));
        assert_eq!(of(ALONE, &[(System::Own, p50(260.0)), disk.clone()]), [yes]);
        assert_eq!(of(ALONE, &[(System::Own, p50(261.0)), disk]), [no]);
        assert_eq!(of(COLD, &[(System::Own, rate(700_000))]), [yes]);
        assert_eq!(of(COLD, &[(System::Own, rate(680_000))]), [no]);
        let lost = Checked { acknowledged: 5, read: 4, faults: 0 };
        let lost = Figures { checked: Some(lost), ..rate(1) };
        assert_eq!(of("catch-up-100B-memory", &[(System::Own, lost)]), [no]);
    }
}
