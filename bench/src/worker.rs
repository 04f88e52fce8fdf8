//! The same work as the counterparts in `peers`, with this SDK. It warms up, prints "ready", waits
//! for a line, works, prints its figures, and waits for another line before it exits.

use std::time::{Duration, Instant};

use anyhow::Result;
use pravega_sdk::{
    Ack, ByteWriter, ClientFactory, EventWriter, StreamPosition, codec::Raw, types::ScopedStream,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::{
    client,
    event_source::{EventSource, Reading},
    histogram::Histogram,
    table_worker::TableWork,
    work::{Work, wait_for_a_line},
};

/// The most events that a catch-up takes at once, as `pravega-client` takes a slice.
const BATCH: usize = 1024;

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    client::run("worker", arguments, do_all)
}

async fn do_all(work: Work) -> Result<()> {
    let factory = ClientFactory::connect(&work.uri).await?;
    if let Some(mut table) = TableWork::open(&factory, &work).await? {
        table.run(&work.warm_up()).await?;
        go();
        let (histogram, took) = table.run(&work).await?;
        println!("{}", histogram.report(took));
        wait_for_a_line();
        return Ok(());
    }
    let stream: ScopedStream = work.stream.parse()?;
    let (histogram, took) = match work.mode.as_str() {
        "read" | "group-read" => {
            read(&factory, &stream, &work).await?;
            go();
            read(&factory, &stream, &work).await?
        }
        "tail" | "group-tail" => {
            tail(&factory, &stream, &work.warm_up()).await?;
            go();
            tail(&factory, &stream, &work).await?
        }
        "bytes-write" => {
            let mut writer = factory.byte_writer(&stream).await?;
            write_bytes(&mut writer, &work.warm_up()).await?;
            go();
            write_bytes(&mut writer, &work).await?
        }
        "bytes-read" => {
            read_bytes(&factory, &stream, &work).await?;
            go();
            read_bytes(&factory, &stream, &work).await?
        }
        "flood" => return flood(&factory.event_writer(&stream, Raw).await?, &work).await,
        _ => {
            let writer = factory.event_writer(&stream, Raw).await?;
            write(&writer, &work.warm_up()).await?;
            go();
            write(&writer, &work).await?
        }
    };
    println!("{}", histogram.report(took));
    wait_for_a_line();
    Ok(())
}

fn go() {
    println!("ready");
    wait_for_a_line();
}

/// Reads all events of the stream, from the head.
async fn read(
    factory: &ClientFactory,
    stream: &ScopedStream,
    work: &Work,
) -> Result<(Histogram, f64)> {
    let reading = Reading::prepare(factory, stream, StreamPosition::Head, &work.mode).await?;
    let started = Instant::now();
    let mut histogram = Histogram::default();
    let mut reader = EventSource::open(factory, reading).await?;
    let (mut left, mut sum) = (work.count(), 0);
    while left > 0 {
        let max = BATCH.min(usize::try_from(left)?);
        let events = reader.next_batch(max, |event| sum += event.len() as u64).await?;
        (0..events).for_each(|_| histogram.record(Duration::ZERO));
        left -= events;
    }
    anyhow::ensure!(sum == work.count() * work.size as u64, "bytes are missing");
    Ok((histogram, started.elapsed().as_secs_f64()))
}

/// Writes at a rate and reads at the tail; the latency is the time from the write of an event to
/// its read.
async fn tail(
    factory: &ClientFactory,
    stream: &ScopedStream,
    work: &Work,
) -> Result<(Histogram, f64)> {
    let writer = factory.event_writer(stream, Raw).await?;
    let reading = Reading::prepare(factory, stream, StreamPosition::Tail, &work.mode).await?;
    let mut reader = EventSource::open(factory, reading).await?;
    let base = Instant::now();
    let total = (work.seconds * work.rate as f64) as u64;
    let ages = work.clone();
    let reading = tokio::spawn(async move {
        let mut histogram = Histogram::default();
        for _ in 0..total {
            histogram.record(ages.age(&reader.next().await?, base));
        }
        anyhow::Ok(histogram)
    });
    let keys = work.key_names();
    for written in 0..total {
        work.wait_for_turn(base, written).await;
        let key = keys.get(written as usize % keys.len().max(1)).map(String::as_str);
        drop(writer.enqueue(key, work.stamped(base)).await?);
    }
    let histogram = reading.await??;
    Ok((histogram, base.elapsed().as_secs_f64()))
}

async fn write_bytes(writer: &mut ByteWriter, work: &Work) -> Result<(Histogram, f64)> {
    let started = Instant::now();
    let mut histogram = Histogram::default();
    let piece = vec![0; work.size];
    for _ in 0..work.count() {
        writer.write_all(&piece).await?;
        histogram.record(Duration::ZERO);
    }
    writer.flush().await?;
    Ok((histogram, started.elapsed().as_secs_f64()))
}

async fn read_bytes(
    factory: &ClientFactory,
    stream: &ScopedStream,
    work: &Work,
) -> Result<(Histogram, f64)> {
    let started = Instant::now();
    let mut histogram = Histogram::default();
    let mut reader = factory.byte_reader(stream).await?;
    let mut piece = vec![0; work.size];
    for _ in 0..work.count() {
        reader.read_exact(&mut piece).await?;
        histogram.record(Duration::ZERO);
    }
    Ok((histogram, started.elapsed().as_secs_f64()))
}

/// Writes for the time of the work. Returns the latencies, and the seconds from the first write to
/// the last acknowledgement.
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
