//! The workload of one writer: events with consecutive numbers for each routing key, and what
//! became of each.

use std::{
    hash::{Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_event_stream::{Ack, Appended, EventWriter, WriteError, codec::Raw};
use pravega_sdk_types::{ErrorKind, EventPointer, Outcome};
use tokio::time::{Instant, sleep};

use crate::{
    history::{Ended, EventId, Found, History, Position},
    kept::Kept,
};

/// The length of events of the same length.
pub(crate) const UNIFORM: usize = 24;
/// The bytes that an event counts for at least.
const MIN_COST: usize = 512;

/// The workload of one writer.
pub(crate) struct Workload {
    pub(crate) writer: EventWriter<Raw>,
    pub(crate) number: u32,
    pub(crate) random: fastrand::Rng,
    pub(crate) keys: usize,
    pub(crate) events: u64,
    pub(crate) max_pause: Duration,
    /// True if all events have the same length, so that segments often have the same length too.
    pub(crate) is_uniform: bool,
    /// The most bytes of an event's filler; some events have as many.
    pub(crate) max_filler: usize,
    /// The most bytes that the writer may have in flight.
    pub(crate) max_in_flight_bytes: usize,
    pub(crate) history: SharedHistory,
    pub(crate) started: Instant,
}

/// A workload of which all events were accepted.
pub(crate) struct Accepted {
    /// The tasks that wait for the acknowledgements.
    pub(crate) acks: Vec<tokio::task::JoinHandle<()>>,
    pub(crate) writer: EventWriter<Raw>,
}

/// An event, or a batch of them, that the writer accepted.
struct InFlight {
    ack: Arc<Ack>,
    /// The bytes that it counts for.
    cost: usize,
}

impl Workload {
    /// Hands all events to the writer.
    pub(crate) async fn run(mut self) -> Accepted {
        let mut acks = Vec::new();
        let mut numbers = vec![0_u64; self.keys];
        let mut in_flight = Vec::new();
        let mut unflushed = Vec::new();
        for _ in 0..self.events {
            if self.random.u32(0..4) == 0 {
                sleep(self.max_pause.mul_f64(self.random.f64())).await;
            }
            let at = self.random.usize(0..self.keys);
            let key = format!("key-{at}");
            let batch = if self.random.u32(0..10) == 0 { self.random.u64(1..5) } else { 1 };
            let ids: Vec<EventId> = (numbers[at]..numbers[at] + batch)
                .map(|number| EventId { writer: self.number, key: key.clone(), number })
                .collect();
            numbers[at] += batch;
            let events: Vec<Bytes> = ids.iter().map(|id| self.event(id)).collect();
            let cost = events.iter().map(|event| event.len() + 8).sum::<usize>().max(MIN_COST);
            for (id, event) in ids.iter().zip(&events) {
                self.history.lock().begin(id.clone(), hash(event), self.started.elapsed());
            }
            let enqueued = match &events[..] {
                [event] => self.writer.enqueue(&key, event.clone()).await,
                _ => self.writer.enqueue_batch(&key, events.clone()).await,
            };
            match enqueued {
                Ok(ack) => {
                    let hash = events.first().map_or(0, |event| hash(event));
                    unflushed.extend(ids.iter().cloned());
                    acks.push(self.watch((ids, hash), ack, &mut in_flight, cost));
                }
                Err(error) => self.history.end(&ids, &Err(error), self.started),
            }
            if self.random.u32(0..40) == 0 {
                self.flush(&mut unflushed).await;
            }
        }
        if self.random.bool() {
            self.flush(&mut unflushed).await;
        }
        Accepted { acks, writer: self.writer }
    }

    async fn flush(&self, unflushed: &mut Vec<EventId>) {
        let succeeded = self.writer.flush().await.is_ok();
        // The tasks that wait for acknowledgements run before the flush is noted.
        tokio::task::yield_now().await;
        let ids = std::mem::take(unflushed);
        self.history.lock().flushed(ids, succeeded, self.started.elapsed());
    }

    /// Notes the bytes in flight, and waits for an ack in a task.
    fn watch(
        &mut self,
        (ids, hash): (Vec<EventId>, u64),
        ack: Ack,
        in_flight: &mut Vec<InFlight>,
        cost: usize,
    ) -> tokio::task::JoinHandle<()> {
        let ack = Arc::new(ack);
        in_flight.retain(|event| event.ack.result().is_none());
        in_flight
            .push(InFlight { ack: Arc::clone(&ack), cost: cost.min(self.max_in_flight_bytes) });
        let used: usize = in_flight.iter().map(|event| event.cost).sum();
        let limit = self.max_in_flight_bytes as u64;
        self.history.lock().resource("bytes in flight", used as u64, limit);
        let (history, started) = (self.history.clone(), self.started);
        tokio::spawn(async move {
            let result = (&*ack).await;
            if let Some(pointer) = result.as_ref().ok().and_then(Appended::pointer) {
                history.point(pointer, hash);
            }
            let result = result
                .map(|appended| appended.offset().map(|offset| (appended.segment().id(), offset)));
            history.end(&ids, &result, started);
        })
    }

    /// An event that names itself, and a filler.
    fn event(&mut self, id: &EventId) -> Bytes {
        if self.is_uniform {
            return event(id, UNIFORM.saturating_sub(event(id, 0).len()));
        }
        let filler = match self.random.u32(0..20) {
            0 if self.max_filler > 400 => self.random.usize(400..self.max_filler),
            1 => 350,
            _ => self.random.usize(0..60),
        };
        event(id, filler)
    }
}

/// An event that names itself, and a filler of a length.
pub(crate) fn event(id: &EventId, filler: usize) -> Bytes {
    format!("{}|{}|{}|{}", id.writer, id.key, id.number, "x".repeat(filler)).into()
}

/// The history of all clients of a scenario.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedHistory {
    history: Arc<Mutex<History>>,
    pointers: Arc<Mutex<Vec<(EventPointer, u64)>>>,
}

impl SharedHistory {
    pub(crate) fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of acknowledged events, with the hashes of these.
    pub(crate) fn pointers(&self) -> Vec<(EventPointer, u64)> {
        self.pointers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn point(&self, pointer: EventPointer, hash: u64) {
        self.pointers.lock().unwrap_or_else(PoisonError::into_inner).push((pointer, hash));
    }

    /// Notes the end of the writes of an event or of a batch.
    pub(crate) fn end(
        &self,
        ids: &[EventId],
        result: &Result<Option<Position>, WriteError>,
        started: Instant,
    ) {
        let now = started.elapsed();
        for (at, id) in ids.iter().enumerate() {
            let ended = match result {
                // The position of a batch is that of its first event.
                Ok(position) => Ended::Acknowledged(position.filter(|_| at == 0)),
                Err(error)
                    if error.kind() == ErrorKind::ConditionFailed
                        && error.outcome() == Outcome::NotApplied =>
                {
                    Ended::ConditionFailed
                }
                Err(error) => Ended::Failed(error.outcome()),
            };
            self.lock().end(id, ended, now);
        }
    }
}

/// An event that a stream holds or held, as the history names it; `None` if no workload wrote it.
pub(crate) fn found(kept: &Kept) -> Option<Found> {
    let event = &kept.stored.event;
    Some(Found { id: id_of(event)?, hash: hash(event), position: kept.position() })
}

/// The event that bytes are, as they name themselves.
pub(crate) fn id_of(event: &[u8]) -> Option<EventId> {
    let text = std::str::from_utf8(event).ok()?;
    let mut parts = text.splitn(4, '|');
    let (writer, key, number) = (parts.next()?, parts.next()?, parts.next()?);
    let (writer, number) = (writer.parse().ok()?, number.parse().ok()?);
    Some(EventId { writer, key: key.to_owned(), number })
}

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
