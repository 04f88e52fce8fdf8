//! Capacity for an event that does not exist yet.

use std::fmt;

use pravega_sdk_segment_client::{
    append::{Ack, Capacity, Handle},
    error::WriteError,
};

use super::encoder::Encoder;
use crate::{codec::Encode, routing::Routing};

/// Capacity for an event, which can be enqueued without waiting. Dropping it releases the capacity.
#[must_use = "a permit that is not used makes others wait"]
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

    /// Takes an event to be written. Capacity that it does not need is released.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the event needs more capacity than was reserved, or cannot be taken at
    /// all; the capacity is released.
    pub fn enqueue<'k, E>(
        mut self,
        key: impl Into<Routing<'k>>,
        event: E,
    ) -> Result<Ack, WriteError>
    where
        C: Encode<E>,
    {
        let write = self.encoder.prepare(key.into(), event)?;
        let len = write.framed_len();
        let Some(capacity) = self.capacity.split(len) else {
            let detail = format_args!(
                "the event needs {len} bytes with its header, {} were reserved",
                self.bytes
            );
            return Err(self.encoder.refuse(detail));
        };
        self.handle.send(capacity, write)
    }
}

impl<C> fmt::Debug for Permit<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
