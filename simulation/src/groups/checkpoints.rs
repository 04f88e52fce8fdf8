//! Compares the checkpoints of a group with the events that its readers returned before and after.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pravega_sdk_event_stream::group::{CheckpointState, GroupUpdate};
use pravega_sdk_types::{Offset, SegmentId, SegmentOffset};

use super::{
    checks::Content,
    log::{Item, Returned, Shared, Step},
};

/// When each event was returned for the first time.
type First = BTreeMap<(SegmentId, Offset), Duration>;

/// A checkpoint that was completed.
struct Checkpoint<'a> {
    name: &'a str,
    cut: BTreeMap<SegmentId, SegmentOffset>,
    completed: Duration,
    /// The segments that were read to their ends before it was created.
    done: BTreeSet<SegmentId>,
    /// The readers that were in the group when it was created, and since when.
    waiting: BTreeMap<&'a str, Duration>,
    /// When each reader has answered.
    answered: BTreeMap<&'a str, Duration>,
    /// When readers have joined since it was created.
    joined: BTreeMap<&'a str, Duration>,
}

/// C8.
pub(super) fn check_checkpoints(
    steps: &[Step],
    items: &[Item],
    content: &Content,
    shared: &Shared,
) -> usize {
    let mut first: First = BTreeMap::new();
    for item in items {
        if let Returned::Event { segment, offset } = item.returned {
            first.entry((segment, offset)).or_insert(item.at);
        }
    }
    let found: Vec<Checkpoint<'_>> = checkpoints(steps);
    for checkpoint in &found {
        checkpoint.check_sides(items, &first, shared);
        for (segment, offset) in content.kept() {
            let is_late = |at: &Duration| *at > checkpoint.completed;
            if checkpoint.is_before(segment, offset)
                && first.get(&(segment, offset)).is_none_or(is_late)
            {
                let name = checkpoint.name;
                shared.say("C8", format!("{offset} of {segment} is not returned before {name}"));
            }
        }
    }
    found.len()
}

fn checkpoints(steps: &[Step]) -> Vec<Checkpoint<'_>> {
    let mut found = Vec::new();
    let mut done = BTreeSet::new();
    let mut since: BTreeMap<&str, Duration> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        if let GroupUpdate::SegmentCompleted(completion) = &step.update {
            done.insert(completion.segment.segment.id());
        }
        if let GroupUpdate::AddReader { reader } = &step.update {
            since.insert(reader, step.at);
        }
        let GroupUpdate::CreateCheckpoint { checkpoint: name } = &step.update else { continue };
        let is_new = !step.before.checkpoints().names().any(|known| *known == **name);
        let later = steps.get(number..).unwrap_or_default();
        let completed = later
            .iter()
            .find_map(|step| step.after.checkpoints().completed(name).map(|cut| (step.at, cut)));
        let Some((completed, cut)) = completed.filter(|_| is_new) else { continue };
        let mut checkpoint = Checkpoint {
            name,
            cut: cut.iter().map(|(segment, at)| (segment.id(), *at)).collect(),
            completed,
            done: done.clone(),
            waiting: step
                .before
                .readers()
                .filter_map(|reader| since.get_key_value(&**reader))
                .map(|(reader, at)| (*reader, *at))
                .collect(),
            answered: BTreeMap::new(),
            joined: BTreeMap::new(),
        };
        for step in later {
            match &step.update {
                GroupUpdate::CheckpointReader { checkpoint: of, reader, .. } if of == name => {
                    checkpoint.answered.entry(reader).or_insert(step.at);
                }
                GroupUpdate::AddReader { reader } => {
                    checkpoint.joined.entry(reader).or_insert(step.at);
                }
                _ => {}
            }
        }
        found.push(checkpoint);
    }
    found
}

impl Checkpoint<'_> {
    /// Returns true if a program that goes on from the checkpoint has handled the event.
    fn is_before(&self, segment: SegmentId, offset: Offset) -> bool {
        match self.cut.get(&segment) {
            Some(at) => SegmentOffset::At(offset) < *at,
            None => self.done.contains(&segment),
        }
    }

    /// Each event must be on the side of the cut on which its reader has returned it.
    fn check_sides(&self, items: &[Item], first: &First, shared: &Shared) {
        let name = self.name;
        let is_silent = CheckpointState::is_silent(name);
        let mut shown: BTreeSet<&str> = BTreeSet::new();
        for item in items {
            let reader = &*item.reader;
            let (segment, offset) = match &item.returned {
                Returned::Event { segment, offset } => (*segment, *offset),
                Returned::Checkpoint(of) if *of == *name => {
                    if is_silent || !self.waiting.contains_key(reader) || !shown.insert(reader) {
                        shared.say("C8", format!("{reader} was shown {name} without a reason"));
                    }
                    continue;
                }
                Returned::Checkpoint(_) | Returned::Truncated(_) => continue,
            };
            // One of its name died before.
            if self.waiting.get(reader).is_some_and(|since| item.at < *since) {
                continue;
            }
            // After a death, reading begins again before the silent ones since the last other.
            if is_silent && first.get(&(segment, offset)) != Some(&item.at) {
                continue;
            }
            let side = match (self.answered.get(reader), self.joined.get(reader)) {
                (_, Some(joined)) if item.at > *joined => Some(false),
                (_, Some(joined)) if item.at == *joined => None,
                (Some(answered), _) if is_silent => {
                    (item.at != *answered).then_some(item.at < *answered)
                }
                (Some(_), _) => Some(!shown.contains(reader)),
                // One that was taken out before it answered counts as at its recorded position.
                (None, _) => None,
            };
            if side.is_some_and(|side| side != self.is_before(segment, offset)) {
                let at = self.cut.get(&segment);
                shared.say("C8", format!("{item:?} is on the wrong side of {name} at {at:?}"));
            }
        }
        let unseen = |reader: &&&str| !is_silent && !shown.contains(**reader);
        if let Some(reader) = self.answered.keys().find(unseen) {
            shared.say("C8", format!("{reader} has answered {name}, which it was not shown"));
        }
    }
}
