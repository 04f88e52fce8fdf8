//! Retention: what is dropped under each policy, with and without reader groups.

use pravega_sdk_proto::{
    ReaderGroupConfiguration, RetentionPolicy, StreamConfig, StreamCut, SubscriberStreamCut,
    retention_policy::RetentionPolicyType,
};

use super::{GROUP_ID, config, cut, group, info};
use crate::{
    catalog::Place,
    machine::Machine,
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
        catalog.retain(&Place::default(), &mut step);
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
            catalog.retain(&Place::default(), &mut step);
            catalog.seal_stream(&info(), &mut step).unwrap();
            step.journal.take();
        }
        catalog.retain(&Place::default(), &mut step);
    }
    assert_eq!(machine.store.info("s/t/0.#epoch.0").unwrap().start, 0);
    assert!(machine.journal.take().is_none(), "a sealed stream was changed");
}
