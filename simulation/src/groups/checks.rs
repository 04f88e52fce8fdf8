//! Compares what the readers returned with what the stream holds, and with the state of the group.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::{Offset, SegmentId, SegmentOffset};

use super::{
    log::{Item, Returned, Shared},
    tenures::{How, Tenure},
};

/// What the stream had.
#[derive(Debug)]
pub(super) struct Content {
    /// The offsets of all events of each segment, in order.
    pub(super) stored: BTreeMap<SegmentId, Vec<Offset>>,
    /// Up to where each segment was truncated.
    pub(super) heads: BTreeMap<SegmentId, Offset>,
    pub(super) predecessors: BTreeMap<SegmentId, Vec<SegmentId>>,
}

impl Content {
    fn is_truncated(&self, segment: SegmentId, offset: Offset) -> bool {
        self.heads.get(&segment).is_some_and(|head| offset < *head)
    }

    /// The events that were not truncated.
    pub(super) fn kept(&self) -> impl Iterator<Item = (SegmentId, Offset)> + '_ {
        let all = self
            .stored
            .iter()
            .flat_map(|(segment, offsets)| offsets.iter().map(move |offset| (*segment, *offset)));
        all.filter(|(segment, offset)| !self.is_truncated(*segment, *offset))
    }
}

/// R4: what is returned of a segment in each tenure are its events from the begin of the tenure up
/// to its end, and after the end only those that the reader has returned when it was taken out.
pub(super) fn check_tenures(
    tenures: &[Tenure],
    content: &Content,
    exact: &BTreeSet<Arc<str>>,
    shared: &Shared,
) {
    for tenure in tenures {
        if let Err(what) = check_tenure(tenure, content, exact.contains(&tenure.reader)) {
            let mut brief = tenure.clone();
            brief.returned = tenure.returned.iter().rev().take(3).rev().copied().collect();
            shared.say("R4", format!("{what}, of {brief:?}"));
        }
        let is_exact = tenure.end.is_some_and(|end| end.how == How::GivenUp);
        if tenure.is_told && is_exact && !content.heads.contains_key(&tenure.segment) {
            shared.say("R13", format!("nothing was truncated of {tenure:?}"));
        }
    }
    let returned: BTreeSet<(SegmentId, Offset)> = tenures
        .iter()
        .flat_map(|tenure| tenure.returned.iter().map(|offset| (tenure.segment, *offset)))
        .collect();
    for (segment, offset) in content.kept().filter(|place| !returned.contains(place)) {
        shared.say("R4", format!("{offset} of {segment} was not returned"));
    }
}

fn check_tenure(tenure: &Tenure, content: &Content, is_exact: bool) -> Result<(), String> {
    let none = Vec::new();
    let stored = content.stored.get(&tenure.segment).unwrap_or(&none);
    let is_lost = |offset: &&Offset| !content.is_truncated(tenure.segment, **offset);
    let mut next = stored.partition_point(|offset| SegmentOffset::At(*offset) < tenure.from);
    let mut has_gap = false;
    for offset in &tenure.returned {
        let Ok(found) = stored.binary_search(offset) else {
            return Err(format!("{offset} is no event"));
        };
        let Some(between) = stored.get(next..found) else {
            return Err(format!("{offset} comes after later ones"));
        };
        if let Some(lost) = between.iter().find(is_lost) {
            return Err(format!("{lost} is passed over"));
        }
        has_gap |= !between.is_empty();
        next = found + 1;
    }
    if has_gap && !tenure.is_told {
        return Err("a truncation is not reported".to_owned());
    }
    let Some(end) = tenure.end else { return Err("it has no end".to_owned()) };
    let left = stored.get(next..).unwrap_or_default().iter();
    let mut before = left.take_while(|offset| SegmentOffset::At(**offset) < end.to);
    if let Some(lost) = before.find(is_lost) {
        return Err(format!("{lost} is never returned"));
    }
    let must_not_repeat = end.how == How::GivenUp || (is_exact && end.how == How::At);
    match tenure.returned.last() {
        Some(last) if must_not_repeat && SegmentOffset::At(*last) >= end.to => {
            Err(format!("{last} will be returned again"))
        }
        _ => Ok(()),
    }
}

/// R5: a segment is read after all its predecessors.
pub(super) fn check_order(items: &[Item], content: &Content, shared: &Shared) {
    let mut left: BTreeMap<SegmentId, BTreeSet<Offset>> = BTreeMap::new();
    for (segment, offset) in content.kept() {
        left.entry(segment).or_default().insert(offset);
    }
    for item in items {
        let Returned::Event { segment, offset } = &item.returned else { continue };
        for before in content.predecessors.get(segment).into_iter().flatten() {
            if left.get(before).is_some_and(|left| !left.is_empty()) {
                shared.say("R5", format!("{item:?} is read before all of {before} is"));
            }
        }
        if let Some(left) = left.get_mut(segment) {
            left.remove(offset);
        }
    }
}
