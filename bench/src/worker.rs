//! The same work as the counterparts in `peers`, with this SDK. It warms up, says ready, waits for a line, works, prints its
//! figures, and waits for another line before it ends.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use pravega_sdk::{Ack, ClientFactory, EventWriter, codec::Raw};
use tokio::sync::mpsc;

use crate::{
    histogram::Histogram,
    work::{Work, wait_for_a_line},
};

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let work = Work::parse(&arguments).context("worker: URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // As an application runs: in a task, beside the writer's own.
    let result = runtime.block_on(async { tokio::spawn(do_all(work)).await? });
    runtime.shutdown_background();
    result
}

async fn do_all(work: Work) -> Result<()> {
    let factory = ClientFactory::connect(&work.uri).await?;
    let writer = factory.event_writer(&work.stream.parse()?, Raw).await?;
    if work.mode == "flood" {
        return flood(&writer, &work).await;
    }
    write(&writer, &work.warm_up()).await?;
    println!("ready");
    wait_for_a_line();
    let (histogram, took) = write(&writer, &work).await?;
    println!("{}", histogram.report(took));
    wait_for_a_line();
    Ok(())
}

/// Writes for some time; answers with the latencies, and the seconds from the first write to the last acknowledgement.
async fn write(writer: &EventWriter<Raw>, work: &Work) -> Result<(Histogram, f64)> {
    let (acks, mut waiting) = mpsc::channel::<(Instant, Ack)>(100_000);
    let reading = tokio::spawn(async move {
        let mut histogram = Histogram::default();
        while let Some((begun, ack)) = waiting.recv().await {
            ack.await?;
            histogram.record(begun.elapsed());
        }
        anyhow::Ok(histogram)
    });
    let keys = work.key_names();
    let started = Instant::now();
    let mut alone = Histogram::default();
    let mut written = 0_u64;
    while !work.is_over(started, written) {
        work.wait_for_turn(started, written).await;
        let key = keys.get(written as usize % keys.len().max(1)).map(String::as_str);
        let begun = Instant::now();
        written += 1;
        if work.mode == "latency" {
            writer.write(key, vec![0; work.size]).await?;
            alone.record(begun.elapsed());
        } else {
            acks.send((begun, writer.enqueue(key, vec![0; work.size]).await?)).await?;
        }
    }
    drop(acks);
    let mut histogram = reading.await??;
    histogram.merge(&alone);
    Ok((histogram, started.elapsed().as_secs_f64()))
}

/// Offers two million events of one byte to a store that never acknowledges.
async fn flood(writer: &EventWriter<Raw>, work: &Work) -> Result<()> {
    println!("ready");
    wait_for_a_line();
    let started = Instant::now();
    let mut acks = Vec::new();
    let offering = async {
        for _ in 0..2_000_000 {
            acks.push(writer.enqueue(None, vec![7]).await?);
        }
        anyhow::Ok(())
    };
    let in_time = tokio::time::timeout(Duration::from_secs_f64(work.seconds), offering).await;
    in_time.unwrap_or(Ok(()))?;
    let (events, seconds) = (acks.len(), started.elapsed().as_secs_f64());
    println!("{{\"events\": {events}, \"seconds\": {seconds}, \"p50_us\": 0, \"p99_us\": 0}}");
    wait_for_a_line();
    Ok(())
}
