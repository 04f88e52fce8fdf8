//! Every public call: the list in `send.rs` as names, and a client that makes each.

pub(crate) mod handles;
pub(crate) mod listed;
pub(crate) mod seen;
pub(crate) mod sum;
