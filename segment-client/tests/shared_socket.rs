//! Callers of one connection write to its socket themselves, or leave that to its task.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    future::{Future as _, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::try_join_all;
use pravega_sdk_segment_client::{StoreConfig, StoreConnection, StoreDialer};
use pravega_sdk_types::{Endpoint, Outcome};
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, TableEntry, TableKey, TableValue, WireCommand, commands::*,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf},
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::timeout,
};

/// Longer than anything here takes.
const FAR: Duration = Duration::from_secs(60);

fn seal(segment: &str) -> SealSegment {
    SealSegment { request_id: 0, segment: segment.into(), delegation_token: "".into() }
}

fn put(len: usize) -> UpdateTableEntries {
    let key = TableKey { data: Bytes::from_static(b"key"), key_version: TableKey::NO_VERSION };
    let value = TableValue { data: vec![7; len].into() };
    UpdateTableEntries {
        request_id: 0,
        segment: "table".into(),
        delegation_token: "".into(),
        table_entries: vec![TableEntry { key, value }],
        table_segment_offset: -1,
    }
}

/// Greets, and answers each request with one write for all that have arrived.
async fn serve(mut io: impl AsyncRead + AsyncWrite + Unpin) -> usize {
    let (mut received, mut count) = (BytesMut::new(), 0);
    loop {
        let mut replies = SendBuffer::new();
        while let Some(command) = Decoder::default().decode(&mut received).unwrap() {
            match command {
                WireCommand::Hello(hello) => replies.push(&hello).unwrap(),
                WireCommand::KeepAlive(keep_alive) => replies.push(&keep_alive).unwrap(),
                WireCommand::SealSegment(SealSegment { request_id, segment, .. }) => {
                    replies.push(&SegmentSealed { request_id, segment }).unwrap();
                }
                WireCommand::UpdateTableEntries(update) => {
                    assert!(update.table_entries[0].value.data.iter().all(|byte| *byte == 7));
                    let request_id = update.request_id;
                    let updated_versions = vec![count as i64];
                    replies.push(&TableEntriesUpdated { request_id, updated_versions }).unwrap();
                }
                other => panic!("unexpected {other:?}"),
            }
            count += 1;
        }
        let replies = replies.to_vec();
        if !replies.is_empty() && io.write_all(&replies).await.is_err() {
            return count;
        }
        if matches!(io.read_buf(&mut received).await, Ok(0) | Err(_)) {
            return count;
        }
    }
}

async fn connect(config: StoreConfig) -> (StoreConnection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint::new("127.0.0.1", address.port()).unwrap();
    let dialer = StoreDialer::new(config);
    let accepting = async {
        let mut socket = listener.accept().await.unwrap().0;
        let mut hello = SendBuffer::new();
        hello.push(&Hello { high_version: 16, low_version: 5 }).unwrap();
        socket.write_all(&hello.to_vec()).await.unwrap();
        socket
    };
    let (connection, socket) = tokio::join!(dialer.connect(&endpoint), accepting);
    (connection.unwrap(), socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_gets_its_own_reply_however_many_write_at_the_same_time() {
    let (connection, socket) = connect(StoreConfig::default()).await;
    let server = tokio::spawn(serve(socket));
    let connection = Arc::new(connection);
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move {
                for number in 0..100 {
                    let name = format!("{caller}-{number}");
                    let reply = connection.request(seal(&name)).await.unwrap();
                    assert_eq!(reply.segment, name.as_str());
                    if number % 10 == caller % 10 {
                        connection.request(put(20_000)).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        timeout(FAR, caller).await.unwrap().unwrap();
    }
    let counters = connection.counters();
    // The store repeats its greeting.
    assert_eq!((counters.sent, counters.received), (64 * 110, 64 * 110 + 1));
    assert_eq!((counters.outstanding, counters.ignored), (0, 1));
    drop(connection);
    // With the greeting.
    assert_eq!(timeout(FAR, server).await.unwrap().unwrap(), 64 * 110 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_caller_arrive_in_their_order_whatever_others_send() {
    let (connection, socket) = connect(StoreConfig::default()).await;
    let server = tokio::spawn(serve(socket));
    let connection = Arc::new(connection);
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move {
                for _ in 0..20 {
                    // More than leave at once, and a few.
                    let count = if caller == 0 { 200 } else { 2 };
                    let puts = (0..count).map(|_| connection.request(put(10)));
                    let replies = try_join_all(puts).await.unwrap();
                    // The store counts what arrives.
                    let versions: Vec<i64> =
                        replies.into_iter().flat_map(|reply| reply.updated_versions).collect();
                    assert_eq!(versions.len(), count);
                    assert!(versions.is_sorted(), "{versions:?}");
                }
            })
        })
        .collect();
    for caller in callers {
        timeout(FAR, caller).await.unwrap().unwrap();
    }
    drop(connection);
    timeout(FAR, server).await.unwrap().unwrap();
}

/// The store reads nothing until the socket is full in the middle of a frame.
#[tokio::test]
async fn a_request_that_is_dropped_while_it_is_written_leaves_no_half_of_its_frame() {
    for len in [3_000, 700_000] {
        let (connection, socket) = connect(StoreConfig::default()).await;
        for _ in 0..40_000_000 / len {
            let mut request = Box::pin(connection.request(put(len)));
            let polled = poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
            yield_now().await;
        }
        let server = tokio::spawn(serve(socket));
        let reply = timeout(FAR, connection.request(seal("last"))).await.unwrap();
        assert_eq!(reply.unwrap().segment, "last");
        let counters = connection.counters();
        assert_eq!(counters.ignored + 1, counters.received, "all replies but the last are late");
        drop(connection);
        let served = timeout(FAR, server).await.unwrap().unwrap();
        // With the greeting, and what else is no request.
        assert_eq!(served as u64, counters.sent + counters.probes + 1);
    }
}

#[tokio::test]
async fn a_request_after_a_long_one_leaves_when_that_is_written() {
    let (connection, mut socket) = connect(StoreConfig::default()).await;
    let connection = Arc::new(connection);
    let (first, second) = (Arc::clone(&connection), Arc::clone(&connection));
    let long = tokio::spawn(async move { first.request(put(14_000_000)).await });
    yield_now().await;
    let short = tokio::spawn(async move { second.request(seal("s")).await });
    // Until the socket is full.
    for _ in 0..1000 {
        yield_now().await;
    }
    let mut received = BytesMut::new();
    let reading = async {
        loop {
            while let Some(command) = Decoder::default().decode(&mut received).unwrap() {
                if let WireCommand::SealSegment(_) = command {
                    return;
                }
            }
            assert!(socket.read_buf(&mut received).await.unwrap() > 0);
        }
    };
    // No reply and no probe of a silent store wakes the task before.
    timeout(Duration::from_secs(10), reading).await.expect("the request has not left");
    long.abort();
    short.abort();
}

#[test]
fn a_connection_ends_with_its_runtime_also_if_its_task_was_never_polled() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (connection, _socket) = first.block_on(connect(StoreConfig::default()));
    drop(first);
    let error = runtime().block_on(connection.request(seal("s"))).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
}

/// A stream that counts its writes.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn the_requests_of_callers_that_are_answered_together_are_written_together() {
    const CALLERS: usize = 64;
    const ROUNDS: usize = 100;
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let server = tokio::spawn(serve(theirs));
    let io = Counted(ours, Arc::clone(&writes));
    let (endpoint, config) = ("store:6000".parse().unwrap(), StoreConfig::default());
    let connection = Arc::new(StoreConnection::open(io, &endpoint, &config).await.unwrap());
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    connection.request(seal("s")).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        timeout(FAR, caller).await.unwrap().unwrap();
    }
    let writes = writes.load(Ordering::Relaxed);
    assert!(writes < 4 * ROUNDS, "{writes} writes of {} requests", CALLERS * ROUNDS);
    drop(connection);
    timeout(FAR, server).await.unwrap().unwrap();
}
