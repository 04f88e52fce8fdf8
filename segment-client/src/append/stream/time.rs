//! Timers of a writer: delivery, set-ups, back-offs.

use std::time::Duration;

use pravega_sdk_types::{ErrorKind, Outcome, SegmentId};

use super::{
    connection::{ConnectionId, ConnectionState},
    machine::{Effect, WriterMachine},
    segment_writer::State,
};
use crate::{
    append::segment::machine::Overdue,
    error::WriteError,
    machine::{LookupError, Misbehaviour, Now, delay},
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
            State::At(id) if writer.appends.is_setting_up() => {
                let until = writer.set_up_at + self.settings.request_timeout;
                if until > now {
                    return self.arm(until);
                }
                self.effects.push_back(Effect::Close(id));
                let cause = Misbehaviour("a set-up was not answered in time".to_owned()).into();
                self.handle_lost(id, LookupError { kind: ErrorKind::Timeout, cause }, now);
            }
            State::At(_) | State::Idle | State::Locating | State::Sealed => {}
        }
    }

    /// Fails events that have waited for too long. If one is in flight, its connection is dropped
    /// first; only then a set-up can show if it was stored.
    pub(super) fn check_delivery(&mut self, segment: SegmentId, now: Now) {
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        let Some(oldest) = writer.appends.oldest() else { return };
        let limit = now.checked_sub(self.settings.delivery_timeout);
        if let Some(limit) = limit {
            let overdue = writer.appends.overdue(limit);
            if let (Some(Overdue::InFlight), State::At(id)) = (overdue, writer.state) {
                self.effects.push_back(Effect::Close(id));
                let cause = Misbehaviour("an event was not acknowledged in time".to_owned()).into();
                self.handle_lost(id, LookupError { kind: ErrorKind::Timeout, cause }, now);
            }
            if overdue.is_some()
                && let Some(writer) = self.writers.get_mut(&segment)
            {
                let detail =
                    format_args!("not acknowledged within {:?}", self.settings.delivery_timeout);
                let error = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, detail)
                    .with_stream(&self.stream);
                let error = error
                    .with_segment(segment, None, writer.attempts)
                    .with_source(writer.last_error.clone());
                writer.appends.fail_older_than(limit, &error, &mut self.completions);
            }
        }
        let oldest =
            self.writers.get(&segment).and_then(|writer| writer.appends.oldest()).unwrap_or(oldest);
        // At least 1 ms ahead, or the timer would spin.
        self.arm((oldest + self.settings.delivery_timeout).max(now + Duration::from_millis(1)));
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
