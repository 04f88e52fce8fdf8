//! Flushes: waiters for the events before them.

use crate::error::WriteError;
use std::collections::VecDeque;

/// Counts events by the flush that waits for them.
///
/// Events go through segments in any order, so a flush cannot wait for a number: each event carries
/// a generation, and a flush ends the current one.
#[derive(Debug)]
pub(crate) struct Flushes<W> {
    /// The generation of the first entry.
    first: u64,
    /// Never empty: the last one is open.
    generations: VecDeque<Generation<W>>,
}

#[derive(Debug)]
struct Generation<W> {
    outstanding: usize,
    failed: Option<WriteError>,
    waiter: Option<W>,
}

impl<W> Default for Generation<W> {
    fn default() -> Self {
        Self { outstanding: 0, failed: None, waiter: None }
    }
}

impl<W> Default for Flushes<W> {
    fn default() -> Self {
        Self { first: 0, generations: VecDeque::from([Generation::default()]) }
    }
}

impl<W> Flushes<W> {
    /// Counts an event that was accepted. Returns its generation.
    pub(crate) fn begin(&mut self) -> u64 {
        if let Some(open) = self.generations.back_mut() {
            open.outstanding += 1;
        }
        (self.first + self.generations.len() as u64).saturating_sub(1)
    }

    /// Counts an event of `generation` that is done.
    pub(crate) fn end(&mut self, generation: u64, error: Option<&WriteError>) {
        let at = generation.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let Some(entry) = at.and_then(|at| self.generations.get_mut(at)) else { return };
        entry.outstanding = entry.outstanding.saturating_sub(1);
        if let (None, Some(error)) = (&entry.failed, error) {
            entry.failed = Some(error.clone());
        }
    }

    /// Registers a waiter for all events accepted so far.
    pub(crate) fn wait(&mut self, waiter: W) {
        if let Some(open) = self.generations.back_mut() {
            open.waiter = Some(waiter);
            self.generations.push_back(Generation::default());
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
        self.first += 1;
        Some((waiter, failed))
    }

    /// Returns the number of events that are not done.
    pub(crate) fn outstanding(&self) -> usize {
        self.generations.iter().map(|generation| generation.outstanding).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
