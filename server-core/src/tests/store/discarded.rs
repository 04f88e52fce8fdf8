//! What was deleted is given to the driver, which frees it while others use the machine.

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{TableEntry, TableKey, TableValue};

use crate::{
    machine::Machine,
    tests::{at, machine},
};

fn name() -> ByteString {
    "s/a/0.#epoch.0".into()
}

/// A machine with a segment of 128 pieces of 256 KiB.
fn with_stream() -> Machine {
    let mut machine = machine();
    let mut step = machine.call(at(1)).1;
    step.create(&name(), vec![]).unwrap();
    for _ in 0..32 {
        step.append_internal(&name(), Bytes::from(vec![7; 1 << 20]), vec![]).unwrap();
    }
    machine
}

fn with_table() -> Machine {
    let mut machine = machine();
    let mut step = machine.call(at(1)).1;
    step.create_table(&name(), 0, 0).unwrap();
    let entry = |number: u32| TableEntry {
        key: TableKey {
            data: Bytes::copy_from_slice(&number.to_be_bytes()),
            key_version: TableKey::NO_VERSION,
        },
        value: TableValue { data: "v".into() },
    };
    step.put(&name(), (0..1000).map(entry).collect(), None).unwrap();
    machine
}

/// Whether what a change has dropped is for the driver to free, and how much memory is in use.
fn after(machine: &mut Machine, change: impl FnOnce(&mut crate::store::Step<'_>)) -> (bool, u64) {
    assert!(!machine.store.take_discarded().is_much());
    change(&mut machine.call(at(2)).1);
    (machine.store.take_discarded().is_much(), machine.store.held())
}

#[test]
fn a_deleted_segment_is_no_longer_counted_and_is_freed_by_the_driver() {
    for mut machine in [with_stream(), with_table()] {
        let deleted = after(&mut machine, |step| step.delete(&name()).unwrap());
        assert_eq!(deleted, (true, 0));
        assert!(!machine.store.take_discarded().is_much(), "it is given once");
    }
}

#[test]
fn truncated_pieces_are_freed_by_the_driver_if_they_are_many() {
    let mut machine = with_stream();
    let held = machine.store.held();
    let truncate = |offset: i64| {
        move |step: &mut crate::store::Step<'_>| step.truncate(&name(), Offset(offset)).unwrap()
    };
    let (is_much, left) = after(&mut machine, truncate(1 << 20));
    assert!(!is_much && left < held);
    let (is_much, left) = after(&mut machine, truncate(32 << 20));
    assert!(is_much);
    assert!(left < 1 << 20, "{left} bytes are in use");
    assert_eq!(left, machine.store.recount());
}
