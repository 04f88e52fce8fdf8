//! One reader whose effects are carried out, and the state that it changes.

use std::time::Duration;

use pravega_sdk_types::{
    Offset, ReaderGroupConfiguration, ScopedSegment, SegmentId, SegmentOffset,
};

use super::super::{
    super::state::{GroupInit, GroupUpdate, ReaderGroupState},
    Effect, GroupReaderMachine, GroupReaderSettings, Moment, SegmentEnd,
};

pub(super) fn segment(number: i64) -> ScopedSegment {
    ScopedSegment::new(&"s/t".parse().unwrap(), SegmentId::from(number))
}

pub(super) fn configuration() -> ReaderGroupConfiguration {
    ReaderGroupConfiguration::new(["s/t".parse().unwrap()])
        .unwrap()
        .with_automatic_checkpoint_interval(None)
}

/// A reader called a, and the state, which changes as the reader wants.
pub(super) struct Bench {
    pub(super) state: ReaderGroupState,
    pub(super) machine: GroupReaderMachine,
    pub(super) now: Duration,
}

impl Bench {
    pub(super) fn of(init: GroupInit) -> Self {
        let settings = GroupReaderSettings::default();
        let random = Box::new(|| 0);
        Self {
            state: ReaderGroupState::new(init),
            machine: GroupReaderMachine::new("a".into(), settings, Duration::ZERO, random),
            now: Duration::ZERO,
        }
    }

    pub(super) fn new(segments: i64) -> Self {
        let starts = (0..segments).map(|n| (segment(n).into(), SegmentOffset::At(Offset(0))));
        Self::of(GroupInit::new(configuration(), starts))
    }

    /// A reader that has taken all segments.
    pub(super) fn reading(segments: i64) -> Self {
        let mut bench = Self::new(segments);
        bench.run();
        bench
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.now, wall_ms: 1_795_259_163_685 }
    }

    pub(super) fn apply(&mut self, update: GroupUpdate) {
        self.state.apply(update).unwrap();
    }

    pub(super) fn poll(&mut self) -> Option<Effect> {
        let moment = self.moment();
        self.machine.poll_effect(&self.state, moment)
    }

    /// Time passes, after which the state is read.
    pub(super) fn wait(&mut self, seconds: u64) -> Vec<String> {
        self.now += Duration::from_secs(seconds);
        self.run()
    }

    /// Carries out effects until there is none, or one that this bench cannot carry out. Returns
    /// the updates that were written, and the other effects.
    pub(super) fn run(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        for _ in 0..50 {
            let moment = self.moment();
            match self.poll() {
                None => return done,
                Some(Effect::Fetch) => self.machine.handle_fetched(&self.state, 0, moment),
                Some(Effect::Change(change)) => {
                    let updates = self.machine.updates(&change, &self.state, moment.wall_ms);
                    for update in &updates {
                        done.push(update.name().to_owned());
                        self.apply(update.clone());
                    }
                    self.machine.handle_changed(&self.state, !updates.is_empty(), moment);
                }
                Some(Effect::Report(update)) => {
                    done.push(update.name().to_owned());
                    self.apply(update);
                    self.machine.handle_reported(moment);
                }
                Some(Effect::Open { segment, from, end }) => {
                    let end = match end {
                        SegmentEnd::At(end) => format!("..{end}"),
                        SegmentEnd::OnceSealed => String::new(),
                        SegmentEnd::Sealed => ", sealed".to_owned(),
                    };
                    done.push(format!("open {}@{from}{end}", i64::from(segment.id())));
                }
                Some(Effect::Close(segment)) => {
                    done.push(format!("close {}", i64::from(segment.id())));
                }
                Some(other) => {
                    done.push(match other {
                        Effect::Checkpoint(name) => format!("checkpoint {name}"),
                        Effect::FindSuccessors(segment) => {
                            format!("successors of {}", i64::from(segment.id()))
                        }
                        Effect::UseKnownSuccessors(segment) => {
                            format!("known successors of {}", i64::from(segment.id()))
                        }
                        Effect::Lost(reason) => format!("lost: {reason:?}"),
                        other => format!("{other:?}"),
                    });
                    return done;
                }
            }
        }
        panic!("the effects have no end: {done:?}");
    }
}

pub(super) fn create(checkpoint: &str) -> GroupUpdate {
    GroupUpdate::CreateCheckpoint { checkpoint: checkpoint.into() }
}

pub(super) fn add(reader: &str) -> GroupUpdate {
    GroupUpdate::AddReader { reader: reader.into() }
}

pub(super) fn remove(reader: &str) -> GroupUpdate {
    GroupUpdate::RemoveReader { reader: reader.into(), offsets: Vec::new() }
}
