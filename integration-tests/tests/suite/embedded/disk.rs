//! A server whose data is in a folder: more of it than fits into memory, and limits of the disk.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{FAR, eventually, new_stream, read_all, unique};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{ErrorKind, Scope, ScopedStream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    bounds::{ask, connect, create_table, frames, put, store_port},
    process::Process,
    support,
};

const TABLE: &str = "a/b/0.#epoch.0";
/// The memory limit of the server, in MiB.
const MEMORY: u64 = 64;
const MIB: usize = 1 << 20;

/// A part of a long stream.
fn part(number: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    (0..MIB / 8).flat_map(|_| random.u64(..).to_be_bytes()).collect()
}

async fn check(factory: &ClientFactory, stream: &ScopedStream, parts: usize) {
    let mut reader = factory.byte_reader(stream).await.unwrap();
    let mut bytes = vec![0; MIB];
    for number in 0..parts {
        timeout(FAR, reader.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert!(bytes == part(number), "part {number}");
    }
}

/// The bytes of all files of a folder.
pub(super) fn used(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().metadata().map_or(0, |found| found.len())).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_memory_is_read_from_the_folder() {
    const PARTS: usize = 4 * MEMORY as usize;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    let limit = format!("{MEMORY}M");
    let arguments = ["--memory", &limit, "--dir", folder.to_str().unwrap()];
    let start = || Process::start_with_one_arena(&arguments);
    let process = start();
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    for number in 0..PARTS {
        timeout(FAR, writer.write_all(&part(number))).await.unwrap().unwrap();
    }
    timeout(FAR, writer.flush()).await.unwrap().unwrap();
    check(&factory, &stream, PARTS).await;
    let peak = process.peak_kib();
    assert!(peak <= (MEMORY + 64) << 10, "{peak} KiB were resident");
    // Killed, and read from the folder alone.
    drop((process, factory));
    let process = start();
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    check(&factory, &stream, PARTS).await;
    let peak = process.peak_kib();
    assert!(peak <= (MEMORY + 64) << 10, "{peak} KiB were resident");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_disk_limit_writing_is_refused_and_a_truncation_gives_room_within_seconds() {
    const LIMIT: u64 = 48 << 20;
    let folder = tempfile::tempdir().unwrap();
    let builder = EmbeddedServer::builder().with_directory(folder.path()).with_disk_limit(LIMIT);
    let (server, factory) = support::start(builder).await;
    let stream = new_stream(factory.controller(), 1).await;
    let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(5));
    let writer = factory.event_writer_with(&stream, Utf8, config.clone()).await.unwrap();
    let event = "x".repeat(100_000);
    let mut written = 0;
    let refused = loop {
        match writer.write("key", event.clone()).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::OutOfSpace, "{refused}");
    assert!(written > 100, "{written} events");
    assert!(used(folder.path()) <= LIMIT, "{} bytes are used", used(folder.path()));
    // The events are read, and what needs no space is done.
    let events = read_all(&factory, &stream).await;
    assert!(events.len() >= written);
    let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    factory.controller().truncate_stream(&tail).await.unwrap();
    eventually("files are removed", async || used(folder.path()) < LIMIT / 2).await;
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    for _ in 0..50 {
        writer.write("key", event.clone()).await.unwrap();
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_file_that_reaches_a_limit_of_the_system_is_a_full_disk_and_the_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    let mut process = Process::start_with_file_size(12 << 10, &["--dir", folder.to_str().unwrap()]);
    let port = store_port(&process).await;
    let mut socket = connect(port).await;
    ask(&mut socket, vec![create_table(TABLE)]).await;
    let request = |key| frames([put(TABLE, [(key, Bytes::from(vec![1; 1_000_000]))])]);
    for number in 0..24_u32 {
        // The server may end the connection when it cannot write.
        let key = Bytes::from(number.to_be_bytes().to_vec());
        if timeout(FAR, socket.write_all(&request(key))).await.unwrap().is_err() {
            break;
        }
    }
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let controller = factory.controller();
    let mut refused = None;
    eventually("nothing more is written", async || {
        assert!(process.is_running());
        // One that was created before that would exist, and to create it again is no error.
        let scope = Scope::new(unique("scope")).unwrap();
        let is_refused = controller.create_scope(&scope).await.is_err();
        refused = Some(scope);
        is_refused
    })
    .await;
    assert!(!controller.scope_exists(&refused.unwrap()).await.unwrap());
    assert!(process.is_running());
}
