//! Failures of the read machine's requests: what is retried, when, and what ends a segment.

use std::{sync::Arc, time::Duration};

use pravega_sdk_types::ErrorKind;

use super::{
    segment_reader::{LengthProbe, LocateState, Terminal},
    state::{Effect, ReadMachine, ReaderId},
};
use crate::{
    error::ReadError,
    machine::{LookupError, Misbehaviour, Now, delay},
};

/// Failures further apart than this count as separate incidents. Longer than a back-off, a lookup
/// and a request together.
const SAME_INCIDENT: Duration = Duration::from_secs(90);
/// A segment fails after this many invalid answers in a row.
const MAX_PROTOCOL_ERRORS: u32 = 5;

impl ReadMachine {
    pub(super) fn probe_again(&mut self, id: ReaderId) {
        if let Some(reader) = self.readers.get_mut(&id)
            && reader.probe == LengthProbe::Idle
        {
            reader.probe = LengthProbe::Needed;
            self.inspect(id);
        }
    }

    /// Handles the failure of a request.
    pub(super) fn lost(&mut self, id: ReaderId, error: LookupError, now: Now) {
        if error.kind == ErrorKind::Protocol {
            return self.protocol_error(id, &error.cause.to_string(), now);
        }
        if !error.kind.is_retryable() && error.kind != ErrorKind::Closed {
            let failure = ReadError::new(error.kind, "the segment store cannot be used");
            return self.give_up(id, failure.with_source(Some(error.cause)));
        }
        let Some(reader) = self.readers.get_mut(&id) else { return };
        // The store served until now: it is tried once more before the controller is asked.
        if reader.attempts > 0
            && let LocateState::At(location) = &reader.state
        {
            let endpoint = location.endpoint.clone();
            self.effects.push_back(Effect::Forget(Arc::clone(&reader.segment), endpoint));
        }
        self.failed(id, error, now);
    }

    pub(super) fn protocol_error(&mut self, id: ReaderId, reason: &str, now: Now) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        reader.protocol_errors += 1;
        if reader.protocol_errors >= MAX_PROTOCOL_ERRORS {
            return self.give_up(
                id,
                ReadError::new(ErrorKind::Protocol, format_args!("the segment store: {reason}")),
            );
        }
        let cause = Misbehaviour(reason.to_owned()).into();
        self.failed(id, LookupError { kind: ErrorKind::Protocol, cause }, now);
    }

    /// Locates a segment again that the store does not serve: at once the first time.
    pub(super) fn move_on(&mut self, id: ReaderId, error: LookupError, now: Now) {
        let is_first = self.readers.get(&id).is_some_and(|reader| reader.attempts == 0);
        self.failed(id, error, now);
        if is_first {
            self.locate(id);
        }
    }

    pub(super) fn failed(&mut self, id: ReaderId, error: LookupError, now: Now) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        let cause = Arc::clone(&error.cause);
        // A failure long after the last one is another incident.
        if now.saturating_sub(std::mem::replace(&mut reader.last_failure, now)) > SAME_INCIDENT {
            (reader.attempts, reader.failing_since) = (0, None);
        }
        reader.attempts = reader.attempts.saturating_add(1);
        if reader.probe == LengthProbe::Idle || reader.probe == LengthProbe::Wanted {
            // The stream may have been deleted and created again.
            reader.probe = LengthProbe::Needed;
        }
        let since = *reader.failing_since.get_or_insert(now);
        let is_damaged = error.kind == ErrorKind::Corrupt;
        // Damage is reported at once: it stays until it is repaired, or truncated away.
        let is_news = is_damaged && reader.is_new_damage(&cause.to_string());
        if is_news || now.saturating_sub(since) >= self.settings.stall_timeout {
            reader.failing_since = Some(now);
            let failure = if is_damaged {
                ReadError::new(ErrorKind::Corrupt, "the next bytes are damaged")
            } else {
                let limit = self.settings.stall_timeout;
                let detail = format_args!("nothing could be read for {limit:?}");
                ReadError::new(ErrorKind::Unavailable, detail)
            };
            let failure = reader.about_it(failure);
            reader.stalled = Some(failure.with_source(Some(error.cause)));
        }
        tracing::debug!(
            segment = %reader.segment,
            attempts = reader.attempts,
            %cause,
            "reading failed"
        );
        self.wait(id, now);
        self.update_queues(id);
    }

    pub(super) fn give_up(&mut self, id: ReaderId, error: ReadError) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.terminal = Some(Terminal::Failed(reader.about_it(error)));
        }
        self.update_queues(id);
    }

    pub(super) fn wait(&mut self, id: ReaderId, now: Now) {
        let attempts = self.readers.get(&id).map_or(0, |reader| reader.attempts);
        let until = now
            + delay(&self.settings.backoff, attempts, &mut self.random)
                .max(Duration::from_millis(1));
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.state = LocateState::Waiting(until);
            reader.first_valid_read = self.next_request;
            if let LengthProbe::InFlight(question) = reader.probe {
                reader.probe = question.again();
            }
        }
        self.arm(until);
    }

    pub(super) fn locate(&mut self, id: ReaderId) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.state = LocateState::Locating;
            self.effects.push_back(Effect::Locate(id, Arc::clone(&reader.segment)));
        }
    }

    pub(super) fn arm(&mut self, at: Now) {
        self.timer = Some(self.timer.map_or(at, |timer| timer.min(at)));
    }
}
