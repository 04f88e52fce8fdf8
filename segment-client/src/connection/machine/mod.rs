//! The decisions of a connection, without a socket, a clock or a runtime.

pub(super) mod keep_alive;
pub(super) mod waiters;
