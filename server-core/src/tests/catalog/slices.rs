//! Lists in slices are whole, in order, and each slice is short.

use pravega_sdk_proto::{
    ReaderGroupConfiguration, ScaleRequest, StreamConfig, StreamCut, StreamInfo, Tags,
    scale_request::KeyRangeEntry, scale_response::ScaleStreamStatus, update_stream_status::Status,
};
use pravega_sdk_types::Epoch;
use proptest::prelude::*;
use uuid::Uuid;

use super::{super::at, super::machine, config, group, info};
use crate::{
    catalog::{Catalog, EpochChange, EpochSegment, Slice, StreamFilter},
    machine::Machine,
    record::Sequence,
    store::Progress,
};

/// The most entries of one slice.
const SLICE: usize = 1024;

/// All entries of a list, slice by slice.
fn whole<T, Place: Clone>(next: impl Fn(Option<Place>) -> Option<Slice<T, Place>>) -> Vec<T> {
    let (mut all, mut place) = (Vec::new(), None);
    loop {
        let slice = next(place.clone()).unwrap();
        assert!(slice.items.len() <= SLICE, "a slice has {} entries", slice.items.len());
        all.extend(slice.items);
        place = slice.next;
        if place.is_none() {
            return all;
        }
    }
}

fn with_scope() -> Machine {
    let mut machine = machine();
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_scope("s", &mut step).unwrap();
    machine
}

fn streams(catalog: &Catalog, filter: &StreamFilter) -> Vec<String> {
    let next = |after: Option<String>| {
        catalog.streams_after("s", filter, after.as_deref().unwrap_or_default())
    };
    whole(next).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn streams_are_listed_by_filter_in_slices() {
    let mut machine = with_scope();
    for number in 0..1500 {
        let (catalog, mut step) = machine.call(at(2));
        let stream = format!("t{number:04}");
        let tag = vec![if number % 700 == 0 { "rare" } else { "common" }.to_owned()];
        let stream_info = Some(StreamInfo { stream, ..info() });
        let config = StreamConfig { stream_info, tags: Some(Tags { tag }), ..config(1) };
        catalog.create_stream(config, &mut step).unwrap();
    }
    let catalog = &machine.catalog;
    let own: Vec<String> = (0..1500).map(|number| format!("t{number:04}")).collect();
    assert_eq!(streams(catalog, &StreamFilter::Own), own);
    let internal: Vec<String> = own.iter().map(|stream| format!("_MARK{stream}")).collect();
    assert_eq!(streams(catalog, &StreamFilter::Internal), internal);
    let tagged = streams(catalog, &StreamFilter::Tagged("rare".to_owned()));
    assert_eq!(tagged, ["t0000", "t0700", "t1400"]);
    assert_eq!(catalog.streams_after("none", &StreamFilter::Own, ""), None);
}

#[test]
fn a_slice_of_streams_with_long_tags_is_short_in_bytes() {
    let mut machine = with_scope();
    for number in 0..8 {
        let (catalog, mut step) = machine.call(at(2));
        let stream_info = Some(StreamInfo { stream: format!("t{number}"), ..info() });
        let tags = Some(Tags { tag: vec!["x".repeat(255); 127] });
        let config = StreamConfig { stream_info, tags, ..config(1) };
        catalog.create_stream(config, &mut step).unwrap();
    }
    let slice = machine.catalog.streams_after("s", &StreamFilter::Own, "").unwrap();
    assert!(slice.items.len() < 4, "{} streams", slice.items.len());
    assert_eq!(streams(&machine.catalog, &StreamFilter::Own).len(), 8);
}

#[test]
fn groups_and_the_streams_of_a_group_are_listed_in_slices() {
    let mut machine = with_scope();
    for number in 0..1200 {
        let (catalog, mut step) = machine.call(at(2));
        let stream = |number| StreamCut {
            stream_info: Some(StreamInfo { stream: format!("t{number}"), ..info() }),
            ..StreamCut::default()
        };
        let config = ReaderGroupConfiguration {
            reader_group_name: format!("g{number:04}"),
            reader_group_id: Uuid::from_u128(number).to_string(),
            retention_type: 0,
            starting_stream_cuts: (0..number).map(stream).collect(),
            ..group()
        };
        catalog.create_group(config, &mut step).unwrap();
    }
    let catalog = &machine.catalog;
    let all = whole(|after: Option<String>| catalog.groups_after("s", &after.unwrap_or_default()));
    assert_eq!(all, (0..1200).map(|number| format!("g{number:04}")).collect::<Vec<_>>());
    assert_eq!(catalog.groups_after("none", ""), None);
    let of = |group: &str| {
        whole(|from: Option<usize>| catalog.group_streams("s", group, from.unwrap_or_default()))
    };
    assert_eq!(of("g1100"), (0..1100).map(|number| format!("s/t{number}")).collect::<Vec<_>>());
    assert!(of("g0000").is_empty());
    assert_eq!(catalog.group_streams("s", "none", 0), None);
}

/// A stream of one segment from 10 on, which is scaled to these numbers of equal segments, each at
/// a time of its own after that.
fn scaled_to(counts: &[u32]) -> Machine {
    let mut machine = with_scope();
    let (catalog, mut step) = machine.call(at(10));
    catalog.create_stream(config(1), &mut step).unwrap();
    for (time, count) in (11..).zip(counts) {
        let (catalog, mut step) = machine.call(at(time));
        let open = catalog.current_segments(&info(), &step).unwrap().segment_ranges;
        let bound = |index: u32| f64::from(index) / f64::from(*count);
        let range = |index| KeyRangeEntry { start: bound(index), end: bound(index + 1) };
        let request = ScaleRequest {
            stream_info: Some(info()),
            sealed_segments: open.into_iter().map(|r| r.segment_id.unwrap().segment_id).collect(),
            new_key_ranges: (0..*count).map(range).collect(),
            scale_timestamp: 0,
        };
        let scaled = catalog.scale(&request, &mut step).unwrap();
        assert_eq!(scaled.status(), ScaleStreamStatus::Started);
    }
    machine
}

fn epochs(catalog: &Catalog, within: std::ops::RangeInclusive<i64>) -> Vec<EpochChange> {
    let (mut all, mut next) = (Vec::new(), Some(Epoch(0)));
    while let Some(from) = next {
        let slice = catalog.epochs_within("s", "t", &within, from).unwrap();
        all.extend(slice.items);
        next = slice.next;
    }
    all
}

#[test]
fn epochs_are_listed_as_differences_in_slices() {
    let machine = scaled_to(&[600, 1, 3]);
    let first = machine.catalog.epochs_within("s", "t", &(0..=100), Epoch(0)).unwrap();
    // A slice ends after the epoch that fills it.
    assert_eq!((first.items.len(), first.next), (2, Some(Epoch(2))));
    let all = epochs(&machine.catalog, 0..=100);
    let changes: Vec<_> =
        all.iter().map(|change| (change.at, change.sealed.len(), change.created.len())).collect();
    assert_eq!(changes, [(10, 0, 1), (11, 1, 600), (12, 600, 1), (13, 1, 3)]);
}

#[test]
fn the_epoch_before_a_time_is_listed_and_is_compared_with_none() {
    let machine = scaled_to(&[2, 4, 2]);
    let found = |within| {
        let all = epochs(&machine.catalog, within);
        let listed = all.iter().filter_map(|change| Some((change.at, change.begins?)));
        listed.map(|(at, begins)| (at, begins.splits, begins.merges)).collect::<Vec<_>>()
    };
    assert_eq!(found(0..=100), [(10, 0, 0), (11, 1, 0), (12, 2, 0), (13, 0, 2)]);
    assert_eq!(found(11..=12), [(11, 0, 0), (12, 2, 0)]);
    assert_eq!(found(13..=100), [(13, 0, 0)]);
    assert_eq!(found(50..=100), [(13, 0, 0)]);
    assert_eq!(found(0..=9), []);
    assert_eq!(found(10..=10), [(10, 0, 0)]);
}

proptest! {
    #[test]
    fn splits_and_merges_are_those_of_comparing_every_pair(
        counts in prop::collection::vec(1_u32..12, 1..5)
    ) {
        let machine = scaled_to(&counts);
        let mut before: Vec<EpochSegment> = Vec::new();
        for change in epochs(&machine.catalog, 0..=100) {
            let stay = before.iter().filter(|segment| !change.sealed.contains(&segment.id));
            let after: Vec<EpochSegment> = stay.chain(&change.created).copied().collect();
            let divided = |some: &[EpochSegment], others: &[EpochSegment]| {
                let count = |one: &EpochSegment| {
                    others.iter().filter(|o| o.low < one.high && one.low < o.high).count()
                };
                some.iter().filter(|one| count(one) > 1).count()
            };
            let begins = change.begins.unwrap();
            prop_assert_eq!(begins.splits, divided(&before, &after));
            prop_assert_eq!(begins.merges, divided(&after, &before));
            before = after;
        }
    }
}

/// Truncates the stream at its tail.
fn truncate(machine: &mut Machine) -> Progress {
    let (catalog, mut step) = machine.call(at(50));
    let open = catalog.current_segments(&info(), &step).unwrap().segment_ranges;
    let id =
        |range: &pravega_sdk_proto::SegmentRange| range.segment_id.as_ref().unwrap().segment_id;
    let cut = open.iter().map(|range| (id(range), 0)).collect();
    let status = catalog.truncate_stream(&info(), cut, &mut step).unwrap();
    assert_eq!(status, Status::Success);
    step.progress
}

/// The machine as it is after a restart.
fn restored(machine: &Machine) -> Machine {
    let mut again = super::super::machine();
    machine.snapshot(|record| again.restore(&record).unwrap());
    again.resume(Sequence::default());
    again
}

#[test]
fn a_truncation_of_a_long_history_is_made_in_slices_also_after_a_restart() {
    let mut machine = scaled_to(&[3000, 2999, 3000, 2999, 2]);
    while machine.work(at(40)) == Progress::Unfinished {}
    machine.store.looks.set(0);
    assert_eq!(truncate(&mut machine), Progress::Unfinished);
    let looks = machine.store.looks.get();
    assert!(looks < 100, "the call looks at {looks} segments");
    for _ in 0..5 {
        machine.store.looks.set(0);
        machine.work(at(50));
        let looks = machine.store.looks.get();
        assert!(looks <= 6000, "a slice looks at {looks} segments");
    }
    let left = machine.store.segment_count();
    assert!((100..12_000).contains(&left), "{left} segments are left");
    for mut machine in [restored(&machine), machine] {
        // Those of the last slice are deleted at once by a restart.
        assert!((100..=left).contains(&machine.store.segment_count()));
        while machine.work(at(60)) == Progress::Unfinished {}
        // Two of the stream, and one of its watermarks.
        assert_eq!(machine.store.segment_count(), 3);
    }
}

#[test]
fn a_stream_that_is_created_again_keeps_its_segments_while_another_was_truncated() {
    let mut machine = scaled_to(&[5000, 4999, 2]);
    while machine.work(at(40)) == Progress::Unfinished {}
    truncate(&mut machine);
    machine.work(at(50));
    let (catalog, mut step) = machine.call(at(50));
    catalog.seal_stream(&info(), &mut step).unwrap();
    while !machine.store.is_stream_settled("s", "t") {
        machine.store.settle_slice();
    }
    let (catalog, mut step) = machine.call(at(50));
    catalog.delete_stream(&info(), &mut step).unwrap();
    let (catalog, mut step) = machine.call(at(50));
    catalog.create_stream(config(3), &mut step).unwrap();
    while machine.work(at(60)) == Progress::Unfinished {}
    let (catalog, step) = machine.call(at(60));
    let open = catalog.current_segments(&info(), &step).unwrap().segment_ranges;
    assert_eq!(open.len(), 3);
    assert_eq!(machine.store.segment_count(), 4);
}
