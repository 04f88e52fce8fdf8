//! The line of the writes that wait for permits: which of them are called, and which are passed
//! over. It decides, and takes no permits itself.
//!
//! ```text
//!   join ──▶ waiting ──▶ called ──▶ (taken)
//!               ▲           │
//!               │           ▼
//!             (polled) ◀─ passive
//! ```
//!
//! The called writes are the first of the line that are not passive, as far as the free permits
//! suffice. So each step looks at the writes whose state it changes, and at no others.

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant};

/// A write that was called takes its permits within this time, or others go on without it. A task
/// that runs needs far less.
pub(super) const LAPSE: Duration = Duration::from_millis(100);

/// A place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

/// The writes that wait, by their places.
#[derive(Debug)]
pub(super) struct Line<W> {
    next: Place,
    /// Those for which others wait.
    active: BTreeMap<Place, Waiter<W>>,
    /// Those that were called and did not come. They keep their places.
    passive: BTreeMap<Place, Waiter<W>>,
    /// The active writes before this place are called, and no others.
    end_of_called: Place,
    /// The permits that all active writes need, and those that are called.
    needed: u64,
    called: u64,
    /// The number of writes that were looked at.
    #[cfg(test)]
    pub(super) looks: u64,
}

#[derive(Debug)]
struct Waiter<W> {
    cost: usize,
    waker: W,
    /// When it was called, if it is.
    since: Option<Instant>,
}

/// The writes to wake.
#[must_use = "a write that is called and not woken does not come"]
#[derive(Debug)]
pub(super) struct Called<W> {
    pub(super) wakers: Vec<(Place, W)>,
    /// True if no write was called before: the next lapse is a new one.
    pub(super) is_new: bool,
}

impl<W> Called<W> {
    /// Adds those that were called later.
    pub(super) fn and(mut self, later: Self) -> Self {
        self.wakers.extend(later.wakers);
        self.is_new |= later.is_new;
        self
    }
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            next: Place(0),
            active: BTreeMap::new(),
            passive: BTreeMap::new(),
            end_of_called: Place(0),
            needed: 0,
            called: 0,
            #[cfg(test)]
            looks: 0,
        }
    }
}

impl<W: Clone> Line<W> {
    /// The permits that writes in the line need, without those that are passive.
    pub(super) fn needed(&self) -> u64 {
        self.needed
    }

    /// Adds a write at the end.
    pub(super) fn join(&mut self, cost: usize, waker: W) -> Place {
        let place = self.next;
        self.next = place.after();
        self.activate(place, Waiter { cost, waker, since: None });
        place
    }

    /// Notes that a write was polled, and how to wake it. Returns the waker that it had.
    pub(super) fn come(&mut self, place: Place, waker: W) -> Option<W> {
        if let Some(waiter) = self.active.get_mut(&place) {
            return Some(std::mem::replace(&mut waiter.waker, waker));
        }
        let waiter = self.passive.remove(&place)?;
        self.activate(place, Waiter { waker, ..waiter });
        Some(waiter.waker)
    }

    /// Removes a write. Returns its waker.
    pub(super) fn leave(&mut self, place: Place) -> Option<W> {
        let waiter = self.passive.remove(&place).or_else(|| self.deactivate(place));
        waiter.map(|waiter| waiter.waker)
    }

    /// Calls as many writes as so many permits suffice for, in order, and no more.
    pub(super) fn settle(&mut self, free: usize, now: Instant) -> Called<W> {
        let free = free as u64;
        while self.called > free && self.take_back() {}
        let is_idle = self.first_called().is_none();
        let mut wakers = Vec::new();
        for (place, waiter) in self.active.range_mut(self.end_of_called..) {
            #[cfg(test)]
            {
                self.looks += 1;
            }
            let called = self.called.saturating_add(waiter.cost as u64);
            if called > free {
                break;
            }
            self.called = called;
            self.end_of_called = place.after();
            waiter.since = Some(now);
            wakers.push((*place, waiter.waker.clone()));
        }
        Called { is_new: is_idle && !wakers.is_empty(), wakers }
    }

    /// Returns the permits of the other writes that are called, if this one is called, too.
    pub(super) fn called_beside(&self, place: Place) -> Option<usize> {
        let waiter = self.active.get(&place).filter(|_| place < self.end_of_called)?;
        usize::try_from(self.called.saturating_sub(waiter.cost as u64)).ok()
    }

    /// Makes the writes passive that were called too long ago. Returns true if there are any.
    pub(super) fn lapse(&mut self, now: Instant) -> bool {
        let mut has_lapsed = false;
        while let Some((place, since)) = self.first_called()
            && now >= since + LAPSE
            && let Some(waiter) = self.deactivate(place)
        {
            #[cfg(test)]
            {
                self.looks += 1;
            }
            self.passive.insert(place, Waiter { since: None, ..waiter });
            has_lapsed = true;
        }
        has_lapsed
    }

    /// Returns when the next write will have been called for too long: the first of the line, as
    /// none was called before those that are ahead of it.
    pub(super) fn next_lapse(&self) -> Option<Instant> {
        self.first_called().map(|(_, since)| since + LAPSE)
    }

    /// Returns the wakers of all writes.
    pub(super) fn wakers(&self) -> Vec<(Place, W)> {
        let all = self.passive.iter().chain(&self.active);
        all.map(|(place, waiter)| (*place, waiter.waker.clone())).collect()
    }

    fn first_called(&self) -> Option<(Place, Instant)> {
        let (place, waiter) = self.active.first_key_value()?;
        Some((*place, waiter.since?))
    }

    /// Takes back the call of the last write that is called. Returns false if there is none.
    fn take_back(&mut self) -> bool {
        let Some((place, last)) = self.active.range_mut(..self.end_of_called).next_back() else {
            return false;
        };
        #[cfg(test)]
        {
            self.looks += 1;
        }
        last.since = None;
        self.end_of_called = *place;
        self.called = self.called.saturating_sub(last.cost as u64);
        true
    }

    /// Adds an active write. If those after it are called, it is, too, until permits are counted.
    fn activate(&mut self, place: Place, waiter: Waiter<W>) {
        self.needed = self.needed.saturating_add(waiter.cost as u64);
        if place < self.end_of_called {
            self.called = self.called.saturating_add(waiter.cost as u64);
        }
        self.active.insert(place, waiter);
    }

    fn deactivate(&mut self, place: Place) -> Option<Waiter<W>> {
        let waiter = self.active.remove(&place)?;
        self.needed = self.needed.saturating_sub(waiter.cost as u64);
        if place < self.end_of_called {
            self.called = self.called.saturating_sub(waiter.cost as u64);
        }
        Some(waiter)
    }
}

impl Place {
    fn after(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(called: &Called<u32>) -> Vec<u32> {
        called.wakers.iter().map(|(_, name)| *name).collect()
    }

    fn beside<W: Clone>(line: &Line<W>, places: &[Place]) -> Vec<Option<usize>> {
        places.iter().map(|place| line.called_beside(*place)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn writes_are_called_in_order_as_far_as_the_permits_suffice() {
        let (mut line, now) = (Line::default(), Instant::now());
        let places: Vec<Place> =
            [2, 3, 1].into_iter().zip(0..).map(|(cost, name)| line.join(cost, name)).collect();
        assert_eq!(names(&line.settle(1, now)), [0; 0]);
        assert_eq!(names(&line.settle(4, now)), [0], "the last one waits for the second");
        assert_eq!(names(&line.settle(4, now)), [0; 0], "it is called once");
        assert_eq!(names(&line.settle(6, now)), [1, 2]);
        assert_eq!(beside(&line, &places), [Some(4), Some(3), Some(5)]);
        assert_eq!(line.leave(places[1]), Some(1));
        assert_eq!((line.needed(), line.called), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_passive_write_that_comes_again_is_before_those_that_were_called_meanwhile() {
        let (mut line, now) = (Line::default(), Instant::now());
        let places: Vec<Place> =
            [3, 2, 1].into_iter().zip(0..).map(|(cost, name)| line.join(cost, name)).collect();
        assert_eq!(names(&line.settle(3, now)), [0]);
        assert!(!line.lapse(now + LAPSE - Duration::from_millis(1)));
        assert!(line.lapse(now + LAPSE));
        assert_eq!(names(&line.settle(3, now + LAPSE)), [1, 2]);
        assert_eq!(line.next_lapse(), Some(now + 2 * LAPSE));
        // One of the permits is taken meanwhile.
        assert_eq!(line.come(places[0], 7), Some(0));
        assert_eq!(names(&line.settle(2, now + LAPSE)), [0; 0]);
        assert_eq!(beside(&line, &places), [None, None, None], "all wait for the first");
        assert_eq!(line.next_lapse(), None);
        assert_eq!(names(&line.settle(5, now + LAPSE)), [7, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_looks_at_the_writes_that_it_changes_and_at_no_others() {
        const WRITES: usize = 10_000;
        let now = Instant::now();
        for is_reversed in [false, true] {
            let mut line = Line::default();
            let mut places: Vec<Place> = (0..WRITES).map(|_| line.join(1, ())).collect();
            if is_reversed {
                places.reverse();
            }
            assert_eq!(line.settle(WRITES, now).wakers.len(), WRITES);
            for (taken, place) in places.into_iter().enumerate() {
                assert_eq!(line.called_beside(place), Some(WRITES - taken - 1));
                line.leave(place);
                let free = WRITES - taken - 1;
                assert!(line.settle(free, now).wakers.is_empty());
                line.lapse(now);
            }
            assert!(line.looks < 4 * WRITES as u64, "{} looks", line.looks);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn passive_writes_are_not_looked_at() {
        const WRITES: usize = 10_000;
        let (mut line, now) = (Line::default(), Instant::now());
        for _ in 0..WRITES {
            line.join(1, ());
        }
        assert_eq!(line.settle(WRITES, now).wakers.len(), WRITES);
        assert!(line.lapse(now + LAPSE));
        let before = line.looks;
        for _ in 0..WRITES {
            let place = line.join(1, ());
            assert_eq!(line.settle(1, now).wakers.len(), 1);
            assert_eq!(line.leave(place), Some(()));
        }
        assert!(line.looks < before + 4 * WRITES as u64, "{} looks", line.looks);
        assert_eq!((line.needed(), line.wakers().len()), (0, WRITES));
    }
}
