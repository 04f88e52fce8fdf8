//! Creating, opening, listing and deleting groups.

use futures_util::StreamExt as _;
use pravega_sdk_controller_client::{Creation, Deletion};
use pravega_sdk_event_stream::{
    ReadUntil, StreamPosition,
    group::{GroupInit, GroupStore, ReaderGroupError},
};
use pravega_sdk_integration_tests::harness::{factory, new_scope, new_stream, unique};
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupStream, Offset, Outcome, ReaderGroupConfiguration, ScopedStream,
    SegmentId, SegmentOffset, StreamConfiguration, StreamCut,
};
use uuid::Uuid;

use super::support::{at, create, group_of, in_scope_of, new_group, quick, segment, write};

#[tokio::test]
async fn a_group_is_created_once_listed_opened_by_its_name_and_deleted() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let name = in_scope_of(&stream, "billing");
    assert_eq!(factory.reader_group(&name).await.unwrap_err().kind(), ErrorKind::NotFound);
    let (factory, group, configuration) = new_group(&stream, "billing").await;
    let (_, again) = create(&factory, &name, &configuration).await.unwrap();
    assert_eq!(again, Creation::AlreadyExisted);

    let described = factory.reader_group(&name).await.unwrap().describe().await.unwrap();
    assert_eq!(described.configuration.generation(), Some(0));
    assert!(!described.configuration.id().is_nil());
    let mut unassigned: Vec<_> =
        described.unassigned.iter().map(|place| (place.segment.clone(), place.offset)).collect();
    unassigned.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(unassigned, [(segment(&stream, 0), at(0)), (segment(&stream, 1), at(0))]);
    assert!(described.readers.is_empty() && described.checkpoints.is_empty());

    let listed = factory.reader_groups(stream.scope().clone());
    let listed: Vec<_> = listed.map(Result::unwrap).collect().await;
    assert_eq!(listed, std::slice::from_ref(&name));
    assert_eq!(group.delete().await.unwrap(), Deletion::Deleted);
    assert_eq!(group.delete().await.unwrap(), Deletion::NotFound);
    assert_eq!(factory.delete_reader_group(&name).await.unwrap(), Deletion::NotFound);
    for error in
        [group.describe().await.unwrap_err(), factory.reader_group(&name).await.unwrap_err()]
    {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
        assert!(error.to_string().contains("there is no such reader group"), "{error}");
        assert!(error.to_string().contains(&name.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_group_of_another_configuration_is_refused_unless_any_will_do() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let (factory, group, configuration) = new_group(&stream, "billing").await;
    let nine_seconds = std::time::Duration::from_secs(9);
    let other = configuration.with_automatic_checkpoint_interval(Some(nine_seconds));
    let refused = create(&factory, group.group(), &other).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.outcome()),
        (ErrorKind::AlreadyExists, Outcome::NotApplied)
    );
    assert!(refused.to_string().contains("differs in: checkpoint interval"), "{refused}");
    assert!(!refused.is_retryable());
    let opened = factory.create_reader_group_if_absent(group.group(), &other).await;
    let (opened, creation) = opened.unwrap();
    assert_eq!(creation, Creation::AlreadyExisted);
    let found = opened.configuration().await.unwrap();
    assert_eq!(found.automatic_checkpoint_interval(), None);
}

#[tokio::test]
async fn a_group_whose_creator_ended_in_the_middle_is_repaired_by_the_next_client() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let (one, two) = (in_scope_of(&stream, "one"), in_scope_of(&stream, "two"));
    let configuration = quick(std::slice::from_ref(&stream));
    for group in [&one, &two] {
        let first = configuration.clone().with_identity(Uuid::new_v4(), Some(0));
        factory.controller().create_reader_group(group, &first).await.unwrap();
    }
    let opened = factory.reader_group(&one).await.unwrap();
    assert_eq!(opened.describe().await.unwrap().unassigned.len(), 2);
    let (created, creation) = create(&factory, &two, &configuration).await.unwrap();
    assert_eq!(creation, Creation::Created);
    assert_eq!(created.describe().await.unwrap().unassigned.len(), 2);
}

#[tokio::test]
async fn many_clients_that_create_a_group_at_once_get_the_same_one() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 3).await;
    let name = in_scope_of(&stream, "billing");
    let configuration = quick(std::slice::from_ref(&stream));
    let creating = (0..8).map(|_| create(&factory, &name, &configuration));
    let groups = futures_util::future::try_join_all(creating).await.unwrap();
    let created = groups.iter().filter(|(_, creation)| *creation == Creation::Created).count();
    assert_eq!(created, 1);
    let mut ids = Vec::new();
    for (group, _) in &groups {
        ids.push(group.configuration().await.unwrap().id());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_group_reads_parts_of_many_streams_in_several_scopes() {
    let factory = factory().await;
    let controller = factory.controller();
    let (head, tail) = (new_stream(controller, 1).await, new_stream(controller, 2).await);
    let bounded = new_stream(controller, 1).await;
    write(&factory, &tail, 4).await;
    write(&factory, &bounded, 5).await;
    let cut =
        |offset| BoundedCut::new(bounded.clone(), [(SegmentId::from(0), Offset(offset))]).unwrap();
    let part = |stream: &ScopedStream, from, until| {
        let (factory, stream) = (factory.clone(), stream.clone());
        async move { factory.reader_group_part(&stream, from, until).await.unwrap() }
    };
    let parts = [
        part(&head, StreamPosition::Head, ReadUntil::Sealed).await,
        part(&tail, StreamPosition::Tail, ReadUntil::Sealed).await,
        part(&bounded, StreamPosition::Cut(cut(20)), ReadUntil::Tail).await,
    ];
    assert_eq!(parts[0].from, StreamCut::Unbounded);
    assert_eq!(parts[2].to, cut(100).into());
    let configuration = ReaderGroupConfiguration::bounded(parts).unwrap();
    let name = in_scope_of(&head, "wide");
    let (group, _) = create(&factory, &name, &configuration).await.unwrap();
    let described = group.describe().await.unwrap();
    let places_of = |stream: &ScopedStream| -> Vec<(i64, Option<SegmentOffset>)> {
        let places = described.unassigned.iter();
        places
            .filter(|place| place.segment.scoped_stream() == *stream)
            .map(|place| (place.offset.to_wire(), place.end))
            .collect()
    };
    assert_eq!(places_of(&head), [(0, None)]);
    assert_eq!(places_of(&bounded), [(20, Some(at(100)))]);
    let starts: Vec<i64> = places_of(&tail).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!((starts.len(), starts.iter().sum::<i64>()), (2, 80), "all four are before the tail");
}

async fn refused(entry: GroupStream) -> ReaderGroupError {
    let factory = factory().await;
    let scope = new_scope(factory.controller()).await;
    let name = pravega_sdk_types::ScopedReaderGroup::new(scope, unique("g").parse().unwrap());
    let configuration = ReaderGroupConfiguration::bounded([entry]).unwrap();
    let error = create(&factory, &name, &configuration).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
    let found = factory.controller().reader_group_configuration(&name).await.unwrap_err();
    assert_eq!(found.kind(), ErrorKind::NotFound, "nothing was created");
    error
}

#[tokio::test]
async fn cuts_that_a_group_could_not_read_from_are_refused_before_anything_is_created() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    write(&factory, &stream, 3).await;
    let cut = |offsets: &[(i64, i64)]| -> StreamCut {
        let offsets = offsets.iter().map(|(id, offset)| (SegmentId::from(*id), Offset(*offset)));
        BoundedCut::new(stream.clone(), offsets).unwrap().into()
    };
    let whole = StreamCut::Unbounded;
    for (from, to, expected) in [
        (cut(&[(0, 0)]), whole.clone(), "holds no segment for a part of the key space"),
        (whole.clone(), cut(&[(1, 0)]), "holds no segment for a part of the key space"),
        (cut(&[(0, 0), (7, 0)]), whole.clone(), "does not have this segment"),
        (cut(&[(0, 0), (1, 9999)]), whole.clone(), "is after the end of segment"),
        (cut(&[]), whole.clone(), "a stream cut without segments"),
    ] {
        let error = refused(GroupStream { stream: stream.clone(), from, to }).await;
        assert_eq!(error.kind(), ErrorKind::InvalidStreamCut, "{error}");
        let causes = format!("{error}: {:?}", std::error::Error::source(&error));
        assert!(causes.contains(expected), "{causes}");
    }
    let missing: ScopedStream = format!("{}/missing", stream.scope()).parse().unwrap();
    let error =
        refused(GroupStream { stream: missing, from: whole.clone(), to: whole.clone() }).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_handle_does_not_delete_a_later_group_of_its_name() {
    let (factory, stream, old) = group_of(1).await;
    old.delete().await.unwrap();
    let (_, new, _) = new_group(&stream, "billing").await;
    assert_eq!(old.delete().await.unwrap(), Deletion::NotFound);
    assert_eq!(old.describe().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(new.describe().await.unwrap().unassigned.len(), 1);
    assert_eq!(factory.delete_reader_group(new.group()).await.unwrap(), Deletion::Deleted);
}

/// As clients wrote it before groups were registered.
#[tokio::test]
async fn a_group_that_the_controller_does_not_know_is_opened_reset_and_deleted() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let name = in_scope_of(&stream, "old");
    let configuration = quick(std::slice::from_ref(&stream));
    let controller = factory.controller();
    let state = StreamConfiguration::default();
    let init = GroupInit::new(
        configuration.clone(),
        [0, 1].map(|number| (segment(&stream, number).into(), at(0))),
    );
    for is_reset in [false, true] {
        controller.create_stream(&name.state_stream(), &state).await.unwrap();
        let context = factory.segment_context();
        let mut store = GroupStore::open(context, &name, StateConfig::default()).await.unwrap();
        store.initialize(init.clone()).await.unwrap();
        let group = factory.reader_group(&name).await.unwrap();
        assert!(group.configuration().await.unwrap().id().is_nil());
        if is_reset {
            group.reset(&configuration).await.unwrap();
            let registered = controller.reader_group_configuration(&name).await.unwrap();
            assert_eq!(group.configuration().await.unwrap(), registered);
            assert_eq!(registered.generation(), Some(0));
        }
        assert_eq!(factory.delete_reader_group(&name).await.unwrap(), Deletion::Deleted);
        assert!(!controller.stream_exists(&name.state_stream()).await.unwrap());
    }
}
