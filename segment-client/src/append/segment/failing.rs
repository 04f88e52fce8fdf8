//! Events that fail: all of them, those that are overdue, those that cannot move.

use std::collections::VecDeque;

use pravega_sdk_types::Outcome;

use super::{
    item::{Completion, Content, Item},
    machine::{AppendMachine, State},
};
use crate::{error::WriteError, machine::Now};

impl<T> AppendMachine<T> {
    /// Fails every event. Those that may be stored fail with an unknown outcome.
    pub(crate) fn fail_all(&mut self, error: &WriteError, out: &mut Vec<Completion<T>>) {
        self.detach();
        self.fail_where(|_| true, error, out);
    }

    /// Fails the events that may be stored: those that move to another segment must not be.
    pub(crate) fn fail_in_doubt(&mut self, error: &WriteError, out: &mut Vec<Completion<T>>) {
        self.detach();
        let in_doubt = self.in_doubt;
        if self.items.front().is_none_or(|first| first.number > in_doubt) {
            return;
        }
        self.fail_where(|item| item.number <= in_doubt, error, out);
    }

    /// Fails what is for an offset of the segment, and not stored in it.
    pub(crate) fn fail_pinned(&mut self, error: &WriteError, out: &mut Vec<Completion<T>>) {
        self.detach();
        let in_doubt = self.in_doubt;
        let fails = |item: &Item<T>| {
            item.number > in_doubt && matches!(item.content, Content::Pinned { .. })
        };
        self.fail_where(fails, error, out);
    }

    /// Fails the events enqueued before `limit`. Those in flight stay part of their blocks, which
    /// the store acknowledges as before.
    pub(crate) fn fail_older_than(
        &mut self,
        limit: Now,
        error: &WriteError,
        out: &mut Vec<Completion<T>>,
    ) {
        let is_old = |item: &Item<T>| item.enqueued <= limit;
        let is_in_transfer = matches!(self.state, State::Transferring(_));
        if is_in_transfer && self.items.front().is_some_and(is_old) {
            // The set-up shows if it is merged by now.
            self.interrupt(State::ToSetUp);
        }
        self.fail_where(is_old, error, out);
    }

    /// Returns when the oldest event was enqueued. Events of a sealed segment may be after younger
    /// ones.
    pub(crate) fn oldest(&self) -> Option<Now> {
        self.items.iter().map(|item| item.enqueued).min()
    }

    fn fail_where(
        &mut self,
        fails: impl Fn(&Item<T>) -> bool,
        error: &WriteError,
        out: &mut Vec<Completion<T>>,
    ) {
        // Two errors for all, however many events there are.
        let [unknown, not_applied] =
            [Outcome::Unknown, Outcome::NotApplied].map(|outcome| error.with_outcome(outcome));
        let in_doubt = self.in_doubt;
        let mut kept = VecDeque::with_capacity(self.items.len());
        let mut take = |item: Item<T>| {
            if !fails(&item) {
                kept.push_back(item);
                return None;
            }
            let bytes = item.bytes;
            let error = if item.number <= in_doubt { &unknown } else { &not_applied };
            out.push(item.complete(Err(error.clone())));
            Some(bytes)
        };
        for block in &mut self.blocks {
            for item in self.items.drain(..block.items) {
                let Some(bytes) = take(item) else { continue };
                block.items -= 1;
                block.bytes -= bytes;
                block.has_holes = true;
                self.sent -= 1;
            }
        }
        for item in self.items.drain(..) {
            self.unsent_bytes -= take(item).unwrap_or(0);
        }
        self.items = kept;
    }
}
