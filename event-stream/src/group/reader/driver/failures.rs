//! The failures in a row of calls about the state of the group.

use std::time::Duration;

use pravega_sdk_segment_client::machine::Now;
use pravega_sdk_table_synchronizer::StateError;
use pravega_sdk_types::{ErrorKind, Offset, Outcome};

use super::super::error::GroupReaderError;

/// The failures since the last success.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u32,
    /// When they began, or were last reported.
    since: Option<Now>,
    /// Nothing is tried before.
    retry_at: Option<Now>,
    /// The entry of the last failure, if it was about one.
    entry: Option<Offset>,
    last: Option<GroupReaderError>,
}

impl Failures {
    /// Returns the number of failures.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn retry_at(&self) -> Option<Now> {
        self.retry_at
    }

    /// Returns true if the wait is over, or there is none.
    pub(super) fn may_try(&mut self, now: Now) -> bool {
        self.retry_at.take_if(|at| *at <= now);
        self.retry_at.is_none()
    }

    /// Ends the wait.
    pub(super) fn try_now(&mut self) {
        self.retry_at = None;
    }

    pub(super) fn take_last(&mut self) -> Option<GroupReaderError> {
        self.last.take()
    }

    /// Returns true if a call may succeed when it is made again. An update that does not fit the
    /// state is left out by the next call, as all readers do.
    pub(super) fn may_pass(&self, error: &StateError) -> bool {
        let is_new = error.kind() == ErrorKind::Corrupt && error.offset() != self.entry;
        error.is_retryable() || error.outcome() == Outcome::Unknown || is_new
    }

    /// A call has failed. Returns the error to report if they have failed for `limit`.
    pub(super) fn handle_failed(
        &mut self,
        error: StateError,
        pause: Duration,
        limit: Duration,
        now: Now,
    ) -> Option<GroupReaderError> {
        self.count = self.count.saturating_add(1);
        self.entry = error.offset().filter(|_| error.kind() == ErrorKind::Corrupt);
        self.retry_at = Some(now.saturating_add(pause));
        let error = GroupReaderError::from(error);
        self.last = Some(error.clone());
        let since = *self.since.get_or_insert(now);
        if now < since.saturating_add(limit) {
            return None;
        }
        self.since = Some(now);
        Some(error.with_kind(ErrorKind::Unavailable))
    }

    /// A call has succeeded. Returns true if calls had failed.
    pub(super) fn handle_success(&mut self) -> bool {
        let had_failed = self.count > 0;
        *self = Self::default();
        had_failed
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::Failure;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);
    const LIMIT: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Now {
        Duration::from_secs(seconds)
    }

    fn error(kind: ErrorKind, outcome: Outcome) -> Failure {
        Failure::new(kind, outcome, "scripted")
    }

    #[test]
    fn failures_are_reported_once_in_the_stall_timeout_and_forgotten_with_a_success() {
        let mut failures = Failures::default();
        let mut reported = Vec::new();
        for at in (0..200).step_by(10) {
            assert!(failures.may_try(seconds(at)));
            let unreachable = error(ErrorKind::Unreachable, Outcome::NotApplied).into();
            let report = failures.handle_failed(unreachable, PAUSE, LIMIT, seconds(at));
            reported.extend(report.map(|error| (at, error.kind())));
            assert!(!failures.may_try(seconds(at)), "it waits");
        }
        let kind = ErrorKind::Unavailable;
        assert_eq!(reported, [(60, kind), (120, kind), (180, kind)]);
        assert!(failures.handle_success() && !failures.handle_success());
    }

    #[test]
    fn an_entry_that_does_not_fit_passes_once_and_what_is_in_doubt_is_tried_again() {
        let mut failures = Failures::default();
        let corrupt = |at| -> StateError {
            error(ErrorKind::Corrupt, Outcome::NotApplied).with_offset(Offset(at)).into()
        };
        assert!(failures.may_pass(&corrupt(7)));
        failures.handle_failed(corrupt(7), PAUSE, LIMIT, seconds(0));
        assert!(!failures.may_pass(&corrupt(7)), "it cannot be decoded");
        assert!(failures.may_pass(&corrupt(8)));
        let refused = |outcome| error(ErrorKind::ConditionFailed, outcome).into();
        assert!(failures.may_pass(&refused(Outcome::Unknown)));
        assert!(!failures.may_pass(&refused(Outcome::NotApplied)));
    }
}
