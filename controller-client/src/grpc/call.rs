//! The attempts of one call.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, RetryBudget};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::{
    attempt::{SendWith, attempt},
    nodes::Nodes,
    status::FailedAttempt,
};
use crate::{ControllerConfig, ControllerError, HomeRuntime};

/// A call: its name in the service, and the effect of a repeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) repeat: Repeat,
}

/// The effect of a request that reaches the controller twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The second has no effect.
    Harmless,
    /// The second has an effect too, or fails because of the first.
    Harmful,
}

/// The answer, and the controller that sent it.
pub(super) struct Answer<A> {
    pub(super) message: A,
    pub(super) endpoint: Endpoint,
}

/// The state that clones of a client share: the controllers, and the budget of retries.
pub(super) struct Calls {
    pub(super) config: ControllerConfig,
    pub(super) nodes: Nodes,
    retries: Mutex<RetryBudget>,
    started: Instant,
    /// The channels have their tasks there.
    home: HomeRuntime,
}

impl Calls {
    pub(super) fn new(
        config: ControllerConfig,
        home: HomeRuntime,
    ) -> Result<Self, ControllerError> {
        let nodes = Nodes::new(&config)?;
        Ok(Self { config, nodes, retries: Mutex::default(), started: Instant::now(), home })
    }

    /// Makes a call with all its attempts, within the deadline of the configuration.
    pub(super) async fn call<M, A>(
        &self,
        operation: Operation,
        target: &(dyn fmt::Display + Sync),
        message: M,
        send: SendWith<M, A>,
    ) -> Result<Answer<A>, ControllerError>
    where
        M: Clone + Send + 'static,
        A: Send + 'static,
    {
        self.call_within(self.config.call_timeout, operation, target, message, send).await
    }

    /// Makes a call with all its attempts, within `limit`.
    ///
    /// If a controller cannot be reached, the next one is tried at once; after all were tried in
    /// this round, the call waits by its retry policy.
    pub(super) async fn call_within<M, A>(
        &self,
        limit: Duration,
        operation: Operation,
        target: &(dyn fmt::Display + Sync),
        message: M,
        send: SendWith<M, A>,
    ) -> Result<Answer<A>, ControllerError>
    where
        M: Clone + Send + 'static,
        A: Send + 'static,
    {
        self.check_runtime().map_err(|error| error.with_operation(operation.name, target))?;
        let started = Instant::now();
        let left = || limit.saturating_sub(started.elapsed());
        self.with_budget(RetryBudget::deposit);
        let mut delays = self.config.retry.delays(fastrand::f64);
        let mut attempts = 0;
        // After an attempt that may have taken effect, the outcome stays unknown.
        let mut outcome = Outcome::NotApplied;
        loop {
            let mut last: Option<(Endpoint, FailedAttempt)> = None;
            self.nodes.discover(left()).await;
            for node in self.nodes.in_order() {
                if left().is_zero() {
                    break;
                }
                attempts += 1;
                let limit = left().min(self.config.attempt_timeout);
                let credentials = &self.config.credentials;
                let attempt = attempt(credentials, &node.channel, message.clone(), send, limit);
                let failure = match attempt.await {
                    Ok(message) => {
                        return Ok(Answer { message, endpoint: node.endpoint });
                    }
                    Err(failure) => failure,
                };
                tracing::debug!(
                    operation = operation.name, %target, controller = %node.endpoint, attempts,
                    kind = %failure.error.kind(), "an attempt of a controller call failed"
                );
                if failure.error.outcome() != Outcome::NotApplied {
                    outcome = Outcome::Unknown;
                }
                if self.home.has_ended() {
                    let last = Some((node.endpoint, ended_meanwhile(failure)));
                    return Err(finish(last, operation, target, attempts, outcome));
                }
                let may_repeat = operation.repeat == Repeat::Harmless || failure.was_not_sent;
                let is_over = !failure.is_retryable || !may_repeat;
                let try_next = failure.is_controllers_fault && !is_over;
                if failure.is_controllers_fault {
                    self.nodes.prefer_after(&node.endpoint);
                }
                last = Some((node.endpoint, failure));
                if is_over {
                    return Err(finish(last, operation, target, attempts, outcome));
                }
                if !try_next {
                    break;
                }
            }
            let wait = delays.next().filter(|wait| *wait < left());
            match wait {
                Some(wait) if last.is_some() && self.with_budget(RetryBudget::withdraw) => {
                    sleep(wait).await;
                }
                _ => return Err(finish(last, operation, target, attempts, outcome)),
            }
        }
    }

    /// Fails if the timers or the channels of a call would not work: outside a runtime, and after
    /// the end of the runtime on which the client was created.
    fn check_runtime(&self) -> Result<(), ControllerError> {
        let refuse = |kind, detail| Err(ControllerError::new(kind, Outcome::NotApplied, detail));
        if self.home.has_ended() {
            return refuse(ErrorKind::Closed, RUNTIME_ENDED);
        }
        if Handle::try_current().is_err() {
            let detail = "there is no tokio runtime here; call it inside one";
            return refuse(ErrorKind::NoRuntime, detail);
        }
        Ok(())
    }

    fn with_budget<T>(&self, act: impl FnOnce(&mut RetryBudget, Duration) -> T) -> T {
        // Nothing panics while the lock is held. If it did, the budget would still be consistent.
        act(
            &mut self.retries.lock().unwrap_or_else(PoisonError::into_inner),
            self.started.elapsed(),
        )
    }
}

const RUNTIME_ENDED: &str = "the runtime on which the client was created has ended";

/// The failure of an attempt during which the client's runtime ended: no repeat can succeed.
fn ended_meanwhile(failure: FailedAttempt) -> FailedAttempt {
    let error = ControllerError::new(ErrorKind::Closed, failure.error.outcome(), RUNTIME_ENDED);
    FailedAttempt { error, is_retryable: false, ..failure }
}

fn finish(
    last: Option<(Endpoint, FailedAttempt)>,
    operation: Operation,
    target: &dyn fmt::Display,
    attempts: u32,
    outcome: Outcome,
) -> ControllerError {
    let (endpoint, error) = match last {
        Some((endpoint, failure)) => (Some(endpoint), failure.error),
        None => {
            let detail = "the deadline had passed before a request could be sent";
            (None, ControllerError::new(ErrorKind::Timeout, Outcome::NotApplied, detail))
        }
    };
    error
        .map(|failure| failure.with_outcome(outcome))
        .with_operation(operation.name, target)
        .with_attempts(endpoint, attempts)
}
