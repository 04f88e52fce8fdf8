//! What only the embedded server can be asked for: faults, a clock that is moved, limits, a folder
//! of its own.

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{Credentials, Subscriber, TransactionState};
use pravega_sdk_event_stream::{TransactionConfig, WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{eventually, read_all, scale};
use pravega_sdk_server::{
    EmbeddedServer, OpenProblem, Presence, Refusal, ServerBuilder, StartError,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupRetention, KeyRange, Offset, ReaderGroupConfiguration,
    RetentionPolicy, ScalingPolicy, Scope, ScopedReaderGroup, ScopedStream, SegmentId,
    StreamConfiguration, Watermark, WriterName,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

async fn start(builder: ServerBuilder) -> (EmbeddedServer, ClientFactory) {
    let server = builder.start().await.unwrap();
    let factory = connect(&server).await;
    (server, factory)
}

async fn connect(server: &EmbeddedServer) -> ClientFactory {
    let config = ClientConfig::from_url(&server.url()).unwrap();
    ClientFactory::with_config(config.with_default_retry(
        100,
        Duration::from_millis(10),
        Duration::from_millis(100),
    ))
    .await
    .unwrap()
}

fn standing() -> ServerBuilder {
    EmbeddedServer::builder().with_standing_clock()
}

async fn stream_with(factory: &ClientFactory, configuration: &StreamConfiguration) -> ScopedStream {
    let stream = ScopedStream::new(Scope::new("scope").unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    factory.controller().create_stream(&stream, configuration).await.unwrap();
    stream
}

async fn stream(factory: &ClientFactory, segments: u32) -> ScopedStream {
    stream_with(
        factory,
        &StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments)),
    )
    .await
}

async fn write(factory: &ClientFactory, stream: &ScopedStream, numbers: std::ops::Range<u32>) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    let mut acks = Vec::new();
    for number in numbers {
        acks.push(
            writer.enqueue(&format!("key-{}", number % 7), number.to_string()).await.unwrap(),
        );
    }
    for ack in acks {
        ack.await.unwrap();
    }
}

async fn numbers(factory: &ClientFactory, stream: &ScopedStream) -> Vec<u32> {
    let events = read_all(factory, stream).await;
    let mut numbers: Vec<u32> = events
        .iter()
        .map(|event| std::str::from_utf8(event.event()).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

// ------------------------------------------------------------------------------------------------------------------ clock

#[tokio::test]
async fn a_transaction_ends_with_its_lease_and_a_ping_keeps_it() {
    let (server, factory) = start(standing()).await;
    let stream = stream(&factory, 2).await;
    let controller = factory.controller();
    let lease = Duration::from_secs(20);
    let (kept, left) = (
        controller.create_transaction(&stream, lease).await.unwrap().id,
        controller.create_transaction(&stream, lease).await.unwrap().id,
    );
    server.advance_clock(Duration::from_secs(15));
    controller.ping_transaction(&stream, kept, lease).await.unwrap();
    server.advance_clock(Duration::from_secs(15));
    assert_eq!(controller.transaction_state(&stream, kept).await.unwrap(), TransactionState::Open);
    assert_eq!(
        controller.transaction_state(&stream, left).await.unwrap(),
        TransactionState::Aborted
    );
    let segments = server.segment_count();
    server.advance_clock(Duration::from_secs(30));
    assert_eq!(server.segment_count(), segments - 2, "its segments are gone");
}

#[tokio::test]
async fn retention_by_size_keeps_at_least_what_it_says() {
    let (server, factory) = start(standing()).await;
    let policy = RetentionPolicy::BySize { min_bytes: 5_000, max_bytes: None };
    let configuration = StreamConfiguration::default().with_retention(policy).unwrap();
    let stream = stream_with(&factory, &configuration).await;
    for round in 0..10 {
        write(&factory, &stream, round * 200..(round + 1) * 200).await;
        server.advance_clock(Duration::from_secs(31 * 60));
    }
    let left = numbers(&factory, &stream).await;
    assert_eq!(*left.last().unwrap(), 1999);
    let batch = factory.batch_client(&stream);
    let (head, tail) = (batch.head_cut().await.unwrap(), batch.tail_cut().await.unwrap());
    let bytes = batch.distance(&head.into(), &tail.into()).await.unwrap();
    // A round is about 2,200 bytes.
    assert!((5_000..8_000).contains(&bytes), "{bytes} bytes are left");
}

#[tokio::test]
async fn retention_by_time_drops_what_is_older_across_a_scale() {
    let (server, factory) = start(standing()).await;
    let policy = RetentionPolicy::ByTime { min: Duration::from_secs(3600), max: None };
    let configuration = StreamConfiguration::default().with_retention(policy).unwrap();
    let stream = stream_with(&factory, &configuration).await;
    write(&factory, &stream, 0..100).await;
    server.advance_clock(Duration::from_secs(31 * 60));
    scale(factory.controller(), &stream, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    write(&factory, &stream, 100..200).await;
    server.advance_clock(Duration::from_secs(31 * 60));
    assert_eq!(numbers(&factory, &stream).await.len(), 200);
    server.advance_clock(Duration::from_secs(31 * 60));
    assert_eq!(numbers(&factory, &stream).await, (100..200).collect::<Vec<_>>());
    server.advance_clock(Duration::from_secs(31 * 60));
    assert!(numbers(&factory, &stream).await.is_empty());
}

#[tokio::test]
async fn retention_waits_for_the_groups_that_subscribe() {
    let (server, factory) = start(standing()).await;
    let policy = RetentionPolicy::BySize { min_bytes: 10, max_bytes: Some(6_000) };
    let configuration = StreamConfiguration::default().with_retention(policy).unwrap();
    let stream = stream_with(&factory, &configuration).await;
    let group = ScopedReaderGroup::new(stream.scope().clone(), "group".parse().unwrap());
    let id = Uuid::new_v4();
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_retention(GroupRetention::ManualReleaseAtUserStreamCut)
        .with_identity(id, 0);
    factory.controller().create_reader_group(&group, &configuration).await.unwrap();
    write(&factory, &stream, 0..100).await;
    server.advance_clock(Duration::from_secs(31 * 60));
    write(&factory, &stream, 100..200).await;
    server.advance_clock(Duration::from_secs(31 * 60));
    assert_eq!(numbers(&factory, &stream).await.len(), 200, "nothing was released");
    // 100 events of 1 or 2 digits.
    let released =
        BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(10 * 9 + 90 * 10))]).unwrap();
    let subscriber = Subscriber { group: group.clone(), id, generation: 0 };
    factory.controller().update_subscriber_cut(&subscriber, &released).await.unwrap();
    server.advance_clock(Duration::from_secs(31 * 60));
    assert_eq!(numbers(&factory, &stream).await, (100..200).collect::<Vec<_>>());
    // Beyond the most that is kept, the group is waited for no longer.
    write(&factory, &stream, 200..1000).await;
    server.advance_clock(Duration::from_secs(31 * 60));
    write(&factory, &stream, 1000..1100).await;
    server.advance_clock(Duration::from_secs(31 * 60));
    let left = numbers(&factory, &stream).await;
    assert!(left[0] > 200 && left.len() < 700, "{} events from {}", left.len(), left[0]);
}

#[tokio::test]
async fn a_watermark_is_written_once_every_writer_has_gone_on() {
    let (server, factory) = start(standing()).await;
    let stream = stream(&factory, 1).await;
    let writers = [1, 2].map(|number| WriterName::new(format!("writer-{number}")).unwrap());
    let note = async |writer: usize, time: i64, offset: i64| {
        let position =
            BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(offset))]).unwrap();
        factory.controller().note_time(&writers[writer], &position, time).await.unwrap();
    };
    let marks = async || {
        let marks = ScopedStream::internal("scope/_MARKstream").unwrap();
        let events = read_all(&factory, &marks).await;
        let mark = |bytes: &[u8]| {
            let mark = Watermark::from_bytes(bytes).unwrap();
            (mark.lower_time(), mark.upper_time(), mark.positions().collect::<Vec<_>>())
        };
        events.iter().map(|event| mark(event.event())).collect::<Vec<_>>()
    };
    write(&factory, &stream, 0..10).await;
    note(0, 100, 20).await;
    note(1, 150, 50).await;
    server.advance_clock(Duration::from_secs(11));
    assert_eq!(marks().await, [(100, 150, vec![(SegmentId::from(0), Offset(50))])]);
    note(1, 200, 60).await;
    server.advance_clock(Duration::from_secs(11));
    // The first writer is behind, and the stream waits for nobody.
    assert_eq!(marks().await.last().unwrap().0, 200);
    factory.controller().remove_writer(&stream, &writers[1]).await.unwrap();
}

#[tokio::test]
async fn a_stream_scales_with_the_rate_of_its_events() {
    let (server, factory) = start(standing().with_rate_window(Duration::from_secs(120))).await;
    let number = |number: u32| number.try_into().unwrap();
    let policy = ScalingPolicy::ByEventRate {
        events_per_second: number(1),
        scale_factor: number(2),
        min_segments: number(1),
    };
    let stream = stream_with(&factory, &StreamConfiguration::default().with_scaling(policy)).await;
    let segments = async || factory.controller().current_segments(&stream).await.unwrap().len();
    for minute in 0..4 {
        write(&factory, &stream, minute * 1000..(minute + 1) * 1000).await;
        server.advance_clock(Duration::from_secs(60));
    }
    let grown = segments().await;
    assert!(grown > 1, "it has one segment with 16 times its rate");
    // Nothing comes for an hour and a half.
    for _ in 0..90 {
        server.advance_clock(Duration::from_secs(60));
    }
    assert_eq!(segments().await, 1);
    assert_eq!(numbers(&factory, &stream).await.len(), 4000);
}

// ----------------------------------------------------------------------------------------------------------------- limits

#[tokio::test]
async fn what_finds_no_room_is_refused_and_goes_on_once_there_is_some() {
    let (server, factory) = start(EmbeddedServer::builder().with_memory_limit(4 << 20)).await;
    let stream = stream(&factory, 1).await;
    let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(2));
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    let text = "x".repeat(100_000);
    let mut written = 0;
    let error = loop {
        match writer.write("key", text.clone()).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!((30..42).contains(&written), "{written} times 100 KB found room in 4 MiB");
    let text_of = |error: &dyn std::error::Error| {
        let mut all = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            all = format!("{all}: {cause}");
            source = cause.source();
        }
        all
    };
    assert!(
        text_of(&error).contains("holds as much as it may, 4194304 bytes"),
        "{}",
        text_of(&error)
    );
    assert_eq!(read_all(&factory, &stream).await.len(), written, "reading goes on");
    assert!(server.bytes_held() <= 4 << 20);
    let tail = factory.batch_client(&stream).tail_cut().await.unwrap();
    factory.controller().truncate_stream(&tail).await.unwrap();
    write(&factory, &stream, 0..10).await;
}

#[tokio::test]
async fn a_server_without_room_for_segments_says_so() {
    let (_server, factory) = start(EmbeddedServer::builder().with_memory_limit(10_000)).await;
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(100));
    let stream = ScopedStream::new(Scope::new("scope").unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    let refused = factory.controller().create_stream(&stream, &configuration).await.unwrap_err();
    assert!(format!("{refused:?}").contains("holds as much as it may"), "{refused:?}");
    assert!(!factory.controller().stream_exists(&stream).await.unwrap());
}

// ----------------------------------------------------------------------------------------------------------------- faults

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_or_doubles_an_event() {
    let (server, factory) = start(EmbeddedServer::builder().with_segment_stores(3)).await;
    let stream = stream(&factory, 4).await;
    let writing = {
        let (factory, stream) = (connect(&server).await, stream.clone());
        tokio::spawn(async move {
            for round in 0..40 {
                write(&factory, &stream, round * 100..(round + 1) * 100).await;
            }
        })
    };
    let faults = server.faults();
    for round in 0_u32..30 {
        match round % 5 {
            0 => faults.drop_connections(),
            1 => faults.drop_connection_after_answers(round % 7),
            2 => {
                for segment in 0..4 {
                    faults.move_container(
                        &format!("{stream}/{segment}.#epoch.0"),
                        (round as usize + segment) % 3,
                    );
                }
            }
            3 => {
                faults.refuse_connections(Refusal::All);
                faults.drop_connections();
                tokio::time::sleep(Duration::from_millis(30)).await;
                faults.refuse_connections(Refusal::None);
            }
            _ => {
                faults.controller(Presence::Away);
                faults.drop_connections();
                tokio::time::sleep(Duration::from_millis(30)).await;
                faults.controller(Presence::There);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    writing.await.unwrap();
    assert_eq!(numbers(&factory, &stream).await, (0..4000).collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_are_held_back_for_as_long_as_is_asked_for() {
    let (server, factory) = start(EmbeddedServer::builder()).await;
    let stream = stream(&factory, 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "at once").await.unwrap();
    server.faults().delay_answers(Duration::from_millis(200));
    let begun = std::time::Instant::now();
    writer.write("key", "late").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    server.faults().delay_answers(Duration::ZERO);
}

#[tokio::test]
async fn only_accounts_come_in_and_tokens_are_renewed_when_they_expire() {
    let builder = EmbeddedServer::builder().with_account("ann", "pass:word");
    let server = builder.start().await.unwrap();
    let stranger = ClientFactory::connect(&server.url()).await.unwrap();
    let scope = Scope::new("scope").unwrap();
    let refused = stranger.controller().create_scope(&scope).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);

    let credentials = Credentials::basic("ann", "pass:word").unwrap();
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    let factory = ClientFactory::with_config(config).await.unwrap();
    let stream = stream(&factory, 1).await;
    write(&factory, &stream, 0..10).await;
    server.faults().expire_tokens();
    write(&factory, &stream, 10..20).await;
    assert_eq!(numbers(&factory, &stream).await, (0..20).collect::<Vec<_>>());
}

// ------------------------------------------------------------------------------------------------------------------- REST

/// What a path shows, and the status.
async fn shown(server: &EmbeddedServer, path: &str) -> (u16, serde_json::Value) {
    let mut socket =
        tokio::net::TcpStream::connect(("127.0.0.1", server.rest_port().unwrap())).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn the_rest_interface_shows_what_there_is() {
    let (server, factory) = start(EmbeddedServer::builder().with_rest_port(0)).await;
    let policy = RetentionPolicy::BySize { min_bytes: 5 << 20, max_bytes: None };
    let stream =
        stream_with(&factory, &StreamConfiguration::default().with_retention(policy).unwrap())
            .await;
    scale(factory.controller(), &stream, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    assert_eq!(shown(&server, "/v1/scopes").await.1["scopes"][0]["scopeName"], "scope");
    let (status, streams) = shown(&server, "/v1/scopes/scope/streams").await;
    assert_eq!((status, streams["streams"].as_array().unwrap().len()), (200, 1));
    let shown_stream = shown(&server, "/v1/scopes/scope/streams/stream").await.1;
    assert_eq!(shown_stream["scalingPolicy"]["type"], "FIXED_NUM_SEGMENTS");
    assert_eq!(
        (&shown_stream["retentionPolicy"]["type"], &shown_stream["retentionPolicy"]["value"]),
        (&"LIMITED_SIZE_MB".into(), &5.into())
    );
    let events =
        shown(&server, "/v1/scopes/scope/streams/stream/scaling-events?from=0&to=99999999999999")
            .await
            .1;
    assert_eq!(events.as_array().unwrap().len(), 2);
    assert_eq!(events[1]["segmentList"][1]["keyEnd"], 1.0);
    assert_eq!(shown(&server, "/v1/health/status").await, (200, "UP".into()));
    for missing in [
        "/v1/scopes/none",
        "/v1/scopes/scope/streams/none",
        "/v1/scopes/scope/readergroups/none",
        "/",
    ] {
        assert_eq!(shown(&server, missing).await.0, 404, "{missing}");
    }
    assert_eq!(
        shown(&server, "/v1/scopes/scope/streams/stream/scaling-events?from=now").await.0,
        400
    );
}

// ----------------------------------------------------------------------------------------------------------------- folder

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_folder_is_private_holds_everything_and_belongs_to_one_server() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a").join("data");
    let (server, factory) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    let stream = stream(&factory, 2).await;
    write(&factory, &stream, 0..100).await;
    scale(
        factory.controller(),
        &stream,
        &[SegmentId::from(0)],
        &[KeyRange::new(0.0, 0.5).unwrap()],
    )
    .await;
    write(&factory, &stream, 100..150).await;
    let transactional =
        factory.transactional_writer(&stream, Utf8, TransactionConfig::default()).await.unwrap();
    let mut transaction = transactional.begin().await.unwrap();
    transaction.write("key", "150").await.unwrap();
    let open = transaction.leave_open().await.unwrap();
    assert_eq!(mode(&folder), 0o700);
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    match EmbeddedServer::builder().with_directory(&folder).start().await.unwrap_err() {
        StartError::Data(error) => match error.problem() {
            OpenProblem::InUse { pid } => assert_eq!(*pid, std::process::id().to_string()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    server.shutdown().await;

    let (server, factory) = start(EmbeddedServer::builder().with_directory(&folder)).await;
    assert_eq!(numbers(&factory, &stream).await, (0..150).collect::<Vec<_>>());
    let transactional =
        factory.transactional_writer(&stream, Utf8, TransactionConfig::default()).await.unwrap();
    transactional.resume(open).await.unwrap().commit().await.unwrap();
    eventually("the transaction is there", async || numbers(&factory, &stream).await.len() == 151)
        .await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_damaged_folder_is_refused_with_its_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let (server, factory) = start(EmbeddedServer::builder().with_directory(folder.path())).await;
    let stream = stream(&factory, 1).await;
    write(&factory, &stream, 0..1000).await;
    server.shutdown().await;
    let journal = folder.path().join("journal-00000001");
    let mut bytes = std::fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();
    let error = EmbeddedServer::builder()
        .with_directory(folder.path())
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("journal-00000001 is damaged at byte"), "{error}");
    assert_eq!(std::fs::read(&journal).unwrap(), bytes, "nothing was changed");
    bytes[middle] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();
    let (_server, factory) = start(EmbeddedServer::builder().with_directory(folder.path())).await;
    assert_eq!(numbers(&factory, &stream).await.len(), 1000);
}

#[tokio::test]
async fn a_folder_that_cannot_be_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    for path in [&file, &link, &file.join("below")] {
        let error = EmbeddedServer::builder().with_directory(path).start().await.unwrap_err();
        assert!(matches!(error, StartError::Data(_)), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let server = EmbeddedServer::builder().start().await.unwrap();
    let error = EmbeddedServer::builder().with_port(server.port()).start().await.unwrap_err();
    assert!(
        error.to_string().contains(&format!("cannot listen on 127.0.0.1:{}", server.port())),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_shut_down_answers_what_it_has_taken() {
    let (server, factory) = start(EmbeddedServer::builder()).await;
    let stream = stream(&factory, 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "first").await.unwrap();
    server.faults().delay_answers(Duration::from_millis(300));
    let ack = writer.enqueue("key", "second").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = std::time::Instant::now();
    let (answered, ()) = tokio::join!(ack, server.shutdown());
    answered.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "it waited for more than the answer");
}

#[tokio::test]
async fn a_server_that_is_dropped_is_gone() {
    let (server, factory) = start(EmbeddedServer::builder()).await;
    let port = server.port();
    stream(&factory, 1).await;
    drop(server);
    eventually("the port is free", async || {
        tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_ok()
    })
    .await;
}
