//! What is reported of a group, by the states that follow each other.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use crate::group::state::ReaderGroupState;

/// A change of a reader group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupNotice {
    /// The group has this number of segments and readers now. It is the first notice of a watch.
    Sizes(GroupSizes),
    /// A reader has joined.
    ReaderJoined(Arc<str>),
    /// A reader has left, or was taken out.
    ReaderLeft(Arc<str>),
    /// The group has begun again with another configuration, so that all its readers are out of it.
    Reset {
        /// The generation of the new configuration.
        generation: Option<i64>,
    },
    /// All segments were read to their ends, and no more will come. It is reported once, and again
    /// after a reset.
    EndOfData,
}

/// How many segments and readers a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GroupSizes {
    /// Number of segments that are read, or without a reader; not those that begin later.
    pub segments: usize,
    /// Number of those that are without a reader.
    pub unassigned: usize,
    /// Number of readers in the group.
    pub readers: usize,
}

impl GroupSizes {
    /// Returns the sizes of a group in a state.
    #[must_use]
    pub fn of(state: &ReaderGroupState) -> Self {
        Self {
            segments: state.segment_count(),
            unassigned: state.unassigned().len(),
            readers: state.readers().len(),
        }
    }
}

/// What was reported of a group, and what is reported next.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    known: Option<Known>,
    next: VecDeque<GroupNotice>,
}

#[derive(Debug, PartialEq)]
struct Known {
    generation: Option<i64>,
    readers: BTreeSet<Arc<str>>,
    sizes: GroupSizes,
    is_at_end: bool,
}

impl Known {
    fn of(state: &ReaderGroupState) -> Self {
        Self {
            generation: state.configuration().generation(),
            readers: state.readers().cloned().collect(),
            sizes: GroupSizes::of(state),
            is_at_end: state.is_at_end(),
        }
    }
}

impl Notices {
    /// The state was read.
    pub(crate) fn handle_state(&mut self, state: &ReaderGroupState) {
        let known = Known::of(state);
        let before = self.known.take();
        if let Some(before) = &before {
            if before.generation != known.generation {
                self.next.push_back(GroupNotice::Reset { generation: known.generation });
            }
            let left = before.readers.difference(&known.readers);
            self.next.extend(left.cloned().map(GroupNotice::ReaderLeft));
            let joined = known.readers.difference(&before.readers);
            self.next.extend(joined.cloned().map(GroupNotice::ReaderJoined));
        }
        if before.as_ref().is_none_or(|before| before.sizes != known.sizes) {
            self.next.push_back(GroupNotice::Sizes(known.sizes));
        }
        let was_at_end =
            before.is_some_and(|before| before.is_at_end && before.generation == known.generation);
        if known.is_at_end && !was_at_end {
            self.next.push_back(GroupNotice::EndOfData);
        }
        self.known = Some(known);
    }

    /// Returns the next notice; `None` until the next state.
    pub(crate) fn poll_notice(&mut self) -> Option<GroupNotice> {
        self.next.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{Offset, ReaderGroupConfiguration, ScopedSegment};
    use uuid::Uuid;

    use super::*;
    use crate::group::state::{GroupInit, GroupUpdate, SegmentCompletion};

    fn segment() -> ScopedSegment {
        "a/b/0.#epoch.0".parse().unwrap()
    }

    fn init(generation: i64) -> GroupInit {
        let configuration = ReaderGroupConfiguration::new([segment().scoped_stream()])
            .unwrap()
            .with_identity(Uuid::from_u128(1), Some(generation));
        GroupInit::new(configuration, [(segment().into(), Offset(0).into())])
    }

    fn notices(machine: &mut Notices, state: &ReaderGroupState) -> Vec<GroupNotice> {
        machine.handle_state(state);
        std::iter::from_fn(|| machine.poll_notice()).collect()
    }

    fn sizes(segments: usize, unassigned: usize, readers: usize) -> GroupNotice {
        GroupNotice::Sizes(GroupSizes { segments, unassigned, readers })
    }

    #[test]
    fn the_first_state_and_each_change_are_reported_once() {
        let (mut machine, mut state) = (Notices::default(), ReaderGroupState::new(init(0)));
        let reader: Arc<str> = "r1".into();
        assert_eq!(notices(&mut machine, &state), [sizes(1, 1, 0)]);
        assert_eq!(notices(&mut machine, &state), []);
        state.apply(GroupUpdate::AddReader { reader: reader.clone() }).unwrap();
        let joined = GroupNotice::ReaderJoined(reader.clone());
        assert_eq!(notices(&mut machine, &state), [joined, sizes(1, 1, 1)]);
        let taken = GroupUpdate::AcquireSegment { reader: reader.clone(), segment: segment() };
        state.apply(taken).unwrap();
        assert_eq!(notices(&mut machine, &state), [sizes(1, 0, 1)]);
        let completed = SegmentCompletion {
            reader: reader.clone(),
            segment: segment().into(),
            successors: Vec::new(),
        };
        state.apply(GroupUpdate::SegmentCompleted(completed)).unwrap();
        assert_eq!(notices(&mut machine, &state), [sizes(0, 0, 1), GroupNotice::EndOfData]);
        assert_eq!(notices(&mut machine, &state), []);
        state.apply(GroupUpdate::Init(init(1))).unwrap();
        let reset = GroupNotice::Reset { generation: Some(1) };
        let left = GroupNotice::ReaderLeft(reader);
        assert_eq!(notices(&mut machine, &state), [reset, left, sizes(1, 1, 0)]);
    }

    #[test]
    fn a_group_that_was_read_to_its_end_again_after_a_reset_reports_it_again() {
        let (mut machine, mut state) = (Notices::default(), ReaderGroupState::new(init(0)));
        let mut ends = 0;
        for generation in 0..3 {
            let reader: Arc<str> = "r1".into();
            for update in [
                GroupUpdate::Init(init(generation)),
                GroupUpdate::AddReader { reader: reader.clone() },
                GroupUpdate::AcquireSegment { reader: reader.clone(), segment: segment() },
                GroupUpdate::SegmentCompleted(SegmentCompletion {
                    reader,
                    segment: segment().into(),
                    successors: Vec::new(),
                }),
            ] {
                state.apply(update).unwrap();
            }
            ends += notices(&mut machine, &state)
                .iter()
                .filter(|notice| **notice == GroupNotice::EndOfData)
                .count();
        }
        assert_eq!(ends, 3);
    }
}
