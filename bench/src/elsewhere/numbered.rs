//! Events that carry their producer and their number, and the check of those that are read back.
//! The counterparts use the same file.

/// The bytes before the filler: the number, then the producer.
const HEAD: usize = 10;

/// The events of one producer.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    producer: u16,
    next: u64,
    event: Vec<u8>,
}

impl Numbered {
    /// Events of `size` bytes, from number 0 on. The filler does not compress: a server that
    /// compresses has no advantage.
    pub(crate) fn new(producer: u16, size: usize) -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ u64::from(producer);
        let filler = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        Self { producer, next: 0, event: filler.take(size.max(HEAD)).collect() }
    }

    /// The number of events so far.
    pub(crate) fn count(&self) -> u64 {
        self.next
    }

    /// Returns the next event.
    pub(crate) fn next_event(&mut self) -> Vec<u8> {
        let mut event = self.event.clone();
        let head = self.next.to_be_bytes().into_iter().chain(self.producer.to_be_bytes());
        for (byte, value) in event.iter_mut().zip(head) {
            *byte = value;
        }
        self.next += 1;
        event
    }
}

/// The check that all events of all producers are read, each once and in order.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    size: usize,
    /// The number of the next event of each producer.
    next: Vec<u64>,
    read: u64,
    faults: u64,
}

impl Check {
    /// Expects events of a length.
    pub(crate) fn new(producers: usize, size: usize) -> Self {
        Self { size: size.max(HEAD), next: vec![0; producers], read: 0, faults: 0 }
    }

    /// The number of events that were read.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// Takes an event that was read.
    pub(crate) fn take(&mut self, event: &[u8]) {
        self.read += 1;
        let number = event.first_chunk().map(|number| u64::from_be_bytes(*number));
        let producer = event.get(8..HEAD).and_then(|bytes| bytes.try_into().ok());
        let producer = producer.map(|bytes| usize::from(u16::from_be_bytes(bytes)));
        let next = producer.and_then(|producer| self.next.get_mut(producer));
        match (next, number) {
            (Some(next), Some(number)) if event.len() == self.size => {
                self.faults += u64::from(*next != number);
                *next = number + 1;
            }
            _ => self.faults += 1,
        }
    }

    /// Returns what was read as a line of JSON, beside the number of acknowledged events.
    pub(crate) fn report(&self, acknowledged: u64) -> String {
        format!(
            "{{\"acknowledged\": {acknowledged}, \"read\": {}, \"faults\": {}}}",
            self.read, self.faults
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_missing_doubled_out_of_order_or_cut_is_a_fault() {
        let (mut one, mut two) = (Numbered::new(0, 100), Numbered::new(1, 100));
        let events: Vec<Vec<u8>> = (0..4).map(|_| one.next_event()).collect();
        let faults = |read: &[&[u8]]| {
            let mut check = Check::new(2, 100);
            read.iter().for_each(|event| check.take(event));
            check.faults
        };
        let [a, b, c, d] = &events[..] else { panic!("four events") };
        assert_eq!(faults(&[a, b, &two.next_event(), c, d, &two.next_event()]), 0);
        assert_eq!(faults(&[a, c, d]), 1, "one is missing");
        assert_eq!(faults(&[a, b, b, c]), 1, "one is doubled");
        assert_eq!(faults(&[b, a]), 2, "the order is wrong");
        assert_eq!(faults(&[a, &b[..99]]), 1, "one is cut");
        assert_eq!(faults(&[&Numbered::new(2, 100).next_event()]), 1, "it has no such producer");
    }
}
