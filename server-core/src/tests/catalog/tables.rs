//! Key-value tables that are deleted and created again.

use pravega_sdk_proto::{KeyValueTableConfig, KeyValueTableInfo};

use super::sizes::with_scope;
use crate::{machine::Machine, tests::at};

fn info() -> KeyValueTableInfo {
    KeyValueTableInfo { scope: super::info().scope, kvt_name: "k".to_owned() }
}

fn create(machine: &mut Machine, partitions: i32) {
    let KeyValueTableInfo { scope, kvt_name } = info();
    let config = KeyValueTableConfig {
        scope,
        kvt_name,
        partition_count: partitions,
        primary_key_length: 4,
        ..KeyValueTableConfig::default()
    };
    let (catalog, mut step) = machine.call(at(2));
    catalog.create_table(config, &mut step).unwrap();
}

fn delete(machine: &mut Machine) {
    let (catalog, mut step) = machine.call(at(3));
    catalog.delete_table(&info(), &mut step).unwrap();
}

/// The numbers of the partitions, each of which is a table segment.
fn partitions(machine: &mut Machine) -> Vec<i64> {
    let (catalog, step) = machine.call(at(4));
    let ranges = catalog.table_segments(&info(), &step).unwrap().segment_ranges;
    let id = |range: pravega_sdk_proto::SegmentRange| range.segment_id.unwrap().segment_id;
    let ids: Vec<i64> = ranges.into_iter().map(id).collect();
    for id in &ids {
        let name = format!("{}/k_kvtable/{id}.#epoch.0", info().scope);
        assert!(machine.store.table(&name).is_ok(), "partition {id}");
    }
    ids
}

#[test]
fn a_table_that_is_created_again_has_partitions_of_its_own() {
    let mut machine = with_scope();
    for (partitions_now, ids) in [(2, vec![0, 1]), (3, vec![2, 3, 4]), (1, vec![5])] {
        create(&mut machine, partitions_now);
        assert_eq!(partitions(&mut machine), ids);
        let old = format!("{}/k_kvtable/{}.#epoch.0", info().scope, ids[0] - 1);
        assert!(machine.store.table(&old).is_err(), "the old partitions are gone");
        assert_eq!(machine.catalog.held(), machine.catalog.recount());
        delete(&mut machine);
        assert_eq!(machine.catalog.held(), machine.catalog.recount());
    }
}

#[test]
fn the_partitions_of_a_table_are_the_same_after_a_restart() {
    let mut machine = with_scope();
    create(&mut machine, 2);
    delete(&mut machine);
    create(&mut machine, 2);
    let ids = partitions(&mut machine);
    let mut again = crate::tests::machine();
    machine.snapshot(|record| again.restore(&record).unwrap());
    assert_eq!((partitions(&mut again), ids), (vec![2, 3], vec![2, 3]));
    delete(&mut again);
    create(&mut again, 1);
    assert_eq!(partitions(&mut again), [4]);
}
