//! A claim on a connection that many users share.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use pravega_sdk_types::Endpoint;
use tokio::sync::mpsc;

use crate::machine::SlotId;

/// A shared connection. The pool's task holds one reference until the connection is retired, each
/// user another.
pub(crate) struct SharedCell<S> {
    slot: SlotId,
    backend: Endpoint,
    connection: S,
    is_retired: AtomicBool,
}

impl<S> SharedCell<S> {
    pub(crate) fn new(slot: SlotId, backend: Endpoint, connection: S) -> Self {
        Self { slot, backend, connection, is_retired: AtomicBool::new(false) }
    }

    pub(crate) fn connection(&self) -> &S {
        &self.connection
    }

    pub(crate) fn into_parts(self) -> (Endpoint, S) {
        (self.backend, self.connection)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Returns true for the first call.
    pub(crate) fn retire(&self) -> bool {
        !self.is_retired.swap(true, Ordering::AcqRel)
    }
}

/// A notice from a user of a shared connection to the pool's task.
pub(crate) enum Notice<S> {
    /// The user left. It hands over its reference, so that the task closes with the last one.
    Left(SlotId, Arc<SharedCell<S>>),
    /// The connection is retired for all its users.
    Retired(SlotId),
}

/// A share in a connection that others use at the same time, until it is dropped.
///
/// The connection is used through `&self`. It stays open while it has users, and closes after the
/// last one left, unless the pool keeps it as a spare. A user that finds it dead
/// [retires](Self::retire) it for all of them.
///
/// Dropping never blocks and needs no runtime.
#[must_use = "dropping a claim leaves the connection"]
pub struct SharedClaim<S> {
    /// `None` only while the guard is dropped.
    cell: Option<Arc<SharedCell<S>>>,
    notices: mpsc::UnboundedSender<Notice<S>>,
}

impl<S> SharedClaim<S> {
    pub(crate) fn new(cell: Arc<SharedCell<S>>, notices: mpsc::UnboundedSender<Notice<S>>) -> Self {
        Self { cell: Some(cell), notices }
    }

    /// Retires the connection for every user: the next claim gets another one. Its users may
    /// continue, and the connection closes after the last of them leaves. Retiring twice is the
    /// same as retiring once.
    pub fn retire(&self) {
        let cell = self.cell();
        if cell.retire() {
            self.notices.send(Notice::Retired(cell.slot)).ok();
        }
    }

    /// Returns true if the connection was retired, by any of its users or by the pool.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.cell().is_retired()
    }

    /// The backend that the connection leads to.
    #[must_use]
    pub fn backend(&self) -> &Endpoint {
        &self.cell().backend
    }

    /// Number of the slot, as in a [snapshot](crate::PoolSnapshot) shows it.
    #[must_use]
    pub fn slot(&self) -> u64 {
        self.cell().slot.0
    }

    #[allow(clippy::expect_used)]
    fn cell(&self) -> &Arc<SharedCell<S>> {
        // Only `drop` takes the reference out.
        self.cell.as_ref().expect("a live claim has its connection")
    }
}

impl<S> Deref for SharedClaim<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.cell().connection()
    }
}

impl<S> Drop for SharedClaim<S> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            // If the pool is gone, the reference goes with the message.
            self.notices.send(Notice::Left(cell.slot, cell)).ok();
        }
    }
}

impl<S> fmt::Debug for SharedClaim<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedClaim")
            .field("slot", &self.slot())
            .field("backend", self.backend())
            .field("is_retired", &self.is_retired())
            .finish_non_exhaustive()
    }
}
