//! The time of machines.

use std::time::Duration;

/// The time since any fixed moment, such as the creation of a client.
pub(crate) type Now = Duration;
