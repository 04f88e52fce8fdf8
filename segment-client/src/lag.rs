//! Answers of a controller that does not know the latest changes.

use std::fmt;

use pravega_sdk_types::Backoff;
use tokio::time::{Duration, Instant, sleep};

use crate::{
    context::SegmentContext,
    machine::{CONTROLLER_LAG, Random, delay},
    runtime::{random_bits, rng},
    seeded_bugs::SeededBug,
};

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));

/// A question that is asked again while the answer contradicts what is known for certain, as the
/// instance of the controller that answered may lag: at most for [`CONTROLLER_LAG`].
pub struct Lag {
    random: Random,
    attempts: u32,
    /// When the first answer came that is not believed.
    since: Option<Instant>,
    /// Every answer is believed, as that bug is switched on.
    believes: bool,
}

impl SegmentContext {
    /// Returns the wait for an answer that contradicts nothing.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let believes = self.raw_client().bugs().has(SeededBug::BelievesStaleAnswers);
        Lag { random: random_bits(rng(None)), attempts: 0, since: None, believes }
    }
}

impl Lag {
    /// Waits before the question is asked again. Returns false, without a wait, if no instance can
    /// lag any more, so that the answer must be believed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn wait(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = CONTROLLER_LAG.saturating_sub(since.elapsed());
        if left.is_zero() || self.believes {
            return false;
        }
        self.attempts = self.attempts.saturating_add(1);
        // The last question is asked when the time has passed.
        sleep(delay(&BACKOFF, self.attempts, &mut self.random).min(left)).await;
        true
    }
}

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lag").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
