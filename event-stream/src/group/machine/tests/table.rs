//! What a reader does in each situation, one step after the other.

use std::{num::NonZeroU32, time::Duration};

use pravega_sdk_types::{
    GroupRetention, GroupStream, Offset, ReaderGroupConfiguration, ScopedSegment, SegmentId,
    SegmentOffset, StreamCut,
};

use super::{
    super::{
        super::state::{GroupInit, GroupSegment, GroupUpdate, ReaderGroupState, SegmentCompletion},
        Change, Effect, GroupReaderMachine, GroupReaderSettings, LossReason, Moment,
    },
    bench::{Bench, add, configuration, create, remove, segment},
};

const TAKEN: [&str; 6] = [
    "AddReader",
    "AcquireSegment",
    "AcquireSegment",
    "UpdateDistanceToTail",
    "open 0@0",
    "open 1@0",
];

#[test]
fn a_reader_joins_and_takes_its_part() {
    assert_eq!(Bench::new(2).run(), TAKEN);
    let mut second = Bench::new(4);
    second.apply(add("b"));
    assert_eq!(second.run(), TAKEN, "the other half is for the other");
    assert_eq!(second.wait(1), ["UpdateDistanceToTail"; 0], "and not for this one at once");
    assert_eq!(
        second.wait(29),
        ["AcquireSegment", "UpdateDistanceToTail", "open 2@0"],
        "but one at a time if no other takes them"
    );
}

#[test]
fn a_reader_waits_before_it_takes_segments_for_the_first_time_if_it_should() {
    let mut bench = Bench::new(2);
    let delay = Duration::from_secs(7);
    let settings = GroupReaderSettings::default().with_initial_allocation_delay(delay);
    let random = Box::new(|| u64::MAX);
    bench.machine = GroupReaderMachine::new("a".into(), settings, Duration::ZERO, random);
    assert_eq!(bench.run(), ["AddReader"]);
    bench.wait(9);
    assert!(!bench.machine.is_reading(), "a random part of the 3 s between readings is added");
    bench.wait(1);
    assert!(bench.machine.is_reading());
}

#[test]
fn a_name_that_is_in_the_group_is_refused() {
    let mut bench = Bench::new(1);
    bench.apply(add("a"));
    assert_eq!(bench.run(), ["lost: AlreadyInGroup"]);
    assert_eq!(bench.run(), ["lost: AlreadyInGroup"]);
}

#[test]
fn a_reader_that_joined_by_an_attempt_that_took_effect_late_is_in_the_group() {
    let mut bench = Bench::new(2);
    let moment = bench.moment();
    assert_eq!(bench.poll(), Some(Effect::Fetch));
    bench.machine.handle_fetched(&bench.state, 0, moment);
    assert_eq!(bench.poll(), Some(Effect::Change(Change::Join)));
    bench.machine.handle_failed(moment);
    assert_eq!(bench.poll(), Some(Effect::Fetch));
    bench.machine.handle_fetched(&bench.state, 0, moment);
    assert_eq!(bench.poll(), Some(Effect::Change(Change::Join)));
    bench.apply(add("a"));
    assert_eq!(bench.machine.updates(&Change::Join, &bench.state, 0), []);
    bench.machine.handle_changed(&bench.state, false, moment);
    assert!(bench.machine.is_member());
    assert_eq!(bench.run(), TAKEN[1..]);
}

#[test]
fn a_reader_that_another_client_takes_out_stops_reading() {
    let mut bench = Bench::reading(2);
    bench.apply(remove("a"));
    assert_eq!(bench.run(), [""; 0], "it does not know");
    assert_eq!(bench.wait(3), ["close 0", "close 1", "lost: Removed"]);
    assert!(!bench.machine.is_reading());
}

#[test]
fn a_reader_whose_name_another_has_taken_stops_reading() {
    let mut bench = Bench::reading(1);
    bench.apply(remove("a"));
    bench.apply(add("a"));
    assert_eq!(bench.wait(3), ["close 0", "lost: Replaced"], "it has not given its segment back");
    let mut idle = Bench::new(1);
    idle.apply(add("b"));
    idle.apply(GroupUpdate::AcquireSegment { reader: "b".into(), segment: segment(0) });
    idle.run();
    for update in [remove("a"), add("a"), remove("b")] {
        idle.apply(update);
    }
    idle.apply(GroupUpdate::AcquireSegment { reader: "a".into(), segment: segment(0) });
    assert_eq!(idle.wait(3), ["lost: Replaced"], "it has not taken this segment");
}

#[test]
fn a_checkpoint_is_shown_and_the_next_poll_answers_it_with_the_position() {
    let mut bench = Bench::reading(2);
    bench.machine.handle_read(&segment(1), Offset(9));
    bench.apply(create("c"));
    assert_eq!(bench.run(), ["checkpoint c"]);
    let waiting: Vec<&str> = bench.state.checkpoints().waiting_for("c").collect();
    assert_eq!(waiting, ["a"], "the program has not handled the events yet");
    assert_eq!(bench.run(), ["CheckpointReader"]);
    let offsets: Vec<i64> =
        bench.state.checkpoints().completed("c").unwrap().values().map(|at| at.to_wire()).collect();
    assert_eq!(offsets, [0, 9]);
    assert_eq!(bench.run(), [""; 0], "it is shown once");
}

#[test]
fn a_silent_checkpoint_is_answered_without_being_shown() {
    let mut bench = Bench::reading(1);
    bench.apply(create("c_SILENT_"));
    bench.apply(create("d"));
    assert_eq!(bench.run(), ["CheckpointReader", "checkpoint d"]);
    bench.apply(create("e_SILENT_"));
    assert_eq!(bench.run(), ["CheckpointReader", "CheckpointReader"]);
}

#[test]
fn no_segments_are_taken_while_a_checkpoint_waits_for_the_reader() {
    let mut bench = Bench::new(1);
    bench.poll();
    let moment = bench.moment();
    bench.machine.handle_fetched(&bench.state, 0, moment);
    let Some(Effect::Change(join)) = bench.poll() else { panic!("does not join") };
    for update in bench.machine.updates(&join, &bench.state, 0) {
        bench.apply(update);
    }
    bench.apply(create("c"));
    bench.machine.handle_changed(&bench.state, true, moment);
    assert_eq!(bench.run(), ["checkpoint c"]);
    assert_eq!(
        bench.run(),
        ["CheckpointReader", "AcquireSegment", "UpdateDistanceToTail", "open 0@0"]
    );
}

#[test]
fn segments_that_a_checkpoint_kept_from_being_taken_are_taken_right_after_it() {
    let mut bench = Bench::new(2);
    for number in 0..100 {
        bench.apply(add(&format!("b{number}")));
    }
    // It begins to take segments by a copy of the state that does not have the checkpoint.
    let change = loop {
        let moment = bench.moment();
        match bench.poll() {
            Some(Effect::Fetch) => bench.machine.handle_fetched(&bench.state, 0, moment),
            Some(Effect::Change(change @ Change::Join)) => {
                let updates = bench.machine.updates(&change, &bench.state, moment.wall_ms);
                updates.into_iter().for_each(|update| bench.apply(update));
                bench.machine.handle_changed(&bench.state, true, moment);
            }
            Some(Effect::Change(change)) => break change,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(change, Change::Acquire);
    bench.apply(create("c1"));
    let moment = bench.moment();
    assert_eq!(bench.machine.updates(&change, &bench.state, moment.wall_ms), []);
    bench.machine.handle_changed(&bench.state, false, moment);
    assert_eq!(bench.run(), ["checkpoint c1"]);
    let done = bench.run();
    assert_eq!(done.first().unwrap(), "CheckpointReader");
    assert!(done.contains(&"AcquireSegment".to_owned()), "{done:?}");
}

#[test]
fn a_segment_is_completed_after_a_checkpoint_and_its_successors_are_read() {
    let mut bench = Bench::reading(1);
    bench.machine.handle_read(&segment(0), Offset(9));
    bench.machine.handle_sealed_end(&segment(0));
    assert_eq!(bench.wait(60), ["UpdateDistanceToTail"], "the program may not keep its position");
    bench.apply(create("c"));
    assert_eq!(bench.run(), ["checkpoint c"]);
    assert_eq!(bench.run(), ["CheckpointReader", "successors of 0"]);
    let successor = |number| (GroupSegment::from(segment(number)), vec![SegmentId::from(0)]);
    bench.machine.handle_successors(segment(0), vec![successor(1), successor(2)]);
    assert_eq!(
        bench.run(),
        [
            "SegmentCompleted",
            "close 0",
            "AcquireSegment",
            "AcquireSegment",
            "UpdateDistanceToTail",
            "open 1@0",
            "open 2@0"
        ]
    );
    let last = bench.state.checkpoints().last_completed().unwrap();
    assert_eq!(last[&segment(0)], SegmentOffset::End);
}

#[test]
fn successors_that_are_not_found_are_searched_after_the_next_checkpoint() {
    let mut bench = Bench::reading(1);
    bench.machine.handle_sealed_end(&segment(0));
    for checkpoint in ["c", "d"] {
        bench.apply(create(checkpoint));
        bench.run();
        assert_eq!(bench.run(), ["CheckpointReader", "successors of 0"]);
        assert_eq!(bench.run(), ["successors of 0"], "the owner was dropped while it searched");
        bench.machine.handle_no_answer(&segment(0));
        assert_eq!(bench.run(), [""; 0]);
    }
}

#[test]
fn successors_are_waited_for_once_after_a_checkpoint() {
    let mut bench = Bench::reading(3);
    for number in 0..3 {
        bench.machine.handle_sealed_end(&segment(number));
    }
    bench.apply(create("c"));
    bench.run();
    assert_eq!(bench.run(), ["CheckpointReader", "successors of 0"]);
    bench.machine.handle_no_answer(&segment(0));
    for number in [1, 2] {
        assert_eq!(bench.run(), [format!("known successors of {number}")]);
        bench.machine.handle_no_answer(&segment(number));
    }
    assert_eq!(bench.run(), [""; 0]);
}

#[test]
fn reading_ends_where_it_should_and_no_successors_are_searched() {
    let mut init = GroupInit::new(
        configuration(),
        [0, 1, 2].map(|number| (segment(number).into(), SegmentOffset::At(Offset(4)))),
    );
    init.ends = vec![(segment(0), Offset(8).into()), (segment(1), Offset(4).into())];
    init.ends.push((segment(2), SegmentOffset::End));
    let mut bench = Bench::of(init);
    assert_eq!(bench.run()[5..], ["open 0@4..8", "open 2@4"], "there is nothing to read of 1");
    bench.machine.handle_configured_end(&segment(0));
    bench.machine.handle_sealed_end(&segment(2));
    bench.apply(create("c"));
    bench.run();
    assert_eq!(
        bench.run(),
        [
            "CheckpointReader",
            "SegmentCompleted",
            "close 0",
            "SegmentCompleted",
            "close 1",
            "SegmentCompleted",
            "close 2",
            "End"
        ]
    );
}

#[test]
fn a_segment_without_an_end_is_sealed_if_the_end_of_its_stream_is_of_a_later_epoch() {
    let of_epoch = |epoch: i64, number: i64| (epoch << 32) | number;
    let (first, scaled, last) = (0, of_epoch(2, 5), of_epoch(3, 7));
    let other = ScopedSegment::new(&"s/other".parse().unwrap(), SegmentId::from(0));
    let begins = [first, 1, scaled, last].map(segment).into_iter().chain([other]);
    let begins = begins.map(|segment| (segment.into(), SegmentOffset::At(Offset(4))));
    let mut init = GroupInit::new(configuration(), begins);
    // The other stream has no end, and nothing of a stream can follow what is of its last epoch.
    init.ends = vec![(segment(1), SegmentOffset::End), (segment(scaled), Offset(8).into())];
    let mut bench = Bench::of(init);
    let mut opened: Vec<String> = bench.run();
    opened.retain(|done| done.starts_with("open"));
    let mut expected = [
        "open 0@4".to_owned(),
        "open 0@4, sealed".to_owned(),
        "open 1@4".to_owned(),
        format!("open {scaled}@4..8"),
        format!("open {last}@4"),
    ];
    opened.sort();
    expected.sort();
    assert_eq!(opened, expected);
}

#[test]
fn the_distance_that_is_reported_is_that_of_javas_client() {
    let lag = |bench: &mut Bench| {
        bench.now += Duration::from_secs(40);
        bench.run();
        bench.state.lag_ms("a")
    };
    let mut bench = Bench::reading(2);
    assert_eq!(lag(&mut bench), Some(1_795_259_163_685), "nothing was read, and it has segments");
    bench.machine.handle_read(&segment(1), Offset(9));
    assert_eq!(lag(&mut bench), Some(1_795_259_163_684));
    let read: Vec<i64> = bench.state.last_read().iter().map(|(.., at)| at.to_wire()).collect();
    assert_eq!(read, [0, 9]);
}

#[test]
fn a_report_that_may_be_lost_is_made_again() {
    let mut bench = Bench::reading(1);
    bench.machine.handle_read(&segment(0), Offset(9));
    bench.now += Duration::from_secs(2);
    let moment = bench.moment();
    while bench.poll() != Some(Effect::Change(Change::Report)) {
        bench.machine.handle_fetched(&bench.state, 0, moment);
    }
    bench.machine.handle_failed(moment);
    assert_eq!(bench.wait(3), ["UpdateDistanceToTail"]);
    assert_eq!(bench.state.last_read().get(&segment(0)), Some(Offset(9).into()));
}

#[test]
fn a_reader_that_takes_a_segment_of_a_dead_one_reports_from_where_it_reads() {
    let mut bench = Bench::new(1);
    let (reader, read) = ("x".into(), vec![(segment(0).into(), Offset(50).into())]);
    for update in [
        add("x"),
        GroupUpdate::AcquireSegment { reader: "x".into(), segment: segment(0) },
        GroupUpdate::UpdateDistanceToTail { reader, lag_ms: 1, read },
        remove("x"),
    ] {
        bench.apply(update);
    }
    let reported = |bench: &Bench| bench.state.last_read().get(&segment(0));
    assert_eq!(reported(&bench), Some(Offset(50).into()));
    assert_eq!(bench.run().last().unwrap(), "open 0@0");
    assert_eq!(reported(&bench), Some(Offset(0).into()));
}

#[test]
fn a_reader_that_has_not_moved_reads_the_state_once_an_interval_and_writes_nothing() {
    let mut bench = Bench::reading(2);
    bench.machine.handle_read(&segment(1), Offset(9));
    assert_eq!(bench.wait(2), ["UpdateDistanceToTail"]);
    let interval = bench.state.configuration().refresh_interval();
    let mut fetches = 0;
    let end = bench.now + interval * 20;
    while bench.now < end {
        let moment = bench.moment();
        match bench.poll() {
            Some(Effect::Fetch) => {
                fetches += 1;
                bench.machine.handle_fetched(&bench.state, 0, moment);
            }
            Some(other) => panic!("{other:?}"),
            None => {
                let timeout = bench.machine.poll_timeout(&bench.state);
                assert!(timeout > bench.now, "time passes");
                bench.now = timeout;
            }
        }
    }
    assert!(fetches <= 20, "{fetches}");
}

#[test]
fn a_change_in_doubt_is_settled_by_the_state() {
    for is_written in [false, true] {
        let mut bench = Bench::new(2);
        bench.poll();
        let moment = bench.moment();
        bench.machine.handle_fetched(&bench.state, 0, moment);
        let settle = |bench: &mut Bench| {
            let Some(Effect::Change(change)) = bench.poll() else { panic!("no change") };
            let updates = bench.machine.updates(&change, &bench.state, 0);
            if is_written {
                updates.into_iter().for_each(|update| bench.apply(update));
            }
            // The owner was dropped: it reports nothing.
            assert_eq!(bench.poll(), Some(Effect::Fetch));
            bench.machine.handle_fetched(&bench.state, 0, moment);
        };
        settle(&mut bench);
        if !is_written {
            assert_eq!(bench.run(), TAKEN);
            continue;
        }
        settle(&mut bench);
        assert_eq!(bench.run(), ["open 0@0", "open 1@0"]);
    }
}

#[test]
fn a_reader_leaves_at_its_position_and_tries_again_until_it_has() {
    let mut bench = Bench::reading(1);
    bench.machine.handle_read(&segment(0), Offset(9));
    bench.machine.leave(None);
    for _ in 0..2 {
        assert!(matches!(bench.poll(), Some(Effect::Change(_))));
        let moment = bench.moment();
        bench.machine.handle_failed(moment);
        assert_eq!(bench.poll(), Some(Effect::Fetch));
        bench.machine.handle_fetched(&bench.state, 0, moment);
    }
    assert_eq!(bench.run(), ["RemoveReader", "close 0", "lost: Left"]);
    assert_eq!(bench.state.unassigned().get(&segment(0)), Some(SegmentOffset::At(Offset(9))));
    let mut elsewhere = Bench::reading(1);
    elsewhere.machine.handle_read(&segment(0), Offset(9));
    elsewhere.machine.leave(Some(vec![(segment(0), Offset(3).into())]));
    elsewhere.run();
    assert_eq!(elsewhere.state.unassigned().get(&segment(0)), Some(Offset(3).into()));
    let starts = [(segment(0).into(), Offset(4).into())];
    let mut earlier = Bench::of(GroupInit::new(configuration(), starts));
    earlier.run();
    earlier.machine.handle_read(&segment(0), Offset(9));
    earlier.machine.leave(Some(vec![(segment(0), Offset(2).into())]));
    earlier.run();
    let left = earlier.state.unassigned().get(&segment(0));
    assert_eq!(left, Some(Offset(4).into()), "another has read what is before");
    let mut outside = Bench::new(1);
    outside.machine.leave(None);
    assert_eq!(outside.run(), ["lost: Left"]);
}

#[test]
fn a_reader_that_leaves_at_an_old_position_goes_back_to_its_last_checkpoint_at_most() {
    let mut bench = Bench::reading(2);
    bench.machine.handle_read(&segment(0), Offset(9));
    bench.apply(create("c"));
    assert_eq!(bench.run(), ["checkpoint c"]);
    assert_eq!(bench.run(), ["CheckpointReader"]);
    bench.machine.handle_read(&segment(1), Offset(9));
    bench.machine.leave(Some(vec![(segment(0), Offset(3).into()), (segment(1), Offset(3).into())]));
    bench.run();
    let unassigned = bench.state.unassigned();
    assert_eq!(unassigned.get(&segment(0)), Some(Offset(9).into()));
    assert_eq!(unassigned.get(&segment(1)), Some(Offset(3).into()));
}

#[test]
fn the_last_checkpoint_is_published_if_the_group_limits_truncation_by_it() {
    for is_taken in [true, false] {
        let retention = GroupRetention::AutomaticReleaseAtLastCheckpoint;
        let streams = ["s/t", "s/u"].map(|name| GroupStream {
            stream: name.parse().unwrap(),
            from: StreamCut::Unbounded,
            to: StreamCut::Unbounded,
        });
        let configuration = ReaderGroupConfiguration::bounded(streams)
            .unwrap()
            .with_automatic_checkpoint_interval(None)
            .with_retention(retention);
        let other = ScopedSegment::new(&"s/u".parse().unwrap(), SegmentId::from(0));
        let starts = [segment(0), other].map(|s| (s.into(), SegmentOffset::At(Offset(0))));
        let mut bench = Bench::of(GroupInit::new(configuration, starts));
        bench.run();
        bench.apply(create("c"));
        bench.run();
        let mut published = Vec::new();
        let mut done = bench.run();
        while let Some(effect) = done.pop() {
            if !effect.starts_with("PublishCut") {
                break;
            }
            published.push(effect);
            // The owner was dropped meanwhile.
            let again = bench.run();
            assert!(again[0].starts_with("PublishCut"));
            bench.machine.handle_published(is_taken);
            done = bench.run();
        }
        let is_published = bench.state.checkpoints().is_last_published();
        assert_eq!((published.len(), is_published), if is_taken { (2, true) } else { (1, false) });
    }
}

#[test]
fn a_newer_configuration_is_adopted_and_the_group_begins_again() {
    let mut bench = Bench::reading(1);
    bench.apply(GroupUpdate::UpdatingConfig { is_updating: true });
    assert_eq!(bench.wait(1), ["FindConfiguration"]);
    let newer = configuration()
        .with_max_outstanding_checkpoints(NonZeroU32::MIN)
        .with_identity(uuid::Uuid::nil(), Some(1));
    let starts = [(GroupSegment::from(segment(7)), SegmentOffset::At(Offset(0)))];
    bench.machine.handle_configuration(GroupInit::new(newer.clone(), starts));
    assert_eq!(bench.run(), ["Init", "close 0", "lost: Removed"]);
    assert_eq!(bench.state.configuration(), &newer);
    let mut old = Bench::reading(1);
    let starts = [(GroupSegment::from(segment(7)), SegmentOffset::At(Offset(0)))];
    old.machine.handle_configuration(GroupInit::new(configuration(), starts));
    assert_eq!(old.run(), [""; 0], "it is not newer");
}

#[test]
fn the_configuration_of_another_group_of_the_name_is_not_adopted() {
    let of = |id, generation| configuration().with_identity(uuid::Uuid::from_u128(id), generation);
    let start = || [(GroupSegment::from(segment(0)), SegmentOffset::At(Offset(0)))];
    for (found, is_adopted) in [(of(1, Some(5)), true), (of(2, Some(5)), false)] {
        let mut bench = Bench::of(GroupInit::new(of(1, Some(4)), start()));
        bench.run();
        bench.machine.handle_configuration(GroupInit::new(found, start()));
        let expected: &[&str] =
            if is_adopted { &["Init", "close 0", "lost: Removed"] } else { &[] };
        assert_eq!(bench.run(), expected);
    }
}

#[test]
fn a_report_that_comes_after_the_reader_was_taken_out_is_not_written() {
    let mut bench = Bench::reading(1);
    bench.machine.handle_read(&segment(0), Offset(9));
    bench.now += Duration::from_secs(60);
    let change = loop {
        let moment = bench.moment();
        match bench.poll() {
            Some(Effect::Fetch) => bench.machine.handle_fetched(&bench.state, 0, moment),
            Some(Effect::Change(change)) => break change,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(change, Change::Report);
    bench.apply(remove("a"));
    let before = bench.state.clone();
    assert_eq!(bench.machine.updates(&change, &bench.state, 7), []);
    let moment = bench.moment();
    bench.machine.handle_changed(&bench.state, false, moment);
    assert_eq!(bench.run(), ["close 0", "lost: Removed"]);
    assert_eq!(bench.state, before);
}

#[test]
fn a_long_log_is_compacted_by_some_reader() {
    for (bytes, is_compacted) in [(512 * 1024, false), (512 * 1024 + 1, true)] {
        let mut bench = Bench::reading(1);
        bench.now += Duration::from_secs(3);
        assert_eq!(bench.poll(), Some(Effect::Fetch));
        let moment = bench.moment();
        // The random bits of the bench are those of a reader that does it.
        bench.machine.handle_fetched(&bench.state, bytes, moment);
        assert_eq!(bench.poll() == Some(Effect::Compact), is_compacted);
    }
}

#[test]
fn a_checkpoint_is_created_from_time_to_time_unless_one_is_in_progress() {
    let mut init = GroupInit::new(configuration(), [(segment(0).into(), Offset(0).into())]);
    let interval = Some(Duration::from_secs(20));
    init.configuration = configuration().with_automatic_checkpoint_interval(interval).into();
    let mut bench = Bench::of(init);
    bench.run();
    let names = |done: Vec<String>| done.into_iter().take(2).collect::<Vec<_>>();
    assert_eq!(names(bench.wait(1)), ["CreateCheckpoint", "ClearCheckpointsBefore"]);
    let name = bench.state.checkpoints().names().next().unwrap().to_owned();
    assert!(uuid::Uuid::parse_str(&name).is_ok(), "{name}");
    bench.run();
    bench.machine.handle_read(&segment(0), Offset(9));
    assert_eq!(names(bench.wait(19)), ["UpdateDistanceToTail"]);
    bench.apply(add("b"));
    bench.apply(GroupUpdate::CreateCheckpoint { checkpoint: "c".into() });
    bench.run();
    bench.run();
    assert_eq!(bench.wait(60), [""; 0], "b is late");
    let timeout = bench.machine.poll_timeout(&bench.state);
    assert!(timeout > bench.now, "nothing is due before the state is read: {timeout:?}");
}

#[test]
fn there_are_events_between_two_checkpoints_however_long_a_program_takes_for_one() {
    let mut init = GroupInit::new(configuration(), [(segment(0).into(), Offset(0).into())]);
    let interval = Duration::from_secs(20);
    init.configuration = configuration().with_automatic_checkpoint_interval(Some(interval)).into();
    let begins = |done: &[String]| done.iter().any(|name| name == "CreateCheckpoint");
    let mut alone = Bench::of(init.clone());
    alone.run();
    assert!(begins(&alone.wait(1)));
    let done = alone.wait(25);
    assert_eq!(done[0], "CheckpointReader", "the program has taken 25 s for it");
    assert!(!begins(&done), "{done:?}");
    assert!(!begins(&alone.wait(19)) && begins(&alone.wait(1)));

    let mut beside = Bench::of(init);
    beside.run();
    beside.apply(add("b"));
    assert!(begins(&beside.wait(1)));
    beside.run();
    assert!(!begins(&beside.wait(25)), "b takes 25 s for it");
    let name = beside.state.checkpoints().names().next().unwrap().into();
    let (reader, offsets) = ("b".into(), Vec::new());
    beside.apply(GroupUpdate::CheckpointReader { checkpoint: name, reader, offsets });
    assert!(!begins(&beside.wait(15)), "b has events now");
    assert!(begins(&beside.wait(5)));
}

/// The state keeps predecessors by ids that are the same in all streams.
#[test]
fn a_segment_is_not_completed_while_that_would_begin_a_segment_of_another_stream() {
    let other = |number| ScopedSegment::new(&"s/u".parse().unwrap(), SegmentId::from(number));
    let starts = [segment(0), other(0), other(1)];
    let starts = starts.map(|segment| (segment.into(), SegmentOffset::At(Offset(0))));
    let mut bench = Bench::of(GroupInit::new(configuration(), starts));
    bench.run();
    // Half of a merge in the other stream.
    let ids = vec![SegmentId::from(0), SegmentId::from(1)];
    for update in [
        GroupUpdate::AddReader { reader: "b".into() },
        GroupUpdate::ReleaseSegment(super::super::super::state::SegmentRelease {
            reader: "a".into(),
            segment: other(1),
            offset: Offset(0).into(),
        }),
        GroupUpdate::AcquireSegment { reader: "b".into(), segment: other(1) },
        GroupUpdate::SegmentCompleted(SegmentCompletion {
            reader: "b".into(),
            segment: other(1).into(),
            successors: vec![(other(2).into(), ids)],
        }),
    ] {
        bench.apply(update);
    }
    let moment = bench.moment();
    let mut bench = Bench { machine: adopted(&bench.state, moment), ..bench };
    bench.machine.handle_sealed_end(&segment(0));
    bench.apply(create("c"));
    bench.run();
    assert_eq!(bench.run()[0], "CheckpointReader");
    assert!(bench.state.assigned("a").unwrap().contains(&segment(0)), "s/u/2 would begin");
    bench.machine.handle_sealed_end(&other(0));
    bench.apply(create("d"));
    bench.run();
    let done = bench.run();
    assert_eq!(done[0], "CheckpointReader");
    assert_eq!(done.last().unwrap(), "successors of 0");
}

/// The machine of a reader that has the segments that the state assigns to it.
fn adopted(state: &ReaderGroupState, moment: Moment) -> GroupReaderMachine {
    let settings = GroupReaderSettings::default();
    let mut machine = GroupReaderMachine::new("a".into(), settings, moment.now, Box::new(|| 0));
    machine.standing = super::super::reader::Standing::Member;
    machine.acquiring.extend(state.assigned("a").unwrap().segments().cloned());
    machine.handle_fetched(state, 0, moment);
    assert!(machine.standing != super::super::reader::Standing::Lost(LossReason::Replaced));
    machine
}
