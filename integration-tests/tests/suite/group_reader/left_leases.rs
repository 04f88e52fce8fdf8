//! Leases that are left by readers that are gone, or could not join.

use std::{
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
        GroupReader, GroupReaderConfig, GroupUpdate, Removal,
        liveness::{LeasePhase, LeaseValue},
    },
};
use pravega_sdk_integration_tests::harness::{
    FAR, eventually, factory,
    frames::{Fate, Frame, FrameProxy},
    new_stream,
    through::{store_of, through},
};
use pravega_sdk_types::{ErrorKind, ScopedReaderGroup};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, timeout},
};

use super::{
    liveness::{LEASE, config, leases, open_leased},
    support::{
        Reader, configuration, new_group, next, next_event, next_within, state, update, write,
    },
};

/// Lets a reader look at the state for a time. Its task watches the others.
async fn watch(reader: &mut Reader, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(item) = next_within(reader, Duration::from_millis(50)).await {
            item.unwrap();
        }
    }
}

async fn is_online(factory: &ClientFactory, group: &ScopedReaderGroup, id: &str) -> bool {
    state(factory, group).await.is_online(id)
}

/// A group with a reader that watches others, and one that has died.
async fn group_with_dead() -> (ClientFactory, ScopedReaderGroup, Reader) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let group = new_group(&factory, &stream, 2, configuration(&stream), Vec::new()).await;
    let mut other = open_leased(&factory, &group, "other").await;
    drop(open_leased(&factory, &group, "dies").await);
    watch(&mut other, Duration::from_millis(400)).await;
    (factory, group, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_without_a_lease_stays_under_the_id_of_one_that_was_taken_offline() {
    let (factory, group, mut other) = group_with_dead().await;
    let handle = factory.reader_group(&group).await.unwrap();
    assert_eq!(handle.reader_offline("dies", None).await.unwrap(), Removal::Removed);
    let leases = leases(&factory, &group).await;
    let left = leases.read("dies").await.unwrap().map(LeaseValue::phase);
    assert_eq!(left, Some(LeasePhase::TakenOut));
    // One of another client joins.
    update(&factory, &group, GroupUpdate::AddReader { reader: "dies".into() }).await;
    watch(&mut other, LEASE * 3).await;
    assert!(is_online(&factory, &group, "dies").await);
    assert_eq!(leases.read("dies").await.unwrap(), None, "the others have removed it");
    assert_eq!(handle.reader_offline("unknown", None).await.unwrap(), Removal::NotInGroup);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_opened_without_a_lease_stays_under_the_id_of_a_dead_one() {
    for is_in_group in [false, true] {
        let (factory, group, mut other) = group_with_dead().await;
        if !is_in_group {
            // By a client that does not know leases.
            let offsets = Vec::new();
            let remove = GroupUpdate::RemoveReader { reader: "dies".into(), offsets };
            update(&factory, &group, remove).await;
        }
        let id = "dies".parse().unwrap();
        let config = GroupReaderConfig::default().with_lease(None);
        let opening = factory.group_reader_with(&group, &id, Utf8, config.clone());
        let opened = timeout(FAR, opening).await.unwrap().unwrap();
        assert_eq!(leases(&factory, &group).await.read("dies").await.unwrap(), None);
        watch(&mut other, LEASE * 2).await;
        assert!(is_online(&factory, &group, "dies").await);
        let taken = factory.group_reader_with(&group, &id, Utf8, config.clone()).await;
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);
        let live = "other".parse().unwrap();
        let taken = factory.group_reader_with(&group, &live, Utf8, config).await;
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);
        drop(opened);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_gone_when_its_reader_has_closed_although_a_reply_is_lost() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    let leases = leases(&factory, &group).await;
    for is_request_lost in [false, true] {
        let loses = Arc::new(AtomicBool::new(false));
        let losing = Arc::clone(&loses);
        let rule = move |frame: &Frame| {
            let is_it = match &frame.command {
                WireCommand::UpdateSegmentAttribute(_) => is_request_lost,
                WireCommand::SegmentAttributeUpdated(_) => !is_request_lost,
                _ => false,
            };
            if is_it && losing.swap(false, Ordering::SeqCst) { Fate::Lose } else { Fate::Forward }
        };
        let store = store_of(&factory, &group.state_stream()).await;
        let proxy = FrameProxy::start(store, rule).await;
        let (context, id) = (through(&factory, proxy.address()), "one".parse().unwrap());
        let mut reader = GroupReader::open(context, &group, &id, Utf8, config()).await.unwrap();
        // Its first renewal is made, and the next one is not due.
        eventually("it is a member", async || {
            let found = leases.read("one").await.unwrap();
            found.is_some_and(|lease| lease.phase() == LeasePhase::Member)
        })
        .await;
        loses.store(true, Ordering::SeqCst);
        reader.close(FAR).await.unwrap();
        assert!(!loses.load(Ordering::SeqCst), "nothing was lost");
        assert_eq!(leases.read("one").await.unwrap(), None, "{is_request_lost}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_failed_is_taken_offline_although_the_program_keeps_it() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..1).await;
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    writer.write_all(b"bytes that are not an event").await.unwrap();
    writer.flush().await.unwrap();
    for closes in [true, false] {
        let mut fails = open_leased(&factory, &group, "fails").await;
        let failed = loop {
            if let Err(failed) = next(&mut fails).await {
                break failed;
            }
        };
        assert_eq!(failed.kind(), ErrorKind::Corrupt, "{failed}");
        assert!(fails.next().await.is_none());
        if closes {
            // It can leave by itself, also after its lease ran out.
            tokio::time::sleep(LEASE).await;
            fails.close(FAR).await.unwrap();
            continue;
        }
        let mut other = open_leased(&factory, &group, "other").await;
        let deadline = Instant::now() + FAR;
        while is_online(&factory, &group, "fails").await {
            assert!(Instant::now() < deadline, "its lease is renewed");
            // It fails at the same place when it gets the segment.
            drop(next_within(&mut other, Duration::from_millis(50)).await);
        }
        assert_eq!(fails.close(FAR).await.unwrap_err().kind(), ErrorKind::ReaderOffline);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_an_open_that_failed_or_was_dropped_is_removed() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    let leases = leases(&factory, &group).await;
    for is_dropped in [false, true] {
        let is_cut = Arc::new(AtomicBool::new(true));
        let cut = Arc::clone(&is_cut);
        // The reader has a lease and cannot join.
        let rule = move |frame: &Frame| match &frame.command {
            WireCommand::SetupAppend(_) | WireCommand::UpdateTableEntries(_)
                if cut.load(Ordering::SeqCst) =>
            {
                Fate::Lose
            }
            _ => Fate::Forward,
        };
        let store = store_of(&factory, &group.state_stream()).await;
        let proxy = FrameProxy::start(store, rule).await;
        let context = through(&factory, proxy.address());
        let limit = if is_dropped { FAR } else { Duration::from_secs(1) };
        let config = config().with_timeout(limit);
        let name = group.clone();
        let opening = tokio::spawn(async move {
            let id = "one".parse().unwrap();
            GroupReader::open(context, &name, &id, Utf8, config).await
        });
        eventually("it has a lease", async || leases.read("one").await.unwrap().is_some()).await;
        if is_dropped {
            opening.abort();
            assert!(opening.await.unwrap_err().is_cancelled());
        } else {
            let failed = opening.await.unwrap().unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::Timeout, "{failed}");
        }
        is_cut.store(false, Ordering::SeqCst);
        eventually("the lease is removed", async || leases.read("one").await.unwrap().is_none())
            .await;
        assert!(!is_online(&factory, &group, "one").await);
    }
    let mut next = timeout(FAR, open_leased(&factory, &group, "one")).await.unwrap();
    next.close(FAR).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_shows_leases_and_takes_dead_readers_out_of_a_group_without_a_live_one() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..10).await;
    let handle = factory.reader_group(&group).await.unwrap();
    assert_eq!(handle.take_out_dead(FAR).await.unwrap(), Vec::<Arc<str>>::new());
    update(&factory, &group, GroupUpdate::AddReader { reader: "java".into() }).await;
    for id in ["dies", "too"] {
        let mut dies = open_leased(&factory, &group, id).await;
        if id == "dies" {
            next_event(&mut dies).await;
        }
    }
    let described = handle.describe().await.unwrap();
    let found: Vec<_> = described
        .readers
        .iter()
        .map(|reader| (&*reader.id, reader.lease.map(LeaseValue::length)))
        .collect();
    assert_eq!(found, [("dies", Some(LEASE)), ("java", None), ("too", Some(LEASE))]);
    let late = handle.take_out_dead(Duration::from_millis(10)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
    let mut taken = handle.take_out_dead(FAR).await.unwrap();
    taken.sort();
    assert_eq!(taken, ["dies".into(), "too".into()]);
    assert_eq!(handle.online_readers().await.unwrap(), ["java".into()]);
    let lives = open_leased(&factory, &group, "lives").await;
    assert_eq!(handle.take_out_dead(FAR).await.unwrap(), Vec::<Arc<str>>::new());
    drop(lives);
    let leases = leases(&factory, &group).await;
    for id in ["dies", "too"] {
        assert_eq!(leases.read(id).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_joins_and_dies_while_the_program_of_another_is_busy_is_taken_offline() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let group = new_group(&factory, &stream, 2, configuration(&stream), Vec::new()).await;
    let mut busy = open_leased(&factory, &group, "busy").await;
    watch(&mut busy, Duration::from_millis(200)).await;
    // From here on its program does not poll it.
    drop(open_leased(&factory, &group, "dies").await);
    assert!(is_online(&factory, &group, "dies").await);
    eventually("the dead one is taken offline", async || {
        !is_online(&factory, &group, "dies").await
    })
    .await;
    assert!(is_online(&factory, &group, "busy").await);
    // It goes on when it is polled.
    write(&factory, &stream, 0..1).await;
    next_event(&mut busy).await;
}
