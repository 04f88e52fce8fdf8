//! Readers that are described, and taken out of their groups.

use pravega_sdk_event_stream::group::{
    Removal,
    machine::{Effect, LossReason},
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, Position, SegmentOffset};

use super::support::{Reader, at, group_of, segment, write};

#[tokio::test]
async fn readers_are_described_with_their_segments_and_where_they_are() {
    let (factory, stream, group) = group_of(2).await;
    write(&factory, &stream, 10).await;
    let mut reader = Reader::join(&factory, &group, "r1").await;
    let read = reader.open[0].0.clone();
    reader.machine.handle_read(&read, Offset(20));
    reader.later().await;
    let described = group.describe().await.unwrap();
    let [member] = &described.readers[..] else { panic!("{described:?}") };
    assert_eq!((&*member.id, member.segments.len()), ("r1", 2));
    let place = member.segments.iter().find(|place| place.segment == read).unwrap();
    assert_eq!((place.offset, place.reported), (at(0), Some(at(20))));
    assert!(member.reported_load.is_some() && described.unassigned.is_empty());
    assert_eq!(group.online_readers().await.unwrap(), ["r1".into()]);
}

#[tokio::test]
async fn a_reader_is_taken_out_at_a_position_or_at_its_last_checkpoint() {
    let (factory, stream, group) = group_of(1).await;
    write(&factory, &stream, 10).await;
    // The position of 50 is that of an earlier reader of the id: others have read more since.
    for (position, expected) in
        [(Some(40), 40), (None, 40), (Some(60), 60), (Some(50), 60), (Some(80), 80)]
    {
        let mut reader = Reader::join(&factory, &group, "r1").await;
        let (segment, from) = reader.open[0].clone();
        assert!(from.0 <= expected);
        reader.machine.handle_read(&segment, Offset(100));
        reader.later().await;
        let position = position.map(|offset| {
            Position::new([(segment.clone(), Offset(offset))], [(segment.clone(), None)])
        });
        let removal = group.reader_offline("r1", position.as_ref()).await.unwrap();
        assert_eq!(removal, Removal::Removed);
        let described = group.describe().await.unwrap();
        assert!(described.readers.is_empty());
        assert_eq!(described.unassigned[0].offset, at(expected));
        assert_eq!(reader.later().await, Some(Effect::Lost(LossReason::Removed)));
    }
    assert_eq!(group.reader_offline("r1", None).await.unwrap(), Removal::NotInGroup);
    assert_eq!(group.reader_offline("r2", None).await.unwrap(), Removal::NotInGroup);
}

#[tokio::test]
async fn a_position_of_another_group_is_refused_and_the_reader_stays() {
    let (factory, _, group) = group_of(1).await;
    let (_, other, _) = group_of(1).await;
    let _reader = Reader::join(&factory, &group, "r1").await;
    let foreign = segment(&other, 0);
    let position = Position::new([(foreign.clone(), Offset(0))], [(foreign, None)]);
    let refused = group.reader_offline("r1", Some(&position)).await.unwrap_err();
    let found = (refused.kind(), refused.outcome());
    assert_eq!(found, (ErrorKind::InvalidArgument, Outcome::NotApplied), "{refused}");
    assert_eq!(group.online_readers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_position_after_the_end_of_a_segment_is_refused_and_the_reader_stays() {
    let (factory, stream, group) = group_of(1).await;
    write(&factory, &stream, 10).await;
    let reader = Reader::join(&factory, &group, "r1").await;
    let (segment, _) = reader.open[0].clone();
    let position = |offset| {
        let offset = SegmentOffset::from_wire(offset);
        Position::new([(segment.clone(), offset)], [(segment.clone(), None)])
    };
    for (offset, why) in [(201, "after the end"), (-1, "not sealed")] {
        let refused = group.reader_offline("r1", Some(&position(offset))).await.unwrap_err();
        let found = (refused.kind(), refused.outcome());
        assert_eq!(found, (ErrorKind::InvalidArgument, Outcome::NotApplied), "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
        assert_eq!(group.online_readers().await.unwrap().len(), 1);
    }
    let at_the_end = position(200);
    assert_eq!(group.reader_offline("r1", Some(&at_the_end)).await.unwrap(), Removal::Removed);
}

#[tokio::test]
async fn a_reader_whose_group_is_deleted_is_not_taken_out() {
    let (factory, _, group) = group_of(1).await;
    let _reader = Reader::join(&factory, &group, "r1").await;
    group.delete().await.unwrap();
    let error = group.reader_offline("r1", None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
}
