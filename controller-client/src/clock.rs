//! The clock of a driver: the time since one moment, waits until another one.

use std::{
    future::{Future, pending},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use crate::machine::Now;

/// The time since a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The present time.
    pub(crate) fn now(self) -> Now {
        self.0.elapsed()
    }

    /// The time that is left until then.
    pub(crate) fn left(self, until: Now) -> Duration {
        until.saturating_sub(self.now())
    }

    /// Waits until then; forever without a time.
    pub(crate) async fn wait(self, until: Option<Now>) {
        match until {
            Some(until) => sleep(self.left(until)).await,
            None => pending().await,
        }
    }

    /// Waits for a future, until then if there is a time. Returns `None` if it is not done by then.
    pub(crate) async fn within<F: Future>(
        self,
        until: Option<Now>,
        future: F,
    ) -> Option<F::Output> {
        match until {
            Some(until) => timeout(self.left(until), future).await.ok(),
            None => Some(future.await),
        }
    }
}
