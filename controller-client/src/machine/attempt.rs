//! One attempt of a call: its credentials, its connection, its answer, within one deadline.

use super::{
    bugs::{Bugs, ControllerBug},
    time::Now,
};

/// The part of an attempt that comes next, and the time at which it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Get the credentials: [`AttemptMachine::handle_credentials`].
    Credentials { until: Option<Now> },
    /// Connect, or take the connection that exists: [`AttemptMachine::handle_connected`].
    Connection { until: Now },
    /// Send the request and wait for its answer.
    Answer { until: Now },
}

/// What an attempt may have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing: the connection had ended before.
    Nothing,
    /// The request, and the controller has failed it.
    Request,
    /// The request, and there was no answer.
    Unanswered,
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct AttemptMachine {
    bugs: Bugs,
    until: Now,
    state: State,
    may_redial: bool,
    may_renew: bool,
}

#[derive(Debug)]
enum State {
    WithoutCredentials,
    Connecting,
    Connected,
}

impl AttemptMachine {
    /// An attempt that ends at `until`.
    pub(crate) fn new(until: Now, bugs: Bugs) -> Self {
        Self { bugs, until, state: State::WithoutCredentials, may_redial: true, may_renew: true }
    }

    /// Returns the part that is next.
    pub(crate) fn poll(&self) -> Part {
        let until = self.until;
        match self.state {
            State::WithoutCredentials => {
                let is_covered = !self.bugs.has(ControllerBug::TimesAnswersOnly);
                Part::Credentials { until: is_covered.then_some(until) }
            }
            State::Connecting => Part::Connection { until },
            State::Connected => Part::Answer { until },
        }
    }

    /// The credentials are known.
    pub(crate) fn handle_credentials(&mut self) {
        self.state = State::Connecting;
    }

    /// There is a connection; `is_new` if it was established for this attempt.
    pub(crate) fn handle_connected(&mut self, is_new: bool) {
        self.may_redial &= !is_new;
        self.state = State::Connected;
    }

    /// The connection that this attempt waited for cannot be established. Returns true if it
    /// connects by itself.
    pub(crate) fn handle_unconnected(&mut self, is_new: bool) -> bool {
        !is_new && self.bugs.has(ControllerBug::DialsAlone)
    }

    /// Returns true if later requests need another connection: this one has ended, or it may be
    /// silent because the machine at its other end has died.
    pub(crate) fn ends_link(&self, sent: Sent) -> bool {
        match sent {
            Sent::Nothing => true,
            Sent::Request => false,
            Sent::Unanswered => !self.bugs.has(ControllerBug::KeepsSilentLinks),
        }
    }

    /// The request failed. Returns true if the attempt goes on with another connection: the one
    /// that existed had ended, which shows when a request is sent.
    pub(crate) fn handle_failed(&mut self, sent: Sent) -> bool {
        let goes_on = sent == Sent::Nothing && self.may_redial;
        if goes_on {
            self.may_redial = false;
            self.state = State::Connecting;
        }
        goes_on
    }

    /// The controller has refused the credentials. Returns true if the attempt goes on with others,
    /// if there are any: once, as the controller has done nothing.
    pub(crate) fn handle_refused(&mut self) -> bool {
        let goes_on = self.may_renew;
        if goes_on {
            self.may_renew = false;
            self.state = State::WithoutCredentials;
        }
        goes_on
    }
}
