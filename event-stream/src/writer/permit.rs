//! Room for an event that is yet to come.

use std::fmt;

use pravega_sdk_segment_client::{
    append::{Ack, Capacity, Handle},
    error::WriteError,
};

use super::encoder::Encoder;
use crate::{codec::Encode, routing::Routing};

/// Room for an event, which can be enqueued without waiting. Dropped, the room is given back.
#[must_use = "room that is kept for nothing keeps others waiting"]
pub struct Permit<'w, C> {
    handle: &'w Handle,
    encoder: &'w Encoder<C>,
    capacity: Capacity<'w>,
    bytes: usize,
}

impl<'w, C> Permit<'w, C> {
    pub(super) fn new(
        handle: &'w Handle,
        encoder: &'w Encoder<C>,
        capacity: Capacity<'w>,
        bytes: usize,
    ) -> Self {
        Self { handle, encoder, capacity, bytes }
    }

    /// Takes an event to be written. Room that it does not need is given back.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the event needs more room than was reserved, or cannot be taken at all;
    /// the room is given back.
    pub fn enqueue<'k, E>(
        mut self,
        key: impl Into<Routing<'k>>,
        event: E,
    ) -> Result<Ack, WriteError>
    where
        C: Encode<E>,
    {
        let write = self.encoder.prepare(key.into(), event)?;
        let len = write.payload.framed_len();
        let Some(capacity) = self.capacity.split(len) else {
            let detail = format_args!(
                "the event needs {len} bytes with its header, {} were reserved",
                self.bytes
            );
            return Err(self.encoder.refuse(detail));
        };
        self.handle.send(capacity, write.key, write.payload)
    }
}

impl<C> fmt::Debug for Permit<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
