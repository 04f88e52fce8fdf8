//! Readers in a scenario: the events that each returned over all its lives.
//!
//! A reader is dropped now and then, and another begins at its stream cut. Some readers are left
//! alone at any time, in the middle of whatever they wait for; they hold up no other client.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
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

use crate::{
    World,
    history::{Position, Violation},
    kept::Kept,
};

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
    /// The position of the reader after its last step.
    pub cut: Option<BoundedCut>,
    /// The number of readers, one after the other.
    pub lives: u64,
    /// The number of times that the reader was told of a truncation.
    pub truncations: u64,
    /// The number of times that the reader was told that nothing can be read.
    pub stalls: u64,
    /// The number of times that the reader was left alone.
    pub pauses: u64,
    /// True if the stream ended.
    pub has_ended: bool,
    /// True if the reader ended because its stream was deleted.
    pub has_died: bool,
}

/// The events that a stream holds in the end, all of which a reader must return.
pub(crate) type Rest = Arc<BTreeSet<Position>>;

/// What readers of a scenario wait for.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    /// What the stream holds in the end, once it is known.
    pub(crate) rest: watch::Receiver<Option<Rest>>,
    /// True when the readers that are left alone may go on.
    pub(crate) released: watch::Receiver<bool>,
}

/// Reads a stream in several lives.
pub(crate) struct ReaderLoad {
    pub(crate) context: SegmentContext,
    pub(crate) stream: ScopedStream,
    pub(crate) config: ReaderConfig,
    pub(crate) random: fastrand::Rng,
    pub(crate) signals: Signals,
    /// True if it is left alone at a random time, until all others are done.
    pub(crate) is_idle: bool,
    /// True if the stream is sealed in the end, so that the reader ends by itself.
    pub(crate) ends: bool,
    /// True if the stream may be deleted, which ends the reader too.
    pub(crate) may_die: bool,
}

/// What follows a step of a reader.
enum Next {
    /// Its next step.
    GoOn,
    /// It has everything, or cannot go on.
    Done,
}

impl ReaderLoad {
    pub(crate) async fn run(mut self) -> Reading {
        let mut reading = Reading::default();
        let mut places = BTreeSet::new();
        // An idle reader stops after that many steps.
        let mut steps_left = self.is_idle.then(|| self.random.u32(1..60));
        loop {
            reading.lives += 1;
            let start = reading.cut.clone().map_or(StreamPosition::Head, StreamPosition::Cut);
            let config = self.config.clone().with_start(start).with_seed(self.random.u64(..));
            let mut reader =
                match EventReader::open(self.context.clone(), &self.stream, Raw, config).await {
                    Ok(reader) => reader,
                    Err(error) if error.is_retryable() => {
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                    Err(error) => {
                        self.end(&error, &mut reading);
                        return reading;
                    }
                };
            let mut left = self.random.usize(1..200);
            while left > 0 {
                left -= 1;
                if steps_left == Some(0) {
                    reading.pauses += 1;
                    // The reader stays as it is, with all that it waits for.
                    self.signals.released.wait_for(|is_released| *is_released).await.ok();
                }
                steps_left = steps_left.and_then(|left| left.checked_sub(1));
                let next = self.step(&mut reader, &mut reading, &mut places, left).await;
                let now = reader.stream_cut();
                let before = reading.cut.replace(now.clone());
                reading.violations.extend(before.and_then(|before| went_back(&before, &now)));
                if let Next::Done = next {
                    return reading;
                }
            }
        }
    }

    /// Reads for a random time.
    async fn step(
        &mut self,
        reader: &mut EventReader<Raw>,
        reading: &mut Reading,
        places: &mut BTreeSet<Position>,
        left: usize,
    ) -> Next {
        // Dropping the future at any time loses nothing.
        let patience = Duration::from_millis(self.random.u64(1..3000));
        let most = self.random.usize(1..20);
        let next = async {
            if left.is_multiple_of(3) {
                reader.next_batch(most).await
            } else {
                reader.next().await.map(|next| next.map(|event| vec![event]))
            }
        };
        match timeout(patience, next).await {
            Ok(None) => {
                reading.has_ended = true;
                return Next::Done;
            }
            Ok(Some(Ok(events))) => {
                for event in events {
                    places.insert((event.segment().id(), event.offset()));
                    reading.delivered.push(Delivered {
                        segment: event.segment().id(),
                        offset: event.offset(),
                        event: event.into_event(),
                    });
                }
            }
            Ok(Some(Err(error))) => match error.kind() {
                ErrorKind::Unavailable => reading.stalls += 1,
                ErrorKind::Truncated => reading.truncations += 1,
                _ => {
                    self.end(&error, reading);
                    return Next::Done;
                }
            },
            // A reader of a stream that is sealed in the end waits for its end.
            Err(_) if !self.ends => {
                let rest = self.signals.rest.borrow();
                if rest.as_ref().is_some_and(|rest| rest.is_subset(places)) {
                    return Next::Done;
                }
            }
            Err(_) => {}
        }
        Next::GoOn
    }

    /// Notes an error that ends the reader.
    fn end(&self, error: &ReadError, reading: &mut Reading) {
        let is_of_another_life =
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidStreamCut);
        if self.may_die && is_of_another_life {
            reading.has_died = true;
        } else {
            let detail = format!("a reader failed: {error:?}");
            reading.violations.push(Violation { check: "R1", detail });
        }
    }
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

/// Compares the events that a reader returned with those that the stream holds and held.
///
/// | check | holds |
/// |---|---|
/// | C1 | every event that the stream holds in the end was returned |
/// | C2 | with its bytes |
/// | C3 | once, and each of its kind once: no two places have the same event |
/// | C7 | the events of a segment in order, and none before the end of a predecessor |
/// | R2 | an event that was passed over was truncated, and the reader was told |
#[must_use]
pub fn check(
    world: &World,
    stream: &ScopedStream,
    kept: &[Kept],
    reading: &Reading,
) -> Vec<Violation> {
    let mut violations = reading.violations.clone();
    let mut wrong = |check, detail: String| violations.push(Violation { check, detail });
    let mut expected: BTreeMap<Position, &Kept> =
        kept.iter().map(|kept| (kept.position(), kept)).collect();
    let mut last: BTreeMap<SegmentId, (Offset, usize)> = BTreeMap::new();
    let mut first: BTreeMap<SegmentId, usize> = BTreeMap::new();
    let mut seen: BTreeMap<&[u8], Position> = BTreeMap::new();
    for (at, event) in reading.delivered.iter().enumerate() {
        let position = (event.segment, event.offset);
        match expected.remove(&position) {
            Some(kept) if kept.stored.event == event.event => {}
            Some(_) => wrong("C2", format!("{position:?} was returned with other bytes")),
            None => {
                wrong("C3", format!("{position:?} was returned twice, or was not in the stream"));
            }
        }
        if let Some(before) = seen.insert(&event.event, position)
            && before != position
        {
            wrong("C3", format!("the event at {position:?} was returned at {before:?} before"));
        }
        first.entry(event.segment).or_insert(at);
        if let Some((before, _)) = last.insert(event.segment, (event.offset, at))
            && before >= event.offset
        {
            wrong("C7", format!("{position:?} was returned after {before}"));
        }
    }
    let missing: Vec<&Position> =
        expected.iter().filter(|(_, kept)| !kept.is_gone).map(|(position, _)| position).collect();
    if let Some(position) = missing.first()
        && !reading.has_died
    {
        let number = missing.len();
        wrong("C1", format!("{number} events were not returned, {position:?} is the first"));
    }
    // The reader had begun its segment, its position is after the event, and it was not told that
    // this was truncated. One that was stopped before it came so far has passed nothing over.
    let mut begun: BTreeMap<SegmentId, Offset> = BTreeMap::new();
    for event in &reading.delivered {
        begun.entry(event.segment).or_insert(event.offset);
    }
    let is_passed = |(segment, offset): &&Position| {
        let has_returned_later = last.get(segment).is_some_and(|(last, _)| last > offset);
        let is_before = |at| matches!(at, SegmentOffset::At(at) if at <= *offset);
        let has_left = |cut: &BoundedCut| !cut.offset(*segment).is_some_and(is_before);
        let has_gone_on = has_returned_later || reading.cut.as_ref().is_some_and(has_left);
        has_gone_on && begun.get(segment).is_some_and(|begun| begun < offset)
    };
    if let Some(position) = expected.keys().find(is_passed)
        && reading.truncations == 0
        && !reading.has_died
        && missing.is_empty()
    {
        wrong("R2", format!("{position:?} was passed over without a word"));
    }
    for (id, (_, ended)) in &last {
        for successor in world.successors(&ScopedSegment::new(stream, *id)) {
            if first.get(&successor.id).is_some_and(|begun| begun < ended) {
                let detail = "was read before the end of its predecessor";
                wrong("C7", format!("segment {} {detail} {id}", successor.id));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Stored;

    /// A stream of one segment with events of 10 bytes, of which the first two are gone.
    fn kept() -> Vec<Kept> {
        let kept = |number: i64| Kept {
            stored: Stored {
                segment: SegmentId::from(0),
                offset: Offset(number * 18),
                event: format!("event {number:04}").into_bytes(),
            },
            is_gone: number < 2,
        };
        (0..4).map(kept).collect()
    }

    /// A reader that returned all of it.
    fn correct() -> Reading {
        let delivered = kept().into_iter().map(|Kept { stored, .. }| Delivered {
            segment: stored.segment,
            offset: stored.offset,
            event: stored.event.into(),
        });
        Reading { delivered: delivered.collect(), ..Reading::default() }
    }

    #[track_caller]
    fn rejects(spoil: impl FnOnce(&mut Reading), expected: &[&str]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let violations = runtime.block_on(async {
            let world = World::new(1);
            let stream: ScopedStream = "sim/stream".parse().unwrap();
            world.create_stream(&stream, 1);
            let mut reading = correct();
            spoil(&mut reading);
            check(&world, &stream, &kept(), &reading)
        });
        let checks: BTreeSet<&str> = violations.iter().map(|violation| violation.check).collect();
        assert_eq!(checks, expected.iter().copied().collect(), "{violations:?}");
    }

    #[test]
    fn a_reader_that_returned_everything_is_accepted() {
        rejects(|_| (), &[]);
        // The first event was truncated before it began; of the second it was told.
        rejects(|reading| drop(reading.delivered.remove(0)), &[]);
        rejects(
            |reading| {
                reading.delivered.remove(1);
                reading.truncations = 1;
            },
            &[],
        );
    }

    #[test]
    fn an_event_that_is_missing_changed_doubled_or_out_of_order_is_rejected() {
        rejects(|reading| drop(reading.delivered.remove(2)), &["C1"]);
        rejects(|reading| reading.delivered[1].event = "other".into(), &["C2"]);
        rejects(|reading| reading.delivered.push(reading.delivered[3].clone()), &["C3", "C7"]);
        rejects(|reading| reading.delivered.swap(1, 2), &["C7"]);
    }

    #[test]
    fn an_event_that_was_returned_at_two_places_is_rejected() {
        rejects(
            |reading| reading.delivered[3].event = reading.delivered[1].event.clone(),
            &["C2", "C3"],
        );
    }

    #[test]
    fn a_truncation_that_was_not_told_is_rejected() {
        rejects(|reading| drop(reading.delivered.remove(1)), &["R2"]);
    }
}
