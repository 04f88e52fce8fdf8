//! Compares what the readers returned with what the stream holds, and with the state of the group.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pravega_sdk_event_stream::group::GroupUpdate;
use pravega_sdk_types::{Offset, ScopedSegment, ScopedStream, SegmentId, SegmentOffset};

use super::log::{Item, Returned, Shared, Step};
use crate::Stored;

type Place = (SegmentId, Offset);

/// What a run looks like to the checks.
struct Run<'a> {
    items: Vec<Item>,
    offline: BTreeMap<String, Duration>,
    steps: &'a [Step],
    stored: BTreeSet<Place>,
}

pub(super) fn check(
    shared: &Shared,
    stream: &ScopedStream,
    steps: &[Step],
    stored: &[Stored],
    grace: Duration,
) {
    let (items, offline) = {
        let log = shared.lock();
        (log.items.clone(), log.offline.clone())
    };
    let stored = stored.iter().map(|event| (event.segment, event.offset)).collect();
    let run = Run { items, offline, steps, stored };
    run.check_repeats(shared);
    run.check_order(shared);
    run.check_offline(shared, grace);
    run.check_owners(shared, stream);
    run.check_checkpoints(shared);
}

fn events(items: &[Item]) -> impl Iterator<Item = (&Item, Place)> + '_ {
    items.iter().filter_map(|item| match &item.returned {
        Returned::Event { segment, offset } => Some((item, (segment.id(), *offset))),
        Returned::Checkpoint(_) => None,
    })
}

impl Run<'_> {
    /// The offsets at which readers were taken out of the group, by reader and segment.
    fn recorded(&self) -> BTreeMap<(&str, SegmentId), SegmentOffset> {
        let mut recorded = BTreeMap::new();
        for step in self.steps {
            let GroupUpdate::RemoveReader { reader, offsets } = &step.update else { continue };
            let Some(owned) = step.before.assigned(reader) else { continue };
            let named: BTreeMap<_, _> =
                offsets.iter().map(|(segment, at)| (segment, *at)).collect();
            for (segment, _, stored) in owned.iter() {
                let at = named.get(segment).copied().unwrap_or(stored);
                recorded.insert((&**reader, segment.id()), at);
            }
        }
        recorded
    }

    /// R4.
    fn check_repeats(&self, shared: &Shared) {
        let recorded = self.recorded();
        let mut returned: BTreeMap<Place, Vec<&str>> = BTreeMap::new();
        for (item, place) in events(&self.items) {
            for earlier in returned.get(&place).into_iter().flatten() {
                let at = recorded.get(&(*earlier, place.0));
                if at.is_none_or(|at| *at > SegmentOffset::At(place.1)) {
                    let reader = &item.reader;
                    let detail = format!("{place:?} of {earlier} again by {reader}: {at:?}");
                    shared.say("R4", detail);
                }
            }
            returned.entry(place).or_default().push(&item.reader);
        }
        for place in &self.stored {
            if !returned.contains_key(place) {
                shared.say("R4", format!("{place:?} was not returned"));
            }
        }
        for place in returned.keys().filter(|place| !self.stored.contains(place)) {
            shared.say("R4", format!("{place:?} is no event"));
        }
    }

    /// R5.
    fn check_order(&self, shared: &Shared) {
        let mut last: BTreeMap<(&str, SegmentId), Offset> = BTreeMap::new();
        let mut predecessors: BTreeMap<SegmentId, BTreeSet<SegmentId>> = BTreeMap::new();
        for step in self.steps {
            let GroupUpdate::SegmentCompleted(completion) = &step.update else { continue };
            for (successor, before) in &completion.successors {
                predecessors.entry(successor.segment.id()).or_default().extend(before);
            }
        }
        let mut left: BTreeMap<SegmentId, BTreeSet<Offset>> = BTreeMap::new();
        for (segment, offset) in &self.stored {
            left.entry(*segment).or_default().insert(*offset);
        }
        for (item, (segment, offset)) in events(&self.items) {
            if let Some(before) = last.insert((&item.reader, segment), offset)
                && before >= offset
            {
                shared.say("R5", format!("{}: {offset} of {segment} after {before}", item.reader));
            }
            for predecessor in predecessors.get(&segment).into_iter().flatten() {
                if left.get(predecessor).is_some_and(|left| !left.is_empty()) {
                    shared.say("R5", format!("{segment} is read before {predecessor} is"));
                }
            }
            if let Some(left) = left.get_mut(&segment) {
                left.remove(&offset);
            }
        }
    }

    /// R13.
    fn check_offline(&self, shared: &Shared, grace: Duration) {
        for item in &self.items {
            if self.offline.get(&item.reader).is_some_and(|since| item.at > *since + grace) {
                shared.say("R13", format!("{item:?}: it is offline"));
            }
        }
    }

    /// C7.
    fn check_owners(&self, shared: &Shared, stream: &ScopedStream) {
        // From where on each reader has had a segment.
        let mut had: BTreeMap<(&str, SegmentId), SegmentOffset> = BTreeMap::new();
        for step in self.steps {
            if let GroupUpdate::AcquireSegment { reader, segment } = &step.update
                && let Some(from) = step.before.unassigned().get(segment)
            {
                let from = had.get(&(&**reader, segment.id())).map_or(from, |had| from.min(*had));
                had.insert((reader, segment.id()), from);
            }
            let mut owned = BTreeSet::new();
            for reader in step.after.readers() {
                let segments = step.after.assigned(reader).into_iter().flat_map(|it| it.segments());
                for segment in segments.filter(|segment| segment.scoped_stream() == *stream) {
                    if !owned.insert(segment.clone()) {
                        shared.say("C7", format!("{segment} has two readers"));
                    }
                }
            }
        }
        for (item, (segment, offset)) in events(&self.items) {
            let from = had.get(&(&item.reader, segment));
            if from.is_none_or(|from| *from > SegmentOffset::At(offset)) {
                shared.say("C7", format!("{item:?} is not one of the reader: {from:?}"));
            }
        }
    }

    /// C8.
    fn check_checkpoints(&self, shared: &Shared) {
        for (number, step) in self.steps.iter().enumerate() {
            let GroupUpdate::CreateCheckpoint { checkpoint } = &step.update else { continue };
            let is_new = !step.before.checkpoints().names().any(|name| *name == **checkpoint);
            let later = self.steps.get(number..).unwrap_or_default();
            let cut = later.iter().find_map(|step| step.after.checkpoints().completed(checkpoint));
            let Some(cut) = cut.filter(|_| is_new) else { continue };
            let waiting: BTreeSet<&str> = step.before.readers().map(|reader| &**reader).collect();
            let joined: BTreeSet<&str> = later
                .iter()
                .filter_map(|step| match &step.update {
                    GroupUpdate::AddReader { reader } => Some(&**reader),
                    _ => None,
                })
                .collect();
            self.check_checkpoint(shared, checkpoint, cut, &waiting, &joined);
        }
    }

    fn check_checkpoint(
        &self,
        shared: &Shared,
        name: &str,
        cut: &BTreeMap<ScopedSegment, SegmentOffset>,
        waiting: &BTreeSet<&str>,
        joined: &BTreeSet<&str>,
    ) {
        let cut: BTreeMap<SegmentId, SegmentOffset> =
            cut.iter().map(|(segment, at)| (segment.id(), *at)).collect();
        let is_of = |item: &Item| matches!(&item.returned, Returned::Checkpoint(of) if of == name);
        let mut shown: BTreeSet<&str> = BTreeSet::new();
        if name.contains("_SILENT_") {
            if self.items.iter().any(is_of) {
                shared.say("C8", format!("the silent {name} was shown"));
            }
            return;
        }
        // One that was taken offline before it answered counts as at its recorded position.
        let answered: BTreeSet<&str> = self
            .steps
            .iter()
            .filter_map(|step| match &step.update {
                GroupUpdate::CheckpointReader { checkpoint, reader, .. } => {
                    (**checkpoint == *name).then_some(&**reader)
                }
                _ => None,
            })
            .collect();
        for item in &self.items {
            let reader = &*item.reader;
            if is_of(item) && !(waiting.contains(reader) && shown.insert(reader)) {
                shared.say("C8", format!("{reader} was shown {name} without a reason"));
            }
            let Returned::Event { segment, offset } = &item.returned else { continue };
            let Some(at) = cut.get(&segment.id()) else { continue };
            let is_before = SegmentOffset::At(*offset) < *at;
            let side = match reader {
                _ if answered.contains(reader) => Some(!shown.contains(reader)),
                _ if joined.contains(reader) => Some(false),
                _ => None,
            };
            if side.is_some_and(|side| side != is_before) {
                shared.say("C8", format!("{item:?} is on the wrong side of {name} at {at}"));
            }
        }
    }
}
