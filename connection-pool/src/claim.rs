//! The claim of one user on a connection.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use tokio::sync::mpsc;

use crate::machine::{Returned, SlotId};

/// A connection on its way back to the pool's task.
pub(crate) struct Return<C> {
    pub(crate) slot: SlotId,
    /// `None` if the connection was spoiled; its user has dropped it.
    pub(crate) connection: Option<C>,
}

impl<C> Return<C> {
    pub(crate) fn how(&self) -> Returned {
        if self.connection.is_some() { Returned::Usable } else { Returned::Spoiled }
    }
}

/// Owns a connection until it is dropped, which gives the connection back to the pool.
///
/// A connection in the middle of a request must not go to another user, who would read the reply to
/// the first one's request. So a request is made through [`Claim::run`], which marks the connection
/// as busy: a claim that is dropped before the request ends discards the connection.
/// [`Claim::retire`] discards it by hand, [`Claim::begin`] is for a user whose requests overlap. A
/// user that uses the connection directly is responsible for its state.
///
/// Dropping never blocks and needs no runtime.
///
/// # Examples
///
/// ```
/// # use pravega_sdk_connection_pool::{Claim, Connector};
/// # struct Connection;
/// # impl Connection {
/// #     async fn ask(&mut self, _: &str) -> std::io::Result<String> { Ok(String::new()) }
/// # }
/// async fn ask(mut claim: Claim<Connection>) -> std::io::Result<String> {
///     claim.run(async |connection| connection.ask("what time is it?").await).await
/// }
/// ```
#[must_use = "dropping a claim gives the connection back"]
pub struct Claim<C> {
    slot: SlotId,
    /// `None` only while the guard is dropped or converted.
    connection: Option<C>,
    is_in_request: bool,
    returns: mpsc::UnboundedSender<Return<C>>,
}

impl<C> Claim<C> {
    pub(crate) fn new(
        slot: SlotId,
        connection: C,
        returns: mpsc::UnboundedSender<Return<C>>,
    ) -> Self {
        Self { slot, connection: Some(connection), is_in_request: false, returns }
    }

    /// Makes a request on the connection. If the returned future is dropped before it is done, or
    /// the request panics, the connection is discarded instead of going to the next user.
    ///
    /// A request that ends with an error leaves the connection in use: if the error means that the
    /// connection is broken, call [`Self::retire`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future spoils this connection and nothing else.
    pub async fn run<T>(&mut self, request: impl AsyncFnOnce(&mut C) -> T) -> T {
        // A claim that was dropped in the middle of another request stays spoiled.
        let was_in_request = std::mem::replace(&mut self.is_in_request, true);
        let result = request(&mut **self).await;
        self.is_in_request = was_in_request;
        result
    }

    /// Marks the connection as busy until the end, for requests that overlap: it is discarded when
    /// the claim is dropped.
    pub fn begin(mut self) -> Self {
        self.is_in_request = true;
        self
    }

    /// Discards the connection: no other user gets it.
    pub fn retire(mut self) {
        self.is_in_request = true;
    }

    /// Number of the slot, as in a [snapshot](crate::PoolSnapshot) shows it.
    #[must_use]
    pub fn slot(&self) -> u64 {
        self.slot.0
    }

    pub(crate) fn into_return(mut self) -> Option<Return<C>> {
        self.take_return()
    }

    fn take_return(&mut self) -> Option<Return<C>> {
        let connection = self.connection.take()?;
        let connection = (!self.is_in_request).then_some(connection);
        Some(Return { slot: self.slot, connection })
    }
}

impl<C> Deref for Claim<C> {
    type Target = C;

    #[allow(clippy::expect_used)]
    fn deref(&self) -> &C {
        // Only `drop` and `into_return` take the connection out, and the guard ends with them.
        self.connection.as_ref().expect("a live claim owns its connection")
    }
}

impl<C> DerefMut for Claim<C> {
    #[allow(clippy::expect_used)]
    fn deref_mut(&mut self) -> &mut C {
        self.connection.as_mut().expect("a live claim owns its connection")
    }
}

impl<C> Drop for Claim<C> {
    fn drop(&mut self) {
        if let Some(returned) = self.take_return() {
            // If the pool is gone, the connection goes with the message.
            self.returns.send(returned).ok();
        }
    }
}

impl<C> fmt::Debug for Claim<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("slot", &self.slot.0).finish_non_exhaustive()
    }
}
