//! A workload of conditional writes: each event only if its segment ends where the event before it
//! ended, while other writers and scales come between.

use std::time::Duration;

use pravega_sdk_event_stream::{Appended, EventWriter, SegmentTail, codec::Raw};
use tokio::time::{Instant, sleep};

use crate::{
    history::EventId,
    workload::{SharedHistory, UNIFORM, event, hash},
};

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
}
