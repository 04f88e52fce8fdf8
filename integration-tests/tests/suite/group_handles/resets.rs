//! Groups that begin again.

use std::{collections::BTreeSet, time::Duration};

use pravega_sdk_event_stream::group::{
    GroupStore, GroupUpdate, ReaderGroup,
    machine::{Effect, LossReason},
};
use pravega_sdk_integration_tests::harness::{FAR, eventually, new_stream};
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupStream, Offset, Outcome, ReaderGroupConfiguration, SegmentId,
    StreamCut,
};

use super::support::{Reader, at, create, group_of, quick, segment, write};

async fn store(
    factory: &pravega_sdk_client_factory::ClientFactory,
    group: &ReaderGroup,
) -> GroupStore {
    let context = factory.segment_context();
    GroupStore::open(context, group.group(), StateConfig::default()).await.unwrap()
}

#[tokio::test]
async fn a_group_is_reset_to_other_streams_while_a_reader_reads() {
    let (factory, old, group) = group_of(2).await;
    write(&factory, &old, 5).await;
    let mut reader = Reader::join(&factory, &group, "r1").await;
    reader.machine.handle_read(&segment(&old, 0), Offset(20));
    let new = new_stream(factory.controller(), 3).await;
    let other = group.clone();
    group.reset(&quick(std::slice::from_ref(&new))).await.unwrap();
    assert_eq!(reader.later().await, Some(Effect::Lost(LossReason::Removed)));
    for handle in [&group, &other, &factory.reader_group(group.group()).await.unwrap()] {
        let described = handle.describe().await.unwrap();
        assert_eq!(described.configuration.generation(), Some(1));
        assert_eq!(described.configuration.streams()[0].stream, new);
        assert_eq!((described.unassigned.len(), described.readers.len()), (3, 0));
        assert!(!described.is_updating_configuration);
    }
    let registered = factory.controller().reader_group_configuration(group.group()).await;
    assert_eq!(registered.unwrap(), group.configuration().await.unwrap());
    let again = Reader::join(&factory, &group, "r1").await;
    assert_eq!(again.open.len(), 3);
}

#[tokio::test]
async fn a_group_goes_back_to_its_last_checkpoint_or_to_an_earlier_one() {
    let (factory, stream, group) = group_of(1).await;
    write(&factory, &stream, 10).await;
    let refused = group.reset_to_last_checkpoint().await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.outcome()),
        (ErrorKind::ConditionFailed, Outcome::NotApplied)
    );
    let mut reader = Reader::join(&factory, &group, "r1").await;
    let mut taken = Vec::new();
    for (name, offset) in [("one", 40), ("two", 80)] {
        reader.machine.handle_read(&segment(&stream, 0), Offset(offset));
        group.initiate_checkpoint(name).await.unwrap();
        reader.answer().await;
        taken.push(group.checkpoint(name, FAR).await.unwrap());
    }
    reader.machine.handle_read(&segment(&stream, 0), Offset(200));
    group.reset_to_last_checkpoint().await.unwrap();
    assert_eq!(
        Reader::join(&factory, &group, "r1").await.open,
        [(segment(&stream, 0), Offset(80))]
    );
    group.reset_to(&taken[0]).await.unwrap();
    assert_eq!(
        Reader::join(&factory, &group, "r1").await.open,
        [(segment(&stream, 0), Offset(40))]
    );
    assert_eq!(group.configuration().await.unwrap().generation(), Some(2));
}

/// What was generated without a checkpoint that readers are shown counts for neither.
#[tokio::test]
async fn generated_cuts_are_no_checkpoint_to_which_a_group_or_another_reader_goes_back() {
    for is_reset in [true, false] {
        let (factory, stream, group) = group_of(1).await;
        write(&factory, &stream, 10).await;
        let mut reader = Reader::join(&factory, &group, "r1").await;
        reader.machine.handle_read(&segment(&stream, 0), Offset(40));
        group.initiate_checkpoint("shown").await.unwrap();
        reader.answer().await;
        reader.machine.handle_read(&segment(&stream, 0), Offset(80));
        let (cuts, ()) = tokio::join!(group.generate_stream_cuts(FAR), async {
            eventually("the request is there", async || {
                group.describe().await.unwrap().checkpoints.len() > 1
            })
            .await;
            assert_eq!(reader.later().await, None, "the program sees nothing");
        });
        assert_eq!(cuts.unwrap()[0].offset(0.into()), Some(at(80)));
        if is_reset {
            group.reset_to_last_checkpoint().await.unwrap();
        } else {
            group.reader_offline("r1", None).await.unwrap();
        }
        let next = Reader::join(&factory, &group, "r2").await;
        assert_eq!(next.open, [(segment(&stream, 0), Offset(40))], "{is_reset}");
    }
}

/// A stream is added to a group, and the begin of the other one is moved.
#[tokio::test]
async fn a_group_that_was_reset_has_no_checkpoint_and_begins_again_where_its_configuration_does() {
    let (factory, stream, group) = group_of(1).await;
    let added = new_stream(factory.controller(), 1).await;
    for stream in [&stream, &added] {
        write(&factory, stream, 7).await;
    }
    let mut reader = Reader::join(&factory, &group, "r1").await;
    reader.machine.handle_read(&segment(&stream, 0), Offset(40));
    group.initiate_checkpoint("early").await.unwrap();
    reader.answer().await;
    let begin = BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(80))]).unwrap();
    let configuration = quick(&[stream.clone(), added.clone()]).with_starts([begin]).unwrap();
    let starts = [(segment(&stream, 0), Offset(80)), (segment(&added, 0), Offset(0))];
    for _ in 0..2 {
        group.reset(&configuration).await.unwrap();
        let mut next = Reader::join(&factory, &group, "r1").await;
        assert_eq!(next.open.iter().cloned().collect::<BTreeSet<_>>(), starts.clone().into());
        assert_eq!(group.unread_bytes().await.unwrap().total(), 60 + 140);
        next.machine.handle_read(&segment(&stream, 0), Offset(140));
        let refused = group.reset_to_last_checkpoint().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConditionFailed, "{refused}");
    }
}

#[tokio::test]
async fn streams_that_were_read_to_their_ends_at_a_checkpoint_stay_so() {
    let (factory, open, group) = group_of(1).await;
    let controller = factory.controller();
    let (sealed, bounded) = (new_stream(controller, 1).await, new_stream(controller, 1).await);
    for stream in [&open, &sealed, &bounded] {
        write(&factory, stream, 5).await;
    }
    controller.seal_stream(&sealed).await.unwrap();
    let end = BoundedCut::new(bounded.clone(), [(SegmentId::from(0), Offset(40))]).unwrap();
    let part = |stream: &pravega_sdk_types::ScopedStream, to: StreamCut| GroupStream {
        stream: stream.clone(),
        from: StreamCut::Unbounded,
        to,
    };
    let parts = [
        part(&open, StreamCut::Unbounded),
        part(&sealed, StreamCut::Unbounded),
        part(&bounded, end.clone().into()),
    ];
    let configuration = ReaderGroupConfiguration::bounded(parts)
        .unwrap()
        .with_automatic_checkpoint_interval(None)
        .with_refresh_interval(Duration::from_millis(50));
    group.reset(&configuration).await.unwrap();
    let mut reader = Reader::join(&factory, &group, "r1").await;
    assert_eq!(reader.open.len(), 3);
    reader.machine.handle_sealed_end(&segment(&sealed, 0));
    reader.machine.handle_configured_end(&segment(&bounded, 0));
    for name in ["one", "two"] {
        group.initiate_checkpoint(name).await.unwrap();
        reader.answer().await;
    }
    let described = group.describe().await.unwrap();
    assert_eq!(described.last_checkpoint.unwrap().len(), 1, "only the open stream is left");
    group.reset_to_last_checkpoint().await.unwrap();
    let starts = group.configuration().await.unwrap();
    let of_bounded = starts.streams().iter().find(|it| it.stream == bounded).unwrap();
    assert_eq!(of_bounded.from, end.into());
    let next = Reader::join(&factory, &group, "r1").await;
    let ids: Vec<_> = next.open.iter().map(|(segment, _)| segment.scoped_stream()).collect();
    assert!(ids.contains(&open) && !ids.contains(&sealed), "{ids:?}");
    let unread = group.unread_bytes().await.unwrap();
    assert_eq!(unread.of_segment(&segment(&sealed, 0)), 0);
    assert_eq!(unread.of_segment(&segment(&bounded, 0)), 0);
    assert_eq!(unread.of_segment(&segment(&open, 0)), 100);
}

#[tokio::test]
async fn clients_that_reset_a_group_at_once_agree_and_each_succeeds() {
    let (factory, stream, group) = group_of(2).await;
    let count = 6;
    let mut handles = Vec::new();
    for _ in 0..count {
        handles.push(factory.reader_group(group.group()).await.unwrap());
    }
    let configurations: Vec<_> = (1..=count)
        .map(|number| {
            quick(std::slice::from_ref(&stream)).with_refresh_interval(Duration::from_secs(number))
        })
        .collect();
    let resets = handles.iter().zip(&configurations).map(|(handle, it)| handle.reset(it));
    futures_util::future::try_join_all(resets).await.unwrap();
    let state = group.configuration().await.unwrap();
    let registered = factory.controller().reader_group_configuration(group.group()).await.unwrap();
    assert_eq!(state, registered);
    assert_eq!(state.generation(), Some(count as i64));
    assert!(!group.describe().await.unwrap().is_updating_configuration);
}

#[tokio::test]
async fn a_reset_whose_client_ended_in_the_middle_is_finished_by_a_reader_or_the_next_reset() {
    for by_reader in [true, false] {
        let (factory, stream, group) = group_of(1).await;
        let mut reader = Reader::join(&factory, &group, "r1").await;
        let mark = GroupUpdate::UpdatingConfig { is_updating: true };
        store(&factory, &group).await.report(mark).await.unwrap();
        let known = group.configuration().await.unwrap();
        let changed = known.clone().with_refresh_interval(Duration::from_millis(70));
        factory.controller().update_reader_group(group.group(), &changed).await.unwrap();
        assert!(group.describe().await.unwrap().is_updating_configuration);
        if by_reader {
            assert_eq!(reader.later().await, Some(Effect::Lost(LossReason::Removed)));
            let adopted = group.describe().await.unwrap();
            assert_eq!(adopted.configuration.generation(), Some(1));
            assert_eq!(adopted.configuration.refresh_interval(), Duration::from_millis(70));
            assert!(!adopted.is_updating_configuration);
        }
        group.reset(&quick(&[stream])).await.unwrap();
        let described = group.describe().await.unwrap();
        assert_eq!(described.configuration.generation(), Some(2));
        assert!(!described.is_updating_configuration);
    }
}

#[tokio::test]
async fn a_reset_to_a_cut_that_misses_segments_changes_nothing() {
    let (factory, stream, group) = group_of(2).await;
    let mut reader = Reader::join(&factory, &group, "r1").await;
    let half = BoundedCut::new(stream.clone(), [(SegmentId::from(1), Offset(0))]).unwrap();
    let configuration = quick(&[stream]).with_starts([half]).unwrap();
    let refused = group.reset(&configuration).await.unwrap_err();
    let found = (refused.kind(), refused.outcome());
    assert_eq!(found, (ErrorKind::InvalidStreamCut, Outcome::NotApplied), "{refused}");
    assert!(refused.to_string().starts_with("resetting "), "{refused}");
    let described = group.describe().await.unwrap();
    assert_eq!(described.configuration.generation(), Some(0));
    assert!(!described.is_updating_configuration);
    assert_eq!(reader.later().await, None, "the reader reads on");
}

#[tokio::test]
async fn a_group_that_was_deleted_is_not_reset() {
    let (_, stream, group) = group_of(1).await;
    group.delete().await.unwrap();
    let error = group.reset(&quick(&[stream])).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
}

#[tokio::test]
async fn a_group_that_was_created_again_is_not_reset_by_a_handle_of_the_old_one() {
    let (factory, stream, old) = group_of(1).await;
    old.delete().await.unwrap();
    let configuration = quick(std::slice::from_ref(&stream));
    let (new, _) = create(&factory, old.group(), &configuration).await.unwrap();
    let known = new.configuration().await.unwrap();
    let changed = configuration.with_refresh_interval(Duration::from_millis(70));
    let error = old.reset(&changed).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    assert_eq!(new.configuration().await.unwrap(), known);
    assert!(!new.describe().await.unwrap().is_updating_configuration);
}

#[tokio::test]
async fn a_reset_that_is_dropped_anywhere_leaves_a_group_that_can_be_reset() {
    let (factory, stream, group) = group_of(1).await;
    for millis in 0..12 {
        let configuration = quick(std::slice::from_ref(&stream))
            .with_refresh_interval(Duration::from_millis(10 + millis));
        let reset = group.reset(&configuration);
        let _ = tokio::time::timeout(Duration::from_millis(millis), reset).await;
        let reader = Reader::join(&factory, &group, &format!("r{millis}")).await;
        let cut = group.stream_cuts().await.unwrap();
        assert_eq!(cut[0].offset(0.into()), Some(at(0)));
        drop(reader);
        group.reader_offline(&format!("r{millis}"), None).await.unwrap();
    }
    group.reset(&quick(&[stream])).await.unwrap();
    let described = group.describe().await.unwrap();
    assert!(!described.is_updating_configuration);
    let registered = factory.controller().reader_group_configuration(group.group()).await;
    assert_eq!(registered.unwrap(), described.configuration);
}
