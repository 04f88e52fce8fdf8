//! Transactions against a real server.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::try_join_all;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{TransactionConfig, TransactionalWriter, codec::Utf8};
use pravega_sdk_integration_tests::harness::{
    self, FAR, eventually, factory, new_stream, read_all, scale, scale_all,
};
use pravega_sdk_types::{ErrorKind, KeyRange, Outcome, ScopedStream, SegmentId, TransactionId};
use uuid::Uuid;

async fn writer(
    factory: &ClientFactory,
    stream: &ScopedStream,
    lease: Duration,
) -> TransactionalWriter<Utf8> {
    factory
        .transactional_writer_with(stream, Utf8, TransactionConfig::default().with_lease(lease))
        .await
        .unwrap()
}

async fn texts(factory: &ClientFactory, stream: &ScopedStream) -> Vec<String> {
    let events = read_all(factory, stream).await;
    events
        .into_iter()
        .map(|event| String::from_utf8(event.into_event().to_vec()).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_commits_even_if_it_is_empty_and_aborts_on_request_or_when_it_is_dropped() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let writer = writer(&factory, &stream, Duration::from_secs(30)).await;
    let empty = writer.begin().await.unwrap();
    assert_eq!(empty.status().await.unwrap(), TransactionState::Open);
    let committed = empty.commit().await.unwrap();
    committed.wait_until_visible(FAR).await.unwrap();
    assert_eq!(writer.status(committed.id()).await.unwrap(), TransactionState::Committed);

    let mut aborted = writer.begin().await.unwrap();
    aborted.write("k", "never visible").await.unwrap();
    let id = aborted.id();
    aborted.abort().await.unwrap();
    eventually("it is aborted", async || {
        writer.status(id).await.unwrap() == TransactionState::Aborted
    })
    .await;

    let mut dropped = writer.begin().await.unwrap();
    dropped.write("k", "nor this").await.unwrap();
    let id = dropped.id();
    drop(dropped);
    eventually("it is aborted", async || {
        writer.status(id).await.unwrap() == TransactionState::Aborted
    })
    .await;
    assert!(texts(&factory, &stream).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_events_are_invisible_before_the_commit_and_all_visible_after_it() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let writer = writer(&factory, &stream, Duration::from_secs(30)).await;
    let mut transaction = writer.begin().await.unwrap();
    for number in 0..100 {
        transaction
            .write(&format!("key-{}", number % 7), format!("key-{}:{number}", number % 7))
            .await
            .unwrap();
    }
    transaction.flush().await.unwrap();
    assert!(texts(&factory, &stream).await.is_empty());
    transaction.commit().await.unwrap().wait_until_visible(FAR).await.unwrap();
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for text in texts(&factory, &stream).await {
        let (key, number) = text.split_once(':').unwrap();
        keys.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    for (at, (key, numbers)) in keys.into_iter().enumerate() {
        let at = at as u32;
        assert_eq!(
            numbers,
            (0..100).filter(|number| number % 7 == at).collect::<Vec<_>>(),
            "{key}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_a_key_stay_together_and_in_order() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    let writer = writer(&factory, &stream, Duration::from_secs(30)).await;
    let mut transaction = writer.begin().await.unwrap();
    for number in 0..50 {
        transaction.write(None, number.to_string()).await.unwrap();
    }
    transaction.commit().await.unwrap().wait_until_visible(FAR).await.unwrap();
    assert_eq!(
        texts(&factory, &stream).await,
        (0..50).map(|number| number.to_string()).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_transactions_are_open_beyond_their_lease_and_all_commit() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let lease = Duration::from_secs(10);
    let mut open = Vec::new();
    let writers = try_join_all((0..99).map(|_| {
        factory.transactional_writer_with(
            &stream,
            Utf8,
            TransactionConfig::default().with_lease(lease),
        )
    }));
    for writer in writers.await.unwrap() {
        open.push(writer.begin().await.unwrap());
    }
    let one = writer(&factory, &stream, lease).await;
    for _ in 0..100 {
        open.push(one.begin().await.unwrap());
    }
    for (number, transaction) in open.iter_mut().enumerate() {
        transaction.write("k", format!("{number:03}:a")).await.unwrap();
    }
    tokio::time::sleep(lease + Duration::from_secs(3)).await;
    let count = open.len();
    for (number, mut transaction) in open.into_iter().enumerate() {
        transaction.write("k", format!("{number:03}:b")).await.unwrap();
        transaction.commit().await.unwrap();
    }
    eventually("all are visible", async || texts(&factory, &stream).await.len() == 2 * count).await;
    // Each transaction is whole: no event of another one is between its two events.
    let texts = texts(&factory, &stream).await;
    for pair in texts.chunks(2) {
        let number = &pair[0][..3];
        assert_eq!(pair, [format!("{number}:a"), format!("{number}:b")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_resumed_by_its_id_also_after_a_scale() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    scale(factory.controller(), &stream, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    let here = writer(&factory, &stream, Duration::from_secs(30)).await;
    let mut transaction = here.begin().await.unwrap();
    for number in 0..20 {
        transaction.write(&format!("k{number}"), format!("here {number}")).await.unwrap();
    }
    let id = transaction.leave_open().await.unwrap();
    drop(here);
    // Another process.
    let elsewhere = harness::factory().await;
    let there = writer(&elsewhere, &stream, Duration::from_secs(30)).await;
    let mut resumed = there.resume(id).await.unwrap();
    assert_eq!(resumed.id(), id);
    for number in 0..20 {
        resumed.write(&format!("k{number}"), format!("there {number}")).await.unwrap();
    }
    resumed.commit().await.unwrap().wait_until_visible(FAR).await.unwrap();
    let texts = texts(&factory, &stream).await;
    assert_eq!(texts.len(), 40);
    for number in 0..20 {
        let place = |text: String| texts.iter().position(|found| *found == text).unwrap();
        assert!(place(format!("here {number}")) < place(format!("there {number}")), "of one key");
    }
    let again = there.resume(id).await.unwrap_err();
    assert_eq!(
        (again.kind(), again.state()),
        (ErrorKind::TransactionNotOpen, Some(TransactionState::Committed))
    );
    let unknown = there.resume(TransactionId(Uuid::from_u128(77))).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_an_ended_transaction_fails_with_how_it_ended() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let writer = writer(&factory, &stream, Duration::from_secs(30)).await;
    let mut one = writer.begin().await.unwrap();
    one.write("k", "before").await.unwrap();
    one.flush().await.unwrap();
    let mut other = writer.resume(one.id()).await.unwrap();
    let committed = writer.resume(one.id()).await.unwrap().commit().await.unwrap();
    committed.wait_until_visible(FAR).await.unwrap();
    // A second commit changes nothing, an abort is refused, a write fails.
    let refused = writer.resume(one.id()).await.unwrap_err();
    assert_eq!(refused.state(), Some(TransactionState::Committed));
    one.write("k", "too late").await.ok();
    let late = one.flush().await.unwrap_err();
    assert_eq!(
        (late.kind(), late.outcome()),
        (ErrorKind::TransactionNotOpen, Outcome::NotApplied),
        "{late}"
    );
    assert_eq!(late.state(), Some(TransactionState::Committed));
    assert!(one.commit().await.is_err(), "an event is missing");
    let refused = other.status().await.unwrap();
    assert_eq!(refused, TransactionState::Committed);
    other.flush().await.ok();
    let refused = other.abort().await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.state()),
        (ErrorKind::TransactionNotOpen, Some(TransactionState::Committed))
    );
    assert_eq!(texts(&factory, &stream).await, ["before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_lease_aborts_and_a_lease_that_servers_do_not_accept_is_refused() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let lease = Duration::from_secs(10);
    let short = writer(&factory, &stream, lease).await;
    let mut transaction = short.begin().await.unwrap();
    transaction.write("k", "forgotten").await.unwrap();
    let id = transaction.leave_open().await.unwrap();
    eventually("its lease has expired", async || {
        short.status(id).await.unwrap() == TransactionState::Aborted
    })
    .await;
    assert!(texts(&factory, &stream).await.is_empty());
    for lease in [Duration::from_secs(1), Duration::from_secs(100_000)] {
        let refused = writer(&factory, &stream, lease).await.begin().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        let text = format!("{refused}: {}", std::error::Error::source(&refused).unwrap());
        assert!(text.contains("10s"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_several_writers_commit_in_order_across_scales() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let mut tasks = Vec::new();
    for number in 0..4 {
        let writer = writer(&factory, &stream, Duration::from_secs(60)).await;
        tasks.push(tokio::spawn(async move {
            for round in 0..8 {
                let mut transaction = writer.begin().await.unwrap();
                for event in 0..5 {
                    let key = format!("writer-{number}");
                    transaction.write(&key, format!("{key}:{round}:{event}")).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // The next one begins after this one is merged: the order of the stream is the
                // order of commits.
                transaction.commit().await.unwrap().wait_until_visible(FAR).await.unwrap();
            }
        }));
    }
    for parts in [3, 2, 4] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scale_all(factory.controller(), &stream, parts).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let texts = texts(&factory, &stream).await;
    assert_eq!(texts.len(), 4 * 8 * 5);
    for number in 0..4 {
        let of_one: Vec<&String> =
            texts.iter().filter(|text| text.starts_with(&format!("writer-{number}:"))).collect();
        let expected: Vec<String> = (0..8)
            .flat_map(|round| (0..5).map(move |event| format!("writer-{number}:{round}:{event}")))
            .collect();
        assert_eq!(of_one, expected.iter().collect::<Vec<_>>());
    }
}
