//! Scenarios about the admin port, and about commands that close the connection.

use std::{sync::Mutex, time::Duration};

use pravega_sdk_integration_tests::harness::eventually;
use pravega_sdk_types::{Endpoint, ErrorKind};
use pravega_sdk_wire_protocol::{WireCommand, commands::*};
use uuid::Uuid;

use super::requests::{append, no_token};
use super::store::{Store, see};

pub(super) async fn administration() {
    let admin: Endpoint = match std::env::var("PRAVEGA_TEST_ADMIN") {
        Ok(admin) => admin.parse().unwrap(),
        Err(_) => panic!(
            "run these tests with `cargo xtask interop`, which starts a server with an admin port"
        ),
    };
    let store = Store::connect().await;
    let segment = store.new_segment().await;
    let writer_id = store.set_up(&segment).await;
    store.append(writer_id, 1, b"in storage").await;
    let admin_store = Store::within(&admin, FLUSH_LIMIT).await;
    for container_id in 0..CONTAINERS {
        admin_store
            .ask(FlushToStorage { container_id, delegation_token: no_token(), request_id: 0 })
            .await;
    }
    // The server answers before its storage knows the segment, and until then fails and closes the
    // connection.
    let listed = Mutex::new(None);
    eventually("the pieces of the segment are known", async || {
        let store = Store::to(&admin).await;
        let chunks = ListStorageChunks {
            segment: segment.as_str().into(),
            delegation_token: no_token(),
            request_id: 0,
        };
        see("ListStorageChunks");
        match store.connection.request(chunks).await {
            Ok(reply) => {
                see("StorageChunksListed");
                *listed.lock().unwrap() = Some(reply);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
                false
            }
        }
    })
    .await;
    let listed = listed.into_inner().unwrap().unwrap();
    // The server may have written any part of them.
    for chunk in &listed.chunks {
        assert!(
            !chunk.chunk_name.is_empty() && (0..=10).contains(&chunk.length_in_metadata),
            "{chunk:?}"
        );
    }
}

/// Number of containers of a standalone server.
const CONTAINERS: i32 = 4;

/// A server that has just created a thousand segments writes all of them.
const FLUSH_LIMIT: Duration = Duration::from_secs(120);

/// A command that only the admin port serves, or that no server accepts, closes the connection.
pub(super) async fn violations() {
    for command in [
        WireCommand::from(FlushToStorage {
            container_id: 0,
            delegation_token: no_token(),
            request_id: 1,
        }),
        append(1, Uuid::new_v4(), 1, b"no set-up").into(),
        SegmentSealed { request_id: 1, segment: "a reply".into() }.into(),
    ] {
        let store = Store::connect().await;
        let error = store.connection.exchange(command).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    }
}
