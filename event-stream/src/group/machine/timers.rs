//! When a reader does what it does from time to time.

use std::time::Duration;

use pravega_sdk_segment_client::machine::Now;

/// The unit of all times, which counts before the state says something else.
const TIME_UNIT: Duration = Duration::from_secs(1);
/// The time for which a change of segments may take.
const CHANGE_WINDOW: Duration = Duration::from_secs(30);
/// The time between two checks if the configuration is being changed.
const CONFIGURATION_WINDOW: Duration = Duration::from_secs(10);

/// The moments from which on a reader does something again.
#[derive(Debug)]
pub(super) struct Timers {
    /// Reads the state.
    pub(super) fetch: Now,
    /// Takes segments.
    pub(super) acquire: Now,
    /// Gives one back.
    pub(super) release: Now,
    /// Completes segments, and looks if one should be given back, without a checkpoint.
    pub(super) window: Now,
    /// Creates a checkpoint.
    pub(super) checkpoint: Now,
    /// Reports how far it is.
    pub(super) report: Now,
    /// Checks if the configuration is being changed.
    pub(super) configuration: Now,
}

impl Timers {
    pub(super) fn new(now: Now) -> Self {
        let soon = now + TIME_UNIT;
        Self {
            fetch: now,
            acquire: now,
            release: soon,
            window: soon,
            checkpoint: soon,
            report: soon,
            configuration: soon,
        }
    }

    /// A change of segments begins: no other does before it ends.
    pub(super) fn begin_change(&mut self, now: Now) {
        self.acquire = now + CHANGE_WINDOW;
        self.release = now + CHANGE_WINDOW;
    }

    /// The time of the next report, which is longer the more readers report.
    pub(super) fn reset_report(&mut self, now: Now, readers: usize) {
        let units = u32::try_from(readers).unwrap_or(u32::MAX).saturating_add(1);
        self.report = now.saturating_add(TIME_UNIT.saturating_mul(units));
    }

    /// The time of the next look without a checkpoint.
    pub(super) fn reset_window(&mut self, now: Now) {
        self.window = now.saturating_add(TIME_UNIT);
    }

    pub(super) fn reset_configuration(&mut self, now: Now) {
        self.configuration = now + CONFIGURATION_WINDOW;
    }

    /// The next moment at which there is something to do, besides checkpoints and reports.
    pub(super) fn next(&self) -> Now {
        self.fetch.min(self.acquire).min(self.configuration)
    }
}
