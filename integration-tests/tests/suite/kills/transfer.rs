//! A file goes in and out of a server that is killed meanwhile: what is read is what was written.

use std::time::{Duration, Instant};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::ByteWriterConfig;
use pravega_sdk_integration_tests::harness::{FAR, lines::megabytes};
use pravega_sdk_types::ScopedStream;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
    time::timeout,
};

use super::{connect, kills, server::Mortal};
use crate::embedded::disk::part;

/// The length of a part.
const MIB: usize = 1 << 20;
/// How long no part is written or read, at most: a server starts, and a client connects again.
const LONG: Duration = FAR;

/// Reads all parts, and compares each.
async fn read(
    factory: &ClientFactory,
    stream: &ScopedStream,
    parts: usize,
    done: &watch::Sender<usize>,
) {
    let mut reader = factory.byte_reader(stream).await.unwrap();
    let mut bytes = vec![0; MIB];
    for number in 0..parts {
        timeout(LONG, reader.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert!(bytes == part(number), "part {number} differs");
        done.send_replace(number + 1);
    }
    assert_eq!(timeout(LONG, reader.read(&mut bytes)).await.unwrap().unwrap(), 0, "it ends there");
}

/// Kills the server some times, at equal distances of what is done.
async fn kill(mortal: &mut Mortal, times: usize, parts: usize, mut done: watch::Receiver<usize>) {
    for time in 1..=times {
        let at = parts * time / (times + 1);
        done.wait_for(|done| *done >= at).await.unwrap();
        mortal.kill_and_wait().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_and_out_byte_for_byte_while_its_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let parts = megabytes();
    // Most of a file does not fit into memory: two gigabytes have 256 MiB.
    let memory = format!("{}M", (parts / 8).clamp(8, 256));
    let times = (kills() as usize / 20).clamp(1, (parts / 2).max(1));
    let mut mortal = Mortal::start(folder.path(), &["--memory", &memory]);
    let (factory, stream) = connect(mortal.port, "transfer", 1).await;
    let started = Instant::now();

    // One reader reads all along, one once everything is written and the server is new.
    let (read_along, along) = watch::channel(0);
    let reading = {
        let (factory, stream) = (factory.clone(), stream.clone());
        tokio::spawn(async move { read(&factory, &stream, parts, &read_along).await })
    };
    let (written, progress) = watch::channel(0);
    let writing = async {
        // What is accepted is not far ahead of what is stored.
        let config =
            ByteWriterConfig::default().with_max_in_flight_bytes(MIB).with_delivery_timeout(FAR);
        let mut writer = factory.byte_writer_with(&stream, config).await.unwrap();
        for number in 0..parts {
            timeout(LONG, writer.write_all(&part(number))).await.unwrap().unwrap();
            written.send_replace(number + 1);
        }
        timeout(LONG, writer.seal()).await.unwrap().unwrap();
    };
    tokio::join!(writing, kill(&mut mortal, times, parts, progress));
    reading.await.unwrap();
    assert_eq!(*along.borrow(), parts);
    let seconds = started.elapsed().as_secs_f64();
    println!("{parts} MiB in and out along in {seconds:.1} s, with {times} kills");

    mortal.kill_and_wait().await;
    let started = Instant::now();
    let (read_again, progress) = watch::channel(0);
    let reading = read(&factory, &stream, parts, &read_again);
    tokio::join!(reading, kill(&mut mortal, times, parts, progress));
    let seconds = started.elapsed().as_secs_f64();
    println!("{parts} MiB out in {seconds:.1} s, with {times} kills");
    mortal.report();
}
