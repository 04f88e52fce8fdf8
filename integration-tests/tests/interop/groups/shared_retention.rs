//! The retention of a stream by one group, whose readers are of both clients: what all of them have
//! passed at a checkpoint is dropped, and nothing that one of them has not.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
    sync::Arc,
    time::Duration,
};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::Subscriber;
use pravega_sdk_event_stream::{codec::Utf8, group::ReaderGroup};
use pravega_sdk_integration_tests::harness::{
    self, FAR, eventually, factory, is_embedded, new_scope, unique, url,
};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupRetention, Offset, RetentionPolicy, ScalingPolicy,
    ScopedReaderGroup, ScopedStream, SegmentId, SegmentOffset, StreamConfiguration,
};
use tokio::sync::watch;

use super::{
    java::Java,
    log::{Log, Read, each_once},
    member::{Client, Member},
};

/// The retention of streams is looked at every half hour.
const ROUND: Duration = Duration::from_secs(31 * 60);
const REFRESH: &str = "200";
/// Automatic checkpoints are further apart than the test is long, so that the last one is known.
const INTERVAL: &str = "3600000";
const SEGMENTS: usize = 2;
/// Events of these keys are in both segments.
const KEYS: u32 = 23;
/// The length of an event with its header.
const EVENT: i64 = 20;
/// The time between two events.
const PAUSE: Duration = Duration::from_millis(5);
/// Longer than the test, so that no reader is found dead on a busy machine.
const LEASE: Duration = Duration::from_secs(60);

/// A stream with retention, and a group for both clients, which Java's creates.
struct Place {
    /// The server whose clock the test moves, if the tests are about an embedded one.
    embedded: Option<EmbeddedServer>,
    factory: ClientFactory,
    stream: ScopedStream,
    java: Arc<Java>,
    group: ReaderGroup,
}

impl Place {
    async fn new() -> Self {
        let (embedded, url, factory) = if is_embedded() {
            let server = harness::builder().with_standing_clock().start().await.unwrap();
            let url = server.url();
            let factory = ClientFactory::new(ClientConfig::from_url(&url).unwrap()).unwrap();
            (Some(server), url, factory)
        } else {
            (None, url(), factory().await)
        };
        let controller = factory.controller();
        let stream = ScopedStream::new(new_scope(controller).await, "events".parse().unwrap());
        let policy = RetentionPolicy::BySize { min_bytes: 10, max_bytes: None };
        let configuration = StreamConfiguration::default()
            .with_scaling(ScalingPolicy::fixed(SEGMENTS.try_into().unwrap()))
            .with_retention(policy)
            .unwrap();
        controller.create_stream(&stream, &configuration).await.unwrap();

        let java = Java::start_for(stream.scope(), &url);
        let name = ScopedReaderGroup::new(stream.scope().clone(), "both".parse().unwrap());
        let retention = "AUTOMATIC_RELEASE_AT_LAST_CHECKPOINT";
        let events = stream.stream().as_str();
        let wanted = ["create", events, "UNBOUNDED", "UNBOUNDED", REFRESH, INTERVAL, retention];
        assert_eq!(java.ask(&name, &wanted).await, "true");
        let group = factory.reader_group(&name).await.unwrap();
        let found = group.configuration().await.unwrap();
        assert_eq!(found.retention(), GroupRetention::AutomaticReleaseAtLastCheckpoint);
        Self { embedded, factory, stream, java, group }
    }

    async fn join(&self, client: Client, id: &str) -> Member {
        let group = self.group.group();
        match client {
            Client::Java => Member::of_java(&self.java, group, id).await,
            Client::Rust => Member::of_rust(&self.factory, group, id, LEASE).await,
        }
    }

    /// Takes checkpoints until each of so many readers has a segment: a reader gives one up only
    /// after a checkpoint.
    async fn share(&self, readers: usize) {
        eventually("each reader has a segment", async || {
            self.group.checkpoint(&unique("share"), FAR).await.unwrap();
            let members = self.group.describe().await.unwrap().readers;
            members.len() == readers
                && members.iter().all(|member| member.segments.len() == SEGMENTS / readers)
        })
        .await;
    }

    /// Takes a checkpoint after readers have read more of each segment. Returns its cut.
    async fn checkpoint(&self, logs: &[Log], name: &str) -> BoundedCut {
        let before: Vec<usize> = logs.iter().map(|log| log.events().len()).collect();
        eventually("all segments are read", async || {
            let new = logs.iter().zip(&before).flat_map(|(log, len)| log.events().split_off(*len));
            new.map(|read| read.segment().id()).collect::<BTreeSet<_>>().len() == SEGMENTS
        })
        .await;
        let checkpoint = self.group.checkpoint(name, FAR).await.unwrap();
        checkpoint.cut(&self.stream).expect("a cut of the stream").clone()
    }

    /// Checks that the controller has a cut as the one before which the group needs nothing: it
    /// refuses an earlier one, and takes this one.
    async fn is_released_up_to(&self, cut: &BoundedCut) {
        let configuration = self.group.configuration().await.unwrap();
        let generation = configuration.generation().unwrap();
        let subscriber =
            Subscriber::new(self.group.group().clone(), configuration.id(), generation);
        let before = cut.positions().map(|(id, at)| (id, Offset(at.to_wire() - EVENT)));
        let before = BoundedCut::new(self.stream.clone(), before).unwrap();
        let controller = self.factory.controller();
        eventually("a reader tells the controller", async || {
            let Err(error) = controller.update_subscriber_cut(&subscriber, &before).await else {
                return false;
            };
            assert_eq!(error.kind(), ErrorKind::InvalidStreamCut, "{error}");
            true
        })
        .await;
        controller.update_subscriber_cut(&subscriber, cut).await.unwrap();
    }

    /// Lets rounds of retention pass until the stream begins at a cut, and some more. The rounds of
    /// a real server are half an hour apart.
    async fn is_kept_from(&self, cut: &BoundedCut) {
        let Some(server) = &self.embedded else { return };
        let batch = self.factory.batch_client(&self.stream).await.unwrap();
        eventually("the stream is truncated", async || {
            server.advance_clock(ROUND).unwrap();
            batch.head_cut().await.unwrap() == *cut
        })
        .await;
        for _ in 0..3 {
            server.advance_clock(ROUND).unwrap();
            let head = batch.head_cut().await.unwrap();
            assert_eq!(head, *cut, "what the group has not read is kept");
        }
    }

    /// A checkpoint of these readers releases what is before it, which is after an earlier one.
    async fn releases(&self, logs: &[Log], name: &str, earlier: Option<&BoundedCut>) -> BoundedCut {
        let cut = self.checkpoint(logs, name).await;
        let offsets =
            |cut: &BoundedCut| -> BTreeMap<SegmentId, SegmentOffset> { cut.positions().collect() };
        let (now, before) = (offsets(&cut), earlier.map(offsets).unwrap_or_default());
        assert_eq!(now.len(), SEGMENTS);
        assert!(now.iter().all(|(id, at)| before.get(id).is_none_or(|before| at > before)));
        self.is_released_up_to(&cut).await;
        self.is_kept_from(&cut).await;
        cut
    }
}

/// Writes rising numbers until it is stopped. Returns how many.
async fn write(factory: ClientFactory, stream: ScopedStream, stop: watch::Receiver<bool>) -> u32 {
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let mut count = 0;
    while !*stop.borrow() {
        let key = format!("key-{}", count % KEYS);
        writer.write(&key, &format!("{count:012}")).await.unwrap();
        count += 1;
        tokio::time::sleep(PAUSE).await;
    }
    writer.close(FAR).await.into_result().unwrap();
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readers_of_both_clients_have_passed_is_dropped_and_nothing_before_it_was_read() {
    let place = Place::new().await;
    let (stop, stopped) = watch::channel(false);
    let writing = tokio::spawn(write(place.factory.clone(), place.stream.clone(), stopped));
    let (java, rust) =
        tokio::join!(place.join(Client::Java, "java"), place.join(Client::Rust, "rust"));
    place.share(2).await;
    let both = [java.log.clone(), rust.log.clone()];
    let cut = place.releases(&both, "of-both", None).await;

    // The reader of this client goes on alone, and then one of Java's.
    let java = java.close().await;
    let cut = place.releases(slice::from_ref(&rust.log), "of-ours", Some(&cut)).await;
    let next = place.join(Client::Java, "java-2").await;
    let rust = rust.close().await;
    place.releases(slice::from_ref(&next.log), "of-theirs", Some(&cut)).await;

    stop.send_replace(true);
    let count = writing.await.unwrap();
    let logs = [java, rust, next.log.clone()];
    eventually("all events are read", async || {
        logs.iter().map(|log| log.events().len()).sum::<usize>() >= count as usize
    })
    .await;
    assert_eq!(next.log.ending(), None, "it was not told of a truncation");
    next.close().await;
    let reads: Vec<Read> = logs.iter().flat_map(Log::events).collect();
    assert_eq!(each_once(&reads), (0..count).collect(), "none was dropped before it was read");
}
