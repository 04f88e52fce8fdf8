//! Random histories of updates, many of which do not fit.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{super::GroupInitial, *};

const READERS: [&str; 3] = ["a", "b", "c"];
const CHECKPOINTS: [&str; 3] = ["x", "y", "z_SILENT_"];

/// Some update, with names and numbers of which few exist.
pub(super) fn any_update() -> impl Strategy<Value = GroupUpdate> {
    let reader = || prop::sample::select(&READERS[..]);
    let checkpoint = || prop::sample::select(&CHECKPOINTS[..]);
    let offset = || -1..20_i64;
    let number = || 0..9_i64;
    let offsets = move || prop::collection::vec((number(), offset()), 0..3);
    let flag = any::<bool>();
    prop_oneof![
        3 => reader().prop_map(add),
        1 => (reader(), offsets()).prop_map(|(reader, offsets)| remove(reader, &offsets)),
        6 => (reader(), number()).prop_map(|(reader, number)| acquire(reader, number)),
        2 => (reader(), number(), offset()).prop_map(|(r, n, o)| release(r, n, o)),
        1 => (reader(), any::<i64>(), offsets()).prop_map(|(r, lag, read)| report(r, lag, &read)),
        4 => (reader(), number()).prop_map(|(reader, number)| {
            // A split, or half of a merge.
            let merged = [number, number ^ 1];
            let [one, two] = [10 + 2 * number, 11 + 2 * number];
            match number % 3 {
                0 => complete(reader, number, &[(one, &[number]), (two, &[number])]),
                1 => complete(reader, number, &[(30 + number / 2, &merged)]),
                _ => complete(reader, number, &[]),
            }
        }),
        3 => checkpoint().prop_map(create),
        4 => (checkpoint(), reader(), offsets()).prop_map(|(c, r, o)| answer(c, r, &o)),
        1 => checkpoint().prop_map(clear),
        1 => Just(GroupUpdate::RemoveOutstandingCheckpoints),
        1 => flag.prop_map(|is_updating| GroupUpdate::UpdatingConfig { is_updating }),
        1 => flag.prop_map(|flag| GroupUpdate::UpdateCheckpointPublished { is_published: flag }),
    ]
}

/// Checks what holds in every state.
fn check(state: &ReaderGroupState) {
    let mut places: Vec<&ScopedSegment> = state.unassigned().segments().collect();
    for reader in state.readers() {
        places.extend(state.assigned(reader).unwrap().segments());
    }
    places.extend(state.future().map(|(segment, ..)| segment));
    let distinct: BTreeSet<_> = places.iter().collect();
    assert_eq!(distinct.len(), places.len(), "a segment is in two places: {}", show(state));
    assert!(state.future().all(|(_, _, left)| !left.is_empty()), "{}", show(state));
    let checkpoints = state.checkpoints();
    for name in CHECKPOINTS {
        assert!(checkpoints.is_complete(name) || checkpoints.known(name).is_some());
        assert!(checkpoints.waiting_for(name).all(|reader| state.is_online(reader)));
    }
    for reader in READERS {
        let next = checkpoints.next_for(reader);
        assert!(next.is_none_or(|name| checkpoints.waiting_for(name).any(|r| r == reader)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn histories_keep_each_segment_in_one_place_and_a_compaction_is_the_same_state(
        updates in prop::collection::vec(any_update(), 0..60),
    ) {
        let mut state = group(6);
        for update in updates {
            let before = state.clone();
            if state.apply(update).is_err() {
                prop_assert_eq!(&state, &before, "a refused update changed the state");
            }
            check(&state);
        }
        let bytes = GroupInitial::Compact(Box::new(state.clone())).to_bytes().unwrap();
        let read = ReaderGroupState::from(GroupInitial::from_bytes(&bytes).unwrap());
        prop_assert_eq!(show(&read), show(&state));
        // No positions of a last checkpoint are none after a compaction.
        if state.checkpoints().last_completed().is_none_or(|last| !last.is_empty()) {
            prop_assert_eq!(read, state);
        }
    }
}
