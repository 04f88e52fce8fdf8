//! Which reader had which segment when, from the updates of the state, and what each returned of it
//! meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_event_stream::group::GroupUpdate;
use pravega_sdk_types::{Offset, SegmentId, SegmentOffset};

use super::log::{Item, Returned, Shared, Step};

/// The time in which a reader had a segment.
#[derive(Debug, Clone)]
pub(super) struct Tenure {
    pub(super) segment: SegmentId,
    pub(super) reader: Arc<str>,
    pub(super) begun: Duration,
    pub(super) from: SegmentOffset,
    /// `None` means that it has the segment in the end.
    pub(super) end: Option<End>,
    /// The events that it has returned, in order.
    pub(super) returned: Vec<Offset>,
    /// True if the program was told that events were truncated.
    pub(super) is_told: bool,
}

/// The end of a tenure.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) at: Duration,
    /// Where the next reader goes on.
    pub(super) to: SegmentOffset,
    pub(super) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The reader has given it back, or has read it to its end.
    GivenUp,
    /// The reader has left, or was taken out, at a position.
    At,
    /// It was taken out without one.
    TakenOut,
}

/// All tenures, in the order of their begins.
pub(super) fn tenures(steps: &[Step], shared: &Shared) -> Vec<Tenure> {
    let mut all: Vec<Tenure> = Vec::new();
    let mut open: BTreeMap<SegmentId, usize> = BTreeMap::new();
    for step in steps {
        let mut end = |segment: SegmentId, reader: &str, to: SegmentOffset, how: How| {
            let tenure = open.remove(&segment).and_then(|number| all.get_mut(number));
            match tenure.filter(|tenure| *tenure.reader == *reader) {
                Some(tenure) => tenure.end = Some(End { at: step.at, to, how }),
                None => shared.say("C7", format!("{reader} gives {segment} up, not its own")),
            }
        };
        match &step.update {
            GroupUpdate::AcquireSegment { reader, segment } => {
                let Some(from) = step.before.unassigned().get(segment) else { continue };
                let segment = segment.id();
                if open.insert(segment, all.len()).is_some() {
                    shared.say("C7", format!("{segment} has two readers, also {reader}"));
                }
                all.push(Tenure {
                    segment,
                    reader: reader.clone(),
                    begun: step.at,
                    from,
                    end: None,
                    returned: Vec::new(),
                    is_told: false,
                });
            }
            GroupUpdate::ReleaseSegment(released) => {
                end(released.segment.id(), &released.reader, released.offset, How::GivenUp);
            }
            GroupUpdate::SegmentCompleted(completion) => {
                let segment = completion.segment.segment.id();
                end(segment, &completion.reader, SegmentOffset::End, How::GivenUp);
            }
            GroupUpdate::RemoveReader { reader, offsets } => {
                let Some(owned) = step.before.assigned(reader) else { continue };
                let named: BTreeMap<_, _> =
                    offsets.iter().map(|(segment, at)| (segment, *at)).collect();
                let how = if offsets.is_empty() { How::TakenOut } else { How::At };
                for (segment, _, stored) in owned.iter() {
                    let to = named.get(segment).copied().unwrap_or(stored);
                    end(segment.id(), reader, to, how);
                }
            }
            _ => {}
        }
    }
    all
}

/// Notes with each tenure what its reader returned meanwhile. What is of no tenure is a violation,
/// but a reader that the run has taken out may not know it for a time of `grace`.
pub(super) fn assign(
    all: &mut [Tenure],
    items: &[Item],
    by_hand: &BTreeSet<Arc<str>>,
    grace: Duration,
    shared: &Shared,
) {
    let mut by_owner: BTreeMap<(SegmentId, Arc<str>), Vec<usize>> = BTreeMap::new();
    for (number, tenure) in all.iter().enumerate() {
        by_owner.entry((tenure.segment, tenure.reader.clone())).or_default().push(number);
    }
    for item in items {
        let (segment, offset) = match &item.returned {
            Returned::Event { segment, offset } => (*segment, Some(*offset)),
            Returned::Truncated(segment) => (*segment, None),
            Returned::Checkpoint(_) => continue,
        };
        let numbers = by_owner.get(&(segment, item.reader.clone()));
        let is_meant = |tenure: &Tenure| {
            let is_unaware = |end: &End| end.how == How::TakenOut && by_hand.contains(&item.reader);
            let longest = |end: End| if is_unaware(&end) { end.at + grace } else { end.at };
            tenure.begun <= item.at
                && tenure.end.is_none_or(|end| item.at <= longest(end))
                && offset.is_none_or(|offset| tenure.from <= SegmentOffset::At(offset))
        };
        let mut latest = numbers.into_iter().flatten().rev().copied();
        let found = latest.find(|number| all.get(*number).is_some_and(is_meant));
        match (found.and_then(|number| all.get_mut(number)), offset) {
            (Some(tenure), Some(offset)) => tenure.returned.push(offset),
            (Some(tenure), None) => tenure.is_told = true,
            (None, None) => {}
            (None, Some(_)) => {
                shared.say("C7", format!("{item:?} is not one of the reader"));
            }
        }
    }
}
