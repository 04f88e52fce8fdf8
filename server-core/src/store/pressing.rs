//! Writers whose appends find no memory, again and again.

use std::collections::BTreeMap;

use pravega_sdk_types::WriterId;

use crate::record::Millis;

/// The refusals within this time, in milliseconds, are counted.
const MOMENT: i64 = 1000;
/// A writer presses after this many.
const PRESSES: u32 = 2;
/// The most writers that are known.
const MOST: usize = 1024;

/// The writers that were refused a moment ago.
#[derive(Debug, Default)]
pub(super) struct Pressing(BTreeMap<WriterId, Refused>);

#[derive(Debug, Clone, Copy)]
struct Refused {
    /// The time of the first refusal of this moment.
    since: Millis,
    times: u32,
    /// The length of the shortest refused append.
    least: u64,
}

impl Refused {
    fn is_over(self, now: Millis) -> bool {
        !(0..MOMENT).contains(&now.since(self.since))
    }
}

impl Pressing {
    /// Notes that there was no memory for an append of a length.
    pub(super) fn refused(&mut self, writer: WriterId, len: u64, now: Millis) {
        let begun = Refused { since: now, times: 0, least: u64::MAX };
        if self.0.len() >= MOST {
            self.0.retain(|_, refused| !refused.is_over(now));
        }
        let known = self.0.len();
        match self.0.get_mut(&writer) {
            Some(refused) => {
                let before = if refused.is_over(now) { begun } else { *refused };
                let (times, least) = (before.times.saturating_add(1), before.least.min(len));
                *refused = Refused { times, least, ..before };
            }
            None if known < MOST => {
                self.0.insert(writer, Refused { times: 1, least: len, ..begun });
            }
            None => {}
        }
    }

    /// The length of the shortest append that was refused, if the writer presses.
    pub(super) fn least(&self, writer: WriterId, now: Millis) -> Option<u64> {
        let refused = self.0.get(&writer)?;
        (!refused.is_over(now) && refused.times >= PRESSES).then_some(refused.least)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn writer(number: u128) -> WriterId {
        WriterId(Uuid::from_u128(number))
    }

    #[test]
    fn a_writer_presses_after_a_second_refusal_and_for_a_moment() {
        let mut pressing = Pressing::default();
        pressing.refused(writer(1), 10, Millis(5));
        assert_eq!(pressing.least(writer(1), Millis(5)), None);
        pressing.refused(writer(1), 7, Millis(6));
        pressing.refused(writer(1), 9, Millis(6));
        assert_eq!(pressing.least(writer(1), Millis(1004)), Some(7));
        assert_eq!(pressing.least(writer(2), Millis(6)), None);
        assert_eq!(pressing.least(writer(1), Millis(1005)), None);
        // A clock that jumps back ends the moment.
        assert_eq!(pressing.least(writer(1), Millis(4)), None);
        pressing.refused(writer(1), 20, Millis(1005));
        assert_eq!(pressing.least(writer(1), Millis(1005)), None);
        pressing.refused(writer(1), 30, Millis(1006));
        assert_eq!(pressing.least(writer(1), Millis(1006)), Some(20));
    }

    #[test]
    fn no_more_writers_are_known_than_a_number() {
        let mut pressing = Pressing::default();
        for number in 0..10_000 {
            pressing.refused(writer(number), 1, Millis(number as i64 / 100));
        }
        assert_eq!(pressing.0.len(), MOST);
        pressing.refused(writer(20_000), 1, Millis(5000));
        assert_eq!(pressing.0.len(), 1);
    }
}
