//! The scripts.

use bytes::Bytes;
use pravega_sdk_wire_protocol::commands::*;
use uuid::Uuid;

use super::requests::{
    ABSENT, ANY, append, attribute, conditional, create, create_table, delete, entries, info,
    lookup, merge, none, put, read, remove, seal, set_attribute, setup, truncate,
};
use super::step::{Expects, Names, Step, in_the_end, later, parked, step, steps};

pub(super) fn appends(names: &Names) -> Vec<Step> {
    let (segment, missing) = (names.segment("appends"), names.segment("missing"));
    let block = |data: &'static [u8]| AppendBlock {
        writer_id: Uuid::from_u128(1),
        data: Bytes::from_static(data),
    };
    let end = |number, whole, data| AppendBlockEnd {
        size_of_whole_events: whole,
        ..append(1, number, data)
    };
    vec![
        step("create", create(&segment)),
        step("create again", create(&segment)),
        step("set up at a missing segment", setup(&missing, 1)),
        step("set up", setup(&segment, 1)),
        step("append", append(1, 1, b"one")),
        step("append with a gap in the numbers", append(1, 5, b"two")),
        step("append nothing", append(1, 6, b"")),
        steps("a block", vec![block(b"block").into(), end(7, 5, b"").into()]),
        steps(
            "a block whose end has data too",
            vec![block(b"block").into(), end(8, 5, b"lost").into()],
        ),
        steps(
            "a block with a keep-alive inside",
            vec![block(b"alive").into(), KeepAlive {}.into()],
        ),
        step("its end", end(9, 5, b"")),
        step("a condition that holds", conditional(1, 10, 21)),
        step("a condition that does not", conditional(1, 11, 21)),
        step("the number again", append(1, 11, b"three")),
        step("info", info(&segment)),
        step("the writer's attribute", attribute(&segment, Uuid::from_u128(1))),
        step("the count of events", attribute(&segment, Uuid::from_u64_pair(1 << 63, 1))),
        step("set up once more", setup(&segment, 1)),
        step("a number that is too low", append(1, 2, b"old")),
        step("an append without a set-up", append(1, 20, b"x")),
        step("an end of another writer's block", setup(&segment, 1)),
        steps("ended by another", vec![block(b"block").into(), append(2, 1, b"").into()]),
        step("no events", setup(&segment, 3)),
        step("an append of no events", AppendBlockEnd { num_events: 0, ..append(3, 1, b"x") }),
        step("read all", read(&segment, 0, 1000)),
        step("seal", seal(&segment)),
        step("seal again", seal(&segment)),
        step("set up at a sealed segment", setup(&segment, 1)),
        step("append to it", append(1, 30, b"x")),
        parked("a pause", Padding { length: 0 }),
        // The Java server removes the set-up shortly after it replies.
        in_the_end("append once more", append(1, 31, b"x")),
        step("set up before the deletion", setup(&segment, 1)),
        step("delete", delete(&segment)),
        step("append to what is gone", append(1, 32, b"x")),
        parked("another pause", Padding { length: 0 }),
        in_the_end("append once more to what is gone", append(1, 33, b"x")),
        step("delete again", delete(&segment)),
        step("info of what is gone", info(&segment)),
    ]
}

pub(super) fn reads(names: &Names) -> Vec<Step> {
    let (segment, other) = (names.segment("reads"), names.segment("reads-2"));
    vec![
        step("create", create(&segment)),
        step("create another", create(&other)),
        step("set up", setup(&segment, 1)),
        parked("read at the end", read(&segment, 0, 100)),
        Step {
            name: "append under it",
            commands: vec![append(1, 1, b"0123456789").into()],
            expects: Expects::Reply,
        },
        later("the other of the two"),
        step("read a part", read(&segment, 2, 8)),
        step("read nothing", read(&segment, 2, 0)),
        step("read less than nothing", read(&segment, 2, -5)),
        step("truncate", truncate(&segment, 4)),
        step("truncate there again", truncate(&segment, 4)),
        step("truncate before", truncate(&segment, 2)),
        step("truncate after the end", truncate(&segment, 20)),
        step("read what is gone", read(&segment, 0, 100)),
        step("read the rest", read(&segment, 4, 100)),
        step("info", info(&segment)),
        step("read before the beginning", read(&segment, -1, 100)),
        step("read what is missing", read(&names.segment("missing"), 7, 100)),
        parked("read at the end again", read(&segment, 10, 100)),
        step("seal", seal(&segment)),
        later("both answers"),
        step("read at the sealed end", read(&segment, 10, 100)),
        step("read to the sealed end", read(&segment, 4, 100)),
        step("read after the sealed end", read(&segment, 11, 100)),
        parked("read at the end of the other", read(&other, 0, 100)),
        step("delete the other", delete(&other)),
        later("both answers of the other"),
    ]
}

pub(super) fn merges(names: &Names) -> Vec<Step> {
    let (target, source, missing) =
        (names.segment("target"), names.segment("source"), names.segment("missing"));
    let (second, third) = (names.segment("second"), names.segment("third"));
    let batch =
        |target: &bytestring::ByteString, sources: &[&bytestring::ByteString]| MergeSegmentsBatch {
            request_id: 16,
            target_segment_id: target.clone(),
            source_segment_ids: sources.iter().map(|source| (*source).clone()).collect(),
            delegation_token: none(),
        };
    vec![
        step("create the target", create(&target)),
        step("create the source", create(&source)),
        step("create a second", create(&second)),
        step("create a third", create(&third)),
        step("set up", setup(&source, 1)),
        step("append", append(1, 1, b"source")),
        step("a condition that does not hold", merge(&target, &source, Some(5))),
        step("into what is missing", merge(&missing, &source, None)),
        step("what is missing", merge(&target, &missing, None)),
        step("merge", merge(&target, &source, Some(i64::MIN))),
        step("merge again", merge(&target, &source, None)),
        step("the attribute", attribute(&target, Uuid::from_u128(99))),
        step("the count of events", attribute(&target, Uuid::from_u64_pair(1 << 63, 1))),
        step("info of the source", info(&source)),
        step("several", batch(&target, &[&second, &missing, &third])),
        step("none", batch(&target, &[])),
        step("several into what is missing", batch(&missing, &[&second])),
        step("read", read(&target, 0, 100)),
    ]
}

pub(super) fn attributes(names: &Names) -> Vec<Step> {
    let segment = names.segment("attributes");
    vec![
        step("create", create(&segment)),
        step("absent", attribute(&segment, Uuid::from_u128(42))),
        step("set", set_attribute(&segment, 5, i64::MIN)),
        step("set with another in mind", set_attribute(&segment, 6, 4)),
        step("set on", set_attribute(&segment, 6, 5)),
        step("get", attribute(&segment, Uuid::from_u128(42))),
        step("clear", set_attribute(&segment, i64::MIN, 6)),
        step("get what was cleared", attribute(&segment, Uuid::from_u128(42))),
        step("of what is missing", attribute(&names.segment("missing"), Uuid::from_u128(42))),
        step("seal", seal(&segment)),
        step("set at a sealed segment", set_attribute(&segment, 7, i64::MIN)),
        step(
            "a policy",
            UpdateSegmentPolicy {
                request_id: 17,
                segment: segment.clone(),
                target_rate: 5,
                scale_type: 1,
                delegation_token: none(),
            },
        ),
    ]
}

pub(super) fn tables(names: &Names, key_length: i32) -> Vec<Step> {
    let table = names.segment(if key_length == 0 { "hash" } else { "fixed" });
    let size = GetTableSegmentInfo {
        request_id: 18,
        segment_name: table.clone(),
        delegation_token: none(),
    };
    let mut all = vec![
        step("create a table", create_table(&table, key_length)),
        step("create it again", create_table(&table, key_length)),
        step("put", put(&table, &[(b"aa", b"1", ABSENT), (b"bb", b"", ANY)], -1)),
        step("put what must be absent", put(&table, &[(b"aa", b"2", ABSENT)], -1)),
        step("put with another version", put(&table, &[(b"aa", b"2", 5)], -1)),
        step("put with the version", put(&table, &[(b"aa", b"2", 0)], -1)),
        step("a version of what is absent", put(&table, &[(b"zz", b"2", 5)], -1)),
        step("one bad of two", put(&table, &[(b"cc", b"2", ANY), (b"aa", b"3", 0)], -1)),
        step("another offset", put(&table, &[(b"cc", b"2", ANY)], 3)),
        step("nothing", put(&table, &[], -1)),
        step("a key twice", put(&table, &[(b"dd", b"1", ANY), (b"dd", b"2", ANY)], -1)),
        step("look up", lookup(&table, &[(b"aa", ANY), (b"no", ANY), (b"bb", 77), (b"dd", ANY)])),
        step("remove what is absent", remove(&table, &[(b"no", ANY)])),
        step("remove what must be absent", remove(&table, &[(b"no", ABSENT)])),
        step("remove what must be absent and is not", remove(&table, &[(b"aa", ABSENT)])),
        step("remove with another version", remove(&table, &[(b"aa", 1)])),
        step("remove", remove(&table, &[(b"bb", ANY)])),
        step("look up a removed key", lookup(&table, &[(b"bb", ANY)])),
        step("zero entries", entries(&table, 0, b"", b"")),
        step("what is missing", put(&names.segment("missing"), &[(b"aa", b"1", ANY)], -1)),
        step("a version below all", put(&table, &[(b"aa", b"2", -7)], -1)),
    ];
    if key_length == 0 {
        // The Java server counts entries when it writes its index.
        all.push(in_the_end("size", size));
        all.push(step("a range", entries(&table, 10, b"a", b"z")));
        all.push(step(
            "a delta",
            ReadTableEntriesDelta {
                request_id: 19,
                segment: table.clone(),
                delegation_token: none(),
                from_position: 0,
                suggested_entry_count: 10,
            },
        ));
        all.push(step(
            "a delta from after the end",
            ReadTableEntriesDelta {
                request_id: 19,
                segment: table.clone(),
                delegation_token: none(),
                from_position: 100_000,
                suggested_entry_count: 10,
            },
        ));
    } else {
        all.push(step("all entries", entries(&table, 10, b"", b"")));
        all.push(step("a range", entries(&table, 10, b"bb", b"cc")));
        all.push(step("a range with half a key", entries(&table, 10, b"b", b"cc")));
        all.push(step("a key of another length", put(&table, &[(b"a", b"1", ANY)], -1)));
        all.push(step("set up at a table", setup(&table, 1)));
    }
    all.push(step(
        "delete if it is empty",
        DeleteTableSegment {
            request_id: 20,
            segment: table.clone(),
            must_be_empty: true,
            delegation_token: none(),
        },
    ));
    all.push(step("seal", seal(&table)));
    all.push(step("put in a sealed table", put(&table, &[(b"aa", b"9", ANY)], -1)));
    all.push(step("look up in a sealed table", lookup(&table, &[(b"aa", ANY)])));
    all
}

pub(super) fn violations(names: &Names) -> Vec<Step> {
    vec![
        step("a reply", SegmentSealed { request_id: 1, segment: names.segment("x") }),
        step("a partial event by itself", PartialEvent { data: Bytes::from_static(b"x") }),
        step("a segment without a name", create(&none())),
        step("keys of a thousand bytes", create_table(&names.segment("long"), 1000)),
        step("an old hello", Hello { high_version: 4, low_version: 1 }),
        step("a new hello", Hello { high_version: 100, low_version: 16 }),
        step(
            "for the administration",
            FlushToStorage { container_id: 0, delegation_token: none(), request_id: 1 },
        ),
        step("keep alive", KeepAlive {}),
    ]
}
