//! A record of the input as an event, or what is wrong with it.

use super::framer::Place;
use crate::failure::Failure;

/// An event and its routing key.
#[derive(Debug)]
pub(crate) struct InputEvent {
    pub(crate) at: Place,
    pub(crate) key: Option<String>,
    pub(crate) payload: Vec<u8>,
}

/// A line or event of the input that cannot be written.
#[derive(Debug)]
pub(crate) struct BadRecord {
    pub(crate) at: Place,
    pub(super) text: String,
}

impl BadRecord {
    /// The failure of a command that it ends.
    pub(crate) fn into_failure(self) -> Failure {
        Failure::invalid_input(self.text)
    }
}
