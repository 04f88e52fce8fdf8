//! The attempts of one call.
//!
//! A call goes through the controllers in rounds. One that cannot be reached, or does not answer,
//! is passed over at once; after a round the call waits by its retry policy, as far as the budget
//! allows that all calls of the client share. One deadline covers everything.

use std::{collections::VecDeque, time::Duration};

use pravega_sdk_types::{Endpoint, Outcome, RetryDelays, RetryPolicy};

use super::{
    bugs::{Bugs, ControllerBug},
    nodes::{LinkId, NodesMachine, Via},
    time::Now,
};

/// The effect of a request that reaches the controller twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The second has no effect.
    Harmless,
    /// The second has an effect too, or fails because of the first.
    Harmful,
}

/// Where a call goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// To any controller, with retries.
    Any,
    /// To the instance at the other end of this connection, once.
    Only(Endpoint, LinkId),
}

/// The times that a call may take, and its retries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The call, with all its attempts.
    pub(crate) call: Duration,
    /// One attempt, with its credentials and its connection.
    pub(crate) attempt: Duration,
    /// The number of rounds, and the waits between them.
    pub(crate) retry: RetryPolicy,
}

/// What the failure of an attempt means for its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No repeat helps.
    Final,
    /// Nothing was sent, and another controller may succeed at once.
    Unreached,
    /// Nothing was sent, and no other controller would do better now.
    NotSent,
    /// The controller may have carried it out; another one may succeed at once.
    Lost,
    /// The controller may have carried it out, and failed; a later attempt may succeed.
    Later,
}

impl Verdict {
    /// Returns true if a repeat has no double effect.
    fn is_not_sent(self) -> bool {
        matches!(self, Self::Unreached | Self::NotSent)
    }

    /// Returns true if another controller may succeed at once.
    pub(crate) fn is_controllers_fault(self) -> bool {
        matches!(self, Self::Unreached | Self::Lost)
    }
}

/// What a call does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Find out which controllers there are, if that is due. The first time the call waits for the
    /// answer, until then if there is a time.
    Discover { until: Option<Now> },
    /// Make an attempt. A failure is reported to [`CallMachine::handle_failed`].
    Attempt { via: Via, until: Now },
    /// Wait until then.
    Wait { until: Now },
    /// The call has failed, as its last attempt has.
    End,
}

/// One call.
#[derive(Debug)]
pub(crate) struct CallMachine {
    bugs: Bugs,
    repeat: Repeat,
    is_pinned: bool,
    until: Now,
    attempt_limit: Duration,
    delays: RetryDelays<fn() -> f64>,
    state: State,
    attempts: u32,
    outcome: Outcome,
}

#[derive(Debug)]
enum State {
    Begun,
    Discovering,
    Trying(VecDeque<Via>),
    Waiting(Now),
    Over,
}

impl CallMachine {
    /// Begins a call. `random` returns numbers in `0.0..1.0`.
    pub(crate) fn new(
        (repeat, route): (Repeat, Route),
        limits: &Limits,
        random: fn() -> f64,
        now: Now,
        bugs: Bugs,
    ) -> Self {
        let (is_pinned, state) = match route {
            Route::Any => (false, State::Begun),
            Route::Only(endpoint, link) => {
                (true, State::Trying([Via::Only(endpoint, link)].into()))
            }
        };
        Self {
            bugs,
            repeat,
            is_pinned,
            until: now.saturating_add(limits.call),
            attempt_limit: limits.attempt,
            delays: limits.retry.delays(random),
            state,
            attempts: 0,
            outcome: Outcome::NotApplied,
        }
    }

    /// The number of attempts so far.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The outcome of the call if it fails: after an attempt that may have taken effect it stays
    /// unknown.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns what the call does next.
    pub(crate) fn poll(&mut self, nodes: &mut NodesMachine, now: Now) -> Step {
        match &mut self.state {
            State::Waiting(until) if now < *until => return Step::Wait { until: *until },
            State::Begun | State::Waiting(_) => {
                self.state = State::Discovering;
                return Step::Discover { until: self.discovery_until(now) };
            }
            State::Discovering => self.state = State::Trying(nodes.in_order(now)),
            State::Trying(_) | State::Over => {}
        }
        let State::Trying(left) = &mut self.state else { return Step::End };
        if now >= self.until {
            return Step::End;
        }
        let Some(via) = left.pop_front() else { return Step::End };
        self.attempts = self.attempts.saturating_add(1);
        Step::Attempt { via, until: now.saturating_add(self.attempt_limit).min(self.until) }
    }

    /// A discovery may take half of the time that is left. Without an answer by then the call goes
    /// on with the controllers that are known.
    fn discovery_until(&self, now: Now) -> Option<Now> {
        if self.bugs.has(ControllerBug::TimesAnswersOnly) {
            return None;
        }
        if self.bugs.has(ControllerBug::AwaitsDiscovery) {
            return Some(self.until);
        }
        Some(now.saturating_add(self.until.saturating_sub(now) / 2))
    }

    /// An attempt at a controller has failed.
    pub(crate) fn handle_failed(
        &mut self,
        endpoint: &Endpoint,
        (verdict, outcome): (Verdict, Outcome),
        nodes: &mut NodesMachine,
        now: Now,
    ) {
        if outcome != Outcome::NotApplied || self.bugs.has(ControllerBug::ForgetsOutcomes) {
            self.outcome = outcome;
        }
        if verdict.is_controllers_fault() {
            nodes.handle_failed(endpoint, now);
        }
        let may_repeat = self.repeat == Repeat::Harmless
            || verdict.is_not_sent()
            || self.bugs.has(ControllerBug::RepeatsAll);
        if verdict == Verdict::Final || !may_repeat || self.is_pinned {
            self.state = State::Over;
            return;
        }
        let has_next = matches!(&self.state, State::Trying(left) if !left.is_empty());
        if verdict.is_controllers_fault() && has_next && now < self.until {
            return;
        }
        let wait = self.delays.next().map(|wait| now.saturating_add(wait));
        self.state = match wait.filter(|wait| *wait < self.until) {
            Some(until) if nodes.may_retry(now) => State::Waiting(until),
            _ => State::Over,
        };
    }
}
