//! Numbers at the ends of their types, in every call of the controller.
//!
//! Overflow checks are on in tests, so a sum that wraps around is a panic. After each call the
//! periodic work is done, which uses what the call has stored.

use std::collections::BTreeSet;

use pravega_sdk_proto::{
    KeyValueTableConfig, ReaderGroupConfiguration, ReaderGroupInfo, RetentionPolicy, ScalingPolicy,
    StreamConfig, StreamCut, SubscriberStreamCut,
};
use pravega_sdk_types::Epoch;

use super::{
    GROUP_ID, TRANSACTION, config, cut, group, info,
    largest::methods,
    sizes::named,
    split,
    whole::{make, prepared, shown},
};
use crate::{
    catalog::{CallResult, Catalog},
    machine::Machine,
    store::{Progress, Step},
    tests::{at, store::numbers::NUMBERS},
};

/// A number for one field of a call.
#[derive(Debug, Clone, Copy)]
struct Number {
    /// For fields of 64 bits, and for those of 32 its nearest number.
    long: i64,
    int: i32,
    /// For a key.
    key: f64,
}

const KEYS: [f64; 10] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    -0.0,
    1.0 - f64::EPSILON / 2.0,
    1.0 + f64::EPSILON,
    0.25,
];

fn numbers() -> impl Iterator<Item = Number> {
    NUMBERS.into_iter().enumerate().map(|(index, long)| {
        let nearest = long.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        Number { long, int: i32::try_from(nearest).unwrap(), key: KEYS[index % KEYS.len()] }
    })
}

type Call = fn(&mut Catalog, &mut Step<'_>, Number) -> CallResult<String>;

/// Calls of a client that have a number: one for each number.
const CALLS: [(&str, &[Call]); 25] = [
    (
        "create_stream",
        &[
            |c, step, n| shown(c.create_stream(named("new", n.int), step)),
            |c, step, n| {
                shown(c.create_stream(scaling("new", |policy| policy.scale_type = n.int), step))
            },
            |c, step, n| {
                shown(c.create_stream(scaling("new", |policy| policy.target_rate = n.int), step))
            },
            |c, step, n| {
                shown(c.create_stream(scaling("new", |policy| policy.scale_factor = n.int), step))
            },
            |c, step, n| {
                shown(
                    c.create_stream(retention("new", |policy| policy.retention_type = n.int), step),
                )
            },
            |c, step, n| {
                shown(c.create_stream(
                    retention("new", |policy| policy.retention_param = n.long),
                    step,
                ))
            },
            |c, step, n| {
                shown(
                    c.create_stream(retention("new", |policy| policy.retention_max = n.long), step),
                )
            },
            |c, step, n| {
                let config =
                    StreamConfig { timestamp_aggregation_timeout: n.long, ..named("new", 2) };
                shown(c.create_stream(config, step))
            },
            |c, step, n| {
                let config = StreamConfig { rollover_size_bytes: n.long, ..named("new", 2) };
                shown(c.create_stream(config, step))
            },
        ],
    ),
    (
        "update_stream",
        &[
            |c, step, n| shown(c.update_stream(config(n.int), step)),
            |c, step, n| {
                shown(c.update_stream(scaling("t", |policy| policy.scale_type = n.int), step))
            },
            |c, step, n| {
                shown(c.update_stream(scaling("t", |policy| policy.target_rate = n.int), step))
            },
            |c, step, n| {
                shown(c.update_stream(scaling("t", |policy| policy.scale_factor = n.int), step))
            },
            |c, step, n| {
                shown(c.update_stream(retention("t", |policy| policy.retention_type = n.int), step))
            },
            |c, step, n| {
                shown(
                    c.update_stream(retention("t", |policy| policy.retention_param = n.long), step),
                )
            },
            |c, step, n| {
                shown(c.update_stream(retention("t", |policy| policy.retention_max = n.long), step))
            },
            |c, step, n| {
                let config = StreamConfig { timestamp_aggregation_timeout: n.long, ..config(2) };
                shown(c.update_stream(config, step))
            },
            |c, step, n| {
                let config = StreamConfig { rollover_size_bytes: n.long, ..config(2) };
                shown(c.update_stream(config, step))
            },
        ],
    ),
    (
        "truncate_stream",
        &[
            |c, step, n| shown(c.truncate_stream(&info(), cut(&[(0, n.long), (1, 0)]), step)),
            |c, step, n| shown(c.truncate_stream(&info(), cut(&[(n.long, 0), (1, 0)]), step)),
        ],
    ),
    (
        "scale",
        &[
            |c, step, n| shown(c.scale(&split(n.long, 0.5, 0.75, 1.0), step)),
            |c, step, n| shown(c.scale(&split(1, n.key, 0.75, 1.0), step)),
            |c, step, n| shown(c.scale(&split(1, 0.5, n.key, 1.0), step)),
            |c, step, n| shown(c.scale(&split(1, 0.5, 0.75, n.key), step)),
            |c, step, n| {
                let mut request = split(1, 0.5, 0.75, 1.0);
                request.scale_timestamp = n.long;
                shown(c.scale(&request, step))
            },
        ],
    ),
    ("check_scale", &[|c, _, n| Ok(format!("{:?}", c.check_scale(&info(), n.int)))]),
    ("successors", &[|c, step, n| shown(c.successors(&info(), n.long, step))]),
    ("epoch_segments", &[|c, step, n| shown(c.epoch_segments(&info(), n.int, step))]),
    ("is_segment_open", &[|c, _, n| shown(c.is_segment_open(&info(), n.long))]),
    (
        "segments_between",
        &[
            |c, step, n| {
                shown(c.segments_between(&info(), &cut(&[(0, n.long), (1, 0)]), &cut(&[]), step))
            },
            |c, step, n| {
                shown(c.segments_between(&info(), &cut(&[(n.long, 0), (1, 0)]), &cut(&[]), step))
            },
            |c, step, n| {
                shown(c.segments_between(&info(), &cut(&[]), &cut(&[(0, n.long), (1, 0)]), step))
            },
            |c, step, n| {
                shown(c.segments_between(&info(), &cut(&[]), &cut(&[(n.long, 0), (1, 0)]), step))
            },
        ],
    ),
    (
        "is_cut_complete",
        &[
            |c, _, n| shown(c.is_cut_complete(&info(), &cut(&[(0, n.long), (1, 0)]))),
            |c, _, n| shown(c.is_cut_complete(&info(), &cut(&[(n.long, 0), (1, 0)]))),
        ],
    ),
    (
        "create_transaction",
        &[|c, step, n| {
            shown(c.create_transaction(&info(), n.long, step).map(|begun| begun.txn_id))
        }],
    ),
    (
        "ping_transaction",
        &[|c, step, n| shown(c.ping_transaction(&info(), TRANSACTION, n.long, step))],
    ),
    (
        "commit_transaction",
        &[|c, step, n| shown(c.commit_transaction(&info(), TRANSACTION, "writer", n.long, step))],
    ),
    (
        "note_time",
        &[
            |c, step, n| shown(c.note_time(&info(), "new", cut(&[(0, 3), (1, 1)]), n.long, step)),
            |c, step, n| shown(c.note_time(&info(), "new", cut(&[(0, n.long), (1, 1)]), 9, step)),
            |c, step, n| shown(c.note_time(&info(), "new", cut(&[(n.long, 3), (1, 1)]), 9, step)),
            |c, step, n| shown(c.note_time(&info(), "w", cut(&[(0, n.long)]), n.long, step)),
        ],
    ),
    (
        "create_table",
        &[
            |c, step, n| shown(c.create_table(table(|table| table.partition_count = n.int), step)),
            |c, step, n| {
                shown(c.create_table(table(|table| table.primary_key_length = n.int), step))
            },
            |c, step, n| {
                shown(c.create_table(table(|table| table.secondary_key_length = n.int), step))
            },
            |c, step, n| {
                shown(c.create_table(table(|table| table.rollover_size_bytes = n.long), step))
            },
        ],
    ),
    (
        "create_group",
        &[
            |c, step, n| {
                shown(c.create_group(configured("new", |group| group.generation = n.long), step))
            },
            |c, step, n| {
                shown(c.create_group(configured("new", |group| group.retention_type = n.int), step))
            },
            |c, step, n| {
                let group = configured("new", |group| group.group_refresh_time_millis = n.long);
                shown(c.create_group(group, step))
            },
            |c, step, n| {
                let group = configured("new", |group| {
                    group.automatic_checkpoint_interval_millis = n.long;
                });
                shown(c.create_group(group, step))
            },
            |c, step, n| {
                let group =
                    configured("new", |group| group.max_outstanding_checkpoint_request = n.int);
                shown(c.create_group(group, step))
            },
            |c, step, n| {
                let group = configured("new", |group| group.rollover_size_bytes = n.long);
                shown(c.create_group(group, step))
            },
            |c, step, n| {
                let group = configured("new", |group| group.starting_stream_cuts = cuts(0, n.long));
                shown(c.create_group(group, step))
            },
            |c, step, n| {
                let group = configured("new", |group| group.ending_stream_cuts = cuts(n.long, 0));
                shown(c.create_group(group, step))
            },
        ],
    ),
    (
        "update_group",
        &[
            |c, step, n| {
                shown(c.update_group(configured("g", |group| group.generation = n.long), step))
            },
            |c, step, n| {
                shown(c.update_group(configured("g", |group| group.retention_type = n.int), step))
            },
            |c, step, n| {
                let group = configured("g", |group| group.starting_stream_cuts = cuts(0, n.long));
                shown(c.update_group(group, step))
            },
            |c, step, n| {
                let group = configured("g", |group| group.starting_stream_cuts = cuts(n.long, 0));
                shown(c.update_group(group, step))
            },
        ],
    ),
    ("delete_group", &[|c, step, n| shown(c.delete_group(&of_group(n.long), step))]),
    ("group_config", &[|c, _, n| Ok(format!("{:?}", c.group_config(&of_group(n.long))))]),
    (
        "update_subscriber",
        &[
            |c, step, n| shown(c.update_subscriber(subscriber(n.long, &[(0, 5), (1, 0)]), step)),
            |c, step, n| shown(c.update_subscriber(subscriber(0, &[(0, n.long), (1, 0)]), step)),
            |c, step, n| shown(c.update_subscriber(subscriber(0, &[(n.long, 5), (1, 0)]), step)),
        ],
    ),
    (
        "group_streams",
        &[|c, _, n| {
            let from = usize::try_from(n.long).unwrap_or(usize::MAX);
            Ok(format!("{:?}", c.group_streams("s", "g", from)))
        }],
    ),
    (
        "epochs_within",
        &[
            |c, _, n| {
                Ok(format!("{:?}", c.epochs_within("s", "t", &(n.long..=i64::MAX), Epoch(0))))
            },
            |c, _, n| {
                Ok(format!("{:?}", c.epochs_within("s", "t", &(i64::MIN..=n.long), Epoch(0))))
            },
            |c, _, n| Ok(format!("{:?}", c.epochs_within("s", "t", &(0..=i64::MAX), Epoch(n.int)))),
        ],
    ),
    (
        "token",
        &[|c, step, n| {
            let mut info = info();
            info.access_operation = n.int;
            Ok(c.token(&info, step))
        }],
    ),
    (
        "transaction_state",
        &[|c, _, n| {
            let id = uuid::Uuid::from_u64_pair(n.long as u64, n.long as u64);
            shown(c.transaction_state(&info(), id))
        }],
    ),
    (
        "abort_transaction",
        &[|c, step, n| {
            let id = uuid::Uuid::from_u64_pair(n.long as u64, n.long as u64);
            shown(c.abort_transaction(&info(), id, step))
        }],
    ),
];

/// Calls of a client without a number, and slices of work.
const WITHOUT: [&str; 24] = [
    "completed_transactions",
    "create_scope",
    "current_segments",
    "delete_scope",
    "delete_scope_recursive",
    "delete_slice",
    "delete_stream",
    "delete_table",
    "group_id",
    "group_state",
    "groups_after",
    "head_segments",
    "list_scopes",
    "list_streams",
    "list_tables",
    "remove_writer",
    "scope_exists",
    "seal_stream",
    "stream_configuration",
    "stream_exists",
    "streams_after",
    "subscribers",
    "table_config",
    "table_segments",
];

fn scaling(stream: &str, change: impl FnOnce(&mut ScalingPolicy)) -> StreamConfig {
    let mut policy =
        ScalingPolicy { scale_type: 2, target_rate: 10, scale_factor: 2, min_num_segments: 2 };
    change(&mut policy);
    StreamConfig { scaling_policy: Some(policy), ..named(stream, 2) }
}

fn retention(stream: &str, change: impl FnOnce(&mut RetentionPolicy)) -> StreamConfig {
    let mut policy = RetentionPolicy { retention_type: 2, retention_param: 1, retention_max: 5 };
    change(&mut policy);
    StreamConfig { retention_policy: Some(policy), ..named(stream, 2) }
}

fn table(change: impl FnOnce(&mut KeyValueTableConfig)) -> KeyValueTableConfig {
    let mut config = KeyValueTableConfig {
        scope: "s".to_owned(),
        kvt_name: "new".to_owned(),
        partition_count: 3,
        primary_key_length: 4,
        ..KeyValueTableConfig::default()
    };
    change(&mut config);
    config
}

fn configured(
    name: &str,
    change: impl FnOnce(&mut ReaderGroupConfiguration),
) -> ReaderGroupConfiguration {
    let mut config = ReaderGroupConfiguration { reader_group_name: name.to_owned(), ..group() };
    change(&mut config);
    config
}

fn cuts(segment: i64, offset: i64) -> Vec<StreamCut> {
    vec![StreamCut { stream_info: Some(info()), cut: cut(&[(segment, offset), (1, 0)]) }]
}

fn of_group(generation: i64) -> ReaderGroupInfo {
    ReaderGroupInfo {
        scope: "s".to_owned(),
        reader_group: "g".to_owned(),
        reader_group_id: GROUP_ID.to_string(),
        generation,
    }
}

fn subscriber(generation: i64, offsets: &[(i64, i64)]) -> SubscriberStreamCut {
    SubscriberStreamCut {
        subscriber: "s/g".to_owned(),
        generation,
        reader_group_id: GROUP_ID.to_string(),
        stream_cut: Some(StreamCut { stream_info: Some(info()), cut: cut(offsets) }),
    }
}

/// Does all periodic work of two hours, in which each segment of the streams grows.
fn pass(what: &str, machine: &mut Machine) {
    for now in [10_000, 20_000, 3_600_000, 7_200_000] {
        for stream in ["t", "new"] {
            let segment = format!("s/{stream}/1.#epoch.0").into();
            machine.call(at(now)).1.append_internal(&segment, "0123456789".into(), vec![]).ok();
        }
        machine.tick(at(now));
        let mut slices = 0;
        while machine.work(at(now)) == Progress::Unfinished {
            slices += 1;
            assert!(slices < 10_000, "{what}: its work has no end");
        }
    }
    for stream in ["t", "new"] {
        for number in 0..2 {
            let segment = format!("s/{stream}/{number}.#epoch.0");
            if let Ok(info) = machine.store.info(&segment) {
                assert!(info.start <= info.len && info.len < 100, "{what}: {info:?}");
            }
        }
    }
    assert_eq!(machine.store.held(), machine.store.recount(), "{what}");
    assert_eq!(machine.catalog.held(), machine.catalog.recount(), "{what}");
    let (catalog, mut step) = machine.call(at(7_300_000));
    let segments = |catalog: &Catalog, step: &Step<'_>| {
        catalog.current_segments(&info(), step).unwrap().segment_ranges.len()
    };
    assert!((1..1_000).contains(&segments(catalog, &step)), "{what}");
    catalog.create_transaction(&info(), 20_000, &mut step).unwrap();
}

#[test]
fn the_table_has_every_call_with_a_number() {
    let named: BTreeSet<String> =
        CALLS.iter().map(|(name, _)| *name).chain(WITHOUT).map(str::to_owned).collect();
    assert_eq!(named.len(), CALLS.len() + WITHOUT.len(), "one is in both lists");
    assert_eq!(named, methods());
}

#[test]
fn no_number_in_a_call_makes_a_sum_wrap_around_at_once_or_later() {
    for (name, calls) in CALLS {
        for (place, call) in calls.iter().enumerate() {
            for number in numbers() {
                let what = format!("{name}, place {place}, {number:?}");
                let mut machine = prepared(name);
                let result = make(|catalog, step| call(catalog, step, number), &mut machine);
                let shown = format!("{what}: {result:?}");
                assert!(shown.len() < 10_000, "{}", &shown[..1_000]);
                pass(&shown, &mut machine);
            }
        }
    }
}
