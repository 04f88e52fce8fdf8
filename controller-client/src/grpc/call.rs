//! Drives one call with all its attempts.

use std::{fmt, sync::Arc, time::Duration};

use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};
use tokio::runtime::Handle;

use super::{
    attempt::attempt,
    message::{Message, SendWith},
    nodes::Nodes,
    status::FailedAttempt,
};
use crate::{
    ControllerConfig, ControllerError, HomeRuntime,
    machine::{CallMachine, Limits, LinkId, NodesMachine, Repeat, Route, Step, Verdict},
    network::Network,
};

/// A call: its name in the service, and the effect of a repeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) repeat: Repeat,
}

/// The answer, and the controller that sent it.
pub(super) struct Answer<A> {
    pub(super) message: A,
    pub(super) endpoint: Endpoint,
    link: LinkId,
}

impl<A> Answer<A> {
    /// The way to the instance that sent the answer.
    pub(super) fn route(&self) -> Route {
        Route::Only(self.endpoint.clone(), self.link)
    }
}

/// The state that clones of a client share: the controllers, and the budget of retries.
pub(super) struct Calls {
    pub(super) nodes: Nodes,
}

impl Calls {
    pub(super) fn new(
        config: &ControllerConfig,
        network: Arc<dyn Network>,
        home: HomeRuntime,
    ) -> Result<Self, ControllerError> {
        Ok(Self { nodes: Nodes::new(config, network, home)? })
    }

    /// Makes a call with all its attempts, within the deadline of the configuration.
    pub(super) async fn call<M, A>(
        &self,
        route: Route,
        operation: Operation,
        target: &(dyn fmt::Display + Sync),
        message: M,
        send: SendWith<M, A>,
    ) -> Result<Answer<A>, ControllerError>
    where
        M: Clone + Send + Sync + 'static,
        A: Send + 'static,
    {
        let limit = self.nodes.config().call_timeout;
        self.call_by(route, limit, operation, target, message, send).await
    }

    /// Makes a call by a route, within `limit`.
    pub(super) async fn call_by<M, A>(
        &self,
        route: Route,
        limit: Duration,
        operation: Operation,
        target: &(dyn fmt::Display + Sync),
        message: M,
        send: SendWith<M, A>,
    ) -> Result<Answer<A>, ControllerError>
    where
        M: Clone + Send + Sync + 'static,
        A: Send + 'static,
    {
        let (message, reply) = Message::new(message, send);
        let (endpoint, link) = self.run(route, limit, operation, target, message).await?;
        let lost = || FailedAttempt::lost(Outcome::Unknown).error;
        let message = reply.take().ok_or_else(lost)?;
        Ok(Answer { message, endpoint, link })
    }

    /// Makes all attempts of a call. Returns the controller that answered.
    async fn run(
        &self,
        route: Route,
        limit: Duration,
        operation: Operation,
        target: &(dyn fmt::Display + Sync),
        message: Message,
    ) -> Result<(Endpoint, LinkId), ControllerError> {
        self.check_runtime().map_err(|error| error.with_operation(operation.name, target))?;
        let config = self.nodes.config();
        let limits = Limits { call: limit, attempt: config.attempt_timeout, retry: config.retry };
        let (clock, bugs) = (self.nodes.clock(), self.nodes.bugs());
        let wanted = (operation.repeat, route);
        let mut machine = CallMachine::new(wanted, &limits, fastrand::f64, clock.now(), bugs);
        self.nodes.with(NodesMachine::begin_call);
        let mut last: Option<(Endpoint, FailedAttempt)> = None;
        loop {
            match self.nodes.with(|nodes, now| machine.poll(nodes, now)) {
                Step::Discover { until } => self.nodes.discover(until).await,
                Step::Wait { until } => clock.wait(Some(until)).await,
                Step::End => return Err(finish(last, operation, target, &machine)),
                Step::Attempt { via, until } => {
                    let endpoint = via.endpoint().clone();
                    let made = attempt(&self.nodes, via, message.clone(), until);
                    let mut failure = match made.await {
                        Ok(link) => {
                            self.nodes.with(|nodes, _| nodes.handle_answered(&endpoint));
                            return Ok((endpoint, link));
                        }
                        Err(failure) => failure,
                    };
                    tracing::debug!(
                        operation = operation.name, %target, controller = %endpoint,
                        attempts = machine.attempts(), kind = %failure.error.kind(),
                        "an attempt of a controller call failed"
                    );
                    if self.nodes.has_ended() {
                        failure = ended_meanwhile(failure);
                    }
                    let failed = (failure.verdict, failure.error.outcome());
                    self.nodes.with(|nodes, now| {
                        machine.handle_failed(&endpoint, failed, nodes, now);
                    });
                    last = Some((endpoint, failure));
                }
            }
        }
    }

    /// Fails if the timers or the connections of a call would not work: outside a runtime, and
    /// after the end of the runtime on which the client was created.
    fn check_runtime(&self) -> Result<(), ControllerError> {
        let refuse = |kind, detail| Err(ControllerError::new(kind, Outcome::NotApplied, detail));
        if self.nodes.has_ended() {
            return refuse(ErrorKind::Closed, RUNTIME_ENDED);
        }
        if Handle::try_current().is_err() {
            let detail = "there is no tokio runtime here; call it inside one";
            return refuse(ErrorKind::NoRuntime, detail);
        }
        Ok(())
    }
}

const RUNTIME_ENDED: &str = "the runtime on which the client was created has ended";

/// The failure of an attempt during which the client's runtime ended: no repeat can succeed.
fn ended_meanwhile(failure: FailedAttempt) -> FailedAttempt {
    let error = ControllerError::new(ErrorKind::Closed, failure.error.outcome(), RUNTIME_ENDED);
    FailedAttempt { error, verdict: Verdict::Final, ..failure }
}

fn finish(
    last: Option<(Endpoint, FailedAttempt)>,
    operation: Operation,
    target: &dyn fmt::Display,
    machine: &CallMachine,
) -> ControllerError {
    let (endpoint, error) = match last {
        Some((endpoint, failure)) => (Some(endpoint), failure.error),
        None => {
            let detail = "the deadline had passed before a request could be sent";
            (None, ControllerError::new(ErrorKind::Timeout, Outcome::NotApplied, detail))
        }
    };
    error
        .map(|failure| failure.with_outcome(machine.outcome()))
        .with_operation(operation.name, target)
        .with_attempts(endpoint, machine.attempts())
}
