//! Stores without space: a writer fails at once, or waits, as it is set.

use bytes::BytesMut;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{
    Append, AppendAssembler, Decoder,
    codes::FailureCode,
    commands::{ConditionalCheckFailed, DataAppended, ErrorMessage},
};

use super::*;
use crate::append::segment::item::Pinned;

const ONLY: ConnectionId = ConnectionId(0);

/// A store that refuses and takes appends as the test says.
struct Store {
    rig: Rig,
    assembler: AppendAssembler,
    last: i64,
}

impl Store {
    /// A writer with one segment, which is located.
    fn new(when_full: WhenFull, target: Target) -> Self {
        let settings = Settings { when_full, ..SETTINGS };
        let rig = Rig::with_settings(1, target, settings);
        Self { rig, assembler: AppendAssembler::new(), last: i64::MIN }
    }

    /// Carries out the effects of the writer. Returns the appends that it sends.
    fn turn(&mut self) -> Vec<Append> {
        for effect in self.rig.effects() {
            match effect {
                Effect::Locate(segment) => drop(self.rig.locate(segment, 1)),
                Effect::Connect(..) | Effect::Forget(..) | Effect::Close(_) => {}
                other => panic!("{other:?}"),
            }
        }
        self.rig.machine.handle_connected(ONLY);
        let mut appends = Vec::new();
        for _ in 0..2 {
            let mut out = SendBuffer::new();
            self.rig.machine.transmit(ONLY, &mut out, self.rig.now);
            let mut bytes = BytesMut::from(&out.to_vec()[..]);
            while let Some(command) = Decoder::default().decode(&mut bytes).unwrap() {
                if let WireCommand::SetupAppend(set_up) = &command {
                    let reply = AppendSetup {
                        request_id: set_up.request_id,
                        segment: set_up.segment.clone(),
                        writer_id: set_up.writer_id,
                        last_event_number: self.last,
                    };
                    self.rig.machine.handle_command(ONLY, reply.into(), self.rig.now);
                }
                appends.extend(self.assembler.handle(command).unwrap());
            }
        }
        appends
    }

    fn refuse(&mut self, append: &Append) {
        let Append { writer_id, event_number, request_id, .. } = *append;
        let refused = ConditionalCheckFailed { writer_id, event_number, request_id };
        self.rig.machine.handle_command(ONLY, refused.into(), self.rig.now);
    }

    fn take(&mut self, append: &Append) {
        let appended = DataAppended {
            writer_id: append.writer_id,
            event_number: append.event_number,
            previous_event_number: self.last,
            request_id: append.request_id,
            current_segment_write_offset: 1000,
        };
        self.last = append.event_number;
        self.rig.machine.handle_command(ONLY, appended.into(), self.rig.now);
    }

    fn stored(&mut self) -> Vec<u32> {
        let stored = |done: Completion<u32>| done.result.map(|_| done.ticket).unwrap();
        self.rig.machine.take_completions().map(stored).collect()
    }
}

#[test]
fn a_writer_that_fails_when_full_tells_it_with_the_reply_and_goes_on_with_later_events() {
    let mut store = Store::new(WhenFull::Fail, Target::Stream);
    store.rig.write(0.5, 0);
    let first = store.turn().remove(0);
    store.rig.write(0.5, 1);
    store.refuse(&first);
    let full = |event| (event, ErrorKind::OutOfSpace, Outcome::NotApplied);
    assert_eq!(store.rig.failures(), [full(0), full(1)]);
    store.rig.write(0.5, 2);
    let next = store.turn().remove(0);
    store.take(&next);
    assert_eq!(store.stored(), [2]);
    assert_eq!(store.rig.machine.outstanding(), 0);
}

#[test]
fn a_writer_that_waits_when_full_sends_the_same_events_again_in_order_until_there_is_space() {
    let mut store = Store::new(WhenFull::Wait, Target::Stream);
    store.rig.write(0.5, 0);
    let mut appends = store.turn();
    let mut waits = Vec::new();
    for event in 1..6 {
        store.rig.write(0.5, event);
        store.refuse(&appends[0]);
        assert!(store.turn().is_empty(), "nothing is sent before the wait ends");
        waits.push(store.rig.wait());
        appends = store.turn();
        assert_eq!(appends.len(), 1, "all events are in one append");
    }
    assert!(waits.is_sorted() && waits[0] <= Duration::from_millis(100), "{waits:?}");
    store.take(&appends[0]);
    assert_eq!(store.stored(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_wait_for_space_ends_with_the_delivery_timeout_and_says_what_was_missing() {
    let mut store = Store::new(WhenFull::Wait, Target::Stream);
    store.rig.write(0.5, 0);
    while store.rig.now < SETTINGS.delivery_timeout {
        for append in store.turn() {
            store.refuse(&append);
        }
        store.rig.wait();
    }
    assert_eq!(store.rig.failures(), [(0, ErrorKind::OutOfSpace, Outcome::NotApplied)]);
    assert_eq!(store.rig.now, SETTINGS.delivery_timeout);
}

#[test]
fn bytes_that_find_no_space_end_the_writer_unless_it_waits() {
    let bytes = |offset, ticket, store: &mut Store| {
        let payload = Pinned::Bytes(Bytes::from_static(b"0123456789"));
        let (segment, offset) = (segment(0, 0), Offset(offset));
        let write = Write::Pinned { position: None, segment, offset, payload };
        store.rig.machine.write(write, store.rig.now, ticket);
    };
    let full = |append: &Append| {
        let (segment, message) = (append.segment.clone(), "full".into());
        let (request_id, error_code) = (append.request_id, FailureCode::OutOfSpace);
        ErrorMessage { request_id, segment, message, error_code }
    };
    for when_full in [WhenFull::Fail, WhenFull::Wait] {
        let mut store = Store::new(when_full, Target::Bytes);
        bytes(0, 0, &mut store);
        bytes(10, 1, &mut store);
        let append = store.turn().remove(0);
        store.rig.machine.handle_command(ONLY, full(&append).into(), store.rig.now);
        bytes(20, 2, &mut store);
        if when_full == WhenFull::Fail {
            let full = |event| (event, ErrorKind::OutOfSpace, Outcome::NotApplied);
            assert_eq!(store.rig.failures(), [full(0), full(1), full(2)]);
        } else {
            store.rig.wait();
            let again = store.turn().remove(0);
            assert_eq!((again.expected_offset, again.data.len()), (Some(0), 30));
            store.take(&again);
            assert_eq!(store.stored(), [0, 1, 2]);
        }
    }
}

#[test]
fn an_append_to_one_segment_that_is_refused_ends_no_later_one_and_a_seal_ends_all() {
    let event = |offset, ticket, store: &mut Store| {
        let payload = Pinned::Event(Bytes::from_static(b"entry"));
        let (segment, offset) = (segment(0, 0), Offset(offset));
        let write = Write::Pinned { position: None, segment, offset, payload };
        store.rig.machine.write(write, store.rig.now, ticket);
    };
    let mut store = Store::new(WhenFull::Fail, Target::Segment);
    event(0, 0, &mut store);
    let refused = store.turn().remove(0);
    let (segment, message) = (refused.segment.clone(), "full".into());
    let (request_id, error_code) = (refused.request_id, FailureCode::OutOfSpace);
    let full = ErrorMessage { request_id, segment, message, error_code };
    store.rig.machine.handle_command(ONLY, full.into(), store.rig.now);
    assert_eq!(store.rig.failures(), [(0, ErrorKind::OutOfSpace, Outcome::NotApplied)]);
    event(0, 1, &mut store);
    let next = store.turn().remove(0);
    store.take(&next);
    event(13, 2, &mut store);
    assert_eq!(store.stored(), [1]);
    let last = store.turn().remove(0);
    let sealed = SegmentIsSealed {
        request_id: last.request_id,
        segment: last.segment.clone(),
        server_stack_trace: "".into(),
        offset: 13,
    };
    store.rig.machine.handle_command(ONLY, sealed.into(), store.rig.now);
    event(13, 3, &mut store);
    let sealed = |event| (event, ErrorKind::Sealed, Outcome::NotApplied);
    assert_eq!(store.rig.failures(), [sealed(2), sealed(3)]);
    assert!(!store.rig.effects().iter().any(|effect| matches!(effect, Effect::FindSuccessors(_))));
}
