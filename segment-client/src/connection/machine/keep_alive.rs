//! When a silent peer is probed, and when it counts as lost.
//!
//! A peer that is silent for 20 s is probed. It counts as lost 35 s after its last byte if a reply
//! is outstanding, and 45 s after it otherwise, so the peer always has 15 s to answer a probe.

use std::time::Duration;

/// Time since the connection was established.
pub(crate) type Now = Duration;

const PROBE_AFTER: Duration = Duration::from_secs(20);
const DEAD_AFTER_OUTSTANDING: Duration = Duration::from_secs(35);
const DEAD_AFTER_IDLE: Duration = Duration::from_secs(45);

/// The next action of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Wait until that time.
    Wait(Now),
    /// Send a keep-alive.
    Probe,
    /// End the connection; the peer was silent for this long.
    GiveUp(Duration),
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeepAliveTimer {
    last_heard: Now,
    has_probed: bool,
}

impl KeepAliveTimer {
    /// Records that bytes arrived from the peer.
    pub(crate) fn handle_bytes(&mut self, now: Now) {
        self.last_heard = now;
        self.has_probed = false;
    }

    /// Returns true if the peer was probed and is still silent: from then on the limit depends on
    /// whether a reply is outstanding.
    pub(crate) fn has_probed(&self) -> bool {
        self.has_probed
    }

    /// Returns the next action. After [`Action::Probe`], poll again.
    pub(crate) fn poll(&mut self, now: Now, is_outstanding: bool) -> Action {
        let limit = if is_outstanding { DEAD_AFTER_OUTSTANDING } else { DEAD_AFTER_IDLE };
        let silence = now.saturating_sub(self.last_heard);
        if silence >= limit {
            return Action::GiveUp(silence);
        }
        if self.has_probed {
            return Action::Wait(self.last_heard + limit);
        }
        if silence >= PROBE_AFTER {
            self.has_probed = true;
            return Action::Probe;
        }
        Action::Wait(self.last_heard + PROBE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Now {
        Duration::from_secs(count)
    }

    #[test]
    fn a_silent_peer_is_asked_once_and_given_up_in_time() {
        for (is_outstanding, dead_after) in [(true, 35), (false, 45)] {
            let mut timer = KeepAliveTimer::default();
            assert_eq!(timer.poll(seconds(0), is_outstanding), Action::Wait(seconds(20)));
            assert_eq!(timer.poll(seconds(20), is_outstanding), Action::Probe);
            assert_eq!(timer.poll(seconds(20), is_outstanding), Action::Wait(seconds(dead_after)));
            assert_eq!(
                timer.poll(seconds(dead_after), is_outstanding),
                Action::GiveUp(seconds(dead_after))
            );
        }
    }

    #[test]
    fn any_byte_starts_over() {
        let mut timer = KeepAliveTimer::default();
        assert_eq!(timer.poll(seconds(20), true), Action::Probe);
        timer.handle_bytes(seconds(30));
        assert_eq!(timer.poll(seconds(30), true), Action::Wait(seconds(50)));
        assert_eq!(timer.poll(seconds(50), true), Action::Probe);
    }

    #[test]
    fn a_request_on_a_connection_that_fell_silent_shortens_the_wait() {
        let mut timer = KeepAliveTimer::default();
        timer.poll(seconds(20), false);
        assert_eq!(timer.poll(seconds(30), false), Action::Wait(seconds(45)));
        assert_eq!(timer.poll(seconds(30), true), Action::Wait(seconds(35)));
    }
}
