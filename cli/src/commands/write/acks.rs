//! Counts the events that are durable.

use std::time::Instant;

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use pravega_sdk::{Ack, WriteError};
use tokio::sync::mpsc;

use super::super::input::Place;
use crate::{
    failure::{Failure, Result},
    signal::Signal,
    stop::Stop,
};

/// An event that the writer has accepted and not acknowledged yet.
pub(super) struct InFlight {
    pub(super) at: Place,
    pub(super) started: Instant,
    pub(super) bytes: u64,
    pub(super) ack: Ack,
}

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

/// Waits for the acks in order, up to the first failure or a second signal.
pub(super) async fn count(
    mut waiting: mpsc::Receiver<InFlight>,
    progress: ProgressBar,
    stop: Stop,
) -> Result<Counted> {
    // One microsecond to ten minutes, to two digits.
    let latencies = Histogram::new_with_bounds(1, 600_000_000, 2).map_err(Failure::other)?;
    let (done, failure, quit) = (Place::default(), None, None);
    let mut counted = Counted { events: 0, bytes: 0, done, latencies, failure, quit };
    let again = stop.again();
    tokio::pin!(again);
    loop {
        let next = async {
            let InFlight { at, started, bytes, ack } = waiting.recv().await?;
            Some(ack.await.map(|_| (at, started, bytes)))
        };
        let (at, started, bytes) = tokio::select! {
            biased;
            next = next => match next {
                None => break,
                Some(Ok(acknowledged)) => acknowledged,
                Some(Err(failure)) => {
                    counted.failure = Some(failure);
                    break;
                }
            },
            signal = &mut again => {
                counted.quit = Some(signal);
                break;
            }
        };
        counted.events += 1;
        counted.bytes += bytes;
        counted.done = at;
        counted
            .latencies
            .saturating_record(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        progress.inc(bytes);
        if counted.events.is_multiple_of(1000) {
            progress.set_message(format!("{} events", counted.events));
        }
    }
    Ok(counted)
}
