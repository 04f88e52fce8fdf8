//! Tests that need several segment stores; `cargo xtask interop cluster` starts a cluster.

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_integration_tests::harness::{controller, factory, new_stream, url};
use pravega_sdk_segment_client::{RawClient, StoreConfig};
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::{WireCommand, commands::GetStreamSegmentInfo};

/// Returns the two segment stores of the cluster.
fn stores() -> Option<Vec<Endpoint>> {
    let stores = std::env::var("PRAVEGA_TEST_STORES").ok()?;
    Some(stores.split(',').map(|store| store.parse().unwrap()).collect())
}

#[tokio::test]
async fn a_store_that_does_not_own_a_segment_answers_wrong_host_and_the_owner_answers() {
    let stores = stores().expect("run this test with `cargo xtask interop cluster`");
    let factory = factory().await;
    let client = RawClient::new(StoreConfig::default());
    let stream = new_stream(factory.controller(), 8).await;
    for number in 0..8 {
        let segment = ScopedSegment::new(&stream, SegmentId::from(number));
        let owner = factory.controller().segment_endpoint(&segment).await.unwrap();
        for store in &stores {
            let request = GetStreamSegmentInfo {
                request_id: 0,
                segment_name: segment.to_string().into(),
                delegation_token: "".into(),
            };
            match client.request(store, request).await {
                Ok(info) => assert_eq!((store.port(), info.write_offset), (owner.port(), 0)),
                Err(error) => {
                    assert_ne!(store.port(), owner.port(), "{error}");
                    assert_eq!(
                        (error.kind(), error.outcome()),
                        (ErrorKind::WrongHost, Outcome::NotApplied)
                    );
                    assert!(error.is_retryable());
                    assert!(matches!(error.reply(), Some(WireCommand::WrongHost(_))));
                }
            }
        }
        // After the report, the cache asks the controller again instead of keeping the wrong store.
        let wrong = stores.iter().find(|store| store.port() != owner.port()).unwrap();
        factory.endpoints().wrong_host(&segment, wrong);
        factory.endpoints().wrong_host(&segment, &owner);
        assert_eq!(factory.endpoints().endpoint(&segment).await.unwrap(), owner);
    }
}

#[tokio::test]
async fn a_cluster_lists_its_controllers_and_is_discovered() {
    let listed = controller().await.controllers().await.unwrap();
    assert!(!listed.is_empty());
    let factory = ClientFactory::connect(&url().replace("tcp://", "pravega://")).await.unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    assert!(factory.controller().stream_exists(&stream).await.unwrap());
}
