//! A connection to a segment store that records its commands.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pravega_sdk_integration_tests::harness::{factory, new_stream, unique};
use pravega_sdk_segment_client::{StoreConfig, StoreConnection, StoreDialer};
use pravega_sdk_types::{Endpoint, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::{Request, WireCommand};
use uuid::Uuid;

use super::requests::{append, create, create_table, read, setup};

/// The commands sent and received, over all scenarios.
pub(super) static SEEN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

pub(super) fn see(name: &'static str) {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
}

/// A connection that records the names of its commands.
pub(super) struct Store {
    pub(super) connection: StoreConnection,
}

impl Store {
    pub(super) async fn connect() -> Self {
        let factory = factory().await;
        let stream = new_stream(factory.controller(), 1).await;
        let segment = ScopedSegment::new(&stream, SegmentId::from(0));
        let endpoint = factory.controller().segment_endpoint(&segment).await.unwrap();
        Self::to(&endpoint).await
    }

    pub(super) async fn to(endpoint: &Endpoint) -> Self {
        Self::within(endpoint, Duration::from_secs(30)).await
    }

    pub(super) async fn within(endpoint: &Endpoint, limit: Duration) -> Self {
        let config = StoreConfig::default().with_request_timeout(limit);
        let connection = StoreDialer::new(config).connect(endpoint).await.unwrap();
        see("Hello");
        Self { connection }
    }

    /// Sends a request that must succeed.
    pub(super) async fn ask<Q: Request>(&self, request: Q) -> Q::Reply {
        see(Q::NAME);
        let reply = self
            .connection
            .request(request)
            .await
            .unwrap_or_else(|error| panic!("{error}: {:?}", error.reply()));
        see(<Q::Reply as pravega_sdk_wire_protocol::Command>::NAME);
        reply
    }

    /// Sends a request that must be refused, and returns the reply.
    pub(super) async fn refused<Q: Request>(&self, request: Q) -> WireCommand {
        see(Q::NAME);
        let error = match self.connection.request(request).await {
            Ok(reply) => panic!("{} succeeded: {reply:?}", Q::NAME),
            Err(error) => error,
        };
        let reply =
            error.reply().unwrap_or_else(|| panic!("{}: no reply but {error:?}", Q::NAME)).clone();
        see(reply.name());
        reply
    }

    /// Sends a command as it is and waits for the reply with its id.
    pub(super) async fn exchange(&self, command: impl Into<WireCommand>) -> WireCommand {
        let command = command.into();
        see(command.name());
        let reply = self.connection.exchange(command).await.unwrap();
        see(reply.name());
        reply
    }

    pub(super) fn send(&self, command: impl Into<WireCommand>) {
        let command = command.into();
        see(command.name());
        self.connection.send(command).unwrap();
    }

    pub(super) async fn new_segment(&self) -> String {
        let name = format!("{}/stream/0.#epoch.0", unique("wire"));
        self.ask(create(&name)).await;
        name
    }

    pub(super) async fn new_table(&self, key_length: i32) -> String {
        let name = format!("{}/table_kvtable/0.#epoch.0", unique("wire"));
        self.ask(create_table(&name, key_length)).await;
        name
    }

    pub(super) async fn set_up(&self, segment: &str) -> Uuid {
        let writer_id = Uuid::new_v4();
        assert_eq!(self.ask(setup(segment, writer_id)).await.last_event_number, i64::MIN);
        writer_id
    }

    /// Reads `len` bytes, with more requests if a reply holds less than requested.
    pub(super) async fn read_all(&self, segment: &str, len: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < len {
            let more = self.ask(read(segment, data.len() as i64)).await.data;
            assert!(!more.is_empty(), "the segment ends after {} bytes", data.len());
            data.extend_from_slice(&more);
        }
        data
    }

    pub(super) async fn append(
        &self,
        writer_id: Uuid,
        number: i64,
        data: &'static [u8],
    ) -> WireCommand {
        self.exchange(append(self.connection.next_id(), writer_id, number, data)).await
    }
}
