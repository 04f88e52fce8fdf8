//! A segment in memory that answers the effects of a reading.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use pravega_sdk_segment_client::{
    machine::{Location, Token},
    read::machine::{Answer, Effect},
    seeded_bugs::Bugs,
};
use pravega_sdk_types::Backoff;
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{NoSuchSegment, SegmentIsTruncated, SegmentRead, StreamSegmentInfo},
    event,
};

use super::*;

#[derive(Clone, Default)]
struct Segment {
    data: Bytes,
    head: i64,
    is_sealed: bool,
    is_missing: bool,
    /// The longest answer.
    piece: usize,
}

impl Segment {
    fn of(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), piece: usize::MAX, ..Self::default() }
    }

    /// Reads until nothing more is found.
    fn read(&self, from: i64, end: Option<i64>) -> Vec<Found> {
        let settings = Settings {
            budget: 1 << 20,
            max_read: 1 << 18,
            backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(1)),
            stall_timeout: Duration::from_secs(1),
            bugs: Bugs::default(),
        };
        let segment = Arc::new("s/t/0.#epoch.0".parse().unwrap());
        let mut machine =
            EntriesMachine::new(&segment, Offset(from), end.map(Offset), settings, Box::new(|| 0));
        let mut found = Vec::new();
        for _ in 0..10_000 {
            while let Some(one) = machine.poll_found() {
                found.push(one);
            }
            let Some(effect) = machine.poll_read(Duration::ZERO) else { break };
            if let Some(answer) = self.answer(effect) {
                machine.handle_answer(answer, Duration::ZERO);
            }
        }
        assert!(machine.poll_found().is_none());
        found
    }

    fn answer(&self, effect: Effect) -> Option<Answer> {
        Some(match effect {
            Effect::Locate(reader, _) => {
                let endpoint = "store:1".parse().unwrap();
                Answer::Located(reader, Ok(Location { endpoint, token: Token::default() }))
            }
            Effect::Read { reader, read, request, .. } => {
                let reply = self.reply(request.offset, request.suggested_length)?;
                Answer::Read(reader, read, Ok(reply))
            }
            Effect::Inspect { reader, question, request, .. } => {
                let info = StreamSegmentInfo {
                    request_id: request.request_id,
                    segment_name: request.segment_name,
                    exists: true,
                    is_sealed: self.is_sealed,
                    is_deleted: false,
                    last_modified: 0,
                    write_offset: self.data.len() as i64,
                    start_offset: self.head,
                };
                Answer::Inspected(reader, question, Ok(info.into()))
            }
            Effect::Forget(..) | Effect::TokenExpired(..) | Effect::Abandon(_) => return None,
        })
    }

    /// The reply to a read; `None` if it waits at the tail.
    fn reply(&self, offset: i64, len: i32) -> Option<WireCommand> {
        let name = bytestring::ByteString::from("s/t/0.#epoch.0");
        if self.is_missing {
            let segment = NoSuchSegment {
                request_id: offset,
                segment: name,
                server_stack_trace: "".into(),
                offset,
            };
            return Some(segment.into());
        }
        if offset < self.head {
            let truncated = SegmentIsTruncated {
                request_id: offset,
                segment: name,
                start_offset: self.head,
                server_stack_trace: "".into(),
                offset,
            };
            return Some(truncated.into());
        }
        let start = usize::try_from(offset).unwrap();
        let end = self.data.len().min(start.saturating_add((len as usize).min(self.piece)));
        let at_tail = end == self.data.len();
        if start >= end && !self.is_sealed {
            return None;
        }
        let data = self.data.slice(start..end);
        let end_of_segment = self.is_sealed && at_tail;
        Some(
            SegmentRead {
                segment: name,
                offset,
                at_tail,
                end_of_segment,
                data,
                request_id: offset,
            }
            .into(),
        )
    }
}

fn log(values: &[&[u8]]) -> BytesMut {
    let mut log = BytesMut::new();
    for value in values {
        event::put(&mut log, value).unwrap();
    }
    log
}

fn values(found: &[Found]) -> Vec<(i64, i64, &[u8])> {
    fn entry(found: &Found) -> (i64, i64, &[u8]) {
        match found {
            Found::Entry { start, end, value } => (start.0, end.0, value),
            other => panic!("{other:?}"),
        }
    }
    found.iter().map(entry).collect()
}

#[test]
fn the_entries_of_a_range_come_in_order_with_the_offsets_around_them() {
    let data = log(&[b"first", b"", b"the third"]).freeze();
    for piece in [1, 2, 7, 8, 9, usize::MAX] {
        let segment = Segment { piece, ..Segment::of(data.clone()) };
        let found = segment.read(0, Some(38));
        let (last, entries) = found.split_last().unwrap();
        assert!(matches!(last, Found::End), "{last:?}");
        assert_eq!(
            values(entries),
            [(0, 13, &b"first"[..]), (13, 21, b""), (21, 38, b"the third")],
            "in pieces of {piece} bytes"
        );
        let found = segment.read(13, Some(21));
        assert_eq!(values(&found[..1]), [(13, 21, &b""[..])]);
        assert!(matches!(found[1], Found::End) && found.len() == 2);
    }
}

#[test]
fn an_empty_range_ends_without_a_read() {
    let found = Segment::of(log(&[b"x"])).read(9, Some(9));
    assert!(matches!(found[..], [Found::End]), "{found:?}");
}

#[test]
fn a_reading_without_an_end_waits_at_the_tail_and_ends_with_a_sealed_segment() {
    let mut segment = Segment::of(log(&[b"one", b"two"]));
    assert_eq!(values(&segment.read(0, None)).len(), 2);
    segment.is_sealed = true;
    let found = segment.read(0, None);
    assert!(matches!(found[..], [Found::Entry { .. }, Found::Entry { .. }, Found::End]));
}

#[test]
fn truncated_entries_are_reported_with_the_head_and_nothing_follows() {
    for end in [Some(22), None] {
        let segment = Segment { head: 11, ..Segment::of(log(&[b"one", b"two"])) };
        let found = segment.read(0, end);
        let [Found::Truncated { asked: Offset(0), head: Offset(11) }] = found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(values(&segment.read(11, end)[..1]), [(11, 22, &b"two"[..])]);
    }
}

#[test]
fn bytes_that_are_no_entry_are_reported_with_their_place_and_nothing_follows() {
    let garbage = |tail: &[u8]| {
        let mut data = log(&[b"one"]);
        data.put_slice(tail);
        data.freeze()
    };
    let long = [0, 0, 0, 0, 0, 0, 0, 9, 1];
    for tail in [
        // Another type, a negative length, a length beyond every command.
        &[0, 0, 0, 1, 0, 0, 0, 1, 0][..],
        &[0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF],
        // An entry, or its header, that the segment is too short for.
        &long,
        &[0, 0, 0],
    ] {
        let data = garbage(tail);
        let end = data.len() as i64;
        for piece in [1, 3, usize::MAX] {
            for end in [Some(end), None] {
                let segment = Segment { piece, ..Segment::of(data.clone()) };
                let found = segment.read(0, end);
                let [Found::Entry { .. }, Found::Corrupt { offset: Offset(11), .. }] = found[..]
                else {
                    panic!("{tail:?} in pieces of {piece}, up to {end:?}: {found:?}");
                };
            }
        }
    }
}

#[test]
fn a_range_that_ends_within_an_entry_is_reported_as_damage() {
    let found = Segment::of(log(&[b"one", b"two"])).read(0, Some(15));
    let [Found::Entry { .. }, Found::Corrupt { offset: Offset(11), .. }] = found[..] else {
        panic!("{found:?}");
    };
}

#[test]
fn a_segment_that_is_gone_or_shorter_than_the_revision_is_missing() {
    let gone = Segment { is_missing: true, ..Segment::of(log(&[b"one"])) };
    assert!(matches!(gone.read(0, Some(11))[..], [Found::Missing(_)]));
    let short = Segment::of(log(&[b"one"])).read(12, None);
    assert!(matches!(short[..], [Found::Missing(_)]), "{short:?}");
}
