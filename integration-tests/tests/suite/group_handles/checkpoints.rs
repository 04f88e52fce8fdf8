//! Checkpoints and cuts.

use std::time::{Duration, Instant};

use pravega_sdk_event_stream::{ReadUntil, StreamPosition, group::machine::Effect};
use pravega_sdk_integration_tests::harness::{
    FAR, eventually, factory, new_stream, scale, scale_all,
};
use pravega_sdk_types::{
    BoundedCut, Checkpoint, ErrorKind, KeyRange, Offset, Outcome, ReaderGroupConfiguration,
    ScopedSegment, SegmentId, SegmentOffset,
};

use super::support::{Reader, at, create, group_of, in_scope_of, quick, segment, write};

/// Longer than a call takes, shorter than a test should.
const SHORT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_checkpoint_has_the_positions_of_all_readers_and_begins_another_group() {
    let (factory, stream, group) = group_of(2).await;
    write(&factory, &stream, 10).await;
    let mut one = Reader::join(&factory, &group, "one").await;
    let read = one.open[0].0.clone();
    one.machine.handle_read(&read, Offset(20));
    let taking = group.checkpoint("nightly", FAR);
    let answering = async {
        eventually("the checkpoint has begun", async || {
            !group.describe().await.unwrap().checkpoints.is_empty()
        })
        .await;
        assert_eq!(one.answer().await, None);
    };
    let (checkpoint, ()) = tokio::join!(taking, answering);
    let checkpoint = checkpoint.unwrap();
    assert_eq!(checkpoint.name(), "nightly");
    let cut = checkpoint.cut(&stream).unwrap();
    assert_eq!(cut.offset(read.id()), Some(at(20)));
    assert_eq!(cut.positions().len(), 2);
    // Another group, perhaps in another process, begins at it.
    let kept = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap()).unwrap();
    let configuration = ReaderGroupConfiguration::from_checkpoint(&kept).unwrap();
    let later = in_scope_of(&stream, "later");
    let (later, _) = create(&factory, &later, &configuration).await.unwrap();
    assert_eq!(later.stream_cuts().await.unwrap(), kept.cuts());
}

#[tokio::test]
async fn a_checkpoint_of_a_group_without_readers_is_complete_at_once() {
    let (_, stream, group) = group_of(3).await;
    let checkpoint = group.checkpoint("empty", FAR).await.unwrap();
    assert_eq!(checkpoint.cut(&stream).unwrap().positions().len(), 3);
    // The name is known, so the same cuts are returned.
    assert_eq!(group.checkpoint("empty", FAR).await.unwrap(), checkpoint);
}

#[tokio::test]
async fn a_dead_reader_that_holds_a_checkpoint_up_is_named_and_can_be_taken_out() {
    let (factory, stream, group) = group_of(2).await;
    let mut alive = Reader::join(&factory, &group, "alive").await;
    let dead = Reader::join(&factory, &group, "dead").await;
    group.initiate_checkpoint("c").await.unwrap();
    assert_eq!(alive.answer().await.is_some(), alive.open.is_empty());
    drop(dead);
    let begun = Instant::now();
    let late = group.checkpoint("c", SHORT).await.unwrap_err();
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < FAR);
    assert_eq!((late.kind(), late.outcome()), (ErrorKind::Timeout, Outcome::Applied));
    assert!(late.is_retryable());
    assert_eq!(late.waiting_for(), ["dead"]);
    assert!(late.to_string().contains("waits for the readers dead"), "{late}");
    let waits = &group.describe().await.unwrap().checkpoints;
    assert_eq!((&*waits[0].name, &waits[0].waiting_for[..]), ("c", &["dead".to_owned()][..]));

    group.reader_offline("dead", None).await.unwrap();
    let checkpoint = group.checkpoint("c", FAR).await.unwrap();
    assert_eq!(checkpoint.cut(&stream).unwrap().positions().len(), 2);
}

#[tokio::test]
async fn outstanding_checkpoints_are_limited_and_cancelled() {
    let (factory, _, group) = group_of(1).await;
    let mut reader = Reader::join(&factory, &group, "r1").await;
    for name in ["a", "b", "c"] {
        group.initiate_checkpoint(name).await.unwrap();
    }
    group.initiate_checkpoint("c").await.unwrap();
    let full = group.initiate_checkpoint("d").await.unwrap_err();
    assert_eq!((full.kind(), full.outcome()), (ErrorKind::LimitReached, Outcome::NotApplied));
    assert!(full.to_string().contains("a, b, c"), "{full}");
    let (waited, cancelled) = tokio::join!(group.checkpoint("b", FAR), async {
        tokio::time::sleep(SHORT).await;
        group.cancel_checkpoints().await
    });
    assert_eq!(cancelled.unwrap(), ["a", "b", "c"]);
    let lost = waited.unwrap_err();
    assert_eq!((lost.kind(), lost.outcome()), (ErrorKind::ConditionFailed, Outcome::NotApplied));
    assert!(lost.to_string().contains("cancelled"), "{lost}");
    assert_eq!(group.cancel_checkpoints().await.unwrap(), Vec::<String>::new());
    assert_eq!(reader.later().await, None, "the reader sees none of them");
    group.initiate_checkpoint("d").await.unwrap();
    assert_eq!(reader.later().await, Some(Effect::Checkpoint("d".into())));
}

#[tokio::test]
async fn names_that_are_none_of_a_checkpoint_are_refused() {
    let (_, _, group) = group_of(1).await;
    let long = "x".repeat(1025);
    for name in ["", "my_SILENT_one", &long] {
        let refused = group.checkpoint(name, FAR).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    }
    assert!(group.describe().await.unwrap().checkpoints.is_empty());
    let endless = group.checkpoint("c", Duration::MAX).await;
    assert!(endless.is_ok(), "the group has no readers");
}

#[tokio::test]
async fn cuts_are_generated_without_a_checkpoint_that_programs_see() {
    let (factory, stream, group) = group_of(1).await;
    write(&factory, &stream, 5).await;
    let mut reader = Reader::join(&factory, &group, "r1").await;
    reader.machine.handle_read(&segment(&stream, 0), Offset(60));
    let (cuts, ()) = tokio::join!(group.generate_stream_cuts(FAR), async {
        eventually("the request is there", async || {
            !group.describe().await.unwrap().checkpoints.is_empty()
        })
        .await;
        assert_eq!(reader.later().await, None);
    });
    let expected = BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(60))]).unwrap();
    assert_eq!(cuts.unwrap(), [expected]);
    let stored = BoundedCut::new(stream, [(SegmentId::from(0), Offset(0))]).unwrap();
    assert_eq!(group.stream_cuts().await.unwrap(), [stored], "where the reader took it");
    let late = group.generate_stream_cuts(SHORT).await.unwrap_err();
    assert_eq!(late.waiting_for(), ["r1"]);
}

/// Two segments are merged; one was read to its end, the other was not. The state has no segment
/// for the keys of the first then, and a group that begins without it waits for it forever.
#[tokio::test]
async fn cuts_between_two_scales_cover_the_key_space_and_a_group_reads_on_from_them() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 1).await;
    scale_all(controller, &stream, 2).await;
    let active = controller.current_segments(&stream).await.unwrap();
    let [read, left] = [active[0].id, active[1].id];
    let tail = factory.reader_group_part(&stream, StreamPosition::Tail, ReadUntil::Sealed).await;
    let begin = quick(std::slice::from_ref(&stream))
        .with_starts(tail.unwrap().from.bounded().cloned())
        .unwrap();
    let name = in_scope_of(&stream, "billing");
    let (group, _) = create(&factory, &name, &begin).await.unwrap();
    write(&factory, &stream, 10).await;
    let mut reader = Reader::join(&factory, &group, "r1").await;
    assert_eq!(reader.open.len(), 2);
    scale(controller, &stream, &[read, left], &[KeyRange::FULL]).await;
    reader.machine.handle_sealed_end(&ScopedSegment::new(&stream, read));
    for name in ["first", "second"] {
        group.initiate_checkpoint(name).await.unwrap();
        reader.answer().await;
    }
    let described = group.describe().await.unwrap();
    assert_eq!(described.readers[0].segments.len(), 1, "{described:?}");
    assert_eq!(described.future[0].predecessors, [left]);
    let ended = [(read, SegmentOffset::End), (left, at(0))];
    let whole = BoundedCut::new(stream.clone(), ended).unwrap();
    assert_eq!(group.stream_cuts().await.unwrap(), std::slice::from_ref(&whole));
    let checkpoint = group.checkpoint("second", FAR).await.unwrap();
    assert_eq!(checkpoint.cuts(), [whole]);
    let (left, unread) = (ScopedSegment::new(&stream, left), group.unread_bytes().await.unwrap());
    assert_eq!(unread.total(), unread.of_segment(&left), "the other was read");

    let configuration = begin.with_starts(checkpoint.cuts().to_vec()).unwrap();
    let later = in_scope_of(&stream, "later");
    let (later, _) = create(&factory, &later, &configuration).await.unwrap();
    let mut next = Reader::join(&factory, &later, "r1").await;
    assert_eq!(next.open, [(left.clone(), Offset(0))], "the other was read");
    next.machine.handle_sealed_end(&left);
    later.initiate_checkpoint("c").await.unwrap();
    next.answer().await;
    next.later().await;
    let begun: Vec<_> = next.open.iter().map(|(open, _)| open.id().epoch().0).collect();
    assert!(begun.contains(&2), "the merged segment has begun: {:?}", next.open);
}

#[tokio::test]
async fn a_reset_ends_the_wait_for_a_checkpoint() {
    let (factory, stream, group) = group_of(1).await;
    let _reader = Reader::join(&factory, &group, "r1").await;
    let (waited, reset) = tokio::join!(group.checkpoint("c", FAR), async {
        tokio::time::sleep(SHORT).await;
        group.clone().reset(&quick(&[stream])).await
    });
    reset.unwrap();
    let lost = waited.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::ConditionFailed, "{lost}");
    assert!(lost.to_string().contains("was reset"), "{lost}");
}
