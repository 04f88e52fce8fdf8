//! Whose work is done next: what each client has used of the processor, and the line of those that
//! have used much.

use std::{collections::BTreeMap, time::Duration};

/// The time after which half of what a client has used no longer counts.
const HALF_LIFE: Duration = Duration::from_millis(250);
/// What a client may have used and needs no turn: 5.5 % of a processor, in the long run.
const FREE: Duration = Duration::from_millis(20);
/// What a new client has used.
const NEW: Duration = Duration::from_millis(160);
/// What all clients that need no turn use together at most: half of a processor.
const ALL_FREE: Duration = Duration::from_millis(180);
/// The age from which on a client needs no turn when they use half of that; it doubles with each
/// twentieth that they use more: ten seconds when they use all of it.
const AGE: Duration = Duration::from_millis(10);
const DOUBLINGS: f64 = 20.0;
/// The most that counts.
const MOST: Duration = Duration::from_secs(10);
/// One turn in this many goes to the one that waits longest.
const LONGEST_EVERY: u64 = 8;

/// What a client has used of the processor lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    used: Duration,
    /// The moment at which it was that much.
    at: Duration,
}

impl Usage {
    /// The usage of a new client: enough that it is served after the known ones with little work,
    /// whose places new clients cannot take by coming again and again.
    pub(super) fn new(now: Duration) -> Self {
        Self { used: NEW, at: now }
    }

    /// What counts of it at a moment.
    fn at(self, now: Duration) -> Duration {
        let half_lives = now.saturating_sub(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.used.mul_f64(0.5_f64.powf(half_lives))
    }

    /// Adds time of the processor.
    pub(super) fn spend(&mut self, now: Duration, time: Duration) {
        let used = self.at(now).saturating_add(time).min(MOST);
        (self.used, self.at) = (used, self.at.max(now));
    }

    /// Counts so much that the next work needs a turn.
    pub(super) fn owe(&mut self, now: Duration) {
        self.spend(now, 2 * FREE);
    }

    /// Returns true if the work of the client needs no turn.
    pub(super) fn is_free(self, now: Duration) -> bool {
        self.at(now) < FREE
    }

    /// The rank of the next work: the less the client has used, the lower it is, and the sooner the
    /// work is done. Other work of the client that waits, for `waiting`, counts as used.
    pub(super) fn rank(self, now: Duration, waiting: Duration) -> Rank {
        let times = self.at(now).saturating_add(waiting).as_nanos() / FREE.as_nanos();
        Rank(times.checked_ilog2().map_or(0, |log| log + 1) + 1)
    }
}

/// Which of the clients that have used little need no turn: if there are too many, the oldest.
///
/// Each of a thousand connections may use little, and all together more than there is. Those that
/// came first are served as before; a client that comes with many connections gets no more by it.
#[derive(Debug)]
pub(super) struct Admission(Usage);

impl Admission {
    pub(super) fn new(now: Duration) -> Self {
        Self(Usage { used: Duration::ZERO, at: now })
    }

    /// Returns true if a client of an age needs no turn.
    pub(super) fn admits(&self, now: Duration, age: Duration) -> bool {
        let used = self.0.at(now).div_duration_f64(ALL_FREE);
        used <= 0.5 || age.div_duration_f64(AGE).log2() >= DOUBLINGS * (used - 0.5)
    }

    /// Adds time of the processor that a client used without a turn.
    pub(super) fn spend(&mut self, now: Duration, time: Duration) {
        self.0.spend(now, time);
    }
}

/// How soon work is done: the lowest rank first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u32);

impl Rank {
    /// Before all work of single clients that waits.
    pub(super) const FIRST: Self = Self(0);
}

/// A place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    rank: Rank,
    /// When the client came.
    born: Duration,
    /// In the order in which they began to wait.
    number: u64,
}

/// The turns that are taken, and those that wait for one.
#[derive(Debug)]
pub(super) struct Line<W> {
    /// The turns that can be taken at a time.
    turns: usize,
    taken: usize,
    next: u64,
    granted: u64,
    waiting: BTreeMap<Place, W>,
    longest: BTreeMap<u64, Place>,
}

impl<W> Line<W> {
    pub(super) fn new(turns: usize) -> Self {
        let (waiting, longest) = (BTreeMap::new(), BTreeMap::new());
        Self { turns: turns.max(1), taken: 0, next: 0, granted: 0, waiting, longest }
    }

    /// Takes a turn; returns false if it must be waited for.
    pub(super) fn take(&mut self) -> bool {
        // While a turn is left, the line is empty.
        let is_left = self.taken < self.turns;
        if is_left {
            self.taken += 1;
        }
        is_left
    }

    /// Waits in the line. Of the same rank the client that came first is the first.
    pub(super) fn wait(&mut self, rank: Rank, born: Duration, waiter: W) -> Place {
        let place = Place { rank, born, number: self.next };
        self.next += 1;
        self.waiting.insert(place, waiter);
        self.longest.insert(place.number, place);
        place
    }

    /// The number of places that are taken.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Leaves the line without a turn.
    pub(super) fn leave(&mut self, place: Place) {
        self.waiting.remove(&place);
        self.longest.remove(&place.number);
    }

    /// Gives back a turn; returns the waiter that has it now.
    pub(super) fn give_back(&mut self) -> Option<W> {
        self.taken = self.taken.saturating_sub(1);
        let is_turn_of_longest = self.granted % LONGEST_EVERY == LONGEST_EVERY - 1;
        let place = if is_turn_of_longest {
            *self.longest.first_key_value()?.1
        } else {
            *self.waiting.first_key_value()?.0
        };
        self.longest.remove(&place.number);
        let waiter = self.waiting.remove(&place)?;
        (self.taken, self.granted) = (self.taken + 1, self.granted + 1);
        Some(waiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn rank(used: Duration) -> Rank {
        Usage { used, at: ms(0) }.rank(ms(0), ms(0))
    }

    #[test]
    fn what_was_used_counts_half_after_each_half_life() {
        let mut usage = Usage::new(ms(0));
        usage.used = ms(100);
        for (now, counts) in [(0, 100_000), (125, 70_711), (250, 50_000), (500, 25_000)] {
            let after = usage.at(ms(now)).as_nanos();
            assert_eq!((after + 500) / 1000, counts, "after {now} ms");
        }
        assert_eq!(usage.at(ms(u64::MAX >> 1)), ms(0));
        // A clock that jumps back changes nothing.
        usage.spend(ms(250), ms(50));
        assert_eq!(usage.at(ms(250)), ms(100));
        usage.spend(ms(0), ms(20));
        assert_eq!(usage.at(ms(250)), ms(120));
        // A machine that slept does not count.
        usage.spend(ms(250), Duration::from_secs(1 << 40));
        assert_eq!(usage.at(ms(250)), MOST);
    }

    #[test]
    fn little_work_needs_no_turn_and_much_work_does_until_a_while_after_it() {
        // What a client uses of each 4 ms, and whether its work is free after a second.
        for (micros, free) in [(10, true), (60, true), (180, true), (300, false), (4000, false)] {
            let mut usage = Usage::new(ms(0));
            assert!(!usage.is_free(ms(0)), "a new client is served after the known ones");
            for now in 0..500 {
                usage.spend(ms(4 * now), Duration::from_micros(micros));
            }
            assert_eq!(usage.is_free(ms(2000)), free, "{micros} of 4000 µs");
            assert!(usage.is_free(ms(4000)));
        }
    }

    #[test]
    fn a_client_with_less_work_is_served_first() {
        let mut line = Line::new(1);
        assert!(line.take() && !line.take());
        for (name, used) in [("much", 700), ("some", 100), ("more", 1500), ("little", 20)] {
            line.wait(rank(ms(used)), ms(0), name);
        }
        let gone = line.wait(rank(ms(20)), ms(0), "gone");
        line.leave(gone);
        let served: Vec<_> = std::iter::from_fn(|| line.give_back()).collect();
        assert_eq!(served, ["little", "some", "much", "more"]);
        assert!(line.take() && !line.take());
    }

    #[test]
    fn work_that_waits_counts_as_used() {
        let usage = Usage { used: ms(21), at: ms(0) };
        assert_eq!(usage.rank(ms(0), ms(0)), rank(ms(21)));
        assert!(usage.rank(ms(0), ms(30)) > rank(ms(21)));
    }

    #[test]
    fn a_client_with_much_work_has_its_turn_whatever_others_come() {
        let mut line = Line::new(1);
        assert!(line.take());
        line.wait(rank(ms(900)), ms(1), u64::MAX);
        for number in 0..LONGEST_EVERY {
            line.wait(rank(ms(12)), ms(0), number);
            if line.give_back() == Some(u64::MAX) {
                return;
            }
        }
        panic!("it has no turn");
    }

    #[test]
    fn as_many_turns_are_taken_as_there_are() {
        let mut line = Line::new(3);
        assert_eq!((0..10).filter(|_| line.take()).count(), 3);
        line.wait(rank(ms(12)), ms(0), 'a');
        assert_eq!(line.give_back(), Some('a'));
        assert!(!line.take());
        assert_eq!(line.give_back(), None);
        assert!(line.take() && !line.take());
        assert!(Line::<char>::new(0).take(), "there is one at least");
    }

    #[test]
    fn of_many_clients_with_little_work_the_oldest_need_no_turn() {
        // One client that was there first, and thousands that come for a second each, all with
        // little work.
        let mut admission = Admission::new(ms(0));
        let (mut first, mut others) = (0, 0);
        for now in 1000..11_000 {
            let slice = Duration::from_micros(100);
            for age in [now, 1, 300, 700, 900, 2, 450, 20, 800, 650] {
                if admission.admits(ms(now), ms(age)) {
                    admission.spend(ms(now), slice);
                    if age == now { first += 1 } else { others += 1 }
                }
            }
        }
        assert_eq!(first, 10_000);
        // All of them wanted nine tenths of a processor.
        assert!(others < 60_000, "{others}");
        assert!(!admission.admits(ms(11_000), ms(1)));
        // A while after they have gone, a new one needs no turn.
        assert!(admission.admits(ms(12_000), ms(0)));
    }
}
