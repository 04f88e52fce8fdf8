//! Each update in each kind of state: what it changes, or why it is refused.

use super::{super::*, *};

/// A reader with two segments, one without, a segment to come, and a checkpoint that waits for the
/// other reader.
fn busy() -> ReaderGroupState {
    after(
        group(4),
        &[
            add("a"),
            add("b"),
            acquire("a", 0),
            acquire("a", 1),
            acquire("b", 2),
            complete("b", 2, &[(9, &[2, 0])]),
            create("c"),
            answer("c", "a", &[(0, 5), (1, 6)]),
        ],
    )
}

const BUSY: &str = "a[0@5 1@6] b[] free[3@0] 9<0 c(b)=0@5 1@6 3@0";

/// What an update makes of [`busy`].
fn changed(update: GroupUpdate) -> String {
    let mut state = busy();
    match state.apply(update) {
        Ok(()) => show(&state),
        Err(error) => {
            assert_eq!(state, busy(), "an update that is refused changed the state");
            format!("refused: {error}")
        }
    }
}

#[test]
fn readers_join_and_leave() {
    assert_eq!(show(&busy()), BUSY);
    assert_eq!(
        changed(add("c")),
        "a[0@5 1@6] b[] c[] free[3@0] 9<0 c(b)=0@5 1@6 3@0",
        "a checkpoint does not wait for a reader that joins later"
    );
    assert_eq!(changed(add("a")), "refused: reader \"a\" is in the group already");
    assert_eq!(
        changed(remove("a", &[(0, 7), (3, 99)])),
        "b[] free[3@0 0@7 1@6] 9<0 c(b)=0@5 1@6 3@0",
        "the offset given counts, then the stored one; other segments do not"
    );
    assert_eq!(
        changed(remove("b", &[])),
        "a[0@5 1@6] free[3@0] 9<0 c()=0@5 1@6 3@0",
        "a reader that leaves answers the checkpoint"
    );
    assert_eq!(changed(remove("x", &[(0, 1)])), BUSY);
}

#[test]
fn the_segments_of_a_reader_do_not_go_back_before_their_stored_offsets() {
    // Segment 0 was given back after the position, read on by another and taken again; in segment
    // 1 the reader has answered a checkpoint since; it was read to its end in 2.
    let state = after(
        group(4),
        &[
            add("a"),
            add("b"),
            acquire("a", 0),
            acquire("a", 1),
            acquire("a", 2),
            release("a", 0, 3),
            acquire("b", 0),
            release("b", 0, 8),
            acquire("a", 0),
            create("c"),
            answer("c", "a", &[(0, 8), (1, 6), (2, -1)]),
        ],
    );
    let position = |offsets: &[(i64, i64)]| {
        let given = positions(offsets);
        state.offsets_of_removal("a", given.iter().map(|(segment, at)| (segment, *at)))
    };
    let old = position(&[(0, 3), (1, 5), (2, 7), (3, 99)]);
    assert_eq!(old, positions(&[(0, 8), (1, 6), (2, -1)]));
    let latest = position(&[(0, 9), (1, -1)]);
    assert_eq!(latest, positions(&[(0, 9), (1, -1)]), "later ones count");
    let outside = positions(&[(0, 9)]);
    let outside = state.offsets_of_removal("x", outside.iter().map(|(segment, at)| (segment, *at)));
    assert_eq!(outside, []);
}

#[test]
fn segments_are_taken_and_given_back() {
    assert_eq!(changed(acquire("b", 3)), "a[0@5 1@6] b[3@0] free[] 9<0 c(b)=0@5 1@6 3@0");
    assert_eq!(changed(release("a", 0, 8)), "a[1@6] b[] free[3@0 0@8] 9<0 c(b)=0@5 1@6 3@0");
    for (update, why) in [
        (acquire("x", 3), "reader \"x\" is not in the group"),
        (acquire("b", 0), "segment s/t/0.#epoch.0 is not among those without a reader"),
        (acquire("b", 9), "segment s/t/9.#epoch.0 is not among those without a reader"),
        (release("x", 0, 0), "reader \"x\" is not in the group"),
        (release("b", 0, 0), "segment s/t/0.#epoch.0 is not assigned to reader \"b\""),
        (release("a", 3, 0), "segment s/t/3.#epoch.0 is not assigned to reader \"a\""),
    ] {
        assert_eq!(changed(update), format!("refused: {why}"));
    }
}

#[test]
fn successors_begin_after_all_their_predecessors() {
    assert_eq!(
        changed(complete("a", 0, &[(9, &[0, 2])])),
        "a[1@6] b[] free[3@0 9@0] c(b)=0@5 1@6 3@0"
    );
    assert_eq!(
        changed(complete("a", 1, &[(7, &[1]), (8, &[1, 3])])),
        "a[0@5] b[] free[3@0 7@0] 9<0 8<3 c(b)=0@5 1@6 3@0"
    );
    assert_eq!(changed(complete("a", 1, &[])), "a[0@5] b[] free[3@0] 9<0 c(b)=0@5 1@6 3@0");
    for (update, why) in [
        (complete("x", 0, &[]), "reader \"x\" is not in the group"),
        (complete("a", 3, &[]), "segment s/t/3.#epoch.0 is not assigned to reader \"a\""),
    ] {
        assert_eq!(changed(update), format!("refused: {why}"));
    }
}

#[test]
fn what_was_read_is_known_of_segments_that_are_being_read() {
    let read = |update| {
        let state = after(busy(), &[update]);
        let read = state.last_read().iter();
        read.map(|(segment, _, at)| (i64::from(segment.id()), at.to_wire())).collect::<Vec<_>>()
    };
    assert_eq!(read(report("a", 1, &[])), [(0, 0), (1, 0), (3, 0)]);
    assert_eq!(read(report("a", 1, &[(0, 5), (2, 5), (9, 5)])), [(0, 5), (1, 0), (3, 0)]);
    assert_eq!(read(release("a", 0, 8)), [(0, 8), (1, 0), (3, 0)]);
    assert_eq!(read(complete("a", 0, &[])), [(1, 0), (3, 0), (9, 0)]);
}

#[test]
fn a_distance_is_at_least_30_seconds_and_unknown_for_a_new_reader() {
    assert_eq!(busy().lag_ms("a"), Some(i64::MAX));
    for (reported, stored) in [(-1, 30_000), (30_001, 30_001), (i64::MAX, i64::MAX)] {
        let state = after(busy(), &[report("a", reported, &[]), report("x", reported, &[])]);
        assert_eq!((state.lag_ms("a"), state.lag_ms("x")), (Some(stored), Some(stored)));
    }
    assert_eq!(after(busy(), &[remove("a", &[])]).lag_ms("a"), None);
    let again = [report("x", 40_000, &[]), add("x")];
    assert_eq!(after(busy(), &again).lag_ms("x"), Some(40_000), "reported before it joined");
}

#[test]
fn checkpoints_wait_for_the_readers_that_were_in_the_group() {
    assert_eq!(changed(create("c")), BUSY, "a name that is known is not created again");
    assert_eq!(changed(create("d")), "a[0@5 1@6] b[] free[3@0] 9<0 c(b)=0@5 1@6 3@0 d(a+b)=3@0");
    assert_eq!(
        changed(answer("c", "b", &[(2, -1)])),
        "a[0@5 1@6] b[] free[3@0] 9<0 c()=0@5 1@6 2@-1 3@0"
    );
    assert_eq!(
        changed(answer("c", "a", &[])),
        "refused: reader \"a\" was at checkpoint \"c\" before"
    );
    assert_eq!(changed(answer("c", "x", &[])), "refused: reader \"x\" is not in the group");
    assert_eq!(
        changed(answer("x", "a", &[(0, 9)])),
        "a[0@9 1@6] b[] free[3@0] 9<0 c(b)=0@5 1@6 3@0",
        "the position of an unknown checkpoint is one of the reader too"
    );
    let alone = after(group(1), &[create("c")]);
    assert_eq!(show(&alone), "free[0@0] c()=0@0", "without readers it is complete at once");
    assert_eq!(alone.checkpoints().last_completed(), None, "and no reader completed it");
}

#[test]
fn checkpoints_are_cleared_and_given_up() {
    let two = || after(busy(), &[create("d"), create("e_SILENT_")]);
    let made = |update| show(&after(two(), &[update]));
    let prefix = "a[0@5 1@6] b[] free[3@0] 9<0";
    let silent = "e_SILENT_(a+b)=3@0";
    assert_eq!(made(clear("x")), show(&two()));
    assert_eq!(made(clear("d")), format!("{prefix} d(a+b)=3@0 {silent}"));
    assert_eq!(
        made(GroupUpdate::RemoveOutstandingCheckpoints),
        format!("{prefix} c()=gone d()=gone {silent}")
    );
    let again = [GroupUpdate::RemoveOutstandingCheckpoints, create("c"), clear("d")];
    assert_eq!(show(&after(two(), &again)), show(&after(two(), &again[..2])), "d is not known");
}

#[test]
fn only_a_checkpoint_that_is_not_silent_becomes_the_last_one_and_moves_the_stored_offsets() {
    let silent = [create("x_SILENT_"), answer("x_SILENT_", "a", &[(0, 9)])];
    let state = after(busy(), &silent);
    assert_eq!(show(&state), "a[0@5 1@6] b[] free[3@0] 9<0 c(b)=0@5 1@6 3@0 x_SILENT_(b)=0@9 3@0");
    let state = after(state, &[answer("x_SILENT_", "b", &[])]);
    assert!(state.checkpoints().last_completed().is_none());
    assert!(state.checkpoints().is_last_published());
    let state = after(state, &[answer("c", "b", &[])]);
    let last = state.checkpoints().last_completed();
    assert_eq!(last, state.checkpoints().completed("c"));
    assert!(last.is_some() && !state.checkpoints().is_last_published());
    let published = GroupUpdate::UpdateCheckpointPublished { is_published: true };
    assert!(after(state, &[published]).checkpoints().is_last_published());
}

#[test]
fn a_reader_that_leaves_completes_its_checkpoints_in_order() {
    let state = after(group(2), &[add("a"), acquire("a", 1), create("z"), create("y")]);
    let state = after(state, &[remove("a", &[(1, 4)])]);
    assert_eq!(show(&state), "free[0@0 1@4] z()=0@0 1@4 y()=0@0 1@4");
    assert_eq!(state.checkpoints().last_completed(), state.checkpoints().completed("y"));
}

#[test]
fn the_next_checkpoint_of_a_reader_is_its_oldest() {
    let state = after(busy(), &[create("b_SILENT_"), create("a")]);
    let next = |reader| state.checkpoints().next_for(reader).map(|name| &**name);
    assert_eq!((next("a"), next("b"), next("x")), (Some("b_SILENT_"), Some("c"), None));
    let outstanding: Vec<&str> = state.checkpoints().outstanding().map(|name| &**name).collect();
    assert_eq!(outstanding, ["c", "a"]);
}

#[test]
fn a_group_begins_again_without_readers_and_never_without_segments() {
    assert_eq!(changed(GroupUpdate::Init(init(2))), "free[0@0 1@0]");
    assert_eq!(
        changed(GroupUpdate::Init(init(0))),
        "refused: a group begins with at least one segment"
    );
    assert_eq!(changed(GroupUpdate::Compact(Box::new(group(1)))), "free[0@0]");
    let updating = after(group(1), &[GroupUpdate::UpdatingConfig { is_updating: true }]);
    assert!(updating.is_updating_configuration());
    assert!(!after(updating, &[GroupUpdate::Init(init(1))]).is_updating_configuration());
}

#[test]
fn the_memory_of_checkpoints_is_bounded() {
    let mut state = after(group(1), &[add("a")]);
    let mut refused = 0;
    for number in 0..70_000 {
        refused += usize::from(state.apply(create(&format!("{number}_SILENT_"))).is_err());
    }
    assert_eq!(refused, 70_000 - (1 << 16));
    state.apply(clear("65535_SILENT_")).unwrap();
    state.apply(create("again")).unwrap();
}
