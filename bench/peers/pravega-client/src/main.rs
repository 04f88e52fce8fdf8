//! The counterpart that uses `pravega-client` 0.3.7. It warms up, says ready, waits for a line, works, prints its figures,
//! and waits for another line before it ends.

#[path = "../../../src/histogram.rs"]
mod histogram;
#[path = "../../../src/work.rs"]
mod work;

use std::time::{Duration, Instant};

use histogram::Histogram;
use pravega_client::{client_factory::ClientFactory, error::Error, event::EventWriter};
use pravega_client_config::ClientConfigBuilder;
use pravega_client_shared::ScopedStream;
use tokio::sync::{mpsc, oneshot};
use work::{wait_for_a_line, Work};

type Ack = oneshot::Receiver<Result<(), Error>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let work = Work::parse(&arguments).expect("URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE");
    let uri = work.uri.trim_start_matches("tcp://").to_owned();
    let config = ClientConfigBuilder::default().controller_uri(uri).build().expect("a configuration");
    let factory = ClientFactory::new(config);
    let mut writer = factory.create_event_writer(ScopedStream::from(work.stream.as_str()));
    factory.runtime().block_on(async {
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
