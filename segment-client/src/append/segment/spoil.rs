//! The effect of seeded bugs on a resend.

use pravega_sdk_types::EventNumber;

use super::{appended::Appended, item::Completion, machine::AppendMachine};
use crate::seeded_bugs::SeededBug;

impl<T> AppendMachine<T> {
    /// Called with the number that the store has, before the events that it has are completed.
    pub(super) fn spoil_resend(&mut self, stored: EventNumber, out: &mut Vec<Completion<T>>) {
        let was_sent = self.items.iter().take_while(|item| item.number <= self.sent_number).count();
        let is_stored = self.items.iter().take_while(|item| item.number <= stored).count();
        if self.bugs.has(SeededBug::NeverResends) {
            self.pretend(was_sent, out);
        } else if self.bugs.has(SeededBug::ResendsWithNewNumbers) {
            for item in self.items.iter_mut().take(was_sent) {
                self.last_number.0 += item.content.event_count();
                item.number = self.last_number;
            }
            self.items.make_contiguous().sort_by_key(|item| item.number);
        } else if self.bugs.has(SeededBug::ResendSkipsFirst) && was_sent > is_stored {
            self.pretend(is_stored + 1, out);
        } else if self.bugs.has(SeededBug::ResendsReversed) && was_sent > is_stored {
            let numbers: Vec<EventNumber> = self.items.iter().map(|item| item.number).collect();
            if let Some(again) = self.items.make_contiguous().get_mut(is_stored..was_sent) {
                again.reverse();
            }
            for (item, number) in self.items.iter_mut().zip(numbers) {
                item.number = number;
            }
        }
    }

    fn pretend(&mut self, items: usize, out: &mut Vec<Completion<T>>) {
        for item in self.items.drain(..items) {
            self.unsent_bytes -= item.bytes;
            let appended =
                Appended::new(&self.segment, None, item.bytes, item.content.events().len());
            out.push(item.complete(Ok(appended)));
        }
    }

    /// Called after a full store refused an append, when its events are going to be sent again.
    pub(crate) fn spoil_refused(&mut self) {
        if !self.bugs.has(SeededBug::PassesOverRefused) || self.items.is_empty() {
            return;
        }
        let numbers: Vec<EventNumber> = self.items.iter().map(|item| item.number).collect();
        self.items.rotate_left(1);
        for (item, number) in self.items.iter_mut().zip(numbers) {
            item.number = number;
        }
    }

    /// Called before the events of a sealed segment move.
    pub(crate) fn spoil_move(&mut self, out: &mut Vec<Completion<T>>) {
        if self.bugs.has(SeededBug::DropsSealed) {
            self.pretend(self.items.len(), out);
        } else if self.bugs.has(SeededBug::MovesOutOfOrder) {
            let half = self.items.len() / 2;
            self.items.rotate_left(half);
        }
    }
}
