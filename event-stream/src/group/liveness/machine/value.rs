//! What is stored of a lease: one number.

use std::time::Duration;

use super::times::{LeaseTimes, UNIT};

/// The layout of the number, which is never negative: 2 bits of the format, 2 of the phase, then
/// the length, the incarnation and the counter.
const FORMAT: u64 = 1;
const LENGTH_BITS: u32 = 14;
const INCARNATION_BITS: u32 = 20;
const COUNTER_BITS: u32 = 25;
const LENGTH_SHIFT: u32 = COUNTER_BITS + INCARNATION_BITS;
const PHASE_SHIFT: u32 = LENGTH_SHIFT + LENGTH_BITS;
const FORMAT_SHIFT: u32 = PHASE_SHIFT + 2;

/// What the holder of a lease was last known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeasePhase {
    /// A reader has claimed the name, and may not be in the group yet.
    Claimed,
    /// The reader is or was in the group.
    Member,
    /// An observer has found that the reader is dead. The reader cannot renew the lease.
    Dead,
    /// Another client has taken the reader out of the group, whether it is alive or not. The reader
    /// cannot renew the lease, and may not know it yet. If one of the name is in the group, it is
    /// another one, without a lease.
    TakenOut,
}

/// The lease of a reader, as it is stored: a number that is another one after each renewal.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::liveness::{LeasePhase, LeaseTimes, LeaseValue};
///
/// let times = LeaseTimes::new(Duration::from_secs(30));
/// let value = LeaseValue::claimed(times, 7);
/// assert_eq!(LeaseValue::from_number(value.number()), Some(value));
/// assert_ne!(value.renewed(1), value);
/// assert_eq!(value.dead().phase(), LeasePhase::Dead);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseValue {
    phase: LeasePhase,
    /// The length of the lease, in units.
    length: u16,
    incarnation: u32,
    counter: u32,
}

impl LeaseValue {
    /// The value with which a reader claims its name. `random` is what distinguishes it from other
    /// readers of its name; the lowest 20 bits count.
    #[must_use]
    pub fn claimed(times: LeaseTimes, random: u64) -> Self {
        let incarnation = random & mask(INCARNATION_BITS);
        let incarnation = u32::try_from(incarnation).unwrap_or_default();
        Self { phase: LeasePhase::Claimed, length: times.units(), incarnation, counter: 0 }
    }

    /// Returns the value after so many more attempts to renew it.
    #[must_use]
    pub fn renewed(self, attempts: u32) -> Self {
        let counter = u64::from(self.counter.wrapping_add(attempts)) & mask(COUNTER_BITS);
        Self { counter: u32::try_from(counter).unwrap_or_default(), ..self }
    }

    /// Returns the value of a reader that is in the group.
    #[must_use]
    pub fn member(self) -> Self {
        Self { phase: LeasePhase::Member, ..self }
    }

    /// Returns the value that replaces this one when the reader is found dead.
    #[must_use]
    pub fn dead(self) -> Self {
        Self { phase: LeasePhase::Dead, ..self }
    }

    /// Returns the value that replaces this one after the reader was taken out of the group.
    #[must_use]
    pub fn taken_out(self) -> Self {
        Self { phase: LeasePhase::TakenOut, ..self }
    }

    /// Returns true if the reader cannot renew the lease any more.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self.phase, LeasePhase::Dead | LeasePhase::TakenOut)
    }

    /// Returns what the holder was last known to be.
    #[must_use]
    pub fn phase(self) -> LeasePhase {
        self.phase
    }

    /// Returns the times that follow from the length of the lease.
    #[must_use]
    pub fn times(self) -> LeaseTimes {
        LeaseTimes::new(UNIT.saturating_mul(self.length.into()))
    }

    /// Returns the length of the lease.
    #[must_use]
    pub fn length(self) -> Duration {
        self.times().lease()
    }

    /// Returns true if both are values of one reader, and not of two with the same name.
    #[must_use]
    pub fn is_of_same_reader(self, other: Self) -> bool {
        self.incarnation == other.incarnation
    }

    /// Returns the number that is stored.
    #[must_use]
    pub fn number(self) -> i64 {
        let phase: u64 = match self.phase {
            LeasePhase::Claimed => 0,
            LeasePhase::Member => 1,
            LeasePhase::Dead => 2,
            LeasePhase::TakenOut => 3,
        };
        let number = FORMAT << FORMAT_SHIFT
            | phase << PHASE_SHIFT
            | u64::from(self.length) << LENGTH_SHIFT
            | u64::from(self.incarnation) << COUNTER_BITS
            | u64::from(self.counter);
        number.cast_signed()
    }

    /// Parses a stored number. `None` means that this client did not write it.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        let number =
            u64::try_from(number).ok().filter(|number| number >> FORMAT_SHIFT == FORMAT)?;
        let field = |shift: u32, bits: u32| (number >> shift) & mask(bits);
        let phase = match field(PHASE_SHIFT, 2) {
            0 => LeasePhase::Claimed,
            1 => LeasePhase::Member,
            2 => LeasePhase::Dead,
            _ => LeasePhase::TakenOut,
        };
        let length = u16::try_from(field(LENGTH_SHIFT, LENGTH_BITS)).ok();
        Some(Self {
            phase,
            length: length.filter(|length| LeaseTimes::is_valid(*length))?,
            incarnation: u32::try_from(field(COUNTER_BITS, INCARNATION_BITS)).ok()?,
            counter: u32::try_from(field(0, COUNTER_BITS)).ok()?,
        })
    }
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(seconds: u64, random: u64, attempts: u32) -> LeaseValue {
        let times = LeaseTimes::new(Duration::from_secs(seconds));
        LeaseValue::claimed(times, random).renewed(attempts)
    }

    #[test]
    fn the_layout_of_the_number_does_not_change() {
        let claimed = value(30, 0x5_a5a5, 3);
        assert_eq!(claimed.number(), 0x2025_8b4b_4a00_0003);
        assert_eq!(claimed.member().number(), 0x2825_8b4b_4a00_0003);
        assert_eq!(claimed.dead().number(), 0x3025_8b4b_4a00_0003);
        assert_eq!(claimed.taken_out().number(), 0x3825_8b4b_4a00_0003);
    }

    #[test]
    fn the_number_of_attempts_begins_again_after_the_last() {
        let last = value(30, 1, (1 << COUNTER_BITS) - 1);
        assert_eq!(last.renewed(1), value(30, 1, 0));
        assert_eq!(last.renewed(1).number(), value(30, 1, 0).number());
    }

    proptest! {
        #[test]
        fn a_value_is_read_as_it_was_written(
            seconds in 1..1200_u64, random: u64, attempts: u32, phase in 0..4_u8,
        ) {
            let value = value(seconds, random, attempts);
            let phases = [value, value.member(), value.dead(), value.taken_out()];
            let value = phases[usize::from(phase)];
            prop_assert_eq!(LeaseValue::from_number(value.number()), Some(value));
            prop_assert_eq!(value.length(), Duration::from_secs(seconds));
        }

        #[test]
        fn any_number_is_a_value_that_is_written_as_the_same_number_or_none(number: i64) {
            let value = LeaseValue::from_number(number);
            prop_assert!(value.is_none_or(|value| value.number() == number));
        }
    }
}
