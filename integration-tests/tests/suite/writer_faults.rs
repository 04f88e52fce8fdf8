//! The event writer against a real server, over connections that fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{EventWriter, LargeEvents, WriterConfig, codec::Raw};
use pravega_sdk_integration_tests::harness::{
    self, factory, new_stream,
    port::Refusing,
    through::{store_of, through},
};
use pravega_sdk_simulation::{
    link::{Cut, Faults},
    network::Plan,
    proxy::Proxy,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};

async fn proxied(plan: Plan) -> (ClientFactory, ScopedStream, Proxy) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let target = store_of(&factory, &stream).await;
    let proxy = Proxy::start(target, plan).await.unwrap();
    (factory, stream, proxy)
}

async fn events(factory: &ClientFactory, stream: &ScopedStream) -> Vec<Vec<u8>> {
    harness::read_all(factory, stream)
        .await
        .into_iter()
        .map(|event| event.into_event().to_vec())
        .collect()
}

fn quick() -> WriterConfig {
    WriterConfig::default().with_backoff(Duration::from_millis(5), Duration::from_millis(50))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_after_each_reply_stores_every_event_once_in_order() {
    let connections = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&connections);
    // The connection ends after the greeting, the set-up and about one acknowledgement, each time a
    // few bytes later.
    let plan: Plan = Box::new(move || {
        let at = 150 + count.fetch_add(1, Ordering::Relaxed) % 90;
        (Faults::default(), Faults { cut: Some((at, Cut::Fin)), ..Faults::default() })
    });
    let (factory, stream, proxy) = proxied(plan).await;
    let writer =
        EventWriter::open(through(&factory, proxy.address()), &stream, Raw, quick()).await.unwrap();
    let mut expected = Vec::new();
    for number in 0..60 {
        let event = format!("event {number}").into_bytes();
        writer.write("k", event.clone()).await.unwrap();
        expected.push(event);
    }
    assert!(connections.load(Ordering::Relaxed) > 20);
    assert_eq!(events(&factory, &stream).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_at_any_byte_of_either_direction_lose_and_duplicate_nothing() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut left = 60;
    let plan: Plan = Box::new(move || {
        // Replies are small, so the same number of bytes is reached far later in that direction.
        let is_answer = random.bool();
        let at = random.u64(0..if is_answer { 1_500 } else { 40_000 });
        let cut = Faults { cut: Some((at, Cut::Reset)), ..Faults::default() };
        left -= 1;
        match (left > 0, is_answer) {
            (false, _) => Default::default(),
            (true, false) => (cut, Faults::default()),
            (true, true) => (Faults::default(), cut),
        }
    });
    let (factory, stream, proxy) = proxied(plan).await;
    let config = quick()
        .with_max_block_bytes(4096)
        .with_max_event_bytes(100_000)
        .with_large_events(LargeEvents::UpTo(1 << 20));
    let writer =
        EventWriter::open(through(&factory, proxy.address()), &stream, Raw, config).await.unwrap();
    let mut expected = Vec::new();
    let mut acks = Vec::new();
    for number in 0..3000_u32 {
        // Some events go through a transient segment, but only when the faults are nearly over.
        let filler = if number % 1000 == 999 { 120_000 } else { (number % 700) as usize };
        let event = [format!("{number}:").into_bytes(), vec![b'x'; filler]].concat();
        acks.push(writer.enqueue("k", event.clone()).await.unwrap());
        expected.push(event);
    }
    for ack in acks {
        ack.await.unwrap();
    }
    assert!(events(&factory, &stream).await == expected);
}

#[tokio::test]
async fn a_port_that_refuses_fails_a_write_by_its_deadline_after_several_attempts() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let closed = Refusing::bind();
    let config = quick().with_delivery_timeout(Duration::from_secs(2));
    let writer =
        EventWriter::open(through(&factory, closed.address()), &stream, Raw, config).await.unwrap();
    let error = writer.write("k", "event").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotApplied),
        "{error}"
    );
    assert!(error.attempts() > 10, "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("refused"), "{cause}");
}
