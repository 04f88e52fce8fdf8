//! How often a refusal is logged: clients decide how many there are.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// The refusals of tokens that are logged, and those that are not.
#[derive(Debug, Default)]
pub(super) struct Told {
    last: Option<Instant>,
    /// Those since the last line.
    hidden: u64,
}

impl Told {
    /// Takes a refusal. Returns the number of those since the last line if it is time for one.
    pub(super) fn is_news(&mut self, now: Instant) -> Option<u64> {
        if let Some(last) = self.last
            && now.saturating_duration_since(last) < PAUSE
        {
            self.hidden = self.hidden.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_a_line_in_ten_seconds_with_their_number() {
        let (mut told, begun) = (Told::default(), Instant::now());
        let lines: Vec<_> = (0..2500)
            .filter_map(|hundredth| told.is_news(begun + Duration::from_millis(hundredth * 10)))
            .collect();
        assert_eq!(lines, [0, 999, 999]);
    }
}
