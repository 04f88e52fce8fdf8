//! The part of the suite that runs on a server with an account while every log is scanned.

use pravega_sdk_controller_client::AccessOperation;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{canary, factory, new_stream, read_all};

/// Tests that reach their server by clients of the harness, which then have its account: a few of
/// everything.
pub(super) const MODULES: &[&str] = &[
    "attributes::",
    "bytes::",
    "canaries::watched::",
    "event_writer::",
    "group_handles::creation::",
    "group_reader::beginnings::",
    "index::",
    "reader::batch::",
    "reader::cuts::",
    "states::",
    "tables::key_value::",
    "tables::synchronizer::",
    "transactions::",
];

/// Tests that these names mean as well, that have no token, or that take long.
pub(super) const SKIPPED: &[&str] = &[
    "--skip",
    "cli::",
    "--skip",
    "wire::",
    "--skip",
    "embedded::",
    "--skip",
    "controller::",
    "--skip",
    "many_transactions_are_open_beyond_their_lease",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the log of a process: another test runs it in one of its own"]
async fn every_crate_is_heard() {
    let client = factory().await;
    let stream = new_stream(client.controller(), 1).await;
    client.event_writer(&stream, Utf8).await.unwrap().write("key", "event").await.unwrap();
    assert_eq!(read_all(&client, &stream).await.len(), 1);
    let token = client.tokens().token(&stream, AccessOperation::Write).await.unwrap();
    assert!(token.expose().starts_with(canary::TOKEN), "a token begins as is searched for");
    let scanned = canary::scanned();
    for name in ["h2", "tower"] {
        assert!(scanned.contains_key(name), "nothing of {name}: {scanned:?}");
    }
}
