//! The scaling events of a stream: its epochs with their segments.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use pravega_sdk_server_core::{
    access::{Need, Operation, Resource},
    catalog::{Catalog, EpochChange, EpochStart, Slice},
};
use pravega_sdk_types::{Epoch, SegmentId};
use serde::Serialize;

use super::{
    call::{Answer, Refusal},
    listing::{Around, Json, List, list},
};
use crate::state::ServerState;

/// The most segments that are written without a look at the length of the piece.
const PART: usize = 256;

/// The epochs of a stream, put together from their differences.
struct Epochs {
    scope: String,
    stream: String,
    within: RangeInclusive<i64>,
    /// The segments of the epoch that was reached.
    segments: BTreeMap<SegmentId, Segment>,
}

/// A segment of an epoch.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    number: i32,
    epoch: i32,
    start: i64,
    key_start: f64,
    key_end: f64,
}

/// An epoch of the list.
enum Item {
    /// The difference to the epoch before.
    Change(EpochChange),
    /// The segments of the epoch that was reached, after one.
    Segments { after: SegmentId },
}

impl Epochs {
    /// Takes the segments from those of the epoch before to those of the next one.
    fn apply(&mut self, change: &EpochChange) {
        for sealed in &change.sealed {
            self.segments.remove(sealed);
        }
        for created in &change.created {
            let segment = Segment {
                number: created.id.number().0,
                epoch: created.id.epoch().0,
                start: change.at,
                key_start: created.low,
                key_end: created.high,
            };
            self.segments.insert(created.id, segment);
        }
    }

    /// Writes segments after one, and the end of the epoch after the last one.
    fn put_segments(&self, after: Option<SegmentId>, to: &mut Json) -> Option<Item> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let mut rest = self.segments.range((start, Unbounded));
        let mut last = after;
        for (id, segment) in rest.by_ref().take(PART) {
            if last.is_some() {
                to.text(",");
            }
            to.value(segment);
            last = Some(*id);
        }
        match (rest.next(), last) {
            (Some(_), Some(after)) => Some(Item::Segments { after }),
            _ => {
                to.text("]}");
                None
            }
        }
    }
}

impl List for Epochs {
    type Item = Item;
    type Place = Epoch;

    fn needs(&self) -> Need<'_> {
        Need::Allowed(Operation::Read, Resource::Stream(&self.scope, &self.stream))
    }

    fn slice(&self, catalog: &Catalog, from: Option<&Epoch>) -> Option<Slice<Item, Epoch>> {
        let from = from.copied().unwrap_or(Epoch(0));
        let slice = catalog.epochs_within(&self.scope, &self.stream, &self.within, from)?;
        let items = slice.items.into_iter().map(Item::Change).collect();
        Some(Slice { items, next: slice.next })
    }

    fn around(&self) -> Around {
        Around { before: "[".to_owned(), after: "]", empty: "[]".to_owned() }
    }

    fn put(&mut self, item: Item, to: &mut Json) -> Option<Item> {
        match item {
            Item::Change(change) => {
                self.apply(&change);
                let EpochStart { splits, merges } = change.begins?;
                to.comma();
                to.text(&format!(
                    r#"{{"timestamp":{},"splits":{splits},"merges":{merges},"segments":["#,
                    change.at
                ));
                self.put_segments(None, to)
            }
            Item::Segments { after } => self.put_segments(Some(after), to),
        }
    }
}

pub(super) async fn show(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    Path((scope, stream)): Path<(String, String)>,
    Query(parameters): Query<std::collections::HashMap<String, String>>,
) -> Answer {
    let time = |name: &str| match parameters.get(name).map(String::as_str) {
        None | Some("") => Err(Refusal::bad(format!("the parameter {name} is missing"))),
        // The Java server takes the path as one that does not exist.
        Some(time) => time.parse::<i64>().map_err(|_| {
            Refusal::new(StatusCode::NOT_FOUND, format!("the parameter {name} is not a number"))
        }),
    };
    let (from, to) = (time("from")?, time("to")?);
    if from < 0 || from > to {
        return Err(Refusal::bad("from and to are milliseconds since 1970, and from is not later"));
    }
    list(state, headers, Epochs { scope, stream, within: from..=to, segments: BTreeMap::new() })
        .await
}

#[cfg(test)]
mod tests {
    use pravega_sdk_server_core::catalog::EpochSegment;
    use serde_json::Value;

    use super::*;

    fn epochs(segments: i32) -> Epochs {
        let mut epochs = Epochs {
            scope: "s".to_owned(),
            stream: "t".to_owned(),
            within: 0..=1,
            segments: BTreeMap::new(),
        };
        epochs.apply(&change(None, &[], 0..segments));
        epochs
    }

    fn change(
        begins: Option<EpochStart>,
        sealed: &[i64],
        created: std::ops::Range<i32>,
    ) -> EpochChange {
        let segment = |number: i32| EpochSegment {
            id: SegmentId::from(i64::from(number)),
            low: 0.0,
            high: 1.0,
        };
        EpochChange {
            begins,
            sealed: sealed.iter().map(|id| SegmentId::from(*id)).collect(),
            created: created.map(segment).collect(),
            at: 7,
        }
    }

    /// The numbers of the segments of each epoch that is written.
    fn written(epochs: &mut Epochs, changes: Vec<EpochChange>) -> (Vec<Vec<i64>>, usize) {
        let (mut json, mut parts) = (Json::default(), 0);
        json.text("[");
        for change in changes {
            let mut item = Some(Item::Change(change));
            while let Some(next) = item {
                item = epochs.put(next, &mut json);
                parts += 1;
            }
        }
        json.text("]");
        let value: Value = serde_json::from_str(&json.into_text()).unwrap();
        let numbers = |epoch: &Value| {
            let segments = epoch["segments"].as_array().unwrap().iter();
            segments.map(|segment| segment["number"].as_i64().unwrap()).collect()
        };
        (value.as_array().unwrap().iter().map(numbers).collect(), parts)
    }

    #[test]
    fn an_epoch_has_the_segments_that_are_left_and_those_that_are_new() {
        let begins = Some(EpochStart { splits: 1, merges: 0 });
        let changes = vec![
            change(None, &[0], 3..4),
            change(begins, &[1], 4..6),
            change(begins, &[2, 3, 4, 5], 0..0),
            change(begins, &[], 6..7),
        ];
        let (found, _) = written(&mut epochs(3), changes);
        assert_eq!(found, [vec![2, 3, 4, 5], vec![], vec![6]]);
    }

    #[test]
    fn an_epoch_of_many_segments_is_written_in_parts() {
        let begins = Some(EpochStart { splits: 0, merges: 0 });
        let (found, parts) = written(&mut epochs(600), vec![change(begins, &[], 600..768)]);
        assert_eq!(found, [(0..768).collect::<Vec<_>>()]);
        assert_eq!(parts, 3);
    }
}
