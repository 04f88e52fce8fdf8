//! Counts the events that are durable.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use pravega_sdk::{Ack, WriteError};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{
    super::input::Place,
    silence::Silence,
    window::{Event, InFlight, Window},
};
use crate::{
    failure::{Failure, Result},
    output::tell,
    signal::Signal,
    stop::Stop,
};

/// The acknowledged events.
pub(super) struct Counted {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The place of the last event before the first one that is not acknowledged.
    pub(super) done: Place,
    /// In microseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) failure: Option<WriteError>,
    /// The signal after which no more acks were waited for.
    pub(super) quit: Option<Signal>,
}

/// How often a failure is looked for among all events in flight.
const SEARCH_EVERY: Duration = Duration::from_secs(1);

/// Waits for the acks in order, up to the first failure of any event or a second signal.
pub(super) async fn count(
    waiting: mpsc::Receiver<InFlight<Ack>>,
    progress: ProgressBar,
    stop: Stop,
) -> Result<Counted> {
    // One microsecond to ten minutes, to two digits.
    let latencies = Histogram::new_with_bounds(1, 600_000_000, 2).map_err(Failure::other)?;
    let (done, failure, quit) = (Place::default(), None, None);
    let mut counted = Counted { events: 0, bytes: 0, done, latencies, failure, quit };
    let mut window = Window::new(waiting);
    let mut silence = Silence::new(Instant::now());
    let mut search = interval(SEARCH_EVERY);
    search.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let again = stop.again();
    tokio::pin!(again);
    loop {
        tokio::select! {
            biased;
            next = window.next() => match next {
                None => break,
                Some(Ok(event)) => counted.add(event, &progress),
                Some(Err(failure)) => {
                    counted.failure = Some(failure);
                    break;
                }
            },
            _ = search.tick() => {
                if let Some(text) = silence.observe(Instant::now(), counted.events, &window) {
                    tell(&text);
                }
                counted.failure = window.failure();
                if counted.failure.is_some() {
                    break;
                }
            }
            signal = &mut again => {
                counted.quit = Some(signal);
                break;
            }
        }
    }
    Ok(counted)
}

impl Counted {
    fn add(&mut self, event: Event, progress: &ProgressBar) {
        let Event { at, started, bytes } = event;
        self.events += 1;
        self.bytes += bytes;
        self.done = at;
        self.latencies
            .saturating_record(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        progress.inc(bytes);
        if self.events.is_multiple_of(1000) {
            progress.set_message(format!("{} events", self.events));
        }
    }
}
