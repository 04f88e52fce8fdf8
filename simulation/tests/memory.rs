//! The memory that writing and reading cost.

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use common::Cluster;
use pravega_sdk_event_stream::{
    EventReader, EventWriter, ReaderConfig, SegmentContext, TryEnqueueError, WriterConfig,
    codec::Raw,
};
use pravega_sdk_segment_client::{
    ByteStream, Opening, RawClient, StoreConfig, StoreDialer, StorePool, Transport,
};
use pravega_sdk_simulation::{World, store};
use pravega_sdk_types::Endpoint;
use tokio::net::{TcpListener, TcpStream};

#[test]
fn a_store_that_never_acknowledges_is_offered_two_million_events_in_little_memory() {
    let mut taken = 0;
    let used = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let cluster = Cluster::new(1);
            cluster.world.set_deaf();
            let writer = cluster.writer().await;
            for number in 0..2_000_000 {
                match writer.try_enqueue(None, vec![7]) {
                    Ok(ack) => {
                        drop(ack);
                        taken += 1;
                    }
                    Err(TryEnqueueError::Full(event)) => assert_eq!(event.len(), 1),
                    Err(error) => panic!("{error}"),
                }
                if number % 1000 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        });
    });
    println!("{taken} events taken, {} bytes at most", used.bytes_max);
    assert_eq!(taken, 65_536, "a capacity of 32 MiB, 512 bytes for each");
    assert!(used.bytes_max <= 64 << 20, "{} bytes", used.bytes_max);
}

/// Every connection leads to one socket, that of a store in another thread.
#[derive(Debug)]
struct OneSocket(SocketAddr);

impl Transport for OneSocket {
    fn open<'a>(&'a self, _: &'a Endpoint) -> Opening<'a> {
        Box::pin(async { Ok(Box::new(TcpStream::connect(self.0).await?) as Box<dyn ByteStream>) })
    }
}

fn store_in_a_thread(world: World) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(
            async {
                let listener = TcpListener::from_std(listener).unwrap();
                let (socket, _) = listener.accept().await.unwrap();
                store::serve(world, 0, socket).await;
            },
        );
    });
    address
}

/// The parts of the cluster's client, with connections of their own.
fn with_connections(cluster: &Cluster, dialer: StoreDialer) -> SegmentContext {
    let (parts, pool) = (cluster.context(), StorePool::new(dialer));
    SegmentContext::new(
        Arc::clone(parts.controller()),
        Arc::clone(parts.endpoints()),
        Arc::clone(parts.tokens()),
        RawClient::with_pool(pool.clone()),
        pool,
    )
}

/// The number of allocations that a writer makes for an event, that of the event not counted.
fn allocations_per_event(event: impl Fn() -> Bytes) -> f64 {
    const EVENTS: u64 = 100_000;
    let cluster = Cluster::new(1);
    let address = store_in_a_thread(cluster.world.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dialer = StoreDialer::with_transport(StoreConfig::default(), Arc::new(OneSocket(address)));
    let parts = with_connections(&cluster, dialer);
    let writer = runtime.block_on(async {
        let writer =
            EventWriter::open(parts, &cluster.stream, Raw, WriterConfig::default()).await.unwrap();
        writer.write("k", "warm").await.unwrap();
        writer
    });
    let used = allocation_counter::measure(|| {
        runtime.block_on(async {
            let mut last = None;
            for _ in 0..EVENTS {
                last = Some(writer.enqueue("k", event()).await.unwrap());
            }
            last.unwrap().await.unwrap();
            writer.flush().await.unwrap();
        });
    });
    used.count_total as f64 / EVENTS as f64
}

#[test]
fn writing_an_event_takes_less_than_one_allocation() {
    let own = allocations_per_event(|| Bytes::from_static(&[7; 100]));
    let with_event = allocations_per_event(|| Bytes::from(vec![7; 100]));
    println!("{own:.3} allocations an event, {with_event:.3} with the event's own");
    assert!(own <= 0.2, "{own} allocations an event");
    assert!(with_event <= 1.2, "{with_event} allocations an event, one of them its own");
}

#[test]
fn reading_an_event_takes_no_allocation_but_that_of_the_buffer_it_came_in() {
    const EVENTS: usize = 100_000;
    let cluster = Cluster::new(1);
    cluster.fill((0..EVENTS).map(|_| [7; 100]));
    let address = store_in_a_thread(cluster.world.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dialer = StoreDialer::with_transport(StoreConfig::default(), Arc::new(OneSocket(address)));
    let parts = with_connections(&cluster, dialer);
    let mut reader = runtime.block_on(async {
        let mut reader =
            EventReader::open(parts, &cluster.stream, Raw, ReaderConfig::default()).await.unwrap();
        reader.next().await.unwrap().unwrap();
        reader
    });
    let used = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 1..EVENTS {
                assert_eq!(reader.next().await.unwrap().unwrap().event().len(), 100);
            }
        });
    });
    let each = used.count_total as f64 / EVENTS as f64;
    println!("{each:.4} allocations an event, {} bytes at most", used.bytes_max);
    assert!(each <= 0.02, "{each} allocations an event");
}

#[test]
fn one_reader_reads_five_thousand_segments_over_one_connection_in_little_memory() {
    const SEGMENTS: i64 = 5000;
    let mut links = 0;
    let used = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let cluster = Cluster::new(SEGMENTS as u32);
            let mut event = bytes::BytesMut::new();
            pravega_sdk_wire_protocol::event::put(&mut event, &[7; 4000]).unwrap();
            for id in 0..SEGMENTS {
                cluster.world.append_raw(&cluster.segment(id), &event);
            }
            let mut reader =
                EventReader::open(cluster.context(), &cluster.stream, Raw, ReaderConfig::default())
                    .await
                    .unwrap();
            for _ in 0..SEGMENTS {
                assert_eq!(reader.next().await.unwrap().unwrap().event().len(), 4000);
            }
            // At the tails of all segments, then an event for each at once.
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(tokio::time::timeout(Duration::from_secs(1), reader.next()).await.is_err());
            for id in 0..SEGMENTS {
                cluster.world.append_raw(&cluster.segment(id), &event);
            }
            for _ in 0..SEGMENTS {
                assert_eq!(reader.next().await.unwrap().unwrap().event().len(), 4000);
            }
            links = cluster.network.links();
        });
    });
    println!("{} bytes at most, 40 MB of which are the segments' own", used.bytes_max);
    assert_eq!(links, 1);
    assert!(used.bytes_max <= 256 << 20, "{} bytes", used.bytes_max);
}
