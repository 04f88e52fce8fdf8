//! Retention: what is dropped under each policy, with and without reader groups.

use pravega_sdk_proto::{
    ReaderGroupConfiguration, RetentionPolicy, StreamConfig, StreamCut, SubscriberStreamCut,
    retention_policy::RetentionPolicyType, update_subscriber_status,
};

use uuid::Uuid;

use super::{GROUP_ID, config, cut, group, info};
use crate::{
    catalog::RetentionRound,
    machine::Machine,
    store::Progress,
    tests::{at, machine, table::check},
};

/// The policies: what must be kept, and after the dots what may be kept at most.
const POLICIES: [&str; 5] = ["none", "20 ms", "20 ms .. 30 ms", "20 bytes", "20 bytes .. 30 bytes"];

fn policy(name: &str) -> Option<RetentionPolicy> {
    if name == "none" {
        return None;
    }
    let kind =
        if name.contains("ms") { RetentionPolicyType::Time } else { RetentionPolicyType::Size };
    Some(RetentionPolicy {
        retention_type: kind.into(),
        retention_param: 20,
        retention_max: if name.contains("..") { 30 } else { i64::MAX },
    })
}

/// The progress of a reader group that keeps the stream from being truncated.
#[derive(Clone, Copy)]
enum Group {
    Absent,
    /// Notes no cut.
    Silent,
    /// Notes a cut, before the first event.
    At(i64),
}

/// A stream of one segment with a policy.
fn machine_with(policy: Option<RetentionPolicy>, progress: Group) -> Machine {
    let mut machine = machine();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_scope("s", &mut step).unwrap();
    let config = StreamConfig { retention_policy: policy, ..config(1) };
    catalog.create_stream(config, &mut step).unwrap();
    if matches!(progress, Group::Absent) {
        return machine;
    }
    let starting_stream_cuts =
        vec![StreamCut { stream_info: Some(info()), ..StreamCut::default() }];
    let group = ReaderGroupConfiguration { starting_stream_cuts, ..group() };
    catalog.create_group(group, &mut step).unwrap();
    if let Group::At(offset) = progress {
        let noted = SubscriberStreamCut {
            subscriber: "s/g".to_owned(),
            generation: 0,
            reader_group_id: GROUP_ID.to_string(),
            stream_cut: Some(StreamCut { stream_info: Some(info()), cut: cut(&[(0, offset)]) }),
        };
        catalog.update_subscriber(noted, &mut step).unwrap();
    }
    machine
}

/// The starts of the stream at 10, 20, … 80 ms, while 10 bytes are appended every 10 ms.
fn starts(mut machine: Machine) -> String {
    let segment = "s/t/0.#epoch.0";
    let starts = (1..=8).map(|turn| {
        let (catalog, mut step) = machine.call(at(turn * 10));
        step.append_internal(&segment.into(), "0123456789".into(), vec![]).unwrap();
        catalog.retain(RetentionRound::default(), &mut step);
        let start = step.store.info(segment).unwrap().start;
        let head = catalog.head_segments(&info(), &step).unwrap().segments;
        assert_eq!(head.iter().map(|at| at.offset as u64).collect::<Vec<_>>(), [start]);
        start.to_string()
    });
    starts.collect::<Vec<_>>().join(" ")
}

#[test]
fn without_a_group_everything_beyond_the_lower_limit_is_dropped() {
    check(
        "
        none: 0 0 0 0 0 0 0 0
        20 ms: 0 0 10 20 30 40 50 60
        20 ms .. 30 ms: 0 0 10 20 30 40 50 60
        20 bytes: 0 0 10 20 30 40 50 60
        20 bytes .. 30 bytes: 0 0 10 20 30 40 50 60
    ",
        &POLICIES,
        |name| starts(machine_with(policy(name), Group::Absent)),
    );
}

#[test]
fn a_group_that_has_read_nothing_keeps_everything_up_to_the_upper_limit() {
    check(
        "
        none: 0 0 0 0 0 0 0 0
        20 ms: 0 0 0 0 0 0 0 0
        20 ms .. 30 ms: 0 0 0 0 20 30 40 50
        20 bytes: 0 0 0 0 0 0 0 0
        20 bytes .. 30 bytes: 0 0 0 0 20 30 40 50
    ",
        &POLICIES,
        |name| starts(machine_with(policy(name), Group::Silent)),
    );
}

#[test]
fn what_a_group_has_read_is_dropped_beyond_the_lower_limit() {
    check(
        "
        none: 0 0 0 0 0 0 0 0
        20 ms: 0 0 10 20 25 25 25 25
        20 ms .. 30 ms: 0 0 10 20 25 25 40 50
        20 bytes: 0 0 10 20 25 25 25 25
        20 bytes .. 30 bytes: 0 0 10 20 25 25 40 50
    ",
        &POLICIES,
        |name| starts(machine_with(policy(name), Group::At(25))),
    );
}

#[test]
fn a_sealed_stream_is_not_truncated() {
    let mut machine = machine_with(policy("20 ms"), Group::Absent);
    for now in [10, 20, 30, 40, 50] {
        let (catalog, mut step) = machine.call(at(now));
        if now == 10 {
            let segment = "s/t/0.#epoch.0".into();
            step.append_internal(&segment, "0123456789".into(), vec![]).unwrap();
            catalog.retain(RetentionRound::default(), &mut step);
            catalog.seal_stream(&info(), &mut step).unwrap();
            step.journal.take();
        }
        catalog.retain(RetentionRound::default(), &mut step);
    }
    assert_eq!(machine.store.info("s/t/0.#epoch.0").unwrap().start, 0);
    assert!(machine.journal.take().is_none(), "a sealed stream was changed");
}

/// Does a whole round at a time, and returns the most segments that a slice of it looks at, and the
/// number of slices.
fn round(
    machine: &mut Machine,
    now: i64,
    mut between: impl FnMut(&mut Machine, usize),
) -> (usize, usize) {
    let (mut round, mut most, mut slices) = (Some(RetentionRound::default()), 0, 0);
    while let Some(rest) = round.take() {
        machine.store.looks.set(0);
        let (catalog, mut step) = machine.call(at(now));
        round = catalog.retain(rest, &mut step);
        most = most.max(machine.store.looks.get());
        between(machine, slices);
        slices += 1;
    }
    (most, slices)
}

const SEGMENTS: usize = 6000;

/// A large stream with a policy of time, and groups that have read nothing.
fn large(groups: u128) -> Machine {
    let mut machine = machine();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_scope("s", &mut step).unwrap();
    let config = StreamConfig { retention_policy: policy("20 ms"), ..config(SEGMENTS as i32) };
    catalog.create_stream(config, &mut step).unwrap();
    while machine.work(at(1)) == Progress::Unfinished {}
    for number in 0..groups {
        join(&mut machine, &format!("g{number:02}"), number);
    }
    machine
}

fn join(machine: &mut Machine, name: &str, id: u128) {
    let (catalog, mut step) = machine.call(at(2));
    let config = ReaderGroupConfiguration {
        reader_group_name: name.to_owned(),
        reader_group_id: Uuid::from_u128(id + 1).to_string(),
        starting_stream_cuts: vec![StreamCut { stream_info: Some(info()), ..StreamCut::default() }],
        ..group()
    };
    catalog.create_group(config, &mut step).unwrap();
}

fn append_to_first(machine: &mut Machine, now: i64) {
    let (_, mut step) = machine.call(at(now));
    step.append_internal(&"s/t/0.#epoch.0".into(), "0123456789".into(), vec![]).unwrap();
}

/// The start of the first segment.
fn start(machine: &Machine) -> u64 {
    machine.store.info("s/t/0.#epoch.0").unwrap().start
}

#[test]
fn a_large_stream_is_measured_in_slices() {
    let mut machine = large(0);
    append_to_first(&mut machine, 10);
    let (looks, slices) = round(&mut machine, 10, |_, _| {});
    assert!(looks < SEGMENTS / 2, "a slice looks at {looks} segments");
    assert!(slices >= 3, "{slices} slices");
    append_to_first(&mut machine, 40);
    round(&mut machine, 40, |_, _| {});
    assert_eq!(start(&machine), 10);
}

#[test]
fn what_many_groups_need_of_a_large_stream_is_found_in_slices() {
    let mut machine = large(20);
    append_to_first(&mut machine, 10);
    let (_, slices) = round(&mut machine, 10, |_, _| {});
    assert!(slices >= 20 * SEGMENTS / 10_000, "{slices} slices");
    append_to_first(&mut machine, 40);
    round(&mut machine, 40, |_, _| {});
    assert_eq!(start(&machine), 0, "no group has read anything");
}

/// A group notes that it has read the first event.
fn read(machine: &mut Machine, name: &str, id: u128) {
    let (catalog, mut step) = machine.call(at(11));
    let offsets = (0..SEGMENTS as i64).map(|id| (id, if id == 0 { 10 } else { 0 })).collect();
    let noted = SubscriberStreamCut {
        subscriber: format!("s/{name}"),
        generation: 0,
        reader_group_id: Uuid::from_u128(id + 1).to_string(),
        stream_cut: Some(StreamCut { stream_info: Some(info()), cut: offsets }),
    };
    let status = catalog.update_subscriber(noted, &mut step).unwrap();
    assert_eq!(status, update_subscriber_status::Status::Success);
}

#[test]
fn a_group_that_joins_between_slices_loses_nothing() {
    for joins in [true, false] {
        let mut machine = large(4);
        append_to_first(&mut machine, 10);
        (0..4).for_each(|number| read(&mut machine, &format!("g{number:02}"), number));
        round(&mut machine, 10, |_, _| {});
        append_to_first(&mut machine, 40);
        let mut last = 0;
        round(&mut machine, 40, |machine, slice| {
            // Groups are asked in the order of their names, after three slices of segments.
            if joins && slice == 3 {
                join(machine, "early", 9);
            }
            last = slice;
        });
        assert!(last > 3, "the group joined too late");
        assert_eq!(start(&machine), if joins { 0 } else { 10 });
    }
}
