//! A store at its memory limit: what it refuses, and what follows.

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{
    MergedSegment, TableEntry, TableKey, TableValue, WireCommand, codes::FailureCode, commands::*,
};
use uuid::Uuid;

use super::{OTHER, SEGMENT, WRITER, at, machine, machine_in, send};
use crate::{
    ids::{ConnectionId, StoreIndex},
    machine::Machine,
    store::{MemoryLimit, Refusal, Reply, Session},
};

/// The memory that is left of the limit.
const LEFT: u64 = 1000;

/// A connection to a store with little memory left.
struct Client {
    machine: Machine,
    session: Session,
}

impl Client {
    fn new() -> Self {
        let mut machine = machine_in("bytes");
        machine.memory_limit = MemoryLimit(machine.store.held() + LEFT);
        Self { machine, session: Session::new(ConnectionId(1), StoreIndex(0)) }
    }

    fn send(&mut self, command: impl Into<WireCommand>) -> Vec<WireCommand> {
        let mut replies: Vec<Reply> = Vec::new();
        let mut context = self.machine.context(at(2), &mut replies);
        self.session.handle(command.into(), &mut context).unwrap();
        replies.into_iter().map(|reply| reply.command).collect()
    }

    fn set_up(&mut self, writer_id: Uuid, segment: &'static str) {
        let segment = segment.into();
        let set_up = SetupAppend { request_id: 9, writer_id, segment, delegation_token: "".into() };
        assert!(matches!(self.send(set_up)[..], [WireCommand::AppendSetup(_)]));
    }

    fn append(&mut self, writer_id: Uuid, last_event_number: i64, len: u64) -> Vec<WireCommand> {
        self.send(AppendBlockEnd {
            writer_id,
            size_of_whole_events: 0,
            data: vec![1; len as usize].into(),
            num_events: 1,
            last_event_number,
            request_id: last_event_number,
        })
    }

    fn len(&self, segment: &str) -> u64 {
        self.machine.store.info(segment).unwrap().len
    }
}

#[test]
fn after_a_refused_append_nothing_of_its_writer_is_stored_before_it_sets_up_again() {
    let mut client = Client::new();
    let other = Uuid::from_u128(77);
    client.set_up(WRITER, SEGMENT);
    client.set_up(other, OTHER);
    let refused = client.append(WRITER, 4, 2 * LEFT);
    let expected =
        ConditionalCheckFailed { writer_id: WRITER, event_number: 4, request_id: 4 }.into();
    assert_eq!(refused, [expected]);
    assert_eq!(client.append(WRITER, 5, 1), [], "a later append would be stored first");
    let appended = client.append(other, 1, 1);
    assert!(matches!(appended[..], [WireCommand::DataAppended(_)]), "others go on");
    assert_eq!(client.len(SEGMENT), 10);
    client.set_up(WRITER, SEGMENT);
    let appended = client.append(WRITER, 4, 1);
    assert!(matches!(appended[..], [WireCommand::DataAppended(_)]));
    assert_eq!(client.len(SEGMENT), 11);
}

#[test]
fn a_writer_that_sets_up_again_and_again_is_refused_before_it_sends_its_events() {
    let mut client = Client::new();
    for _ in 0..2 {
        client.set_up(WRITER, SEGMENT);
        let refused = client.append(WRITER, 4, 2 * LEFT);
        assert!(matches!(refused[..], [WireCommand::ConditionalCheckFailed(_)]), "{refused:?}");
    }
    let segment = SEGMENT.into();
    let set_up =
        SetupAppend { request_id: 9, writer_id: WRITER, segment, delegation_token: "".into() };
    for _ in 0..3 {
        let refused = client.send(set_up.clone());
        let [WireCommand::ErrorMessage(message)] = &refused[..] else { panic!("{refused:?}") };
        assert_eq!((message.request_id, message.error_code), (9, FailureCode::OutOfSpace));
    }
    // Others are served, and so is the writer as soon as there is memory.
    client.set_up(Uuid::from_u128(77), SEGMENT);
    client.machine.memory_limit = MemoryLimit(u64::MAX);
    client.set_up(WRITER, SEGMENT);
    let appended = client.append(WRITER, 4, 2 * LEFT);
    assert!(matches!(appended[..], [WireCommand::DataAppended(_)]), "{appended:?}");
}

#[test]
fn after_the_journal_has_failed_an_append_ends_its_connection_and_a_set_up_is_refused() {
    let mut client = Client::new();
    client.set_up(WRITER, SEGMENT);
    client.machine.journal.fail("the disk is gone");
    let append = AppendBlockEnd {
        writer_id: WRITER,
        size_of_whole_events: 0,
        data: "1".into(),
        num_events: 1,
        last_event_number: 4,
        request_id: 4,
    };
    let mut replies: Vec<Reply> = Vec::new();
    let mut context = client.machine.context(at(2), &mut replies);
    let closed = client.session.handle(append.into(), &mut context).unwrap_err();
    assert_eq!((closed.0, replies.len()), ("the journal has failed", 0));
    client.session = Session::new(ConnectionId(2), StoreIndex(0));
    let segment = SEGMENT.into();
    let refused = client.send(SetupAppend {
        request_id: 9,
        writer_id: WRITER,
        segment,
        delegation_token: "".into(),
    });
    let [WireCommand::ErrorMessage(message)] = &refused[..] else { panic!("{refused:?}") };
    assert!(message.message.contains("the disk is gone"), "{message:?}");
    // A conditional append gets its answer.
    let mut client = Client::new();
    client.set_up(WRITER, SEGMENT);
    client.machine.journal.fail("the disk is gone");
    let refused = client.send(ConditionalBlockEnd {
        writer_id: WRITER,
        event_number: 4,
        expected_offset: 10,
        data: "1".into(),
        request_id: 9,
    });
    assert!(matches!(refused[..], [WireCommand::ErrorMessage(_)]), "{refused:?}");
}

#[test]
fn a_refused_append_on_a_condition_is_no_failed_condition() {
    let mut client = Client::new();
    client.set_up(WRITER, SEGMENT);
    for (offset, is_full) in [(10, true), (9, false)] {
        client.set_up(WRITER, SEGMENT);
        let refused = client.send(ConditionalBlockEnd {
            writer_id: WRITER,
            event_number: 4,
            expected_offset: offset,
            data: vec![1; 2 * LEFT as usize].into(),
            request_id: 9,
        });
        match &refused[..] {
            [WireCommand::ErrorMessage(message)] if is_full => {
                assert_eq!(message.error_code, FailureCode::OutOfSpace);
            }
            [WireCommand::ConditionalCheckFailed(_)] if !is_full => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.len(SEGMENT), 10);
}

#[test]
fn a_large_event_that_finds_no_memory_leaves_none_in_use() {
    let mut client = Client::new();
    let before = client.machine.store.held();
    let created = client.send(CreateTransientSegment {
        request_id: 9,
        writer_id: WRITER,
        parent_segment: SEGMENT.into(),
        delegation_token: "".into(),
    });
    let [WireCommand::SegmentCreated(created)] = &created[..] else { panic!("{created:?}") };
    client.send(SetupAppend {
        request_id: 9,
        writer_id: WRITER,
        segment: created.segment.clone(),
        delegation_token: "".into(),
    });
    assert!(client.machine.store.held() > before);
    let refused = client.send(ConditionalBlockEnd {
        writer_id: WRITER,
        event_number: 0,
        expected_offset: 0,
        data: vec![1; 2 * LEFT as usize].into(),
        request_id: 9,
    });
    assert!(matches!(refused[..], [WireCommand::ErrorMessage(_)]), "{refused:?}");
    assert_eq!(client.machine.store.held(), before);
}

#[test]
fn on_a_full_disk_what_takes_space_is_refused_and_what_frees_some_is_not() {
    let mut client = Client::new();
    client.machine.memory_limit = MemoryLimit(u64::MAX);
    let table = ByteString::from("s/t/7.#epoch.0");
    let key = TableKey { data: Bytes::from_static(b"key"), key_version: TableKey::NO_VERSION };
    let value = TableValue { data: Bytes::from_static(b"value") };
    let entry = TableEntry { key: key.clone(), value };
    let id = Uuid::from_u128(78);
    let mut step = client.machine.call(at(1)).1;
    step.create_table(&table, 0, 0).unwrap();
    step.put(&table, vec![entry.clone()], None).unwrap();
    assert_eq!(step.update_attribute(&SEGMENT.into(), id, i64::MIN, 1), Ok(true));
    client.machine.journal.set_full(Some("a test fills it".to_owned()));
    let mut step = client.machine.call(at(1)).1;
    let full = Refusal::DiskFull("a test fills it".to_owned());
    assert_eq!(step.create(&"s/t/9.#epoch.0".into(), vec![]), Err(full.clone()));
    // These need no more memory than is there.
    assert_eq!(step.put(&table, vec![entry], None), Err(full.clone()));
    assert_eq!(step.update_attribute(&SEGMENT.into(), id, 1, 2), Err(full.clone()));
    let appended = step.append_internal(&SEGMENT.into(), Bytes::from_static(b"x"), vec![]);
    assert_eq!(appended, Err(full));
    step.truncate(&SEGMENT.into(), Offset(5)).unwrap();
    step.remove(&table, &[key], None).unwrap();
    step.seal(&OTHER.into()).unwrap();
    step.delete(&OTHER.into()).unwrap();
    for _ in 0..2 {
        client.set_up(WRITER, SEGMENT);
        let refused = client.append(WRITER, 4, 1);
        assert!(matches!(refused[..], [WireCommand::ConditionalCheckFailed(_)]), "{refused:?}");
    }
    let segment = SEGMENT.into();
    let set_up =
        SetupAppend { request_id: 9, writer_id: WRITER, segment, delegation_token: "".into() };
    let refused = client.send(set_up);
    let [WireCommand::ErrorMessage(message)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(message.error_code, FailureCode::OutOfSpace);
    client.machine.journal.set_full(None);
    client.set_up(WRITER, SEGMENT);
    let appended = client.append(WRITER, 4, 1);
    assert!(matches!(appended[..], [WireCommand::DataAppended(_)]));
}

#[test]
fn a_batch_of_merges_is_done_as_a_whole_or_not_at_all() {
    let mut machine = machine_in("bytes");
    let table = ByteString::from("s/t/7.#epoch.0");
    machine.call(at(1)).1.create_table(&table, 0, 0).unwrap();
    let batch = |sources: &[&str]| MergeSegmentsBatch {
        request_id: 9,
        target_segment_id: SEGMENT.into(),
        source_segment_ids: sources.iter().map(|source| (*source).into()).collect(),
        delegation_token: "".into(),
    };
    let refused = send(&mut machine, vec![batch(&[OTHER, &table]).into()]);
    assert_eq!(refused, "closed: only two segments of streams are merged");
    assert!(machine.store.info(OTHER).is_ok(), "nothing was merged");
    // A target whose bytes grow by more than its source frees.
    let full = ByteString::from("s/t/8.#epoch.0");
    let mut step = machine.call(at(1)).1;
    step.create(&full, vec![]).unwrap();
    step.append_internal(&full, vec![1; (1 << 17) - 4].into(), vec![]).unwrap();
    machine.memory_limit = MemoryLimit(machine.store.held());
    let into_full =
        MergeSegmentsBatch { target_segment_id: full.clone(), ..batch(&[OTHER, SEGMENT]) };
    let refused = send(&mut machine, vec![into_full.clone().into()]);
    assert!(refused.contains("OutOfSpace"), "{refused}");
    assert!(machine.store.info(OTHER).is_ok() && machine.store.info(SEGMENT).is_ok());
    machine.memory_limit = MemoryLimit(u64::MAX);
    let mut client = Client { machine, session: Session::new(ConnectionId(1), StoreIndex(0)) };
    let merged = client.send(into_full);
    let [WireCommand::SegmentsBatchMerged(merged)] = &merged[..] else { panic!("{merged:?}") };
    let expected = [(OTHER, (1 << 17) - 1), (SEGMENT, (1 << 17) + 9)].map(
        |(source, new_target_write_offset)| MergedSegment {
            source: source.into(),
            new_target_write_offset,
        },
    );
    assert_eq!(merged.merged[..], expected);
}

/// What the store keeps is a copy, however small a part of the message it is.
#[test]
fn nothing_that_is_kept_holds_a_message_in_memory() {
    let message = Bytes::from(vec![b'm'; 100_000]);
    let text = |from: usize| ByteString::try_from(message.slice(from..from + 10)).unwrap();
    let mut machine = machine();
    let mut step = machine.call(at(1)).1;
    let other = ByteString::from("other");
    step.create(&text(0), vec![]).unwrap();
    step.create(&other, vec![]).unwrap();
    step.append_internal(&text(0), message.slice(..10), vec![]).unwrap();
    step.merge(&other, &text(0), &[]).unwrap();
    step.create(&text(0), vec![]).unwrap();
    step.truncate(&text(0), Offset(0)).unwrap();
    let table = ByteString::from("table");
    step.create_table(&table, 0, 0).unwrap();
    let key = TableKey { data: message.slice(..10), key_version: TableKey::NO_VERSION };
    let value = TableValue { data: message.slice(..10) };
    step.put(&table, vec![TableEntry { key, value }], None).unwrap();
    machine.journal.take();
    assert!(message.is_unique(), "a part of the message is kept");
}
