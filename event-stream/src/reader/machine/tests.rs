//! Scripts for the stream machine: which segments are read, in which order, and what the cut says
//! meanwhile.

use std::{collections::BTreeMap, time::Duration};

use bytes::BytesMut;
use pravega_sdk_segment_client::{
    machine::{Location, Token},
    read::machine::{Effect as ReadEffect, ReadMachine, Settings as ReadSettings, StartOffset},
    seeded_bugs::Bugs,
};
use pravega_sdk_types::{Backoff, KeyRange, Offset, ScopedSegment, SegmentId, Successor};
use pravega_sdk_wire_protocol::{
    commands::{ReadSegment, SegmentRead},
    event,
};

use super::state::*;

/// A machine, and the segments of a stream as whole byte strings; every segment in here is sealed.
struct Rig {
    machine: StreamMachine,
    segments: BTreeMap<SegmentId, Vec<u8>>,
    successors: BTreeMap<SegmentId, Vec<Successor>>,
    /// Segments in the order in which they were first read.
    begun: Vec<SegmentId>,
}

fn id(epoch: i64, number: i64) -> SegmentId {
    SegmentId::from((epoch << 32) | number)
}

fn events(texts: &[&str]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    texts.iter().for_each(|text| event::put(&mut bytes, text.as_bytes()).unwrap());
    bytes.to_vec()
}

fn successor(id: SegmentId, predecessors: &[SegmentId]) -> Successor {
    Successor { id, range: KeyRange::new(0.0, 1.0).unwrap(), predecessors: predecessors.to_vec() }
}

/// 0 and 1 merge into 2; 2 splits into 3 and 4.
fn stream() -> (BTreeMap<SegmentId, Vec<u8>>, BTreeMap<SegmentId, Vec<Successor>>) {
    let (a, b, merged, left, right) = (id(0, 0), id(0, 1), id(1, 2), id(2, 3), id(2, 4));
    let segments = [
        (a, events(&["a1", "a2"])),
        (b, events(&["b1"])),
        (merged, events(&["m1"])),
        (left, events(&["l1"])),
        (right, events(&["r1", "r2"])),
    ];
    let of_merged = vec![successor(left, &[merged]), successor(right, &[merged])];
    let next = vec![successor(merged, &[a, b])];
    (segments.into(), [(a, next.clone()), (b, next), (merged, of_merged)].into())
}

impl Rig {
    fn new(starts: &[(SegmentId, i64)], ends: Option<&[(SegmentId, i64)]>) -> Self {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        let read_settings = ReadSettings {
            budget: 1 << 20,
            max_read: 11,
            backoff,
            stall_timeout: Duration::from_secs(60),
            bugs: Bugs::default(),
        };
        let settings = Settings {
            max_event_bytes: 100,
            corrupt_events: CorruptEvents::Stop,
            follow: Follow::Successors,
            backoff,
            bugs: Bugs::default(),
        };
        let starts = starts.iter().map(|(id, offset)| (*id, StartOffset::Known(Offset(*offset))));
        let ends = ends.map(|ends| ends.iter().copied().collect());
        let reads = ReadMachine::new(read_settings, Box::new(|| 0));
        let machine = StreamMachine::new(
            "s/t".parse().unwrap(),
            settings,
            reads,
            starts,
            ends,
            Box::new(|| 0),
        );
        let (segments, successors) = stream();
        Self { machine, segments, successors, begun: Vec::new() }
    }

    /// Does everything that is asked for, as a store and a controller would.
    fn serve(&mut self) {
        let now = Duration::ZERO;
        loop {
            let mut is_busy = false;
            while let Some(effect) = self.machine.reads.poll_effect() {
                is_busy = true;
                match effect {
                    ReadEffect::Locate(reader, _) => {
                        let location = Location {
                            endpoint: "store:1".parse().unwrap(),
                            token: Token::default(),
                        };
                        self.machine.reads.handle_located(reader, Ok(location), now);
                    }
                    ReadEffect::Read { reader, read, request, .. } => {
                        let reply = self.read(&request);
                        self.machine.reads.handle_read(reader, read, Ok(reply.into()), now);
                    }
                    ReadEffect::Inspect { .. } | ReadEffect::Abandon(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            while let Some(effect) = self.machine.poll_effect() {
                is_busy = true;
                match effect {
                    Effect::FindSuccessors(id) => {
                        let found = self.successors.get(&id).cloned().unwrap_or_default();
                        self.machine.handle_successors(id, Ok(found), now);
                    }
                    Effect::FindSegments(id) => {
                        self.machine.handle_segments(id, Ok(Vec::new()), now);
                    }
                }
            }
            if !is_busy {
                return;
            }
        }
    }

    fn read(&mut self, request: &ReadSegment) -> SegmentRead {
        let segment: ScopedSegment = request.segment.parse().unwrap();
        if !self.begun.contains(&segment.id()) {
            self.begun.push(segment.id());
        }
        let bytes = &self.segments[&segment.id()];
        let from = request.offset as usize;
        let end = bytes.len().min(from + request.suggested_length.max(8) as usize);
        SegmentRead {
            segment: request.segment.clone(),
            offset: request.offset,
            at_tail: false,
            end_of_segment: end == bytes.len(),
            data: bytes[from..end].to_vec().into(),
            request_id: 0,
        }
    }

    fn next(&mut self) -> Option<String> {
        loop {
            self.serve();
            if let Some(found) = self.machine.poll() {
                return Some(String::from_utf8(found.unwrap().event.to_vec()).unwrap());
            }
            if self.machine.is_done() {
                return None;
            }
        }
    }

    fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn a_merged_segment_waits_for_both_and_its_parts_for_it() {
    let mut rig = Rig::new(&[(id(0, 0), 0), (id(0, 1), 0)], None);
    let all = rig.rest();
    let place = |text: &str| all.iter().position(|found| found == text).unwrap();
    assert_eq!(all.len(), 7);
    assert!(place("a1") < place("a2") && place("a2") < place("m1") && place("b1") < place("m1"));
    assert!(place("m1") < place("l1") && place("m1") < place("r1") && place("r1") < place("r2"));
    assert_eq!(rig.begun[2], id(1, 2), "not before both are done: {:?}", rig.begun);
}

#[test]
fn a_cut_after_any_event_divides_the_stream_without_a_gap_or_a_repeat() {
    let whole = {
        let mut all = Rig::new(&[(id(0, 0), 0), (id(0, 1), 0)], None).rest();
        all.sort();
        all
    };
    for taken in 0..=whole.len() {
        let mut rig = Rig::new(&[(id(0, 0), 0), (id(0, 1), 0)], None);
        let mut all: Vec<String> = (0..taken).map(|_| rig.next().unwrap()).collect();
        // Also what is known of the end of a segment must not disturb the cut.
        rig.serve();
        let cut: Vec<(SegmentId, i64)> =
            rig.machine.cut().into_iter().map(|(id, offset)| (id, offset.0)).collect();
        let mut ahead = Rig::new(&cut, None);
        all.extend(ahead.rest());
        all.sort();
        assert_eq!(all, whole, "after {taken}, at {cut:?}");
        let mut before = Rig::new(&[(id(0, 0), 0), (id(0, 1), 0)], Some(&cut)).rest();
        before.sort();
        assert_eq!(before.len(), taken, "up to {cut:?}: {before:?}");
    }
}

#[test]
fn an_end_in_the_middle_of_the_stream_leaves_out_what_follows() {
    let ends = [(id(0, 0), 10), (id(0, 1), 10)];
    assert_eq!(Rig::new(&[(id(0, 0), 0), (id(0, 1), 0)], Some(&ends)).rest().len(), 2);
    // -1 is the whole of a segment.
    let ends = [(id(0, 0), -1), (id(0, 1), -1)];
    assert_eq!(Rig::new(&[(id(0, 0), 0), (id(0, 1), 0)], Some(&ends)).rest().len(), 3);
}

#[test]
fn a_segment_that_is_sealed_before_it_has_successors_is_asked_about_again() {
    let mut rig = Rig::new(&[(id(0, 0), 0), (id(0, 1), 0)], None);
    let successors = std::mem::take(&mut rig.successors);
    for _ in 0..3 {
        rig.serve();
        while rig.machine.poll().is_some() {}
        // The controller still knows both as active: a scale is in progress.
        while let Some(effect) = rig.machine.poll_effect() {
            match effect {
                Effect::FindSuccessors(of) => {
                    rig.machine.handle_successors(of, Ok(Vec::new()), Duration::ZERO);
                }
                Effect::FindSegments(of) => {
                    rig.machine.handle_segments(of, Ok(vec![id(0, 0), id(0, 1)]), Duration::ZERO);
                }
            }
        }
    }
    assert!(!rig.machine.is_done());
    rig.successors = successors;
    rig.machine.handle_timeout(Duration::from_secs(1));
    assert_eq!(rig.rest().len(), 4, "what follows the merge");
}
