//! A workload of conditional writes: each event only if its segment ends where the event before it
//! ended, while other writers and scales come between.

use std::time::Duration;

use pravega_sdk_event_stream::{Appended, EventWriter, SegmentTail, codec::Raw};
use pravega_sdk_types::ScopedStream;
use tokio::time::{Instant, sleep};

use crate::{
    World,
    history::EventId,
    workload::{SharedHistory, UNIFORM, event, hash},
};

/// The longest wait for a twin of a segment.
pub(crate) const TWIN_PATIENCE: Duration = Duration::from_millis(500);

/// The conditional writes of one writer.
pub(crate) struct ConditionalLoad {
    pub(crate) writer: EventWriter<Raw>,
    pub(crate) number: u32,
    pub(crate) random: fastrand::Rng,
    pub(crate) is_uniform: bool,
    pub(crate) keys: usize,
    pub(crate) events: u64,
    pub(crate) max_pause: Duration,
    pub(crate) history: SharedHistory,
    pub(crate) started: Instant,
    pub(crate) world: World,
    pub(crate) stream: ScopedStream,
}

impl ConditionalLoad {
    pub(crate) async fn run(mut self) {
        let mut numbers = vec![0_u64; self.keys];
        let at = self.random.usize(0..self.keys);
        // Where the segment of the last event ended, as its acknowledgement says.
        let mut tail: Option<SegmentTail> = None;
        for _ in 0..self.events {
            if self.random.bool() {
                sleep(self.max_pause.mul_f64(self.random.f64())).await;
            }
            if let Some(tail) = tail.as_ref().filter(|_| self.is_uniform) {
                self.wait_for_twin(tail).await;
            }
            let key = format!("key-{at}");
            let id = EventId { writer: self.number, key: key.clone(), number: numbers[at] };
            numbers[at] += 1;
            let filler = UNIFORM.saturating_sub(event(&id, 0).len());
            let event = event(&id, if self.is_uniform { filler } else { self.random.usize(0..4) });
            let now = self.started.elapsed();
            let appended = match &tail {
                Some(tail) => {
                    let place = (tail.segment().id(), tail.offset());
                    self.history.lock().begin_at(id.clone(), hash(&event), place, now);
                    self.writer.write_at(&key, tail, event).await
                }
                None => {
                    self.history.lock().begin(id.clone(), hash(&event), now);
                    self.writer.write(&key, event).await
                }
            };
            tail = appended.as_ref().ok().and_then(Appended::tail);
            let position = appended
                .map(|appended| appended.offset().map(|offset| (appended.segment().id(), offset)));
            self.history.end(&[id], &position, self.started);
        }
    }

    /// Waits until a segment is sealed, and the first one that takes events is as long: a condition
    /// that is about the one must not hold in the other.
    async fn wait_for_twin(&self, tail: &SegmentTail) {
        let until = Instant::now() + TWIN_PATIENCE;
        let id = tail.segment().id();
        while Instant::now() < until {
            let open = self.world.open_segments(&self.stream);
            let is_sealed = open.iter().all(|(other, _)| *other != id);
            if is_sealed && open.first().is_some_and(|(_, length)| *length == tail.offset()) {
                self.world.count("condition with a twin");
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}
