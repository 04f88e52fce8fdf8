//! A folder that is damaged while its server runs.

use std::{
    error::Error,
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{EventReader, ReaderConfig, StreamPosition, codec::Utf8};
use pravega_sdk_integration_tests::harness::new_stream;
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{ErrorKind, ScopedStream};
use tokio::time::timeout;

use super::support::start;

const EVENTS: usize = 1000;
/// Far less than a reader tries before it reports that nothing can be read.
const SOON: Duration = Duration::from_secs(60);

/// An event of a stream, which is nowhere else.
fn event(stream: &ScopedStream, number: usize) -> String {
    format!("{stream}:{number:05}:{}", "x".repeat(500))
}

async fn write(factory: &ClientFactory, stream: &ScopedStream, numbers: std::ops::Range<usize>) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    // Several appends: damage is that of a whole one.
    for number in numbers {
        let ack = writer.enqueue("key", event(stream, number)).await.unwrap();
        if number % 20 == 0 {
            ack.await.unwrap();
        }
    }
    writer.flush().await.unwrap();
}

async fn reader(factory: &ClientFactory, stream: &ScopedStream) -> EventReader<Utf8> {
    let config = ReaderConfig::default()
        .with_start(StreamPosition::Head)
        .with_backoff(Duration::from_millis(5), Duration::from_millis(50));
    factory.event_reader_with(stream, Utf8, config).await.unwrap()
}

/// The file of the log that has some bytes, and where they are.
fn find(folder: &Path, bytes: &[u8]) -> (PathBuf, u64) {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let logs = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("log-"));
    let place = |path: PathBuf| {
        let content = fs::read(&path).unwrap();
        let at = content.windows(bytes.len()).position(|window| window == bytes)?;
        Some((path, at as u64))
    };
    logs.filter_map(place).next().expect("it is in a file")
}

/// Flips a bit of a file.
fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

/// All texts of an error and of its causes.
fn texts(error: &dyn Error) -> String {
    let (mut texts, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        texts.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_damaged_bytes_gets_their_file_and_place_and_all_else_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let builder = EmbeddedServer::builder().with_directory(folder.path());
    let (server, factory) = start(builder.clone()).await;
    let [hurt, whole] =
        [new_stream(factory.controller(), 1).await, new_stream(factory.controller(), 1).await];
    write(&factory, &hurt, 0..EVENTS).await;
    write(&factory, &whole, 0..EVENTS).await;
    server.shutdown().await;
    // A new one has no bytes of segments in memory.
    let (_server, factory) = start(builder).await;
    let (path, at) = find(folder.path(), event(&hurt, 700).as_bytes());
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    flip(&path, at + 30);

    let mut reading = reader(&factory, &hurt).await;
    let mut next = 0;
    let error = loop {
        match timeout(SOON, reading.next()).await.unwrap().unwrap() {
            Ok(read) => assert_eq!(*read.event(), event(&hurt, next)),
            Err(error) => break error,
        }
        next += 1;
    };
    assert!((600..=700).contains(&next), "{next} events are before it");
    let told = texts(&error);
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Corrupt, false), "{told}");
    let (_, place) = told.split_once(&format!("{name} is damaged at byte ")).expect(&told);
    let digits: String = place.chars().take_while(char::is_ascii_digit).collect();
    let damaged: u64 = digits.parse().unwrap();
    assert!(damaged <= at + 30 && damaged + 100_000 > at, "{damaged} is reported for {at}");
    assert_eq!(error.stream(), Some(&hurt), "{told}");

    // The other one is read, and both are written.
    let mut other = reader(&factory, &whole).await;
    for number in 0..EVENTS {
        let read = timeout(SOON, other.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(*read.event(), event(&whole, number));
    }
    for stream in [&hurt, &whole] {
        write(&factory, stream, EVENTS..EVENTS + 10).await;
    }
    // Once it is repaired, the reader goes on where it was.
    flip(&path, at + 30);
    for number in next..EVENTS + 10 {
        let read = timeout(SOON, reading.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(*read.event(), event(&hurt, number));
    }
}
