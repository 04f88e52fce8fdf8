//! How a connection is made, checked and passed on.

use std::future::Future;

use pravega_sdk_types::Endpoint;

use crate::BoxError;

/// Makes connections to backends, and says whether one can still be used.
///
/// The pool puts a deadline on each call and drops the future when it passes, so every one of them
/// must be safe to drop. While a call runs, the connection belongs to it: no lock is held.
pub trait Connector: Send + Sync + 'static {
    /// The connection.
    type Connection: Send + 'static;

    /// Connects to `backend`.
    ///
    /// # Errors
    ///
    /// Any; the pool tries again after a back-off, and meanwhile serves from other backends.
    fn connect(
        &self,
        backend: &Endpoint,
    ) -> impl Future<Output = Result<Self::Connection, BoxError>> + Send;

    /// Checks a connection that nobody uses. By default it is taken for good.
    ///
    /// # Errors
    ///
    /// Any; the connection is given up.
    fn is_valid(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = connection;
        async { Ok(()) }
    }

    /// Makes a connection that came back ready for the next user. By default there is nothing to
    /// do.
    ///
    /// # Errors
    ///
    /// Any; the connection is given up.
    fn on_recycle(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = connection;
        async { Ok(()) }
    }
}
