//! A copy that is made in portions, between which what is copied changes.

use crate::record::Record;

/// How far a copy has come, and the changes that belong to it.
#[derive(Debug, Default)]
pub(crate) struct Copying<P> {
    pub(crate) place: P,
    /// The changes of what was copied already.
    pub(crate) followed: Vec<Record>,
}

impl<P> Copying<P> {
    /// Takes the changes of what was copied already, since the last call.
    pub(crate) fn take_followed(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.followed)
    }
}
