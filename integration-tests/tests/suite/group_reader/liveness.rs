//! Readers that end without leaving their group, and readers that cannot renew their leases.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{
        GroupReader, GroupReaderConfig, GroupReaderNotice, GroupUpdate,
        liveness::{LeasePhase, LeaseStore, LeaseTimes, LeaseValue},
    },
};
use pravega_sdk_integration_tests::harness::{
    FAR, eventually, factory,
    frames::{Fate, Frame, FrameProxy},
    new_stream,
    through::{store_of, through},
};
use pravega_sdk_types::{ErrorKind, ScopedReaderGroup, ScopedSegment};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::timeout;

use super::support::{
    Reader, configuration, create, new_group, next, next_event, next_within, open, read_all, state,
    store, update, write,
};

pub(super) const LEASE: Duration = Duration::from_secs(2);

pub(super) fn config() -> GroupReaderConfig {
    GroupReaderConfig::default().with_lease(Some(LEASE))
}

pub(super) async fn open_leased(
    factory: &ClientFactory,
    group: &ScopedReaderGroup,
    id: &str,
) -> Reader {
    let id = id.parse().unwrap();
    factory.group_reader_with(group, &id, Utf8, config()).await.unwrap()
}

pub(super) async fn leases(factory: &ClientFactory, group: &ScopedReaderGroup) -> LeaseStore {
    let state = store(factory, group).await.segment().clone();
    LeaseStore::new(factory.segment_context(), state, LeaseTimes::new(FAR))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_set_only_if_it_has_the_expected_value() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    let leases = leases(&factory, &group).await;
    let claimed = LeaseValue::claimed(LeaseTimes::new(LEASE), 7);
    assert_eq!(leases.read("one").await.unwrap(), None);
    for (expected, new, is_set) in [
        (Some(claimed), Some(claimed.dead()), false),
        (None, Some(claimed), true),
        (None, Some(claimed), false),
        (Some(claimed), Some(claimed.dead()), true),
        (Some(claimed), Some(claimed.renewed(1)), false),
        (Some(claimed.dead()), None, true),
    ] {
        let before = leases.read("one").await.unwrap();
        let swapped = leases.swap("one", expected, new).await.unwrap();
        assert_eq!(swapped, is_set, "{expected:?} to {new:?}");
        let after = if is_set { new } else { before };
        assert_eq!(leases.read("one").await.unwrap(), after);
    }
    assert_eq!(leases.read("two").await.unwrap(), None);
    let never = ScopedReaderGroup::new(stream.scope().clone(), "never".parse().unwrap());
    let never = ScopedSegment::new(&never.state_stream(), 0.into());
    let missing = LeaseStore::new(factory.segment_context(), never, LeaseTimes::new(FAR));
    assert_eq!(missing.read("one").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_deleted_and_created_again_has_readers_with_leases() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let name = ScopedReaderGroup::new(stream.scope().clone(), "again".parse().unwrap());
    write(&factory, &stream, 0..10).await;
    for _ in 0..3 {
        let configuration = configuration(&stream);
        let group = create(&factory, &name, &configuration).await;
        let mut reader = open_leased(&factory, &name, "one").await;
        for _ in 0..10 {
            next_event(&mut reader).await;
        }
        let leases = leases(&factory, &name).await;
        assert_ne!(leases.read("one").await.unwrap(), None, "in the group that is there now");
        reader.close(FAR).await.unwrap();
        group.delete().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_dropped_is_taken_offline_by_another_and_nothing_is_lost() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    let group = new_group(&factory, &stream, 4, configuration(&stream), Vec::new()).await;
    // A reader of another client is left alone.
    update(&factory, &group, GroupUpdate::AddReader { reader: "java".into() }).await;
    write(&factory, &stream, 0..200).await;
    let mut dies = open_leased(&factory, &group, "dies").await;
    let mut read = Vec::new();
    for _ in 0..50 {
        read.push(next_event(&mut dies).await);
    }
    let mut other = [open_leased(&factory, &group, "other").await];
    let lease = leases(&factory, &group).await.read("dies").await.unwrap().unwrap();
    assert_eq!((lease.phase(), lease.length()), (LeasePhase::Member, LEASE));
    drop(dies);
    let wanted: BTreeSet<String> =
        (0..200).map(|number| format!("{}:{number}", number % 23)).collect();
    let deadline = tokio::time::Instant::now() + FAR;
    let mut seen: BTreeSet<String> = read.iter().map(|event| event.event().clone()).collect();
    while seen != wanted {
        assert!(tokio::time::Instant::now() < deadline, "{} of 200", seen.len());
        if let Some(item) = next_within(&mut other[0], Duration::from_millis(20)).await {
            seen.extend(item.unwrap().into_event().map(|event| event.event().clone()));
        }
    }
    let state = state(&factory, &group).await;
    let readers: Vec<_> = state.readers().map(ToString::to_string).collect();
    assert_eq!(readers, ["java", "other"]);
    let leases = leases(&factory, &group).await;
    eventually("the mark is cleared", async || leases.read("dies").await.unwrap().is_none()).await;
    let [mut other] = other;
    other.close(FAR).await.unwrap();
    eventually("the lease is given back", async || leases.read("other").await.unwrap().is_none())
        .await;
}

/// Opens a reader whose requests about leases are lost while the flag is set.
async fn open_behind(
    factory: &ClientFactory,
    group: &ScopedReaderGroup,
    id: &str,
    is_cut: Arc<AtomicBool>,
) -> (Reader, FrameProxy) {
    let rule = move |frame: &Frame| match &frame.command {
        WireCommand::UpdateSegmentAttribute(_) | WireCommand::GetSegmentAttribute(_)
            if is_cut.load(Ordering::SeqCst) =>
        {
            Fate::Lose
        }
        _ => Fate::Forward,
    };
    let proxy = FrameProxy::start(store_of(factory, &group.state_stream()).await, rule).await;
    let (context, id) = (through(factory, proxy.address()), id.parse().unwrap());
    let reader = GroupReader::open(context, group, &id, Utf8, config()).await.unwrap();
    (reader, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_cannot_renew_its_lease_returns_nothing_and_is_told_that_it_was_found_dead() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let group = new_group(&factory, &stream, 2, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..100).await;
    let is_cut = Arc::new(AtomicBool::new(false));
    let (mut reader, _proxy) = open_behind(&factory, &group, "cut", is_cut.clone()).await;
    let mut notices = reader.notices();
    next_event(&mut reader).await;
    is_cut.store(true, Ordering::SeqCst);
    tokio::time::sleep(LEASE).await;
    // There are events, and it must not return them.
    let silent = next_within(&mut reader, Duration::from_millis(300)).await;
    assert!(silent.is_none(), "{silent:?}");
    let mut other = [open_leased(&factory, &group, "other").await];
    let read = read_all(&mut other, 100).await;
    assert_eq!(read[0].len(), 100, "from the last checkpoint");
    is_cut.store(false, Ordering::SeqCst);
    let told = next(&mut reader).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::ReaderOffline, "{told}");
    assert!(told.to_string().contains("found it dead"), "{told}");
    assert!(reader.next().await.is_none());
    let mut has_run_out = false;
    drop(reader);
    while let Some(notice) = notices.next().await {
        has_run_out |= matches!(notice, GroupReaderNotice::LeaseRunOut);
    }
    assert!(has_run_out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_renewals_come_late_goes_on_after_it_has_read_the_state() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..10).await;
    let is_cut = Arc::new(AtomicBool::new(false));
    let (mut reader, _proxy) = open_behind(&factory, &group, "late", is_cut.clone()).await;
    next_event(&mut reader).await;
    is_cut.store(true, Ordering::SeqCst);
    tokio::time::sleep(LEASE).await;
    let silent = next_within(&mut reader, Duration::from_millis(300)).await;
    assert!(silent.is_none(), "{silent:?}");
    is_cut.store(false, Ordering::SeqCst);
    for _ in 1..10 {
        next_event(&mut reader).await;
    }
    reader.close(FAR).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_died_starts_again_under_its_id_and_one_that_lives_keeps_it() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..10).await;
    let mut dies = open_leased(&factory, &group, "one").await;
    next_event(&mut dies).await;
    drop(dies);
    let mut again = timeout(FAR, open_leased(&factory, &group, "one")).await.unwrap();
    for _ in 0..10 {
        next_event(&mut again).await;
    }
    let taken = open(&factory, &group, "one").await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{taken}");
    again.close(FAR).await.unwrap();
    open_leased(&factory, &group, "one").await.close(FAR).await.unwrap();
}
