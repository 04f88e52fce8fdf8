//! The workload of one writer: events with consecutive numbers for each routing key, and what
//! became of each.

use std::{
    hash::{Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_event_stream::{Ack, EventWriter, WriteError, codec::Raw};
use pravega_sdk_types::{Offset, SegmentId};
use tokio::time::{Instant, sleep};

use crate::{
    content::Stored,
    history::{Ended, EventId, Found, History},
};

/// The most bytes that a writer may have in flight.
pub(crate) const MAX_IN_FLIGHT_BYTES: usize = 16 * 1024;
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
    /// True if some events are larger than one append.
    pub(crate) large: bool,
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
                _ => self.writer.enqueue_batch(&key, events).await,
            };
            match enqueued {
                Ok(ack) => acks.push(self.watch(ids, ack, &mut in_flight, cost)),
                Err(error) => self.history.end(&ids, &Err(error), self.started),
            }
        }
        if self.random.bool() {
            self.writer.flush().await.ok();
        }
        Accepted { acks, writer: self.writer }
    }

    /// Notes the bytes in flight, and waits for an ack in a task.
    fn watch(
        &mut self,
        ids: Vec<EventId>,
        ack: Ack,
        in_flight: &mut Vec<InFlight>,
        cost: usize,
    ) -> tokio::task::JoinHandle<()> {
        let ack = Arc::new(ack);
        in_flight.retain(|event| event.ack.result().is_none());
        in_flight.push(InFlight { ack: Arc::clone(&ack), cost: cost.min(MAX_IN_FLIGHT_BYTES) });
        let used: usize = in_flight.iter().map(|event| event.cost).sum();
        self.history.lock().resource("bytes in flight", used as u64, MAX_IN_FLIGHT_BYTES as u64);
        let (history, started) = (self.history.clone(), self.started);
        tokio::spawn(async move {
            let result = (&*ack)
                .await
                .map(|appended| appended.offset().map(|offset| (appended.segment().id(), offset)));
            history.end(&ids, &result, started);
        })
    }

    /// An event that names itself, and a filler.
    fn event(&mut self, id: &EventId) -> Bytes {
        let filler = match self.random.u32(0..20) {
            0 if self.large => self.random.usize(400..2500),
            1 => 350,
            _ => self.random.usize(0..60),
        };
        format!("{}|{}|{}|{}", id.writer, id.key, id.number, "x".repeat(filler)).into()
    }
}

/// The history of all clients of a scenario.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedHistory(Arc<Mutex<History>>);

impl SharedHistory {
    pub(crate) fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the end of the writes of an event or of a batch.
    fn end(
        &self,
        ids: &[EventId],
        result: &Result<Option<(SegmentId, Offset)>, WriteError>,
        started: Instant,
    ) {
        let now = started.elapsed();
        for (at, id) in ids.iter().enumerate() {
            let ended = match result {
                // The position of a batch is that of its first event.
                Ok(position) => Ended::Acknowledged(position.filter(|_| at == 0)),
                Err(error) => Ended::Failed(error.outcome()),
            };
            self.lock().end(id, ended, now);
        }
    }
}

/// An event of a stream's content, as the history names it; `None` if no workload wrote it.
pub(crate) fn found(stored: &Stored) -> Option<Found> {
    let text = std::str::from_utf8(&stored.event).ok()?;
    let mut parts = text.splitn(4, '|');
    let (writer, key, number) = (parts.next()?, parts.next()?, parts.next()?);
    let id =
        EventId { writer: writer.parse().ok()?, key: key.to_owned(), number: number.parse().ok()? };
    let position = (stored.segment, stored.offset);
    Some(Found { id, hash: hash(&stored.event), position })
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
