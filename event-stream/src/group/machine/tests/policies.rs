//! Segments that change between events, and other assignments than the fair one.

use std::time::Duration;

use pravega_sdk_types::{Offset, SegmentId, SegmentOffset};

use super::{
    super::{
        super::state::{GroupSegment, GroupUpdate, SegmentRelease},
        GroupReaderMachine, GroupReaderSettings, HandOver, SegmentAssignment, StaticShare,
    },
    bench::{Bench, add, create, segment},
};

fn bench_with(segments: i64, settings: GroupReaderSettings) -> Bench {
    let mut bench = Bench::new(segments);
    let random = Box::new(|| 0);
    bench.machine = GroupReaderMachine::new("a".into(), settings, bench.now, random);
    bench
}

fn between_events() -> GroupReaderSettings {
    GroupReaderSettings::default().with_hand_over(HandOver::BetweenEvents)
}

/// A reader joins that has no segments.
fn join(bench: &mut Bench, reader: &str) {
    bench.apply(add(reader));
    let (reader, read) = (reader.into(), Vec::new());
    bench.apply(GroupUpdate::UpdateDistanceToTail { reader, lag_ms: 1_795_259_163_685, read });
}

fn count(done: &[String], update: &str) -> usize {
    done.iter().filter(|name| *name == update).count()
}

#[test]
fn between_events_a_segment_is_completed_at_once_and_the_end_needs_no_checkpoint() {
    let mut bench = bench_with(1, between_events());
    bench.run();
    bench.machine.handle_sealed_end(&segment(0));
    assert_eq!(bench.run(), ["known successors of 0"]);
    let successor = (GroupSegment::from(segment(1)), vec![SegmentId::from(0)]);
    bench.machine.handle_successors(segment(0), vec![successor]);
    let next =
        ["SegmentCompleted", "close 0", "AcquireSegment", "UpdateDistanceToTail", "open 1@0"];
    assert_eq!(bench.run(), next);
    bench.machine.handle_sealed_end(&segment(1));
    assert_eq!(bench.run(), ["known successors of 1"]);
    bench.machine.handle_successors(segment(1), Vec::new());
    assert_eq!(bench.run(), ["SegmentCompleted", "close 1", "End"]);
}

#[test]
fn successors_are_not_waited_for_between_events_and_are_used_when_they_are_known() {
    let mut bench = bench_with(1, between_events());
    bench.run();
    bench.machine.handle_sealed_end(&segment(0));
    for _ in 0..3 {
        assert_eq!(bench.run(), ["known successors of 0"]);
        bench.machine.handle_no_answer(&segment(0));
        assert_eq!(count(&bench.run(), "known successors of 0"), 0);
        let timeout = bench.machine.poll_timeout(&bench.state);
        assert!(timeout <= bench.now + Duration::from_secs(1), "{timeout:?}");
        bench.now += Duration::from_secs(1);
    }
    bench.run();
    bench.machine.handle_no_answer(&segment(0));
    bench.run();
    bench.machine.handle_successors_known();
    assert_eq!(bench.machine.poll_timeout(&bench.state), Duration::ZERO);
    assert_eq!(bench.run(), ["known successors of 0"]);
}

#[test]
fn a_segment_is_given_back_between_events_at_the_position_but_not_while_a_checkpoint_waits() {
    for (settings, is_given) in [(between_events(), true), (GroupReaderSettings::default(), false)]
    {
        let mut bench = bench_with(4, settings);
        bench.run();
        for number in 0..4 {
            bench.machine.handle_read(&segment(number), Offset(number + 7));
        }
        join(&mut bench, "b");
        let done = bench.wait(60);
        let expected = if is_given { 2 } else { 0 };
        assert_eq!(count(&done, "ReleaseSegment"), expected, "{done:?}");
        for (free, _, offset) in bench.state.unassigned().iter() {
            assert_eq!(offset, SegmentOffset::At(Offset(i64::from(free.id()) + 7)));
        }
    }
    let mut bench = bench_with(4, between_events());
    bench.run();
    bench.apply(create("c"));
    join(&mut bench, "b");
    assert_eq!(bench.run().last().map(String::as_str), Some("checkpoint c"));
    assert!(bench.state.unassigned().is_empty(), "the checkpoint waits for the position");
}

#[test]
fn what_is_too_much_is_given_back_at_once_and_left_to_others_until_they_have_read_the_state() {
    let mut bench = bench_with(24, between_events());
    bench.run();
    bench.run();
    assert_eq!(bench.state.assigned("a").unwrap().len(), 24);
    join(&mut bench, "b");
    let done = bench.wait(3);
    assert_eq!(count(&done, "ReleaseSegment"), 12, "{done:?}");
    // The others read the state every 3 s, and take turns of a second.
    for second in 0..4 {
        assert_eq!(count(&bench.wait(1), "AcquireSegment"), 0, "after {second} s");
    }
    assert!(count(&bench.wait(2), "AcquireSegment") > 0, "the other one does not take them");
}

#[test]
fn a_sticky_reader_gives_back_only_what_a_reader_without_segments_needs() {
    let sticky = between_events().with_assignment(SegmentAssignment::Sticky);
    let given = |of_other: i64| {
        let mut bench = bench_with(6, sticky.clone());
        bench.run();
        join(&mut bench, "b");
        for number in 0..of_other {
            let (reader, offset) = ("a".into(), Offset(0).into());
            let released = SegmentRelease { reader, segment: segment(number), offset };
            bench.apply(GroupUpdate::ReleaseSegment(released));
            let reader = "b".into();
            bench.apply(GroupUpdate::AcquireSegment { reader, segment: segment(number) });
        }
        [SegmentAssignment::Sticky, SegmentAssignment::Fair]
            .map(|assignment| assignment.to_give_back(&bench.state, "a").is_some())
    };
    assert_eq!(given(0), [true, true], "the other has none");
    assert_eq!(given(1), [false, true], "it has five, and the other has one");
    assert_eq!(given(3), [false, false]);
}

#[test]
fn a_reader_with_a_static_share_takes_what_is_in_it_and_gives_the_rest_back() {
    let share = StaticShare::new(1, 3).unwrap();
    let own: Vec<i64> = (0..9).filter(|number| share.contains(&segment(*number))).collect();
    assert_eq!(own.len(), 3);
    let settings = between_events().with_assignment(SegmentAssignment::Static(share));
    let mut bench = bench_with(9, settings);
    bench.run();
    bench.wait(60);
    let taken = |bench: &Bench| -> Vec<i64> {
        let mut taken: Vec<i64> =
            bench.state.assigned("a").unwrap().segments().map(|it| it.id().into()).collect();
        taken.sort_unstable();
        taken
    };
    assert_eq!(taken(&bench), own, "it leaves the others, also if no reader has them");
    // It begins again with another share.
    let other = SegmentAssignment::Static(StaticShare::new(0, 3).unwrap());
    for number in &own {
        let segment = segment(*number);
        assert!(other.gives_back(&bench.state, "a", &segment));
    }
    assert!(other.to_give_back(&bench.state, "a").is_some());
}
