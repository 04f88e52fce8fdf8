//! Readers in a scenario: the events that each returned over all its lives, and the check that they
//! agree with the stream.
//!
//! A reader is dropped now and then, and another begins at its stream cut. Together they must
//! return every event once, those of a segment in order, and no event of a segment before the last
//! one of its predecessors.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_event_stream::{
    EventReader, ReadError, ReaderConfig, SegmentContext, StreamPosition, codec::Raw,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, Offset, ScopedSegment, ScopedStream, SegmentId, SegmentOffset,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{World, content::Stored, history::Violation};

/// An event that a reader returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its segment, as the reader says.
    pub segment: SegmentId,
    /// The offset of its header in the segment, as the reader says.
    pub offset: Offset,
    /// The event.
    pub event: Bytes,
}

/// Everything that a reader returned, and what was wrong.
#[derive(Debug, Default)]
pub struct Reading {
    /// The events in the order in which they were returned.
    pub delivered: Vec<Delivered>,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// The number of readers, one after the other.
    pub lives: u64,
}

/// Reads a stream in several lives.
pub(crate) struct ReaderLoad {
    pub(crate) context: SegmentContext,
    pub(crate) stream: ScopedStream,
    pub(crate) config: ReaderConfig,
    pub(crate) random: fastrand::Rng,
    /// The number of events in the stream, once it is known.
    pub(crate) total: watch::Receiver<Option<usize>>,
}

impl ReaderLoad {
    pub(crate) async fn run(mut self) -> Reading {
        let mut reading = Reading::default();
        let mut cut: Option<BoundedCut> = None;
        loop {
            reading.lives += 1;
            let start = cut.clone().map_or(StreamPosition::Head, StreamPosition::Cut);
            let config = self.config.clone().with_start(start).with_seed(self.random.u64(..));
            let mut reader =
                match EventReader::open(self.context.clone(), &self.stream, Raw, config).await {
                    Ok(reader) => reader,
                    Err(error) if error.is_retryable() => {
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                    Err(error) => {
                        reading.violations.push(violation(&error));
                        return reading;
                    }
                };
            let mut left = self.random.usize(1..200);
            while left > 0 {
                left -= 1;
                let (random, batch) = (&mut self.random, left.is_multiple_of(3));
                // Dropping the future at any time loses nothing.
                let patience = Duration::from_millis(random.u64(1..3000));
                let next = async {
                    if batch {
                        reader.next_batch(random.usize(1..20)).await
                    } else {
                        reader.next().await.map(|next| next.map(|event| vec![event]))
                    }
                };
                match timeout(patience, next).await {
                    Ok(None) => return reading,
                    Ok(Some(Ok(events))) => {
                        for event in events {
                            reading.delivered.push(Delivered {
                                segment: event.segment().id(),
                                offset: event.offset(),
                                event: event.into_event(),
                            });
                        }
                        let now = reader.stream_cut();
                        reading
                            .violations
                            .extend(cut.as_ref().and_then(|before| went_back(before, &now)));
                        cut = Some(now);
                    }
                    Ok(Some(Err(error))) if error.kind() == ErrorKind::Unavailable => {}
                    Ok(Some(Err(error))) => {
                        reading.violations.push(violation(&error));
                        return reading;
                    }
                    Err(_) => {
                        let total = *self.total.borrow();
                        if total.is_some_and(|total| reading.delivered.len() >= total) {
                            return reading;
                        }
                    }
                }
            }
        }
    }
}

fn violation(error: &ReadError) -> Violation {
    Violation { check: "R1", detail: format!("a reader failed: {error:?}") }
}

/// The positions of a reader only move forward.
fn went_back(before: &BoundedCut, now: &BoundedCut) -> Option<Violation> {
    let offset = |cut: &BoundedCut, id| cut.offset(id).map_or(-1, SegmentOffset::to_wire);
    let (id, _) = before
        .positions()
        .find(|(id, old)| now.offset(*id).is_some_and(|new| new.to_wire() < old.to_wire()))?;
    let detail =
        format!("segment {id} went from {} back to {}", offset(before, id), offset(now, id));
    Some(Violation { check: "C7", detail })
}

/// Compares the events that a reader returned with those in the stream.
#[must_use]
pub fn check(
    world: &World,
    stream: &ScopedStream,
    stored: &[Stored],
    reading: &Reading,
) -> Vec<Violation> {
    let mut violations = reading.violations.clone();
    let mut wrong = |check, detail: String| violations.push(Violation { check, detail });
    let mut expected: BTreeMap<(SegmentId, Offset), &[u8]> =
        stored.iter().map(|stored| ((stored.segment, stored.offset), &stored.event[..])).collect();
    let mut last: BTreeMap<SegmentId, (Offset, usize)> = BTreeMap::new();
    let mut first: BTreeMap<SegmentId, usize> = BTreeMap::new();
    for (at, event) in reading.delivered.iter().enumerate() {
        let position = (event.segment, event.offset);
        match expected.remove(&position) {
            Some(bytes) if bytes == &event.event[..] => {}
            Some(_) => wrong("C2", format!("{position:?} was returned with other bytes")),
            None => {
                wrong("C3", format!("{position:?} was returned twice, or is not in the stream"))
            }
        }
        first.entry(event.segment).or_insert(at);
        if let Some((before, _)) = last.insert(event.segment, (event.offset, at))
            && before >= event.offset
        {
            wrong("C7", format!("{position:?} was returned after {before}"));
        }
    }
    if let Some((position, _)) = expected.first_key_value() {
        wrong(
            "C1",
            format!("{} events were not returned, {position:?} is the first", expected.len()),
        );
    }
    let segments: BTreeSet<SegmentId> = last.keys().copied().collect();
    for id in &segments {
        for successor in world.successors(&ScopedSegment::new(stream, *id)) {
            let (begun, ended) = (first.get(&successor.id), last.get(id).map(|(_, at)| at));
            if begun.is_some_and(|begun| ended.is_some_and(|ended| begun < ended)) {
                wrong(
                    "C7",
                    format!(
                        "segment {} was read before the end of its predecessor {id}",
                        successor.id
                    ),
                );
            }
        }
    }
    violations
}
