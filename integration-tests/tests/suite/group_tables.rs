//! Groups whose state is in a table: how they are created, found and deleted, and what they cost.

use std::time::Duration;

use futures_util::{StreamExt as _, future::try_join_all};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::{Creation, Deletion};
use pravega_sdk_event_stream::{
    codec::{Raw, Utf8},
    group::{
        GroupHandleConfig, GroupReader, GroupReaderConfig, GroupStorage, GroupStore, GroupUpdate,
        ReaderGroup, ReaderGroupState,
    },
};
use pravega_sdk_integration_tests::harness::{
    FAR, factory,
    frames::{Fate, Frame, FrameProxy, Sender},
    new_stream,
    through::{store_of, through},
};
use pravega_sdk_table_synchronizer::{
    RevisionedStream, RevisionedStreamConfig, StateConfig, SynchronizerConfig, TableChanges,
    TableSynchronizer,
};
use pravega_sdk_types::{
    ErrorKind, Outcome, ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream, SegmentId,
};
use pravega_sdk_wire_protocol::{WireCommand, codes::FailureCode, commands::ErrorMessage};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

const REFRESH: Duration = Duration::from_millis(300);

fn configuration(stream: &ScopedStream) -> ReaderGroupConfiguration {
    ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_automatic_checkpoint_interval(None)
        .with_refresh_interval(REFRESH)
}

fn name(stream: &ScopedStream) -> ScopedReaderGroup {
    ScopedReaderGroup::new(stream.scope().clone(), "billing".parse().unwrap())
}

fn in_table() -> GroupHandleConfig {
    GroupHandleConfig::default().with_storage(GroupStorage::Table)
}

/// Creates a group in a table, which reads a stream.
async fn create(
    factory: &ClientFactory,
    name: &ScopedReaderGroup,
    stream: &ScopedStream,
) -> (ReaderGroup, Creation) {
    let configuration = configuration(stream);
    factory.create_reader_group_with(name, &configuration, in_table()).await.unwrap()
}

async fn group_in_table(segments: u32) -> (ClientFactory, ScopedStream, ReaderGroup) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), segments).await;
    let (group, creation) = create(&factory, &name(&stream), &stream).await;
    assert_eq!(creation, Creation::Created);
    (factory, stream, group)
}

/// The settings of the table of a group with an id.
fn table_config(id: Uuid) -> SynchronizerConfig {
    let (high, low) = id.as_u64_pair();
    let segment = SegmentId::from(((high ^ low) & 0x7FFF_FFFF_7FFF_FFFF) as i64);
    SynchronizerConfig::default().with_segment(segment)
}

/// Returns true if the table of a group exists.
async fn has_table(factory: &ClientFactory, group: &ScopedReaderGroup, id: Uuid) -> bool {
    let config = table_config(id);
    let context = factory.segment_context();
    let opened =
        TableSynchronizer::open_existing(context, &group.state_table(), Raw, Raw, config).await;
    match opened {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_handles_find_the_table_by_themselves() {
    let (factory, stream, group) = group_in_table(2).await;
    assert_eq!(group.storage(), GroupStorage::Table);
    let opened = factory.reader_group(group.group()).await.unwrap();
    assert_eq!(opened.storage(), GroupStorage::Table);
    assert_eq!(opened.describe().await.unwrap().storage, GroupStorage::Table);
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "one").await.unwrap();
    let id = "r1".parse().unwrap();
    let mut reader = factory.group_reader(group.group(), &id, Utf8).await.unwrap();
    let read = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(read.into_event().unwrap().event(), "one");
    let described = opened.describe().await.unwrap();
    assert_eq!(described.readers.len(), 1);
    assert!(described.readers[0].lease.is_some(), "leases are beside the mark");
    reader.close(FAR).await.unwrap();
    assert_eq!(opened.online_readers().await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_keeps_its_storage_whatever_a_client_wants() {
    let (factory, stream, group) = group_in_table(1).await;
    let (name, configuration) = (group.group(), configuration(&stream));
    let refused = factory.create_reader_group(name, &configuration).await.unwrap_err();
    let found = (refused.kind(), refused.outcome());
    assert_eq!(found, (ErrorKind::AlreadyExists, Outcome::NotApplied), "{refused}");
    assert!(refused.to_string().contains("differs in: the storage"), "{refused}");
    let opened = factory.create_reader_group_if_absent(name, &configuration).await.unwrap();
    assert_eq!((opened.0.storage(), opened.1), (GroupStorage::Table, Creation::AlreadyExisted));
    group.reset(&configuration).await.unwrap();
    let reset = factory.reader_group(name).await.unwrap().describe().await.unwrap();
    assert_eq!(reset.storage, GroupStorage::Table);
    assert_eq!(reset.configuration.generation(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_create_a_group_at_once_with_any_storage_get_the_same_one() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    for round in 0..20 {
        let name = format!("{}/group-{round}", stream.scope()).parse().unwrap();
        let configuration = configuration(&stream);
        let creating = (0..6_u32).map(|number| {
            let storage = if number % 2 == 0 { GroupStorage::Table } else { GroupStorage::Stream };
            let config = GroupHandleConfig::default().with_storage(storage);
            ReaderGroup::create_if_absent(factory.segment_context(), &name, &configuration, config)
        });
        let creating: Vec<_> = creating.map(Box::pin).collect::<Vec<_>>();
        let found = try_join_all(creating).await.unwrap();
        let storage = found[0].0.storage();
        assert!(found.iter().all(|(group, _)| group.storage() == storage));
        let created = found.iter().filter(|(_, creation)| *creation == Creation::Created);
        assert_eq!(created.count(), 1);
        let id = found[0].0.configuration().await.unwrap().id();
        for (group, _) in &found {
            assert_eq!(group.describe().await.unwrap().unassigned.len(), 1);
        }
        if storage == GroupStorage::Stream {
            assert!(!has_table(&factory, &name, id).await, "a table that is not used is left");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_deleted_with_its_group_also_after_another_client_has_deleted_that() {
    let (factory, stream, group) = group_in_table(1).await;
    let (name, id) = (group.group().clone(), group.configuration().await.unwrap().id());
    assert!(has_table(&factory, &name, id).await);
    assert_eq!(factory.delete_reader_group(&name).await.unwrap(), Deletion::Deleted);
    assert!(!has_table(&factory, &name, id).await);
    assert_eq!(group.delete().await.unwrap(), Deletion::NotFound);

    // As a client of REST does it.
    let (next, _) = create(&factory, &name, &stream).await;
    let id = next.configuration().await.unwrap().id();
    factory.controller().delete_reader_group(&name, id).await.unwrap();
    let missing = next.describe().await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    assert!(has_table(&factory, &name, id).await);
    // The next group of the name does not see what is left.
    let (last, creation) = create(&factory, &name, &stream).await;
    assert_eq!((creation, last.describe().await.unwrap().readers.len()), (Creation::Created, 0));
    assert_eq!(next.delete().await.unwrap(), Deletion::Deleted, "its table");
    assert!(!has_table(&factory, &name, id).await);
    assert_eq!(last.describe().await.unwrap().unassigned.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creator_that_ends_before_the_mark_leaves_nothing_in_the_way() {
    let (factory, stream, group) = group_in_table(1).await;
    let id = group.configuration().await.unwrap().id();
    // The table of a group that is registered and has no mark.
    let other: ScopedReaderGroup = format!("{}/other", stream.scope()).parse().unwrap();
    let first = configuration(&stream).with_identity(Uuid::new_v4(), Some(0));
    let registered = factory.controller().create_reader_group(&other, &first).await.unwrap();
    assert_ne!(registered.id(), id);
    let config = table_config(registered.id());
    let context = factory.segment_context();
    TableSynchronizer::open(context, &other.state_table(), Raw, Raw, config).await.unwrap();
    let (created, creation) = create(&factory, &other, &stream).await;
    assert_eq!((creation, created.storage()), (Creation::Created, GroupStorage::Table));
    assert_eq!(created.describe().await.unwrap().unassigned.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creator_that_is_slower_than_the_deletion_of_its_group_leaves_no_table() {
    let (factory, stream, _) = group_in_table(1).await;
    let other: ScopedReaderGroup = format!("{}/other", stream.scope()).parse().unwrap();
    let first = configuration(&stream).with_identity(Uuid::new_v4(), Some(0));
    let id = factory.controller().create_reader_group(&other, &first).await.unwrap().id();
    let state = other.state_stream();
    let store = store_of(&factory, &state).await;
    let text = state.stream().to_string();
    let is_mark = move |frame: &Frame| {
        let command = format!("{:?}", frame.command);
        frame.sender == Sender::Client && command.contains("SetupAppend") && command.contains(&text)
    };
    let holds = is_mark.clone();
    let rule = move |frame: &Frame| if holds(frame) { Fate::Hold } else { Fate::Forward };
    let proxy = FrameProxy::start(store, rule).await;
    let (context, name) = (through(&factory, proxy.address()), other.clone());
    let creating = tokio::spawn(async move {
        let config = in_table().with_timeout(Duration::from_secs(20));
        ReaderGroup::create_if_absent(context, &name, &configuration(&stream), config).await
    });
    let connection = proxy.wait_for("the mark is on its way", is_mark).await;
    assert!(has_table(&factory, &other, id).await);
    // As a client of REST does it.
    factory.controller().delete_reader_group(&other, id).await.unwrap();
    proxy.release(connection);
    let error = creating.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(!has_table(&factory, &other, id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_reply_is_lost_is_made_once_and_is_in_the_copy() {
    let (factory, _, group) = group_in_table(4).await;
    for lost in 1..5_u32 {
        let mut seen = 0;
        let rule = move |frame: &Frame| {
            let WireCommand::TableEntriesUpdated(reply) = &frame.command else {
                return Fate::Forward;
            };
            seen += 1;
            let (request_id, error_code) = (reply.request_id, FailureCode::Unspecified);
            let (segment, message) = ("".into(), "".into());
            let failure = ErrorMessage { request_id, segment, message, error_code };
            if seen == lost { Fate::Replace(Box::new(failure.into())) } else { Fate::Forward }
        };
        let store = store_of(&factory, &group.group().state_stream()).await;
        let proxy = FrameProxy::start(store, rule).await;
        let context = through(&factory, proxy.address());
        let opened = GroupStore::open(context, group.group(), StateConfig::default()).await;
        let mut state = opened.unwrap();
        let reader: std::sync::Arc<str> = format!("reader-{lost}").into();
        let join = GroupUpdate::AddReader { reader: reader.clone() };
        state.change(|_, updates| updates.push(join.clone())).await.unwrap();
        let take = |state: &ReaderGroupState, updates: &mut Vec<GroupUpdate>| {
            let free = state.unassigned().segments().next().expect("a free segment").clone();
            updates.push(GroupUpdate::AcquireSegment { reader: reader.clone(), segment: free });
        };
        state.change(take).await.unwrap();
        assert_eq!(state.state().unwrap().assigned(&reader).unwrap().len(), 1);
        let described = group.describe().await.unwrap();
        assert_eq!(described.unassigned.len(), 4 - lost as usize, "reply {lost}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_client_writes_into_the_stream_means_nothing() {
    let (factory, _, group) = group_in_table(1).await;
    let state = group.group().state_stream();
    let context = factory.segment_context();
    let raw = RevisionedStream::open(context, &state, RevisionedStreamConfig::default()).await;
    let raw = raw.unwrap();
    let update = GroupUpdate::AddReader { reader: "ghost".into() }.to_bytes().unwrap();
    let len = u8::try_from(update.len()).unwrap();
    raw.write([&[0, 0, 0, 2, 0, 0, 0, len], &update[..]].concat()).await.unwrap();
    for entry in [&b"\x00\x00\x00\x02"[..], b"\x00\x00\x00\x02\x00\x00\x00\x03foreign"] {
        raw.write(entry).await.unwrap();
        assert_eq!(group.online_readers().await.unwrap().len(), 0);
        let opened = factory.reader_group(group.group()).await.unwrap();
        assert_eq!(opened.online_readers().await.unwrap().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_entry_of_the_table_fails_each_call() {
    let (factory, _, group) = group_in_table(1).await;
    let id = group.configuration().await.unwrap().id();
    let config = table_config(id);
    let (context, table) = (factory.segment_context(), group.group().state_table());
    let opened = TableSynchronizer::open_existing(context, &table, Raw, Raw, config).await;
    let mut table = opened.unwrap();
    table.update(|entries| entries.put("h", "foreign")).await.unwrap();
    for error in [
        group.describe().await.unwrap_err(),
        group.reader_offline("r1", None).await.unwrap_err(),
        factory.reader_group(group.group()).await.unwrap_err(),
    ] {
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::Corrupt, Outcome::NotApplied), "{error}");
    }
    group.delete().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_does_not_fit_is_refused_and_harms_no_other_client() {
    let (factory, stream, group) = group_in_table(1).await;
    let context = factory.segment_context();
    let opened = GroupStore::open(context, group.group(), StateConfig::default()).await;
    let mut faulty = opened.unwrap();
    let segment = pravega_sdk_types::ScopedSegment::new(&stream, SegmentId::from(9));
    let update = GroupUpdate::AcquireSegment { reader: "ghost".into(), segment };
    let refused = faulty.report(update).await.unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Corrupt, Outcome::NotApplied));
    assert_eq!(group.describe().await.unwrap().unassigned.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_many_clients_at_once_are_made_one_after_the_other() {
    let (factory, _, group) = group_in_table(1).await;
    let changing = (0..8).map(|number| {
        let (context, name) = (factory.segment_context(), group.group().clone());
        tokio::spawn(async move {
            let config = StateConfig::default();
            let mut store = GroupStore::open(context, &name, config).await.unwrap();
            for round in 0..10 {
                let update = GroupUpdate::AddReader { reader: reader_of(number, round) };
                store.change(|_, updates| updates.push(update.clone())).await.unwrap();
                let report = GroupUpdate::UpdateDistanceToTail {
                    reader: reader_of(number, round),
                    lag_ms: 40_000 + i64::from(round),
                    read: Vec::new(),
                };
                store.change(|_, updates| updates.push(report.clone())).await.unwrap();
                let online = store.state().unwrap().readers().len();
                assert!(online > round as usize, "its own are in its copy: {online}");
            }
        })
    });
    for changed in changing.collect::<Vec<_>>() {
        changed.await.unwrap();
    }
    let described = group.describe().await.unwrap();
    assert_eq!(described.readers.len(), 80);
    assert!(described.readers.iter().all(|reader| reader.reported_load.is_some()));
}

fn reader_of(number: u32, round: u32) -> std::sync::Arc<str> {
    format!("reader-{number}-{round}").into()
}

/// The requests of a client that have arrived at the proxy, but for leases and events.
fn requests(proxy: &FrameProxy) -> usize {
    let is_about_state = |frame: &Frame| {
        let text = format!("{:?}", frame.command);
        frame.sender == Sender::Client && text.contains("/_RG") && !text.contains("Attribute")
    };
    proxy.seen().iter().filter(|frame| is_about_state(frame)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_reader_makes_three_requests_about_the_state_an_interval() {
    let (factory, _, group) = group_in_table(1).await;
    let store = store_of(&factory, &group.group().state_stream()).await;
    let proxy = FrameProxy::start(store, |_| Fate::Forward).await;
    let (context, id) = (through(&factory, proxy.address()), "one".parse().unwrap());
    let config = GroupReaderConfig::default();
    let opened = GroupReader::open(context, group.group(), &id, Utf8, config).await;
    let mut reader = opened.unwrap();
    let mut made = Vec::new();
    for _ in 0..10 {
        let (begun, before) = (Instant::now(), requests(&proxy));
        drop(timeout(5 * REFRESH, reader.next()).await);
        let looks = (begun.elapsed().as_millis() / REFRESH.as_millis()) as usize + 1;
        let count = requests(&proxy) - before;
        made.push(count);
        if (1..=3 * looks).contains(&count) {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("{made:?} requests in five intervals each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_not_seen_in_its_scope_and_its_group_is() {
    let (factory, stream, group) = group_in_table(1).await;
    let groups: Vec<_> = factory.reader_groups(stream.scope().clone()).collect().await;
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].as_ref().unwrap(), group.group());
}

/// Tests in which tables of a name are created again, which run on the embedded server only.
mod created_again {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_of_a_creator_that_ended_before_the_mark_is_deleted_with_its_group() {
        let (factory, stream, _) = group_in_table(1).await;
        let other: ScopedReaderGroup = format!("{}/other", stream.scope()).parse().unwrap();
        let first = configuration(&stream).with_identity(Uuid::new_v4(), Some(0));
        let id = factory.controller().create_reader_group(&other, &first).await.unwrap().id();
        let open_table = async |id: Uuid| {
            let (context, config) = (factory.segment_context(), table_config(id));
            TableSynchronizer::open(context, &other.state_table(), Raw, Raw, config).await.unwrap()
        };
        drop(open_table(id).await);
        // A client that opens the group gives it its state, and knows of no table.
        let opened = factory.reader_group(&other).await.unwrap();
        assert_eq!(opened.storage(), GroupStorage::Stream);
        assert!(has_table(&factory, &other, id).await);
        assert_eq!(opened.delete().await.unwrap(), Deletion::Deleted);
        assert!(!has_table(&factory, &other, id).await);
        // So does a client that has only the name.
        let id = factory.controller().create_reader_group(&other, &first).await.unwrap().id();
        drop(open_table(id).await);
        assert_eq!(factory.delete_reader_group(&other).await.unwrap(), Deletion::Deleted);
        assert!(!has_table(&factory, &other, id).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_copy_follows_a_table_that_was_created_again_and_one_of_another_group_of_the_name() {
        let (factory, stream, group) = group_in_table(1).await;
        let (name, id) = (group.group().clone(), group.configuration().await.unwrap().id());
        let context = factory.segment_context();
        let mut store = GroupStore::open(context, &name, StateConfig::default()).await.unwrap();
        store.fetch().await.unwrap();
        let update = GroupUpdate::AddReader { reader: "one".into() };
        store.change(|_, updates| updates.push(update.clone())).await.unwrap();
        // The same entries in another table of the same segment: a copy of the state without a
        // reader.
        let open = async || {
            let (context, config) = (factory.segment_context(), table_config(id));
            TableSynchronizer::open(context, &name.state_table(), Raw, Raw, config).await.unwrap()
        };
        let entries: Vec<_> = open().await.state().entries().map(Result::unwrap).collect();
        let context = factory.segment_context();
        TableSynchronizer::delete(context, &name.state_table(), &table_config(id)).await.unwrap();
        let missing = store.fetch().await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
        let restored = entries.iter().filter(|(key, _)| !key.ends_with(b"one"));
        let restored: Vec<_> = restored.filter(|(key, _)| !key.ends_with(b"one\0\0\0\0")).collect();
        let put = |table: &mut TableChanges<'_, Raw, Raw>| {
            restored.iter().try_for_each(|(key, value)| table.put(key.clone(), value.clone()))
        };
        open().await.update(put).await.unwrap();
        store.fetch().await.unwrap();
        assert_eq!(store.state().unwrap().readers().len(), 0, "the state as it was restored");
        store.change(|_, updates| updates.push(update.clone())).await.unwrap();
        assert_eq!(store.state().unwrap().readers().len(), 1);

        // A group of the same name has another table, and the copy is none of it.
        assert_eq!(factory.delete_reader_group(&name).await.unwrap(), Deletion::Deleted);
        let (_next, _) = create(&factory, &name, &stream).await;
        let missing = store.fetch().await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
        let missing = store.change(|_, updates| updates.push(update.clone())).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    }
}
