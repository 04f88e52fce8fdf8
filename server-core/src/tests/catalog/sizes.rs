//! The size of what the catalog writes: that of what changed, whatever else there is.

use pravega_sdk_proto::{
    ReaderGroupConfiguration, ScaleRequest, StreamConfig, StreamCut, StreamInfo,
    scale_request::KeyRangeEntry,
};
use uuid::Uuid;

use super::{config, cut, info};
use crate::{
    catalog::{CallResult, Catalog},
    machine::Machine,
    record::Record,
    store::{MemoryLimit, Progress, Step},
    tests::{at, everything, machine},
};

/// The length of the records of a batch, in bytes.
fn len(records: &[Record]) -> usize {
    records.iter().map(|record| postcard::to_allocvec(record).unwrap().len()).sum()
}

/// The length of the records that a call makes, in bytes.
fn written<T: std::fmt::Debug>(
    machine: &mut Machine,
    call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> CallResult<T>,
) -> usize {
    let (catalog, mut step) = machine.call(at(9));
    call(catalog, &mut step).unwrap();
    machine.journal.take().map_or(0, |(_, records)| len(&records))
}

pub(super) fn named(stream: &str, segments: i32) -> StreamConfig {
    let stream_info = Some(StreamInfo { stream: stream.to_owned(), ..info() });
    StreamConfig { stream_info, ..config(segments) }
}

pub(super) fn with_scope() -> Machine {
    let mut machine = machine();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_scope("s", &mut step).unwrap();
    machine
}

fn create_and_delete(machine: &mut Machine, stream: &str) -> usize {
    let info = StreamInfo { stream: stream.to_owned(), ..info() };
    written(machine, |catalog, step| catalog.create_stream(named(stream, 1), step));
    written(machine, |catalog, step| catalog.seal_stream(&info, step));
    written(machine, |catalog, step| catalog.delete_stream(&info, step))
}

#[test]
fn a_deletion_writes_as_much_after_a_thousand_others_as_after_one() {
    let mut machine = with_scope();
    let first = create_and_delete(&mut machine, "stream-0000");
    for number in 1..1000 {
        let later = create_and_delete(&mut machine, &format!("stream-{number:04}"));
        assert!(later <= first + 16, "deletion {number}: {later} bytes after {first}");
    }
}

/// Splits the first of the active segments, or merges the two that it was split into.
fn scale(machine: &mut Machine, sealed: &[i64], ranges: &[(f64, f64)]) -> usize {
    let entry = |(start, end): &(f64, f64)| KeyRangeEntry { start: *start, end: *end };
    let request = ScaleRequest {
        stream_info: Some(info()),
        sealed_segments: sealed.to_vec(),
        new_key_ranges: ranges.iter().map(entry).collect(),
        scale_timestamp: 0,
    };
    written(machine, |catalog, step| catalog.scale(&request, step))
}

#[test]
fn a_scale_writes_what_it_changes_however_many_epochs_and_segments_there_are() {
    let mut machine = with_scope();
    written(&mut machine, |catalog, step| catalog.create_stream(config(1000), step));
    let (mut next, mut first) = (1000, None);
    for epoch in (1..100_i64).step_by(2) {
        let half = 0.0005;
        let id = |number: i64, epoch: i64| (epoch << 32) | number;
        let sealed = if epoch == 1 { id(0, 0) } else { id(next - 1, epoch - 1) };
        let split = scale(&mut machine, &[sealed], &[(0.0, half), (half, 0.001)]);
        let parts = [id(next, epoch), id(next + 1, epoch)];
        scale(&mut machine, &parts, &[(0.0, 0.001)]);
        next += 3;
        let first = *first.get_or_insert(split);
        assert!(split <= first + 32, "epoch {epoch}: {split} bytes after {first}");
    }
    assert!(first.unwrap() < 1000);
}

#[test]
fn a_time_and_a_position_are_written_without_the_other_writers_and_segments() {
    let mut machine = with_scope();
    written(&mut machine, |catalog, step| catalog.create_stream(config(1000), step));
    let mut note = |writer: &str| {
        let position = cut(&[(7, 1)]);
        written(&mut machine, |catalog, step| catalog.note_time(&info(), writer, position, 7, step))
    };
    let first = note("writer-000");
    for number in 1..500 {
        assert_eq!(note(&format!("writer-{number:03}")), first);
    }
    assert!(first < 100, "{first} bytes");
}

fn group(name: &str) -> ReaderGroupConfiguration {
    let stream_info = Some(info());
    ReaderGroupConfiguration {
        scope: "s".to_owned(),
        reader_group_name: name.to_owned(),
        reader_group_id: Uuid::from_u128(7).to_string(),
        retention_type: 1,
        starting_stream_cuts: vec![StreamCut { stream_info, ..StreamCut::default() }],
        ..ReaderGroupConfiguration::default()
    }
}

#[test]
fn a_subscription_is_written_without_the_stream_and_the_other_groups() {
    let mut machine = with_scope();
    written(&mut machine, |catalog, step| catalog.create_stream(config(1000), step));
    let mut create =
        |name: &str| written(&mut machine, |catalog, step| catalog.create_group(group(name), step));
    let first = create("group-000");
    for number in 1..200 {
        assert_eq!(create(&format!("group-{number:03}")), first);
    }
    assert!(first < 1000, "{first} bytes");
}

#[test]
fn numbers_of_deleted_streams_are_bounded_and_a_stream_never_has_an_old_number_again() {
    let mut machine = with_scope();
    // A stream with many segments, whose number is above those of the others.
    let large = StreamInfo { stream: "large".to_owned(), ..info() };
    written(&mut machine, |catalog, step| catalog.create_stream(named("large", 5), step));
    written(&mut machine, |catalog, step| catalog.seal_stream(&large, step));
    written(&mut machine, |catalog, step| catalog.delete_stream(&large, step));
    for number in 0..6_000 {
        create_and_delete(&mut machine, &format!("stream-{number}"));
    }
    let numbers = everything(&machine).len();
    assert!(numbers < 10_010, "{numbers} entries are left");
    for (stream, expected) in [("large", 5), ("stream-0", 1), ("stream-5999", 1), ("new", 1)] {
        written(&mut machine, |catalog, step| catalog.create_stream(named(stream, 1), step));
        let (catalog, step) = machine.call(at(9));
        let info = StreamInfo { stream: stream.to_owned(), ..info() };
        let ranges = catalog.current_segments(&info, &step).unwrap().segment_ranges;
        let id = ranges.first().unwrap().segment_id.as_ref().unwrap().segment_id;
        assert!(id >= expected, "{stream} begins with {id}");
    }
    assert_eq!(machine.catalog.held(), machine.catalog.recount());
}

/// The length of the records by which a scope with streams is deleted, and their number of
/// batches.
fn deletion_of(streams: usize) -> (usize, usize) {
    let mut machine = with_scope();
    for number in 0..streams {
        written(&mut machine, |catalog, step| {
            catalog.create_stream(named(&format!("stream-{number:06}"), 2), step)
        });
    }
    let (catalog, mut step) = machine.call(at(9));
    catalog.delete_scope_recursive("s", &mut step).unwrap();
    let mut progress = step.progress;
    let (mut bytes, mut batches) = (0, 0);
    loop {
        let records = machine.journal.take().map(|(_, records)| records).unwrap_or_default();
        assert!(records.len() <= 2100, "{} records at once", records.len());
        bytes += len(&records);
        batches += 1;
        if progress == Progress::Finished {
            break;
        }
        progress = machine.work(at(9));
    }
    assert_eq!((machine.store.segment_count(), machine.held()), (0, 0));
    assert!(everything(&machine).is_empty());
    (bytes, batches)
}

#[test]
fn a_scope_is_deleted_in_slices_that_write_as_much_as_it_has() {
    let (one, _) = deletion_of(500);
    let (four, batches) = deletion_of(2000);
    assert!(four < 5 * one, "{four} bytes of 2000 streams, {one} of 500");
    assert!(batches > 4, "{batches} batches");
}

#[test]
fn a_scope_that_is_being_deleted_is_known_to_no_call_and_is_finished_after_a_restart() {
    let mut machine = with_scope();
    for number in 0..1000 {
        let name = format!("stream-{number}");
        let (catalog, mut step) = machine.call(at(9));
        catalog.create_stream(named(&name, 1), &mut step).unwrap();
    }
    let (catalog, mut step) = machine.call(at(9));
    catalog.delete_scope_recursive("s", &mut step).unwrap();
    assert_eq!(step.progress, Progress::Unfinished);
    machine.work(at(9));
    let segments = machine.store.segment_count();
    assert!((1..2000).contains(&segments), "{segments} segments are left");

    let (catalog, mut step) = machine.call(at(9));
    assert!(!catalog.scope_exists("s").exists);
    assert_eq!(catalog.list_scopes("").scopes, ["_system"]);
    assert!(catalog.create_scope("s", &mut step).is_err(), "its segments are not gone yet");
    catalog.delete_scope_recursive("s", &mut step).unwrap();
    assert_eq!(step.progress, Progress::Unfinished, "a repeated call waits for the first");

    // The records of all batches, as after a crash, and a snapshot of the same moment.
    let records: Vec<Record> = machine.journal.take().unwrap().1;
    let mut snapshot = Vec::new();
    machine.snapshot(|record| snapshot.push(record));
    for records in [records, snapshot] {
        let mut again = self::machine();
        records.iter().for_each(|record| again.restore(record).unwrap());
        assert_eq!(everything(&again), everything(&machine));
        assert!(!again.catalog.scope_exists("s").exists);
        while again.work(at(10)) == Progress::Unfinished {}
        assert_eq!((again.store.segment_count(), again.held()), (0, 0));
        let (catalog, mut step) = again.call(at(11));
        catalog.create_scope("s", &mut step).unwrap();
    }
}

#[test]
fn a_stream_with_many_segments_is_deleted_in_slices_and_its_name_is_free_at_once() {
    let mut machine = with_scope();
    let large = named("large", 3000);
    let info = StreamInfo { stream: "large".to_owned(), ..info() };
    let (catalog, mut step) = machine.call(at(9));
    catalog.create_stream(large, &mut step).unwrap();
    catalog.create_transaction(&info, 20_000, &mut step).unwrap();
    catalog.seal_stream(&info, &mut step).unwrap();
    while machine.work(at(9)) == Progress::Unfinished {}
    machine.memory_limit = MemoryLimit(machine.held());
    let (catalog, mut step) = machine.call(at(9));
    catalog.delete_stream(&info, &mut step).unwrap();
    assert_eq!(step.progress, Progress::Unfinished);
    assert!(!catalog.stream_exists("s", "large").exists);
    assert_eq!(catalog.held(), catalog.recount());
    // A stream of the same name, and a deletion of the scope, while the old one leaves.
    catalog.create_stream(named("large", 1), &mut step).unwrap();
    let ranges = catalog.current_segments(&info, &step).unwrap().segment_ranges;
    assert_eq!(ranges.first().unwrap().segment_id.as_ref().unwrap().segment_id, 3000);
    let mut snapshot = Vec::new();
    machine.snapshot(|record| snapshot.push(record));
    let mut from_snapshot = self::machine();
    snapshot.iter().for_each(|record| from_snapshot.restore(record).unwrap());
    assert_eq!(everything(&from_snapshot), everything(&machine));
    for mut machine in [from_snapshot, machine] {
        let (catalog, mut step) = machine.call(at(10));
        assert!(!catalog.list_scopes("").scopes.iter().any(|scope| scope.contains(':')));
        catalog.delete_scope_recursive("s", &mut step).unwrap();
        assert_eq!(step.progress, Progress::Unfinished, "segments are left");
        assert!(catalog.create_scope("s", &mut step).is_err());
        while machine.work(at(11)) == Progress::Unfinished {}
        assert_eq!((machine.store.segment_count(), machine.held()), (0, 0));
        let (catalog, mut step) = machine.call(at(12));
        catalog.create_scope("s", &mut step).unwrap();
    }
}

#[test]
fn a_round_of_work_about_many_streams_goes_on_after_each_slice_until_all_had_their_turn() {
    let mut machine = with_scope();
    for number in 0..500 {
        let (catalog, mut step) = machine.call(at(9));
        let info = StreamInfo { stream: format!("stream-{number}"), ..info() };
        catalog.create_stream(named(&info.stream, 1), &mut step).unwrap();
        catalog.note_time(&info, "w", cut(&[(0, 1)]), 7, &mut step).unwrap();
    }
    machine.journal.take();
    let written = |machine: &mut Machine| {
        let records = machine.journal.take().map(|(_, records)| records).unwrap_or_default();
        records.iter().filter(|record| matches!(record, Record::Appended { .. })).count()
    };
    machine.tick(at(20_000));
    let mut watermarks = vec![written(&mut machine)];
    loop {
        let progress = machine.work(at(20_000));
        watermarks.push(written(&mut machine));
        if progress == Progress::Finished {
            break;
        }
    }
    assert!(watermarks.iter().all(|slice| *slice < 110), "{watermarks:?}");
    assert_eq!(watermarks.iter().sum::<usize>(), 500, "each stream has its watermark, once");
}
