//! A server whose data is in a folder: more of it than fits into memory, and limits of the disk.

use std::{collections::BTreeSet, fs::File, path::Path, process::Command, time::Duration};

use bytes::Bytes;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{
    FAR, eventually, new_stream, read_all, tool::binary, unique,
};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{
    ErrorKind, RetentionPolicy, ScalingPolicy, Scope, ScopedStream, StreamConfiguration,
};
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
pub(crate) fn part(number: usize) -> Vec<u8> {
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

/// The names of the log files of a folder.
fn logs(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("log-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_removes_gives_its_files_back_and_writing_goes_on() {
    // Files of 2 MiB, and 23 MiB that may be used.
    const LIMIT: u64 = 32 << 20;
    const ROUNDS: u32 = 12;
    const EVENTS: u32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let builder = EmbeddedServer::builder()
        .with_directory(folder.path())
        .with_disk_limit(LIMIT)
        .with_standing_clock();
    let (server, factory) = support::start(builder.clone()).await;
    let policy = RetentionPolicy::BySize { min_bytes: 1 << 20, max_bytes: None };
    let configuration = StreamConfiguration::default().with_retention(policy).unwrap();
    let stream = support::stream_with(&factory, &configuration).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let more = "x".repeat(100_000);
    let mut seen = BTreeSet::new();
    for round in 0..ROUNDS {
        for number in round * EVENTS..(round + 1) * EVENTS {
            // More than the folder may have, in all.
            timeout(FAR, writer.write("key", format!("{number}:{more}"))).await.unwrap().unwrap();
        }
        seen.extend(logs(folder.path()));
        server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
        // What is left are two rounds of 4 MB, the current file and the next one.
        eventually("its files are given back", async || {
            seen.extend(logs(folder.path()));
            logs(folder.path()).len() <= 8
        })
        .await;
    }
    assert!(seen.len() > 20, "there were few files: {seen:?}");
    assert!(used(folder.path()) < LIMIT);
    let left = async |factory: &ClientFactory| {
        let events = read_all(factory, &stream).await;
        let number = |event: &[u8]| {
            let text = std::str::from_utf8(event).unwrap();
            text.split(':').next().unwrap().parse::<u32>().unwrap()
        };
        events.iter().map(|event| number(event.event())).collect::<Vec<_>>()
    };
    let found = left(&factory).await;
    assert!((11..=2 * EVENTS).contains(&(found.len() as u32)), "{found:?}");
    assert_eq!(found, (found[0]..ROUNDS * EVENTS).collect::<Vec<_>>());
    server.shutdown().await;
    let (_server, factory) = support::start(builder).await;
    assert_eq!(left(&factory).await, found);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_are_truncated_to_their_ends_leave_memory_for_others() {
    const SEGMENTS: u32 = 64;
    const MEMORY: u64 = 16 << 20;
    let folder = tempfile::tempdir().unwrap();
    let builder = EmbeddedServer::builder().with_directory(folder.path()).with_memory_limit(MEMORY);
    let (server, factory) = support::start(builder.clone()).await;
    let stream = support::stream(&factory, SEGMENTS).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let event = "x".repeat(64 << 10);
    // Half a megabyte in each, twice of what memory may have.
    let mut acks = Vec::new();
    for number in 0..8 * SEGMENTS {
        acks.push(writer.enqueue(&format!("key-{number}"), event.clone()).await.unwrap());
    }
    for ack in acks {
        timeout(FAR, ack).await.unwrap().unwrap();
    }
    let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    factory.controller().truncate_stream(&tail).await.unwrap();
    let check = async |server: &EmbeddedServer, factory: &ClientFactory, name: &str| {
        let held = server.bytes_held();
        assert!(held < MEMORY / 4, "{held} bytes are held");
        let other = ScopedStream::new(stream.scope().clone(), name.parse().unwrap());
        let many = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(SEGMENTS));
        factory.controller().create_stream(&other, &many).await.unwrap();
        for stream in [&stream, &other] {
            support::write(factory, stream, 0..100).await;
            assert_eq!(support::numbers(factory, stream).await, (0..100).collect::<Vec<_>>());
        }
    };
    check(&server, &factory, "other").await;
    server.shutdown().await;
    let (server, factory) = support::start(builder).await;
    let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    factory.controller().truncate_stream(&tail).await.unwrap();
    check(&server, &factory, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_warned_at_four_fifths_before_anything_is_refused() {
    // Files of 2 MiB; for moving what is read, 4 MiB and three and a half of them are kept free.
    const USABLE: usize = (32 - 11) << 20;
    let parent = tempfile::tempdir().unwrap();
    let (folder, log) = (parent.path().join("data"), parent.path().join("stderr"));
    let mut command = Command::new(binary());
    command.args(["dev", "--port", "0", "--disk", "32M", "--dir"]).arg(&folder);
    let process = Process::spawn_with(&mut command, File::create(&log).unwrap().into());
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let event = "x".repeat(100_000);
    let mut written = 0;
    let mut write_up_to = async |len: usize| {
        while written < len {
            timeout(FAR, writer.write("key", event.clone())).await.unwrap().unwrap();
            written += event.len();
        }
    };
    let is_warned = || std::fs::read_to_string(&log).unwrap().contains("the folder is nearly full");
    write_up_to(USABLE / 2).await;
    // The server checks twice in a second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!is_warned(), "half of it is used");
    write_up_to(USABLE / 100 * 85).await;
    eventually("the operator is warned", async || is_warned()).await;
    write_up_to(USABLE / 100 * 87).await;
}
