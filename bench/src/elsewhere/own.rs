//! The work of a client with this SDK, as the counterparts in `peers` do it with theirs.
//!
//! It warms up, or writes what it will read, prints "ready", waits for a line, works, prints its
//! figures, waits for a line, reads everything back, prints what it found, and waits for a line
//! before it exits.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use pravega_sdk::{
    Ack, ClientFactory, EventWriter, WriterConfig,
    codec::Raw,
    types::{RoutingKey, ScalingPolicy, ScopedStream, StreamConfiguration},
};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    numbered::{Check, Numbered},
    timeline::Timeline,
};
use crate::{
    client,
    work::{Work, wait_for_a_line},
};

/// What all producers together may have waiting: the default of one.
const IN_FLIGHT: usize = 32 << 20;
/// The length of the warm-up, at most.
const WARM_UP: f64 = 3.0;
/// The events after which the clock is read.
const COUNTED: u64 = 256;

/// Does the work of the command line.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    client::run("elsewhere-worker", arguments, do_all)
}

async fn do_all(work: Work) -> Result<()> {
    let factory = ClientFactory::connect(&work.uri).await?;
    let mut producers = Producers::create(&factory, &work.stream, work.keys, work.size).await?;
    let seconds = if work.mode == "read" { f64::MAX } else { WARM_UP.min(work.seconds) };
    let mode = if work.mode == "read" { "throughput" } else { &work.mode }.to_owned();
    producers.write(&Work { seconds, mode, ..work.clone() }).await?;
    println!("ready");
    wait_for_a_line();
    if work.mode == "read" {
        let began = Instant::now();
        let (check, timeline) = producers.read_back(&factory, began).await?;
        println!("{}", timeline.report(began.elapsed()));
        wait_for_a_line();
        println!("{}", check.report(producers.count()));
    } else {
        let (timeline, took) = producers.write(&work).await?;
        println!("{}", timeline.report(took));
        wait_for_a_line();
        let (check, _) = producers.read_back(&factory, Instant::now()).await?;
        println!("{}", check.report(producers.count()));
    }
    wait_for_a_line();
    Ok(())
}

/// The producers of a stream, each of which writes to a segment of its own.
pub(super) struct Producers {
    stream: ScopedStream,
    size: usize,
    all: Vec<Producer>,
}

struct Producer {
    writer: EventWriter<Raw>,
    /// `None` if there is one segment only.
    key: Option<String>,
    events: Numbered,
}

impl Producers {
    /// Creates a stream with a segment for each producer.
    pub(super) async fn create(
        factory: &ClientFactory,
        stream: &str,
        producers: usize,
        size: usize,
    ) -> Result<Self> {
        let stream: ScopedStream = stream.parse()?;
        factory.controller().create_scope(stream.scope()).await?;
        let segments = u32::try_from(producers)?;
        let configuration =
            StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments));
        factory.controller().create_stream(&stream, &configuration).await?;
        let mut all = Vec::new();
        for number in 0..producers {
            let config =
                WriterConfig::default().with_max_in_flight_bytes(IN_FLIGHT / producers.max(1));
            let writer = factory.event_writer_with(&stream, Raw, config).await?;
            let key = match producers {
                1 => None,
                _ => Some(key_of(number, producers).context("no key hashes to a segment")?),
            };
            let events = Numbered::new(u16::try_from(number)?, size);
            all.push(Producer { writer, key, events });
        }
        Ok(Self { stream, size, all })
    }

    /// The number of events that were acknowledged.
    pub(super) fn count(&self) -> u64 {
        self.all.iter().map(|producer| producer.events.count()).sum()
    }

    /// Writes in all producers at once, until the work is over and all is acknowledged.
    pub(super) async fn write(&mut self, work: &Work) -> Result<(Timeline, Duration)> {
        let share = self.all.len().max(1) as u64;
        let work =
            Work { max_bytes: work.max_bytes / share, rate: work.rate / share, ..work.clone() };
        let began = Instant::now();
        let mut writing = JoinSet::new();
        for producer in self.all.drain(..) {
            writing.spawn(producer.write(work.clone(), began));
        }
        let mut timeline = Timeline::new(began);
        while let Some(written) = writing.join_next().await {
            let (producer, seconds) = written??;
            timeline.merge(&seconds);
            self.all.push(producer);
        }
        Ok((timeline, began.elapsed()))
    }

    /// Reads everything that was written, from the head.
    pub(super) async fn read_back(
        &self,
        factory: &ClientFactory,
        began: Instant,
    ) -> Result<(Check, Timeline)> {
        let mut reader = factory.event_reader(&self.stream, Raw).await?;
        let mut timeline = Timeline::new(began);
        let mut check = Check::new(self.all.len(), self.size);
        let total = self.count();
        while check.read() < total {
            let event = reader.next().await.context("the stream ended early")??;
            check.take(event.event());
            if check.read().is_multiple_of(COUNTED) {
                timeline.read(COUNTED);
            }
        }
        timeline.read(total % COUNTED);
        Ok((check, timeline))
    }
}

impl Producer {
    async fn write(mut self, work: Work, began: Instant) -> Result<(Self, Timeline)> {
        let (acks, mut waiting) = mpsc::channel::<(Instant, Ack)>(100_000);
        let reading = tokio::spawn(async move {
            let mut timeline = Timeline::new(began);
            while let Some((begun, ack)) = waiting.recv().await {
                ack.await?;
                timeline.acknowledged(begun);
            }
            anyhow::Ok(timeline)
        });
        let mut alone = Timeline::new(began);
        let mut written = 0;
        while !work.is_over(began, written) {
            work.wait_for_turn(began, written).await;
            let event = self.events.next_event();
            let begun = Instant::now();
            written += 1;
            if work.mode == "latency" {
                self.writer.write(self.key.as_deref(), event).await?;
                alone.acknowledged(begun);
            } else {
                let ack = self.writer.enqueue(self.key.as_deref(), event).await?;
                if acks.send((begun, ack)).await.is_err() {
                    // The other task has the reason.
                    break;
                }
            }
        }
        drop(acks);
        let mut timeline = reading.await??;
        timeline.merge(&alone);
        Ok((self, timeline))
    }
}

/// Returns a routing key of the segment with a number, of a new stream with some.
fn key_of(segment: usize, segments: usize) -> Option<String> {
    let keys = (0..1000).map(|number| format!("key-{number}"));
    let place = |key: &str| (RoutingKey::new(key).position() * segments as f64) as usize;
    keys.into_iter().find(|key| place(key) == segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_segment_has_a_key() {
        for segments in 1..=16 {
            assert!((0..segments).all(|segment| key_of(segment, segments).is_some()));
        }
    }
}
