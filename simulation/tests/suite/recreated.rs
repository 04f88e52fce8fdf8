//! A stream that was deleted and created again, at a controller that still knows the earlier one.

use std::time::Duration;

use pravega_sdk_event_stream::{
    BatchClient, BatchConfig, ReaderConfig, StreamPosition, codec::Raw,
};
use pravega_sdk_types::{EventPointer, Offset, ScopedSegment};
use tokio::time::sleep;

use crate::common::{Cluster, block_on};

/// The time after which the instance that lags knows everything.
const BEHIND: Duration = Duration::from_secs(4);

/// A stream that was created again and has two events, and an instance that knows the earlier one
/// and answers nothing yet.
fn created_again() -> (Cluster, ScopedSegment) {
    let cluster = Cluster::new(1);
    cluster.world.set_stale_answers(100);
    cluster.world.set_stale_share(0);
    cluster.world.recreate_stream(&cluster.stream, 1);
    let first =
        ScopedSegment::new(&cluster.stream, cluster.world.active_segments(&cluster.stream)[0].id);
    for event in ["one..", "two.."] {
        let mut bytes = bytes::BytesMut::new();
        pravega_sdk_wire_protocol::event::put(&mut bytes, event.as_bytes()).unwrap();
        cluster.world.append_raw(&first, &bytes);
    }
    (cluster, first)
}

/// Only the instance that lags answers, for a while.
fn instance_answers(cluster: &Cluster) {
    let world = cluster.world.clone();
    world.set_stale_share(100);
    tokio::spawn(async move {
        sleep(BEHIND).await;
        world.set_stale_answers(0);
    });
}

#[test]
fn a_cut_of_the_present_stream_is_not_taken_for_one_of_the_earlier_stream() {
    block_on(async {
        let (cluster, _) = created_again();
        let mut reader = cluster.reader(ReaderConfig::default()).await;
        assert_eq!(reader.next().await.unwrap().unwrap().into_event(), "one..");
        let cut = reader.stream_cut();
        drop(reader);
        instance_answers(&cluster);
        let config = ReaderConfig::default().with_start(StreamPosition::from(cut));
        let mut reader = cluster.reader(config).await;
        assert_eq!(reader.next().await.unwrap().unwrap().into_event(), "two..");
    });
}

#[test]
fn an_event_of_the_present_stream_is_a_start_at_an_instance_that_knows_the_earlier_one() {
    block_on(async {
        let (cluster, first) = created_again();
        let batch =
            BatchClient::open(cluster.context(), &cluster.stream, BatchConfig::default()).await;
        let pointer = EventPointer::new(first, Offset(13), 13).unwrap();
        let event = batch.unwrap().fetch(&pointer, &Raw).await.unwrap();
        assert_eq!(&event[..], b"two..");
        instance_answers(&cluster);
        let config = ReaderConfig::default().with_start(StreamPosition::Event(pointer));
        let mut reader = cluster.reader(config).await;
        assert_eq!(reader.next().await.unwrap().unwrap().into_event(), "two..");
    });
}
