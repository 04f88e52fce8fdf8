//! The largest requests of REST: bodies and paths of the most bytes.

use pravega_sdk_integration_tests::harness::rest::Rest;
use serde_json::{Value, json};

use super::{super::rest_sizes::calls, Large};

/// The size of the calls at which bodies are of the most bytes.
const SIZE: usize = 1000;

/// Every call, in an order in which most of them have something to do.
pub(super) async fn all(address: String) -> Vec<Large> {
    let rest = Rest::at(&address);
    for (path, body) in [
        ("/v1/scopes", json!({ "scopeName": "s" })),
        ("/v1/scopes/s/streams", json!({ "streamName": "wide", "scalingPolicy": fixed(10_000) })),
    ] {
        let made = rest.put("POST", path, &body).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let all = calls(SIZE).into_iter().map(|call| {
        let rest = rest.clone();
        Large::new(format!("{} {}", call.method, call.template), async move {
            call.ask(&rest).await;
        })
    });
    all.collect()
}

fn fixed(count: i32) -> Value {
    json!({ "type": "FIXED_NUM_SEGMENTS", "minSegments": count })
}
