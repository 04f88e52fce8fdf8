//! The counterpart that uses `pravega-client` 0.3.7. It warms up, prints "ready", waits for a line,
//! works, prints its figures, and waits for another line before it exits.

#[path = "../../../src/histogram.rs"]
mod histogram;
mod tables;
#[path = "../../../src/work.rs"]
mod work;

use std::time::{Duration, Instant};

use histogram::Histogram;
use pravega_client::{
    byte::ByteWriter,
    client_factory::ClientFactory,
    error::Error,
    event::{
        reader_group::{ReaderGroup, ReaderGroupConfigBuilder},
        EventWriter,
    },
};
use pravega_client_config::ClientConfigBuilder;
use pravega_client_shared::ScopedStream;
use tokio::sync::{mpsc, oneshot};
use work::{wait_for_a_line, Work};

type Ack = oneshot::Receiver<Result<(), Error>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let work = Work::parse(&arguments).expect("URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE CALLERS");
    let uri = work.uri.trim_start_matches("tcp://").to_owned();
    let config = ClientConfigBuilder::default().controller_uri(uri).build().expect("a configuration");
    let factory = ClientFactory::new(config);
    let stream = ScopedStream::from(work.stream.as_str());
    factory.runtime().block_on(async {
        let reading = match work.mode.as_str() {
            "read" => {
                read(&factory, &stream, &work, "warm").await;
                go();
                Some(read(&factory, &stream, &work, "hot").await)
            }
            "tail" => {
                tail(&factory, &stream, &work.warm_up(), "warm").await;
                go();
                Some(tail(&factory, &stream, &work, "hot").await)
            }
            "bytes-write" => {
                let mut writer = factory.create_byte_writer(stream.clone()).await;
                write_bytes(&mut writer, &work.warm_up()).await;
                go();
                Some(write_bytes(&mut writer, &work).await)
            }
            "bytes-read" => {
                read_bytes(&factory, &stream, &work).await;
                go();
                Some(read_bytes(&factory, &stream, &work).await)
            }
            mode if mode.starts_with("hash-") => {
                let table = factory.create_table(stream.scope.clone(), stream.stream.name.clone()).await;
                let table = std::sync::Arc::new(table);
                tables::run(&table, &work.warm_up()).await;
                go();
                Some(tables::run(&table, &work).await)
            }
            _ => None,
        };
        if let Some((histogram, took)) = reading {
            println!("{}", histogram.report(took));
            wait_for_a_line();
            return;
        }
        let mut writer = factory.create_event_writer(stream.clone());
        if work.mode == "flood" {
            return flood(&mut writer, &work).await;
        }
        write(&mut writer, &work.warm_up()).await;
        println!("ready");
        wait_for_a_line();
        let (histogram, took) = write(&mut writer, &work).await;
        println!("{}", histogram.report(took));
        wait_for_a_line();
    });
    std::process::exit(0);
}

fn go() {
    println!("ready");
    wait_for_a_line();
}

async fn group(factory: &ClientFactory, stream: &ScopedStream, suffix: &str, from_tail: bool) -> ReaderGroup {
    let mut config = ReaderGroupConfigBuilder::default();
    match from_tail {
        true => config.read_from_tail_of_stream(stream.clone()),
        false => config.read_from_head_of_stream(stream.clone()),
    };
    let name = format!("{}-{suffix}", stream.stream.name);
    factory.create_reader_group_with_config(name, config.build(), stream.scope.clone()).await
}

/// Passes `count` events to `take`.
async fn events(group: &ReaderGroup, count: u64, mut take: impl FnMut(&[u8])) {
    let mut reader = group.create_reader("reader".to_owned()).await;
    let mut left = count;
    while left > 0 {
        let Some(mut slice) = reader.acquire_segment().await.expect("a slice") else { continue };
        while left > 0 {
            let Some(event) = slice.next() else { break };
            take(&event.value);
            left -= 1;
        }
        reader.release_segment(slice).await.expect("a release");
    }
}

async fn read(factory: &ClientFactory, stream: &ScopedStream, work: &Work, suffix: &str) -> (Histogram, f64) {
    let group = group(factory, stream, suffix, false).await;
    let started = Instant::now();
    let mut histogram = Histogram::default();
    let mut sum = 0;
    events(&group, work.count(), |event| {
        sum += event.len();
        histogram.record(Duration::ZERO);
    })
    .await;
    assert_eq!(sum as u64, work.count() * work.size as u64);
    (histogram, started.elapsed().as_secs_f64())
}

async fn tail(factory: &ClientFactory, stream: &ScopedStream, work: &Work, suffix: &str) -> (Histogram, f64) {
    let group = group(factory, stream, suffix, true).await;
    let mut writer = factory.create_event_writer(stream.clone());
    let base = Instant::now();
    let total = (work.seconds * work.rate as f64) as u64;
    let ages = work.clone();
    let reading = tokio::spawn(async move {
        let mut histogram = Histogram::default();
        events(&group, total, |event| histogram.record(ages.age(event, base))).await;
        histogram
    });
    let keys = work.key_names();
    for written in 0..total {
        work.wait_for_turn(base, written).await;
        let key = keys.get(written as usize % keys.len().max(1));
        drop(begin(&mut writer, work.stamped(base), key).await);
    }
    let histogram = reading.await.expect("a reader");
    (histogram, base.elapsed().as_secs_f64())
}

async fn write_bytes(writer: &mut ByteWriter, work: &Work) -> (Histogram, f64) {
    let started = Instant::now();
    let mut histogram = Histogram::default();
    let piece = vec![0; work.size];
    for _ in 0..work.count() {
        let mut written = 0;
        while written < piece.len() {
            written += writer.write(&piece[written..]).await.expect("a write");
        }
        histogram.record(Duration::ZERO);
    }
    writer.flush().await.expect("a flush");
    (histogram, started.elapsed().as_secs_f64())
}

async fn read_bytes(factory: &ClientFactory, stream: &ScopedStream, work: &Work) -> (Histogram, f64) {
    let started = Instant::now();
    let mut histogram = Histogram::default();
    let mut reader = factory.create_byte_reader(stream.clone()).await;
    let mut piece = vec![0; work.size];
    for _ in 0..work.count() {
        let mut read = 0;
        while read < piece.len() {
            read += reader.read(&mut piece[read..]).await.expect("a read");
        }
        histogram.record(Duration::ZERO);
    }
    (histogram, started.elapsed().as_secs_f64())
}

async fn begin(writer: &mut EventWriter, event: Vec<u8>, key: Option<&String>) -> Ack {
    match key {
        None => writer.write_event(event).await,
        Some(key) => writer.write_event_by_routing_key(key.clone(), event).await,
    }
}

async fn write(writer: &mut EventWriter, work: &Work) -> (Histogram, f64) {
    let (acks, mut waiting) = mpsc::channel::<(Instant, Ack)>(100_000);
    let reading = tokio::spawn(async move {
        let mut histogram = Histogram::default();
        while let Some((begun, ack)) = waiting.recv().await {
            ack.await.expect("an answer").expect("an acknowledgement");
            histogram.record(begun.elapsed());
        }
        histogram
    });
    let keys = work.key_names();
    let started = Instant::now();
    let mut alone = Histogram::default();
    let mut written = 0_u64;
    while !work.is_over(started, written) {
        work.wait_for_turn(started, written).await;
        let key = keys.get(written as usize % keys.len().max(1));
        let begun = Instant::now();
        let ack = begin(writer, vec![0; work.size], key).await;
        written += 1;
        if work.mode == "latency" {
            ack.await.expect("an answer").expect("an acknowledgement");
            alone.record(begun.elapsed());
        } else {
            acks.send((begun, ack)).await.expect("a reader");
        }
    }
    drop(acks);
    let mut histogram = reading.await.expect("a reader");
    histogram.merge(&alone);
    (histogram, started.elapsed().as_secs_f64())
}

/// Offers two million events of one byte to a store that never acknowledges.
async fn flood(writer: &mut EventWriter, work: &Work) {
    println!("ready");
    wait_for_a_line();
    let started = Instant::now();
    let mut acks = Vec::new();
    let offering = async {
        for _ in 0..2_000_000 {
            acks.push(writer.write_event(vec![7]).await);
        }
    };
    tokio::time::timeout(Duration::from_secs_f64(work.seconds), offering).await.ok();
    let (events, seconds) = (acks.len(), started.elapsed().as_secs_f64());
    println!("{{\"events\": {events}, \"seconds\": {seconds}, \"p50_us\": 0, \"p99_us\": 0}}");
    wait_for_a_line();
}
