//! The memory limit.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use pravega_sdk_event_stream::{
    ByteWriterConfig, EventWriter, LargeEvents, TransactionConfig, WhenFull, WriteError,
    WriterConfig, codec::Utf8,
};
use pravega_sdk_integration_tests::harness::{
    FAR, read_all,
    tool::{binary, stderr},
};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{
    ErrorKind, Outcome, ScalingPolicy, Scope, ScopedStream, StreamConfiguration,
};

use super::support::{start, stream, write};

const MEMORY: u64 = 16 << 20;

/// Writes until the server is full, with a deadline that no test lives to see. Returns the number
/// of events, and the failure of the last write.
async fn flood(writer: &EventWriter<Utf8>) -> (usize, WriteError) {
    let text = "x".repeat(100_000);
    let mut written = 0;
    loop {
        match writer.write("key", text.clone()).await {
            Ok(_) => written += 1,
            Err(error) => return (written, error),
        }
    }
}

fn config(when_full: WhenFull) -> WriterConfig {
    WriterConfig::default().with_delivery_timeout(FAR).with_when_full(when_full)
}

#[tokio::test]
async fn a_full_server_tells_a_writer_at_once_and_takes_events_after_a_truncation() {
    let (server, factory) = start(EmbeddedServer::builder().with_memory_limit(MEMORY)).await;
    let stream = stream(&factory, 1).await;
    let config = config(WhenFull::Fail);
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    let empty = server.bytes_held();
    let (written, error) = flood(&writer).await;
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::OutOfSpace, Outcome::NotApplied));
    assert!((150..168).contains(&written), "{written} times 100 KB fit into 16 MiB");
    assert_eq!(read_all(&factory, &stream).await.len(), written, "reading goes on");
    assert!(server.bytes_held() <= MEMORY);
    let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    factory.controller().truncate_stream(&tail).await.unwrap();
    // What is left is the number of the writer's last event.
    assert!(server.bytes_held() < empty + 256, "{} of {empty} bytes", server.bytes_held());
    writer.write("key", "it goes on").await.unwrap();
    write(&factory, &stream, 0..10).await;
    assert_eq!(read_all(&factory, &stream).await.len(), 11);
}

#[tokio::test]
async fn a_writer_that_waits_when_the_server_is_full_goes_on_in_order_after_a_truncation() {
    let (_server, factory) = start(EmbeddedServer::builder().with_memory_limit(4 << 20)).await;
    let stream = stream(&factory, 1).await;
    let open = |when_full| factory.event_writer_with(&stream, Utf8, config(when_full));
    flood(&open(WhenFull::Fail).await.unwrap()).await;
    let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    let writer = open(WhenFull::Wait).await.unwrap();
    let mut acks = Vec::new();
    // Those after the first one may be small enough for what is left.
    for (at, len) in [150_000, 10, 10, 100_000, 10].into_iter().enumerate() {
        let event = format!("{at}{}", "y".repeat(len));
        acks.push(writer.enqueue("key", event).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(acks.iter().all(|ack| ack.result().is_none()), "they wait");
    factory.controller().truncate_stream(&tail).await.unwrap();
    for ack in acks {
        ack.await.unwrap();
    }
    let read = read_all(&factory, &stream).await;
    let numbers: Vec<u8> = read.iter().map(|event| event.event()[0]).collect();
    assert_eq!(numbers, *b"01234");
}

/// Everything that a client can ask a full server for is refused as one kind, or works as it frees
/// memory.
#[tokio::test]
async fn a_full_server_refuses_bytes_transactions_and_streams_with_one_kind() {
    let (_server, factory) = start(EmbeddedServer::builder().with_memory_limit(4 << 20)).await;
    let stream = stream(&factory, 1).await;
    let bytes = ScopedStream::new(stream.scope().clone(), "bytes".parse().unwrap());
    let one = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(1));
    factory.controller().create_stream(&bytes, &one).await.unwrap();
    let config = config(WhenFull::Fail);
    let large = config.clone().with_large_events(LargeEvents::UpTo(100 << 20));
    let large = factory.event_writer_with(&stream, Utf8, large).await.unwrap();
    let transactions = TransactionConfig::default().with_writer(config.clone());
    let transactions =
        factory.transactional_writer_with(&stream, Utf8, transactions).await.unwrap();
    let mut begun = transactions.begin().await.unwrap();
    let byte_config = ByteWriterConfig::default().with_delivery_timeout(FAR);
    let mut byte_writer = factory.byte_writer_with(&bytes, byte_config).await.unwrap();
    flood(&factory.event_writer_with(&stream, Utf8, config).await.unwrap()).await;

    let full = (ErrorKind::OutOfSpace, Outcome::NotApplied);
    let error = large.write("key", "z".repeat(20 << 20)).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), full, "{error}");
    begun.write("key", "z".repeat(500_000)).await.unwrap();
    let error = begun.flush().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    byte_writer.write_bytes(vec![7; 500_000].into()).await.unwrap();
    let error = byte_writer.flush().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), full, "{error}");
    let more = ScopedStream::new(stream.scope().clone(), "more".parse().unwrap());
    let many = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(2000));
    let error = factory.controller().create_stream(&more, &many).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), full, "{error}");
    begun.abort().await.unwrap();
    factory.controller().seal_stream(&stream).await.unwrap();
    factory.controller().delete_stream(&stream).await.unwrap();
    factory.controller().create_stream(&more, &one).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tool_says_in_one_line_that_a_server_is_full_and_what_helps() {
    let (server, factory) = start(EmbeddedServer::builder().with_memory_limit(1 << 20)).await;
    let stream = stream(&factory, 1).await;
    let long = "z".repeat(3 << 20);
    let wrote = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["--controller", &server.url()]).args(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        // The tool may end before it has read everything.
        child.stdin.take().unwrap().write_all(long.as_bytes()).ok();
        child.wait_with_output().unwrap()
    };
    let name = stream.to_string();
    for arguments in [&["write", &name][..], &["bytes", "put", &name]] {
        let output = wrote(arguments);
        assert_eq!(output.status.code(), Some(8), "{arguments:?}: {output:?}");
        let told = stderr(&output);
        let errors: Vec<&str> = told.lines().filter(|line| line.starts_with("error:")).collect();
        assert_eq!(errors.len(), 1, "{told}");
        assert!(errors[0].contains("truncate or delete streams"), "{told}");
    }
}

#[tokio::test]
async fn segments_beyond_the_memory_limit_are_refused() {
    let (_server, factory) = start(EmbeddedServer::builder().with_memory_limit(10_000)).await;
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(100));
    let stream = ScopedStream::new(Scope::new("scope").unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    let refused = factory.controller().create_stream(&stream, &configuration).await.unwrap_err();
    assert!(format!("{refused:?}").contains("the memory limit of 10000 bytes"), "{refused:?}");
    assert!(!factory.controller().stream_exists(&stream).await.unwrap());
}
