//! What a client wrote, what became known of each event, and what was read of them.

/// The length of an event, in bytes.
const EVENT_LEN: usize = 100;
const STAMPS_LEN: usize = 4 + 8 + 8;

/// What is known of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is on its way.
    Waiting,
    /// It was acknowledged.
    Acknowledged,
    /// It was refused, and is not stored.
    Refused,
    /// It failed, and may be stored.
    Unknown,
}

/// The event with a number, written by a client at a time in nanoseconds.
pub(super) fn event(client: u32, number: u64, nanos: u64) -> Vec<u8> {
    let mut event = Vec::with_capacity(EVENT_LEN);
    event.extend(client.to_be_bytes());
    event.extend(number.to_be_bytes());
    event.extend(nanos.to_be_bytes());
    event.extend(filling(client, number));
    event
}

/// The rest of an event, which shows whether its bytes are those that were written.
fn filling(client: u32, number: u64) -> impl Iterator<Item = u8> {
    let seed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(client);
    (0..(EVENT_LEN - STAMPS_LEN) as u64)
        .map(move |at| (seed.rotate_left(at as u32 % 64) ^ at) as u8)
}

/// One reading of a client's stream.
#[derive(Debug)]
pub(super) struct Pass {
    client: u32,
    seen: Vec<bool>,
    last: Option<u64>,
    faults: Faults,
}

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Events that were acknowledged and are missing.
    pub(super) lost: u64,
    /// Events that are in the stream twice.
    pub(super) doubled: u64,
    /// Events that come after a later one.
    pub(super) disordered: u64,
    /// Events that were reported as not stored, and are.
    pub(super) contradicted: u64,
    /// Events whose bytes are not those that were written.
    pub(super) damaged: u64,
}

impl Faults {
    pub(super) fn any(&self) -> bool {
        *self != Self::default()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.disordered += other.disordered;
        self.contradicted += other.contradicted;
        self.damaged += other.damaged;
    }
}

impl Pass {
    pub(super) fn of(client: u32) -> Self {
        Self { client, seen: Vec::new(), last: None, faults: Faults::default() }
    }

    /// Takes the next event of the stream; returns its number and the time at which it was written.
    pub(super) fn take(&mut self, event: &[u8]) -> Option<(u64, u64)> {
        let Some((number, nanos)) = self.parse(event) else {
            self.faults.damaged += 1;
            return None;
        };
        if self.last.is_some_and(|last| number < last) {
            self.faults.disordered += 1;
        }
        self.last = Some(self.last.unwrap_or(0).max(number));
        let at = usize::try_from(number).ok()?;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, false);
        }
        match self.seen.get_mut(at) {
            Some(true) => self.faults.doubled += 1,
            Some(seen) => *seen = true,
            None => {}
        }
        Some((number, nanos))
    }

    fn parse(&self, event: &[u8]) -> Option<(u64, u64)> {
        let (client, rest) = event.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (nanos, rest) = rest.split_first_chunk()?;
        let number = u64::from_be_bytes(*number);
        // A number that was never written would need memory for all before it.
        let known = u32::from_be_bytes(*client) == self.client && number < 1 << 32;
        (known && rest.iter().copied().eq(filling(self.client, number)))
            .then_some((number, u64::from_be_bytes(*nanos)))
    }

    /// Returns the number of different events that were read.
    pub(super) fn count(&self) -> usize {
        self.seen.iter().filter(|seen| **seen).count()
    }

    /// Returns what is wrong, once all events were read.
    pub(super) fn against(&self, fates: &[Fate]) -> Faults {
        let mut faults = self.faults;
        for (at, fate) in fates.iter().enumerate() {
            let seen = self.seen.get(at).copied().unwrap_or(false);
            match (fate, seen) {
                (Fate::Acknowledged, false) => faults.lost += 1,
                (Fate::Refused, true) => faults.contradicted += 1,
                _ => {}
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(numbers: &[u64], fates: &[Fate]) -> Faults {
        let mut pass = Pass::of(7);
        for number in numbers {
            pass.take(&event(7, *number, 3));
        }
        pass.against(fates)
    }

    #[test]
    fn a_stream_with_every_event_once_in_order_has_no_faults() {
        assert_eq!(event(7, 1, 2).len(), EVENT_LEN);
        let fates = [Fate::Acknowledged, Fate::Refused, Fate::Unknown, Fate::Acknowledged];
        assert_eq!(read(&[0, 3], &fates), Faults::default());
        assert_eq!(read(&[0, 2, 3], &fates), Faults::default());
    }

    #[test]
    fn every_fault_of_a_stream_is_counted() {
        let fates = [Fate::Acknowledged, Fate::Refused, Fate::Acknowledged];
        assert_eq!(read(&[2], &fates).lost, 1);
        assert_eq!(read(&[0, 0, 2], &fates).doubled, 1);
        assert_eq!(read(&[2, 0], &fates).disordered, 1);
        assert_eq!(read(&[0, 1, 2], &fates).contradicted, 1);
        let mut pass = Pass::of(7);
        let mut bad = event(7, 0, 3);
        bad[50] ^= 1;
        for event in [bad, event(8, 0, 3), Vec::new(), event(7, u64::MAX, 3)] {
            assert_eq!(pass.take(&event), None);
        }
        assert_eq!(pass.against(&[]).damaged, 4);
    }
}
