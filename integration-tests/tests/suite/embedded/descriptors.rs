//! A process that has no descriptor left, because others have taken them: the server waits for
//! some, and goes on.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{FAR, new_stream, read_all};
use pravega_sdk_wire_protocol::VersionRange;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{sleep, timeout},
};

use super::{
    bounds::{check_within, connect, frames, store_port},
    process::Process,
};

/// The memory of the server with the program, in MiB.
const MOST: u64 = 1024 + 64;
/// How long the server is without descriptors, and the most of it that it may work: one that tries
/// again and again uses all of it.
const WITHOUT: Duration = Duration::from_secs(1);
const WORKS: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_descriptors_does_not_spin_serves_its_clients_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    // Files of a megabyte, so that the log goes on to new ones.
    let process = Process::start(&["--dir", folder.to_str().unwrap(), "--disk", "64M"]);
    let store = store_port(&process).await;
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "before").await.unwrap();

    process.limit_descriptors_to_those_open();
    let hello = frames([VersionRange::SUPPORTED.hello().into()]);
    let mut waiting = Vec::new();
    for port in [store, process.port(), process.rest_port()] {
        // The system takes it; the server cannot.
        let mut socket = connect(port).await;
        socket.write_all(&hello).await.unwrap();
        waiting.push(socket);
    }
    let used = process.processor_time();
    sleep(WITHOUT).await;
    let used = process.processor_time() - used;
    assert!(used < WORKS, "{used:?} of {WITHOUT:?} were used");
    let mut byte = [0];
    let early = timeout(Duration::from_millis(10), waiting[0].read(&mut byte)).await;
    assert!(early.is_err(), "a client was accepted: {early:?}");
    // A client that is known is served.
    timeout(FAR, writer.write("key", "meanwhile")).await.unwrap().unwrap();

    process.limit_descriptors(1024);
    let mut head = [0; 8];
    timeout(FAR, waiting[0].read_exact(&mut head)).await.unwrap().unwrap();
    check_within(&process, MOST).await;
    writer.write("key", "after").await.unwrap();
    assert_eq!(read_all(&factory, &stream).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_needs_a_file_while_there_is_no_descriptor_loses_nothing_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    let arguments = ["--dir", folder.to_str().unwrap(), "--disk", "64M"];
    let process = Process::start(&arguments);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "before").await.unwrap();
    process.limit_descriptors_to_those_open();
    // More than the files that are prepared have place for.
    let event = "x".repeat(100_000);
    let mut acks = Vec::new();
    for _ in 0..150 {
        acks.push(writer.enqueue("key", event.clone()).await.unwrap());
    }
    sleep(Duration::from_millis(500)).await;
    process.limit_descriptors(1024);
    for ack in acks {
        timeout(FAR, ack).await.expect("the writer waits").unwrap();
    }
    check_within(&process, MOST).await;
    drop((process, factory));
    let process = Process::start(&arguments);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    assert_eq!(read_all(&factory, &stream).await.len(), 151);
}
