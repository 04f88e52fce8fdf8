//! Medians and ratios, as a table or as JSON.

use std::collections::BTreeMap;

use super::client::{Client, Figures};

const OWN: &str = "pravega-sdk";

#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    /// The names of the clients, in the order of the columns.
    clients: Vec<&'static str>,
}

impl Report {
    pub(super) fn new(json: bool, clients: &[Client]) -> Self {
        let clients: Vec<&str> = clients.iter().map(|client| client.name).collect();
        if !json {
            let names = clients.iter().map(|name| (*name).to_owned());
            println!("{:34} {:17} {} {:>9}", "case", "metric", columns(names), "ratio");
        }
        Self { json, clients }
    }

    pub(super) fn case(
        &mut self,
        case: &str,
        metrics: &[&str],
        all: &BTreeMap<&'static str, Vec<Figures>>,
    ) {
        for metric in metrics {
            let medians: BTreeMap<&str, f64> = all
                .iter()
                .map(|(name, rounds)| (*name, median(rounds.iter().map(|f| f.get(metric)))))
                .collect();
            let ratio = ratio(metric, &medians);
            if self.json {
                for (client, median) in &medians {
                    let mut line = serde_json::json!({
                        "case": case, "metric": metric, "client": client, "median": round(*median),
                    });
                    if let (&OWN, Some(ratio), Some(line)) = (client, ratio, line.as_object_mut()) {
                        line.insert("ratio_to_best_peer".to_owned(), round(ratio).into());
                    }
                    println!("{line}");
                }
            } else {
                let shown = |name: &str| {
                    medians.get(name).map_or("-".to_owned(), |median| format!("{median:.2}"))
                };
                let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
                let shown = columns(self.clients.iter().map(|name| shown(name)));
                println!("{case:34} {metric:17} {shown} {ratio:>9}");
            }
        }
    }
}

/// Cells of a row, aligned.
fn columns(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| format!("{cell:>14}")).collect::<Vec<_>>().join(" ")
}

/// Returns the ratio to the better counterpart. Above 1, this SDK is better.
fn ratio(metric: &str, medians: &BTreeMap<&str, f64>) -> Option<f64> {
    let own = *medians.get(OWN)?;
    let peers = medians.iter().filter(|(name, _)| **name != OWN).map(|(_, median)| *median);
    if metric == "events_per_s" {
        peers.reduce(f64::max).map(|best| own / best)
    } else {
        peers.reduce(f64::min).map(|best| best / own)
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_better_whatever_is_measured() {
        let medians = BTreeMap::from([(OWN, 20.0), ("java", 10.0), ("pravega-client", 5.0)]);
        assert_eq!(ratio("events_per_s", &medians), Some(2.0));
        assert_eq!(ratio("p50_us", &medians), Some(0.25));
        assert_eq!(ratio("p50_us", &BTreeMap::from([(OWN, 1.0)])), None);
    }
}
