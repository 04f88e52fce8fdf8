//! The connection to a segment store against a scripted one, in memory and with virtual time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use pravega_sdk_segment_client::{ConnectionError, StoreConfig, StoreConnection};
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, WireCommand, codes::TokenFailure, commands::*,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::{Instant, sleep, timeout},
};

/// The store's end of a connection.
struct Store {
    io: DuplexStream,
    received: BytesMut,
}

impl Store {
    async fn next(&mut self) -> Option<WireCommand> {
        loop {
            if let Some(command) = Decoder::default().decode(&mut self.received).unwrap() {
                return Some(command);
            }
            if self.io.read_buf(&mut self.received).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn send(&mut self, command: impl Into<WireCommand>) {
        let mut out = SendBuffer::new();
        command.into().encode(&mut out).unwrap();
        self.io.write_all(&out.to_vec()).await.unwrap();
    }

    async fn greet(&mut self) {
        assert!(matches!(self.next().await, Some(WireCommand::Hello(_))));
        self.send(Hello { high_version: 16, low_version: 5 }).await;
    }

    async fn next_seal(&mut self) -> SealSegment {
        match self.next().await {
            Some(WireCommand::SealSegment(seal)) => seal,
            other => panic!("expected a seal, got {other:?}"),
        }
    }
}

fn endpoint() -> Endpoint {
    "store:6000".parse().unwrap()
}

fn pair() -> (DuplexStream, Store) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    (ours, Store { io: theirs, received: BytesMut::new() })
}

async fn open(io: DuplexStream, config: StoreConfig) -> Result<StoreConnection, ConnectionError> {
    StoreConnection::open(io, &endpoint(), &config).await
}

async fn connected() -> (Arc<StoreConnection>, Store) {
    let (io, mut store) = pair();
    let (connection, ()) = tokio::join!(open(io, StoreConfig::default()), store.greet());
    (Arc::new(connection.unwrap()), store)
}

fn seal(segment: &str) -> SealSegment {
    SealSegment { request_id: 0, segment: segment.into(), delegation_token: "".into() }
}

fn sealed(request: &SealSegment) -> SegmentSealed {
    SegmentSealed { request_id: request.request_id, segment: request.segment.clone() }
}

#[tokio::test(start_paused = true)]
async fn replies_find_their_requests_in_any_order() {
    let (connection, mut store) = connected().await;
    let requests: Vec<_> = (0..50)
        .map(|at| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move {
                connection.request(seal(&format!("s{at}"))).await.unwrap().segment
            })
        })
        .collect();
    let mut asked = Vec::new();
    for _ in 0..50 {
        asked.push(store.next_seal().await);
    }
    asked.sort_by_key(|request| {
        request.segment.len() + request.segment.as_bytes()[1] as usize * 7 % 13
    });
    for request in asked.iter().rev() {
        store.send(sealed(request)).await;
    }
    for (at, request) in requests.into_iter().enumerate() {
        assert_eq!(request.await.unwrap(), format!("s{at}").as_str());
    }
    assert_eq!(connection.counters().outstanding, 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_is_cleaned_up_and_its_late_reply_is_ignored() {
    let (connection, mut store) = connected().await;
    assert!(timeout(Duration::from_secs(1), connection.request(seal("late"))).await.is_err());
    let late = store.next_seal().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(connection.counters().outstanding, 0, "the waiter is gone");
    store.send(sealed(&late)).await;
    store.send(SegmentSealed { request_id: 12345, segment: "unknown".into() }).await;
    store.send(Hello { high_version: 16, low_version: 5 }).await;
    let (answer, ()) = tokio::join!(connection.request(seal("next")), async {
        let request = store.next_seal().await;
        store.send(sealed(&request)).await;
    });
    assert_eq!(answer.unwrap().segment, "next");
    assert_eq!(connection.counters().ignored, 3);
}

#[tokio::test(start_paused = true)]
async fn all_waiters_of_a_connection_that_ends_get_the_same_cause() {
    let (connection, mut store) = connected().await;
    let waiters: Vec<_> = (0..10)
        .map(|_| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move { connection.request(seal("s")).await.unwrap_err() })
        })
        .collect();
    for _ in 0..10 {
        store.next_seal().await;
    }
    drop(store);
    for waiter in waiters {
        let error = waiter.await.unwrap();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::ConnectionLost, Outcome::Unknown));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(
            cause,
            "connection to the segment store at store:6000: the segment store closed it"
        );
    }
    let later = connection.request(seal("later")).await.unwrap_err();
    assert_eq!((later.kind(), later.outcome()), (ErrorKind::ConnectionLost, Outcome::NotApplied));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_keeps_the_connection_and_its_error_explains_the_reply() {
    let (connection, mut store) = connected().await;
    let (answer, ()) = tokio::join!(connection.request(seal("gone")), async {
        let request = store.next_seal().await;
        let refused = NoSuchSegment {
            request_id: request.request_id,
            segment: request.segment,
            server_stack_trace: "trace\n"
                .repeat(10_000)
                .chars()
                .take(60_000)
                .collect::<String>()
                .into(),
            offset: -1,
        };
        store.send(refused).await;
    });
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    assert!(matches!(error.reply(), Some(WireCommand::NoSuchSegment(_))));
    assert!(error.to_string().len() < 300, "{error}");
    assert!(connection.end().is_none());
}

#[tokio::test(start_paused = true)]
async fn garbage_and_frames_of_clients_end_the_connection_as_a_protocol_error() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[0, 0, 0, 100, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0, 0, 0, 6, 0, 0, 0, 0],
    ] {
        let (connection, mut store) = connected().await;
        let (answer, ()) = tokio::join!(connection.request(seal("s")), async {
            store.next_seal().await;
            store.io.write_all(bytes).await.unwrap();
        });
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Protocol);
    }
    let (connection, mut store) = connected().await;
    let (answer, ()) = tokio::join!(connection.request(seal("s")), async {
        let request = store.next_seal().await;
        store.send(request).await;
    });
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_reply_for_the_right_id_is_a_protocol_error_of_that_request_alone() {
    let (connection, mut store) = connected().await;
    let (answer, ()) = tokio::join!(connection.request(seal("s")), async {
        let request = store.next_seal().await;
        store.send(SegmentDeleted { request_id: request.request_id, segment: "s".into() }).await;
    });
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Protocol);
    assert!(connection.end().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_handshake_refuses_a_server_that_is_not_a_segment_store() {
    let handshake = async |bytes: &'static [u8]| {
        let (io, mut store) = pair();
        let config = StoreConfig::default();
        let started = Instant::now();
        let (opened, _store) = tokio::join!(open(io, config), async {
            store.next().await;
            store.io.write_all(bytes).await.unwrap();
            if bytes.ends_with(b"!") {
                drop(store);
                return None;
            }
            Some(store)
        });
        (opened.unwrap_err(), started.elapsed())
    };
    let hello =
        |high: u8, low: u8| [0xFF, 0xFF, 0xFF, 0x81, 0, 0, 0, 8, 0, 0, 0, high, 0, 0, 0, low];
    let leak = |bytes: [u8; 16]| -> &'static [u8] { Box::leak(Box::new(bytes)) };
    let (old, _) = handshake(leak(hello(4, 1))).await;
    assert_eq!(old.kind(), ErrorKind::IncompatibleServer);
    assert!(old.to_string().contains("versions 1 to 4, this side speaks 5 to 16"), "{old}");
    assert_eq!(handshake(leak(hello(100, 17))).await.0.kind(), ErrorKind::IncompatibleServer);
    let (silent, waited) = handshake(b"").await;
    assert_eq!((silent.kind(), waited), (ErrorKind::Timeout, Duration::from_secs(5)));
    assert_eq!(handshake(b"SSH-2.0-OpenSSH_9").await.0.kind(), ErrorKind::Protocol);
    assert_eq!(handshake(&[0, 0, 0, 100, 0, 0, 0, 0]).await.0.kind(), ErrorKind::Protocol);
    assert_eq!(handshake(b"\xFF\xFF\xFF\x81\0\0\0!").await.0.kind(), ErrorKind::ConnectionLost);
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_is_lost_after_35_seconds_with_a_request_and_after_45_without() {
    let (connection, mut store) = connected().await;
    let started = Instant::now();
    // A longer deadline, so that the keep-alive ends the request.
    let answer = connection.request_within(seal("s"), Duration::from_secs(600));
    let error = answer.await.unwrap_err();
    assert_eq!(
        (error.kind(), started.elapsed()),
        (ErrorKind::ConnectionLost, Duration::from_secs(35))
    );
    assert!(matches!(store.next().await, Some(WireCommand::SealSegment(_))));
    assert!(matches!(store.next().await, Some(WireCommand::KeepAlive(_))));

    let (connection, _store) = connected().await;
    sleep(Duration::from_millis(44_900)).await;
    assert!(connection.end().is_none());
    sleep(Duration::from_millis(200)).await;
    assert!(connection.end().unwrap().to_string().contains("silent for 45 s"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_keep_alives_keeps_an_idle_connection() {
    let (connection, mut store) = connected().await;
    let echo = tokio::spawn(async move {
        while let Some(command) = store.next().await {
            assert_eq!(command, KeepAlive {}.into());
            store.send(command).await;
        }
    });
    sleep(Duration::from_secs(3600)).await;
    assert!(connection.end().is_none());
    let probes = connection.counters().probes;
    assert!((170..=190).contains(&probes), "{probes} probes in an hour");
    drop(connection);
    echo.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_permits_and_fail_when_they_get_none_in_time() {
    let (io, mut store) = pair();
    let config =
        StoreConfig::default().with_max_in_flight(2).with_request_timeout(Duration::from_secs(3));
    let (connection, ()) = tokio::join!(open(io, config), store.greet());
    let connection = connection.unwrap();
    let (a, b, c) = tokio::join!(
        connection.request(seal("a")),
        connection.request(seal("b")),
        connection.request(seal("c"))
    );
    assert_eq!(a.unwrap_err().outcome(), Outcome::Unknown);
    assert_eq!(b.unwrap_err().outcome(), Outcome::Unknown);
    let waited = c.unwrap_err();
    assert_eq!((waited.kind(), waited.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    // Requests that timed out have returned their permits.
    let (answer, ()) = tokio::join!(connection.request(seal("d")), async {
        store.next_seal().await;
        store.next_seal().await;
        let request = store.next_seal().await;
        store.send(sealed(&request)).await;
    });
    assert_eq!(answer.unwrap().segment, "d");
}

/// The owner of a request works on something else and does not poll it: others go on.
#[tokio::test(start_paused = true)]
async fn requests_that_are_not_polled_hold_up_no_other() {
    let (io, mut store) = pair();
    let config =
        StoreConfig::default().with_max_in_flight(2).with_request_timeout(Duration::from_secs(3));
    let (connection, ()) = tokio::join!(open(io, config), store.greet());
    let connection = connection.unwrap();
    let names = ["answered", "silent", "waits", "late"];
    let mut stalled = names.map(|name| Box::pin(connection.request(seal(name))));
    for request in &mut stalled {
        assert!(!futures_poll(request.as_mut()).await);
    }
    let first = store.next_seal().await;
    store.send(sealed(&first)).await;
    assert_eq!(store.next_seal().await.segment, "silent");
    // The place of the answered one is free, whether its owner takes the answer or not.
    assert_eq!(store.next_seal().await.segment, "waits");
    // The last one is never sent, and the others do not keep their places beyond their deadlines.
    sleep(Duration::from_secs(4)).await;
    let (answer, ()) = tokio::join!(connection.request(seal("polled")), async {
        let request = store.next_seal().await;
        assert_eq!(request.segment, "polled");
        store.send(sealed(&request)).await;
    });
    assert_eq!(answer.unwrap().segment, "polled");
    let [answered, silent, waits, late] = stalled;
    assert_eq!(answered.await.unwrap().segment, "answered");
    for (request, outcome) in
        [(silent, Outcome::Unknown), (waits, Outcome::Unknown), (late, Outcome::NotApplied)]
    {
        let error = request.await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, outcome));
    }
}

/// All readers of a client share a connection, and most wait at the same few offsets.
#[tokio::test(start_paused = true)]
async fn a_refused_token_reaches_all_reads_that_it_may_be_about() {
    let (connection, mut store) = connected().await;
    let read = |segment: &str, offset, token: &str| ReadSegment {
        segment: segment.into(),
        offset,
        suggested_length: 8,
        delegation_token: token.into(),
        request_id: 0,
    };
    let far = Duration::from_secs(180);
    let (first, second, third, ()) = tokio::join!(
        connection.read(read("expired", 40, "old"), far),
        connection.read(read("other", 40, "new"), far),
        connection.read(read("elsewhere", 41, "new"), far),
        async {
            let mut asked = Vec::new();
            for _ in 0..3 {
                match store.next().await {
                    Some(WireCommand::ReadSegment(read)) => asked.push(read),
                    other => panic!("expected a read, got {other:?}"),
                }
            }
            assert!(asked.iter().all(|read| read.request_id < 0), "no id is an offset");
            let server_stack_trace = "".into();
            let error_code = TokenFailure::CheckFailed;
            store
                .send(AuthTokenCheckFailed { request_id: 40, server_stack_trace, error_code })
                .await;
            let ReadSegment { segment, offset, request_id, .. } = asked.pop().unwrap();
            let (at_tail, end_of_segment, data) = (true, false, "data".into());
            store
                .send(SegmentRead { segment, offset, at_tail, end_of_segment, data, request_id })
                .await;
        }
    );
    for answer in [first, second] {
        // Only one of the two was refused: each asks again with a new token.
        match answer.unwrap() {
            WireCommand::AuthTokenCheckFailed(refused) => {
                assert_eq!(refused.error_code, TokenFailure::Expired);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(third, Ok(WireCommand::SegmentRead(_))));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fits_no_frame_is_refused_and_the_connection_stays_usable() {
    let (connection, mut store) = connected().await;
    let refused = connection.request(seal(&"x".repeat(70_000))).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.outcome()),
        (ErrorKind::InvalidArgument, Outcome::NotApplied)
    );
    let unmatched = connection.exchange(KeepAlive {}.into()).await.unwrap_err();
    assert_eq!(
        (unmatched.kind(), unmatched.outcome()),
        (ErrorKind::InvalidArgument, Outcome::NotApplied)
    );
    let (answer, ()) = tokio::join!(connection.request(seal("s")), async {
        let request = store.next_seal().await;
        store.send(sealed(&request)).await;
    });
    assert!(answer.is_ok());
}

/// Drops the request after every possible number of polls: the connection must stay usable for the
/// next one.
#[tokio::test(start_paused = true)]
async fn a_request_dropped_at_any_poll_leaves_the_connection_usable() {
    for polls in 0..6 {
        let (connection, mut store) = connected().await;
        let echo = tokio::spawn(async move {
            while let Some(command) = store.next().await {
                if let WireCommand::SealSegment(request) = command {
                    store.send(sealed(&request)).await;
                }
            }
        });
        {
            let mut request = Box::pin(connection.request(seal("dropped")));
            for _ in 0..polls {
                if futures_poll(request.as_mut()).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(connection.request(seal("next")).await.unwrap().segment, "next");
        assert_eq!(connection.counters().outstanding, 0);
        drop(connection);
        echo.await.unwrap();
    }
}

/// Polls once; true if the future is done.
async fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    let mut future = Some(future);
    std::future::poll_fn(|context| {
        let done = future.take().is_some_and(|future| future.poll(context).is_ready());
        std::task::Poll::Ready(done)
    })
    .await
}

/// A header that claims 16 MiB costs only a small receive buffer, on any number of connections.
#[test]
fn a_thousand_lying_lengths_reserve_next_to_nothing() {
    const CONNECTIONS: u64 = 1000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let info = allocation_counter::measure(|| {
        runtime.block_on(async {
            let mut open = Vec::new();
            for _ in 0..CONNECTIONS {
                let (ours, theirs) = tokio::io::duplex(256);
                let mut store = Store { io: theirs, received: BytesMut::new() };
                let config = StoreConfig::default();
                let endpoint = endpoint();
                let (connection, ()) =
                    tokio::join!(StoreConnection::open(ours, &endpoint, &config), store.greet());
                store.io.write_all(&[0, 0, 0, 10, 0, 0xFF, 0xFF, 0xFF]).await.unwrap();
                open.push((connection.unwrap(), store));
            }
            sleep(Duration::from_secs(1)).await;
            assert!(open.iter().all(|(connection, _)| connection.end().is_none()));
        });
    });
    assert!(info.bytes_max < CONNECTIONS * 32 * 1024, "{} bytes at most", info.bytes_max);
}

#[tokio::test(start_paused = true)]
async fn commands_without_a_reply_are_bounded_and_are_sent_in_order() {
    let (io, mut store) = pair();
    let config = StoreConfig::default().with_max_in_flight(3);
    let (connection, ()) = tokio::join!(open(io, config), store.greet());
    let connection = connection.unwrap();
    let command = |number| {
        let (request_id, segment) = (number, format!("s{number}").into());
        SealSegment { request_id, segment, delegation_token: "".into() }.into()
    };
    for number in 0..3 {
        connection.send(command(number)).unwrap();
    }
    let error = connection.send(command(3)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::LimitReached, Outcome::NotApplied));
    for number in 0..3 {
        assert_eq!(store.next_seal().await.request_id, number);
    }
    connection.send(command(3)).unwrap();
    assert_eq!(store.next_seal().await.request_id, 3);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_commands_without_a_reply_are_bounded() {
    let (io, mut store) = pair();
    let config = StoreConfig::default().with_max_in_flight_bytes(16 << 20);
    let (connection, ()) = tokio::join!(open(io, config), store.greet());
    let connection = connection.unwrap();
    let block = || {
        let data = vec![7; 6 << 20].into();
        AppendBlock { writer_id: uuid::Uuid::from_u128(1), data }.into()
    };
    for _ in 0..2 {
        connection.send(block()).unwrap();
    }
    assert_eq!(connection.send(block()).unwrap_err().kind(), ErrorKind::LimitReached);
    // The commands are in the buffer of the socket, as far as it takes them.
    assert!(matches!(store.next().await, Some(WireCommand::AppendBlock(_))));
    connection.send(block()).unwrap();
}
