//! One attempt of a call, in a task of its own.
//!
//! The owner of a call may stop polling it at any time. A task does not stand still with it: the
//! deadline goes on, and neither a lock of the credential provider nor a stream of the connection
//! is kept from other calls.

use std::time::Duration;

use futures_util::future::BoxFuture;
use pravega_sdk_proto::controller_service_client::ControllerServiceClient;
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, timeout},
};
use tonic::{Request, Response, Status, transport::Channel};

use super::{authorize::authorized, status::FailedAttempt};
use crate::{ControllerError, Credentials};

pub(super) type Client = ControllerServiceClient<Channel>;
type Sent<A> = BoxFuture<'static, Result<Response<A>, Status>>;
/// Sends a message with a method of the generated client.
pub(super) type SendWith<M, A> = fn(Client, Request<M>) -> Sent<A>;

/// Makes one attempt, within `limit`, which covers the credentials, the connection and the answer.
/// Dropping the future ends the attempt.
pub(super) async fn attempt<M, A>(
    credentials: &Credentials,
    channel: &Channel,
    message: M,
    send: SendWith<M, A>,
    limit: Duration,
) -> Result<A, FailedAttempt>
where
    M: Send + 'static,
    A: Send + 'static,
{
    let Ok(runtime) = Handle::try_current() else {
        return Err(FailedAttempt::not_sent(ControllerError::new(
            ErrorKind::NoRuntime,
            Outcome::NotApplied,
            "a call of the controller works inside a tokio runtime only",
        )));
    };
    let (credentials, channel) = (credentials.clone(), channel.clone());
    // Dropping the set aborts the task.
    let mut task = JoinSet::new();
    task.spawn_on(run(credentials, channel, message, send, limit), &runtime);
    match task.join_next().await {
        Some(Ok(answer)) => answer,
        // The credential provider panicked, or the runtime ended.
        Some(Err(_)) | None => Err(FailedAttempt::lost()),
    }
}

async fn run<M, A>(
    credentials: Credentials,
    channel: Channel,
    message: M,
    send: SendWith<M, A>,
    limit: Duration,
) -> Result<A, FailedAttempt> {
    let started = Instant::now();
    let request = match timeout(limit, authorized(&credentials, message)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => return Err(FailedAttempt::not_sent(error)),
        Err(_) => return Err(FailedAttempt::without_credentials(limit)),
    };
    let left = limit.saturating_sub(started.elapsed());
    match timeout(left, send(ControllerServiceClient::new(channel), request)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(FailedAttempt::from_status(status)),
        Err(_) => Err(FailedAttempt::timed_out(limit)),
    }
}
