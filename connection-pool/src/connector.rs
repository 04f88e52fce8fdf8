//! The trait that connects, checks, shares and closes.

use std::future::Future;

use pravega_sdk_types::Endpoint;

use crate::error::BoxError;

/// Makes connections to backends and checks their health.
///
/// The pool puts a deadline on each future of a connector and drops it when the deadline passes, so
/// each of them must be safe to drop. While a future runs, the connection belongs to it: no lock is
/// held. The other methods run in the pool's task: they must return at once and must not panic.
pub trait Connector: Send + Sync + 'static {
    /// A connection for one user at a time.
    type Connection: Send + 'static;
    /// A connection that many users share through `&self`. A connector of connections that cannot
    /// be shared names [`NotShared`].
    type Shared: Send + Sync + 'static;

    /// Connects to `backend`.
    ///
    /// # Errors
    ///
    /// Any. The pool dials again after a back-off, and meanwhile grants connections to other
    /// backends; claims for this backend alone fail with this error.
    fn connect(
        &self,
        backend: &Endpoint,
    ) -> impl Future<Output = Result<Self::Connection, BoxError>> + Send;

    /// Turns an unused connection into one that many users share.
    ///
    /// # Errors
    ///
    /// Any; the connection is dropped, and every claim that was granted it fails with this error.
    fn share(&self, connection: Self::Connection) -> Result<Self::Shared, BoxError>;

    /// Checks an unused connection. By default it is healthy.
    ///
    /// # Errors
    ///
    /// Any; the connection is closed.
    fn is_valid(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = connection;
        async { Ok(()) }
    }

    /// Returns true unless a shared connection is known to have ended. Called before each shared
    /// claim, and at the interval of health checks. By default no end is known.
    fn is_alive(&self, connection: &Self::Shared) -> bool {
        let _ = connection;
        true
    }

    /// Makes a returned connection ready for its next user. By default there is nothing to do.
    ///
    /// # Errors
    ///
    /// Any; the connection is closed.
    fn on_recycle(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = connection;
        async { Ok(()) }
    }

    /// Closes a connection that the pool no longer needs. By default it is dropped. A connection
    /// that its user discards is dropped in any case, and so is one too many: as many connections
    /// may be closing as there may be slots.
    ///
    /// # Errors
    ///
    /// Any; the pool reports it, and the connection is gone all the same.
    fn close(
        &self,
        connection: Self::Connection,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        drop(connection);
        async { Ok(()) }
    }

    /// Closes a shared connection, after its last user left. By default it is dropped.
    ///
    /// # Errors
    ///
    /// As [`Self::close`].
    fn close_shared(
        &self,
        connection: Self::Shared,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        drop(connection);
        async { Ok(()) }
    }
}

/// The shared connection of a [`Connector`] whose connections cannot be shared: there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotShared {}

impl NotShared {
    /// Drops `connection` and returns the error of [`Connector::share`].
    ///
    /// # Errors
    ///
    /// Always.
    pub fn refuse<C>(connection: C) -> Result<Self, BoxError> {
        drop(connection);
        Err("connections of this kind are for one user at a time".into())
    }
}
