//! Drives one attempt of a call, in a task of its own.
//!
//! The owner of a call may stop polling it at any time. A task does not stand still with it: the
//! deadline goes on, and neither a lock of the credential provider nor a stream of the connection
//! is kept from other calls.

use pravega_sdk_proto::controller_service_client::ControllerServiceClient;
use pravega_sdk_tls::PeerFault;
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::{runtime::Handle, task::JoinSet};
use tonic::Status;

use super::{
    authorize::Header,
    message::Message,
    nodes::{Connected, Nodes},
    status::FailedAttempt,
};
use crate::{
    ControllerError,
    machine::{AttemptMachine, LinkId, Now, Part, Sent, Via},
};

/// Makes one attempt, which ends at `until`: its credentials, its connection and its answer.
/// Returns the connection over which the answer came. Dropping the future ends the attempt.
pub(super) async fn attempt(
    nodes: &Nodes,
    via: Via,
    message: Message,
    until: Now,
) -> Result<LinkId, FailedAttempt> {
    let Ok(runtime) = Handle::try_current() else {
        return Err(FailedAttempt::not_sent(ControllerError::new(
            ErrorKind::NoRuntime,
            Outcome::NotApplied,
            "a call of the controller works inside a tokio runtime only",
        )));
    };
    let machine = AttemptMachine::new(until, nodes.bugs());
    let running = Attempt { nodes: nodes.clone(), via, begun: nodes.clock().now(), machine };
    // Dropping the set aborts the task.
    let mut task = JoinSet::new();
    task.spawn_on(running.run(message), &runtime);
    match task.join_next().await {
        Some(Ok(answer)) => answer,
        // The credential provider panicked, or the runtime ended.
        Some(Err(_)) | None => Err(FailedAttempt::lost(Outcome::Unknown)),
    }
}

/// The failure of a request, for the reason that its connection knows of.
fn failed(fault: &PeerFault, status: Status) -> FailedAttempt {
    match fault.reason() {
        Some(reason) => FailedAttempt::insecure(reason),
        None if fault.is_silent() => FailedAttempt::from_status(status).of_silent_controller(),
        None => FailedAttempt::from_status(status),
    }
}

struct Attempt {
    nodes: Nodes,
    via: Via,
    begun: Now,
    machine: AttemptMachine,
}

/// The parts of an attempt that are done.
#[derive(Default)]
struct Ready {
    header: Option<Header>,
    connected: Option<Connected>,
    /// The credentials that the controller refused, and how.
    refused: Option<(Header, FailedAttempt)>,
}

impl Attempt {
    async fn run(mut self, message: Message) -> Result<LinkId, FailedAttempt> {
        let clock = self.nodes.clock();
        let mut ready = Ready::default();
        loop {
            match self.machine.poll() {
                Part::Credentials { until } => {
                    let header = Header::present(self.nodes.credentials());
                    match clock.within(until, header).await {
                        Some(Ok(header)) => {
                            if let Some((refused, failure)) = ready.refused.take()
                                && refused.is_same(&header)
                            {
                                return Err(failure);
                            }
                            ready.header = Some(header);
                        }
                        Some(Err(error)) => return Err(FailedAttempt::not_sent(error)),
                        None => return Err(FailedAttempt::without_credentials(self.elapsed())),
                    }
                    self.machine.handle_credentials();
                }
                Part::Connection { until } => {
                    match clock.within(Some(until), self.nodes.connect(&self.via)).await {
                        Some(Ok(connected)) => {
                            self.machine.handle_connected(connected.is_new);
                            ready.connected = Some(connected);
                        }
                        Some(Err(unconnected)) => {
                            if !self.machine.handle_unconnected(unconnected.is_new) {
                                return Err(unconnected.failure);
                            }
                        }
                        None => return Err(FailedAttempt::connected_late(self.elapsed())),
                    }
                }
                Part::Answer { until } => {
                    let Ready { header: Some(header), connected: Some(connected), .. } = &ready
                    else {
                        return Err(FailedAttempt::lost(Outcome::NotApplied));
                    };
                    let client = ControllerServiceClient::new(connected.channel.clone());
                    let answering = message.send(client, header);
                    let failure = match clock.within(Some(until), answering).await {
                        Some(Ok(())) => return Ok(connected.link),
                        Some(Err(status)) => failed(&connected.fault, status),
                        None => FailedAttempt::timed_out(self.elapsed()),
                    };
                    if self.has_others(&failure, header) {
                        ready.refused = ready.header.take().map(|header| (header, failure));
                    } else if !self.goes_on(&failure, connected.link) {
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// Decides after a request has failed. Returns true if the attempt goes on with other
    /// credentials, if there are any.
    fn has_others(&mut self, failure: &FailedAttempt, header: &Header) -> bool {
        failure.sent == Sent::Request
            && failure.error.kind() == ErrorKind::Unauthenticated
            && header.refused(self.nodes.credentials())
            && self.machine.handle_refused()
    }

    /// Decides after a request has failed. Returns true if the attempt goes on.
    fn goes_on(&mut self, failure: &FailedAttempt, link: LinkId) -> bool {
        let sent = failure.sent;
        if self.machine.ends_link(sent) {
            self.nodes.end_link(self.via.endpoint(), link);
        }
        matches!(self.via, Via::Shared(_)) && self.machine.handle_failed(sent)
    }

    fn elapsed(&self) -> Now {
        self.nodes.clock().now().saturating_sub(self.begun)
    }
}
