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
/// instance of the controller that answered may lag: at most for [`CONTROLLER_LAG`], and once after
/// that. The time of a question counts, as an answer that is late knows no more for that.
pub struct Lag {
    random: Random,
    attempts: u32,
    /// When the question was last asked.
    asked: Instant,
    /// When the first answer came that is not believed.
    since: Option<Instant>,
    /// Every answer is believed, as that bug is switched on.
    believes: bool,
}

impl SegmentContext {
    /// Returns the wait for an answer that contradicts nothing. The question is asked now.
    #[must_use]
    pub fn lag(&self) -> Lag {
        Lag::new(self.raw_client().bugs().has(SeededBug::BelievesStaleAnswers))
    }
}

impl Lag {
    fn new(believes: bool) -> Self {
        let (random, asked) = (random_bits(rng(None)), Instant::now());
        Self { random, attempts: 0, asked, since: None, believes }
    }

    /// Waits before the question is asked again. Returns false, without a wait, if no instance
    /// could lag any more when it was asked, so that the answer must be believed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn wait(&mut self) -> bool {
        let until = *self.since.get_or_insert_with(Instant::now) + CONTROLLER_LAG;
        if self.asked >= until || self.believes {
            return false;
        }
        self.attempts = self.attempts.saturating_add(1);
        // The last question is asked when the time has passed.
        let left = until.saturating_duration_since(Instant::now());
        sleep(delay(&BACKOFF, self.attempts, &mut self.random).min(left)).await;
        self.asked = Instant::now();
        true
    }
}

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lag").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_question_is_asked_until_no_instance_can_lag() {
        let (mut lag, begun) = (Lag::new(false), Instant::now());
        let mut asked = 1;
        while lag.wait().await {
            asked += 1;
        }
        assert_eq!(begun.elapsed(), CONTROLLER_LAG);
        assert!((10..40).contains(&asked), "{asked} questions");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_late_is_not_believed_for_that() {
        let mut lag = Lag::new(false);
        assert!(lag.wait().await, "the first answer");
        // The second one is on its way for longer than an instance may lag.
        sleep(CONTROLLER_LAG * 2).await;
        let begun = Instant::now();
        assert!(lag.wait().await, "it was made when the instance may have lagged");
        assert!(begun.elapsed() < Duration::from_millis(1), "{:?}", begun.elapsed());
        assert!(!lag.wait().await, "the third one was asked for after that");
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_answer_that_is_late_is_asked_for_again_all_the_same() {
        let mut lag = Lag::new(false);
        sleep(CONTROLLER_LAG * 2).await;
        let begun = Instant::now();
        while lag.wait().await {}
        assert_eq!(begun.elapsed(), CONTROLLER_LAG);
    }
}
