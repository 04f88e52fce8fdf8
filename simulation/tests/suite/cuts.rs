//! A session cut at every byte, in each direction, in every way: its events are in the stream once,
//! in order.

use std::time::Duration;

use pravega_sdk_event_stream::{
    ByteReader, ByteReaderConfig, ByteWriter, ByteWriterConfig, LargeEvents, ReaderConfig,
    SegmentTail, WriterConfig,
};
use pravega_sdk_simulation::{
    SimNetwork, World,
    link::{Cut, Faults},
};
use pravega_sdk_types::{KeyRange, ScopedSegment};
use pravega_sdk_wire_protocol::event;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::{Cluster, block_on};

/// Sixteen events one by one and together.
async fn plain(cluster: &Cluster) -> Vec<String> {
    let writer = cluster.writer().await;
    let mut expected = Vec::new();
    let mut acks = Vec::new();
    for number in 0..16 {
        let event = format!("event {number}");
        acks.push(writer.enqueue("k", event.clone()).await.unwrap());
        expected.push(event);
        if number % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    for ack in acks {
        ack.await.unwrap();
    }
    expected
}

/// A batch, a large event, a condition, and a scale in the middle.
async fn mixed(cluster: &Cluster) -> Vec<String> {
    let config =
        WriterConfig::default().with_max_event_bytes(40).with_large_events(LargeEvents::UpTo(1000));
    let writer = cluster.writer_with(config).await.unwrap();
    let large = "large ".repeat(15);
    let first = writer.write("k", "first").await.unwrap();
    let acks = [
        writer.enqueue_batch("k", ["b1", "b2", "b3"]).await.unwrap(),
        writer.enqueue("k", large.clone()).await.unwrap(),
        writer.enqueue("k", "behind").await.unwrap(),
    ];
    for ack in acks {
        ack.await.unwrap();
    }
    let tail = first.stored_len() as i64 + 3 * 10 + (8 + large.len() as i64) + 14;
    let tail = SegmentTail::new(cluster.segment(0), tail.into());
    writer.write_at("k", &tail, "conditional").await.unwrap();
    let sealed = cluster.world.active_segments(&cluster.stream)[0];
    let ack = writer.enqueue("k", "before the scale").await.unwrap();
    cluster.world.begin_scale(&cluster.stream, vec![sealed.id], KeyRange::equal(2));
    let late = writer.enqueue("k", "after the scale").await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    cluster.world.finish_scale();
    ack.await.unwrap();
    late.await.unwrap();
    [
        "first",
        "b1",
        "b2",
        "b3",
        &large,
        "behind",
        "conditional",
        "before the scale",
        "after the scale",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The content of the stream is read, across a scale; the first connection is the reader's.
async fn reading(cluster: &Cluster) -> Vec<String> {
    cluster.fill((0..12).map(|number| format!("event {number}")));
    cluster.world.set_max_reply(Some(50));
    let mut reader = cluster.reader(ReaderConfig::default().with_max_read_bytes(70)).await;
    let mut found = Vec::new();
    for _ in 0..12 {
        found.push(reader.next().await.unwrap().unwrap().into_event());
    }
    cluster.fill(["at the tail"]);
    found.push(reader.next().await.unwrap().unwrap().into_event());
    cluster.world.begin_scale(&cluster.stream, vec![0.into()], KeyRange::equal(1));
    cluster.world.finish_scale();
    let next = cluster.world.active_segments(&cluster.stream)[0].id;
    let mut bytes = bytes::BytesMut::new();
    event::put(&mut bytes, b"behind the scale").unwrap();
    cluster.world.append_raw(&ScopedSegment::new(&cluster.stream, next), &bytes);
    found.push(reader.next().await.unwrap().unwrap().into_event());
    cluster.world.seal_stream(&cluster.stream);
    assert!(reader.next().await.is_none());
    found
}

/// A transaction that is committed, and one that is not, around a scale; the first connection is
/// that of the first.
async fn transaction(cluster: &Cluster) -> Vec<String> {
    let writer = cluster.transactions().await;
    let mut first = writer.begin().await.unwrap();
    for number in 0..8 {
        first.write("k", format!("event {number}")).await.unwrap();
    }
    first.flush().await.unwrap();
    let mut aborted = writer.begin().await.unwrap();
    aborted.write("k", "never committed").await.unwrap();
    cluster.world.begin_scale(&cluster.stream, vec![0.into()], KeyRange::equal(1));
    cluster.world.finish_scale();
    first.write("k", "last").await.unwrap();
    first.commit().await.unwrap().wait_until_visible(Duration::from_secs(60)).await.unwrap();
    aborted.abort().await.unwrap();
    let mut expected: Vec<String> = (0..8).map(|number| format!("event {number}")).collect();
    expected.push("last".to_owned());
    expected
}

/// Bytes that are read while they are written; they make one event, so that `texts` can show it.
async fn bytes(cluster: &Cluster) -> Vec<String> {
    let mut reader =
        ByteReader::open(cluster.context(), &cluster.stream, ByteReaderConfig::default())
            .await
            .unwrap();
    let config = ByteWriterConfig::default().with_seed(7);
    let mut writer = ByteWriter::open(cluster.context(), &cluster.stream, config).await.unwrap();
    let mut event = bytes::BytesMut::new();
    event::put(&mut event, b"sixteen pieces of bytes that make an event").unwrap();
    for piece in event.chunks(3) {
        writer.write_all(piece).await.unwrap();
        let mut read = vec![0; piece.len()];
        reader.read_exact(&mut read).await.unwrap();
        assert_eq!(read, piece);
    }
    writer.flush().await.unwrap();
    vec!["sixteen pieces of bytes that make an event".to_owned()]
}

fn run(first: (Faults, Faults), session: impl AsyncFn(&Cluster) -> Vec<String>) -> (u64, u64) {
    block_on(async {
        let world = World::new(1);
        let mut first = Some(first);
        let network = SimNetwork::new(&world, Box::new(move || first.take().unwrap_or_default()));
        let cluster = Cluster::with_network(world, network, 1);
        let expected = session(&cluster).await;
        assert_eq!(cluster.texts(), expected);
        cluster.network.written_to_first()
    })
}

fn cut_everywhere(session: impl AsyncFn(&Cluster) -> Vec<String>) -> u64 {
    let (from_client, from_store) = run(Default::default(), &session);
    let mut runs = 0;
    for cut in [Cut::Fin, Cut::Reset, Cut::Silence] {
        let faults = |at| Faults { cut: Some((at, cut)), ..Faults::default() };
        for at in 0..=from_client {
            runs += 1;
            println!("client, {cut:?} at {at}");
            run((faults(at), Faults::default()), &session);
        }
        for at in 0..=from_store {
            runs += 1;
            println!("store, {cut:?} at {at}");
            run((Faults::default(), faults(at)), &session);
        }
    }
    runs
}

#[test]
fn a_plain_session_survives_a_cut_at_every_byte() {
    assert!(cut_everywhere(plain) > 1500);
}

#[test]
fn a_session_with_everything_in_it_survives_a_cut_at_every_byte() {
    assert!(cut_everywhere(mixed) > 3000);
}

#[test]
fn a_reader_survives_a_cut_at_every_byte() {
    assert!(cut_everywhere(reading) > 3000);
}

#[test]
fn a_transaction_survives_a_cut_at_every_byte() {
    assert!(cut_everywhere(transaction) > 1000);
}

#[test]
fn a_byte_stream_survives_a_cut_at_every_byte() {
    assert!(cut_everywhere(bytes) > 3000);
}
