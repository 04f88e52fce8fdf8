//! Timers of a writer: delivery, set-ups, back-offs.

use std::time::Duration;

use pravega_sdk_types::{ErrorKind, Outcome, SegmentId};

use super::{
    connection::{ConnectionId, ConnectionState},
    machine::WriterMachine,
    segment_writer::State,
};
use crate::{
    error::WriteError,
    machine::{LookupError, Misbehaviour, Now, delay},
    seeded_bugs::SeededBug,
};

impl<T, W> WriterMachine<T, W> {
    /// Returns the time at which to call [`Self::handle_timeout`], unless it changes before.
    pub(crate) fn timeout(&self) -> Option<Now> {
        self.timer
    }

    /// Does what is due, and sets the next timeout.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        self.timer = None;
        let segments: Vec<SegmentId> = self.writers.keys().copied().collect();
        for segment in segments {
            self.check_segment(segment, now);
        }
        let connections: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in connections {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            match connection.state {
                ConnectionState::Waiting(until) if until > now => self.arm(until),
                ConnectionState::Waiting(_) if connection.segments.is_empty() => {
                    drop(self.connections.remove(&id));
                }
                ConnectionState::Waiting(_) => self.connect(id),
                ConnectionState::Connecting | ConnectionState::Open => {}
            }
        }
    }

    pub(super) fn check_segment(&mut self, segment: SegmentId, now: Now) {
        self.check_delivery(segment, now);
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        match writer.state {
            State::Waiting(until) if until <= now && writer.appends.is_empty() => {
                writer.state = State::Idle;
            }
            State::Waiting(until) if until <= now => self.locate(segment),
            State::SealedWaiting(until) if until <= now => {
                if !writer.appends.is_empty() {
                    self.find_successors(segment);
                }
            }
            State::Waiting(until) | State::SealedWaiting(until) => self.arm(until),
            State::At(id) if writer.is_waiting => {
                let is_setting_up = writer.appends.is_setting_up();
                let until = writer.silent_since + self.settings.patience(is_setting_up);
                if until > now {
                    return self.arm(until);
                }
                let what = if is_setting_up { "a set-up" } else { "an append" };
                let cause = Misbehaviour(format!("{what} was not answered in time")).into();
                self.set_apart(segment, id, LookupError { kind: ErrorKind::Timeout, cause }, now);
            }
            State::At(_)
            | State::Idle
            | State::Locating
            | State::Sealed
            | State::WithoutSuccessors => {}
        }
    }

    /// Fails events that have waited for too long. That says nothing about the connection, so the
    /// segment and all others go on.
    pub(super) fn check_delivery(&mut self, segment: SegmentId, now: Now) {
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        let Some(oldest) = writer.appends.oldest() else { return };
        let limit = now.checked_sub(self.settings.delivery_timeout);
        if let Some(limit) = limit.filter(|limit| oldest <= *limit) {
            self.spoil_connection(segment, now);
            let Some(writer) = self.writers.get_mut(&segment) else { return };
            let timeout = self.settings.delivery_timeout;
            let (kind, detail) = if writer.lacks_space {
                (ErrorKind::OutOfSpace, "the segment store had no space for it within")
            } else {
                (ErrorKind::Timeout, "not acknowledged within")
            };
            let detail = format_args!("{detail} {timeout:?}");
            let error = WriteError::new(kind, Outcome::Unknown, detail)
                .with_stream(&self.stream)
                .with_segment(segment, None, writer.attempts)
                .with_source(writer.last_error.clone());
            writer.appends.fail_older_than(limit, &error, &mut self.completions);
            if let State::At(id) = writer.state {
                self.refresh(segment, id);
            }
        }
        let oldest =
            self.writers.get(&segment).and_then(|writer| writer.appends.oldest()).unwrap_or(oldest);
        // At least 1 ms ahead, or the timer would spin.
        self.arm((oldest + self.settings.delivery_timeout).max(now + Duration::from_millis(1)));
    }

    /// Closes the connection of a segment with an overdue event, if that bug is switched on.
    fn spoil_connection(&mut self, segment: SegmentId, now: Now) {
        let Some(writer) = self.writers.get(&segment) else { return };
        if let State::At(id) = writer.state
            && writer.is_waiting
            && self.bugs.has(SeededBug::ClosesForOneSegment)
        {
            let cause = Misbehaviour("an event was not acknowledged in time".to_owned()).into();
            self.set_apart(segment, id, LookupError { kind: ErrorKind::Timeout, cause }, now);
        }
    }

    /// Locates the segment again after a back-off.
    pub(super) fn locate_later(&mut self, segment: SegmentId, now: Now) {
        self.retry_later(segment, now, Retry::Locate);
    }

    /// Asks for the successors again after a back-off.
    pub(super) fn find_successors_later(&mut self, segment: SegmentId, now: Now) {
        self.retry_later(segment, now, Retry::FindSuccessors);
    }

    fn retry_later(&mut self, segment: SegmentId, now: Now, retry: Retry) {
        let Some(attempts) = self.writers.get(&segment).map(|writer| writer.attempts) else {
            return;
        };
        let until = now + self.backoff(attempts);
        if let Some(writer) = self.writers.get_mut(&segment) {
            writer.state = match retry {
                Retry::Locate => State::Waiting(until),
                Retry::FindSuccessors => State::SealedWaiting(until),
            };
        }
        self.arm(until);
    }

    pub(super) fn backoff(&mut self, attempts: u32) -> Duration {
        delay(&self.settings.backoff, attempts, &mut self.random)
    }

    pub(super) fn arm(&mut self, at: Now) {
        self.timer = Some(self.timer.map_or(at, |timer| timer.min(at)));
    }
}

/// The call of the controller to repeat after a back-off.
#[derive(Debug, Clone, Copy)]
enum Retry {
    Locate,
    FindSuccessors,
}
