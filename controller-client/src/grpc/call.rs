//! The attempts of one call.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use pravega_sdk_proto::controller_service_client::ControllerServiceClient;
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, RetryBudget};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Request, Response, Status, transport::Channel};

use super::{
    authorize::authorized,
    nodes::{Node, Nodes},
    status::FailedAttempt,
};
use crate::{ControllerConfig, ControllerError};

pub(super) type Client = ControllerServiceClient<Channel>;
type Sent<A> = BoxFuture<'static, Result<Response<A>, Status>>;

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
}

impl Calls {
    pub(super) fn new(config: ControllerConfig) -> Result<Self, ControllerError> {
        let nodes = Nodes::new(&config)?;
        Ok(Self { config, nodes, retries: Mutex::default(), started: Instant::now() })
    }

    /// Makes a call with all its attempts, within the deadline of the configuration.
    pub(super) async fn call<M, A, F>(
        &self,
        operation: Operation,
        target: &(dyn fmt::Display + Sync),
        message: M,
        send: F,
    ) -> Result<Answer<A>, ControllerError>
    where
        M: Clone + Send,
        F: Fn(Client, Request<M>) -> Sent<A> + Send + Sync,
    {
        self.call_within(self.config.call_timeout, operation, target, message, send).await
    }

    /// Makes a call with all its attempts, within `limit`.
    ///
    /// If a controller cannot be reached, the next one is tried at once; after all were tried in
    /// this round, the call waits by its retry policy.
    pub(super) async fn call_within<M, A, F>(
        &self,
        limit: Duration,
        operation: Operation,
        target: &(dyn fmt::Display + Sync),
        message: M,
        send: F,
    ) -> Result<Answer<A>, ControllerError>
    where
        M: Clone + Send,
        F: Fn(Client, Request<M>) -> Sent<A> + Send + Sync,
    {
        let deadline = Instant::now() + limit;
        self.with_budget(RetryBudget::deposit);
        let mut delays = self.config.retry.delays(fastrand::f64);
        let mut attempts = 0;
        // After an attempt that may have taken effect, the outcome stays unknown.
        let mut outcome = Outcome::NotApplied;
        loop {
            let mut last: Option<(Endpoint, FailedAttempt)> = None;
            for node in self.nodes.in_order().await {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                attempts += 1;
                let failure = match self.attempt(&node, message.clone(), &send, left).await {
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
            let wait = delays.next().filter(|wait| Instant::now() + *wait < deadline);
            match wait {
                Some(wait) if last.is_some() && self.with_budget(RetryBudget::withdraw) => {
                    sleep(wait).await;
                }
                _ => return Err(finish(last, operation, target, attempts, outcome)),
            }
        }
    }

    fn with_budget<T>(&self, act: impl FnOnce(&mut RetryBudget, Duration) -> T) -> T {
        // Nothing panics while the lock is held. If it did, the budget would still be consistent.
        act(
            &mut self.retries.lock().unwrap_or_else(PoisonError::into_inner),
            self.started.elapsed(),
        )
    }

    async fn attempt<M, A>(
        &self,
        node: &Node,
        message: M,
        send: &(impl Fn(Client, Request<M>) -> Sent<A> + Send + Sync),
        left: Duration,
    ) -> Result<A, FailedAttempt> {
        let limit = left.min(self.config.attempt_timeout);
        let request =
            authorized(&self.config.credentials, message).await.map_err(|error| FailedAttempt {
                error,
                is_retryable: false,
                was_not_sent: true,
                is_controllers_fault: false,
            })?;
        let client = ControllerServiceClient::new(node.channel.clone());
        match timeout(limit, send(client, request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(FailedAttempt::from_status(status)),
            Err(_) => Err(FailedAttempt::timed_out(limit.as_secs_f64())),
        }
    }
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
