//! What a program says about its state: how it is created and changed, and the bytes of both.

use std::error::Error;

use bytes::Bytes;

use crate::revisioned::Revision;

/// A state on which clients agree: all of them create it from the same initial state and apply the
/// same updates to it, in the same order.
///
/// Both methods must depend on nothing else: no clock, no randomness, no other state. The revision
/// is the same for all clients too.
///
/// # Examples
///
/// ```
/// use std::{collections::BTreeSet, error::Error};
///
/// use pravega_sdk_table_synchronizer::{Revision, SharedState};
///
/// struct Members(BTreeSet<String>);
///
/// enum Change {
///     Join(String),
///     Leave(String),
/// }
///
/// impl SharedState for Members {
///     type Initial = BTreeSet<String>;
///     type Update = Change;
///
///     fn create(members: BTreeSet<String>, _: &Revision) -> Self {
///         Self(members)
///     }
///
///     fn apply(
///         &mut self,
///         change: Change,
///         _: &Revision,
///     ) -> Result<(), Box<dyn Error + Send + Sync>> {
///         match change {
///             Change::Join(member) => self.0.insert(member),
///             Change::Leave(member) => self.0.remove(&member),
///         };
///         Ok(())
///     }
/// }
/// ```
pub trait SharedState: Sized {
    /// The content of an initial state, and of a compaction.
    type Initial;
    /// A change of the state.
    type Update;

    /// Creates the state.
    fn create(initial: Self::Initial, revision: &Revision) -> Self;

    /// Changes the state.
    ///
    /// # Errors
    ///
    /// Any error if the update does not fit the state, which must be as before then. All clients
    /// leave out the update, and those after it in the same entry.
    fn apply(
        &mut self,
        update: Self::Update,
        revision: &Revision,
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Turns initial states and updates into bytes and back.
pub trait StateSerializer<S: SharedState> {
    /// Encodes an initial state.
    ///
    /// # Errors
    ///
    /// Any error if it has no bytes. Nothing is written then.
    fn encode_initial(&self, initial: &S::Initial) -> Result<Bytes, Box<dyn Error + Send + Sync>>;

    /// Decodes an initial state. Other bytes may follow it, which mean nothing: Java's client adds
    /// zero bytes.
    ///
    /// # Errors
    ///
    /// Any error if the bytes do not begin with an initial state.
    fn decode_initial(&self, bytes: Bytes) -> Result<S::Initial, Box<dyn Error + Send + Sync>>;

    /// Encodes an update.
    ///
    /// # Errors
    ///
    /// Any error if it has no bytes. Nothing is written then.
    fn encode_update(&self, update: &S::Update) -> Result<Bytes, Box<dyn Error + Send + Sync>>;

    /// Decodes an update.
    ///
    /// # Errors
    ///
    /// Any error if the bytes are not an update.
    fn decode_update(&self, bytes: Bytes) -> Result<S::Update, Box<dyn Error + Send + Sync>>;
}
