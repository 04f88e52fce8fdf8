//! The retention of a stream that a group of each client reads: what the slower one needs is kept.

use std::{sync::Arc, time::Duration};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_event_stream::{codec::Utf8, group::ReaderGroup};
use pravega_sdk_integration_tests::harness::{self, FAR, eventually};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{
    GroupRetention, Offset, ReaderGroupConfiguration, RetentionPolicy, ScopedReaderGroup,
    ScopedStream, SegmentId, SegmentOffset, StreamConfiguration,
};

use super::{
    java::Java,
    log::Log,
    member::{Client, Member},
};

/// The retention of streams is looked at every half hour.
const ROUND: Duration = Duration::from_secs(31 * 60);
const REFRESH: &str = "200";
/// Automatic checkpoints are further apart than the test is long.
const INTERVAL: Duration = Duration::from_secs(3600);
/// The length of an event with its header.
const EVENT: i64 = 20;

struct Place {
    server: EmbeddedServer,
    factory: ClientFactory,
    stream: ScopedStream,
    java: Arc<Java>,
    /// The groups of Java and of this client.
    groups: [ReaderGroup; 2],
}

impl Place {
    /// Starts a server whose clock the test moves, and creates a group with each client.
    async fn new() -> Self {
        let server = harness::builder().with_standing_clock().start().await.unwrap();
        let factory = ClientFactory::new(ClientConfig::from_url(&server.url()).unwrap()).unwrap();
        let stream: ScopedStream = "kept/events".parse().unwrap();
        let controller = factory.controller();
        controller.create_scope(stream.scope()).await.unwrap();
        let policy = RetentionPolicy::BySize { min_bytes: 10, max_bytes: None };
        let configuration = StreamConfiguration::default().with_retention(policy).unwrap();
        controller.create_stream(&stream, &configuration).await.unwrap();
        let java = Java::start_for(stream.scope(), &server.url());

        let theirs = ScopedReaderGroup::new(stream.scope().clone(), "theirs".parse().unwrap());
        let retention = "AUTOMATIC_RELEASE_AT_LAST_CHECKPOINT";
        let interval = INTERVAL.as_millis().to_string();
        let name = stream.stream().as_str();
        let wanted = ["create", name, "UNBOUNDED", "UNBOUNDED", REFRESH, &interval, retention];
        assert_eq!(java.ask(&theirs, &wanted).await, "true");
        let theirs = factory.reader_group(&theirs).await.unwrap();
        let found = theirs.configuration().await.unwrap();
        assert_eq!(found.retention(), GroupRetention::AutomaticReleaseAtLastCheckpoint);

        let ours = ScopedReaderGroup::new(stream.scope().clone(), "ours".parse().unwrap());
        let configuration = ReaderGroupConfiguration::new([stream.clone()])
            .unwrap()
            .with_refresh_interval(Duration::from_millis(200))
            .with_automatic_checkpoint_interval(Some(INTERVAL))
            .with_retention(GroupRetention::AutomaticReleaseAtLastCheckpoint);
        let (ours, _) = factory.create_reader_group(&ours, &configuration).await.unwrap();
        Self { server, factory, stream, java, groups: [theirs, ours] }
    }

    async fn join(&self, client: Client, id: &str) -> Member {
        let [theirs, ours] = &self.groups;
        match client {
            Client::Java => Member::of_java(&self.java, theirs.group(), id).await,
            Client::Rust => Member::of_rust(&self.factory, ours.group(), id, INTERVAL / 4).await,
        }
    }

    async fn write(&self, numbers: std::ops::Range<i64>) {
        let writer = self.factory.event_writer(&self.stream, Utf8).await.unwrap();
        for number in numbers {
            writer.write("key", &format!("{number:012}")).await.unwrap();
        }
        writer.close(FAR).await.into_result().unwrap();
    }

    /// Waits until a reader has read so many events, and takes a checkpoint of its group.
    async fn checkpoint(&self, client: Client, log: &Log, count: usize, name: &str) {
        eventually("the events are read", async || log.events().len() >= count).await;
        let [theirs, ours] = &self.groups;
        let group = if client == Client::Java { theirs } else { ours };
        group.checkpoint(name, FAR).await.unwrap();
    }

    async fn head(&self) -> Option<SegmentOffset> {
        let batch = self.factory.batch_client(&self.stream).await.unwrap();
        batch.head_cut().await.unwrap().offset(SegmentId::from(0))
    }

    /// Lets rounds of retention pass until the stream begins at an event, and some more.
    async fn is_kept_from(&self, number: i64) {
        let wanted = Some(SegmentOffset::At(Offset(number * EVENT)));
        eventually("the stream is truncated", async || {
            self.server.advance_clock(ROUND).unwrap();
            self.head().await == wanted
        })
        .await;
        for _ in 0..3 {
            self.server.advance_clock(ROUND).unwrap();
            assert_eq!(self.head().await, wanted, "what a group has not read is kept");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_slower_of_a_group_of_java_and_one_of_this_client_has_not_read_is_kept() {
    let place = Place::new().await;
    place.write(0..100).await;
    place.server.advance_clock(ROUND).unwrap();
    let java = place.join(Client::Java, "java").await;
    let rust = place.join(Client::Rust, "rust").await;
    place.checkpoint(Client::Rust, &rust.log, 100, "first").await;
    place.checkpoint(Client::Java, &java.log, 100, "first").await;
    // The next one begins with the first event that is kept.
    rust.close().await;

    place.write(100..200).await;
    place.checkpoint(Client::Java, &java.log, 200, "second").await;
    place.is_kept_from(100).await;
    java.close().await;

    let rust = place.join(Client::Rust, "rust").await;
    place.write(200..300).await;
    place.checkpoint(Client::Rust, &rust.log, 200, "third").await;
    place.is_kept_from(200).await;
    let java = place.join(Client::Java, "java-2").await;
    place.checkpoint(Client::Java, &java.log, 100, "fourth").await;
    let first = java.log.texts().first().cloned();
    assert_eq!(first, Some(format!("{:012}", 200)), "no event was truncated before it was read");
    rust.close().await;
    java.close().await;
}
