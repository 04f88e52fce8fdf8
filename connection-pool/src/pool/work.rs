//! Work on one connection: dial, check, recycling, close. Each runs in a task of its own with a
//! deadline.

use std::{future::Future, sync::Arc, time::Duration};

use pravega_sdk_probes as probes;
use pravega_sdk_types::Endpoint;
use tokio::time::timeout;

use crate::{
    connector::Connector,
    error::{BoxError, CloseFailure, ConnectFailure},
    machine::SlotId,
    policy::Policy,
};

/// A piece of work, with the connection that it needs.
pub(super) enum Job<T> {
    Connect,
    Check(T),
    Recycle(T),
}

/// The kind of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Connect,
    Check,
    Recycle,
}

impl<T> Job<T> {
    pub(super) fn work(&self) -> Work {
        match self {
            Self::Connect => Work::Connect,
            Self::Check(_) => Work::Check,
            Self::Recycle(_) => Work::Recycle,
        }
    }
}

/// The result of a piece of work. A connection that failed is dropped.
pub(super) struct Done<T> {
    pub(super) slot: SlotId,
    pub(super) backend: Endpoint,
    pub(super) work: Work,
    pub(super) result: Result<T, ConnectFailure>,
}

pub(super) async fn run<C: Connector>(
    connector: Arc<C>,
    policy: Policy,
    slot: SlotId,
    backend: Endpoint,
    job: Job<C::Connection>,
) -> Done<C::Connection> {
    let (work, result) = match job {
        Job::Connect => {
            let connected = within(policy.connect_timeout, connector.connect(&backend)).await;
            match &connected {
                Ok(_) => probes::slot_connected(backend.host(), slot.0),
                Err(_) => probes::slot_failed(backend.host(), slot.0),
            }
            (Work::Connect, connected)
        }
        Job::Check(mut connection) => {
            let checking = connector.is_valid(&mut connection);
            let checked = within(policy.health_check_timeout, checking).await;
            (Work::Check, checked.map(|()| connection))
        }
        Job::Recycle(mut connection) => {
            let recycling = connector.on_recycle(&mut connection);
            let recycled = within(policy.health_check_timeout, recycling).await;
            (Work::Recycle, recycled.map(|()| connection))
        }
    };
    Done { slot, backend, work, result }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, ConnectFailure> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(ConnectFailure::refused),
        Err(_) => Err(ConnectFailure::timeout(limit)),
    }
}

pub(super) async fn close<C: Connector>(
    connector: Arc<C>,
    backend: Endpoint,
    connection: C::Connection,
    limit: Duration,
) -> Option<CloseFailure> {
    end(backend, timeout(limit, connector.close(connection)).await.unwrap_or_else(too_late))
}

pub(super) async fn close_shared<C: Connector>(
    connector: Arc<C>,
    backend: Endpoint,
    connection: C::Shared,
    limit: Duration,
) -> Option<CloseFailure> {
    end(backend, timeout(limit, connector.close_shared(connection)).await.unwrap_or_else(too_late))
}

fn too_late(_: tokio::time::error::Elapsed) -> Result<(), BoxError> {
    Err("not closed in time".into())
}

fn end(backend: Endpoint, closed: Result<(), BoxError>) -> Option<CloseFailure> {
    closed.err().map(|source| CloseFailure { backend, source })
}
