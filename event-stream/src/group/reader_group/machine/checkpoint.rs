//! How a checkpoint begins, and how far it is.

use std::{collections::BTreeMap, sync::Arc};

use pravega_sdk_types::{ScopedSegment, SegmentOffset};

use crate::group::state::{CheckpointState, GroupUpdate, ReaderGroupState};

/// What the state says to a checkpoint that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// The update is made.
    Begins,
    /// There is one of this name, which is waited for.
    Exists,
    /// The group has as many outstanding ones as it allows.
    TooMany(Vec<String>),
}

/// Adds the update that begins a checkpoint, if the state allows one.
pub(crate) fn begin(
    name: &Arc<str>,
    state: &ReaderGroupState,
    updates: &mut Vec<GroupUpdate>,
) -> Beginning {
    let checkpoints = state.checkpoints();
    if checkpoints.known(name).is_some() {
        return Beginning::Exists;
    }
    let outstanding: Vec<String> = checkpoints.outstanding().map(ToString::to_string).collect();
    let max = usize::try_from(state.configuration().max_outstanding_checkpoints().get());
    let is_full = outstanding.len() >= max.unwrap_or(usize::MAX);
    if is_full && !CheckpointState::is_silent(name) {
        return Beginning::TooMany(outstanding);
    }
    updates.push(GroupUpdate::CreateCheckpoint { checkpoint: name.clone() });
    Beginning::Begins
}

/// How far a checkpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// These readers have not answered.
    Waiting(Vec<String>),
    /// All readers have answered.
    Complete(BTreeMap<ScopedSegment, SegmentOffset>),
    /// It was cancelled, or dropped after a later one was complete.
    Cleared,
    /// The group has begun again, and all its checkpoints are gone.
    Reset,
}

/// Returns how far a checkpoint is that began in a generation of the group.
pub(crate) fn progress(name: &str, generation: Option<i64>, state: &ReaderGroupState) -> Progress {
    let checkpoints = state.checkpoints();
    if state.configuration().generation() != generation {
        return Progress::Reset;
    }
    if !checkpoints.is_complete(name) {
        let waiting = checkpoints.waiting_for(name).map(ToOwned::to_owned);
        return Progress::Waiting(waiting.collect());
    }
    checkpoints.completed(name).cloned().map_or(Progress::Cleared, Progress::Complete)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use pravega_sdk_types::{Offset, ReaderGroupConfiguration};

    use super::*;
    use crate::group::state::GroupInit;

    fn state(max: u32) -> ReaderGroupState {
        let segment: ScopedSegment = "a/b/0.#epoch.0".parse().unwrap();
        let configuration = ReaderGroupConfiguration::new([segment.scoped_stream()])
            .unwrap()
            .with_max_outstanding_checkpoints(NonZeroU32::new(max).unwrap());
        let segments = [(segment.into(), Offset(0).into())];
        ReaderGroupState::new(GroupInit::new(configuration, segments))
    }

    fn apply(state: &mut ReaderGroupState, updates: impl IntoIterator<Item = GroupUpdate>) {
        for update in updates {
            state.apply(update).unwrap();
        }
    }

    fn join(reader: &str) -> [GroupUpdate; 1] {
        [GroupUpdate::AddReader { reader: reader.into() }]
    }

    fn ask(name: &str, state: &mut ReaderGroupState) -> Beginning {
        let mut updates = Vec::new();
        let beginning = begin(&name.into(), state, &mut updates);
        apply(state, updates);
        beginning
    }

    #[test]
    fn a_checkpoint_waits_for_each_reader_and_is_complete_with_the_last() {
        let mut state = state(3);
        apply(&mut state, join("r1"));
        apply(&mut state, join("r2"));
        assert_eq!(ask("c", &mut state), Beginning::Begins);
        assert_eq!(ask("c", &mut state), Beginning::Exists);
        let waiting = |readers: &[&str]| {
            Progress::Waiting(readers.iter().map(|reader| (*reader).to_owned()).collect())
        };
        assert_eq!(progress("c", None, &state), waiting(&["r1", "r2"]));
        let answer = |reader: &str| GroupUpdate::CheckpointReader {
            checkpoint: "c".into(),
            reader: reader.into(),
            offsets: Vec::new(),
        };
        apply(&mut state, [answer("r2")]);
        assert_eq!(progress("c", None, &state), waiting(&["r1"]));
        apply(&mut state, [answer("r1")]);
        let Progress::Complete(positions) = progress("c", None, &state) else { panic!("waits") };
        assert_eq!(positions.len(), 1, "the segment without a reader");
    }

    #[test]
    fn only_the_allowed_number_is_outstanding_and_silent_ones_do_not_count() {
        let mut state = state(1);
        apply(&mut state, join("r1"));
        assert_eq!(ask("x_SILENT_", &mut state), Beginning::Begins);
        assert_eq!(ask("c", &mut state), Beginning::Begins);
        assert_eq!(ask("d", &mut state), Beginning::TooMany(vec!["c".to_owned()]));
        assert_eq!(ask("y_SILENT_", &mut state), Beginning::Begins);
    }

    #[test]
    fn one_that_was_cancelled_or_is_of_an_earlier_configuration_is_not_waited_for() {
        let mut state = state(3);
        apply(&mut state, join("r1"));
        ask("c", &mut state);
        assert_eq!(progress("c", Some(1), &state), Progress::Reset);
        apply(&mut state, [GroupUpdate::RemoveOutstandingCheckpoints]);
        assert_eq!(progress("c", None, &state), Progress::Cleared);
        assert_eq!(ask("c", &mut state), Beginning::Begins, "the name is free again");
    }
}
