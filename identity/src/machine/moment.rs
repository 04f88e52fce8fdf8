//! A moment by two clocks.

use std::time::Duration;

/// A moment by both clocks of a machine, each as the time since a moment of its own.
///
/// The steady clock may stand still while the machine is suspended; the other may be set back or
/// forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) steady: Duration,
    /// The time since 1970.
    pub(crate) wall: Duration,
}

impl Moment {
    /// Returns the time since `earlier`, by the clock that shows more.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let by_wall = self.wall.saturating_sub(earlier.wall);
        self.steady.saturating_sub(earlier.steady).max(by_wall)
    }
}
