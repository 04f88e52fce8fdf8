//! The same requests to a segment store of Java and to an embedded one: every reply is compared,
//! field by field.
//!
//! Where they differ, the difference is in [`KNOWN`], with its reason; one that is listed and does
//! not show is as wrong as one that shows and is not listed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pravega_sdk_integration_tests::harness::unique;
use pravega_sdk_wire_protocol::{
    AttributeUpdate, Decoder, IterationArgs, SendBuffer, TableEntry, TableKey, TableValue,
    WireCommand, commands::*, event::Event,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use super::both::{Differences, Known, both, check};

/// Differences that are meant: the step, the field, and why.
const KNOWN: &[Known] = &[
    ("*", "lastModified", "a time"),
    ("*", "serverStackTrace", "a standalone server sends its stack, which tells a client nothing"),
    ("*", "continuationToken", "opaque, each server has its own"),
    ("*", "message", "a text for people"),
    ("hash tables: a delta", "entries", "the order within a page is the server's own"),
];

/// What a server did about a request.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there are never more than a few")]
enum Did {
    Replied(WireCommand),
    Closed,
    /// It said nothing, as it does about a read at the end of a segment.
    Nothing,
}

/// A connection that is made anew when the server closes it.
struct Store {
    address: String,
    socket: TcpStream,
    received: BytesMut,
}

/// How long a server may take for a reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is watched where it should say nothing.
const QUIET: Duration = Duration::from_millis(700);

impl Store {
    async fn connect(address: &str) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut store = Self { address: address.to_owned(), socket, received: BytesMut::new() };
        let hello = store.ask(&[Hello { high_version: 16, low_version: 5 }.into()], PATIENCE).await;
        assert!(matches!(hello, Did::Replied(WireCommand::Hello(_))), "{hello:?}");
        store
    }

    async fn ask(&mut self, commands: &[WireCommand], patience: Duration) -> Did {
        let mut out = SendBuffer::new();
        for command in commands {
            command.encode(&mut out).unwrap();
        }
        if self.socket.write_all(&out.to_vec()).await.is_err() {
            return Did::Closed;
        }
        self.next(patience).await
    }

    async fn next(&mut self, patience: Duration) -> Did {
        loop {
            if let Some(command) = Decoder::default().decode(&mut self.received).unwrap() {
                return Did::Replied(command);
            }
            match timeout(patience, self.socket.read_buf(&mut self.received)).await {
                Err(_) => return Did::Nothing,
                Ok(Ok(0) | Err(_)) => return Did::Closed,
                Ok(Ok(_)) => {}
            }
        }
    }

    async fn again(&mut self) {
        let address = self.address.clone();
        *self = Box::pin(Self::connect(&address)).await;
    }
}

/// A step of a script.
struct Step {
    name: &'static str,
    commands: Vec<WireCommand>,
    waits: bool,
}

fn step(name: &'static str, command: impl Into<WireCommand>) -> Step {
    Step { name, commands: vec![command.into()], waits: true }
}

fn steps(name: &'static str, commands: Vec<WireCommand>) -> Step {
    Step { name, commands, waits: true }
}

/// A read that has to wait at the end.
fn parked(name: &'static str, command: impl Into<WireCommand>) -> Step {
    Step { name, commands: vec![command.into()], waits: false }
}

/// Looks for one more reply.
fn later(name: &'static str) -> Step {
    Step { name, commands: vec![], waits: true }
}

struct Names {
    prefix: String,
}

impl Names {
    fn segment(&self, name: &str) -> bytestring::ByteString {
        format!("{}/{name}/0.#epoch.0", self.prefix).into()
    }
}

fn none() -> bytestring::ByteString {
    "".into()
}

fn create(segment: &bytestring::ByteString) -> CreateSegment {
    let (segment, delegation_token) = (segment.clone(), none());
    CreateSegment {
        request_id: 1,
        segment,
        target_rate: 0,
        scale_type: 0,
        delegation_token,
        rollover_size_bytes: 0,
    }
}

fn create_table(segment: &bytestring::ByteString, key_length: i32) -> CreateTableSegment {
    let (segment, delegation_token) = (segment.clone(), none());
    let (sorted_deprecated, rollover_size_bytes) = (false, 0);
    CreateTableSegment {
        request_id: 1,
        segment,
        delegation_token,
        sorted_deprecated,
        key_length,
        rollover_size_bytes,
    }
}

fn setup(segment: &bytestring::ByteString, writer: u128) -> SetupAppend {
    let (writer_id, segment) = (Uuid::from_u128(writer), segment.clone());
    SetupAppend { request_id: 2, writer_id, segment, delegation_token: none() }
}

fn append(writer: u128, number: i64, data: &'static [u8]) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id: Uuid::from_u128(writer),
        size_of_whole_events: 0,
        data: Bytes::from_static(data),
        num_events: 1,
        last_event_number: number,
        request_id: 100 + number,
    }
}

fn conditional(writer: u128, number: i64, expected_offset: i64) -> ConditionalAppend {
    let (writer_id, event) =
        (Uuid::from_u128(writer), Event { data: Bytes::from_static(b"event") });
    ConditionalAppend { writer_id, event_number: number, expected_offset, event, request_id: 7 }
}

fn read(segment: &bytestring::ByteString, offset: i64, suggested_length: i32) -> ReadSegment {
    ReadSegment {
        segment: segment.clone(),
        offset,
        suggested_length,
        delegation_token: none(),
        request_id: 3,
    }
}

fn info(segment: &bytestring::ByteString) -> GetStreamSegmentInfo {
    GetStreamSegmentInfo { request_id: 4, segment_name: segment.clone(), delegation_token: none() }
}

fn seal(segment: &bytestring::ByteString) -> SealSegment {
    SealSegment { request_id: 5, segment: segment.clone(), delegation_token: none() }
}

fn delete(segment: &bytestring::ByteString) -> DeleteSegment {
    DeleteSegment { request_id: 6, segment: segment.clone(), delegation_token: none() }
}

fn truncate(segment: &bytestring::ByteString, truncation_offset: i64) -> TruncateSegment {
    TruncateSegment {
        request_id: 8,
        segment: segment.clone(),
        truncation_offset,
        delegation_token: none(),
    }
}

fn merge(
    target: &bytestring::ByteString,
    source: &bytestring::ByteString,
    old_value: Option<i64>,
) -> MergeSegments {
    let update = |old_value| AttributeUpdate {
        attribute_id: Uuid::from_u128(99),
        attribute_update_type: 4,
        new_value: 1,
        old_value,
    };
    MergeSegments {
        request_id: 9,
        target: target.clone(),
        source: source.clone(),
        delegation_token: none(),
        attribute_updates: old_value.map(update).into_iter().collect(),
    }
}

fn attribute(segment: &bytestring::ByteString, id: Uuid) -> GetSegmentAttribute {
    GetSegmentAttribute {
        request_id: 10,
        segment_name: segment.clone(),
        attribute_id: id,
        delegation_token: none(),
    }
}

fn set_attribute(
    segment: &bytestring::ByteString,
    new_value: i64,
    expected_value: i64,
) -> UpdateSegmentAttribute {
    UpdateSegmentAttribute {
        request_id: 11,
        segment_name: segment.clone(),
        attribute_id: Uuid::from_u128(42),
        new_value,
        expected_value,
        delegation_token: none(),
    }
}

fn put(
    segment: &bytestring::ByteString,
    entries: &[(&'static [u8], &'static [u8], i64)],
    offset: i64,
) -> UpdateTableEntries {
    let entry = |(key, value, key_version): &(&'static [u8], &'static [u8], i64)| TableEntry {
        key: TableKey { data: Bytes::from_static(key), key_version: *key_version },
        value: TableValue { data: Bytes::from_static(value) },
    };
    UpdateTableEntries {
        request_id: 12,
        segment: segment.clone(),
        delegation_token: none(),
        table_entries: entries.iter().map(entry).collect(),
        table_segment_offset: offset,
    }
}

fn keys(keys: &[(&'static [u8], i64)]) -> Vec<TableKey> {
    keys.iter()
        .map(|(key, key_version)| TableKey {
            data: Bytes::from_static(key),
            key_version: *key_version,
        })
        .collect()
}

fn remove(segment: &bytestring::ByteString, removed: &[(&'static [u8], i64)]) -> RemoveTableKeys {
    RemoveTableKeys {
        request_id: 13,
        segment: segment.clone(),
        delegation_token: none(),
        keys: keys(removed),
        table_segment_offset: -1,
    }
}

fn lookup(segment: &bytestring::ByteString, wanted: &[(&'static [u8], i64)]) -> ReadTable {
    ReadTable {
        request_id: 14,
        segment: segment.clone(),
        delegation_token: none(),
        keys: keys(wanted),
    }
}

fn entries(
    segment: &bytestring::ByteString,
    count: i32,
    from: &'static [u8],
    to: &'static [u8],
) -> ReadTableEntries {
    ReadTableEntries {
        request_id: 15,
        segment: segment.clone(),
        delegation_token: none(),
        suggested_entry_count: count,
        args: IterationArgs {
            from_key: Bytes::from_static(from),
            to_key: Bytes::from_static(to),
            ..IterationArgs::default()
        },
    }
}

const ANY: i64 = TableKey::NO_VERSION;
const ABSENT: i64 = TableKey::NOT_EXISTS;

fn appends(names: &Names) -> Vec<Step> {
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
        // The Java server forgets the set-up a little later than it answers.
        parked("a pause", Padding { length: 0 }),
        step("append once more", append(1, 31, b"x")),
        step("set up before the deletion", setup(&segment, 1)),
        step("delete", delete(&segment)),
        step("append to what is gone", append(1, 32, b"x")),
        parked("another pause", Padding { length: 0 }),
        step("append once more to what is gone", append(1, 33, b"x")),
        step("delete again", delete(&segment)),
        step("info of what is gone", info(&segment)),
    ]
}

fn reads(names: &Names) -> Vec<Step> {
    let (segment, other) = (names.segment("reads"), names.segment("reads-2"));
    vec![
        step("create", create(&segment)),
        step("create another", create(&other)),
        step("set up", setup(&segment, 1)),
        parked("read at the end", read(&segment, 0, 100)),
        Step {
            name: "append under it",
            commands: vec![append(1, 1, b"0123456789").into()],
            waits: true,
        },
        later("the other of the two"),
        step("read a part", read(&segment, 2, 8)),
        step("read nothing", read(&segment, 2, 0)),
        step("read less than nothing", read(&segment, 2, -5)),
        step("truncate", truncate(&segment, 4)),
        step("truncate there again", truncate(&segment, 4)),
        step("truncate before", truncate(&segment, 2)),
        step("truncate behind the end", truncate(&segment, 20)),
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
        step("read behind the sealed end", read(&segment, 11, 100)),
        parked("read at the end of the other", read(&other, 0, 100)),
        step("delete the other", delete(&other)),
        later("both answers of the other"),
    ]
}

fn merges(names: &Names) -> Vec<Step> {
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

fn attributes(names: &Names) -> Vec<Step> {
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

fn tables(names: &Names, key_length: i32) -> Vec<Step> {
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
        step("look up what was removed", lookup(&table, &[(b"bb", ANY)])),
        step("zero entries", entries(&table, 0, b"", b"")),
        step("what is missing", put(&names.segment("missing"), &[(b"aa", b"1", ANY)], -1)),
        step("a version below all", put(&table, &[(b"aa", b"2", -7)], -1)),
    ];
    if key_length == 0 {
        all.push(step("size", size));
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
            "a delta from behind the end",
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

fn violations(names: &Names) -> Vec<Step> {
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

/// Compares two replies and notes where they differ.
fn compare(script: &str, step: &str, real: &Did, embedded: &Did, differences: &mut Differences) {
    let name = format!("{script}: {step}");
    match (real, embedded) {
        (Did::Replied(real), Did::Replied(embedded)) if real.name() == embedded.name() => {
            for ((field, one), (_, other)) in real.fields().into_iter().zip(embedded.fields()) {
                if one != other {
                    let known = KNOWN
                        .iter()
                        .any(|(at, known, _)| (*at == "*" || *at == name) && *known == field);
                    if !known {
                        println!("{name}: {field} is {one:?} there and {other:?} here");
                    }
                    differences.insert((name.clone(), field));
                }
            }
        }
        (real, embedded) if real == embedded => {}
        (real, embedded) => {
            println!("{name}: {real:?} there and {embedded:?} here");
            differences.insert((name, "reply".to_owned()));
        }
    }
}

async fn run(store: &mut Store, step: &Step) -> Did {
    let patience = if step.waits { PATIENCE } else { QUIET };
    let did = store.ask(&step.commands, patience).await;
    if did == Did::Closed {
        store.again().await;
    }
    did
}

fn sorted(mut dids: Vec<Did>) -> Vec<Did> {
    dids.sort_by_key(|did| if let Did::Replied(command) = did { command.name() } else { "" });
    dids
}

async fn wire_of(address: &str) -> Store {
    Store::connect(address).await
}

#[tokio::test]
async fn both_servers_answer_every_wire_request_alike() {
    let (real, embedded) = both().await;
    let names = Names { prefix: unique("differential") };
    let (mut there, mut here) =
        (wire_of(&real.store().await).await, wire_of(&embedded.store().await).await);
    let scripts = [
        ("appends", appends(&names)),
        ("reads", reads(&names)),
        ("merges", merges(&names)),
        ("attributes", attributes(&names)),
        ("hash tables", tables(&names, 0)),
        ("fixed-key tables", tables(&names, 2)),
        ("violations", violations(&names)),
    ];
    let mut differences = Differences::new();
    for (script, steps) in scripts {
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            // Answers that follow together may come in any order.
            let extra = steps[at + 1..].iter().take_while(|step| step.commands.is_empty()).count();
            let (mut theirs, mut ours) =
                (vec![run(&mut there, step).await], vec![run(&mut here, step).await]);
            for _ in 0..extra {
                theirs.push(there.next(PATIENCE).await);
                ours.push(here.next(PATIENCE).await);
            }
            for (real, embedded) in sorted(theirs).iter().zip(&sorted(ours)) {
                compare(script, step.name, real, embedded, &mut differences);
            }
            at += 1 + extra;
        }
    }
    check(&differences, KNOWN);
}
