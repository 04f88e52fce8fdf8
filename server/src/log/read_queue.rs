//! Whose read is next: each connection has its turn, whatever others have asked for.

use std::collections::{BTreeMap, VecDeque};

use pravega_sdk_server_core::ids::ConnectionId;

/// The most reads that wait for a thread. Beyond it, each asker can have one.
const WAITING: usize = 1 << 16;

/// Whose read it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// A connection's.
    Connection(ConnectionId),
    /// The server's own, for calls.
    Server,
}

/// The reads that wait for a thread.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    reads: BTreeMap<Asker, VecDeque<T>>,
    /// Those who have reads, by their turns.
    turns: VecDeque<Asker>,
    count: usize,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { reads: BTreeMap::new(), turns: VecDeque::new(), count: 0 }
    }
}

impl<T> Waiting<T> {
    /// Adds a read; returns it if too many wait already, and one of its asker among them.
    pub(super) fn add(&mut self, asker: Asker, read: T) -> Result<(), T> {
        match self.reads.get_mut(&asker) {
            Some(_) if self.count >= WAITING => return Err(read),
            Some(reads) => reads.push_back(read),
            None => {
                self.reads.insert(asker, VecDeque::from([read]));
                self.turns.push_back(asker);
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Returns true if no read waits.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes the first read of the asker whose turn it is.
    pub(super) fn next(&mut self) -> Option<T> {
        let asker = self.turns.pop_front()?;
        let reads = self.reads.get_mut(&asker)?;
        let read = reads.pop_front()?;
        self.count -= 1;
        match reads.is_empty() {
            true => drop(self.reads.remove(&asker)),
            false => self.turns.push_back(asker),
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u64) -> Asker {
        Asker::Connection(ConnectionId(number))
    }

    #[test]
    fn a_read_waits_for_one_read_of_each_other_connection_at_most() {
        let mut waiting = Waiting::default();
        (0..8192).for_each(|read| waiting.add(of(1), (1, read)).unwrap());
        (0..3).for_each(|read| waiting.add(of(2), (2, read)).unwrap());
        waiting.add(Asker::Server, (3, 0)).unwrap();
        let first: Vec<_> = (0..7).filter_map(|_| waiting.next()).collect();
        assert_eq!(first, [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (1, 2), (2, 2)]);
        let rest: Vec<_> = std::iter::from_fn(|| waiting.next()).collect();
        assert_eq!(rest, (3..8192).map(|read| (1, read)).collect::<Vec<_>>(), "in order");
        assert!(waiting.is_empty());
    }

    #[test]
    fn when_too_many_wait_only_those_that_have_none_can_add_one() {
        let mut waiting = Waiting::default();
        (0..WAITING).for_each(|read| waiting.add(of(1), read).unwrap());
        assert_eq!(waiting.add(of(1), 7), Err(7));
        assert_eq!(waiting.add(of(2), 8), Ok(()));
        assert_eq!(waiting.add(of(2), 9), Err(9));
        assert_eq!((waiting.next(), waiting.next()), (Some(0), Some(8)));
        // One above the bound was taken.
        assert_eq!(waiting.add(of(1), 7), Ok(()));
        assert_eq!(waiting.add(of(1), 7), Err(7));
    }
}
