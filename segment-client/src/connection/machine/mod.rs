//! What a connection decides, without a socket, a clock or a runtime.

pub(super) mod keep_alive;
pub(super) mod waiters;
