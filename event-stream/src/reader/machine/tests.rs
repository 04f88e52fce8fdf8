//! Scripts for the stream machine: which segments are read, in which order, and what the cut says
//! meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::BytesMut;
use bytestring::ByteString;
use pravega_sdk_segment_client::{
    machine::{CONTROLLER_LAG, Location, Token},
    read::machine::{Effect as ReadEffect, ReadMachine, Settings as ReadSettings, StartOffset},
    seeded_bugs::Bugs,
};
use pravega_sdk_types::{
    Backoff, KeyRange, Offset, ScopedSegment, SegmentId, SegmentOffset, Successor,
};
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{NoSuchSegment, ReadSegment, SegmentRead, StreamSegmentInfo},
    event,
};

use super::{
    super::coverage::{Coverage, Place},
    state::*,
};

/// A machine, and the segments of a stream as whole byte strings; they are sealed, unless they are
/// said to be open.
struct Rig {
    machine: StreamMachine,
    segments: BTreeMap<SegmentId, Vec<u8>>,
    successors: BTreeMap<SegmentId, Vec<Successor>>,
    /// Segments that the store no longer has.
    missing: BTreeSet<SegmentId>,
    /// Segments that the store has open.
    open: BTreeSet<SegmentId>,
    /// Segments in the order in which they were first read.
    begun: Vec<SegmentId>,
    /// The segments that take events, as the controller says.
    current: Vec<SegmentId>,
    /// It passes when nothing else happens.
    now: Duration,
}

/// The waits of these machines are as short as they can be.
const TICK: Duration = Duration::from_millis(10);

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

fn missing(segment: &ByteString, offset: i64) -> WireCommand {
    let (segment, server_stack_trace) = (segment.clone(), "".into());
    NoSuchSegment { request_id: 0, segment, server_stack_trace, offset }.into()
}

impl Rig {
    fn new(starts: &[(SegmentId, i64)], ends: Option<&[(SegmentId, i64)]>) -> Self {
        Self::with_corrupt_events(starts, ends, CorruptEvents::Stop)
    }

    fn with_corrupt_events(
        starts: &[(SegmentId, i64)],
        ends: Option<&[(SegmentId, i64)]>,
        corrupt_events: CorruptEvents,
    ) -> Self {
        let start =
            |(id, offset): &(SegmentId, i64)| Start::new(*id, StartOffset::Known(Offset(*offset)));
        let starts = starts.iter().map(start).collect();
        Self::with_starts(starts, ends, corrupt_events)
    }

    fn with_starts(
        starts: Vec<Start>,
        ends: Option<&[(SegmentId, i64)]>,
        corrupt_events: CorruptEvents,
    ) -> Self {
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
            corrupt_events,
            backoff,
            stall_timeout: Duration::from_secs(60),
            bugs: Bugs::default(),
        };
        let ends = ends.map(|ends| {
            ends.iter().map(|(id, end)| (*id, SegmentOffset::from_wire(*end))).collect()
        });
        let reads = ReadMachine::new(read_settings, Box::new(|| 0));
        let machine = StreamMachine::new(
            "s/t".parse().unwrap(),
            settings,
            reads,
            Bounds { starts, ends },
            Box::new(|| 0),
        );
        let (segments, successors) = stream();
        let (missing, begun, now) = (BTreeSet::new(), Vec::new(), Duration::ZERO);
        let (open, current) = (BTreeSet::new(), Vec::new());
        Self { machine, segments, successors, missing, open, begun, current, now }
    }

    /// Does everything that is asked for, as a store and a controller would.
    fn serve(&mut self) {
        let postponed = self.serve_without(None);
        assert!(postponed.is_empty());
    }

    /// Leaves out the successors of one segment; returns how often they were asked for.
    fn serve_without(&mut self, without: Option<SegmentId>) -> Vec<SegmentId> {
        let mut postponed = Vec::new();
        let now = self.now;
        loop {
            let mut is_busy = false;
            while let Some(effect) = self.machine.reads.poll_effect(now) {
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
                        self.machine.reads.handle_read(reader, read, Ok(reply), now);
                    }
                    ReadEffect::Inspect { reader, question, request, .. } => {
                        let reply = self.info(&request.segment_name);
                        self.machine.reads.handle_inspected(reader, question, Ok(reply), now);
                    }
                    ReadEffect::Abandon(_) | ReadEffect::Forget(..) => {}
                    other => panic!("{other:?}"),
                }
            }
            while let Some(effect) = self.machine.poll_effect(now) {
                is_busy = true;
                match effect {
                    Effect::FindSuccessors(id) if without == Some(id) => postponed.push(id),
                    Effect::FindSuccessors(id) => {
                        let found = self.successors.get(&id).cloned().unwrap_or_default();
                        self.machine.handle_successors(id, Ok(found), now);
                    }
                    Effect::ConfirmEnd(id) => {
                        let found = self.successors.get(&id).cloned().unwrap_or_default();
                        let found = self.current.is_empty().then_some(found);
                        self.machine.handle_final_successors(id, Ok(found), now);
                    }
                    Effect::FindSegments(id) => {
                        self.machine.handle_segments(id, Ok(self.current.clone()), now);
                    }
                }
            }
            if !is_busy {
                return postponed;
            }
        }
    }

    fn read(&mut self, request: &ReadSegment) -> WireCommand {
        let segment: ScopedSegment = request.segment.parse().unwrap();
        if self.missing.contains(&segment.id()) {
            return missing(&request.segment, request.offset);
        }
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
            end_of_segment: end == bytes.len() && !self.open.contains(&segment.id()),
            data: bytes[from..end].to_vec().into(),
            request_id: 0,
        }
        .into()
    }

    fn info(&self, name: &ByteString) -> WireCommand {
        let segment: ScopedSegment = name.parse().unwrap();
        if self.missing.contains(&segment.id()) {
            return missing(name, 0);
        }
        StreamSegmentInfo {
            request_id: 0,
            segment_name: name.clone(),
            exists: true,
            is_sealed: !self.open.contains(&segment.id()),
            is_deleted: false,
            last_modified: 0,
            write_offset: self.segments[&segment.id()].len() as i64,
            start_offset: 0,
        }
        .into()
    }

    /// The next event, or the kind of an error.
    fn next(&mut self) -> Option<String> {
        loop {
            self.serve();
            match self.machine.poll() {
                Some(Ok(found)) => return Some(String::from_utf8(found.event.to_vec()).unwrap()),
                Some(Err(error)) => return Some(format!("{:?}", error.kind())),
                None => {}
            }
            if self.machine.is_done() {
                return None;
            }
            if !self.machine.has_effects()
                && let Some(until) = self.machine.timeout()
            {
                self.now = self.now.max(until) + TICK;
                self.machine.handle_timeout(self.now);
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
            rig.machine.cut().into_iter().map(|(id, offset)| (id, offset.to_wire())).collect();
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
fn a_segment_before_the_end_that_is_open_is_an_error_until_it_is_sealed() {
    let (a, b, merged) = (id(0, 0), id(0, 1), id(1, 2));
    let mut rig = Rig::new(&[(a, 0), (b, 0)], Some(&[(merged, 10)]));
    rig.open.insert(a);
    let mut first: Vec<String> = (0..3).map(|_| rig.next().unwrap()).collect();
    first.sort();
    assert_eq!(first, ["a1", "a2", "b1"]);
    for times in 1..=2 {
        assert_eq!(rig.next().as_deref(), Some("Unavailable"));
        assert!(rig.now < Duration::from_secs(times * 62), "{:?}", rig.now);
        let cut: Vec<(SegmentId, i64)> =
            rig.machine.cut().into_iter().map(|(id, offset)| (id, offset.to_wire())).collect();
        assert_eq!(cut, [(a, 20), (b, 10)]);
    }
    rig.open.clear();
    assert_eq!(rig.rest(), ["m1"]);
}

#[test]
fn a_segment_that_is_sealed_before_it_has_successors_is_asked_about_again() {
    let mut rig = Rig::new(&[(id(0, 0), 0), (id(0, 1), 0)], None);
    let successors = std::mem::take(&mut rig.successors);
    for _ in 0..3 {
        rig.serve();
        while rig.machine.poll().is_some() {}
        // The controller still knows both as active: a scale is in progress.
        while let Some(effect) = rig.machine.poll_effect(Duration::ZERO) {
            match effect {
                Effect::FindSuccessors(of) => {
                    rig.machine.handle_successors(of, Ok(Vec::new()), Duration::ZERO);
                }
                Effect::ConfirmEnd(of) => {
                    rig.machine.handle_final_successors(of, Ok(None), Duration::ZERO);
                }
                Effect::FindSegments(of) => panic!("{of} is not missing"),
            }
        }
    }
    assert!(!rig.machine.is_done());
    rig.successors = successors;
    rig.machine.handle_timeout(Duration::from_secs(1));
    assert_eq!(rig.rest().len(), 4, "what follows the merge");
}

#[test]
fn a_truncated_segment_in_which_reading_ends_is_not_followed() {
    let (a, b, merged) = (id(0, 0), id(0, 1), id(1, 2));
    let starts = [(a, 0), (b, 0)];
    let ends = [(a, 10), (b, 10)];
    let mut rig = Rig::new(&starts, Some(&ends));
    rig.missing = [a].into();
    assert_eq!(rig.rest(), ["b1", "Truncated"]);
    let cut = rig.machine.cut();
    assert_eq!(cut, ends.map(|(id, end)| (id, Offset(end).into())).into(), "the end is reached");
    // Segments before the end are followed, up to the end.
    let mut rig = Rig::new(&starts, Some(&[(merged, 10)]));
    rig.missing = [a, b, merged].into();
    assert_eq!(rig.rest(), ["Truncated"; 3]);
    let mut rig = Rig::new(&starts, Some(&[(merged, 10)]));
    rig.missing = [a, b].into();
    assert_eq!(rig.rest(), ["Truncated", "Truncated", "m1"]);
    // The end of a segment may be meant.
    let mut rig = Rig::new(&starts, Some(&[(merged, -1)]));
    rig.missing = [merged].into();
    assert_eq!(rig.rest().last().unwrap(), "Truncated");
    assert_eq!(rig.machine.cut(), [(merged, SegmentOffset::End)].into());
}

#[test]
fn a_missing_segment_without_successors_was_deleted_with_its_stream() {
    let a = id(0, 0);
    let mut rig = Rig::new(&[(a, 0)], Some(&[(a, 10)]));
    rig.missing = [a].into();
    rig.successors.clear();
    assert_eq!(rig.rest(), ["NotFound"]);
    let waited = rig.now;
    assert!((CONTROLLER_LAG..CONTROLLER_LAG * 2).contains(&waited), "{waited:?}");
}

#[test]
fn a_reader_that_was_not_polled_for_long_does_not_take_a_late_answer_for_a_new_one() {
    let a = id(0, 0);
    let mut rig = Rig::new(&[(a, 0)], None);
    rig.missing = [a].into();
    rig.successors.clear();
    rig.current = vec![id(0, 9)];
    while rig.machine.timeout().is_none() {
        rig.serve();
        assert!(rig.machine.poll().is_none(), "the instance may lag");
    }
    rig.now = rig.machine.timeout().unwrap() + TICK;
    rig.machine.handle_timeout(rig.now);
    while let Some(effect) = rig.machine.poll_effect(rig.now) {
        match effect {
            Effect::FindSuccessors(id) => {
                rig.machine.handle_successors(id, Ok(Vec::new()), rig.now);
            }
            Effect::FindSegments(id) => {
                // The answer waits for the reader to be polled.
                rig.now += CONTROLLER_LAG * 2;
                rig.machine.handle_segments(id, Ok(rig.current.clone()), rig.now);
            }
            Effect::ConfirmEnd(_) => panic!("the stream is not sealed"),
        }
    }
    assert!(rig.machine.poll().is_none(), "it was asked when the instance may have lagged");
    assert_eq!(rig.rest(), ["NotFound"]);
}

#[test]
fn a_missing_segment_whose_successors_are_known_late_is_followed() {
    let (a, b) = (id(0, 0), id(0, 1));
    let mut rig = Rig::new(&[(a, 0), (b, 0)], None);
    rig.missing = [a].into();
    let successors = std::mem::take(&mut rig.successors);
    rig.current = vec![id(0, 9)];
    assert_eq!(rig.next().unwrap(), "b1");
    let mut rounds = 0;
    while rig.now < CONTROLLER_LAG / 2 {
        rig.serve();
        assert!(rig.machine.poll().is_none());
        rig.now = rig.machine.timeout().unwrap().max(rig.now) + TICK;
        rig.machine.handle_timeout(rig.now);
        rounds += 1;
    }
    assert!(rounds > 2, "it is asked again and again");
    rig.successors = successors;
    rig.current.clear();
    let rest = rig.rest();
    assert_eq!((rest[0].as_str(), rest.len()), ("Truncated", 5), "{rest:?}");
}

#[test]
fn an_end_that_cannot_be_reached_is_an_error() {
    let (a, b, left, right) = (id(0, 0), id(0, 1), id(2, 3), id(2, 4));
    // The end leaves out that both are read before what follows the merged segment.
    let mut rig = Rig::new(&[(a, 0), (b, 0)], Some(&[(a, 10), (right, 10)]));
    let all = rig.rest();
    assert_eq!(all.last().unwrap(), "InvalidStreamCut", "{all:?}");
    // The start leaves out a segment.
    let mut rig = Rig::new(&[(a, 0)], Some(&[(left, 10), (right, 10)]));
    assert_eq!(rig.rest(), ["a1", "a2", "InvalidStreamCut"]);
}

#[test]
fn skipped_damage_does_not_go_past_the_end() {
    let a = id(0, 0);
    let mut rig = Rig::with_corrupt_events(&[(a, 0)], Some(&[(a, 30)]), CorruptEvents::Skip);
    let mut bytes = events(&["a1"]);
    bytes.extend([0xFF; 20]);
    bytes.extend(events(&["after the end"]));
    rig.segments.insert(a, bytes);
    assert_eq!(rig.rest(), ["a1", "Corrupt"]);
    assert_eq!(rig.machine.cut(), [(a, Offset(30).into())].into());
}

/// 0 and 1 are replaced by 2, which has a part of 0, and 3, which has the rest.
#[test]
fn a_cut_beside_a_segment_that_waits_divides_the_stream_too() {
    let (a, b, left, right) = (id(0, 0), id(0, 1), id(1, 2), id(1, 3));
    let ranges = [(a, 0.0, 0.6), (b, 0.6, 1.0), (left, 0.0, 0.3), (right, 0.3, 1.0)];
    let rig = |starts: &[(SegmentId, i64)], ends: Option<&[(SegmentId, i64)]>| {
        let mut rig = Rig::new(starts, ends);
        rig.segments = [
            (a, events(&["a1"])),
            (b, events(&["b1", "b2", "b3", "b4", "b5"])),
            (left, events(&["l1", "l2"])),
            (right, events(&["r1"])),
        ]
        .into();
        let next = [successor(left, &[a]), successor(right, &[a, b])];
        rig.successors = [(a, next.to_vec()), (b, vec![next[1].clone()])].into();
        rig
    };
    let starts = [(a, 0), (b, 0)];
    let whole = ["a1", "b1", "b2", "b3", "b4", "b5", "l1", "l2", "r1"];
    let mut is_beside = false;
    for taken in 0..=whole.len() {
        let mut first = rig(&starts, None);
        let mut all: Vec<String> = (0..taken).map(|_| first.next().unwrap()).collect();
        let cut: Vec<(SegmentId, i64)> =
            first.machine.cut().into_iter().map(|(id, offset)| (id, offset.to_wire())).collect();
        let places: Vec<Place> = cut
            .iter()
            .map(|(id, offset)| {
                let (_, low, high) = ranges.iter().find(|(of, ..)| of == id).unwrap();
                let range = KeyRange::new(*low, *high).unwrap();
                Place { id: *id, range, offset: SegmentOffset::from_wire(*offset) }
            })
            .collect();
        let coverage = Coverage::new(&places).unwrap();
        is_beside |= !coverage.passed().is_empty();
        let mut ends = cut.clone();
        ends.retain(|(id, _)| !coverage.passed().contains(id));
        let mut before = rig(&starts, Some(&ends)).rest();
        before.sort();
        all.sort();
        assert_eq!(before, all, "up to {cut:?}");
        all.extend(rig(&cut, None).rest());
        all.sort();
        assert_eq!(all, whole, "from {cut:?}");
    }
    assert!(is_beside, "a segment and one of its successors were in a cut");
}

#[test]
fn segments_of_a_cut_are_not_read_again_as_successors_of_others_of_it() {
    for are_ranges_known in [true, false] {
        reads_a_chain_once(are_ranges_known);
    }
}

/// 0 and 1 are replaced by 2 and 3 as above; 2 is replaced by 4 and 5.
fn reads_a_chain_once(are_ranges_known: bool) {
    let (a, b, left, right) = (id(0, 0), id(0, 1), id(1, 2), id(1, 3));
    let (first, second) = (id(2, 4), id(2, 5));
    let range = |low, high| Some(KeyRange::new(low, high).unwrap());
    let start = |id, offset, range: Option<KeyRange>, predecessors: &[SegmentId]| Start {
        id,
        from: StartOffset::Claimed(Offset(offset)),
        range: range.filter(|_| are_ranges_known),
        predecessors: predecessors.iter().copied().filter(|_| are_ranges_known).collect(),
    };
    let starts = vec![
        start(a, 10, range(0.0, 0.6), &[]),
        start(b, 0, range(0.6, 1.0), &[]),
        start(left, 10, range(0.0, 0.3), &[a]),
        start(first, 0, range(0.0, 0.1), &[a, left]),
        start(second, 0, range(0.1, 0.3), &[a, left]),
    ];
    let mut rig = Rig::with_starts(starts, None, CorruptEvents::Stop);
    let texts = [(a, "a1"), (b, "b1"), (left, "l1"), (right, "r1"), (first, "f1"), (second, "s1")];
    rig.segments = texts.iter().map(|(id, text)| (*id, events(&[text]))).collect();
    let of = |id, low, high, predecessors: &[SegmentId]| Successor {
        id,
        range: range(low, high).unwrap(),
        predecessors: predecessors.to_vec(),
    };
    let next = [of(left, 0.0, 0.3, &[a]), of(right, 0.3, 1.0, &[a, b])];
    let after_left = vec![of(first, 0.0, 0.1, &[left]), of(second, 0.1, 0.3, &[left])];
    rig.successors = [(a, next.to_vec()), (b, vec![next[1].clone()]), (left, after_left)].into();
    // The controller answers about the oldest segment last.
    let mut found = Vec::new();
    let mut postponed = Vec::new();
    loop {
        postponed.extend(rig.serve_without(Some(a)));
        match rig.machine.poll() {
            Some(event) => found.push(String::from_utf8(event.unwrap().event.to_vec()).unwrap()),
            None => break,
        }
    }
    assert_eq!(postponed, [a]);
    let is_kept = rig.machine.cut().contains_key(&left);
    assert_eq!(is_kept, are_ranges_known, "a reader that begins here needs it");
    rig.machine.handle_successors(a, Ok(next.to_vec()), Duration::ZERO);
    found.extend(rig.rest());
    found.sort();
    assert_eq!(found, ["b1", "f1", "r1", "s1"]);
}

#[test]
fn a_start_after_a_segment_that_was_not_read_is_an_error() {
    let (a, b, right) = (id(0, 0), id(0, 1), id(2, 4));
    let start = |id, low, high| Start {
        range: Some(KeyRange::new(low, high).unwrap()),
        ..Start::new(id, StartOffset::Known(Offset(0)))
    };
    // The merged segment is left out, though its successor has a part of the keys only.
    let starts = vec![start(a, 0.0, 0.5), start(right, 0.5, 1.0)];
    let mut rig = Rig::with_starts(starts, None, CorruptEvents::Stop);
    rig.segments.insert(right, events(&["r"; 50]));
    let all = rig.rest();
    assert_eq!(all.last().unwrap(), "InvalidStreamCut", "{all:?} without {b}");
    assert!(all.len() < 50, "not only at the end of the others");
}
