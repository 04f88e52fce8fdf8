//! The parts as the factory composes them, against a real server.

use std::{sync::Arc, time::Duration};

use pravega_sdk_client_factory::SegmentBackends;
use pravega_sdk_connection_pool::{Policy, PolledResolver, Pool, Resolver as _};
use pravega_sdk_controller_client::AccessOperation;
use pravega_sdk_integration_tests::harness::{eventually, factory, new_stream};
use pravega_sdk_segment_client::{StoreConfig, StoreDialer};
use pravega_sdk_types::{ErrorKind, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::commands::{GetStreamSegmentInfo, KeepAlive};

fn info(segment: &ScopedSegment) -> GetStreamSegmentInfo {
    GetStreamSegmentInfo {
        request_id: 0,
        segment_name: segment.to_string().into(),
        delegation_token: "".into(),
    }
}

#[tokio::test]
async fn a_segment_is_located_and_asked_over_one_shared_connection() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    for number in 0..4 {
        let segment = ScopedSegment::new(&stream, SegmentId::from(number));
        let endpoint = factory.endpoints().endpoint(&segment).await.unwrap();
        assert!(factory.tokens().token(&stream, AccessOperation::Read).await.unwrap().is_empty());
        let answer = factory.raw_client().request(&endpoint, info(&segment)).await.unwrap();
        assert_eq!((answer.write_offset, answer.is_sealed), (0, false));
    }
    assert_eq!(factory.raw_client().endpoints().len(), 1);
    let missing = ScopedSegment::new(&stream, SegmentId::from(99));
    let endpoint = factory.endpoints().endpoint(&missing).await.unwrap();
    let error = factory.raw_client().request(&endpoint, info(&missing)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(factory.close().await.is_empty());
    // A closed factory connects again when it is used.
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    factory.raw_client().request(&endpoint, info(&segment)).await.unwrap();
}

#[tokio::test]
async fn a_thousand_requests_at_once_find_their_replies() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let requests: Vec<_> = (0..1000)
        .map(|at| {
            let (factory, stream) = (factory.clone(), stream.clone());
            tokio::spawn(async move {
                let segment = ScopedSegment::new(&stream, SegmentId::from(at % 2));
                let endpoint = factory.endpoints().endpoint(&segment).await.unwrap();
                let answer = factory.raw_client().request(&endpoint, info(&segment)).await.unwrap();
                assert_eq!(answer.segment_name, segment.to_string().as_str());
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
}

#[tokio::test]
async fn a_pool_follows_a_segment_through_the_controller() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let source = SegmentBackends::new(Arc::clone(factory.endpoints()), segment.clone());
    let resolver = PolledResolver::new(source).unwrap();
    let backends = resolver.backends();
    eventually("the backend is known", async || !backends.borrow().is_empty()).await;
    let pool = Pool::new(resolver, StoreDialer::new(StoreConfig::default()), Policy::default());
    let claim = pool.claim_shared().await.unwrap();
    let answer = claim.request(info(&segment)).await.unwrap();
    assert_eq!(answer.write_offset, 0);
    drop(claim);
    assert_eq!(pool.close(Duration::from_secs(5)).await.still_claimed, 0);
}

#[tokio::test]
async fn the_store_sends_keep_alives_back() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let endpoint = factory.endpoints().endpoint(&segment).await.unwrap();
    let connection = factory.raw_client().connection(&endpoint).await.unwrap();
    assert_eq!((connection.peer_versions().low, connection.peer_versions().high), (5, 16));
    connection.send(KeepAlive {}.into()).unwrap();
    eventually("the keep-alive came back", async || connection.counters().received == 1).await;
}
