//! Every call that changes something: it changes all that it should, or nothing.

use std::collections::BTreeSet;

use bytestring::ByteString;
use pravega_sdk_proto::{
    KeyValueTableConfig, KeyValueTableInfo, ReaderGroupInfo, StreamConfig, StreamCut, StreamInfo,
    SubscriberStreamCut, Tags,
};
use uuid::Uuid;

use super::{GROUP_ID, TRANSACTION, config, cut, group, info, methods_with, sizes::named, split};
use crate::{
    catalog::{CallError, CallResult, Catalog},
    machine::Machine,
    record::Record,
    store::{MemoryLimit, Progress, Step},
    tests::{at, everything, machine},
};

type Call = fn(&mut Catalog, &mut Step<'_>) -> CallResult<String>;

/// The name of the method, and a call that changes the machine of [`prepared`].
const CALLS: &[(&str, Call)] = &[
    ("create_scope", |c, step| shown(c.create_scope("new", step))),
    ("delete_scope", |c, step| shown(c.delete_scope("empty", step))),
    ("delete_scope_recursive", |c, step| shown(c.delete_scope_recursive("s", step))),
    ("delete_scope_recursive", |c, step| shown(c.delete_scope_recursive("large", step))),
    ("delete_slice", |c, step| shown(c.delete_slice(step))),
    ("create_stream", |c, step| shown(c.create_stream(tagged("new", 3), step))),
    ("create_stream", |c, step| shown(c.create_stream(named("gone", 2), step))),
    ("update_stream", |c, step| shown(c.update_stream(tagged("t", 3), step))),
    ("update_stream", |c, step| shown(c.update_stream(config(5), step))),
    ("update_stream", |c, step| shown(c.update_stream(by_rate(), step))),
    ("truncate_stream", |c, step| shown(c.truncate_stream(&info(), cut(&[(0, 5), (1, 0)]), step))),
    ("truncate_stream", |c, step| {
        let later = cut(&[((1 << 32) | 2, 0), ((1 << 32) | 3, 0), (1, 0)]);
        shown(c.truncate_stream(&info(), later, step))
    }),
    ("seal_stream", |c, step| shown(c.seal_stream(&info(), step))),
    ("delete_stream", |c, step| shown(c.delete_stream(&of("sealed"), step))),
    ("scale", |c, step| shown(c.scale(&split(1, 0.5, 0.75, 1.0), step))),
    ("create_transaction", |c, step| {
        shown(c.create_transaction(&info(), 20_000, step).map(|begun| begun.txn_id))
    }),
    ("ping_transaction", |c, step| shown(c.ping_transaction(&info(), TRANSACTION, 40_000, step))),
    ("commit_transaction", |c, step| {
        shown(c.commit_transaction(&info(), TRANSACTION, "writer", 7, step))
    }),
    ("commit_transaction", |c, step| {
        shown(c.commit_transaction(&of("plain"), PLAIN, "writer", 7, step))
    }),
    ("abort_transaction", |c, step| shown(c.abort_transaction(&info(), TRANSACTION, step))),
    ("note_time", |c, step| shown(c.note_time(&info(), "other", cut(&[(0, 3)]), 9, step))),
    ("note_time", |c, step| shown(c.note_time(&info(), "w", cut(&[(0, 3), (1, 1)]), 9, step))),
    ("remove_writer", |c, step| shown(c.remove_writer(&info(), "w", step))),
    ("create_table", |c, step| shown(c.create_table(table("new"), step))),
    ("delete_table", |c, step| {
        let (scope, kvt_name) = ("s".to_owned(), "k".to_owned());
        shown(c.delete_table(&KeyValueTableInfo { scope, kvt_name }, step))
    }),
    ("create_group", |c, step| {
        let reader_group_name = "new".to_owned();
        shown(
            c.create_group(super::ReaderGroupConfiguration { reader_group_name, ..group() }, step),
        )
    }),
    ("update_group", |c, step| {
        let stream_info = Some(of("plain"));
        let plain = StreamCut { stream_info, ..StreamCut::default() };
        let starting_stream_cuts = vec![plain];
        shown(c.update_group(
            super::ReaderGroupConfiguration { starting_stream_cuts, ..group() },
            step,
        ))
    }),
    ("delete_group", |c, step| {
        let info = ReaderGroupInfo {
            scope: "s".to_owned(),
            reader_group: "g".to_owned(),
            reader_group_id: GROUP_ID.to_string(),
            ..ReaderGroupInfo::default()
        };
        shown(c.delete_group(&info, step))
    }),
    ("update_subscriber", |c, step| {
        let cut = cut(&[(0, 5), (1, 0)]);
        let request = SubscriberStreamCut {
            subscriber: "s/g".to_owned(),
            reader_group_id: GROUP_ID.to_string(),
            stream_cut: Some(StreamCut { stream_info: Some(info()), cut }),
            ..SubscriberStreamCut::default()
        };
        shown(c.update_subscriber(request, step))
    }),
];

/// A transaction of a stream that was not scaled.
const PLAIN: Uuid = Uuid::from_u128(3);

pub(super) fn shown<T: std::fmt::Debug>(result: CallResult<T>) -> CallResult<String> {
    result.map(|value| format!("{value:?}"))
}

fn of(stream: &str) -> StreamInfo {
    StreamInfo { stream: stream.to_owned(), ..info() }
}

fn tagged(stream: &str, segments: i32) -> StreamConfig {
    let tags = Some(Tags { tag: vec!["one".to_owned(), "two".to_owned()] });
    StreamConfig { tags, ..named(stream, segments) }
}

fn by_rate() -> StreamConfig {
    let mut config = config(2);
    if let Some(policy) = &mut config.scaling_policy {
        (policy.scale_type, policy.target_rate, policy.scale_factor) = (1, 10, 2);
    }
    config
}

fn table(name: &str) -> KeyValueTableConfig {
    KeyValueTableConfig {
        scope: "s".to_owned(),
        kvt_name: name.to_owned(),
        partition_count: 3,
        primary_key_length: 4,
        ..KeyValueTableConfig::default()
    }
}

/// A machine with something of every kind, for a call to change.
pub(super) fn prepared(call: &str) -> Machine {
    let mut machine = machine();
    let (catalog, mut step) = machine.call(at(1));
    let step = &mut step;
    for scope in ["s", "empty"] {
        catalog.create_scope(scope, step).unwrap();
    }
    if ["delete_scope_recursive", "delete_slice"].contains(&call) {
        for (scope, segments) in [("large", 1001), ("leaving", 2001)] {
            catalog.create_scope(scope, step).unwrap();
            let stream_info = Some(StreamInfo { scope: scope.to_owned(), ..info() });
            let config = StreamConfig { stream_info, ..config(segments) };
            catalog.create_stream(config, step).unwrap();
        }
        catalog.delete_scope_recursive("leaving", step).unwrap();
    }
    for config in [config(2), named("plain", 2), named("sealed", 2), named("gone", 2)] {
        catalog.create_stream(config, step).unwrap();
    }
    for stream in ["t", "plain", "sealed"] {
        let segment = format!("s/{stream}/0.#epoch.0").into();
        step.append_internal(&segment, "0123456789".into(), vec![]).unwrap();
    }
    for stream in ["sealed", "gone"] {
        catalog.seal_stream(&of(stream), step).unwrap();
    }
    catalog.delete_stream(&of("gone"), step).unwrap();
    catalog.note_time(&info(), "w", cut(&[(0, 1)]), 5, step).unwrap();
    catalog.create_table(table("k"), step).unwrap();
    catalog.create_group(group(), step).unwrap();
    for (stream, now, id) in [("t", 5, TRANSACTION), ("plain", 7, PLAIN)] {
        let (catalog, mut step) = machine.call(at(now));
        catalog.create_transaction(&of(stream), 20_000, &mut step).unwrap();
        for number in 0..2 {
            let id = id.simple();
            let segment = format!("s/{stream}/{number}.#epoch.0#transaction.{id}").into();
            step.append_internal(&segment, "abc".into(), vec![]).unwrap();
        }
    }
    let (catalog, mut step) = machine.call(at(8));
    catalog.scale(&split(0, 0.0, 0.25, 0.5), &mut step).unwrap();
    while machine.store.settle_slice() == Progress::Unfinished {}
    machine.journal.take();
    machine
}

/// Makes a call, and checks that what it changed is what its records change.
pub(super) fn make(
    call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> CallResult<String>,
    machine: &mut Machine,
) -> CallResult<String> {
    let (mut before, mut records) = (self::machine(), Vec::new());
    machine.snapshot(|record| records.push(record));
    let (catalog, mut step) = machine.call(at(9));
    let result = call(catalog, &mut step);
    records.extend(machine.journal.take().into_iter().flat_map(|(_, records)| records));
    records.iter().for_each(|record: &Record| before.restore(record).unwrap());
    assert_eq!(everything(&before), everything(machine), "{result:?}");
    assert_eq!(machine.catalog.held(), machine.catalog.recount(), "{result:?}");
    result
}

/// The names of the public methods that change the catalog, as its source has them.
fn methods() -> BTreeSet<String> {
    methods_with(|signature| signature.contains("&mut self") && signature.contains("&mut Step"))
}

#[test]
fn the_table_has_every_call_that_changes_something() {
    let named: BTreeSet<String> = CALLS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, methods());
    for (name, call) in CALLS {
        let mut machine = prepared(name);
        let before = everything(&machine);
        make(*call, &mut machine).unwrap();
        assert_ne!(everything(&machine), before, "{name} changes nothing");
    }
}

#[test]
fn a_call_that_is_refused_at_any_of_its_checks_changes_nothing() {
    for (name, call) in CALLS {
        let before = everything(&prepared(name));
        for check in 0.. {
            let mut machine = prepared(name);
            machine.journal.refuse_in(check);
            let result = make(*call, &mut machine);
            if machine.journal.refuses_now() {
                // The call has no more checks.
                assert!(result.is_ok(), "{name}: {result:?}");
                assert!(check > 0, "{name} checks nothing");
                break;
            }
            assert!(matches!(result, Err(CallError::Unavailable(_))), "{name}: {result:?}");
            assert_eq!(everything(&machine), before, "{name}, refused at check {check}");
        }
    }
}

#[test]
fn a_call_needs_exactly_the_memory_that_it_takes() {
    // What a merge takes depends on the capacity of the target's last piece.
    for (name, call) in CALLS.iter().filter(|(name, _)| *name != "commit_transaction") {
        let unchanged = prepared(name);
        let (before, held) = (everything(&unchanged), unchanged.held());
        let mut machine = prepared(name);
        make(*call, &mut machine).unwrap();
        let after = everything(&machine);
        let taken = machine.held();
        // What takes nothing works at the limit, and far above it.
        let enough = if taken > held { taken } else { 0 };
        let mut machine = prepared(name);
        machine.memory_limit = MemoryLimit(enough);
        make(*call, &mut machine).unwrap();
        assert_eq!(everything(&machine), after, "{name}");
        for limit in [held, enough.saturating_sub(1)] {
            if (held..enough).contains(&limit) {
                let mut machine = prepared(name);
                machine.memory_limit = MemoryLimit(limit);
                let result = make(*call, &mut machine);
                let is_full = matches!(result, Err(CallError::ResourceExhausted(_)));
                assert!(is_full, "{name} at {limit} of {taken} bytes: {result:?}");
                assert_eq!(everything(&machine), before, "{name}");
            }
        }
    }
}

#[test]
fn a_call_changes_nothing_after_the_journal_has_failed() {
    for (name, call) in CALLS {
        let before = everything(&prepared(name));
        let mut machine = prepared(name);
        machine.journal.fail("the disk is gone");
        let result = make(*call, &mut machine);
        assert!(matches!(result, Err(CallError::Unavailable(_))), "{name}: {result:?}");
        assert_eq!(everything(&machine), before, "{name}");
    }
}

type Meddle = fn(&mut Step<'_>, &ByteString);

/// What clients do to a segment without the controller.
const MEDDLING: &[(&str, Meddle)] = &[
    ("sealed", |step, segment| drop(step.seal(segment))),
    ("deleted", |step, segment| drop(step.delete(segment))),
    ("a table", |step, segment| {
        step.delete(segment).ok();
        step.create_table(segment, 0, 0).ok();
    }),
];

#[test]
fn a_call_that_is_refused_for_what_clients_did_to_a_segment_changes_nothing() {
    let mut segments: Vec<ByteString> = Vec::new();
    prepared("").snapshot(|record| {
        if let Record::Created { segment, .. } = record
            && segment.starts_with("s/")
        {
            segments.push(segment);
        }
    });
    // The segments that a commit across a scale creates.
    segments.extend(["s/t/0.#epoch.2", "s/t/2.#epoch.3", "s/new/0.#epoch.0"].map(ByteString::from));
    let mut refused = BTreeSet::new();
    let scopes = |name: &str| ["delete_scope_recursive", "delete_slice"].contains(&name);
    for (name, call) in CALLS.iter().filter(|(name, _)| !scopes(name)) {
        for segment in &segments {
            for (state, meddle) in MEDDLING {
                let mut machine = prepared("");
                let (_, mut step) = machine.call(at(8));
                step.create(segment, vec![]).ok();
                meddle(&mut step, segment);
                machine.journal.take();
                let before = everything(&machine);
                if let Err(error) = make(*call, &mut machine) {
                    assert_eq!(
                        everything(&machine),
                        before,
                        "{name}, {segment} {state}: {error:?}"
                    );
                    refused.insert(*name);
                }
            }
        }
    }
    assert!(refused.contains("commit_transaction"), "only {refused:?} were refused");
}
