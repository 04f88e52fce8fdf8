//! Flushes: waiters for the events before them.

use crate::error::WriteError;
use std::collections::VecDeque;

/// The receiver of the end of a flush.
pub(crate) trait Waiter {
    /// Returns true if the flush was given up: no caller waits for it.
    fn is_given_up(&self) -> bool;
}

/// Counts events by the flush that waits for them.
///
/// Events go through segments in any order, so a flush cannot wait for a number: each event carries
/// a generation, and a flush ends the current one.
#[derive(Debug)]
pub(crate) struct Flushes<W> {
    /// In order, and never empty: the last one is open. Flushes that were given up leave gaps.
    generations: VecDeque<Generation<W>>,
    /// Flushes that were given up are removed when there are so many generations.
    limit: usize,
}

#[derive(Debug)]
struct Generation<W> {
    number: u64,
    outstanding: usize,
    failed: Option<WriteError>,
    waiter: Option<W>,
}

/// The fewest generations among which the ones that were given up are looked for.
const MIN_LIMIT: usize = 16;

impl<W> Generation<W> {
    fn new(number: u64) -> Self {
        Self { number, outstanding: 0, failed: None, waiter: None }
    }
}

impl<W> Default for Flushes<W> {
    fn default() -> Self {
        Self { generations: VecDeque::from([Generation::new(0)]), limit: MIN_LIMIT }
    }
}

impl<W> Flushes<W> {
    /// Counts an event that was accepted. Returns its generation.
    pub(crate) fn begin(&mut self) -> u64 {
        let Some(open) = self.generations.back_mut() else { return 0 };
        open.outstanding += 1;
        open.number
    }

    /// Counts an event of `generation` that is done.
    pub(crate) fn end(&mut self, generation: u64, error: Option<&WriteError>) {
        let found = self.generations.binary_search_by_key(&generation, |entry| entry.number);
        let Some(entry) = found.ok().and_then(|at| self.generations.get_mut(at)) else { return };
        entry.outstanding = entry.outstanding.saturating_sub(1);
        if let (None, Some(error)) = (&entry.failed, error) {
            entry.failed = Some(error.clone());
        }
    }

    /// Registers a waiter for all events accepted so far.
    pub(crate) fn wait(&mut self, waiter: W)
    where
        W: Waiter,
    {
        if self.generations.len() >= self.limit {
            self.generations.retain(|entry| {
                entry.outstanding > 0 || !entry.waiter.as_ref().is_some_and(W::is_given_up)
            });
            self.limit = MIN_LIMIT.max(2 * self.generations.len());
        }
        if let Some(open) = self.generations.back_mut() {
            open.waiter = Some(waiter);
            let next = open.number + 1;
            self.generations.push_back(Generation::new(next));
        }
    }

    /// Returns the next waiter whose events are all done, with the first failure among them.
    pub(crate) fn poll_done(&mut self) -> Option<(W, Option<WriteError>)> {
        let first = self.generations.front_mut()?;
        if first.outstanding > 0 {
            return None;
        }
        let waiter = first.waiter.take()?;
        let failed = first.failed.take();
        self.generations.pop_front();
        Some((waiter, failed))
    }

    /// Returns the number of events that are not done.
    pub(crate) fn outstanding(&self) -> usize {
        self.generations.iter().map(|generation| generation.outstanding).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    impl Waiter for &str {
        fn is_given_up(&self) -> bool {
            false
        }
    }

    impl Waiter for () {
        fn is_given_up(&self) -> bool {
            false
        }
    }

    /// A flush is given up when the caller drops its end.
    impl Waiter for Rc<u32> {
        fn is_given_up(&self) -> bool {
            Rc::strong_count(self) == 1
        }
    }

    #[test]
    fn flushes_that_were_given_up_take_no_memory() {
        let mut flushes = Flushes::default();
        let stuck = flushes.begin();
        let kept = Rc::new(7);
        for number in 0..1000 {
            let event = flushes.begin();
            flushes.wait(if number == 500 { Rc::clone(&kept) } else { Rc::new(number) });
            flushes.end(event, None);
        }
        assert!(flushes.generations.len() <= 2 * MIN_LIMIT, "{}", flushes.generations.len());
        assert_eq!(flushes.outstanding(), 1);
        let last = flushes.begin();
        flushes.end(stuck, None);
        let ended: Vec<u32> =
            std::iter::from_fn(|| flushes.poll_done()).map(|(waiter, _)| *waiter).collect();
        assert!(ended.contains(&7), "{ended:?}");
        assert_eq!(flushes.outstanding(), 1, "the last event belongs to no flush");
        flushes.end(last, None);
        assert_eq!(flushes.outstanding(), 0);
    }

    #[test]
    fn a_flush_waits_for_the_events_before_it_and_for_no_others() {
        let mut flushes = Flushes::default();
        let (first, second) = (flushes.begin(), flushes.begin());
        flushes.wait("a");
        let third = flushes.begin();
        flushes.wait("b");
        flushes.end(third, None);
        assert!(flushes.poll_done().is_none(), "flushes end in order");
        flushes.end(second, Some(&WriteError::invalid("x")));
        assert!(flushes.poll_done().is_none());
        flushes.end(first, Some(&WriteError::invalid("y")));
        let (waiter, failed) = flushes.poll_done().unwrap();
        assert_eq!((waiter, failed.unwrap().to_string()), ("a", "writing: x".to_owned()));
        assert_eq!(
            flushes.poll_done().map(|(waiter, failed)| (waiter, failed.is_none())),
            Some(("b", true))
        );
        assert!(flushes.poll_done().is_none());
        assert_eq!(flushes.outstanding(), 0);
    }

    #[test]
    fn a_flush_of_nothing_ends_at_once() {
        let mut flushes = Flushes::default();
        flushes.wait(());
        assert!(flushes.poll_done().is_some());
    }
}
