//! A word while no event is acknowledged, and when they are again.

use std::time::{Duration, Instant};

use super::window::Window;
use crate::output::counted;

/// Time without an ack after which a person wants to know.
const LONG: Duration = Duration::from_secs(3);

/// The machine: how many events are acknowledged goes in, what should be told comes out.
#[derive(Debug)]
pub(super) struct Silence {
    /// The number of acks, and the time since which there are no more.
    acks: u64,
    since: Instant,
    is_told: bool,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self { acks: 0, since: now, is_told: false }
    }

    /// Returns a line if the silence has become long, or has ended.
    pub(super) fn observe<A>(
        &mut self,
        now: Instant,
        acks: u64,
        window: &Window<A>,
    ) -> Option<String> {
        self.step(now, acks, window.is_empty())
    }

    fn step(&mut self, now: Instant, acks: u64, is_idle: bool) -> Option<String> {
        let silent = now.duration_since(self.since);
        if acks == self.acks && !is_idle {
            if silent < LONG || self.is_told {
                return None;
            }
            self.is_told = true;
            let written = counted(acks, "event");
            return Some(format!(
                "waiting for the server: no event was acknowledged for {} s; {written} so far",
                silent.as_secs()
            ));
        }
        let has_more = acks > self.acks;
        (self.acks, self.since) = (acks, now);
        let was_told = std::mem::take(&mut self.is_told);
        (was_told && has_more)
            .then(|| format!("the server acknowledges again, after {} s", silent.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_told_once_and_so_is_its_end() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        for (second, acks, is_idle, told) in [
            (1, 5, false, None),
            (2, 5, false, None),
            (4, 5, false, Some("no event was acknowledged for 3 s; 5 events so far")),
            (9, 5, false, None),
            (10, 6, false, Some("again, after 9 s")),
            (14, 6, true, None),
            (15, 6, false, None),
            (16, 6, false, None),
            (18, 6, false, Some("for 4 s")),
            // What was in flight has failed.
            (19, 6, true, None),
        ] {
            let text = silence.step(start + Duration::from_secs(second), acks, is_idle);
            let fits = match (&text, told) {
                (Some(text), Some(part)) => text.contains(part),
                (None, None) => true,
                _ => false,
            };
            assert!(fits, "{second} s: {text:?}, {told:?}");
        }
    }
}
