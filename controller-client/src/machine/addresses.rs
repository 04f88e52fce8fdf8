//! The look-up of a name, and which of its addresses is dialled when.
//!
//! One deadline covers the look-up and all dials. The addresses are dialled in order, each when the
//! one before it has failed or is slow; the first that answers is used.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use super::{
    bugs::{Bugs, ControllerBug},
    time::Now,
};

/// The next address of a name is tried beside the one before it after this long, as RFC 8305
/// recommends.
pub(crate) const STAGGER: Duration = Duration::from_millis(250);
/// Number of addresses of a name that are tried. The list comes from outside.
const MAX_ADDRESSES: usize = 16;

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dial {
    /// Look the name up: answered by [`Addresses::handle_found`].
    LookUp { until: Option<Now> },
    /// Dial an address, beside those that are being dialled: a failure is reported to
    /// [`Addresses::handle_failed`].
    Address(SocketAddr),
    /// Wait for one of the dials, or for that moment.
    Wait { until: Option<Now> },
    /// Every address failed, or there is none.
    Failed,
    /// The deadline has passed.
    Late,
}

/// Connects to a name.
#[derive(Debug)]
pub(crate) struct Addresses {
    bugs: Bugs,
    limit: Option<Duration>,
    until: Option<Now>,
    state: State,
}

#[derive(Debug)]
enum State {
    LookingUp,
    Dialling {
        left: VecDeque<SocketAddr>,
        in_progress: usize,
        /// When the next address is dialled, if none fails before.
        next: Now,
    },
}

impl Addresses {
    /// Begins to connect, within `limit` if there is one.
    pub(crate) fn new(limit: Option<Duration>, now: Now, bugs: Bugs) -> Self {
        let until = limit.map(|limit| now.saturating_add(limit));
        Self { bugs, limit, until, state: State::LookingUp }
    }

    /// Returns what follows.
    pub(crate) fn poll(&mut self, now: Now) -> Dial {
        let is_look_up = matches!(self.state, State::LookingUp);
        if is_look_up && self.bugs.has(ControllerBug::TimesConnectsOnly) {
            return Dial::LookUp { until: None };
        }
        if self.until.is_some_and(|until| until <= now) {
            return Dial::Late;
        }
        let State::Dialling { left, in_progress, next } = &mut self.state else {
            return Dial::LookUp { until: self.until };
        };
        if (*next <= now || *in_progress == 0)
            && let Some(address) = left.pop_front()
        {
            *in_progress += 1;
            let one_by_one = self.bugs.has(ControllerBug::DialsOneByOne);
            *next = if one_by_one { Now::MAX } else { now.saturating_add(STAGGER) };
            return Dial::Address(address);
        }
        match (*in_progress, left.is_empty()) {
            (0, _) => Dial::Failed,
            (_, true) => Dial::Wait { until: self.until },
            (_, false) => Dial::Wait { until: Some(self.until.map_or(*next, |it| it.min(*next))) },
        }
    }

    /// The name has these addresses.
    pub(crate) fn handle_found(&mut self, found: impl IntoIterator<Item = SocketAddr>, now: Now) {
        if self.bugs.has(ControllerBug::TimesConnectsOnly) {
            self.until = self.limit.map(|limit| now.saturating_add(limit));
        }
        let left = found.into_iter().take(MAX_ADDRESSES).collect();
        self.state = State::Dialling { left, in_progress: 0, next: now };
    }

    /// An address cannot be connected to: the next one is dialled at once.
    pub(crate) fn handle_failed(&mut self, now: Now) {
        if let State::Dialling { in_progress, next, .. } = &mut self.state {
            *in_progress = in_progress.saturating_sub(1);
            *next = now;
        }
    }
}
