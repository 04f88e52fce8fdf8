//! What must hold of a run, whatever the order of the steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::{Offset, SegmentOffset};

use super::super::super::state::{CheckpointState, GroupUpdate, ReaderGroupState};

/// A segment of the model: its events have the length 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) len: i64,
    pub(super) is_sealed: bool,
    pub(super) predecessors: Vec<i64>,
    pub(super) successors: Vec<i64>,
}

/// An event that a reader returned.
#[derive(Debug, Clone)]
struct Delivery {
    reader: Arc<str>,
    segment: i64,
    offset: i64,
    step: usize,
}

/// A checkpoint: when it was created, and when each reader answered it.
#[derive(Debug, Default)]
struct Taken {
    created: usize,
    waiting: BTreeSet<Arc<str>>,
    answered: BTreeMap<Arc<str>, usize>,
    is_checked: bool,
}

#[derive(Debug, Default)]
pub(super) struct Checks {
    step: usize,
    deliveries: Vec<Delivery>,
    delivered: BTreeSet<(i64, i64)>,
    /// Events that may be returned again, as a reader was taken out at an older offset.
    repeatable: BTreeMap<i64, i64>,
    taken: BTreeMap<Arc<str>, Taken>,
    shown: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Readers that were taken out while they ran.
    pub(super) is_taking_out: bool,
    /// Segments change between any two events.
    pub(super) is_between_events: bool,
    pub(super) violations: Vec<String>,
    pub(super) counts: BTreeMap<&'static str, usize>,
}

impl Checks {
    pub(super) fn report(&mut self, violation: String) {
        self.violations.push(violation);
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn shown(&mut self, reader: &Arc<str>, checkpoint: &Arc<str>) {
        self.count("shown");
        if CheckpointState::is_silent(checkpoint) {
            self.report(format!("the silent {checkpoint} was shown"));
        }
        self.shown.insert((reader.clone(), checkpoint.clone()));
    }

    /// Events from an offset on may be returned again.
    pub(super) fn may_repeat(&mut self, segment: i64, stored: SegmentOffset) {
        let from = stored.offset().map_or(i64::MAX, |offset| offset.0);
        let known = self.repeatable.entry(segment).or_insert(i64::MAX);
        *known = from.min(*known);
    }

    pub(super) fn delivered(
        &mut self,
        reader: &Arc<str>,
        segment: i64,
        offset: i64,
        (owns, owns_at_head): (bool, bool),
        segments: &BTreeMap<i64, Content>,
    ) {
        self.step += 1;
        let event = format!("event {offset} of segment {segment}, which {reader} returned,");
        if !owns || !(owns_at_head || self.is_taking_out) {
            self.report(format!("{event} is of another reader"));
        }
        let may_repeat = self.repeatable.get(&segment).is_some_and(|from| offset >= *from);
        if !self.delivered.insert((segment, offset)) && !may_repeat {
            self.report(format!("{event} was returned before"));
        }
        if offset > 0 && !self.delivered.contains(&(segment, offset - 1)) {
            self.report(format!("{event} is after one that was not returned"));
        }
        for predecessor in &segments[&segment].predecessors {
            let missing = (0..segments[predecessor].len)
                .any(|offset| !self.delivered.contains(&(*predecessor, offset)));
            if missing {
                self.report(format!("{event} is before one of segment {predecessor}"));
            }
        }
        let (reader, step) = (reader.clone(), self.step);
        self.deliveries.push(Delivery { reader, segment, offset, step });
    }

    /// An update is about to be applied.
    pub(super) fn before(&mut self, update: &GroupUpdate, state: &ReaderGroupState) {
        self.count(update.name());
        let stored =
            |reader: &str, segment| state.assigned(reader).and_then(|own| own.get(segment));
        match update {
            GroupUpdate::ReleaseSegment(_) | GroupUpdate::SegmentCompleted(_)
                if self.is_between_events => {}
            GroupUpdate::ReleaseSegment(released)
                if stored(&released.reader, &released.segment) != Some(released.offset) =>
            {
                self.report(format!("{released:?} is not at a checkpoint"));
            }
            GroupUpdate::SegmentCompleted(completion) => {
                let segment = &completion.segment.segment;
                let end = state.end(segment).unwrap_or(SegmentOffset::End);
                let stored = stored(&completion.reader, segment);
                if !matches!(stored, Some(at) if at == end || at == SegmentOffset::End) {
                    self.report(format!("{completion:?} is not at a checkpoint: {stored:?}"));
                }
            }
            GroupUpdate::CheckpointReader { checkpoint, reader, .. } => {
                let is_shown = self.shown.contains(&(reader.clone(), checkpoint.clone()));
                if !is_shown && !CheckpointState::is_silent(checkpoint) {
                    self.report(format!("{reader} answered {checkpoint}, which was not shown"));
                }
                self.answer(checkpoint.clone(), reader);
            }
            GroupUpdate::RemoveReader { reader, .. } => {
                let names: Vec<Arc<str>> = self.taken.keys().cloned().collect();
                for name in names {
                    self.answer(name, reader);
                }
            }
            GroupUpdate::UpdateDistanceToTail { reader, read, .. } => {
                for (segment, at) in read {
                    let (segment, at) = (i64::from(segment.segment.id()), at.offset());
                    let last = at.map_or(0, |at| at.0) - 1;
                    if last >= 0 && !self.delivered.contains(&(segment, last)) {
                        self.report(format!("{reader} reports {at:?} of segment {segment}"));
                    }
                }
            }
            GroupUpdate::CreateCheckpoint { checkpoint } => {
                let waiting = state.readers().cloned().collect();
                let taken = Taken { created: self.step, waiting, ..Taken::default() };
                self.taken.entry(checkpoint.clone()).or_insert(taken);
            }
            _ => {}
        }
    }

    fn answer(&mut self, checkpoint: Arc<str>, reader: &Arc<str>) {
        if let Some(taken) = self.taken.get_mut(&checkpoint) {
            taken.answered.entry(reader.clone()).or_insert(self.step);
        }
    }

    /// An update was applied: checks the checkpoints that are complete now.
    pub(super) fn after(
        &mut self,
        update: &GroupUpdate,
        state: &ReaderGroupState,
        segments: &BTreeMap<i64, Content>,
    ) {
        let is_about_checkpoints = matches!(
            update,
            GroupUpdate::CheckpointReader { .. } | GroupUpdate::RemoveReader { .. }
        );
        if !is_about_checkpoints || !self.repeatable.is_empty() || self.is_taking_out {
            return;
        }
        let mut found = Vec::new();
        for (name, taken) in &mut self.taken {
            if let Some(cut) = state.checkpoints().completed(name).filter(|_| !taken.is_checked) {
                taken.is_checked = true;
                let cut: BTreeMap<i64, SegmentOffset> =
                    cut.iter().map(|(segment, at)| (segment.id().into(), *at)).collect();
                let wrong = self.deliveries.iter().find(|delivery| {
                    is_before(delivery, taken) != is_within(delivery, &cut, segments)
                });
                found.extend(wrong.map(|event| format!("{name} is {cut:?}, not as {event:?}")));
                *self.counts.entry("cuts").or_default() += 1;
            }
        }
        self.violations.extend(found);
    }

    /// Checks that all events were returned.
    pub(super) fn finished(&mut self, segments: &BTreeMap<i64, Content>) {
        for (segment, content) in segments {
            for offset in 0..content.len {
                if !self.delivered.contains(&(*segment, offset)) {
                    self.report(format!("event {offset} of segment {segment} was not returned"));
                }
            }
        }
    }
}

/// Returns true if a program that goes on from the checkpoint has handled the event before.
fn is_before(delivery: &Delivery, taken: &Taken) -> bool {
    if delivery.step <= taken.created {
        return true;
    }
    let answered = taken.answered.get(&delivery.reader);
    taken.waiting.contains(&delivery.reader)
        && answered.is_none_or(|answered| delivery.step <= *answered)
}

/// Returns true if the event is before the cut. A segment that is not in it is before it if one
/// that follows it is in it.
fn is_within(
    delivery: &Delivery,
    cut: &BTreeMap<i64, SegmentOffset>,
    segments: &BTreeMap<i64, Content>,
) -> bool {
    if let Some(at) = cut.get(&delivery.segment) {
        return *at > SegmentOffset::At(Offset(delivery.offset));
    }
    let mut ahead = segments[&delivery.segment].successors.clone();
    while let Some(next) = ahead.pop() {
        if cut.contains_key(&next) {
            return true;
        }
        ahead.extend(&segments[&next].successors);
    }
    // A segment without successors that was completed before is in no later cut.
    let is_after = {
        let mut behind = segments[&delivery.segment].predecessors.clone();
        let mut is_after = false;
        while let Some(before) = behind.pop() {
            is_after |= cut.contains_key(&before);
            behind.extend(&segments[&before].predecessors);
        }
        is_after
    };
    !is_after
}
