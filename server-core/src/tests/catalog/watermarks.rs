//! Watermarks: the times that writers note, and what is written when a watermark is due.

use pravega_sdk_proto::{StreamConfig, StreamInfo};
use pravega_sdk_types::Watermark;

use super::{config, cut, id, info, split};
use crate::{
    catalog::WatermarkRound,
    ids::ConnectionId,
    machine::Machine,
    store::{Progress, Read, WaitingRead},
    tests::{
        at, machine,
        table::{check, take_records},
    },
};

/// How long a writer may lag, in milliseconds.
const TIMEOUT: i64 = 100;
const MARKS: &str = "s/_MARKt/0.#epoch.0";

/// The writers of a stream of two segments.
const WRITERS: [&str; 10] = [
    "none",
    "one",
    "two",
    "one without a position",
    "two in different segments",
    "one that goes on",
    "one that stays",
    "one of two that stays",
    "one of two that leaves",
    "one after a scale",
];

fn machine_in(state: &str) -> Machine {
    let mut machine = machine();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_scope("s", &mut step).unwrap();
    let config = StreamConfig { timestamp_aggregation_timeout: TIMEOUT, ..config(2) };
    catalog.create_stream(config, &mut step).unwrap();
    let mut note = |writer: &str, time: i64, position: &[(i64, i64)]| {
        catalog.note_time(&info(), writer, cut(position), time, &mut step).unwrap();
    };
    match state {
        "one without a position" => note("a", 10, &[]),
        "two in different segments" => {
            note("a", 10, &[(0, 5)]);
            note("b", 12, &[(1, 7)]);
        }
        "none" => {}
        "one" | "one that goes on" | "one that stays" | "one after a scale" => {
            note("a", 10, &[(0, 5), (1, 6)]);
        }
        _ => {
            note("a", 10, &[(0, 5), (1, 6)]);
            note("b", 12, &[(0, 3), (1, 8)]);
        }
    }
    if state.starts_with("one ") && state != "one without a position" {
        catalog.emit_watermarks(WatermarkRound::default(), &mut step);
    }
    match state {
        "one that goes on" => {
            catalog.note_time(&info(), "a", cut(&[(0, 9), (1, 9)]), 20, &mut step).unwrap();
        }
        "one of two that stays" => {
            catalog.note_time(&info(), "b", cut(&[(0, 9), (1, 9)]), 20, &mut step).unwrap();
        }
        "one of two that leaves" => {
            catalog.note_time(&info(), "b", cut(&[(0, 9), (1, 9)]), 20, &mut step).unwrap();
            catalog.remove_writer(&info(), "a", &mut step).unwrap();
        }
        "one after a scale" => {
            catalog.scale(&split(0, 0.0, 0.25, 0.5), &mut step).unwrap();
            let position = cut(&[(1, 9), ((1 << 32) | 2, 4)]);
            catalog.note_time(&info(), "a", position, 20, &mut step).unwrap();
        }
        _ => {}
    }
    machine.journal.take();
    machine
}

/// The watermark that is written at a time, and the records of it.
fn watermark_at(now: i64, state: &str) -> String {
    let mut machine = machine_in(state);
    let offset = machine.store.info(MARKS).unwrap().len;
    let (catalog, mut step) = machine.call(at(now));
    catalog.emit_watermarks(WatermarkRound::default(), &mut step);
    let (_, records) = take_records(&mut machine);
    let read = WaitingRead { connection: ConnectionId(0), request_id: 0, offset, max_len: 1 << 20 };
    let Read::Data { data, .. } = machine.store.read(&MARKS.into(), read).unwrap() else {
        return format!("no watermark{records}");
    };
    let mark = Watermark::from_bytes(&data[8..]).unwrap();
    let positions =
        mark.positions().map(|(segment, offset)| format!("{}={offset}", id(segment.into())));
    let positions = positions.collect::<Vec<_>>().join(" ");
    let (lower, upper) = (mark.lower_time().as_millis(), mark.upper_time().as_millis());
    format!("{lower} to {upper}, {positions}{records}")
}

#[test]
fn a_watermark_is_written_once_every_writer_has_advanced() {
    check(
        "
        none: no watermark
        one: 10 to 10, 0.0=5 1.0=6 => Appended, watermark
        two: 10 to 12, 0.0=5 1.0=8 => Appended, watermark
        one without a position: no watermark
        two in different segments: 10 to 12, 0.0=5 1.0=7 => Appended, watermark
        one that goes on: 20 to 20, 0.0=9 1.0=9 => Appended, watermark
        one that stays: no watermark
        one of two that stays: no watermark
        one of two that leaves: 20 to 20, 0.0=9 1.0=9 => Appended, watermark
        one after a scale: 20 to 20, 1.0=9 2.1=4 3.1=0 => Appended, watermark
    ",
        &WRITERS,
        |state| watermark_at(50, state),
    );
}

#[test]
fn a_writer_that_lags_for_the_timeout_no_longer_holds_back_watermarks() {
    check(
        "
        none: no watermark
        one: 10 to 10, 0.0=5 1.0=6 => Appended, watermark
        two: 10 to 12, 0.0=5 1.0=8 => Appended, watermark
        one without a position: no watermark
        two in different segments: 10 to 12, 0.0=5 1.0=7 => Appended, watermark
        one that goes on: 20 to 20, 0.0=9 1.0=9 => Appended, watermark
        one that stays: no watermark => -writer
        one of two that stays: 20 to 20, 0.0=9 1.0=9 => -writer, Appended, watermark
        one of two that leaves: 20 to 20, 0.0=9 1.0=9 => Appended, watermark
        one after a scale: 20 to 20, 1.0=9 2.1=4 3.1=0 => Appended, watermark
    ",
        &WRITERS,
        |state| watermark_at(1 + TIMEOUT, state),
    );
}

#[test]
fn a_time_is_taken_if_neither_it_nor_the_position_goes_back() {
    const NOTES: [&str; 7] = [
        "same",
        "later",
        "earlier",
        "position forward",
        "position back",
        "other segment",
        "end of a segment",
    ];
    check(
        "
        same: Success => writer
        later: Success => writer
        earlier: InvalidTime
        position forward: Success => writer
        position back: InvalidPosition
        other segment: InvalidPosition
        end of a segment: InvalidPosition
    ",
        &NOTES,
        |note| {
            let (time, position) = match note {
                "later" => (11, cut(&[(0, 5), (1, 6)])),
                "earlier" => (9, cut(&[(0, 5), (1, 6)])),
                "position forward" => (10, cut(&[(0, 6), (1, 6)])),
                "position back" => (11, cut(&[(0, 4), (1, 7)])),
                "other segment" => (10, cut(&[((1 << 32) | 2, 0)])),
                "end of a segment" => (10, cut(&[(0, -1), (1, 6)])),
                _ => (10, cut(&[(0, 5), (1, 6)])),
            };
            let mut machine = machine_in("one");
            let (catalog, mut step) = machine.call(at(9));
            let status = catalog.note_time(&info(), "a", position, time, &mut step).unwrap();
            let (_, records) = take_records(&mut machine);
            format!("{status:?}{records}")
        },
    );
}

/// Whole rounds until one has nothing left, and the number of their slices.
fn slices(machine: &mut Machine, mut between: impl FnMut(&mut Machine, usize)) -> usize {
    let (mut round, mut slices) = (Some(WatermarkRound::default()), 0);
    while let Some(rest) = round.take() {
        let (catalog, mut step) = machine.call(at(50));
        round = catalog.emit_watermarks(rest, &mut step);
        between(machine, slices);
        slices += 1;
    }
    slices
}

/// The last watermark: its times, and the sum of its offsets.
fn last_watermark(machine: &mut Machine) -> (i64, i64, i64) {
    let read =
        WaitingRead { connection: ConnectionId(0), request_id: 0, offset: 0, max_len: 1 << 20 };
    let Read::Data { data, .. } = machine.store.read(&MARKS.into(), read).unwrap() else {
        panic!("there is no watermark");
    };
    let mark = Watermark::from_bytes(&data[8..]).unwrap();
    let sum = mark.positions().map(|(_, offset)| offset.to_wire()).sum();
    (mark.lower_time().as_millis(), mark.upper_time().as_millis(), sum)
}

/// A stream with this many segments and writers, each of which has noted a position in each.
fn machine_of_many(segments: i32, writers: i64) -> Machine {
    let mut machine = machine();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_scope("s", &mut step).unwrap();
    catalog.create_stream(config(segments), &mut step).unwrap();
    for writer in 0..writers {
        let (catalog, mut step) = machine.call(at(40));
        let position = (0..i64::from(segments)).map(|id| (id, writer)).collect();
        let name = format!("w{writer:02}");
        catalog.note_time(&info(), &name, position, 100 + writer, &mut step).unwrap();
    }
    machine
}

#[test]
fn the_watermark_of_many_writers_of_a_large_stream_is_made_in_slices() {
    let mut machine = machine_of_many(2000, 30);
    let slices = slices(&mut machine, |_, _| {});
    // 10,000 offsets, or those of the writer that exceeds them.
    assert!((6..=8).contains(&slices), "{slices} slices");
    assert_eq!(last_watermark(&mut machine), (100, 129, 2000 * 29));
}

#[test]
fn a_time_that_is_noted_between_slices_is_not_before_the_watermark() {
    let mut machine = machine_of_many(2000, 10);
    let slices = slices(&mut machine, |machine, slice| {
        if slice == 0 {
            let (catalog, mut step) = machine.call(at(50));
            let position: std::collections::BTreeMap<_, _> = (0..2000).map(|id| (id, 70)).collect();
            for writer in ["w00", "w09"] {
                let position = position.clone();
                catalog.note_time(&info(), writer, position, 170, &mut step).unwrap();
            }
        }
    });
    assert!(slices >= 2, "{slices} slices");
    // The first writer was gathered before it advanced, the last one after it.
    assert_eq!(last_watermark(&mut machine), (100, 170, 2000 * 70));
}

#[test]
fn what_was_gathered_of_a_stream_does_not_count_for_one_that_is_created_again() {
    let mut machine = machine_of_many(2000, 10);
    slices(&mut machine, |machine, slice| {
        if slice == 0 {
            let (catalog, mut step) = machine.call(at(50));
            catalog.seal_stream(&info(), &mut step).unwrap();
            while machine.work(at(50)) == Progress::Unfinished {}
            let (catalog, mut step) = machine.call(at(50));
            catalog.delete_stream(&info(), &mut step).unwrap();
            while machine.work(at(50)) == Progress::Unfinished {}
            let (catalog, mut step) = machine.call(at(50));
            catalog.create_stream(config(1), &mut step).unwrap();
        }
    });
    let (catalog, step) = machine.call(at(50));
    let marks = StreamInfo { stream: "_MARKt".to_owned(), ..info() };
    let open = catalog.current_segments(&marks, &step).unwrap().segment_ranges;
    let number = open[0].segment_id.as_ref().unwrap().segment_id;
    let marks = format!("s/_MARKt/{number}.#epoch.0");
    assert_eq!(machine.store.info(&marks).unwrap().len, 0);
}
