//! A client that asks for cuts and for single events while others write and read.

use std::time::Duration;

use pravega_sdk_event_stream::{BatchClient, BatchConfig, ReadError, SegmentContext, codec::Raw};
use pravega_sdk_types::{BoundedCut, ErrorKind, ScopedStream};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    history::Violation,
    workload::{SharedHistory, hash},
};

/// The time that a call may take once everything is repaired.
const BOUND: Duration = Duration::from_secs(60);

/// Asks for cuts and events.
pub(crate) struct InspectorLoad {
    pub(crate) context: SegmentContext,
    pub(crate) stream: ScopedStream,
    pub(crate) random: fastrand::Rng,
    pub(crate) history: SharedHistory,
    /// True if the stream may be deleted.
    pub(crate) may_die: bool,
    /// True when everything is repaired and written.
    pub(crate) done: watch::Receiver<bool>,
}

/// What an inspector found.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// Cuts of the tail, in the order in which they were taken.
    pub(crate) cuts: Vec<BoundedCut>,
    pub(crate) fetched: u64,
    pub(crate) violations: Vec<Violation>,
}

impl InspectorLoad {
    pub(crate) async fn run(mut self) -> Inspection {
        let mut inspection = Inspection::default();
        let Some(client) = self.open(&mut inspection).await else { return inspection };
        let mut done = self.done.clone();
        loop {
            // After the repair one more of each call ends in time.
            let is_last = *done.borrow();
            for _ in 0..if is_last { 4 } else { 1 } {
                let call = self.call(&client, &mut inspection);
                if is_last {
                    let begun = Instant::now();
                    if timeout(BOUND, call).await.is_err() {
                        let took = begun.elapsed();
                        let detail = format!("a call did not end within {took:?}");
                        inspection.violations.push(Violation { check: "C14", detail });
                    }
                } else {
                    call.await;
                }
            }
            if is_last {
                return inspection;
            }
            let pause = Duration::from_millis(self.random.u64(1..1500));
            timeout(pause, done.wait_for(|done| *done)).await.ok();
        }
    }

    async fn open(&self, inspection: &mut Inspection) -> Option<BatchClient> {
        loop {
            let (context, config) = (self.context.clone(), BatchConfig::default());
            match BatchClient::open(context, &self.stream, config).await {
                Ok(client) => return Some(client),
                Err(error) if error.is_retryable() => sleep(Duration::from_millis(100)).await,
                Err(error) => {
                    inspection.wrong("opening", &error);
                    return None;
                }
            }
        }
    }

    async fn call(&mut self, client: &BatchClient, inspection: &mut Inspection) {
        match self.random.u32(0..4) {
            0 => {
                if let Err(error) = client.head_cut().await {
                    inspection.wrong("head_cut", &error);
                }
            }
            1 => match client.tail_cut().await {
                Ok(cut) => inspection.cuts.push(cut),
                // A segment may be truncated away between the two questions.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => inspection.wrong("tail_cut", &error),
            },
            _ => self.fetch(client, inspection).await,
        }
    }

    async fn fetch(&mut self, client: &BatchClient, inspection: &mut Inspection) {
        let pointers = self.history.pointers();
        let Some((pointer, written)) = self.random.choice(pointers) else { return };
        match client.fetch(&pointer, &Raw).await {
            Ok(event) if hash(&event) == written => inspection.fetched += 1,
            Ok(event) => {
                let detail = format!("{pointer:?} is {event:?}, which was not written there");
                inspection.violations.push(Violation { check: "C1", detail });
            }
            Err(error) if error.kind() == ErrorKind::Truncated => {}
            Err(error) if error.kind() == ErrorKind::NotFound && self.may_die => {}
            Err(error) => inspection.wrong("fetch", &error),
        }
    }
}

impl Inspection {
    /// Notes a failure that no fault explains.
    fn wrong(&mut self, what: &str, error: &ReadError) {
        if !error.is_retryable() {
            let detail = format!("{what}: {error:?}");
            self.violations.push(Violation { check: "R1", detail });
        }
    }
}
