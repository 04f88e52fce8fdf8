//! The bytes of updates and states: older versions, newer ones, and bytes that are none.

use pravega_sdk_types::serial::{SerialError, SerialReader, SerialWriter};
use proptest::prelude::*;

use super::{
    super::{GroupInitial, StoredConfiguration},
    *,
};

/// An update of each type, and a state with something in each part.
fn samples() -> Vec<GroupUpdate> {
    let full = after(
        group(4),
        &[
            add("a"),
            add("b"),
            acquire("a", 0),
            acquire("b", 1),
            report("a", 70_000, &[(0, 3)]),
            complete("b", 1, &[(9, &[1, 0]), (8, &[1])]),
            create("c"),
            create("d_SILENT_"),
            answer("c", "a", &[(0, 5)]),
            answer("c", "b", &[(1, -1)]),
            GroupUpdate::UpdatingConfig { is_updating: true },
        ],
    );
    let mut bounded = init(2);
    bounded.ends = vec![(segment(0), at(7)), (segment(1), SegmentOffset::End)];
    vec![
        GroupUpdate::Init(bounded),
        GroupUpdate::Compact(Box::new(full)),
        add("ä"),
        remove("a", &[(0, -1), (1, i64::MAX)]),
        release("a", 0, 9),
        acquire("a", 0),
        report("a", i64::MIN, &[(0, 1)]),
        complete("a", 0, &[(5, &[0]), (6, &[0, 1])]),
        answer("c", "a", &[(0, 1)]),
        create("c"),
        clear("c"),
        GroupUpdate::UpdateCheckpointPublished { is_published: true },
        GroupUpdate::UpdatingConfig { is_updating: false },
        GroupUpdate::RemoveOutstandingCheckpoints,
    ]
}

#[test]
fn every_update_comes_back_and_every_cut_of_its_bytes_is_refused() {
    for (kind, update) in (0..).zip(samples()) {
        let bytes = update.to_bytes().unwrap();
        assert_eq!(bytes[..2], [0, kind], "{}", update.name());
        assert_eq!(GroupUpdate::from_bytes(&bytes).as_ref(), Ok(&update));
        for len in 0..bytes.len() {
            assert!(GroupUpdate::from_bytes(&bytes[..len]).is_err(), "{} of {len}", update.name());
        }
    }
}

#[test]
fn only_the_first_two_types_are_initial_states_and_bytes_after_one_mean_nothing() {
    for (index, update) in samples().into_iter().enumerate() {
        let mut bytes = update.to_bytes().unwrap();
        bytes.extend([0; 100]);
        let initial = GroupInitial::from_bytes(&bytes);
        match (index, update) {
            (0, GroupUpdate::Init(init)) => assert_eq!(initial, Ok(GroupInitial::Init(init))),
            (1, GroupUpdate::Compact(state)) => {
                assert_eq!(initial, Ok(GroupInitial::Compact(state)));
            }
            _ => assert!(initial.is_err()),
        }
    }
    for kind in [14, 255] {
        let bytes = [0, kind, 0, 1, 0, 0, 0, 0, 0];
        let unknown = SerialError::Invalid { what: "type of an update" };
        assert_eq!(GroupUpdate::from_bytes(&bytes), Err(unknown));
    }
}

/// The bytes of an object with some of its revisions, and one that no client knows yet.
fn with_revisions(bytes: &[u8], kept: u8, is_newer: bool) -> Vec<u8> {
    let (kind, revisions) = SerialReader::new(bytes).versioned_of_types(&[0]).unwrap();
    let mut bodies = Vec::new();
    for number in 0..kept {
        let Some(mut body) = revisions.get(number) else { break };
        let mut writer = SerialWriter::new();
        let len = body.remaining();
        writer.bytes(body.bytes("body", len).unwrap());
        bodies.push(writer);
    }
    if is_newer {
        let mut writer = SerialWriter::new();
        writer.bytes(b"newer");
        bodies.push(writer);
    }
    let mut writer = SerialWriter::new();
    writer.versioned_of_type(kind, 0, &bodies).unwrap();
    writer.finish()
}

#[test]
fn revisions_that_older_clients_do_not_write_may_be_missing_and_newer_ones_are_skipped() {
    for update in samples() {
        let bytes = update.to_bytes().unwrap();
        let newer = with_revisions(&bytes, 9, true);
        assert_eq!(GroupUpdate::from_bytes(&newer).as_ref(), Ok(&update));
        let oldest = GroupUpdate::from_bytes(&with_revisions(&bytes, 1, false)).unwrap();
        let without_ranges = match update {
            GroupUpdate::UpdateDistanceToTail { reader, lag_ms, .. } => {
                GroupUpdate::UpdateDistanceToTail { reader, lag_ms, read: Vec::new() }
            }
            GroupUpdate::SegmentCompleted(mut completion) => {
                completion.successors.iter_mut().for_each(|(segment, _)| segment.range = None);
                GroupUpdate::SegmentCompleted(completion)
            }
            GroupUpdate::Compact(state) => {
                let GroupUpdate::Compact(oldest) = oldest else { panic!("another type") };
                assert_eq!(show(&oldest), show(&state));
                assert!(oldest.last_read().is_empty());
                assert!(!oldest.is_updating_configuration());
                continue;
            }
            other => other,
        };
        assert_eq!(oldest, without_ranges);
        assert_eq!(
            GroupUpdate::from_bytes(&with_revisions(&bytes, 0, false)),
            Err(SerialError::MissingRevision(0))
        );
    }
}

#[test]
fn names_that_do_not_fit_the_layout_are_refused_when_they_are_written() {
    let long = "x".repeat(65_536);
    for update in [add(&long), create(&long), report(&long, 0, &[])] {
        assert!(matches!(update.to_bytes(), Err(SerialError::OutOfRange { .. })));
    }
}

#[test]
fn a_configuration_that_java_does_not_take_is_refused() {
    let whole =
        StoredConfiguration::from(ReaderGroupConfiguration::new(["s/t".parse().unwrap()]).unwrap());
    let bytes = whole.to_bytes().unwrap();
    assert_eq!(StoredConfiguration::from_bytes(&bytes), Ok(whole));
    for len in 0..bytes.len() {
        assert!(StoredConfiguration::from_bytes(&bytes[..len]).is_err(), "{len}");
    }
    let outstanding = bytes.len() - 25 - 5 - 4;
    let mut none = bytes.clone();
    none[outstanding..outstanding + 4].fill(0);
    let refused = SerialError::Invalid { what: "number of checkpoints" };
    assert_eq!(StoredConfiguration::from_bytes(&none), Err(refused));
    let mut retention = bytes;
    let ordinal = retention.len() - 25;
    retention[ordinal] = 3;
    let refused = SerialError::Invalid { what: "retention of a reader group" };
    assert_eq!(StoredConfiguration::from_bytes(&retention), Err(refused));
}

#[test]
fn an_end_of_a_stream_that_is_not_read_is_refused_if_it_means_something() {
    let stream = |name: &str| name.parse::<pravega_sdk_types::ScopedStream>().unwrap();
    let cut = pravega_sdk_types::BoundedCut::new(stream("s/u"), [(SegmentId::from(0), Offset(1))]);
    let cut = pravega_sdk_types::StreamCut::from(cut.unwrap()).to_bytes().unwrap();
    for (end, is_taken) in [(&[][..], true), (&cut, false)] {
        let mut body = SerialWriter::new();
        body.i64(-1);
        body.i64(3000);
        for (name, bytes) in [("s/t", &[][..]), ("s/u", end)] {
            body.count(1).unwrap();
            body.utf(name).unwrap();
            body.count(bytes.len()).unwrap();
            body.bytes(bytes);
        }
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[body]).unwrap();
        let found = StoredConfiguration::from_bytes(&writer.finish());
        assert_eq!(found.is_ok(), is_taken, "{found:?}");
        if let Ok(found) = found {
            assert_eq!(found.ends(), []);
            assert_eq!(found.configuration().max_outstanding_checkpoints().get(), 3);
        }
    }
}

#[test]
fn a_count_without_bytes_after_it_reserves_nothing() {
    // RemoveReader with a billion segments.
    let bytes = [&[0, 3, 0, 1, 0, 0, 0, 0, 7, 0, 1, b'a'][..], &[0xFF, 0xFF, 0xFF, 0xFE]].concat();
    assert!(matches!(GroupUpdate::from_bytes(&bytes), Err(SerialError::EndOfInput { .. })));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = GroupUpdate::from_bytes(&bytes);
        let _ = GroupInitial::from_bytes(&bytes);
        let _ = StoredConfiguration::from_bytes(&bytes);
    }

    /// Bytes that are nearly an update are refused, or are one that can be written and applied.
    #[test]
    fn damaged_bytes_are_refused_or_are_an_update(
        index in 0..14_usize,
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = samples()[index].to_bytes().unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(update) = GroupUpdate::from_bytes(&bytes) {
            let again = GroupUpdate::from_bytes(&update.to_bytes().unwrap());
            prop_assert_eq!(again.as_ref(), Ok(&update));
            let _ = after(group(4), &[add("a"), acquire("a", 0), create("c")]).apply(update);
        }
    }
}
