//! Wire compatibility: the test sends every request of the protocol to a segment store, and
//! provokes and decodes every reply.
//!
//! One test runs all scenarios and compares the commands seen with the protocol's table. Replies
//! that a standalone server never sends are listed with the reason.

mod administration;
mod appends;
mod requests;
mod segments;
mod store;
mod tables;

use std::{collections::BTreeSet, sync::PoisonError};

use pravega_sdk_integration_tests::harness::is_embedded;
use pravega_sdk_wire_protocol::{WireCommand, commands::*};

use self::administration::{administration, violations};
use self::appends::{appends, event_numbers};
use self::segments::{attributes, merges, segments, tail_reads, transient_segments};
use self::store::{SEEN, Store};
use self::tables::{fixed_key_tables, hash_tables};

/// Replies that this server cannot be made to send, and the suite that provokes them.
const NOT_HERE: &[(&str, &str)] = &[
    ("WrongHost", "needs two segment stores: the cluster suite provokes it"),
    ("AuthTokenCheckFailed", "needs authorization: the secured suite provokes it"),
];

/// Replies that the embedded server does not send either.
const NOT_EMBEDDED: &[(&str, &str)] = &[
    ("FlushToStorage", "it has no port for administration"),
    ("StorageFlushed", "it has no port for administration"),
    ("ListStorageChunks", "it has no port for administration"),
    ("StorageChunksListed", "it has no long-term storage"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_sent_and_every_reply_is_seen() {
    let store = Store::connect().await;
    store.send(KeepAlive {});
    segments(&store).await;
    merges(&store).await;
    appends(&Store::connect().await).await;
    event_numbers(&Store::connect().await).await;
    transient_segments(&store).await;
    tail_reads(&store).await;
    attributes(&store).await;
    hash_tables(&store).await;
    fixed_key_tables(&store).await;
    if !is_embedded() {
        administration().await;
    }
    violations().await;

    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let expected: BTreeSet<&str> = WireCommand::NAMES.iter().copied().collect();
    let exceptions = || NOT_HERE.iter().chain(if is_embedded() { NOT_EMBEDDED } else { &[] });
    let missing: Vec<&&str> = expected
        .iter()
        .filter(|name| !seen.contains(**name) && !exceptions().any(|(known, _)| known == *name))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
    assert!(
        exceptions().all(|(name, _)| !seen.contains(name)),
        "the list of exceptions is out of date"
    );
    assert_eq!(expected.len(), 67, "and Event, which is inside other commands, makes 68");
    assert!(store.connection.end().is_none());
}
