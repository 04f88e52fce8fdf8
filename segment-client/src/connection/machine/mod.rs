//! The decisions of a connection, without a socket, a clock or a runtime.

pub(super) mod keep_alive;
pub(super) mod reads;
pub(super) mod requests;
#[cfg(test)]
mod requests_tests;
