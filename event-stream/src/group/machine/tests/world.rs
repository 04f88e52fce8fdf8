//! A model of a group: the log of its state, its segments, and readers that each have a copy of the
//! state.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pravega_sdk_types::{
    KeyRange, Offset, ReaderGroupConfiguration, ScopedSegment, SegmentId, SegmentOffset,
};

use super::{
    super::{
        super::state::{GroupInit, GroupSegment, GroupUpdate, ReaderGroupState},
        Change, Effect, GroupReaderMachine, GroupReaderSettings, HandOver, Moment,
        SegmentAssignment, SegmentEnd,
        seeded_bugs::GroupBug,
    },
    checks::{Checks, Content},
};

pub(super) fn segment(number: i64) -> ScopedSegment {
    ScopedSegment::new(&"s/t".parse().unwrap(), SegmentId::from(number))
}

pub(super) struct Reader {
    pub(super) name: Arc<str>,
    pub(super) machine: GroupReaderMachine,
    pub(super) replica: ReaderGroupState,
    /// Number of entries of the log that the copy has.
    seen: usize,
    /// Where it reads next, and where reading ends.
    pub(super) open: BTreeMap<ScopedSegment, (i64, Option<i64>)>,
    /// Where it was after its last event.
    pub(super) last: Vec<(ScopedSegment, SegmentOffset)>,
    pub(super) is_gone: bool,
    pub(super) is_at_end: bool,
}

pub(super) struct World {
    pub(super) rng: fastrand::Rng,
    pub(super) now: Duration,
    pub(super) log: Vec<Vec<GroupUpdate>>,
    /// The state after all entries.
    pub(super) head: ReaderGroupState,
    initial: ReaderGroupState,
    pub(super) segments: BTreeMap<i64, Content>,
    pub(super) readers: Vec<Reader>,
    pub(super) checks: Checks,
    pub(super) bug: Option<GroupBug>,
    pub(super) hand_over: HandOver,
    pub(super) assignment: SegmentAssignment,
    /// One change in so many has a lost reply, or is lost itself.
    pub(super) losses: Option<u32>,
}

impl World {
    pub(super) fn new(seed: u64, segments: &[i64], bug: Option<GroupBug>) -> Self {
        let configuration = ReaderGroupConfiguration::new(["s/t".parse().unwrap()])
            .unwrap()
            .with_refresh_interval(Duration::from_secs(1))
            .with_automatic_checkpoint_interval(Some(Duration::from_secs(4)));
        let starts = (0..)
            .zip(segments)
            .map(|(number, _)| (GroupSegment::from(segment(number)), SegmentOffset::At(Offset(0))));
        let head = ReaderGroupState::new(GroupInit::new(configuration, starts));
        let content = |len: &i64| Content { len: *len, ..Content::default() };
        Self {
            rng: fastrand::Rng::with_seed(seed),
            now: Duration::ZERO,
            log: Vec::new(),
            initial: head.clone(),
            head,
            segments: (0..).zip(segments.iter().map(content)).collect(),
            readers: Vec::new(),
            checks: Checks::default(),
            bug,
            hand_over: HandOver::AtCheckpoints,
            assignment: SegmentAssignment::Fair,
            losses: None,
        }
    }

    pub(super) fn moment(&self) -> Moment {
        let wall_ms = 1_795_259_163_685 + i64::try_from(self.now.as_millis()).unwrap();
        Moment { now: self.now, wall_ms }
    }

    /// A reader starts. Its name may be that of one that has gone.
    pub(super) fn start(&mut self, name: &str) -> usize {
        let mut settings = GroupReaderSettings::default()
            .with_hand_over(self.hand_over)
            .with_assignment(self.assignment);
        settings.bugs.on = self.bug;
        let mut rng = self.rng.fork();
        let random = Box::new(move || rng.u64(..));
        self.readers.push(Reader {
            name: name.into(),
            machine: GroupReaderMachine::new(name.into(), settings, self.now, random),
            replica: self.initial.clone(),
            seen: 0,
            open: BTreeMap::new(),
            last: Vec::new(),
            is_gone: false,
            is_at_end: false,
        });
        self.readers.len() - 1
    }

    /// Seals a segment, which the others with larger numbers follow.
    pub(super) fn seal(&mut self, sealed: &[i64], successors: &[(i64, i64)]) {
        for number in sealed {
            let content = self.segments.get_mut(number).unwrap();
            content.is_sealed = true;
            content.successors = successors.iter().map(|(number, _)| *number).collect();
        }
        for (number, len) in successors {
            let predecessors = sealed.to_vec();
            let content = Content { len: *len, predecessors, ..Content::default() };
            self.segments.insert(*number, content);
        }
    }

    /// Appends an entry that fits the state.
    pub(super) fn append(&mut self, updates: Vec<GroupUpdate>) {
        for update in &updates {
            self.checks.before(update, &self.head);
            if let Err(error) = self.head.apply(update.clone()) {
                self.checks.report(format!("{update:?} does not fit: {error}"));
            }
            self.checks.after(update, &self.head, &self.segments);
        }
        self.log.push(updates);
    }

    fn fetch(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        for update in self.log[reader.seen..].iter().flatten() {
            let _ = reader.replica.apply(update.clone());
        }
        reader.seen = self.log.len();
    }

    /// One step of a reader. Returns what it does.
    pub(super) fn step(&mut self, index: usize) -> Option<Effect> {
        let moment = self.moment();
        let reader = &mut self.readers[index];
        let effect = reader.machine.poll_effect(&reader.replica, moment);
        match effect.clone() {
            None => self.read(index),
            Some(Effect::Fetch) => {
                self.fetch(index);
                let reader = &mut self.readers[index];
                reader.machine.handle_fetched(&reader.replica, 0, moment);
            }
            Some(Effect::Change(change)) => self.change(index, &change),
            Some(Effect::Report(update)) => {
                self.append(vec![update]);
                self.readers[index].machine.handle_reported(moment);
            }
            Some(Effect::FindSuccessors(segment) | Effect::UseKnownSuccessors(segment)) => {
                self.find_successors(index, segment);
            }
            Some(Effect::Open { segment, from, end }) => {
                let end = match end {
                    SegmentEnd::At(end) => Some(end.0),
                    SegmentEnd::OnceSealed | SegmentEnd::Sealed => None,
                };
                reader.open.insert(segment.clone(), (from.0, end));
                self.end_if_read(index, &segment);
            }
            Some(Effect::Close(segment)) => drop(reader.open.remove(&segment)),
            Some(Effect::Checkpoint(name)) => {
                let reader = reader.name.clone();
                self.checks.shown(&reader, &name);
            }
            Some(Effect::End) => reader.is_at_end = true,
            Some(Effect::Lost(_)) => reader.is_gone = true,
            Some(other) => panic!("{other:?} is not expected"),
        }
        effect
    }

    /// Makes a change as a state synchronizer does: again with each newer state.
    fn change(&mut self, index: usize, change: &Change) {
        let moment = self.moment();
        loop {
            let reader = &mut self.readers[index];
            let updates = reader.machine.updates(change, &reader.replica, moment.wall_ms);
            if updates.is_empty() {
                return reader.machine.handle_changed(&reader.replica, false, moment);
            }
            if reader.seen < self.log.len() {
                self.fetch(index);
                continue;
            }
            let lost = self.losses.is_some_and(|odds| self.rng.u32(..odds) == 0);
            if !lost || self.rng.bool() {
                self.append(updates);
            }
            if lost {
                return self.readers[index].machine.handle_failed(moment);
            }
            self.fetch(index);
            let reader = &mut self.readers[index];
            return reader.machine.handle_changed(&reader.replica, true, moment);
        }
    }

    fn find_successors(&mut self, index: usize, completed: ScopedSegment) {
        let number = i64::from(completed.id());
        let successors = self.segments[&number].successors.iter().map(|successor| {
            let predecessors = &self.segments[successor].predecessors;
            let ids = predecessors.iter().map(|id| SegmentId::from(*id)).collect();
            let range = Some(KeyRange::FULL);
            (GroupSegment { segment: segment(*successor), range }, ids)
        });
        let successors = successors.collect();
        self.readers[index].machine.handle_successors(completed, successors);
    }

    /// The next event of some segment is returned, if there is one.
    fn read(&mut self, index: usize) {
        let reader = &self.readers[index];
        let ready = reader
            .open
            .iter()
            .filter(|(segment, (next, _))| *next < self.segments[&i64::from(segment.id())].len);
        let ready: Vec<_> = ready.map(|(segment, _)| segment.clone()).collect();
        if let Some(segment) = self.rng.choice(&ready).cloned() {
            let reader = &mut self.readers[index];
            let (next, _) = reader.open.get_mut(&segment).unwrap();
            let offset = *next;
            *next += 1;
            let is_own = |state: &ReaderGroupState| {
                state.assigned(&reader.name).is_some_and(|own| own.contains(&segment))
            };
            let owns = (is_own(&reader.replica), is_own(&self.head));
            let number = i64::from(segment.id());
            let name = reader.name.clone();
            self.checks.delivered(&name, number, offset, owns, &self.segments);
            let reader = &mut self.readers[index];
            reader.machine.handle_read(&segment, Offset(offset + 1));
            reader.last = reader.machine.offsets();
        }
        let open: Vec<_> = self.readers[index].open.keys().cloned().collect();
        for segment in open {
            self.end_if_read(index, &segment);
        }
    }

    fn end_if_read(&mut self, index: usize, segment: &ScopedSegment) {
        let content = &self.segments[&i64::from(segment.id())];
        let reader = &mut self.readers[index];
        let Some((next, end)) = reader.open.get(segment).copied() else { return };
        if end.is_some_and(|end| next >= end) {
            reader.machine.handle_configured_end(segment);
        } else if content.is_sealed && next == content.len {
            reader.machine.handle_sealed_end(segment);
        } else {
            return;
        }
        reader.open.remove(segment);
    }

    /// Another client takes a reader out, at the position after its last event or at the stored
    /// offsets.
    pub(super) fn take_out(&mut self, index: usize, with_position: bool) {
        let reader = &self.readers[index];
        let name = reader.name.clone();
        let position = reader.last.iter().map(|(segment, at)| (segment, *at));
        let offsets = with_position.then(|| self.head.offsets_of_removal(&name, position));
        let offsets = offsets.unwrap_or_default();
        if !with_position && let Some(assigned) = self.head.assigned(&name) {
            for (segment, _, stored) in assigned.iter() {
                self.checks.may_repeat(i64::from(segment.id()), stored);
            }
        }
        self.append(vec![GroupUpdate::RemoveReader { reader: name, offsets }]);
    }
}
