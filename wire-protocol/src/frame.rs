//! Encodes a command as a frame.

use crate::{Command, EncodeError, FRAME_HEADER_LEN, MAX_FRAME_LEN, SendBuffer};

impl SendBuffer {
    /// Appends a command as a frame.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the command cannot be encoded; nothing is written then.
    pub fn push<C: Command>(&mut self, command: &C) -> Result<(), EncodeError> {
        let payload_len = command.payload_len()?;
        let len = FRAME_HEADER_LEN.saturating_add(payload_len);
        if len > MAX_FRAME_LEN {
            return Err(EncodeError::FrameTooLong { command: C::NAME, len });
        }
        let expected = self.len() + len;
        self.put_i32(C::CODE);
        self.put_len(payload_len);
        command.put_payload(self);
        debug_assert_eq!(
            self.len(),
            expected,
            "{} announced another length than it wrote",
            C::NAME
        );
        Ok(())
    }
}
